package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// shopTime reads a wall time of the shop, which is in Rome in winter.
func shopTime(text string) time.Time {
	t, err := time.Parse("2006-01-02T15:04:05", text)
	if err != nil {
		panic(err) // a test's own literal
	}
	return t.Add(-time.Hour)
}

// bothLive is a shop with its snapshot done and an ERP that is live.
func bothLive(t *testing.T) (*testOpenCart, *testERP) {
	t.Helper()
	profile, _ := testProfile(t)
	shop, erp := newTestShop(profile), newTestERP(t)
	erp.catchUp(shop.testLog, 1000)
	erp.live()
	return shop, erp
}

var twoLines = []testLine{{31, 0, 2}, {41, 0, 1}}

const vatOf = "select string_agg(concat_ws('/', vat_rate, vat_country, nullif(vat_nature, ''), gross, net, vat), ' ' order by vat_rate) from erp.order_vat"

func TestMoneyOfOneOrder(t *testing.T) {
	for name, c := range map[string]struct {
		order testOrder
		total string
		vat   string
		rest  string // charges and payments
	}{
		"goods of three rates": {testOrder{lines: []testLine{{31, 0, 1}, {41, 0, 1}, {43, 0, 3}}},
			"13119", "4.000/IT/10/10/0 10.000/IT/11000/10000/1000 22.000/IT/2109/1729/380", "charge:shipping:610 to_collect:cod.cod:13119"},
		"coupon": {testOrder{lines: []testLine{{31, 0, 3}, {41, 0, 1}}, coupon: d("0.1")},
			"14557", "10.000/IT/9900/9000/900 22.000/IT/4657/3817/840", "discount:coupon:-1100@10 discount:coupon:-450@22"},
		"store credit": {testOrder{lines: twoLines, credit: d("10")},
			"14608", "10.000/IT/11000/10000/1000 22.000/IT/3608/2957/651", "to_collect:cod.cod:13608 credit:credit:1000"},
		"fee of a plug-in": {testOrder{lines: []testLine{{41, 0, 1}}, fee: d("2.05")},
			"11860", "10.000/IT/11000/10000/1000 22.000/IT/860/705/155", "charge:payment_fee:250"},
		"Germany": {testOrder{lines: []testLine{{31, 0, 1}}, country: 81},
			"2057", "19.000/DE/2057/1729/328", ""},
		"reverse charge": {testOrder{lines: []testLine{{31, 0, 1}}, country: 81, group: 2, custom: `{"1":"DE123456789"}`},
			"1729", "0.000/DE/N3.2/1729/1729/0", ""},
		"pounds": {testOrder{lines: []testLine{{31, 0, 1}}, currency: "GBP", factor: "0.87310000"},
			"2109", "22.000/IT/2109/1729/380", ""},
		"fee and coupon on what is not shipped": {testOrder{lines: []testLine{{31, 0, 1}}, noShip: true, country: 81, fee: d("2.05"), coupon: d("0.1")},
			"1599", "22.000/IT/1599/1311/288", "charge:payment_fee:250 discount:coupon:-150@22"},
		// 12.2869 + 22 % + 2, twice; 100 + 10 % + 2; shipping 5 + 22 % + 2: of the 8.00 in all 1.44 is VAT at 22 %.
		"fixed amount a piece": {testOrder{lines: []testLine{{31, 0, 2}, {41, 0, 1}}, eco: true},
			"15408", "10.000/IT/11000/10000/1000 22.000/IT/4408/3613/795", "charge:shipping:610 charge:tax:800"},
		"fixed amount and coupon": {testOrder{lines: []testLine{{31, 0, 1}, {41, 0, 1}}, coupon: d("0.1"), eco: true},
			"12459", "10.000/IT/9900/9000/900 22.000/IT/2559/2098/461", "charge:tax:600 discount:coupon:-1100@10 discount:coupon:-150@22"},
		"fixed amount, reverse charge": {testOrder{lines: []testLine{{31, 0, 1}}, country: 81, group: 2, custom: `{"1":"DE123456789"}`, eco: true},
			"2129", "0.000/DE/N3.2/2129/2129/0", "charge:tax:400"},
		"nothing to ship": {testOrder{lines: []testLine{{31, 0, 1}}, noShip: true},
			"1499", "22.000/IT/1499/1229/270", ""},
	} {
		t.Run(name, func(t *testing.T) {
			shop, erp := bothLive(t)
			shop.place(c.order, 1)
			erp.catchUp(shop.testLog, 1)
			erp.want("total", c.total, "select total from erp.sales_order")
			erp.want("VAT", c.vat, vatOf)
			rest := erp.text(`select string_agg(x, ' ') from (
				select concat_ws(':', kind, code, gross) || case when kind = 'discount' then '@' || vat_rate::int else '' end as x from erp.order_charge
				union all select concat_ws(':', kind, code, amount) from erp.order_payment) t`)
			for _, part := range strings.Fields(c.rest) {
				if !strings.Contains(rest, part) {
					t.Errorf("charges and payments are %s, want %s", rest, part)
				}
			}
		})
	}
}

