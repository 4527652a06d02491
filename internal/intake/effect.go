package intake

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/mirror"
)

// Effect is what an applier makes of a shop's log: the mirror changes, then orders are derived.
type Effect struct {
	mirror *mirror.Mirror
	intake *Intake
	done   func(Taken)

	split splitter // of the reading goroutine
	last  *part    // … made last

	// Of the writing goroutine: what the parts of the batch have changed so far.
	changed *mirror.Changed

	settled atomic.Bool // nothing but rows of orders decides what a batch derives
	few     few
}

var (
	_ apply.Effect[pgx.Tx] = (*Effect)(nil)
	_ apply.Early[pgx.Tx]  = (*part)(nil)
)

// NewEffect makes the effect of a shop. done, if not nil, hears what each batch brought, before
// it is committed, on the writing goroutine.
func NewEffect(in *Intake, done func(Taken)) *Effect {
	var specs []mirror.TableSpec
	for _, t := range in.profile.Tables {
		specs = append(specs, mirror.TableSpec{Name: in.prefix + t.Name, Order: t.Order, Account: t.Account})
	}
	if done == nil {
		done = func(Taken) {}
	}
	return &Effect{mirror: mirror.New(in.shop, specs), intake: in, done: done, split: splitter{rules: newRules(in.prefix, in.profile, in.file)}, few: few{rows: mirror.FewNew, orders: 100}}
}

// few is up to how many rows of a table are not copied early, and orders not drafted: statements of their own would cost
// more than they save.
type few struct{ rows, orders int }

// Start reads anew what the database knows.
func (e *Effect) Start(ctx context.Context, tx pgx.Tx) error {
	e.changed, e.last = nil, nil
	e.settled.Store(false)
	if err := e.mirror.Start(ctx, tx); err != nil {
		return err
	}
	if err := e.intake.Start(ctx, tx); err != nil {
		return err
	}
	return e.split.start(ctx, tx, e.intake.shop, e.intake.lookupsDue != nil)
}

// Part begins a part.
func (e *Effect) Part(applied int64) apply.Part[pgx.Tx] {
	p := &part{effect: e, rows: e.mirror.Part(applied), batch: batchFacts{touched: map[int64]bool{}}}
	if e.last != nil {
		p.before = e.last.footprint()
	}
	e.last = p
	return p
}

type part struct {
	effect  *Effect
	rows    *mirror.Part
	batch   batchFacts
	before  footprint // of the part that was made before
	drafted bool      // orders are drafted in the part's transaction
	urgent  bool      // it holds what somebody waits for
}

// footprint is what a part that has gone to the writer may do to orders that are not its own.
type footprint struct {
	steady           bool // no more than to those that it names
	orders, accounts map[int64]struct{}
}

func (p *part) footprint() footprint {
	return footprint{steady: p.Alone() && !p.batch.meaning, orders: p.rows.Orders(), accounts: p.rows.Accounts()}
}

// Splits asks the splitter. A transaction that can't be read is Add's to refuse.
func (p *part) Splits(transaction []change.Record) bool {
	f, err := p.effect.split.read(transaction)
	return err == nil && p.effect.split.splits(&p.batch, f)
}

// Add takes a transaction into the part, for the splitter and for the mirror.
func (p *part) Add(records []change.Record) error {
	f, err := p.effect.split.read(records)
	if err != nil {
		return err
	}
	p.effect.split.add(&p.batch, f)
	p.urgent = p.urgent || awaited(f, records)
	return p.rows.Add(records)
}

// Patient tells that nobody waits for what the part holds: steps of a checkout that complete no order, rows of the catalogue, and what
// Spola's own appliers have written into the shop.
func (p *part) Patient() bool { return !p.urgent }

// awaited tells whether somebody waits for a transaction.
func awaited(f *facts, records []change.Record) bool { return f.awaited && !delivered(records) }

var placeName = []byte(`"name":"place.`)

// delivered tells whether a transaction is one of Spola's appliers: the first that it touches is its place.
func delivered(records []change.Record) bool {
	return records[0].Table == mirror.Marker && bytes.Contains(records[0].Key, placeName)
}

// Bytes is what the part's rows hold of memory.
func (p *part) Bytes() int { return p.rows.Bytes() }

// Alone tells that the part does nothing to the mirror but write rows.
func (p *part) Alone() bool { return p.rows.Alone() }

// Early copies the part's new rows into the mirror, and drafts those of its new orders that are the same whatever the
// batch before does: of neither of the two a row decides what orders mean, and that batch names none of them.
func (p *part) Early(ctx context.Context, tx pgx.Tx) error {
	whole, err := p.rows.Early(ctx, tx, p.effect.few.rows)
	if err != nil || !p.effect.settled.Load() || !p.before.steady || p.batch.meaning || len(p.rows.Orders()) > batch {
		return err
	}
	orders := slices.DeleteFunc(whole, func(order int64) bool {
		_, there := p.before.orders[order]
		return there
	})
	if len(orders) <= p.effect.few.orders {
		return nil
	}
	slices.Sort(orders)
	accounts := slices.Concat(slices.Collect(maps.Keys(p.before.accounts)), slices.Collect(maps.Keys(p.rows.Accounts())))
	p.drafted, err = p.effect.intake.draftEarly(ctx, tx, orders, accounts)
	return err
}

// Apply writes the part's rows into the mirror; with the batch's last part it derives.
func (p *part) Apply(ctx context.Context, tx pgx.Tx, last bool) error {
	changed, err := p.rows.Apply(ctx, tx)
	if err != nil {
		return err
	}
	all := merge(p.effect.changed, changed)
	if !last {
		p.effect.changed = all
		return nil
	}
	p.effect.changed = nil
	taken, err := p.effect.intake.Derive(ctx, tx, all, p.drafted)
	if err != nil {
		return err
	}
	p.effect.settled.Store(all.SnapshotDone && p.effect.intake.settled())
	p.effect.done(taken)
	return nil
}

func union(a, b []int64) []int64 {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// merge puts what two parts of one batch have changed together.
func merge(a, b *mirror.Changed) *mirror.Changed {
	if a == nil {
		return b
	}
	all := *b
	all.Orders = union(a.Orders, b.Orders)
	all.Accounts = union(a.Accounts, b.Accounts)
	all.Shapes = append(slices.Clone(a.Shapes), b.Shapes...)
	all.Tables = map[string]bool{}
	for _, tables := range []map[string]bool{a.Tables, b.Tables} {
		for name := range tables {
			all.Tables[name] = true
		}
	}
	all.Marks = map[string]int64{}
	maps.Copy(all.Marks, a.Marks)
	maps.Copy(all.Marks, b.Marks)
	all.RunDone = max(a.RunDone, b.RunDone)
	all.Restored = a.Restored || b.Restored
	return &all
}
