package intake

import (
	"context"
	_ "embed" // the queries stand in overview.sql
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed overview.sql
var overviewSQL string

// Overview is how far the intake of a shop is, and what has become of its orders.
type Overview struct {
	Shop     string     `json:"shop"`
	Mode     string     `json:"mode"`          // observe or live
	Cut      *time.Time `json:"cut,omitempty"` // of going live, by the shop's clock
	Snapshot bool       `json:"snapshot"`      // the first one is complete
	Derived  bool       `json:"derived"`       // and its orders are derived

	Generation int64     `json:"generation"` // of the log, and the record last applied
	Seq        int64     `json:"seq"`
	Moved      time.Time `json:"moved"`     // when it was
	RecordTime int64     `json:"record_ms"` // when the shop committed it, ms since 1970
	Offset     int64     `json:"-"`         // of that record on Kafka
	Waiting    int64     `json:"waiting"`   // orders that settle, or are to be derived again

	// A decision from behind the figures, as an import of articles: what follows from it comes with the next tick.
	Decided *time.Time `json:"decided,omitempty"`

	Paused   *time.Time `json:"paused,omitempty"` // by a person: nothing is applied since
	PausedBy string     `json:"paused_by,omitempty"`

	Orders map[string]Sample `json:"orders"` // by what became of them, or would: see OrderKinds
	Parked []ParkedSample    `json:"parked"` // by reason, most frequent first

	Flagged []FlagSample `json:"flagged"` // what can't be right of customers' data, by field: see ListFlags
}

// OrderKinds are the keys of Overview.Orders, with what each means.
var OrderKinds = []struct{ Kind, Observed, Live string }{
	{"imported", "in the ERP", "in the ERP"},
	{"adopted", "in the ERP, entered there by hand", "in the ERP, entered there by hand"},
	{"cancelled", "cancelled in the ERP", "cancelled in the ERP"},
	{"takeable", "would be imported", "to be taken with the next batch"},
	{"parked", "would be parked", "parked"},
	{"placed", "placed, not to be taken yet", "placed, not to be taken yet"},
	{"final", "done in the shop", "done in the shop"},
	{"closed", "closed: from before the cut, or by decision", "closed: from before the cut, or by decision"},
	{"nothing", "cancelled in the shop, or carts again", "cancelled in the shop, or carts again"},
	{"deleted", "deleted in the shop", "deleted in the shop"},
}

// Sample is a number of orders with the newest of them.
type Sample struct {
	Count    int64   `json:"count"`
	Examples []int64 `json:"examples"` // at most three
}

// ParkedSample is what is parked for one reason.
type ParkedSample struct {
	Reason string `json:"reason"`
	Why    string `json:"why"`
	Mend   string `json:"mend"`
	Sample
	What []string `json:"what"` // of the examples, in their order
}

// FlagSample is what is flagged of one field of customers' data.
type FlagSample struct {
	Field    string   `json:"field"`
	Count    int64    `json:"count"`
	Examples []string `json:"examples"` // at most three subjects, newest first: "order 4711"
}

// ErrUnknownShop says that no applier has run for a shop.
var ErrUnknownShop = errors.New("no applier has run for it")

// Look tells how far the intake of a shop is. In observe the parked orders are those that would be.
func Look(ctx context.Context, conn *pgx.Conn, shop string) (Overview, error) {
	o := Overview{Shop: shop, Orders: map[string]Sample{}}
	query := namedStatements(overviewSQL)
	err := conn.QueryRow(ctx, query["shop"], shop).Scan(&o.Mode, &o.Cut, &o.Derived, &o.Snapshot, &o.Generation, &o.Seq,
		&o.Offset, &o.RecordTime, &o.Moved, &o.Paused, &o.PausedBy, &o.Waiting, &o.Decided)
	if errors.Is(err, pgx.ErrNoRows) {
		return o, fmt.Errorf("shop %s is not known: %w", shop, ErrUnknownShop)
	}
	if err != nil {
		return o, fmt.Errorf("read the status of shop %s: %w", shop, err)
	}
	if o.Cut != nil {
		clock, err := Clock(ctx, conn, shop)
		if err != nil {
			return o, err
		}
		*o.Cut = o.Cut.In(clock)
	}
	kinds, err := list(ctx, conn, query["orders"], shop, func(r pgx.CollectableRow) (k kindSample, err error) {
		return k, r.Scan(&k.kind, &k.Count, &k.Examples)
	})
	if err != nil {
		return o, fmt.Errorf("count the orders of shop %s: %w", shop, err)
	}
	for _, k := range kinds {
		o.Orders[k.kind] = k.Sample
	}
	o.Parked, err = list(ctx, conn, query["parked"], shop, func(r pgx.CollectableRow) (p ParkedSample, err error) {
		return p, r.Scan(&p.Reason, &p.Why, &p.Mend, &p.Count, &p.Examples, &p.What)
	})
	if err != nil {
		return o, fmt.Errorf("count the parked orders of shop %s: %w", shop, err)
	}
	if o.Flagged, err = list(ctx, conn, query["flagged"], shop, pgx.RowToStructByPos[FlagSample]); err != nil {
		return o, fmt.Errorf("count what is flagged about customers of shop %s: %w", shop, err)
	}
	return o, nil
}

// kindSample is a row of what became of orders.
type kindSample struct {
	kind string
	Sample
}

// list reads all rows of a statement about a shop.
func list[T any](ctx context.Context, conn *pgx.Conn, sql, shop string, scan pgx.RowToFunc[T]) ([]T, error) {
	rows, err := conn.Query(ctx, sql, shop)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// namedStatements takes a file of statements apart at its lines "-- name: …".
func namedStatements(text string) map[string]string {
	statements := map[string]string{}
	for _, part := range strings.Split(text, "\n-- name: ")[1:] {
		name, statement, _ := strings.Cut(part, "\n")
		statements[name] = statement
	}
	return statements
}
