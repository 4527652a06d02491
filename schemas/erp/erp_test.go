// Package erp_test holds the reference ERP to its contract, on a real PostgreSQL.
package erp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/clerk"
	lab "github.com/spola-cdc/spola/internal/lab/erp"
)

// brokenTotals names what must hold after every function, whatever the history; no row is right.
var brokenTotals = clerk.Broken

// erp is one connection to a fresh database with the reference ERP in it.
type erp struct {
	*pgx.Conn
	t   reporter
	url string
}

// reporter is what a test and a rapid property have in common.
type reporter interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// open migrates a fresh database: warehouses 1 and 2 for the web, 3 for the traditional trade,
// ten articles S1 … S10 at 12.20 and 22 %, one customer.
func open(t testing.TB) *erp {
	t.Helper()
	e := connect(t, lab.Database(t, "erp"))
	e.exec(`insert into erp.warehouse values (1, 'MI', 'Milano', 1), (2, 'RM', 'Roma', 2), (3, 'NEG', 'Negozio', null)`)
	e.exec(`select erp.put_articles(array(select row('P' || i, 'Product ' || i, 'S' || i, '', 'Article ' || i, 22, 1220,
		null, null, null, null, null, '{"Size": "L"}', null)::erp.article_in from generate_series(1, 10) i))`)
	e.exec(`select erp.import_customers(array[row('c1', 'private', 'Mario', 'Rossi', '', 'mario@example.com', '', 'it-it',
		'', '', '', '', row('Mario', 'Rossi', '', 'Via Roma 1', '', '00184', 'Roma', 'RM', 'IT'))]::erp.customer_in[])`)
	return e
}

func connect(t testing.TB, url string) *erp {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	e := &erp{Conn: conn, t: t, url: url}
	e.exec(`set synchronous_commit = off`) // no test here cuts the power
	return e
}

func (e *erp) exec(sql string, args ...any) {
	e.t.Helper()
	if _, err := e.Exec(context.Background(), sql, args...); err != nil {
		e.t.Fatalf("%s: %v", sql, err)
	}
}

// text returns the rows of a query, a line a row, columns joined by spaces, null as -.
func (e *erp) text(sql string, args ...any) string {
	e.t.Helper()
	rows, err := e.Query(context.Background(), sql, args...)
	if err != nil {
		e.t.Fatalf("%s: %v", sql, err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		words := make([]string, len(values))
		for i, v := range values {
			if words[i] = fmt.Sprint(v); v == nil {
				words[i] = "-"
			}
		}
		return strings.Join(words, " "), err
	})
	if err != nil {
		e.t.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(lines, "\n")
}

// result is what the contract's functions say of one element.
type result struct {
	Reference *string
	ID        *int64
	OK        bool
	Existing  bool
	Reason    *string
	Detail    *string
}

func (r result) reason() string {
	if r.Reason == nil {
		return ""
	}
	return *r.Reason
}

// The elements of a call. A field that is missing in the map is null in SQL.
type (
	record map[string]any
	batch  struct{ orders, lines, charges, vat, payments []record }
)

const arrays = `
	array(select jsonb_populate_record(null::erp.order_in, x) from jsonb_array_elements($1::jsonb) x),
	array(select jsonb_populate_record(null::erp.order_line_in, x) from jsonb_array_elements($2::jsonb) x),
	array(select jsonb_populate_record(null::erp.order_charge_in, x) from jsonb_array_elements($3::jsonb) x),
	array(select jsonb_populate_record(null::erp.order_vat_in, x) from jsonb_array_elements($4::jsonb) x),
	array(select jsonb_populate_record(null::erp.order_payment_in, x) from jsonb_array_elements($5::jsonb) x)`

// call hands a batch to import_orders or apply_edits; db is a connection or a transaction.
func (b batch) call(db interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, function string) ([]result, error) {
	rows, err := db.Query(context.Background(), "select * from erp."+function+"("+arrays+")",
		list(b.orders), list(b.lines), list(b.charges), list(b.vat), list(b.payments))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[result])
}

func (e *erp) importOrders(b batch) []result { e.t.Helper(); return e.must(b.call(e, "import_orders")) }
func (e *erp) applyEdits(b batch) []result   { e.t.Helper(); return e.must(b.call(e, "apply_edits")) }

func (e *erp) cancelOrders(references ...string) []result {
	e.t.Helper()
	rows, err := e.Query(context.Background(),
		"select * from erp.cancel_orders(array(select row(r, 'changed mind')::erp.order_cancel_in from unnest($1::text[]) r))", references)
	if err != nil {
		e.t.Fatal(err)
	}
	return e.must(pgx.CollectRows(rows, pgx.RowToStructByPos[result]))
}

func (e *erp) must(r []result, err error) []result {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

func list(records []record) string {
	if records == nil {
		records = []record{}
	}
	text, err := json.Marshal(records)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// item is a line of a test's order.
type item struct{ article, quantity int64 }

// add puts a sound order into the batch: items at 12.20, shipping 5.00, all at 22 %.
func (b *batch) add(reference string, items ...item) {
	total := int64(500)
	for i, it := range items {
		gross := 1220 * it.quantity
		total += gross
		b.lines = append(b.lines, record{"reference": reference, "line": i + 1, "article": it.article, "name": "Thing",
			"quantity": it.quantity, "unit_gross": 1220, "gross": gross, "vat_rate": 22, "vat_country": "IT"})
	}
	b.orders = append(b.orders, record{"reference": reference, "shop": "shop1", "shop_number": reference,
		"placed_at": "2026-11-25T10:00:00+01:00", "customer": 1, "kind": "private", "email": "mario@example.com",
		"shipping": record{"first_name": "Mario", "last_name": "Rossi", "street": "Via Roma 1", "city": "Roma", "country": "IT"},
		"currency": "EUR", "total": total, "customer_currency": "EUR", "customer_factor": 1,
		"customer_total": json.Number(big.NewRat(total, 100).FloatString(2))})
	b.charges = append(b.charges, record{"reference": reference, "line": 1, "kind": "charge", "code": "shipping",
		"title": "Flat", "gross": 500, "vat_rate": 22, "vat_country": "IT"})
	net := (total*200 + 122) / 244 // half up of total / 1.22
	b.vat = append(b.vat, record{"reference": reference, "vat_rate": 22, "vat_country": "IT", "gross": total, "net": net, "vat": total - net})
	b.payments = append(b.payments, record{"reference": reference, "line": 1, "kind": "to_collect", "code": "cod", "amount": total})
}

// order is a batch of one.
func order(reference string, items ...item) batch {
	var b batch
	b.add(reference, items...)
	return b
}
