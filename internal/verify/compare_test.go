package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/spola-cdc/spola/deploy"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/internal/verify"
	"github.com/spola-cdc/spola/schemas"
)

// sides is a shop and an ERP that hold the same few orders. What stands in the ERP was worked out
// by hand and written by hand.
type sides struct {
	rules   verify.Rules
	t       *testing.T
	shop    *shop.Shop
	erp     *pgxpool.Pool
	journal *verify.Journal
}

const (
	goods     = iota + 1 // two pieces of product 1 at 12.20, shipping 6.10: 30.50
	mixed                // products 1 (22 %), 3 (10 %) and a shirt in L, a tenth off
	credit               // product 1 at 12.20, shipping 6.10, less 10.00 of store credit
	waiting              // bank transfer, not paid
	cancelled            // goods once more, cancelled
	strange              // planted
	left                 // the overview only
	orders    = left
)

func newSides(t *testing.T) *sides {
	s := &sides{t: t, journal: &verify.Journal{}}
	var err error
	if s.rules, err = verify.ReadRules("opencart", deploy.ShopExample); err != nil {
		t.Fatal(err)
	}
	if s.shop, err = shop.Open(t.Context(), server.MySQL(t), shop.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.shop.Close() })
	if err := s.shop.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	url := server.Postgres(t)
	s.migrate(url, "erp", schemas.ERP)
	s.migrate(url, "spola", schemas.Spola) // uses the ERP's types
	if s.erp, err = pgxpool.New(t.Context(), url+"?pool_max_conns=8"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.erp.Close)
	s.place()
	s.fillERP()
	return s
}

