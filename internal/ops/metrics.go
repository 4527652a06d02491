package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spola-cdc/spola/internal/stock"
)

// metrics are what Prometheus reads, made anew from the last picture at each scrape: what is no more is told no more. Names of
// lag are those of kafka_exporter, which dashboards know; the others are Spola's own, in base units.
type metrics struct {
	shop   string
	told   func() (*Picture, Trip)
	unsent func() (waits time.Duration, told bool) // of notices
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	groupLag      = desc("kafka_consumergroup_lag", "Records of a log that an applier has not applied.", "consumergroup", "topic", "partition")
	groupOffset   = desc("kafka_consumergroup_current_offset", "Offset of the record that an applier reads next, by its place in the database.", "consumergroup", "topic", "partition")
	topicOffset   = desc("kafka_topic_partition_current_offset", "Offset behind the newest record.", "topic", "partition")
	up            = desc("spola_up", "Whether a part of the pipeline answers: shop, erp, kafka.", "shop", "part")
	lookedAt      = desc("spola_looked_timestamp_seconds", "When these figures were taken.", "shop")
	lagSeconds    = desc("spola_applier_lag_seconds", "Age of the oldest record that an applier has not applied, since its commit at the source; 0: there is none.", "shop", "applier")
	paused        = desc("spola_applier_paused", "Whether a person has paused an applier.", "shop", "applier")
	moved         = desc("spola_applier_moved_timestamp_seconds", "When an applier last applied something.", "shop", "applier")
	tripSeconds   = desc("spola_probe_seconds", "How long the last probe took from the shop's commit to a stage: log (read, and in the shop's log), intake (in the ERP's database).", "shop", "stage")
	tripArrived   = desc("spola_probe_arrived_timestamp_seconds", "When a probe last came to a stage.", "shop", "stage")
	tripWaiting   = desc("spola_probe_waiting_seconds", "For how long a probe has been on its way to a stage; 0: none is.", "shop", "stage")
	clockAhead    = desc("spola_clock_ahead_seconds", "How far the clock of the shop's server is ahead of this host's; taken off the lag.", "shop")
	erpAhead      = desc("spola_erp_clock_ahead_seconds", "How far the clock of the ERP's server is ahead of this host's; taken off the lag.", "shop")
	shopBehind    = desc("spola_shop_unread_transactions", "Transactions that the shop's server has committed behind the newest record of its log; those of other tables are passed with the next tick.", "shop")
	erpBehind     = desc("spola_erp_unread_bytes", "Write-ahead log that the ERP's server has written behind what the reader of its log has confirmed; of other tables it leaves up to 16 MiB.", "shop")
	binlogLeft    = desc("spola_binlog_left_seconds", "Until the shop's server purges what its reader has not read.", "shop")
	binlogKept    = desc("spola_binlog_kept_seconds", "For how long the shop's server keeps its binary log.", "shop")
	walLeft       = desc("spola_wal_left_bytes", "What the ERP's server writes until it gives the reader's slot up.", "shop")
	live          = desc("spola_shop_live", "Whether the shop is live; 0: only observed.", "shop")
	orders        = desc("spola_orders", "Orders by what became of them.", "shop", "kind")
	parkedOrders  = desc("spola_parked_orders", "Orders that wait for a person or for what they lack, by reason.", "shop", "reason")
	settling      = desc("spola_settling_orders", "Orders that are being changed at the moment, or are to be worked out.", "shop")
	waits         = desc("spola_waiting", "What can't be brought into the shop and waits, by stream and reason.", "shop", "applier", "why")
	stockRows     = desc("spola_stock_rows", "Rows of the shop's stock that have an account.", "shop")
	stockDrifting = desc("spola_stock_drifting_rows", "Rows that do not show what their account says, unsettled ones included.", "shop")
	unpublished   = desc("spola_stock_unpublished_pieces", "Pieces that the ERP has moved and the accounts have not: lag.", "shop")
	undelivered   = desc("spola_stock_undelivered_pieces", "Pieces in the accounts that the shop has not: lag, or owed.", "shop")
	repairs       = desc("spola_stock_repairs_total", "Rows that reconciliation has repaired.", "shop")
	reconciled    = desc("spola_reconciliation_timestamp_seconds", "When the last run of reconciliation ended.", "shop")
	mails         = desc("spola_mails", "Mails to customers that did not go, by state: queued, sending, unknown, failed.", "shop", "state")
	unsent        = desc("spola_notices_unsent_seconds", "For how long a notice has been waiting because it can't be mailed; 0: none is.", "shop")
	held          = desc("spola_stock_held", "Whether a change of very many rows at once waits for a person.", "shop")
)