// By which rate, and with which fixed amounts, a piece bears its tax; where two rates would do, neither is taken.
func TestFixedAmountsInTheTaxOfALine(t *testing.T) {
	erp := newTestERP(t)
	for _, c := range []struct{ price, tax, want string }{
		{"12.2869", "2.7031", "(1,0,t)"}, {"12.2869", "4.7031", "(1,2.00,t)"}, {"12.2869", "5.2031", "(1,2.50,t)"},
		{"12.2869", "3.7287", "(2,2.50,t)"}, {"12.2869", "2.5000", "(0,2.50,t)"}, {"0", "0", "(0,0,t)"},
		{"16.6667", "3.6667", "(1,0,f)"}, // 22 %, or 10 % and 2.00
	} {
		erp.want(c.price+" with "+c.tax, c.want, "select spola.fit_tax($1::numeric, $2::numeric, '{22,10}', '{2.00,0.50}')::text", c.price, c.tax)
	}
	for _, rate := range []int{22, 10, 7, 4} {
		erp.want("without VAT", "true", "select (spola.without_vat(n / 100.0, $1) * (100 + $1) between n and n + 1e-15)::text from generate_series(1, 400) n order by 1 limit 1", rate)
	}
}

// An order whose fixed tax the shop file does not name follows when it does.
func TestFixedTaxIsNamedLater(t *testing.T) {
	shop, erp := bothLive(t)
	erp.exec("delete from spola.fixed_tax")
	shop.place(testOrder{lines: twoLines, eco: true}, 1)
	shop.tick(1)
	erp.catchUp(shop.testLog, 1)
	erp.want("parked", "fixed_tax fixed_tax "+ecoTax, "select concat_ws(' ', reason, waits_for, waits_key) from spola.parked")
	erp.exec("insert into spola.fixed_tax values ('shop', $1, 22)", ecoTax)
	shop.tick(1)
	erp.catchUp(shop.testLog, 1)
	erp.want("parked", "", "select string_agg(reason, ' ') from spola.parked")
	erp.want("fixed amount", "charge:tax:800", "select concat_ws(':', kind, code, gross) from erp.order_charge where code = 'tax'")
}

