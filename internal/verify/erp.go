package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// erpSide reads the ERP and the bridge's links.
type erpSide struct {
	db         erpDB
	scope      scope
	whole      bool // rows are taken into memory: a transaction can't answer two statements at once
	shop       string
	statements statements
	cut        time.Time // orders that were complete before it are closed, not imported
	live       time.Time // when the shop went live; zero: nobody knows
	articles   map[mappedTo]int64

	links   *cursor[link]
	lines   *cursor[erpLine]
	charges *cursor[erpCharge]
	vat     *cursor[vatSum]
	credits *cursor[erpCredit]
	parked  *cursor[string]
}

// mappedTo is a product of the shop with the values of its options, in order: "51,62".
type mappedTo struct {
	product, variant string
}

// erpDB is a pool of connections or one transaction.
type erpDB interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// link is an order of the shop that the bridge knows.
type link struct {
	status, state, class string
	deleted              bool
	decided              *bool  // by a person, whatever the rules say
	erpOrder             *int64 // what the link says
	id                   *int64 // what the ERP has
	erpState             *string
	cancelledBy          string // of the ERP's order: shop, clerk, or nobody
	total                *int64

	lines   []erpLine
	charges []erpCharge
	vat     []vatSum
	credits int64
}

type erpLine struct {
	article         int64
	sku, options    string
	quantity, gross int64
	rate            ratio
}

type erpCharge struct {
	code  string
	gross int64
	rate  ratio
}

type erpCredit struct {
	kind   string
	amount int64
}

func (e *erpSide) open(ctx context.Context) error {
	if err := e.openSettings(ctx); err != nil {
		return err
	}
	var err error
	if e.links, err = erpCursor(ctx, e, "links", func(r rows) (id int64, l link, err error) {
		err = r.Scan(&id, &l.status, &l.state, &l.class, &l.deleted, &l.decided, &l.erpOrder, &l.id, &l.erpState, &l.cancelledBy, &l.total)
		return id, l, err
	}); err != nil {
		return err
	}
	if e.lines, err = erpCursor(ctx, e, "lines", func(r rows) (id int64, l erpLine, err error) {
		var rate string
		err = r.Scan(&id, &l.article, &l.sku, &l.options, &l.quantity, &l.gross, &rate)
		l.rate = number(rate)
		return id, l, err
	}); err != nil {
		return err
	}
	if e.charges, err = erpCursor(ctx, e, "charges", func(r rows) (id int64, c erpCharge, err error) {
		var rate string
		err = r.Scan(&id, &c.code, &c.gross, &rate)
		c.rate = number(rate)
		return id, c, err
	}); err != nil {
		return err
	}
	if e.vat, err = erpCursor(ctx, e, "vat", func(r rows) (id int64, v vatSum, err error) {
		var rate string
		err = r.Scan(&id, &rate, &v.gross, &v.net, &v.vat)
		v.rate = number(rate)
		return id, v, err
	}); err != nil {
		return err
	}
	if e.credits, err = erpCursor(ctx, e, "credits", func(r rows) (id int64, c erpCredit, err error) {
		err = r.Scan(&id, &c.kind, &c.amount)
		return id, c, err
	}); err != nil {
		return err
	}
	e.parked, err = erpCursor(ctx, e, "parked", func(r rows) (id int64, reason string, err error) {
		err = r.Scan(&id, &reason)
		return id, reason, err
	})
	return err
}

func erpCursor[T any](ctx context.Context, e *erpSide, name string, scan func(rows) (int64, T, error)) (*cursor[T], error) {
	r, err := e.db.Query(ctx, e.scope.of(e.statements[name]), e.shop) //nolint:sqlclosecheck // the cursor closes it
	if err != nil {
		return nil, fmt.Errorf("read the ERP's %s: %w", name, err)
	}
	return newCursor("the ERP's "+name, r, r.Close, scan, e.whole)
}

func (e *erpSide) close() {
	closeCursor(e.links)
	closeCursor(e.lines)
	closeCursor(e.charges)
	closeCursor(e.vat)
	closeCursor(e.credits)
	closeCursor(e.parked)
}

func (e *erpSide) openSettings(ctx context.Context) error {
	var seconds, live int64
	err := e.db.QueryRow(ctx, e.statements["cut"], e.shop).Scan(&seconds, &live)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("the ERP knows no shop %q", e.shop)
	}
	if err != nil {
		return fmt.Errorf("read the ERP's shop %s: %w", e.shop, err)
	}
	if seconds != 0 {
		e.cut = time.Unix(seconds, 0)
	}
	if live != 0 {
		e.live = time.Unix(live, 0)
	}
	e.articles = map[mappedTo]int64{}
	r, err := e.db.Query(ctx, e.statements["articles"], e.shop)
	if err != nil {
		return fmt.Errorf("read the ERP's articles of %s: %w", e.shop, err)
	}
	defer r.Close()
	for r.Next() {
		var of mappedTo
		var article int64
		if err := r.Scan(&of.product, &of.variant, &article); err != nil {
			return fmt.Errorf("the ERP's articles of %s: %w", e.shop, err)
		}
		e.articles[of] = article
	}
	return r.Err()
}

// take returns what the ERP has of an order of the shop; nil if nothing.
func (e *erpSide) take(order int64) (*link, error) {
	found, err := e.links.take(order)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	l := found[0]
	if l.lines, err = e.lines.take(order); err != nil {
		return nil, err
	}
	if l.charges, err = e.charges.take(order); err != nil {
		return nil, err
	}
	if l.vat, err = e.vat.take(order); err != nil {
		return nil, err
	}
	credits, err := e.credits.take(order)
	for _, c := range credits {
		if c.kind == "credit" {
			l.credits += c.amount
		}
	}
	return &l, err
}

// orphans are orders of the ERP that say they come from this shop and that no link knows.
func (e *erpSide) orphans(ctx context.Context, each func(id int64, number string)) error {
	r, err := e.db.Query(ctx, e.statements["unlinked"], e.shop)
	if err != nil {
		return fmt.Errorf("read the ERP's orders without link: %w", err)
	}
	defer r.Close()
	for r.Next() {
		var id int64
		var number string
		if err := r.Scan(&id, &number); err != nil {
			return fmt.Errorf("the ERP's orders without link: %w", err)
		}
		each(id, number)
	}
	return r.Err()
}