func (s *sides) migrate(url, name string, files fs.FS) {
	s.t.Helper()
	sub, err := fs.Sub(files, name)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := postgres.Migrate(s.t.Context(), url, postgres.Migrations{Name: name, Files: sub}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sides) place() {
	one := []shop.Line{{Product: 1, Quantity: 1}}
	for i, o := range []shop.Order{
		{Lines: []shop.Line{{Product: 1, Quantity: 2}}},
		{Lines: []shop.Line{{Product: 1, Quantity: 1}, {Product: 3, Quantity: 2}, {Product: shop.Sized, Value: 53, Quantity: 1}}, Coupon: "ESTATE10"},
		{Lines: one, Customer: shop.Customer{Register: true, Credit: "10.00"}},
		{Lines: one, Payment: shop.BankTransfer},
		{Lines: []shop.Line{{Product: 1, Quantity: 2}}},
		{Lines: one, Plant: shop.PlantTotal},
		{Lines: one, Abandon: true},
	} {
		id, err := s.shop.PlaceOrder(s.t.Context(), o)
		if err != nil || id != int64(i+1) {
			s.t.Fatalf("order %d: %v", id, err)
		}
		facts, err := s.shop.Facts(o)
		if err != nil {
			s.t.Fatal(err)
		}
		s.journal.Orders = append(s.journal.Orders, &verify.Journaled{ID: id, Intended: !o.Abandon, Placed: verify.OK, Facts: facts})
	}
	if err := s.shop.Cancel(s.t.Context(), cancelled); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sides) exec(format string, args ...any) {
	s.t.Helper()
	if _, err := s.erp.Exec(s.t.Context(), fmt.Sprintf(format, args...)); err != nil {
		s.t.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
}

// fillERP: SP-0001 is 10.00 net, SP-0003 24.5455 net at 10 %, SP-0005-L 34.1803 + 1.6394 net.
func (s *sides) fillERP() {
	s.exec(`insert into spola.shop (shop, platform, prefix) values ('shop', 'opencart', 'oc_')`)
	s.exec(`insert into erp.product (code, name) values ('P', 'P')`)
	for _, sku := range []string{"SP-0001", "SP-0003", "SP-0005-L"} {
		s.exec(`insert into erp.article (product_id, sku, name, vat_rate) values (1, '%s', '%s', 22)`, sku, sku)
	}
	s.exec(`insert into spola.article (shop, product, variant, article, by) values ('shop', '5', '53', 3, 'import')`)
	s.order(goods, "1", "taken", "open", 3050)
	s.exec(`insert into erp.order_line (order_id, line, position, article_id, name, quantity, unit_gross, gross, vat_rate, vat_country) values (%d, 1, 1, 1, '', 2, 1220, 2440, 22, 'IT')`, goods)
	s.exec(`insert into erp.order_charge values (%d, 1, 'charge', 'shipping', '', 610, 22, 'IT')`, goods)
	s.exec(`insert into erp.order_vat values (%d, 22, 'IT', '', 3050, 2500, 550)`, goods)
	// Net 10.00 + 49.0910 + 35.8197 + 5.00 shipping; a tenth off the goods: 9.49107.
	// 22 %: (45.8197 - 4.58197 + 5) × 1.22 = 56.41; 10 %: (49.0910 - 4.9091) × 1.1 = 48.60.
	s.order(mixed, "1", "taken", "open", 10501)
	s.exec(`insert into erp.order_line (order_id, line, position, article_id, name, options, quantity, unit_gross, gross, vat_rate, vat_country)
		values (%[1]d, 1, 1, 1, '', '', 1, 1220, 1220, 22, 'IT'), (%[1]d, 2, 2, 2, '', '', 2, 2700, 5400, 10, 'IT'), (%[1]d, 3, 3, 3, '', 'Taglia: L', 1, 4370, 4370, 22, 'IT')`, mixed)
	s.exec(`insert into erp.order_charge values (%[1]d, 1, 'charge', 'shipping', '', 610, 22, 'IT'), (%[1]d, 2, 'discount', 'coupon', '', -540, 10, 'IT'), (%[1]d, 3, 'discount', 'coupon', '', -559, 22, 'IT')`, mixed)
	s.exec(`insert into erp.order_vat values (%[1]d, 22, 'IT', '', 5641, 4624, 1017), (%[1]d, 10, 'IT', '', 4860, 4418, 442)`, mixed)
	s.order(credit, "1", "taken", "open", 1830)
	s.exec(`insert into erp.order_line (order_id, line, position, article_id, name, quantity, unit_gross, gross, vat_rate, vat_country) values (%d, 1, 1, 1, '', 1, 1220, 1220, 22, 'IT')`, credit)
	s.exec(`insert into erp.order_charge values (%d, 1, 'charge', 'shipping', '', 610, 22, 'IT')`, credit)
	s.exec(`insert into erp.order_vat values (%d, 22, 'IT', '', 1830, 1500, 330)`, credit)
	s.exec(`insert into erp.order_payment values (%[1]d, 1, 'credit', 'credit', '', 1000), (%[1]d, 2, 'to_collect', 'cod', '', 830)`, credit)
	s.exec(`insert into spola.link (shop, order_id, incarnation, reference, fingerprint, status, state, method, class, revision, content, consuming)
		values ('shop', %d, 1, 'w', '', 'seen', '1', 'bank_transfer', 'placed', 1, '', true)`, waiting)
	s.order(cancelled, "7", "cancelled", "cancelled", 3050)
	s.exec(`insert into erp.order_line (order_id, line, position, article_id, name, quantity, unit_gross, gross, vat_rate, vat_country) values (%d, 1, 1, 1, '', 2, 1220, 2440, 22, 'IT')`, cancelled)
	s.exec(`insert into erp.order_charge values (%d, 1, 'charge', 'shipping', '', 610, 22, 'IT')`, cancelled)
	s.exec(`insert into erp.order_vat values (%d, 22, 'IT', '', 3050, 2500, 550)`, cancelled)
	s.exec(`insert into spola.parked (shop, order_id, reason, what, tick) values ('shop', %d, 'sum_open', '', 1)`, strange)
}

func (s *sides) order(id int, state, class, erpState string, total int) {
	by := "null"
	if erpState == "cancelled" {
		by = "'shop'"
	}
	s.exec(`insert into erp.sales_order (id, reference, series, year, number, channel, state, cancelled_by, shop, shop_number, placed_at, customer_id, kind, billing, shipping, currency, total, customer_currency, customer_factor, customer_total)
		overriding system value values (%[1]d, 'shop:%[1]d', 'W', 2026, %[1]d, 'web', '%[2]s', %[4]s, 'shop', '%[1]d', now(), 1, 'private', row(null,null,null,null,null,null,null,null,null), row(null,null,null,null,null,null,null,null,null), 'EUR', %[3]d, 'EUR', 1, 0)`,
		id, erpState, total, by)
	s.exec(`insert into spola.link (shop, order_id, incarnation, reference, fingerprint, status, erp_order, state, method, class, revision, content, consuming)
		values ('shop', %[1]d, 1, 'shop:%[1]d', '', '%[2]s', %[1]d, '%[3]s', 'cod.cod', '%[4]s', 1, '', true)`,
		id, map[bool]string{true: "cancelled", false: "imported"}[class == "cancelled"], state, class)
}

func (s *sides) prove() *verify.Report {
	s.t.Helper()
	report, err := verify.Run(context.Background(), verify.Config{Shop: s.shop.DB(), ERP: s.erp, Name: "shop", Rules: s.rules, Journal: s.journal})
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

// kinds lists what was found: "2 cents".
func kinds(r *verify.Report) string {
	var all []string
	for _, d := range r.Details {
		all = append(all, fmt.Sprintf("%d %s", d.Order, d.Kind))
	}
	return strings.Join(all, ", ")
}

func TestEqualSidesAreEqual(t *testing.T) {
	s := newSides(t)
	got := *s.prove()
	for _, d := range got.Details {
		t.Error(d)
	}
	got.Details = nil
	want := verify.Report{OrdersPlaced: 6, OrdersInScope: 5, OrdersInERP: 4, OrdersParked: 1, ParkedPlanted: 1, CentsShop: 18431, CentsERP: 18431}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	s.journal = nil
	if got := s.prove(); got.Differences != 0 || got.OrdersPlaced != 6 || got.OrdersInScope != 5 || got.ParkedPlanted != 0 {
		t.Errorf("without a journal: %+v", got)
	}
}

// Nothing of the order is shipped and its bill goes to Germany: goods, fee and coupon bear the VAT of
// the shop's own country.
func TestWhatIsNotShippedIsTaxedAtHome(t *testing.T) {
	s := newSides(t)
	const id = orders + 1
	order := shop.Order{Lines: []shop.Line{{Product: shop.Virtual}}, Fee: true, Coupon: "ESTATE10",
		Customer: shop.Customer{German: true, Address: shop.Address{Country: shop.Germany}}}
	if placed, err := s.shop.PlaceOrder(t.Context(), order); err != nil || placed != id {
		t.Fatalf("order %d: %v", placed, err)
	}
	if err := s.shop.SetStatus(t.Context(), id, shop.Processing); err != nil { // paid
		t.Fatal(err)
	}
	facts, err := s.shop.Facts(order)
	if err != nil {
		t.Fatal(err)
	}
	s.journal.Orders = append(s.journal.Orders, &verify.Journaled{ID: id, Intended: true, Placed: verify.OK, Facts: facts})
	// Net 46.2295 + 2.05 fee - 4.62295 coupon, all at 22 %: 53.260991.
	s.exec(`insert into erp.article (product_id, sku, name, vat_rate) values (1, 'SP-0007', 'SP-0007', 22)`)
	s.order(id, "2", "taken", "open", 5326)
	s.exec(`insert into erp.order_line (order_id, line, position, article_id, name, quantity, unit_gross, gross, vat_rate, vat_country) values (%d, 1, 1, 4, '', 1, 5640, 5640, 22, 'IT')`, id)
	s.exec(`insert into erp.order_charge values (%[1]d, 1, 'charge', 'payment_fee', '', 250, 22, 'IT'), (%[1]d, 2, 'discount', 'coupon', '', -564, 22, 'IT')`, id)
	s.exec(`insert into erp.order_vat values (%d, 22, 'IT', '', 5326, 4366, 960)`, id)
	if got := s.prove(); got.Differences != 0 {
		t.Error(got.Details)
	}
}

// A coupon takes the whole shipping off an order to Germany, whose goods bear another rate: it was shipping at Germany's rate,
// not at that of the shop's own country.
func TestShippingTakenOffKeepsItsCountry(t *testing.T) {
	s := newSides(t)
	const id = orders + 1
	order := shop.Order{Lines: []shop.Line{{Product: 14, Quantity: 2}}, Coupon: "SPEDIZIONE",
		Customer: shop.Customer{German: true, Address: shop.Address{Country: shop.Germany}}}
	if placed, err := s.shop.PlaceOrder(t.Context(), order); err != nil || placed != id {
		t.Fatalf("order %d: %v", placed, err)
	}
	if err := s.shop.SetStatus(t.Context(), id, shop.Processing); err != nil { // paid
		t.Fatal(err)
	}
	facts, err := s.shop.Facts(order)
	if err != nil {
		t.Fatal(err)
	}
	s.journal.Orders = append(s.journal.Orders, &verify.Journaled{ID: id, Intended: true, Placed: verify.OK, Facts: facts})
	s.exec(`insert into erp.article (product_id, sku, name, vat_rate) values (1, 'SP-0014', 'SP-0014', 10)`)
	s.order(id, "2", "taken", "open", 3704)
	s.exec(`insert into erp.order_line (order_id, line, position, article_id, name, quantity, unit_gross, gross, vat_rate, vat_country) values (%d, 1, 1, 4, '', 2, 1852, 3704, 7, 'DE')`, id)
	s.exec(`insert into erp.order_charge values (%[1]d, 1, 'charge', 'shipping', '', 595, 19, 'DE'), (%[1]d, 2, 'discount', 'coupon', '', -595, 19, 'DE')`, id)
	s.exec(`insert into erp.order_vat values (%[1]d, 19, 'DE', '', 0, 0, 0), (%[1]d, 7, 'DE', '', 3704, 3462, 242)`, id)
	if got := s.prove(); got.Differences != 0 {
		t.Error(got.Details)
	}
}

// A tax that is a fixed amount a piece is a charge with VAT in it, at the rate that the shop file says; without
// a word there nobody can take the order.
func TestFixedAmountIsACharge(t *testing.T) {
	s := newSides(t)
	s.journal = nil // it knows nothing of what is added by hand here
	for _, statement := range []string{
		"INSERT INTO oc_tax_rate (tax_rate_id, geo_zone_id, name, rate, type) VALUES (190, 5, 'Eco Tax (-2.00)', 2, 'F')",
		"UPDATE oc_order_product SET tax = tax + 2 WHERE order_id = 1",
		"INSERT INTO oc_order_total (order_id, extension, code, title, value, sort_order) VALUES (1, 'opencart', 'tax', 'Eco Tax (-2.00)', 6, 5)",
		"UPDATE oc_order SET total = total + 6 WHERE order_id = 1", // two pieces and the shipping
		"UPDATE oc_order_product SET tax = tax + 2 WHERE order_id = 2",
		"INSERT INTO oc_order_total (order_id, extension, code, title, value, sort_order) VALUES (2, 'opencart', 'tax', 'Eco Tax (-2.00)', 10, 5)",
		"UPDATE oc_order SET total = total + 10 WHERE order_id = 2", // four pieces and the shipping, with a coupon that leaves them alone
	} {
		if _, err := s.shop.DB().ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	s.exec(`update erp.sales_order set total = 3650 where id = %d`, goods)
	s.exec(`insert into erp.order_charge values (%d, 2, 'charge', 'tax', '', 600, 22, 'IT')`, goods)
	s.exec(`update erp.order_vat set gross = 3650, net = 2992, vat = 658 where order_id = %d`, goods)
	s.exec(`update erp.sales_order set total = 11501 where id = %d`, mixed)
	s.exec(`insert into erp.order_charge values (%d, 4, 'charge', 'tax', '', 1000, 22, 'IT')`, mixed)
	s.exec(`update erp.order_vat set gross = 6641, net = 5443, vat = 1198 where order_id = %d and vat_rate = 22`, mixed)
	if got := s.prove(); kinds(got) == "" {
		t.Error("a fixed amount of which the shop file says nothing was worked out")
	}
	var err error
	if s.rules, err = verify.ReadRules("opencart", bytes.Replace(deploy.ShopExample, []byte("fixed_taxes: []"), []byte("fixed_taxes: [{title: Eco Tax (-2.00), rate: 22}]"), 1)); err != nil {
		t.Fatal(err)
	}
	if got := s.prove(); got.Differences != 0 {
		t.Error(got.Details)
	}
	s.exec(`update erp.order_charge set gross = gross + case line when 2 then -1 else 1 end where order_id = %d`, goods) // shipping and tax
	if got := s.prove(); kinds(got) != "1 lines" {
		t.Errorf("a cent between the charges: found %v", got.Details)
	}
}

// Every planted difference is found, by name, and nothing else is.
func TestDifferencesAreFound(t *testing.T) {
	s := newSides(t)
	for _, c := range []struct{ name, spoil, mend, want string }{
		{"a cent more", `update erp.sales_order set total = total + 1 where id = 1`, `update erp.sales_order set total = total - 1 where id = 1`, "1 cents"},
		{"a cent between lines", `update erp.order_line set gross = gross + case line when 1 then 1 when 3 then -1 else 0 end where order_id = 2`,
			`update erp.order_line set gross = gross - case line when 1 then 1 when 3 then -1 else 0 end where order_id = 2`, "2 lines"},
		{"a cent of VAT", `update erp.order_vat set net = net - 1, vat = vat + 1 where order_id = 2 and vat_rate = 10`,
			`update erp.order_vat set net = net + 1, vat = vat - 1 where order_id = 2 and vat_rate = 10`, "2 vat"},
		{"another article", `update erp.order_line set article_id = 2 where order_id = 1`, `update erp.order_line set article_id = 1 where order_id = 1`, "1 lines, 1 journal"},
		{"another quantity", `update erp.order_line set quantity = 3 where order_id = 1`, `update erp.order_line set quantity = 2 where order_id = 1`, "1 lines, 1 journal"},
		{"another size in words", `update erp.order_line set options = 'Taglia: M' where order_id = 2 and line = 3`, `update erp.order_line set options = 'Taglia: L' where order_id = 2 and line = 3`, "2 lines, 2 journal"},
		{"not cancelled", `update erp.sales_order set state = 'open' where id = 5`, `update erp.sales_order set state = 'cancelled' where id = 5`, "5 state"},
		{"cancelled", `update erp.sales_order set state = 'cancelled' where id = 1`, `update erp.sales_order set state = 'open' where id = 1`, "1 state"},
		{"class", `update spola.link set class = 'final' where order_id = 1`, `update spola.link set class = 'taken' where order_id = 1`, "1 state"},
		{"missing", `update spola.link set erp_order = null where order_id = 3`, `update spola.link set erp_order = 3 where order_id = 3`, "3 missing, 0 extra"},
		{"gone", `update spola.link set erp_order = 99 where order_id = 3`, `update spola.link set erp_order = 3 where order_id = 3`, "3 missing, 0 extra"},
		{"twice", `update spola.link set erp_order = 1 where order_id = 5`, `update spola.link set erp_order = 5 where order_id = 5`, ""},
		{"not parked", `update spola.parked set order_id = 99`, `update spola.parked set order_id = 6`, "6 missing"},
		{"extra", `update spola.link set erp_order = 77 where order_id = 4`, `update spola.link set erp_order = null where order_id = 4`, "4 missing, 4 extra"},
		{"store credit", `update erp.order_payment set amount = 999 where kind = 'credit'`, `update erp.order_payment set amount = 1000 where kind = 'credit'`, "3 cents"},
	} {
		s.exec("%s", c.spoil)
		got := s.prove()
		switch {
		case got.Differences == 0:
			t.Errorf("%s: nothing was found", c.name)
		case c.want != "" && kinds(got) != c.want:
			t.Errorf("%s: found %q, want %q: %v", c.name, kinds(got), c.want, got.Details)
		}
		s.exec("%s", c.mend)
	}
	if got := s.prove(); got.Differences != 0 {
		t.Fatalf("mended, and yet: %v", got.Details)
	}
	s.spoilShop()
}

// spoilShop tries what only the journal can tell.
func (s *sides) spoilShop() {
	s.t.Helper()
	lost := &verify.Journaled{ID: 4711, Intended: true, Placed: verify.OK, PlacedAt: time.Now(), Facts: verify.Facts{State: 1, Method: "cod"}}
	s.journal.Orders = append(s.journal.Orders, lost)
	if got := s.prove(); kinds(got) != "4711 shop, 4711 missing" {
		s.t.Errorf("an order that was acknowledged and is nowhere: %v", got.Details)
	}
	s.journal.Orders = s.journal.Orders[:orders]
	s.journal.Orders[0].Facts.Cents++
	if got := s.prove(); kinds(got) != "1 journal" {
		s.t.Errorf("an order that was meant to cost a cent more: %v", got.Details)
	}
	s.journal.Orders[0].Facts.Cents--
	if err := s.shop.Delete(s.t.Context(), goods); err != nil {
		s.t.Fatal(err)
	}
	if got := s.prove(); kinds(got) != "1 shop" {
		s.t.Errorf("an order that nobody deleted is gone from the shop: %v", got.Details)
	}
	s.journal.Orders[0].Deleted = true
	if got := s.prove(); got.Differences != 0 || got.OrdersInERP != 4 || got.CentsShop != 18431-3050 || got.CentsERP != got.CentsShop {
		s.t.Errorf("an order that was deleted in the shop: %+v", got)
	}
	unpaid := strings.Replace(string(deploy.ShopExample), "{state: \"1\", method: cod, class: taken}", "{state: \"1\", method: cod, class: placed}", 1)
	var err error
	if s.rules, err = verify.ReadRules("opencart", []byte(unpaid)); err != nil {
		s.t.Fatal(err)
	}
	if got := s.prove(); !strings.Contains(kinds(got), "1 extra") {
		s.t.Errorf("a deleted order whose state is not taken by this shop's file is in the ERP: %v", got.Details)
	}
}

// An order of which nobody knows what it should be is looked for, and neither compared nor summed up.
func TestUnfinishedOrdersAreOnlyLookedFor(t *testing.T) {
	s := newSides(t)
	before := s.prove()
	s.exec(`update erp.sales_order set total = total + 1480 where id = 1`)
	if got := s.prove(); got.Differences == 0 {
		t.Fatal("1480 cents more are no difference")
	}
	s.journal.Orders[0].Unfinished = true
	got := s.prove()
	if got.Differences != 0 || got.Unfinished != 1 || got.OrdersInERP != before.OrdersInERP || got.CentsShop != got.CentsERP || got.CentsShop >= before.CentsShop {
		t.Errorf("an unfinished order: %+v, before: %+v", got, before)
	}
}

// What a clerk has done in the ERP is no difference: he has cancelled an order, or shipped or cancelled one that the
// shop has changed since, so that it waits for a person. Whoever is parked for that must have been shipped or cancelled.
func TestClerksMayActFirst(t *testing.T) {
	s := newSides(t)
	s.exec(`update erp.sales_order set state = 'cancelled', cancelled_by = 'clerk' where id = 1`)
	if got := s.prove(); got.Differences != 0 || got.CentsShop != 18431 {
		t.Errorf("cancelled by a clerk: %+v", got)
	}
	s.exec(`update erp.sales_order set total = total + 1 where id = 1`)
	if got := s.prove(); kinds(got) != "1 cents" {
		t.Errorf("cancelled by a clerk, and a cent more: %v", got.Details)
	}
	for _, c := range []struct {
		reason, state, by string
		waits             bool
	}{
		{"cancelled", "cancelled", "'clerk'", true}, {"shipped", "part_shipped", "null", true}, {"shipped", "shipped", "null", true}, {"shipped", "closed_short", "null", true},
		{"cancelled", "open", "null", false}, {"shipped", "open", "null", false}, {"sum_open", "shipped", "null", false}, {"shipped", "cancelled", "'clerk'", false},
	} {
		s.exec(`update erp.sales_order set state = '%s', cancelled_by = %s where id = 1`, c.state, c.by)
		s.exec(`insert into spola.parked (shop, order_id, reason, what, tick) values ('shop', 1, '%s', '', 1)`, c.reason)
		got := s.prove()
		if c.waits && (got.Differences != 0 || got.OrdersWaiting != 1 || got.OrdersInERP != 4 || got.CentsERP != 18431-3050 || got.CentsShop != got.CentsERP) {
			t.Errorf("%+v: %+v", c, got)
		}
		if !c.waits && (kinds(got) != "1 cents" || got.OrdersWaiting != 0) {
			t.Errorf("%+v: %+v", c, got)
		}
		s.exec(`delete from spola.parked where order_id = 1`)
	}
	// The shop has followed: what a customer changed before it did waits for nobody any more.
	if err := s.shop.Cancel(t.Context(), goods); err != nil {
		t.Fatal(err)
	}
	s.exec(`update spola.link set class = 'cancelled', state = '7' where order_id = 1`)
	for by, want := range map[string]string{"'clerk'": "", "'shop'": "1 cents"} {
		s.exec(`update erp.sales_order set state = 'cancelled', cancelled_by = %s where id = 1`, by)
		if got := s.prove(); kinds(got) != want || got.OrdersInERP != 4 || got.OrdersWaiting != 0 {
			t.Errorf("cancelled on both sides, in the ERP by %s: %+v", by, got)
		}
	}
}

// An order that the shop called done before the ERP was to have it waits for a person; called off then, it is nobody's any more.
func TestDoneWithoutHavingBeenTaken(t *testing.T) {
	s := newSides(t)
	for _, c := range []struct {
		state int
		want  string
	}{{5, "4 missing"}, {shop.Cancelled, ""}, {2, "4 missing"}, {shop.Cancelled, "4 missing"}} { // the last was taken in between
		if err := s.shop.SetStatus(t.Context(), waiting, c.state); err != nil {
			t.Fatal(err)
		}
		if got := s.prove(); kinds(got) != c.want {
			t.Errorf("in state %d now: %v, want %q", c.state, got.Details, c.want)
		}
	}
}

// What a person has decided need not be what the shop has; that it exists, once, is held all the same.
func TestDecidedOrdersNeedNotAgree(t *testing.T) {
	s := newSides(t)
	s.exec(`update erp.sales_order set total = total + 1 where id = 1`)
	for _, c := range []struct{ spoil, mend string }{
		{`update spola.link set adopted = true where order_id = 1`, `update spola.link set adopted = false where order_id = 1`},
		{`update spola.link set decision = 'keep_erp' where order_id = 1`, `update spola.link set decision = null where order_id = 1`},
	} {
		if got := s.prove(); kinds(got) != "1 cents" || got.OrdersDecided != 0 {
			t.Errorf("undecided: %+v", got)
		}
		s.exec("%s", c.spoil)
		if got := s.prove(); got.Differences != 0 || got.OrdersDecided != 1 || got.OrdersInERP != 3 {
			t.Errorf("%s: %+v", c.spoil, got)
		}
		s.exec("%s", c.mend)
	}
	s.exec(`update spola.link set adopted = true, erp_order = 99 where order_id = 1`)
	if got := s.prove(); kinds(got) != "1 missing, 0 extra" {
		t.Errorf("adopted by nobody: %v", got.Details)
	}
	s.exec(`update spola.link set adopted = false, erp_order = null, status = 'closed', decision = 'close' where order_id = 1`)
	if got := s.prove(); got.OrdersInScope != 4 || got.OrdersDecided != 1 {
		t.Errorf("closed by decision: %+v", got)
	}
}