// A coupon that takes the shipping off leaves no VAT row at the shipping's rate. That is no sale at
// 0 %, which would need a reason.
func TestShippingTakenOffKeepsItsRate(t *testing.T) {
	shop, erp := bothLive(t)
	shop.place(testOrder{lines: []testLine{{41, 0, 3}}, freeShip: true}, 1)
	shop.place(testOrder{lines: []testLine{{31, 0, 1}, {41, 0, 1}}, freeShip: true}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.want("VAT", "10.000/IT/11000/10000/1000 10.000/IT/33000/30000/3000 22.000/IT/0/0/0 22.000/IT/1499/1229/270",
		"select string_agg(concat_ws('/', vat_rate, vat_country, nullif(vat_nature, ''), gross, net, vat), ' ' order by vat_rate, gross) from erp.order_vat")
	erp.want("charges", "charge/610/22.000 charge/610/22.000 discount/-610/22.000 discount/-610/22.000",
		"select string_agg(concat_ws('/', kind, gross, vat_rate), ' ' order by kind, gross) from erp.order_charge")
}

// No line of the shop file makes a sale at home an export, nor one to a private person in the EU.
func TestNatureFitsTheCountry(t *testing.T) {
	shop, erp := bothLive(t)
	erp.exec("delete from spola.nature")
	erp.exec(`insert into spola.nature values ('shop', 'EU', 'company', 'N3.2'), ('shop', '*', '*', 'N3.1'), ('shop', 'CH', 'company', 'N3.3'), ('shop', 'IT', 'public', 'N4')`)
	for _, c := range []struct{ country, kind, nature string }{
		{"DE", "company", "N3.2"}, {"DE", "private", ""}, {"IT", "company", ""}, {"IT", "public", "N4"},
		{"CH", "private", "N3.1"}, {"CH", "company", "N3.3"}, {"GB", "company", "N3.1"},
	} {
		erp.want(c.kind+" in "+c.country, c.nature, "select spola.nature_of('shop', $1, $2)", c.country, c.kind)
	}
	for _, country := range euMembers {
		if country != "IT" {
			erp.want("company in "+country, "N3.2", "select spola.nature_of('shop', $1, 'company')", country)
		}
	}
	shop.place(testOrder{lines: []testLine{{31, 0, 1}}, country: 204}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.want("VAT", "0.000/CH/N3.1/1729/1729/0", vatOf)
}

func TestOrderKeepsWhatAClerkNeeds(t *testing.T) {
	shop, erp := bothLive(t)
	shop.insert("customer", row{"customer_id": 7, "firstname": "Anna", "lastname": "Rossi", "email": "anna@example.com", "customer_group_id": 1})
	shop.place(testOrder{lines: twoLines, customer: 7, custom: `{"1":"","2":"RSSNNA80A41H501K","3":"a@pec.it","4":"ABC1234"}`, noPay: true, first: "O&#039;Neil &lt;b&gt; &amp;amp;"}, 1)
	shop.place(testOrder{lines: twoLines, customer: 7, currency: "GBP", factor: "0.87310000"}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.want("customers", "shop:account:7", "select string_agg(reference, ' ') from erp.customer")
	erp.want("tax data", "RSSNNA80A41H501K||a@pec.it|ABC1234|private", "select concat_ws('|', tax_code, vat_number, pec, sdi, kind) from erp.sales_order where shop_number = '1'")
	erp.want("name, decoded once", "O'Neil <b> &amp;", "select (shipping).first_name from erp.sales_order where shop_number = '1'")
	erp.want("billing of an order without", "true", "select billing = shipping from erp.sales_order where shop_number = '1'")
	erp.want("billing of an order with", "Via Milano 2", "select (billing).street from erp.sales_order where shop_number = '2'")
	erp.want("customer's money", "GBP 0.87310000 127.54", "select concat_ws(' ', customer_currency, customer_factor, customer_total) from erp.sales_order where shop_number = '2'")
	erp.want("province", "RM", "select (shipping).province from erp.sales_order where shop_number = '2'")
}

func TestStatesDecide(t *testing.T) {
	shop, erp := bothLive(t)
	shop.begin(testOrder{lines: twoLines})                                                    // 1: abandoned
	waits := shop.place(testOrder{lines: twoLines, method: "bank_transfer.bank_transfer"}, 1) // 2: placed
	shop.place(testOrder{lines: twoLines}, 8)                                                 // 3: denied at once
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "0", "select count(*) from erp.sales_order")
	erp.want("consumption", "product:31=2 product:41=1", totals)
	shop.setState(waits, 2)
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "2", "select string_agg(shop_number, ' ') from erp.sales_order")
	shop.setState(waits, 5)
	shop.tick(5)
	erp.catchUp(shop.testLog, 1)
	erp.want("final changes nothing", "open", "select state from erp.sales_order")
	erp.want("consumption", "product:31=2 product:41=1", totals)
}

const totals = "select string_agg(stock_row || '=' || k, ' ' order by stock_row) from spola.stock_total where k <> 0"

func TestHalfWrittenIsNobodysOrder(t *testing.T) {
	shop, erp := bothLive(t)
	id := shop.begin(testOrder{lines: twoLines})
	shop.stock(twoLines, -1)
	shop.update("order", id, row{"order_status_id": 1})
	shop.tick(10)
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "0", "select count(*) from erp.sales_order")
	shop.insert("order_history", row{"order_id": id, "order_status_id": 1, "date_added": shop.now()})
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "1", "select count(*) from erp.sales_order")
}

