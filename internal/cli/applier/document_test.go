package applier

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/document"
	"github.com/spola-cdc/spola/internal/lab/erp"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// selling is an ERP in which eight orders were shipped, every second one a company's, and some came back.
func selling(t *testing.T) (*cli.Env, *bytes.Buffer, *pgx.Conn) {
	t.Helper()
	url := erp.Database(t, "erp")
	conn, err := postgres.Connect(t.Context(), url, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	const orders = 8
	for _, statement := range []string{
		`insert into erp.warehouse values (1, 'MI', 'Milano', 1)`,
		`insert into erp.seller (name, street, postcode, city, vat_number) values ('Tessitura Esempio S.r.l.', 'Via della Seta 12', '22100', 'Como', '12345670017')`,
		`select erp.put_articles(array[row('P', 'Silk', 'S1', '', 'Scarf', 22, 1220, null, null, null, null, null, null, null)::erp.article_in,
			row('Q', 'Book', 'S2', '', 'Book', 4, 1999, null, null, null, null, null, null, null)::erp.article_in])`,
		`select erp.import_customers(array[row('c1', 'private', 'Mario', 'Rossi', '', '', '', 'it-it', '', '', '', '', null)::erp.customer_in])`,
		`select erp.receive_goods(1::smallint, erp.goods('{"S1": 500, "S2": 500}'))`,
		fmt.Sprintf(`select erp.import_orders(
			array(select row('r' || i, 'shop', (4710 + i)::text, now(), 1, case when i %% 2 = 0 then 'company' else 'private' end, '', '', 'it-it', 'ring twice', '',
				case when i %% 2 = 0 then '01234567897' else '' end, '', '', false, null,
				row('Mario', 'Rossi', case when i %% 2 = 0 then 'Bianchi "S.n.c."; figli' else '' end, 'Via Roma 1', '', '00184', 'Roma', 'RM', 'IT'), '', 'Courier', 'EUR',
				2440 + 1999 + 500, 'EUR', 1, 49.39)::erp.order_in from generate_series(1, %[1]d) i),
			array(select row('r' || i, l, l, case l when 1 then 'Scarf' else 'Book' end, '', 3 - l, 1, case l when 1 then 2440 else 1999 end, case l when 1 then 22 else 4 end, 'IT', null)::erp.order_line_in
				from generate_series(1, %[1]d) i, generate_series(1, 2) l),
			array(select row('r' || i, 1, 'charge', 'shipping', 'Courier', 500, 22, 'IT', null)::erp.order_charge_in from generate_series(1, %[1]d) i),
			array(select row('r' || i, r, 'IT', null, case r when 22 then 2940 else 1999 end, case r when 22 then 2410 else 1922 end, case r when 22 then 530 else 77 end)::erp.order_vat_in
				from generate_series(1, %[1]d) i, unnest(array[22, 4]) r),
			array(select row('r' || i, 1, 'paid', 'card', 'Card', 4939, '')::erp.order_payment_in from generate_series(1, %[1]d) i))`, orders),
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for i := 1; i <= orders; i++ {
		for _, statement := range []string{`select erp.ship_order($1, '{"1": 1}')`, `select erp.ship_order($1)`} {
			if _, err := conn.Exec(t.Context(), statement, i); err != nil {
				t.Fatal(err)
			}
		}
		if i%4 < 2 {
			if _, err := conn.Exec(t.Context(), `select erp.take_back($1, '{"1": 2, "2": 1}', 1::smallint, 'did not fit')`, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	text := "shop: {name: shop, platform: opencart, prefix: oc_, database: \"mysql://x@127.0.0.1:1/shop\"}\nerp: {database: \"" + url + "\"}\n"
	if err := os.WriteFile(filepath.Join(dir, "spola.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SPOLA_SHOP_PASSWORD", "x")
	t.Setenv("SPOLA_ERP_PASSWORD", "x")
	out := &bytes.Buffer{}
	return &cli.Env{Ctx: t.Context(), Out: out, Log: zerolog.Nop(), Config: filepath.Join(dir, "spola.yaml")}, out, conn
}

func run(t *testing.T, env *cli.Env, out *bytes.Buffer, verb interface{ Run(*cli.Env) error }) string {
	t.Helper()
	out.Reset()
	if err := verb.Run(env); err != nil {
		t.Fatalf("%T: %v", verb, err)
	}
	return out.String()
}

func month(t *testing.T) monthFlag {
	t.Helper()
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	var m monthFlag
	if err := m.UnmarshalText([]byte(time.Now().In(rome).Format("2006-01"))); err != nil {
		t.Fatal(err)
	}
	return m
}

// Invariant: the register is the deliveries that have no invoice less their returns, to the cent, rate by rate, on the
// screen and as CSV; deliveries, invoices, credit notes and returns together are what was sold.
func TestRegisterIsTheDocuments(t *testing.T) {
	env, out, conn := selling(t)
	var taken []document.Taking
	if err := json.Unmarshal([]byte(run(t, env, out, RegisterDocument{Month: month(t), JSON: true})), &taken); err != nil {
		t.Fatal(err)
	}
	// Four private orders, of which two came back but for their shipping.
	sums := map[string]int64{}
	for _, k := range taken {
		sums[k.VATRate+" sales"] += k.Sales
		sums[k.VATRate+" returns"] += k.Returns
		if k.Net+k.VAT != k.Gross || k.Sales-k.Returns != k.Gross {
			t.Errorf("%+v does not add up", k)
		}
	}
	for key, want := range map[string]int64{"22.000 sales": 4 * 2940, "4.000 sales": 4 * 1999, "22.000 returns": 2 * 2440, "4.000 returns": 2 * 1999} {
		if sums[key] != want {
			t.Errorf("%s: %d, want %d", key, sums[key], want)
		}
	}
	var documents int64
	err := conn.QueryRow(t.Context(), `select (sum(total) filter (where kind = 'ddt') - sum(total) filter (where kind in ('invoice', 'return')))::bigint from erp.documents`).Scan(&documents)
	if err != nil || documents != 4*2940+4*1999-2*2440-2*1999 {
		t.Errorf("the documents say %d, %v", documents, err)
	}
	file := filepath.Join(t.TempDir(), "takings.csv")
	run(t, env, out, RegisterDocument{Month: month(t), CSV: file})
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reader := csv.NewReader(bytes.NewReader(text))
	reader.Comma = ';'
	rows, err := reader.ReadAll()
	if err != nil || len(rows) != len(taken)+1 || rows[1][8] != "68,80" {
		t.Errorf("CSV: %v %q", err, rows)
	}
	if err := (RegisterDocument{Month: month(t), CSV: file}).Run(env); err == nil {
		t.Error("a file was written over")
	}
	if said := run(t, env, out, RegisterDocument{Month: month(t)}); !strings.Contains(said, "Takings of the month: 108.78 EUR") {
		t.Error(said)
	}
}

// Invariant: every document is shown, printed and listed by its number and by its order; invoices and credit notes are
// e-invoices that the exchange system's controls take; no file is written over another.
func TestDocumentsAreShown(t *testing.T) {
	env, out, conn := selling(t)
	var list []document.Entry
	if err := json.Unmarshal([]byte(run(t, env, out, ListDocuments{Last: 1000, JSON: true})), &list); err != nil {
		t.Fatal(err)
	}
	// Two deliveries each, two invoices for each of four companies, a reversal of both for half of all.
	if want := 16 + 8 + 8; len(list) != want {
		t.Fatalf("%d documents, want %d", len(list), want)
	}
	dir := t.TempDir()
	var numbers, invoices []string
	for _, e := range list {
		numbers = append(numbers, e.Number)
		if document := e.Kind == "invoice" || e.Kind == "credit_note"; document {
			invoices = append(invoices, e.Number)
		}
		var s document.Sheet
		if err := json.Unmarshal([]byte(run(t, env, out, ShowDocument{wanted: wanted{Number: []string{e.Number}}, JSON: true})), &s); err != nil || s.Total != e.Total || s.Number != e.Number {
			t.Errorf("%s: %v, total %d, listed %d", e.Number, err, s.Total, e.Total)
		}
		var gross int64
		for _, l := range s.Lines {
			gross += l.Gross
		}
		if gross != s.Total || s.Buyer.Name == "" || s.Seller.Name == "" {
			t.Errorf("%s: lines are %d, total %d; %s to %s", e.Number, gross, s.Total, s.Seller.Name, s.Buyer.Name)
		}
	}
	if files := run(t, env, out, PDFDocument{wanted: wanted{Number: numbers}, Dir: dir}); strings.Count(files, ".pdf\n") != len(list) {
		t.Error(files)
	}
	run(t, env, out, PDFDocument{wanted: wanted{Number: numbers}, Dir: dir}) // the same once more is no harm
	var written []writtenDocument
	if err := json.Unmarshal([]byte(run(t, env, out, XMLDocument{Month: month(t), Dir: dir, JSON: true})), &written); err != nil || len(written) != len(invoices) {
		t.Errorf("%d e-invoices of %d, %v", len(written), len(invoices), err)
	}
	names := map[string]bool{}
	for _, w := range written {
		names[w.File] = true
		text, err := os.ReadFile(w.File)
		if err != nil {
			t.Fatal(err)
		}
		if refused := document.Controls(text); len(refused) > 0 {
			t.Errorf("%s: %v", w.Number, refused)
		}
	}
	if len(names) != len(invoices) {
		t.Errorf("%d names for %d e-invoices", len(names), len(invoices))
	}
	shop := run(t, env, out, ListDocuments{Order: "4712", Last: 50})
	if strings.Count(shop, "\n") != 5 || !strings.Contains(shop, "W") {
		t.Error(shop)
	}
	order := run(t, env, out, ShowDocument{wanted: wanted{Number: []string{list[0].OrderNumber}}})
	if !strings.Contains(order, "total 49.39 EUR") {
		t.Error(order)
	}
	// By order and date too; an order's number is that of this shop, not another's.
	if again := run(t, env, out, ShowDocument{wanted: wanted{Number: []string{"4712"}}}); !strings.Contains(again, "order "+shopOrder(t, list, "4712")) || !strings.Contains(again, "total 49.39 EUR") ||
		!strings.Contains(again, "Via Roma 1, 00184 Roma (RM)") || !strings.Contains(again, "ring twice") {
		t.Error(again)
	}
	if all := run(t, env, out, ShowDocument{wanted: wanted{Order: "4712"}}); strings.Count(all, "VAT included") != 4 || !strings.HasPrefix(all, "ddt ") || !strings.Contains(all, "\n\ninvoice ") {
		t.Error(all)
	}
	today := list[0].Date
	if all := run(t, env, out, ShowDocument{wanted: wanted{From: today.AddDate(0, 0, -1), To: today}, JSON: true}); strings.Count(all, "\n") != len(list) {
		t.Errorf("%d documents of yesterday and today, %d are listed", strings.Count(all, "\n"), len(list))
	}
	if files := run(t, env, out, PDFDocument{wanted: wanted{From: today.AddDate(0, 0, -1), To: today}, Dir: dir}); strings.Count(files, ".pdf\n") != len(list) {
		t.Error(files)
	}
	if _, err := conn.Exec(t.Context(), `update erp.sales_order set shop = 'other' where shop_number = '4718'; alter table erp.document disable trigger all;
		update erp.document set shop = 'other' where shop_number = '4718'`); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(numbers[0], "/", "-")+".pdf"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]interface{ Run(*cli.Env) error }{
		"is there already":          PDFDocument{wanted: wanted{Number: numbers[:1]}, Dir: dir},
		"no document and no order":  ShowDocument{wanted: wanted{Number: []string{"F1999/1"}}},
		"which documents":           PDFDocument{},
		"order 9999 has no":         PDFDocument{wanted: wanted{Order: "9999"}},
		"order 4718 has no":         PDFDocument{wanted: wanted{Order: "4718"}},
		"the number \"4718\"":       ShowDocument{wanted: wanted{Number: []string{"4718"}}},
		"there is no such document": ShowDocument{wanted: wanted{To: today.AddDate(-1, 0, 0)}},
		"only these are e-invoices": XMLDocument{Number: []string{list[len(list)-1].Number}, Dir: dir},
	} {
		if err := try.Run(env); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%T: %v, want %q", try, err, name)
		}
	}
	if _, err := conn.Exec(t.Context(), `drop view erp.documents_due, erp.documents cascade`); err != nil {
		t.Fatal(err)
	}
	if err := (DueDocuments{}).Run(env); err == nil || !strings.Contains(err.Error(), "applier migrate") {
		t.Error(err)
	}
}

// shopOrder is the ERP's number of an order of the shop.
func shopOrder(t *testing.T, list []document.Entry, number string) string {
	t.Helper()
	for _, e := range list {
		if e.ShopNumber == number {
			return e.OrderNumber
		}
	}
	t.Fatalf("order %s has no documents", number)
	return ""
}

// A delivery whose invoice is held is listed with what mends it.
func TestDueIsListed(t *testing.T) {
	env, out, conn := selling(t)
	if said := run(t, env, out, DueDocuments{}); said != "No invoice is due.\n" {
		t.Error(said)
	}
	for _, statement := range []string{
		`update erp.seller set invoice_at_shipment = false`,
		`select erp.import_orders(array[row('x', 'shop', '1', now(), 1, 'company', '', '', '', '', '', '123', '', '', false, null, row('', '', 'X', 'Via 1', '', '00184', 'Roma', 'RM', 'IT'), '', '', 'EUR', 1220, 'EUR', 1, 12.2)]::erp.order_in[],
			array[row('x', 1, 1, 'Scarf', '', 1, 1, 1220, 22, 'IT', null)]::erp.order_line_in[], '{}', array[row('x', 22, 'IT', null, 1220, 1000, 220)]::erp.order_vat_in[],
			array[row('x', 1, 'paid', 'card', '', 1220, '')]::erp.order_payment_in[])`,
		`select erp.ship_order(9)`,
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if said := run(t, env, out, DueDocuments{}); !strings.Contains(said, "VAT number 123: a VAT number has 11 digits in Italy") || !strings.Contains(said, "correct_buyer") {
		t.Error(said)
	}
}
