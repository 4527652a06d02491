package ops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/source/postgres"
	"github.com/spola-cdc/spola/internal/stream"
	erp "github.com/spola-cdc/spola/internal/target/postgres"
)

// StageLog is how far a probe of the way back has come that stands in the ERP's log; the stages behind it are the appliers.
const StageLog = "log"

const (
	backLook    = 20 * time.Millisecond  // how often a probe on its way is looked for,
	backPatient = time.Minute            // up to this age,
	backSlow    = 250 * time.Millisecond // and then
	backAnew    = time.Second            // until an attempt that failed is made again
)

// back sends probes the other way: a message in the write-ahead log of the ERP's server, of which the reader makes a record of the
// ERP's log. Every applier of that log moves its place over it: stock and orders in the shop's marker, in the transaction of what they write there,
// ledger and mail in the ERP's database. One that waits at an applier is waited for; the others get the next.
type back struct {
	mu    sync.Mutex
	trips map[string]Trip // by stage
	err   error           // why none can be sent or looked for

	// Of the running goroutine.
	waiting map[string]*sent // by stage
	log     *stream.Finder
}

// sent is a probe on its way.
type sent struct {
	at    time.Time
	from  int64        // end of the log when it was sent
	place change.Place // of its record; the zero place: not seen yet
}

// told is each stage that has been reached or waited for.
func (b *back) told() (map[string]Trip, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string]Trip{}
	for stage, t := range b.trips {
		if p := b.waiting[stage]; p != nil {
			t.Waiting = time.Since(p.at)
		}
		all[stage] = t
	}
	return all, b.err
}