func TestEditIsNoCancellation(t *testing.T) {
	for _, size := range []int{1, 7, 1000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			shop, erp := bothLive(t)
			id := shop.place(testOrder{lines: twoLines}, 1)
			erp.catchUp(shop.testLog, size)
			first := erp.text("select id from erp.sales_order")
			edited := testOrder{lines: []testLine{{31, 0, 5}}}
			shop.setState(id, 16) // as edit does, with a look in between
			shop.tick(2)
			erp.catchUp(shop.testLog, size)
			erp.want("in the middle of it", "open 3", "select string_agg(state, ' ') || ' ' || (select sum(quantity) from erp.commitment) from erp.sales_order")
			shop.rewrite(id, edited.withDefaults())
			shop.lines[id] = edited.lines
			shop.setState(id, 1)
			shop.tick(5)
			erp.catchUp(shop.testLog, size)
			erp.want("same order, open", first+" open", "select string_agg(id || ' ' || state, ',') from erp.sales_order")
			erp.want("lines", "5", "select string_agg(quantity::text, ' ') from erp.order_line")
			erp.want("committed", "5", "select sum(quantity) from erp.commitment")
			erp.want("consumption", "product:31=5", totals)
		})
	}
}

func TestCancellationSettles(t *testing.T) {
	shop, erp := bothLive(t)
	id := shop.place(testOrder{lines: twoLines}, 1)
	shop.setState(id, 7)
	shop.tick(2)
	erp.catchUp(shop.testLog, 1)
	erp.want("after two ticks", "open", "select state from erp.sales_order")
	erp.want("consumption, unsettled", "product:31=2 product:41=1", totals)
	shop.tick(1)
	erp.catchUp(shop.testLog, 1)
	erp.want("after three", "cancelled", "select state from erp.sales_order")
	erp.want("consumption", "", totals)
	erp.want("commitments", "0", "select count(*) from erp.commitment")
	shop.setState(id, 2)
	erp.catchUp(shop.testLog, 1)
	erp.want("taken up again", "open", "select state from erp.sales_order")
	erp.want("consumption", "product:31=2 product:41=1", totals)
	erp.want("commitments", "3", "select sum(quantity) from erp.commitment")
}

func TestCancelledAfterShipmentIsParked(t *testing.T) {
	shop, erp := bothLive(t)
	id := shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.exec("select erp.ship_order(id) from erp.sales_order")
	shop.setState(id, 7)
	shop.tick(3)
	erp.catchUp(shop.testLog, 1)
	erp.want("parked", "shipped", "select reason from spola.parked")
	erp.want("consumption: the shop gave it back", "", totals)
	shop.setState(id, 2)
	erp.catchUp(shop.testLog, 1)
	erp.want("parked no more", "0", "select count(*) from spola.parked")
}

func TestEditAfterShipmentIsParked(t *testing.T) {
	shop, erp := bothLive(t)
	id := shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.exec("select erp.ship_order(id) from erp.sales_order")
	shop.edit(id, testOrder{lines: []testLine{{31, 0, 5}}})
	erp.catchUp(shop.testLog, 1)
	erp.want("parked", "shipped", "select reason from spola.parked")
	erp.want("lines as shipped", "2 1", "select string_agg(quantity::text, ' ' order by line) from erp.order_line")
	shop.edit(id, testOrder{lines: twoLines})
	erp.catchUp(shop.testLog, 1)
	erp.want("edited back", "0", "select count(*) from spola.parked")
}

