package align_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/erp"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/writeback/align"
	"github.com/spola-cdc/spola/schemas"
)

// bench is a shop of 20 products beside an ERP that knows them, at the same prices.
type bench struct {
	t    *testing.T
	erp  *pgx.Conn
	shop *shop.Shop
	db   *sql.Conn
	*align.Catalogue
}

// dialects runs a test with the shop in each of the two databases.
func dialects(t *testing.T, test func(b *bench)) {
	for name, url := range map[string]func(testing.TB) string{"mysql": server.MySQL, "mariadb": server.MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(open(t, url(t)))
		})
	}
}

func open(t *testing.T, url string) *bench {
	t.Helper()
	b := &bench{t: t}
	var err error
	if b.shop, err = shop.Open(t.Context(), url, shop.Options{Products: 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.shop.Close() })
	if err := b.shop.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.inShop(`CREATE TABLE spola_marker (name varchar(191) NOT NULL PRIMARY KEY, generation bigint NOT NULL DEFAULT 0, number bigint NOT NULL DEFAULT 0,
		applied bigint NOT NULL DEFAULT 0, note text NULL) ENGINE=InnoDB`)
	if b.db, err = b.shop.DB().Conn(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.erp = openERP(t)
	for _, a := range b.shop.Articles() {
		b.inERP(`select erp.put_articles(array[row($1, $1, $2, '', $2, $3, $4, null, 0, 0, 0, 0, case when $5 <> '' then jsonb_build_object('Taglia', $5::text) end, true)::erp.article_in])`,
			a.Model, a.SKU, a.VATRate, a.Gross.Shift(2).Round(0).IntPart(), a.Size)
		if a.Value != 0 {
			b.inERP(`insert into spola.article (shop, product, variant, article, by) select 'shop', $1, $2, id, 'import' from erp.article where sku = $3`,
				fmt.Sprint(a.Product), fmt.Sprint(a.Value), a.SKU)
		}
	}
	_, platform, err := schemas.Platform("opencart")
	if err != nil {
		t.Fatal(err)
	}
	if b.Catalogue, err = align.Open(t.Context(), "shop", b.erp, b.db, platform, b.shop.Prefix()); err != nil {
		t.Fatal(err)
	}
	return b
}

func openERP(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), erp.Database(t, "spola", "erp"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (b *bench) inERP(statement string, args ...any) {
	b.t.Helper()
	if _, err := b.erp.Exec(b.t.Context(), statement, args...); err != nil {
		b.t.Fatalf("%s: %v", statement, err)
	}
}

func (b *bench) inShop(statement string, args ...any) {
	b.t.Helper()
	if _, err := b.shop.DB().ExecContext(b.t.Context(), statement, args...); err != nil {
		b.t.Fatalf("%s: %v", statement, err)
	}
}

// text is the rows of a query in the shop, a line a row.
func (b *bench) text(query string) string {
	b.t.Helper()
	rows, err := b.shop.DB().QueryContext(b.t.Context(), query)
	if err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		b.t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			b.t.Fatal(err)
		}
		words := make([]string, len(values))
		for i, v := range values {
			words[i] = v.String
		}
		lines = append(lines, strings.Join(words, " "))
	}
	if err := rows.Err(); err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func (b *bench) compare(scope align.Scope) align.Report {
	b.t.Helper()
	r, err := b.Compare(b.t.Context(), scope)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) align(scope align.Scope) {
	b.t.Helper()
	if changed, err := b.Apply(b.t.Context(), b.compare(scope), "test", nil); err != nil || changed != nil {
		b.t.Fatalf("%v, changed meanwhile: %v", err, changed)
	}
}

func differences(r align.Report) string {
	var lines []string
	for _, d := range r.Differences {
		lines = append(lines, fmt.Sprintf("%s %s: %s -> %s", d.SKU, d.Field, d.Shop, d.ERP))
	}
	return strings.Join(lines, "\n")
}

func refusals(r align.Report) string {
	var lines []string
	for _, d := range r.Refusals {
		lines = append(lines, fmt.Sprintf("%s %s: %s", d.SKU, d.Field, d.Why))
	}
	return strings.Join(lines, "\n")
}

// A dry run says what the shop shows and would show, and writes nothing; then it stands in the shop as a customer sees it,
// and a second run finds nothing.
func TestAlign(t *testing.T) {
	dialects(t, func(b *bench) {
		if r := b.compare(align.Scope{}); differences(r) != "" || refusals(r) != "" || r.Articles < 20 {
			b.t.Fatalf("at the same prices: %d articles, differences\n%s\nrefusals\n%s", r.Articles, differences(r), refusals(r))
		}
		// SP-0001 plain, SP-0003 at 10 %, SP-0005 in three sizes at 0, +1 and +2 euro.
		b.inERP(`select erp.set_price('SP-0001', 1999), erp.set_price('SP-0003', 1), erp.set_special('SP-0001', 1501, '2020-01-01', '2090-12-24'),
			erp.set_measures('SP-0001', 0.125, 12, 7.5, 30), erp.set_measures('SP-0002', width_cm => 10, weight_kg => 0.5)`)
		b.inERP(`select erp.set_price('SP-0005-S', 2000), erp.set_price('SP-0005-M', 1990), erp.set_price('SP-0005-L', 2550),
			erp.set_special('SP-0005-S', 1500), erp.set_special('SP-0005-M', 1490), erp.set_special('SP-0005-L', 2050)`)
		b.inERP(`select erp.set_measures(s, weight_kg => w) from (values ('SP-0005-S', 0.2), ('SP-0005-M', 0.25), ('SP-0005-L', 0.15)) v(s, w)`)
		b.inShop(`UPDATE oc_product SET weight_class_id = 2, weight = 500, length_class_id = 2, width = 55 WHERE product_id = 1`)
		// The merchant's own: other groups, quantities, discounts. And former special prices.
		b.inShop(`INSERT INTO oc_product_discount (product_id, customer_group_id, quantity, priority, price, type, special, date_start, date_end) VALUES
			(1, 2, 1, 1, 5, 'F', 1, '0000-00-00', '0000-00-00'), (1, 1, 10, 1, 6, 'F', 0, '0000-00-00', '0000-00-00'), (1, 1, 1, 1, 7, 'F', 0, '2030-01-01', '0000-00-00'),
			(1, 1, 5, 1, 8, 'F', 1, '0000-00-00', '0000-00-00'), (5, 1, 1, 3, 20, 'P', 1, '0000-00-00', '2080-02-02'), (2, 1, 1, 1, 4.0984, 'F', 1, '2026-01-01', '0000-00-00')`)
		others := `SELECT product_id, customer_group_id, quantity, price, special, date_start FROM oc_product_discount WHERE customer_group_id = 2 OR quantity > 1 OR special = 0 ORDER BY 1, 2, 3, 4`
		merchant := b.text(others)

		want := `SP-0001 price: 12.20 -> 19.99
SP-0001 special: none -> 15.01 from 2020-01-01 to 2090-12-24
SP-0001 weight: 500 g -> 125 g
SP-0001 width: 55 mm -> 120 mm
SP-0001 height: 10 mm -> 75 mm
SP-0001 depth: 10 mm -> 300 mm
SP-0002 special: 5.00 from 2026-01-01 -> none
SP-0003 price: 27.00 -> 0.01
SP-0005-L price: 43.70 -> 25.50
SP-0005-L weight: 0.5 kg -> 0.15 kg
SP-0005-M price: 42.70 -> 19.90
SP-0005-M weight: 0.5 kg -> 0.25 kg
SP-0005-S price: 41.70 -> 20.00
SP-0005-S special: 20 % of the price to 2080-02-01 -> 15.00
SP-0005-S weight: 0.5 kg -> 0.2 kg`
		r := b.compare(align.Scope{})
		if got := differences(r); got != want || len(r.Refusals) > 0 || r.Differing != 6 {
			b.t.Errorf("%d articles differ:\n%s\nwant\n%s\nrefused:\n%s", r.Differing, got, want, refusals(r))
		}
		if got := b.text("SELECT price, weight, width FROM oc_product WHERE product_id = 1"); got != "10.0000 500.00000000 55.00000000" {
			b.t.Errorf("the dry run has written: %s", got)
		}

		b.align(align.Scope{})
		if r := b.compare(align.Scope{}); differences(r) != "" || len(r.Refusals) > 0 {
			b.t.Errorf("a second run finds\n%s\nand refuses\n%s", differences(r), refusals(r))
		}
		if got := b.text(others); got != merchant {
			b.t.Errorf("the merchant's own rows were\n%s\nand are\n%s", merchant, got)
		}
		if got := b.text(customerSees); got != seen {
			b.t.Errorf("a customer sees\n%s\nwant\n%s", got, seen)
		}
		if got := b.text("SELECT number, note FROM spola_marker WHERE name = 'align'"); got != `1 {"by":"test","products":[1,5]}` {
			b.t.Errorf("marker: %s", got)
		}
	})
}

// customerSees is price, special price and weight in kg by the shop's own rules, of products 1, 2, 3 and 5, and of the
// latter in each size.
const customerSees = `
	SELECT p.product_id, COALESCE(v.option_value_id, 0),
		ROUND((p.price + COALESCE(IF(v.price_prefix = '-', -v.price, v.price), 0)) * IF(p.tax_class_id = 10, 1.10, 1.22), 2),
		ROUND(((SELECT d.price FROM oc_product_discount d WHERE d.product_id = p.product_id AND d.customer_group_id = 1 AND d.quantity = 1 AND d.special = 1 AND d.type = 'F'
			AND (d.date_start = '0000-00-00' OR d.date_start < NOW()) AND (d.date_end = '0000-00-00' OR d.date_end > NOW()) ORDER BY d.priority, d.price LIMIT 1)
			+ COALESCE(IF(v.price_prefix = '-', -v.price, v.price), 0)) * 1.22, 2),
		ROUND((p.weight + COALESCE(IF(v.weight_prefix = '-', -v.weight, v.weight), 0)) / w.value, 3)
	FROM oc_product p JOIN oc_weight_class w ON w.weight_class_id = p.weight_class_id
	LEFT JOIN oc_product_option_value v ON v.product_id = p.product_id
	WHERE p.product_id IN (1, 2, 3, 5) ORDER BY 1, 2`

const seen = `1 0 19.99 15.01 0.125
2 0 19.60  0.500
3 0 0.01  0.500
5 1 20.00 15.00 0.200
5 2 19.90 14.90 0.250
5 3 25.50 20.50 0.150`

// Invariant: what somebody changes in the shop between the comparison and the writing stays as he wants it, and is named; even what
// he has begun before and commits while we wait. The rest is written.
func TestChangedMeanwhile(t *testing.T) {
	dialects(t, func(b *bench) {
		b.inERP(`select erp.set_price('SP-0001', 1999), erp.set_price('SP-0002', 2999), erp.set_price('SP-0003', 3999), erp.set_special('SP-0004', 500), erp.set_price('SP-0005-L', 5999),
			erp.set_measures('SP-0006', 1), erp.set_price('SP-0007', 777), erp.set_price('SP-0008', 888)`)
		found := b.compare(align.Scope{})
		b.inShop(`UPDATE oc_product SET price = 11 WHERE product_id = 1`)
		b.inShop(`INSERT INTO oc_product_discount (product_id, customer_group_id, quantity, priority, price, type, special, date_start, date_end) VALUES (4, 1, 1, 1, 3, 'F', 1, '0000-00-00', '0000-00-00')`)
		b.inShop(`DELETE FROM oc_product WHERE product_id = 7`)
		b.inShop(`UPDATE oc_product SET quantity = quantity - 1, sort_order = 3 WHERE product_id = 8`) // a sale is no change of the catalogue
		busy, err := b.shop.DB().BeginTx(b.t.Context(), nil)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, statement := range []string{`UPDATE oc_product SET price = 22 WHERE product_id = 2`, `UPDATE oc_product_option_value SET price = 5 WHERE product_option_value_id = 53`} {
			if _, err := busy.ExecContext(b.t.Context(), statement); err != nil {
				b.t.Fatal(err)
			}
		}
		time.AfterFunc(500*time.Millisecond, func() { _ = busy.Commit() })
		changed, err := b.Apply(b.t.Context(), found, "test", nil)
		if err != nil || strings.Join(changed, " ") != "SP-0001 SP-0002 SP-0004 SP-0005-S SP-0005-M SP-0005-L SP-0007" {
			b.t.Errorf("changed meanwhile: %v, %v", changed, err)
		}
		want := `SP-0001 price: 13.42 -> 19.99
SP-0002 price: 26.84 -> 29.99
SP-0004 special: 3.12 -> 5.00
SP-0005-L price: 47.80 -> 59.99`
		if got := differences(b.compare(align.Scope{})); got != want {
			b.t.Errorf("left:\n%s\nwant\n%s", got, want)
		}
	})
}

// A special price that is over shows nowhere: it makes no difference, and is left where it is. Options that carry the whole price
// keep doing so, and a special price that would have to be negative is refused.
func TestOldSpecialsAndWholePrices(t *testing.T) {
	dialects(t, func(b *bench) {
		b.inShop(`INSERT INTO oc_product_discount (product_id, customer_group_id, quantity, priority, price, type, special, date_start, date_end) VALUES
			(1, 1, 1, 1, 3, 'F', 1, '0000-00-00', CURRENT_DATE - INTERVAL 4 DAY), (2, 1, 1, 1, 3, 'F', 1, NULL, NULL)`)
		b.inERP(`select erp.set_special('SP-0001', 500, current_date - 9, current_date - 4), erp.set_special('SP-0002', 600, current_date - 9, current_date - 4)`)
		b.inShop(`UPDATE oc_product_option_value v JOIN oc_product p ON p.product_id = v.product_id SET v.price = v.price + p.price WHERE p.product_id = 5`)
		b.inShop(`UPDATE oc_product SET price = 0 WHERE product_id = 5`)
		if r := b.compare(align.Scope{}); differences(r) != "" || refusals(r) != "" {
			b.t.Errorf("differences\n%s\nrefused\n%s", differences(r), refusals(r))
		}
		b.inERP(`select erp.set_price('SP-0005-M', 2000), erp.set_special('SP-0001', 501, current_date - 9, current_date)`)
		b.align(align.Scope{})
		if got := b.text("SELECT p.price, v.price, v.price_prefix FROM oc_product p JOIN oc_product_option_value v ON v.product_id = p.product_id WHERE p.product_id = 5 ORDER BY product_option_value_id LIMIT 2 OFFSET 1"); !strings.HasPrefix(got, "0.0000 16.3934 +\n0.0000 ") {
			b.t.Errorf("product 5:\n%s", got)
		}
		if got := b.text("SELECT price FROM oc_product_discount WHERE product_id IN (1, 2) ORDER BY product_id, price"); got != "3.0000\n4.1066\n3.0000" {
			b.t.Errorf("special prices:\n%s", got)
		}
		b.inERP(`select erp.set_special('SP-0005-S', 100), erp.set_special('SP-0005-M', 100), erp.set_special('SP-0005-L', 100)`)
		if got := refusals(b.compare(align.Scope{})); !strings.Contains(got, "would have to be -") {
			b.t.Errorf("refused: %s", got)
		}
	})
}

// What can't be written is refused by SKU, and the rest is aligned.
func TestRefused(t *testing.T) {
	dialects(t, func(b *bench) {
		b.inERP(`update erp.article set vat_rate = 10, gross = 777 where sku = 'SP-0001'`)
		b.inERP(`select erp.set_measures('SP-0001', width_cm => 33), erp.set_price('SP-0002', 555), erp.set_price('SP-0004', 0),
			erp.set_special('SP-0005-S', 100), erp.set_measures('SP-0005-S', width_cm => 1), erp.set_measures('SP-0005-L', width_cm => 2)`)
		b.inShop(`UPDATE oc_product SET weight_class_id = 77 WHERE product_id = 6`)
		b.inERP(`select erp.set_measures('SP-0006', weight_kg => 1)`)
		b.align(align.Scope{})
		r := b.compare(align.Scope{})
		if got := differences(r); got != "" {
			b.t.Errorf("left:\n%s", got)
		}
		want := `SP-0001 price: VAT 10 % in the ERP, 22 % in the shop (tax class 9)
SP-0004 price: the ERP has no price for it
SP-0005-L width: 2 cm here and 1 cm for SP-0005-S, and the shop has one width for all of product 5
SP-0005-M special: its special price, or its days, are not those of SP-0005-S, and the shop has one for all of product 5
SP-0006 weight: the shop has no unit of weight 77 that can be told in kg`
		if got := refusals(r); got != want {
			b.t.Errorf("refused:\n%s\nwant\n%s", got, want)
		}
		if got := b.text(`SELECT price, width FROM oc_product WHERE product_id IN (1, 2) ORDER BY product_id`); got != "10.0000 33.00000000\n4.5492 10.00000000" {
			b.t.Errorf("prices and widths: %s", got)
		}
	})
}

// A scope is by SKU, category, change or field.
func TestScope(t *testing.T) {
	dialects(t, func(b *bench) {
		b.inERP(`update erp.article set gross = gross + 1, width_cm = 77, changed_at = '2026-01-01'`)
		b.inERP(`update erp.article set changed_at = now() where sku in ('SP-0002', 'SP-0005-M')`)
		b.inShop(`INSERT INTO oc_product_to_category (product_id, category_id) VALUES (1, 60), (3, 61), (4, 62)`)
		price := []align.Field{align.Price}
		for name, try := range map[string]struct {
			scope align.Scope
			want  string // SKUs and fields
		}{
			"SKU":      {align.Scope{SKUs: []string{"SP-0001"}}, "SP-0001 price, SP-0001 width"},
			"size":     {align.Scope{SKUs: []string{"SP-0005-L"}, Fields: price}, "SP-0005-L price, SP-0005-M price, SP-0005-S price"},
			"field":    {align.Scope{SKUs: []string{"SP-0001", "SP-0002"}, Fields: []align.Field{align.Width}}, "SP-0001 width, SP-0002 width"},
			"category": {align.Scope{Category: "60", Fields: price}, "SP-0001 price, SP-0003 price"},
			"its name": {align.Scope{Category: "casa & cucina", Fields: price}, "SP-0001 price, SP-0003 price"},
			"changed":  {align.Scope{Since: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), Fields: price}, "SP-0002 price, SP-0005-L price, SP-0005-M price, SP-0005-S price"},
		} {
			var got []string
			for _, d := range b.compare(try.scope).Differences {
				got = append(got, fmt.Sprintf("%s %s", d.SKU, d.Field))
			}
			if strings.Join(got, ", ") != try.want {
				b.t.Errorf("%s: %s, want %s", name, strings.Join(got, ", "), try.want)
			}
		}
		for want, scope := range map[string]align.Scope{
			`the ERP has no article with the SKU "X"`: {SKUs: []string{"X"}},
			`the shop has no category "Y"`:            {Category: "Y"},
		} {
			if _, err := b.Compare(b.t.Context(), scope); err == nil || err.Error() != want {
				b.t.Errorf("%v, want %s", err, want)
			}
		}
		b.inERP(`select erp.put_articles(array[row('N', 'N', 'NEW-1', '', 'New', 22, 100, null, 0, 0, 0, 0, null, true)::erp.article_in])`)
		if r := b.compare(align.Scope{SKUs: []string{"NEW-1"}}); !slices.Equal(r.NotSold, []string{"NEW-1"}) {
			b.t.Errorf("not sold: %v", r.NotSold)
		}
		b.inShop(`DELETE FROM oc_product_option_value WHERE product_option_value_id = 52`)
		if r := b.compare(align.Scope{SKUs: []string{"SP-0005-M"}}); !slices.Equal(r.Gone, []string{"SP-0005-M"}) {
			b.t.Errorf("gone: %v", r.Gone)
		}
	})
}