// run sends probes until ctx ends. Without a log of the ERP that is read here there is nothing to probe.
func (b *back) run(ctx context.Context, of Pipeline) {
	if of.ERPLog == nil || of.Slot == "" {
		return
	}
	b.mu.Lock()
	b.trips, b.waiting = map[string]Trip{}, map[string]*sent{}
	b.mu.Unlock()
	for ctx.Err() == nil {
		err := b.probe(ctx, of)
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
		pause(ctx, backAnew)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// ways are the connections that probes need.
type ways struct {
	erp  *pgx.Conn
	shop *sql.DB
}

// probe connects, and sends and awaits until something fails. What is on its way goes on being awaited behind that.
func (b *back) probe(ctx context.Context, of Pipeline) error {
	conn, err := erp.Connect(ctx, of.ERP, "spola probe back "+of.Shop)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	shop, err := mysql.Open(of.Source)
	if err != nil {
		return err
	}
	defer func() { _ = shop.Close() }() // it has only asked
	if b.log, err = stream.OpenFinder(ctx, *of.ERPLog); err != nil {
		return err
	}
	defer func() { b.log.Close() }()
	w := ways{conn, shop}
	for {
		places, err := w.places(ctx, of.Shop)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := b.send(ctx, of, w, places); err != nil {
			return err
		}
		for time.Since(began) < probeEvery {
			if err := b.look(ctx, of, w); err != nil {
				return err
			}
			pause(ctx, b.every())
			if ctx.Err() != nil {
				return nil
			}
		}
	}
}

// every is how long to wait until the next look: nothing on its way needs none before the next probe.
func (b *back) every() time.Duration {
	d := backSlow
	for _, p := range b.waiting {
		if time.Since(p.at) < backPatient {
			d = backLook
		}
	}
	return d
}

// send sends a probe for the stages that wait for none.
func (b *back) send(ctx context.Context, of Pipeline, w ways, places map[string]change.Place) error {
	_, end, err := b.log.Renew(ctx)
	if err != nil {
		return err
	}
	p := &sent{from: end}
	var free []string
	if b.waiting[StageLog] == nil {
		free = append(free, StageLog)
	}
	for applier := range places {
		if b.waiting[applier] == nil {
			free = append(free, applier)
		}
	}
	if len(free) == 0 && !b.unseen() {
		return nil
	}
	p.at = time.Now()
	if err := postgres.Probe(ctx, w.erp, of.Slot); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, stage := range free {
		b.waiting[stage] = p
		if _, known := b.trips[stage]; !known {
			b.trips[stage] = Trip{}
		}
	}
	return nil
}

// unseen tells whether one is on its way that is not in the log. It may never come there, where the reader's slot was lost with what it
// held: the next message is found in its place.
func (b *back) unseen() bool {
	for _, p := range b.waiting {
		if p.place.Seq == 0 {
			return true
		}
	}
	return false
}

// look sees how far the probes on their way have come.
func (b *back) look(ctx context.Context, of Pipeline, w ways) error {
	if len(b.waiting) == 0 {
		return nil
	}
	for _, p := range b.waiting {
		if p.place.Seq == 0 {
			if err := b.find(ctx, p); err != nil {
				return err
			}
		}
	}
	if p := b.waiting[StageLog]; p != nil && p.place.Seq > 0 {
		b.arrived(StageLog, p)
	}
	if len(b.waiting) == 0 {
		return nil
	}
	places, err := w.places(ctx, of.Shop)
	if err != nil {
		return err
	}
	for stage, p := range b.waiting {
		at, there := places[stage]
		switch {
		case stage == StageLog:
		case !there: // its place is gone: nobody applies any more
			b.mu.Lock()
			delete(b.waiting, stage)
			delete(b.trips, stage)
			b.mu.Unlock()
		case p.place.Seq > 0 && !p.place.Beyond(at):
			b.arrived(stage, p)
		}
	}
	return nil
}

func (b *back) arrived(stage string, p *sent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trips[stage] = Trip{Took: time.Since(p.at), Arrived: time.Now()}
	delete(b.waiting, stage)
}

// find looks for a probe in what the log has behind the end at which it was sent. Another process's probe does as well: it was
// sent later than this one's end was seen.
func (b *back) find(ctx context.Context, p *sent) (err error) {
	p.place, p.from, err = b.log.Probe(ctx, p.from)
	return err
}

// places are how far the appliers of the ERP's log are: those that write into the shop by the shop's own marker.
func (w ways) places(ctx context.Context, shop string) (map[string]change.Place, error) {
	all := map[string]change.Place{}
	for _, applier := range []string{"stock", "orders"} {
		var p change.Place
		err := w.shop.QueryRowContext(ctx, "SELECT generation, number FROM spola_marker WHERE name = ?", "place."+applier+".erp").Scan(&p.Gen, &p.Seq)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the place of %s in the shop: %w", applier, err)
		}
		all[applier] = p
	}
	rows, err := w.erp.Query(ctx, "select applier, generation, seq from spola.place where source = $1 and applier <> 'intake'", shop)
	if err != nil {
		return nil, fmt.Errorf("read the appliers' places: %w", err)
	}
	var applier string
	var p change.Place
	if _, err = pgx.ForEachRow(rows, []any{&applier, &p.Gen, &p.Seq}, func() error { all[applier] = p; return nil }); err != nil {
		return nil, fmt.Errorf("read the appliers' places: %w", err)
	}
	return all, nil
}

// backMetrics are what Prometheus reads of the way back.
type backMetrics struct {
	shop string
	told func() (map[string]Trip, error)
}

var (
	backSeconds = desc("spola_back_probe_seconds", "How long the last probe took from the ERP's commit to a stage of the way back: log, ledger, stock, orders, mail.", "shop", "stage")
	backArrived = desc("spola_back_probe_arrived_timestamp_seconds", "When a probe last came to a stage of the way back.", "shop", "stage")
	backWaiting = desc("spola_back_probe_waiting_seconds", "For how long a probe has been on its way to a stage of the way back; 0: none is.", "shop", "stage")
)

// Describe tells nothing: which series there are depends on who applies.
func (m backMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect tells how the last probes went.
func (m backMetrics) Collect(to chan<- prometheus.Metric) {
	trips, _ := m.told() // why none can be sent: spola_up tells of the parts
	for stage, t := range trips {
		gauge := func(d *prometheus.Desc, value float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, m.shop, stage)
		}
		if t.Took > 0 {
			gauge(backSeconds, t.Took.Seconds())
			gauge(backArrived, timestamp(t.Arrived))
		}
		gauge(backWaiting, t.Waiting.Seconds())
	}
}
