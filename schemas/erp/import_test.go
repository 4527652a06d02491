package erp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// Invariant: a reference is one order for ever, whatever comes with it the second time.
func TestImportTwiceIsOnce(t *testing.T) {
	e := open(t)
	first := e.importOrders(order("a", item{1, 2}))
	if !first[0].OK || first[0].Existing {
		t.Fatalf("first import: %+v", first[0])
	}
	content := `select o.*, l.* from erp.orders o join erp.order_lines l using (order_id) where o.reference = 'a'`
	before := e.text(content)
	if r := e.importOrders(order("a", item{1, 2}))[0]; !r.OK || !r.Existing || *r.ID != *first[0].ID {
		t.Errorf("the same again: %+v, want order %d as existing", r, *first[0].ID)
	}
	again := order("a", item{2, 9})
	again.orders[0]["customer"] = 99
	again.add("b", item{1, 1})
	results := e.importOrders(again)
	if !results[0].OK || !results[0].Existing || *results[0].ID != *first[0].ID {
		t.Errorf("second import: %+v, want order %d as existing", results[0], *first[0].ID)
	}
	if !results[1].OK || results[1].Existing {
		t.Errorf("new order beside an old one: %+v", results[1])
	}
	if after := e.text(content); after != before {
		t.Errorf("order changed by its second import\nfrom %s\nto   %s", before, after)
	}
}

// Everything that came in can be read back.
func TestImportKeepsWhatCame(t *testing.T) {
	e := open(t)
	b := order("a", item{1, 2}, item{2, 1})
	extra := record{"note": "ring twice", "phone": "+39 06", "language": "it-it", "tax_code": "RSSMRA80A01H501U",
		"vat_number": "12345678903", "pec": "m@pec.it", "sdi": "ABCDEF1", "invoice_wanted": true, "shipping_code": "flat.flat",
		"shipping_method": "Flat rate", "customer_currency": "GBP", "customer_factor": 0.8512, "customer_total": json.Number("35.42")}
	for field, value := range extra {
		b.orders[0][field] = value
	}
	b.lines[1]["options"] = "Size: L, Colour: red"
	b.lines[1]["unit_gross"] = json.Number("1219.9999")
	e.importOrders(b)
	want := "a W 2026 1 web open ring twice +39 06 it-it RSSMRA80A01H501U 12345678903 m@pec.it ABCDEF1 true flat.flat Flat rate EUR 4160 GBP 0.8512 35.42 Roma Rossi"
	if got := e.text(`select reference, series, year, number, channel, state, note, phone, language, tax_code, vat_number, pec, sdi,
		invoice_wanted, shipping_code, shipping_method, currency, total, customer_currency, customer_factor::text, customer_total::text,
		(billing).city, (shipping).last_name from erp.sales_order`); got != want {
		t.Errorf("order\n got %s\nwant %s", got, want)
	}
	if got := e.text(`select line, position, article_id, options, quantity, committed, backorder, shipped, unit_gross::text, gross, vat_rate::text
		from erp.order_lines order by line`); got != "1 1 1  2 2 2 0 1220 2440 22.000\n2 2 2 Size: L, Colour: red 1 1 1 0 1219.9999 1220 22.000" {
		t.Errorf("lines\n%s", got)
	}
	if got := e.text(`select c.gross, v.gross, v.net, v.vat, p.kind, p.amount from erp.order_charges c, erp.order_vat_rates v, erp.order_payments p`); got != "500 4160 3410 750 to_collect 4160" {
		t.Errorf("charge, VAT, payment: %s", got)
	}
}