func TestDeletedInTheShop(t *testing.T) {
	shop, erp := bothLive(t)
	taken := shop.place(testOrder{lines: twoLines}, 1)
	waits := shop.place(testOrder{lines: []testLine{{42, 0, 1}}, method: "bank_transfer"}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.want("consumption", "product:31=2 product:41=1 product:42=1", totals)
	shop.remove(taken)
	shop.remove(waits)
	erp.catchUp(shop.testLog, 1)
	erp.want("the ERP's order stays", "open", "select state from erp.sales_order")
	erp.want("consumption of what is imported", "product:31=2 product:41=1", totals)
	erp.want("link", "true", "select deleted from spola.link where order_id = $1", taken)
}

func TestIdUsedAgainIsParked(t *testing.T) {
	shop, erp := bothLive(t)
	id := shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1)
	shop.remove(id)
	shop.ids["order"] = id - 1 // the shop was restored
	if again := shop.place(testOrder{lines: []testLine{{41, 0, 1}}, email: "other@example.com"}, 1); again != id {
		t.Fatalf("order %d, want %d", again, id)
	}
	erp.catchUp(shop.testLog, 1)
	erp.want("parked", "id_used_again", "select reason from spola.parked")
	erp.want("orders", "1", "select count(*) from erp.sales_order")
	// Said to be another life of the shop, it is another order, with the articles of today.
	erp.article("OTHER")
	erp.importArticles("product,sku\n41,OTHER\n")
	erp.exec("update spola.shop set incarnation = 2")
	if _, err := RetryParked(t.Context(), erp.conn, testShop, By{Who: "anna@office"}, id); err != nil {
		t.Fatal(err)
	}
	shop.tick(1)
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "shop:1 shop:2:1", "select string_agg(reference, ' ' order by reference) from erp.sales_order")
	erp.want("articles", "shop:1 SP-31, shop:1 SP-41, shop:2:1 OTHER", `select string_agg(o.reference || ' ' || a.sku, ', ' order by o.id, a.sku)
		from erp.sales_order o join erp.order_line l on l.order_id = o.id join erp.article a on a.id = l.article_id`)
	// Each keeps its own pieces: the lost order's stay, whatever becomes of the other.
	const pieces = "select string_agg(concat_ws(' ', incarnation, stock_row, pieces), ', ' order by incarnation, stock_row) from spola.consumption"
	erp.want("consumption", "1 product:31 2, 1 product:41 1, 2 product:41 1", pieces)
	shop.edit(id, testOrder{lines: []testLine{{41, 0, 3}}, email: "other@example.com"})
	erp.catchUp(shop.testLog, 1)
	erp.want("consumption, edited", "1 product:31 2, 1 product:41 1, 2 product:41 3", pieces)
	erp.want("totals, edited", "product:31=2 product:41=4", totals)
	shop.remove(id)
	erp.catchUp(shop.testLog, 1)
	erp.want("consumption, deleted", "1 product:31 2, 1 product:41 1, 2 product:41 3", pieces)
}

func TestVariantsHaveArticlesByMapping(t *testing.T) {
	shop, erp := bothLive(t)
	shop.place(testOrder{lines: []testLine{{50, 17, 2}}}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.want("parked", "unknown_article/article", "select concat_ws('/', reason, waits_for) from spola.parked")
	erp.want("consumption of a parked order", "option:17=2 product:50=2", totals)
	erp.article("SP-50-L")
	done, err := ImportArticles(t.Context(), erp.conn, testShop, strings.NewReader("product;variant;sku\n50;17;SP-50-L\n"), By{Who: "anna@office"})
	if done.Lines != 1 || done.Changed != 1 || done.Again != 1 || err != nil {
		t.Fatalf("imported %+v, %v", done, err)
	}
	shop.tick(1)
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "1", "select count(*) from erp.sales_order")
	erp.want("parked", "0", "select count(*) from spola.parked")
	erp.want("article of the option's row", "SP-50-L -",
		"select string_agg(coalesce(a.sku, '-'), ' ' order by stock_row) from spola.consumption c left join erp.article a on a.id = c.article")
	if _, err := ImportArticles(t.Context(), erp.conn, testShop, strings.NewReader("product,sku\n31,NOBODY\n"), By{Who: "anna@office"}); err == nil {
		t.Error("an SKU that the ERP has not was imported")
	}
}

// typedOptions are options that keep no stock: one chosen by radio button, and what is typed.
var typedOptions = []row{
	{"product_option_id": 3, "product_option_value_id": 20, "name": "Colore", "value": "Blu &quot;notte&quot;", "type": "radio"},
	{"product_option_id": 4, "name": "Dedica", "value": "A &amp;amp; B,\r\ncon &lt;affetto&gt; 🙏", "type": "textarea"},
	{"product_option_id": 5, "name": "Consegna il", "value": "2026-12-24", "type": "date"},
	{"product_option_id": 6, "name": "Logo", "value": "f00dfacef00dfacef00dfacef00dface", "type": "file"},
}

