package stock

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// Ledger is the effect of `applier run ledger`: what changes in the ERP is settled into the accounts of one shop. The
// log only says of which articles and orders; the figures are read from the ERP as it stands, so it does not
// matter in which order changes come, nor how late or how often.
type Ledger struct {
	shop    string
	tables  map[string]keys // by the table's name in the log
	counter Counter

	known change.Place // up to here the log may name what this database is known to have lost

	// Of the writing goroutine: what the parts of the batch have named so far.
	articles, orders, transactions map[int64]bool
	seen                           Seen
}

// keys are the columns of a table that name the article and the order of a row; empty: none does.
type keys struct{ article, order string }

var _ apply.Effect[pgx.Tx] = (*Ledger)(nil)

// NewLedger makes the effect for a shop, and for the tables that the contract publishes.
func NewLedger(shop string, contract *schemas.Contract) *Ledger {
	l := &Ledger{shop: shop, tables: map[string]keys{}, counter: CounterOf(contract)}
	for _, p := range contract.Publish {
		l.tables[contract.Schema+"."+p.Table] = keys{p.Article, p.Order}
	}
	return l
}

// Start forgets what a batch that failed has named, and reads up to where the log names what is known to be lost.
func (l *Ledger) Start(ctx context.Context, tx pgx.Tx) (err error) {
	l.articles, l.orders, l.transactions, l.seen = map[int64]bool{}, map[int64]bool{}, map[int64]bool{}, NewSeen()
	l.known, err = recovered(ctx, tx, l.shop)
	return err
}

// Part begins a part of a batch.
func (l *Ledger) Part(int64) apply.Part[pgx.Tx] {
	return &ledgerPart{l: l, articles: map[int64]bool{}, orders: map[int64]bool{}, transactions: map[int64]bool{}, seen: NewSeen()}
}

// ledgerPart holds the articles and orders that its records name, the ERP's transactions that changed them, and what is committed there for ever.
type ledgerPart struct {
	l                              *Ledger
	articles, orders, transactions map[int64]bool
	seen                           Seen
}

// Splits is always false: settling looks at what stands, wherever a batch ends.
func (p *ledgerPart) Splits([]change.Record) bool { return false }

// Patient tells that nothing is to be settled: most of what is left are Spola's own entries.
func (p *ledgerPart) Patient() bool { return len(p.articles)+len(p.orders) == 0 }

// Bytes is the memory that the part holds, roughly.
func (p *ledgerPart) Bytes() int { return (len(p.articles) + len(p.orders) + len(p.transactions)) * 40 }

// Add takes note of the articles and orders of rows, as they were and as they are.
func (p *ledgerPart) Add(records []change.Record) error {
	for i := range records {
		r := &records[i]
		if (change.Place{Gen: r.Gen, Seq: r.Seq}).Beyond(p.l.known) {
			if err := p.seen.Add(r, p.l.shop, p.l.counter); err != nil {
				return err
			}
		}
		if id, ok := change.SourceTx(r.Value); ok && r.Op.IsRow() {
			p.transactions[id] = true
		}
		k, ok := p.l.tables[r.Table]
		if !ok || !r.Op.IsRow() {
			continue
		}
		before, after, err := change.Rows(r.Value)
		for _, row := range [][]byte{before, after} {
			if err == nil && row != nil {
				err = p.name(k, row)
			}
		}
		if err != nil {
			return fmt.Errorf("record %d/%d, table %s, key %s: %w", r.Gen, r.Seq, r.Table, r.Key, err)
		}
	}
	return nil
}

func (p *ledgerPart) name(k keys, row []byte) error {
	return change.IDs(row, func(column []byte) map[int64]bool {
		switch string(column) {
		case k.article:
			return p.articles
		case k.order:
			return p.orders
		}
		return nil
	})
}

// Apply settles when the batch ends.
func (p *ledgerPart) Apply(ctx context.Context, tx pgx.Tx, last bool) error {
	maps.Copy(p.l.articles, p.articles)
	maps.Copy(p.l.orders, p.orders)
	p.l.seen.merge(p.seen)
	maps.Copy(p.l.transactions, p.transactions)
	if !last {
		return nil
	}
	defer clear(p.l.transactions)
	if err := postgres.AwaitVisible(ctx, tx, p.l.transactions); err != nil {
		return err
	}
	if err := p.l.knows(ctx, tx); err != nil {
		return err
	}
	articles, orders := slices.Sorted(maps.Keys(p.l.articles)), slices.Sorted(maps.Keys(p.l.orders))
	clear(p.l.articles)
	clear(p.l.orders)
	if len(articles)+len(orders) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `select spola.settle($1, $2, array(select distinct l.order_id
		from unnest($3::bigint[]) as o(id) cross join lateral (select * from spola.link l where l.erp_order = o.id offset 0) l where l.shop = $1), true)`,
		p.l.shop, articles, orders)
	if err != nil {
		return explain(fmt.Errorf("settle %d articles and %d orders: %w", len(articles), len(orders), err))
	}
	return nil
}

// explain says what to do where the guard holds.
func explain(err error) error {
	if state, ok := errors.AsType[*pgconn.PgError](err); ok && state.Code == heldCode {
		return &postgres.StopError{What: "the guard against mass changes holds the ledger: " + state.Message,
			Mend: "look at the ERP's stock; if it is right, let it through with `applier reconcile --allow REASON` and start again"}
	}
	return postgres.Explain(err)
}
