package ops

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/notice"
)

// For how long something holds before a person is told. The sum with what a look takes stays below a minute.
const (
	partPatience   = 30 * time.Second // that a part does not answer: a server that starts again takes less
	stillPatience  = 30 * time.Second // that an applier does not move while there is something to apply
	parkedPatience = 20 * time.Second // that an order is parked: what is mended at once is nobody's business
)

// readers of the two logs, by the names that their last words have.
const (
	shopReader = "cdc"
	erpReader  = "cdc erp"
)

// Reasons that a look alone can't see: a probe must have been on its way for some time.
const (
	stoppedReader = "stopped." + shopReader
	refusesShop   = "refuses.shop"
)

// sight is what a look says to a person: what has stopped, what is parked, what waits for him.
func (p *Picture) sight(trip Trip, words []notice.Words) notice.Sight {
	s := notice.Sight{Blind: map[string]bool{PartShop: p.Errors[PartShop] != nil, PartERP: p.Errors[PartERP] != nil}}
	s.Blind[PartKafka] = s.Blind[PartERP] || p.Errors[PartKafka] != nil // its appliers' places stand in the ERP
	s.Causes = append(p.stopped(words, trip), p.down()...)
	stopped := map[string]bool{}
	for _, c := range s.Causes {
		stopped[c.Reason] = true
	}
	if !s.Blind[PartKafka] {
		for _, c := range p.still(trip) {
			if !stopped[c.Reason] { // its own last words say more
				s.Causes = append(s.Causes, c)
			}
		}
	}
	if !s.Blind[PartERP] {
		s.Causes = append(s.Causes, p.waiting()...)
	}
	return s
}

// stopped are the streams that have left their last words and have not gone on since.
func (p *Picture) stopped(words []notice.Words, trip Trip) (causes []notice.Cause) {
	for _, w := range words {
		if p.movedSince(w, trip) {
			continue // started elsewhere, or by hand
		}
		causes = append(causes, notice.Cause{Reason: "stopped." + w.Stream, Title: w.Stream + " has stopped", Over: w.Stream + " runs again", Since: w.At,
			Why: w.Said, Mend: fmt.Sprintf("what it says; then systemctl start %s, or the command that you start it with", unit(w.Stream))})
	}
	return causes
}

// movedSince tells whether a stream has done something since it left its last words.
func (p *Picture) movedSince(w notice.Words, trip Trip) bool {
	const clocks = 5 * time.Second // may be apart
	switch w.Stream {
	case shopReader:
		return trip.Arrived.After(w.At.Add(clocks))
	case erpReader:
		return p.ERPRead != nil && *p.ERPRead && p.At.After(w.At.Add(clocks))
	}
	for _, s := range p.Streams {
		if s.Applier == w.Stream {
			return s.Moved.After(w.At.Add(clocks))
		}
	}
	return false
}

// unit is the service of a stream in deploy/systemd.
func unit(stream string) string {
	if stream == shopReader || stream == erpReader {
		return strings.ReplaceAll(stream, " ", "-")
	}
	return "applier@" + stream
}

var partNames = map[string]string{PartShop: "the shop's database", PartERP: "the ERP's database", PartKafka: "Kafka"}

// down are the parts that do not answer.
func (p *Picture) down() (causes []notice.Cause) {
	for _, part := range []string{PartShop, PartERP, PartKafka} {
		if err := p.Errors[part]; err != nil {
			causes = append(causes, notice.Cause{Reason: "down." + part, Title: partNames[part] + " does not answer", Over: partNames[part] + " answers again", Part: downSeenBy(part),
				Since: p.At, Why: err.Error(), Patience: partPatience,
				Mend: "bring the server back: every program goes on by itself then. spola doctor names rights and settings that are missing (docs/runbooks/part-down.md)"})
		}
	}
	return causes
}

// downSeenBy: Kafka is asked only if the ERP has answered.
func downSeenBy(part string) string {
	if part == PartKafka {
		return PartERP
	}
	return ""
}