// An interrupted run has written whole transactions, and another goes on where it was.
func TestInterrupted(t *testing.T) {
	dialects(t, func(b *bench) {
		b.inERP(`select erp.put_articles(array(select row('Q' || i, 'Q', 'Q' || i, '', 'Q', 22, 5000 + i, null, 0, 0, 0, 0, null, true)::erp.article_in from generate_series(1, 55) i))`)
		for i := 1; i <= 55; i++ {
			b.inShop(`INSERT INTO oc_product (product_id, model, price, tax_class_id, weight_class_id, length_class_id) VALUES (?, ?, 1, 9, 1, 1)`, 1000+i, fmt.Sprint("Q", i))
		}
		found := b.compare(align.Scope{})
		if len(found.Differences) != 55 {
			b.t.Fatalf("%d differences, want 55", len(found.Differences))
		}
		if err := found.Guard(0); !errors.Is(err, align.ErrMany) || !strings.Contains(err.Error(), "--confirm 55") {
			b.t.Errorf("55 of %d articles need no confirmation: %v", found.Articles, err)
		}
		if err := found.Guard(55); err != nil {
			b.t.Error(err)
		}
		ctx, stop := context.WithCancel(b.t.Context())
		_, err := b.Apply(ctx, found, "test", func(done, _ int) {
			if done == 20 {
				stop()
			}
		})
		if !errors.Is(err, context.Canceled) {
			b.t.Fatalf("interrupted: %v", err)
		}
		left := b.compare(align.Scope{})
		if len(left.Differences) != 35 {
			b.t.Fatalf("%d differences are left, want those behind a transaction of 20", len(left.Differences))
		}
		if err := left.Guard(55); err != nil { // by the same command
			b.t.Error(err)
		}
		if _, err := b.Apply(b.t.Context(), left, "test", nil); err != nil {
			b.t.Fatal(err)
		}
		if r := b.compare(align.Scope{}); len(r.Differences) > 0 {
			b.t.Errorf("left:\n%s", differences(r))
		}
		if got := b.text("SELECT number FROM spola_marker WHERE name = 'align'"); got != "3" {
			b.t.Errorf("%s transactions, want 3", got)
		}
	})
}

// Invariant: price after price, whatever they are, a second run finds nothing.
func TestAgainAndAgain(t *testing.T) {
	dialects(t, func(b *bench) {
		random := rand.New(rand.NewPCG(5, 8))
		for range 8 {
			b.inERP(`update erp.article set special = null, special_from = null, special_to = null`)
			b.inERP(`update erp.article set gross = 1 + floor($1::float8 * 100000 * (1 + id) / 7)::bigint % 100000, weight_kg = 0.001 * ((id * $2::bigint) % 9999),
				depth_cm = case when sku like '%-_' then 0 else 0.01 * ((id * $2::bigint) % 9999) end`, random.Float64(), random.Int64N(100_000))
			b.inERP(`update erp.article set special = gross / 2, special_from = current_date where sku not like '%-_' and (id + $1::bigint) % 3 = 0`, random.Int64N(3))
			b.align(align.Scope{})
			if r := b.compare(align.Scope{}); differences(r) != "" || len(r.Refusals) > 0 {
				b.t.Fatalf("a second run finds\n%s\nand refuses\n%s", differences(r), refusals(r))
			}
		}
	})
}
