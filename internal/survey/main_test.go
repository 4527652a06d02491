package survey_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/lab/erp"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/source/mysql"
	erplog "github.com/spola-cdc/spola/internal/source/postgres"
	"github.com/spola-cdc/spola/internal/survey"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// dialects runs a test against a shop on either server.
func dialects(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("mysql", func(t *testing.T) { test(t, server.MySQL(t)) })
	t.Run("mariadb", func(t *testing.T) { test(t, server.MariaDB(t)) })
}

// place is a shop with a past and an ERP that knows its articles, both new.
type place struct {
	t       *testing.T
	shopURL string
	erpURL  string
	shop    *shop.Shop
	dir     string
	wish    survey.Wish
}

// newPlace places a few orders of every kind: two payment methods, a fee of a plug-in, a coupon,
// an order to Germany without VAT, fields of the account.
func newPlace(t *testing.T, url string) *place {
	t.Helper()
	p := &place{t: t, shopURL: url, erpURL: erp.Database(t, "spola", "erp"), dir: t.TempDir()}
	var err error
	if p.shop, err = shop.Open(t.Context(), url, shop.Options{Products: 10}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.shop.Close() })
	if err := p.shop.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	german := shop.Customer{VATNumber: "DE123456789", EUBusiness: true, German: true, Address: shop.Address{Country: shop.Germany}}
	italian := shop.Customer{VATNumber: "01234567897", TaxCode: "RSSMRA80A01H501U", PEC: "ditta@pec.example", SDI: "M5UXCR1"}
	for _, o := range []shop.Order{
		{Lines: []shop.Line{{Product: 1, Quantity: 2}}, Fee: true, Customer: italian},
		{Lines: []shop.Line{{Product: 2, Quantity: 1}}, Payment: shop.BankTransfer, Coupon: "ESTATE10"},
		{Lines: []shop.Line{{Product: 3, Quantity: 1}}, Customer: german},
		{Lines: []shop.Line{{Product: 5, Value: 51, Quantity: 1}}},
		{Lines: []shop.Line{{Product: 1, Quantity: 1}}, Abandon: true},
	} {
		if _, err := p.shop.PlaceOrder(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	p.furnish()
	p.wish = survey.Wish{Name: "shop1", ShopURL: url, ERPURL: p.erpURL, ShopFile: "shop.yaml", Now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	return p
}

// furnish makes the reference ERP and the articles of the shop in it; those of sizes are mapped.
func (p *place) furnish() {
	p.t.Helper()
	if err := postgres.Migrate(p.t.Context(), p.erpURL, migrations(p.t)...); err != nil {
		p.t.Fatal(err)
	}
	p.erp("insert into erp.warehouse (id, code, name, web_rank) values (1, 'MAIN', 'Main warehouse', 1) on conflict do nothing")
	for _, a := range p.shop.Articles() {
		p.erp(`with p as (insert into erp.product (code, name) values ($1, $1) on conflict (code) do update set name = excluded.name returning id)
			insert into erp.article (product_id, sku, name, vat_rate) select id, $2, $2, 22 from p`, a.Model, a.SKU)
		if a.Value > 0 {
			p.erp(`insert into spola.article (shop, product, variant, article, by)
				select 'shop1', $1, $2, article_id, 'import' from erp.articles where sku = $3`, fmt.Sprint(a.Product), fmt.Sprint(a.Value), a.SKU)
		}
	}
}

func migrations(t *testing.T) []postgres.Migrations {
	t.Helper()
	var sets []postgres.Migrations
	for name, files := range map[string]fs.FS{"spola": schemas.Spola, "erp": schemas.ERP} {
		sub, err := fs.Sub(files, name)
		if err != nil {
			t.Fatal(err)
		}
		set := postgres.Migrations{Name: name, Files: sub}
		if name == "erp" {
			set.Yields = "erp.import_orders"
		}
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(a, b postgres.Migrations) int { return strings.Compare(b.Name, a.Name) }) // spola first
	return sets
}

func (p *place) erp(query string, args ...any) {
	p.t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, p.erpURL)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, query, args...); err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
}