// mapSizes maps the size of product 50, which has a colour besides that keeps no stock.
func mapSizes(t *testing.T, shop *testOpenCart, erp *testERP) {
	t.Helper()
	shop.insert("product_option_value", row{"product_option_value_id": 20, "product_id": 50, "product_option_id": 3, "quantity": 0, "subtract": 0})
	erp.article("SP-50-L")
	if _, err := ImportArticles(t.Context(), erp.conn, testShop, strings.NewReader("product,variant,sku\n50,17,SP-50-L\n"), By{Who: "anna@office"}); err != nil {
		t.Fatal(err)
	}
}

// What a customer chose or typed stands on the line for the clerk, and decides neither article nor stock.
func TestTypedOptionsReachTheClerk(t *testing.T) {
	shop, erp := bothLive(t)
	mapSizes(t, shop, erp)
	shop.place(testOrder{lines: []testLine{{50, 17, 1}, {31, 0, 2}, {50, 17, 1}}, options: typedOptions}, 1)
	erp.catchUp(shop.testLog, 1)
	const typed = "Colore: Blu \"notte\", Dedica: A &amp; B,\r\ncon <affetto> 🙏, Consegna il: 2026-12-24, Logo: f00dfacef00dfacef00dfacef00dface"
	erp.want("lines", "SP-50-L 1 Taglia: L, "+typed+"\nSP-31 2 "+typed+"\nSP-50-L 1 Taglia: L, "+typed,
		`select string_agg(concat_ws(' ', a.sku, l.quantity, l.options), e'\n' order by l.line) from erp.order_line l join erp.article a on a.id = l.article_id`)
	erp.want("consumption", "option:17=2 product:31=2 product:50=2", totals)
}

// An administrator saves the page of a product while it is ordered: all its option values are gone for a
// moment. Whether they keep stock is not guessed; the order follows when they are back.
func TestOrderWhileItsProductIsSaved(t *testing.T) {
	shop, erp := bothLive(t)
	mapSizes(t, shop, erp)
	erp.article("SP-50") // what the size must not be taken for
	shop.insert("product_option_value", row{"product_option_value_id": 21, "product_id": 43, "product_option_id": 4, "quantity": 0, "subtract": 0})
	values := maps.Clone(shop.rows["product_option_value"])
	sized, plain := shop.begin(testOrder{lines: []testLine{{50, 17, 1}}, options: typedOptions}), shop.begin(testOrder{lines: []testLine{{43, 21, 1}}})
	shop.together(func() {
		for _, id := range slices.Sorted(maps.Keys(values)) {
			shop.delete("product_option_value", id)
		}
	})
	for _, id := range []int64{sized, plain} {
		shop.update("order", id, row{"order_status_id": 1})
		shop.insert("order_history", row{"order_id": id, "order_status_id": 1, "date_added": shop.now()})
	}
	shop.tick(1)
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "", "select string_agg(shop_number, ' ') from erp.sales_order")
	for _, id := range slices.Sorted(maps.Keys(values)) {
		shop.insert("product_option_value", values[id])
	}
	shop.tick(2)
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "1 SP-50-L, 2 SP-43",
		"select string_agg(o.shop_number || ' ' || a.sku, ', ' order by o.id) from erp.sales_order o join erp.order_line l on l.order_id = o.id join erp.article a on a.id = l.article_id")
	erp.want("parked", "0", "select count(*) from spola.parked")
}