// spoil makes one thing wrong with an order of items of article 1 and 2.
var spoil = map[string][]func(*batch){
	"placed_at": {in(orders, "placed_at", nil), in(orders, "placed_at", "infinity"), in(orders, "placed_at", "0001-01-01")},
	"kind":      {in(orders, "kind", nil), in(orders, "kind", "dog")},
	"customer":  {in(orders, "customer", 99), in(orders, "customer", nil)},
	"address":   {in(orders, "shipping", nil)},
	"currency":  {in(orders, "currency", "EURO"), in(orders, "customer_currency", nil), in(orders, "customer_factor", "NaN"), in(orders, "customer_total", -1)},
	"no_lines":  {func(b *batch) { b.lines = nil }},
	"line_number": {in(lines, "line", 0), in(lines, "line", 2), in(lines, "line", nil), in(charges, "line", -1), in(payments, "line", nil),
		func(b *batch) {
			again := maps.Clone(b.charges[0])
			b.charges[0]["gross"], again["gross"] = 200, 300
			b.charges = append(b.charges, again)
		}, func(b *batch) {
			again := maps.Clone(b.payments[0])
			b.payments[0]["amount"], again["amount"] = 160, 4000
			b.payments = append(b.payments, again)
		}},
	"article":  {in(lines, "article", 99), in(lines, "article", nil), in(lines, "article", int64(9223372036854775807))},
	"quantity": {in(lines, "quantity", 0), in(lines, "quantity", -1), in(lines, "quantity", nil), in(lines, "quantity", 3000000000)},
	"amount": {in(lines, "gross", nil), in(lines, "gross", int64(9223372036854775807)), in(lines, "gross", -1), in(lines, "unit_gross", "Infinity"),
		in(charges, "gross", -500), in(charges, "kind", "gift"), in(charges, "kind", "discount"), in(orders, "total", -1), in(orders, "total", nil)},
	"rate": {in(lines, "vat_rate", nil), in(lines, "vat_rate", -22), in(lines, "vat_rate", "NaN"), in(lines, "vat_rate", "22.0001"),
		in(lines, "vat_country", nil), in(lines, "vat_rate", 0), in(lines, "vat_nature", "N3.2"), in(vat, "vat_rate", nil),
		everywhere("vat_rate", "22.0001"), everywhere("vat_nature", "N3.2"), everywhere("vat_country", "ITA")},
	"total": {both(in(orders, "total", 4161), in(payments, "amount", 4161)), in(orders, "total", 4161), in(lines, "gross", 2439), in(charges, "gross", 0)},
	"vat": {in(vat, "gross", 4161), in(vat, "net", 3411), in(vat, "vat", nil), in(vat, "vat_rate", 10),
		both(in(vat, "gross", 4282), in(vat, "net", 3510), in(vat, "vat", 772)), both(in(vat, "net", 3411), in(vat, "vat", 749)), func(b *batch) { b.vat = nil },
		func(b *batch) { b.vat = append(b.vat, b.vat[0]) }},
	"payments": {in(payments, "amount", 4159), in(payments, "amount", nil), in(payments, "kind", "promise"), func(b *batch) { b.payments = nil }},
	"repeated": {func(b *batch) { b.orders = append(b.orders, b.orders[0]) }},
}

func orders(b *batch) []record   { return b.orders }
func lines(b *batch) []record    { return b.lines }
func charges(b *batch) []record  { return b.charges }
func vat(b *batch) []record      { return b.vat }
func payments(b *batch) []record { return b.payments }

func in(of func(*batch) []record, field string, value any) func(*batch) {
	return func(b *batch) { of(b)[0][field] = value }
}

// everywhere makes lines, charges and VAT agree on something wrong.
func everywhere(field string, value any) func(*batch) {
	return func(b *batch) {
		for _, rows := range [][]record{b.lines, b.charges, b.vat} {
			for _, row := range rows {
				row[field] = value
			}
		}
	}
}

// both does several things to an order: together they may hide from a check of sums.
func both(ways ...func(*batch)) func(*batch) {
	return func(b *batch) {
		for _, way := range ways {
			way(b)
		}
	}
}

// Invariant: a bad order is named with its reason and leaves no trace; its neighbours in the call
// are taken, and their numbers have no hole.
func TestBadOrderAlone(t *testing.T) {
	e := open(t)
	c, _ := readContract(t)
	for _, reason := range c.Reasons {
		ways, ok := spoil[reason.Key.(string)]
		if !ok && !strings.Contains("reference unknown linked shipped cancelled", reason.Key.(string)) {
			t.Errorf("no test makes an order bad by %q", reason.Key)
		}
		for i, way := range ways {
			name := fmt.Sprintf("%s%d", reason.Key, i)
			b := order("before "+name, item{1, 1})
			bad := order("bad "+name, item{1, 2}, item{2, 1})
			way(&bad)
			b.orders = append(b.orders, bad.orders...)
			b.lines = append(b.lines, bad.lines...)
			b.charges = append(b.charges, bad.charges...)
			b.vat = append(b.vat, bad.vat...)
			b.payments = append(b.payments, bad.payments...)
			b.add("after "+name, item{2, 1})
			results := e.importOrders(b)
			last := len(results) - 1
			if !results[0].OK || !results[last].OK {
				t.Errorf("%s: neighbours are %+v and %+v", name, results[0], results[last])
			}
			for _, r := range results[1:last] {
				if r.OK || r.reason() != reason.Key || r.Detail == nil || *r.Detail == "" {
					t.Errorf("%s: ok %v, reason %q, detail %v", name, r.OK, r.reason(), r.Detail)
				}
			}
		}
	}
	if got := e.text(`select count(*) = max(number), count(*) filter (where reference like 'bad %') from erp.sales_order`); got != "true 0" {
		t.Errorf("numbers without holes, bad orders: %s", got)
	}
	if got := e.text(`select count(*) from erp.order_line l left join erp.sales_order o on o.id = l.order_id where o.id is null`); got != "0" {
		t.Errorf("lines without order: %s", got)
	}
}