// Describe tells nothing: which series there are depends on the picture.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect tells the last picture.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	pic, trip := m.told()
	for stage, leg := range map[string]Leg{StageLog: trip.Log, intakeApplier: {trip.Took, trip.Arrived, trip.Waiting}} {
		if leg.Took > 0 {
			gauge(tripSeconds, leg.Took.Seconds(), m.shop, stage)
			gauge(tripArrived, timestamp(leg.Arrived), m.shop, stage)
		}
		gauge(tripWaiting, leg.Waiting.Seconds(), m.shop, stage)
	}
	if waits, told := m.unsent(); told {
		gauge(unsent, waits.Seconds(), m.shop)
	}
	if pic == nil {
		return
	}
	gauge(lookedAt, timestamp(pic.At), m.shop)
	for part, err := range pic.Errors {
		gauge(up, yes(err == nil), m.shop, part)
	}
	if pic.Clock != nil {
		gauge(clockAhead, pic.Clock.Seconds(), m.shop)
	}
	if pic.ERPTime != nil {
		gauge(erpAhead, pic.ERPTime.Seconds(), m.shop)
	}
	if pic.Behind != nil {
		gauge(shopBehind, float64(*pic.Behind), m.shop)
	}
	if pic.ERPBack != nil {
		gauge(erpBehind, float64(*pic.ERPBack), m.shop)
	}
	if pic.Unread != nil {
		gauge(binlogLeft, pic.Unread.Seconds(), m.shop)
	}
	if pic.Binlog != nil {
		gauge(binlogKept, pic.Binlog.Seconds(), m.shop)
	}
	if pic.WAL != nil {
		gauge(walLeft, float64(*pic.WAL), m.shop)
	}
	if pic.Errors[PartKafka] == nil && pic.Errors[PartERP] == nil {
		m.collectLag(gauge, pic)
	}
	if pic.Errors[PartERP] == nil {
		m.collectOrders(gauge, pic)
	}
	if pic.Slow != nil {
		m.collectStock(gauge, to, &pic.Slow.Stock)
		for state, n := range pic.Slow.Mails {
			gauge(mails, float64(n), m.shop, state)
		}
	}
}

type gauges func(d *prometheus.Desc, value float64, labels ...string)

func (m *metrics) collectLag(gauge gauges, pic *Picture) {
	ends := map[string]int64{}
	for _, s := range pic.Streams {
		gauge(groupLag, float64(s.End-s.Read), s.Group, s.Log, "0")
		gauge(groupOffset, float64(s.Read), s.Group, s.Log, "0")
		gauge(lagSeconds, s.Age.Seconds(), m.shop, s.Applier)
		ends[s.Log] = max(ends[s.Log], s.End)
	}
	for log, end := range ends {
		gauge(topicOffset, float64(end), log, "0")
	}
}

func (m *metrics) collectOrders(gauge gauges, pic *Picture) {
	gauge(live, yes(pic.Live), m.shop)
	gauge(settling, float64(pic.Settle), m.shop)
	for kind, n := range pic.Orders {
		gauge(orders, float64(n), m.shop, kind)
	}
	for reason, n := range pic.Parked {
		gauge(parkedOrders, float64(n), m.shop, reason)
	}
	for _, w := range pic.Waits {
		gauge(waits, float64(w.Count), m.shop, w.Applier, w.Why)
	}
	for _, s := range pic.Streams {
		gauge(paused, yes(s.Paused), m.shop, s.Applier)
		gauge(moved, timestamp(s.Moved), m.shop, s.Applier)
	}
}

func (m *metrics) collectStock(gauge gauges, to chan<- prometheus.Metric, s *stock.Accounts) {
	gauge(stockRows, float64(s.Rows), m.shop)
	gauge(stockDrifting, float64(s.Drifting), m.shop)
	gauge(unpublished, float64(s.Unpublished), m.shop)
	gauge(undelivered, float64(s.Undelivered), m.shop)
	to <- prometheus.MustNewConstMetric(repairs, prometheus.CounterValue, float64(s.Repairs), m.shop)
	gauge(held, yes(s.Last != nil && s.Last.Held != ""), m.shop)
	if s.Last != nil {
		gauge(reconciled, timestamp(s.Last.Ended), m.shop)
	}
}

func timestamp(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