func TestMeaningIsFixedWhenFirstDerived(t *testing.T) {
	shop, erp := bothLive(t)
	id := shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.article("OTHER")
	if _, err := ImportArticles(t.Context(), erp.conn, testShop, strings.NewReader("product,sku\n31,OTHER\n"), By{Who: "anna@office"}); err != nil {
		t.Fatal(err)
	}
	shop.update("product", 31, row{"subtract": 0})
	shop.edit(id, testOrder{lines: []testLine{{31, 0, 3}, {41, 0, 1}}})
	shop.place(testOrder{lines: []testLine{{31, 0, 1}}}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.want("articles", "SP-31=3 SP-41=1 OTHER=1", "select string_agg(a.sku || '=' || l.quantity, ' ' order by l.order_id, l.line) from erp.order_line l join erp.article a on a.id = l.article_id")
	erp.want("the known line goes on consuming, the new one does not", "product:31=3 product:41=1", totals)
}

func TestUnclassifiedStateRefusesGoingLive(t *testing.T) {
	profile, _ := testProfile(t)
	shop, erp := newTestShop(profile), newTestERP(t)
	shop.insert("order_status", row{"order_status_id": 17, "language_id": 1, "name": "Backorder"})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1)
	if _, err := GoLive(t.Context(), erp.conn, testShop, Going{From: shopTime("2026-01-01T00:00:00")}); err == nil || !strings.Contains(err.Error(), "17 (Backorder)") {
		t.Errorf("going live: %v", err)
	}
}

// An ERP that can take no order at all is told before the first one stops the stream.
func TestERPWithoutAWarehouseRefusesGoingLive(t *testing.T) {
	profile, _ := testProfile(t)
	shop, erp := newTestShop(profile), newTestERP(t)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1)
	erp.exec("update erp.warehouse set web_rank = null")
	const mend = "UPDATE erp.warehouse SET web_rank = 1 WHERE code = 'W'"
	going := Going{From: shopTime("2026-01-01T00:00:00")}
	if r, err := CheckLive(t.Context(), erp.conn, testShop, going); err != nil || !strings.Contains(r.ERP, mend) {
		t.Errorf("dry run: %q, %v", r.ERP, err)
	}
	if _, err := GoLive(t.Context(), erp.conn, testShop, going); err == nil || !strings.Contains(err.Error(), mend) {
		t.Errorf("going live: %v", err)
	}
	erp.want("mode", "observe", "select mode from spola.shop")
	erp.exec(mend)
	if r, err := GoLive(t.Context(), erp.conn, testShop, going); err != nil || r.ERP != "" {
		t.Errorf("mended: %q, %v", r.ERP, err)
	}
	erp.want("mode", "live", "select mode from spola.shop")
}

func TestSettingsSavedByDeleteAndInsert(t *testing.T) {
	shop, erp := bothLive(t)
	for id, r := range shop.rows["setting"] {
		if r["key"] != "config_timezone" {
			shop.delete("setting", id)
		}
	}
	shop.tick(5)
	shop.place(testOrder{lines: twoLines}, 1) // with the copy before
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "1", "select count(*) from erp.sales_order")
	erp.want("copies", "1", "select lookups from spola.shop")
	shop.insert("setting", row{"store_id": 0, "key": "config_currency", "value": "EUR"})
	shop.insert("setting", row{"store_id": 0, "key": "config_country_id", "value": "105"})
	shop.insert("setting", row{"store_id": 0, "key": "config_processing_status", "value": `["2"]`})
	shop.insert("setting", row{"store_id": 0, "key": "config_complete_status", "value": `["5","3"]`})
	erp.catchUp(shop.testLog, 1)
	erp.want("copies, unsettled", "1", "select lookups from spola.shop")
	shop.tick(3)
	shop.place(testOrder{lines: twoLines}, 1) // state 1 consumes no more
	erp.catchUp(shop.testLog, 1)
	erp.want("copies", "2", "select lookups from spola.shop")
	erp.want("the past is not rewritten", "product:31=2 product:41=1", totals)
}

// A member that is cut out of a JSON text is what PostgreSQL reads there, whatever is escaped around it.
func TestMemberOfJSON(t *testing.T) {
	erp := newTestERP(t)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "code", `"code":"`, `"`, `\`, "€", ":", ",", "{", "}", `"name":"x"`, "\n"}), 0, 5)
		members := map[string]string{}
		for _, key := range []string{`"code`, "code", "name", "text"} {
			if rapid.Bool().Draw(t, key) {
				members[key] = strings.Join(words.Draw(t, key), "")
			}
		}
		text, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		escaped := strings.ReplaceAll(string(text), "€", `\u20ac`)
		for _, member := range []string{"code", "name"} {
			var got string
			if err := erp.conn.QueryRow(context.Background(), "select spola.json_text($1, $2)", escaped, member).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != members[member] {
				t.Fatalf("%s of %s is %q", member, escaped, got)
			}
		}
	})
}