// still are the streams that do not go on though there is something for them.
func (p *Picture) still(trip Trip) (causes []notice.Cause) {
	intake := true // it brings what is known of who writes into the shop
	for _, s := range p.Streams {
		stands := s.End > s.Read && s.Still > stillPatience && s.Age > stillPatience && !s.Paused
		if s.Applier == intakeApplier {
			intake = !s.Paused && s.Age < stillPatience/2
			if c := p.refuses(trip); c != nil {
				causes, intake = append(causes, *c), false
			}
			if c := p.reader(trip); c != nil {
				causes, intake = append(causes, *c), false
			}
		}
		if !stands || s.Moved.IsZero() || s.Applier != intakeApplier && mirrored[s.Applier] && !intake {
			continue
		}
		causes = append(causes, notice.Cause{Reason: "stopped." + s.Applier, Title: s.Applier + " stands still", Over: s.Applier + " goes on", Part: PartKafka, Since: p.At.Add(-min(s.Still, s.Age)),
			Why:  fmt.Sprintf("%d records wait for it, the oldest for %s.", s.End-s.Read, s.Age.Round(time.Second)),
			Mend: fmt.Sprintf("systemctl status %s: its last line says why it does not go on (docs/runbooks/behind.md)", unit(s.Applier))})
	}
	if p.ERPRead != nil && !*p.ERPRead {
		causes = append(causes, notice.Cause{Reason: "stopped." + erpReader, Title: "nobody reads the ERP's log", Over: "the ERP's log is read again", Part: PartERP, Patience: stillPatience,
			Why:  "What changes in the ERP does not come into the shop, and its server keeps its write-ahead log for the reader.",
			Mend: "systemctl status cdc-erp: its last line says why (docs/runbooks/nothing-comes-back.md)"})
	}
	return causes
}

// mirrored are the appliers whose place stands in the shop: it is known here once intake has brought it.
var mirrored = map[string]bool{"stock": true, "orders": true}

// refuses tells that the shop's server answers and takes no row: its disk is full, it is read-only, or the right was revoked.
func (p *Picture) refuses(trip Trip) *notice.Cause {
	if p.Errors[PartShop] != nil || trip.Refused < stillPatience {
		return nil
	}
	return &notice.Cause{Reason: refusesShop, Title: "the shop's database takes no row", Over: "the shop's database takes rows again", Part: PartShop, Since: p.At.Add(-trip.Refused),
		Why:  trip.Err.Error(),
		Mend: "what the log of the shop's server says: a full disk (then the shop can't sell either), a server that is read-only, a right on table spola_marker that was revoked (docs/runbooks/part-down.md)"}
}

// reader tells that the shop is not read: a probe is in the shop, and not in its log.
func (p *Picture) reader(trip Trip) *notice.Cause {
	if p.Errors[PartShop] != nil || trip.Log.Waiting < stillPatience {
		return nil
	}
	return &notice.Cause{Reason: stoppedReader, Title: "what the shop commits is not read", Over: "the shop is read again", Part: PartKafka, Since: p.At.Add(-trip.Log.Waiting),
		Why:  fmt.Sprintf("What it committed %s ago is not in its log.", trip.Log.Waiting.Round(time.Second)),
		Mend: "systemctl status cdc: its last line says why (docs/runbooks/nothing-arrives.md)"}
}

// waiting is what waits for a person, of a shop that is live: what is only observed is nobody's loss.
func (p *Picture) waiting() (causes []notice.Cause) {
	if !p.Live {
		return nil
	}
	for _, o := range p.Open.Parked {
		c := notice.Cause{Reason: "parked." + o.Reason, Title: count(o.Count, "order is parked", "orders are parked") + ": " + o.Reason, Over: "no order is parked any more: " + o.Reason,
			Part: PartERP, Since: o.First, Why: o.Why, Newest: o.Newest.UnixMilli(), Patience: parkedPatience,
			Mend: fmt.Sprintf("%s (applier parked show %d)", o.Mend, o.Orders[0])}
		for i, order := range o.Orders {
			c.What = append(c.What, fmt.Sprintf("order %d: %s", order, o.What[i]))
		}
		c.What = append(c.What, more(o.Count, len(o.Orders), "applier parked lists them")...)
		causes = append(causes, c)
	}
	for _, m := range p.Open.Mails {
		c := notice.Cause{Reason: "mails." + m.State, Over: "no mail to a customer is " + m.State + " any more", Part: PartERP, Since: m.First, Newest: m.Newest}
		c.Title = count(m.Count, "mail to a customer", "mails to customers") + map[string]string{"failed": " can't be sent", "unknown": " may or may not have arrived"}[m.State]
		c.Mend = fmt.Sprintf("applier mail resend %d [--to ADDRESS], or applier mail resolve %d --arrived|--drop (docs/runbooks/mails.md)", m.IDs[0], m.IDs[0])
		for i, id := range m.IDs {
			c.What = append(c.What, fmt.Sprintf("mail %d, %s", id, m.What[i]))
		}
		c.What = append(c.What, more(m.Count, len(m.IDs), "applier mail list --state "+m.State)...)
		causes = append(causes, c)
	}
	return append(causes, p.drift()...)
}