func TestOrderWithoutReference(t *testing.T) {
	e := open(t)
	b := order("", item{1, 1})
	b.orders[0]["reference"] = ""
	if r := e.importOrders(b); r[0].reason() != "reference" {
		t.Errorf("%+v", r[0])
	}
}

// Rows that belong to no order of the call would vanish: the whole call is refused.
func TestStrayRowsEndTheCall(t *testing.T) {
	e := open(t)
	for _, of := range []func(*batch) []record{lines, charges, vat, payments} {
		b := order("a", item{1, 1})
		of(&b)[0]["reference"] = "b"
		if _, err := b.call(e, "import_orders"); err == nil || !strings.Contains(err.Error(), "without their order: b") {
			t.Errorf("stray row: %v", err)
		}
	}
	// Rows that would make an order, had they a head.
	for _, rows := range []batch{{lines: order("b", item{1, 1}).lines}, {payments: order("b", item{1, 1}).payments}} {
		b := order("a", item{1, 1})
		b.lines, b.payments = append(b.lines, rows.lines...), append(b.payments, rows.payments...)
		if _, err := b.call(e, "import_orders"); err == nil || !strings.Contains(err.Error(), "without their order: b") {
			t.Errorf("stray row: %v", err)
		}
	}
}

// Invariant: numbers run on from year to year without holes, also over a rollback and over refused orders.
func TestNumbersHaveNoHoles(t *testing.T) {
	e := open(t)
	e.importOrders(order("a", item{1, 1}))
	tx, err := e.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := order("lost", item{1, 1}).call(tx, "import_orders"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(context.Background()); err != nil {
		t.Fatal(err)
	}
	var b batch
	b.add("new year in Rome", item{1, 1})
	b.orders[0]["placed_at"] = "2026-12-31T23:30:00Z"
	b.add("c", item{1, 1})
	b.add("bad", item{99, 1})
	b.add("d", item{1, 1})
	e.importOrders(b)
	if got := e.text(`select number from erp.orders order by order_id`); got != "W2026/1\nW2027/1\nW2026/2\nW2026/3" {
		t.Errorf("numbers:\n%s", got)
	}
}

// Invariant: changes of the shop's account reach the ERP's customer, but not over a person's edit.
func TestCustomerKeepsEdits(t *testing.T) {
	e := open(t)
	customer := func(email, phone, city string) string {
		return e.text(`select ok, existing, id from erp.import_customers(array[row('c2', 'company', 'Anna', 'Bianchi', 'Bianchi srl', $1, $2,
			'it-it', '', '12345678903', '', '', row('Anna', 'Bianchi', '', 'Via Po 1', '', '10100', $3, 'TO', 'IT'))]::erp.customer_in[])`, email, phone, city)
	}
	if got := customer("a@example.com", "1", "Torino"); !strings.HasPrefix(got, "true false") {
		t.Fatalf("first import: %s", got)
	}
	e.exec(`update erp.customer set phone = '999' where reference = 'c2'`)
	if got := customer("b@example.com", "2", "Asti"); !strings.HasPrefix(got, "true true") {
		t.Fatalf("second import: %s", got)
	}
	if got := e.text(`select email, phone, (address).city from erp.customers where reference = 'c2'`); got != "b@example.com 999 Asti" {
		t.Errorf("customer: %s", got)
	}
	bad := e.text(`select ok, reason from erp.import_customers(array(select row(r, k, '', '', '', '', '', '', '', '', '', '', null)::erp.customer_in
		from (values ('', 'private'), (null, 'private'), ('x', 'dog'), ('x2', null), ('y', 'private'), ('y', 'private'), ('z', 'private')) v(r, k))) order by reason, reference`)
	if want := "false kind\nfalse kind\nfalse reference\nfalse reference\nfalse repeated\nfalse repeated\ntrue -"; bad != want {
		t.Errorf("bad customers:\n%s\nwant\n%s", bad, want)
	}
}