func (p *place) sql(statements ...string) {
	p.t.Helper()
	for _, s := range statements {
		if _, err := p.shop.DB().ExecContext(p.t.Context(), s); err != nil {
			p.t.Fatalf("%s: %v", s, err)
		}
	}
}

// survey looks at shop and ERP.
func (p *place) survey() (*survey.Shop, *survey.ERP) {
	p.t.Helper()
	db := open(p.t, p.shopURL)
	all, err := survey.Recognise(p.t.Context(), db, database(p.shopURL))
	if err != nil {
		p.t.Fatal(err)
	}
	found, err := survey.Choose(all, database(p.shopURL), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	s, err := survey.ReadShop(p.t.Context(), db, found, "")
	if err != nil {
		p.t.Fatal(err)
	}
	e, err := survey.ReadERP(p.t.Context(), p.erpURL, "shop1", migrations(p.t))
	if err != nil {
		p.t.Fatal(err)
	}
	return s, e
}

// write writes both files, as init does.
func (p *place) write() (configText, shopText string) {
	p.t.Helper()
	s, e := p.survey()
	configText, err := survey.Config(p.wish, s, e)
	if err != nil {
		p.t.Fatal(err)
	}
	shopText = survey.ShopFile(p.wish, s, e)
	if err := survey.WriteNew(survey.File{Path: p.path("spola.yaml"), Text: configText}, survey.File{Path: p.path("shop.yaml"), Text: shopText}); err != nil {
		p.t.Fatal(err)
	}
	return configText, shopText
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

// edit changes a file; old must stand in it once.
func (p *place) edit(name, old, text string) {
	p.t.Helper()
	content, err := os.ReadFile(p.path(name))
	if err != nil {
		p.t.Fatal(err)
	}
	if strings.Count(string(content), old) != 1 {
		p.t.Fatalf("%q stands %d times in\n%s", old, strings.Count(string(content), old), content)
	}
	if err := os.WriteFile(p.path(name), []byte(strings.Replace(string(content), old, text, 1)), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// answer fills in what init asked of this shop.
func (p *place) answer() {
	p.t.Helper()
	p.edit("shop.yaml", `{state: "12", class: "?"}`, `{state: "12", class: taken}`)
	p.edit("shop.yaml", `{state: "15", class: "?"}`, `{state: "15", class: cancelled}`)
}

// examine is doctor.
func (p *place) examine() *survey.Report {
	p.t.Helper()
	cfg, err := config.Load(p.path("spola.yaml"))
	if err != nil {
		p.t.Fatal(err)
	}
	profile, _, err := schemas.Platform("opencart")
	if err != nil {
		p.t.Fatal(err)
	}
	source := mysql.Config{Source: "shop1", URL: cfg.Shop.URL(), Log: zerolog.Nop()}
	for _, table := range profile.Tables {
		source.Tables = append(source.Tables, mysql.Capture{Name: cfg.Shop.Prefix + table.Name, Columns: table.Columns, Key: table.Key, Order: table.Order})
	}
	in := survey.Installation{Config: cfg, File: p.path("spola.yaml"), Source: source,
		Stream: cfg.Stream(zerolog.Nop()), Migrations: migrations(p.t)}
	if cfg.ERP.Log.Read() {
		in.ERPSource = &erplog.Config{Source: "erp", URL: cfg.ERP.LogURL(), Slot: cfg.ERP.Log.Slot, Publication: cfg.ERP.Log.Publication,
			Tables: []erplog.Capture{{Name: "erp.stock", Needed: []string{"article_id"}}, {Name: "erp.shipment", Needed: []string{"order_id"}}}}
	}
	in.ERPStream = cfg.ERPStream(zerolog.Nop())
	report, err := survey.Examine(p.t.Context(), in)
	if err != nil {
		p.t.Fatal(err)
	}
	return report
}

func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := mysql.Open(mysql.Config{Source: "shop", URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func database(url string) string { return url[strings.LastIndex(url, "/")+1:] }

// worst are the findings that a merchant must act on.
func worst(r *survey.Report) []survey.Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f survey.Finding) bool {
		return f.Severity != survey.Blocking && f.Severity != survey.Parking
	})
}