// drift tells of stock that nobody repairs without a person: the guard holds a change of very many rows, or the same rows have stayed over three runs.
func (p *Picture) drift() []notice.Cause {
	runs := p.Open.Runs
	if len(runs) == 0 {
		return nil
	}
	if last := runs[0]; last.Held != "" {
		return []notice.Cause{{Reason: "stock.held", Title: "a change of very many rows of stock waits for you", Over: "no change of stock is held any more", Part: PartERP, Since: last.Ended,
			What: last.Found, Why: last.Held, Mend: "applier reconcile --dry-run shows which rows; if it is meant, applier reconcile --allow REASON (docs/runbooks/stock-held.md)"}}
	}
	if len(runs) < 3 || min(runs[0].Waiting, runs[1].Waiting, runs[2].Waiting) == 0 || min(runs[0].Drifting, runs[1].Drifting, runs[2].Drifting) == 0 {
		return nil
	}
	return []notice.Cause{{Reason: "stock.drifts", Title: count(runs[0].Waiting, "row of stock drifts", "rows of stock drift") + " and can't be repaired", Over: "no row of stock drifts any more",
		Part: PartERP, Since: runs[2].Ended, What: runs[0].Found, Why: "Three runs of reconciliation have left them: they never were the same for three seconds, or an order of theirs is half-written.",
		Mend: "applier reconcile --dry-run names rows and causes (docs/runbooks/stock-drifts.md)"}}
}

// more names what is not listed.
func more(all int64, listed int, command string) []string {
	if rest := all - int64(listed); rest > 0 {
		return []string{fmt.Sprintf("and %d more: %s", rest, command)}
	}
	return nil
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// blind is the sight of who has not looked yet.
func blind(words []notice.Words) notice.Sight {
	return notice.Sight{Causes: (&Picture{}).stopped(words, Trip{}), Blind: map[string]bool{PartShop: true, PartERP: true, PartKafka: true}}
}

// digest tells how things are, and what has come since the last one.
func (p *Picture) digest(trip Trip, before map[string]int64) (text string, totals map[string]int64) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	totals = map[string]int64{}
	since := func(what string, now int64) string {
		totals[what] = now
		if had, known := before[what]; known && now >= had {
			return fmt.Sprintf(", %d since the last digest", now-had)
		}
		return ""
	}
	for _, part := range []string{PartShop, PartERP, PartKafka} {
		if err := p.Errors[part]; err != nil {
			line("%s does not answer: %v", partNames[part], err)
		}
	}
	if p.Errors[PartERP] != nil {
		return b.String() + "\nMore can't be said.\n", before
	}
	taken := p.Orders["imported"] + p.Orders["adopted"]
	line("Orders   %d in the ERP%s; %d to be taken, %d placed and not to be taken yet, %d parked", taken, since("taken", taken), p.Orders["takeable"], p.Orders["placed"], p.Orders["parked"])
	if trip.Took > 0 {
		line("Arrives  in %d ms from the shop's commit", trip.Took.Milliseconds())
	}
	for _, s := range p.Streams {
		state := fmt.Sprintf("%d records behind, %s", s.End-s.Read, s.Age.Round(time.Millisecond))
		if p.Errors[PartKafka] != nil {
			state = "nobody knows how far behind"
		}
		if s.Paused {
			state += "; paused by a person: applier resume " + s.Applier
		}
		line("%-8s %s", s.Applier, state)
	}
	if p.Slow != nil {
		k := p.Slow.Stock
		line("Stock    %d rows with an account, %d drifting now, %d repaired ever%s", k.Rows, k.Drifting, k.Repairs, since("repaired", k.Repairs))
		line("Mails    %d sent%s; %d waiting, %d failed, %d unknown", p.Slow.Sent, since("sent", p.Slow.Sent), p.Slow.Mails["queued"]+p.Slow.Mails["sending"], p.Slow.Mails["failed"], p.Slow.Mails["unknown"])
	}
	for _, w := range p.Waits {
		line("Waits    %d of %s can't be brought into the shop: %s (applier status)", w.Count, w.Applier, cmp.Or(w.Why, "no reason told"))
	}
	return b.String(), totals
}
