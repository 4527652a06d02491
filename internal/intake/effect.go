package intake

import (
	"context"
	"maps"
	"slices"

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

	// Of the writing goroutine: what the parts of the batch have changed so far.
	changed *mirror.Changed
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
	return &Effect{mirror: mirror.New(in.shop, specs), intake: in, done: done, split: splitter{rules: newRules(in.prefix, in.profile, in.file)}}
}

// Start reads anew what the database knows.
func (e *Effect) Start(ctx context.Context, tx pgx.Tx) error {
	e.changed = nil
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
	return &part{effect: e, rows: e.mirror.Part(applied), batch: batchFacts{touched: map[int64]bool{}}}
}

type part struct {
	effect *Effect
	rows   *mirror.Part
	batch  batchFacts
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
	return p.rows.Add(records)
}

// Bytes is what the part's rows hold of memory.
func (p *part) Bytes() int { return p.rows.Bytes() }

// Alone tells that the part does nothing to the mirror but write rows.
func (p *part) Alone() bool { return p.rows.Alone() }

// Early copies the part's new rows into the mirror. Nothing is derived from them before Apply.
func (p *part) Early(ctx context.Context, tx pgx.Tx) error { return p.rows.Early(ctx, tx) }

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
	taken, err := p.effect.intake.Derive(ctx, tx, all)
	if err != nil {
		return err
	}
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
