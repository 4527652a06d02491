package bench

import (
	"context"
	_ "embed" // the statements stand in ceiling.sql
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

//go:embed ceiling.sql
var ceilingSQL string

// ceilingBatch is how many orders a transaction has: what PostgreSQL was seen to like best.
const ceilingBatch = 5000

// derived are the six statements that make orders of a batch, in their order.
var derived = []string{"customers", "orders", "lines", "charges", "vat", "commitments"}

// ceiling makes orders as fast as PostgreSQL can: COPY straight into tables that are like a
// mirror, then six statements.
type ceiling struct {
	conn       *pgx.Conn
	statements map[string]string
}

// measureCeiling says what the machine's PostgreSQL could do at best. Statistics are its own
// business, as they are an applier's: it analyzes after the first, 20th and 100th batch.
func measureCeiling(ctx context.Context, st *stage, r *Report) error {
	if err := st.makeDatabase(ctx, "ceiling"); err != nil {
		return err
	}
	conn, err := st.connectTo(ctx, "ceiling")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	c := ceiling{conn: conn, statements: named(ceilingSQL)}
	if _, err := conn.Exec(ctx, c.statements["tables"]); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	meter, err := newMeter(map[string]int{"postgres": st.pg.PID(), "self": os.Getpid()})
	if err != nil {
		return err
	}
	began := time.Now()
	batches := 0
	for first := 1; first <= r.Orders; first += ceilingBatch {
		if err := c.batch(ctx, first, min(first+ceilingBatch-1, r.Orders)); err != nil {
			return fmt.Errorf("batch from order %d: %w", first, err)
		}
		batches++
		if batches == 1 || batches == 20 || batches == 100 {
			if _, err := conn.Exec(ctx, "analyze"); err != nil {
				return fmt.Errorf("analyze: %w", err)
			}
		}
	}
	took := time.Since(began)
	used, err := meter.used()
	if err != nil {
		return err
	}
	r.Ceiling = Ceiling{OrdersPerSecond: float64(r.Orders) / took.Seconds(), DatabaseCPU: perMillion(used["postgres"], r.Rows)}
	return nil
}

// named splits a file of statements by its lines "-- name: …".
func named(text string) map[string]string {
	statements := map[string]string{}
	for _, part := range strings.Split(text, "-- name: ")[1:] {
		name, statement, _ := strings.Cut(part, "\n")
		statements[name] = statement
	}
	return statements
}

func (c ceiling) batch(ctx context.Context, first, last int) error {
	tx, err := c.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // does nothing behind a commit
	tag, err := tx.Exec(ctx, "update place set seq = $2 where id = 1 and seq = $1", first-1, last)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("the place is not at %d", first-1)
	}
	for _, t := range ceilingTables {
		n := (last - first + 1) * t.rows
		_, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) {
			return t.row(first+i/t.rows, i%t.rows), nil
		}))
		if err != nil {
			return fmt.Errorf("copy %s: %w", t.name, err)
		}
	}
	for _, name := range derived {
		if _, err := tx.Exec(ctx, c.statements[name], first, last); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return tx.Commit(ctx)
}

// ceilingTable is a table that is copied to: rows an order, and the i-th row of an order.
type ceilingTable struct {
	name    string
	rows    int
	columns []string
	row     func(order, i int) []any
}

var (
	placedAt = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	price    = decimal.RequireFromString("12.2869")
	tax      = decimal.RequireFromString("2.7031")
)

var ceilingTables = []ceilingTable{
	{"shop_order", 1, strings.Fields(`order_id invoice_no invoice_prefix transaction_id store_id store_name
		customer_id customer_group_id firstname lastname email telephone custom_field
		payment_firstname payment_lastname payment_company payment_address_1 payment_address_2
		payment_city payment_postcode payment_country payment_country_id payment_zone payment_method
		shipping_firstname shipping_lastname shipping_company shipping_address_1 shipping_address_2
		shipping_city shipping_postcode shipping_country shipping_country_id shipping_zone shipping_method
		comment total order_status_id currency_code date_added`), func(n, _ int) []any {
		street := fmt.Sprintf("Via Roma %d", n%200)
		last := fmt.Sprintf("Rossi %d", n%1000)
		return []any{n, 0, "INV-2026-00", "", 0, "Bottega di prova",
			0, 1, "Mario", last, fmt.Sprintf("bench%d@mail.example", n), "+39 333 1234567", "[]",
			"Mario", last, "", street, "", "Roma", "00100", "Italia", 105, "Roma", `{"name":"Contrassegno","code":"cod.cod"}`,
			"Mario", last, "", street, "", "Roma", "00100", "Italia", 105, "Roma", `{"name":"Corriere","code":"flat.flat","cost":"5.00","tax_class_id":"9"}`,
			"", price.Add(tax).Mul(decimal.NewFromInt(3)), 1, "EUR", placedAt}
	}},
	{"shop_product", 2, strings.Fields("order_product_id order_id product_id name model quantity price total tax"), func(n, i int) []any {
		article := (n*2+i)%40 + 1
		return []any{n*2 + i, n, article, fmt.Sprintf("Articolo %d", article), fmt.Sprintf("SP-%d", article), 1 + i, price, price.Mul(decimal.NewFromInt(int64(1 + i))), tax}
	}},
	{"shop_total", 3, strings.Fields("order_total_id order_id code title value sort_order"), func(n, i int) []any {
		sum := []decimal.Decimal{price, tax, price.Add(tax)}[i].Mul(decimal.NewFromInt(3))
		return []any{n*3 + i, n, []string{"sub_total", "tax", "total"}[i], []string{"Imponibile", "IVA 22%", "Totale"}[i], sum, i}
	}},
	{"shop_history", 1, strings.Fields("order_history_id order_id order_status_id notify comment date_added"), func(n, _ int) []any {
		return []any{n, n, 1, 0, "", placedAt}
	}},
}
