package erp_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Invariant: whoever has locked stock waits for no order, for whoever ships locks the order first.
func TestReceiptWaitsForNoOrder(t *testing.T) {
	e := open(t)
	e.importOrders(order("a", item{1, 5}))
	e.exec(`begin; select from erp.sales_order where id = 1 for update`)
	other := connect(t, e.url)
	other.exec(`set lock_timeout = '3s'`)
	other.exec(`select erp.receive_goods(1::smallint, array[row(1, 5)]::erp.goods_in[])`)
	e.exec(`commit`)
	if got := e.text(`select backorder from erp.orders`); got != "false" {
		t.Errorf("backorder: %s", got)
	}
}

// The day that the README shows can be typed as it stands there.
func TestClerksDayOfTheREADME(t *testing.T) {
	e := open(t)
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(readme), "## A clerk's day in the reference ERP")
	_, block, begun := strings.Cut(section, "```sql\n")
	block, _, ended := strings.Cut(block, "```")
	if !found || !begun || !ended {
		t.Fatal("the README has no clerk's day")
	}
	e.exec(`update erp.warehouse set code = 'BO' where code = 'RM'`)
	e.exec(`select erp.put_articles(array(select row('Q' || sku, sku, sku, '', sku, 22, 1220, null, null, null, null, null, null, null)::erp.article_in from unnest('{SP-0003,SP-0005-L}'::text[]) sku))`)
	e.exec(`select erp.receive_goods(1::smallint, array[row(a.id, 5)::erp.goods_in]) from erp.article a where sku = 'SP-0003'`)
	b := order("a", item{11, 2})
	b.add("b", item{11, 2})
	b.add("c", item{11, 1})
	e.importOrders(b)
	var typed strings.Builder
	for line := range strings.Lines(year(e, block)) {
		deed, _, _ := strings.Cut(line, "-- ")
		typed.WriteString(deed + "\n")
	}
	deeds := 0
	for deed := range strings.SplitSeq(typed.String(), ";") {
		if deed = strings.TrimSpace(deed); deed != "" {
			e.exec(deed)
			deeds++
		}
	}
	if deeds != 14 {
		t.Errorf("the day has %d deeds", deeds)
	}
	if got := e.text(`select order_id, state, shipped, returned from erp.statuses order by 1`); got != "1 shipped 2 1\n2 closed_short 1 0\n3 cancelled 0 0" {
		t.Errorf("orders at the end of the day:\n%s", got)
	}
	if got := e.text(`select gross, special, weight_kg::text from erp.catalogue where sku = 'SP-0003'`); !strings.HasPrefix(got, "1490 1290 0.35") {
		t.Errorf("the article at the end of the day: %s", got)
	}
	if broken := e.text(brokenTotals); broken != "" {
		t.Error(broken)
	}
}

// A parcel tells the shop what left, with which carrier, and whether the order is complete by it.
func TestShipmentsAndStatuses(t *testing.T) {
	e := stocked(t)
	b := order("a", item{1, 3}, item{3, 2})
	b.add("b", item{4, 1})
	b.add("c", item{5, 2})
	b.add("d", item{2, 1})
	e.exec(`update erp.article set stocked = false where sku = 'S10'`)
	e.importOrders(b)
	e.exec(`select erp.ship_order(1, '{"1": 2}', erp.at('MI'), 'BRT', 'BRT1', 2, 3.5)`)
	e.exec(`select erp.ship_order(1, null, erp.at('MI'), 'GLS', 'GLS1')`)
	e.exec(`select erp.cancel_order(2, 'broken')`)
	e.exec(`select erp.ship_order(3, '{"1": 1}')`)
	e.exec(`select erp.close_short(3, 'sold out')`)
	e.exec(`select erp.take_back(1, '{"1": 2, "2": 1}', erp.at('NEG'), 'too small')`)
	e.exec(`select erp.ship_order(4)`)
	want := `1 a shop1 a MI BRT BRT 2 3.500 2 map[1:2] false
2 a shop1 a MI GLS GLS 1 - 3 map[1:1 2:2] true
3 c shop1 c MI - - 1 - 1 map[1:1] false`
	if got := strings.ReplaceAll(e.text(`select shipment_id, reference, shop, shop_number, warehouse, carrier, carrier_name, nullif(packages, 0),
		weight_kg::text, pieces, lines, complete from erp.shipments order by 1`), "BRT1", ""); got != want {
		t.Errorf("shipments:\n%s\nwant\n%s", got, want)
	}
	if got := e.text(`select tracking from erp.shipments order by shipment_id`); got != "BRT1\nGLS1\n" {
		t.Errorf("tracking numbers:\n%s", got)
	}
	want = `1 a shipped -  5 5 3
2 b cancelled clerk broken 1 0 0
3 c closed_short - sold out 2 1 0
4 d shipped -  1 1 0`
	if got := e.text(`select order_id, reference, state, cancelled_by, reason, quantity, shipped, returned from erp.statuses order by 1`); got != want {
		t.Errorf("statuses:\n%s\nwant\n%s", got, want)
	}
	want = "1 NEG 2 return 1 1 too small\n3 NEG 1 return 1 2 too small"
	if got := e.text(`select article_id, code, quantity, cause, order_id, line, note from erp.stock_movement m join erp.warehouse w on w.id = warehouse_id
		where cause = 'return' order by 1`); got != want {
		t.Errorf("returns:\n%s\nwant\n%s", got, want)
	}
	if got := e.available(5); got != "19 0 19" {
		t.Errorf("what was closed short is not free: %s", got)
	}
	if r := e.applyEdits(order("c", item{5, 1}))[0]; r.reason() != "shipped" {
		t.Errorf("edit of an order closed short: %+v", r)
	}
	if r := e.cancelOrders("c")[0]; r.reason() != "shipped" {
		t.Errorf("cancellation of an order closed short: %+v", r)
	}
	if broken := e.text(brokenTotals); broken != "" {
		t.Errorf("totals:\n%s", broken)
	}
}

// Prices hold from the moment of their function, special prices from day to day.
func TestCatalogue(t *testing.T) {
	e := open(t)
	e.exec(`select erp.set_price('S1', 1500), erp.set_special('S1', 1100, '2020-01-01', '2020-01-31'),
		erp.set_special('S2', 1000, '2020-01-01'), erp.set_special('S3', 900), erp.set_special('S3', null),
		erp.set_measures('S1', weight_kg => 1.25, depth_cm => 7)`)
	e.exec(`select erp.set_measures('S1', width_cm => 20.5, height_cm => 3)`)
	want := `S1 22.000 1500 1100 2020-01-01 2020-01-31 1.250 20.50 3.00 7.00
S2 22.000 1220 1000 2020-01-01 - 0.000 0.00 0.00 0.00
S3 22.000 1220 - - - 0.000 0.00 0.00 0.00`
	if got := e.text(`select sku, vat_rate::text, gross, special, special_from::text, special_to::text, weight_kg::text, width_cm::text, height_cm::text,
		depth_cm::text from erp.catalogue where sku in ('S1', 'S2', 'S3') order by 1`); got != want {
		t.Errorf("catalogue:\n%s\nwant\n%s", got, want)
	}
	e.exec(`select erp.receive_goods(3::smallint, erp.goods('{"S1": 1, "S2": 1, "S3": 1}'))`)
	e.exec(`select erp.enter_order(1, erp.at('NEG'), erp.goods('{"S1": 1, "S2": 2, "S3": 1}'))`)
	if got := e.text(`select article_id, gross from erp.order_lines order by 1`); got != "1 1500\n3 2000\n4 1220" {
		t.Errorf("prices of an order today:\n%s", got)
	}
}

// Invariant: what can't be is refused in a sentence that names it, and nothing of it has happened.
func TestClerkIsRefused(t *testing.T) {
	e := stocked(t)
	e.exec(`update erp.article set stocked = false where sku = 'S10'`)
	b := order("a", item{1, 3}, item{2, 1})
	b.add("b", item{3, 25})
	b.add("c", item{4, 1})
	e.importOrders(b)
	e.exec(`select erp.ship_order(2, '{"1": 4}'), erp.ship_order(3)`)
	e.importOrders(order("d", item{5, 13})) // 10 in Milano, 3 in Roma
	year := e.text(`select max(year) from erp.sales_order`)
	everything := `select (select jsonb_agg(s order by s) from erp.stock s), (select jsonb_agg(l order by l) from erp.order_line l),
		(select jsonb_agg(c order by c) from erp.commitment c), (select jsonb_agg(o order by o.id) from erp.sales_order o), (select count(*) from erp.shipment),
		(select count(*) from erp.stock_movement), (select jsonb_agg(a order by a.id) from erp.article a), (select last from erp.counter where series = 'T')`
	before := e.text(everything)
	for _, try := range []struct{ call, sentence string }{
		{`at('XX')`, `no warehouse has the code "XX"; there are MI, RM, NEG`},
		{`goods('{"S1": 1, "S77": 2}')`, `no article has the SKU "S77"`},
		{`goods('{"S1": 1.5}')`, `1.5 pieces of S1: not a whole number`},
		{`order_id('W1999/1')`, `no order has the number "W1999/1"`},
		{`order_id('7')`, `no order has the number "7"`},
		{`receive_goods(9::smallint, erp.goods('{"S1": 1}'))`, `no warehouse has the id 9`},
		{`receive_goods(null, erp.goods('{"S1": 1}'))`, `no warehouse has the id null`},
		{`receive_goods(1::smallint, erp.goods('{"S1": 0}'))`, `0 pieces of S1: must be from 1 to 1000000000`},
		{`receive_goods(1::smallint, erp.goods('{"S1": -4}'))`, `-4 pieces of S1: must be from 1 to 1000000000`},
		{`receive_goods(1::smallint, array[row(77, 1)]::erp.goods_in[])`, `no article has the id 77`},
		{`receive_goods(1::smallint, array[row(1, null)]::erp.goods_in[])`, `null pieces of S1: must be from 1 to 1000000000`},
		{`receive_goods(1::smallint, '{}')`, `no goods are named`},
		{`receive_goods(1::smallint, erp.goods('{"S10": 1}'))`, `S10 is a service or a download: it has no stock`},
		{`count_stock(1::smallint, erp.goods('{"S1": -1}'))`, `-1 pieces of S1: must be from 0 to 1000000000`},
		{`count_stock(1::smallint, array[row(1, 1), row(1, 2)]::erp.goods_in[])`, `an article stands twice in one count`},
		{`move_between(1::smallint, 1::smallint, erp.goods('{"S1": 1}'))`, `from warehouse MI into itself`},
		{`move_between(1::smallint, 3::smallint, erp.goods('{"S1": 18}'))`, `not enough of S1: 18 asked, 7 free in warehouse MI`},
		{`move_between(3::smallint, 1::smallint, erp.goods('{"S1": 1}'))`, `not enough of S1: 1 asked, 0 free in warehouse NEG`},
		{`sell_at_counter(1::smallint, erp.goods('{"S1": 18}'))`, `not enough of S1: 18 asked, 7 free in warehouse MI`},
		{`sell_at_counter(1::smallint, erp.goods('{"S2": 1}'))`, `not enough of S2: 1 asked, 0 free in warehouse MI`},
		{`enter_order(77, 3::smallint, erp.goods('{"S1": 1}'))`, `no customer has the id 77`},
		{`enter_order(1, 9::smallint, erp.goods('{"S1": 1}'))`, `no warehouse has the id 9`},
		{`ship_order(77)`, `no order has the id 77`},
		{`ship_order(3)`, `order W` + year + `/3 is shipped: nothing of it is to be shipped`},
		{`ship_order(1, '{"1": 4}')`, `line 1 of order W` + year + `/1: 4 pieces asked, 3 on hand`},
		{`ship_order(1, '{"3": 1}')`, `the order has no line 3`},
		{`ship_order(1, '{"1": 0}')`, `line 1: 0 pieces: not a whole number from 1`},
		{`ship_order(1, '[1]')`, `pieces by line are written as {"1": 2}: 2 pieces of line 1`},
		{`ship_order(1, null, erp.at('RM'))`, `nothing of order W` + year + `/1 is on hand in warehouse RM`},
		{`ship_order(1, null, 9::smallint)`, `no warehouse has the id 9`},
		{`ship_order(1, null, null, 'PIGEON')`, `no carrier has the code "PIGEON"; there are BRT, DHL, DPD, FEDEX, GLS, INPOST, LAPOSTE, POSTE, SDA, TNT, UPS`},
		{`ship_order(1, tracking => 'X1')`, `tracking number X1: of which carrier?`},
		{`ship_order(1, packages => 0)`, `0 packages: from 1 to 10000`},
		{`ship_order(1, weight_kg => -1)`, `weight of -1 kg: above 0, to 1000000`},
		{`ship_order(4, null, null, 'BRT', 'X1')`, `pieces of order W` + year + `/4 leave from MI and RM: name one warehouse, for a tracking number belongs to one shipment`},
		{`cancel_order(2, 'no')`, `order W` + year + `/2 is part shipped: only an open order can be cancelled, and one that left in part closed short`},
		{`close_short(1, 'no')`, `order W` + year + `/1 is open: only an order that left in part can be closed short`},
		{`take_back(1, '{"1": 1}', 1::smallint)`, `order W` + year + `/1 is open: nothing of it has left`},
		{`take_back(2, '{"1": 5}', 1::smallint)`, `line 1 of order W` + year + `/2: 5 pieces come back, 4 are with the customer`},
		{`take_back(2, '{"1": 1}', null)`, `no warehouse has the id 0`},
		{`take_back(2, null, 1::smallint)`, `pieces by line are written as {"1": 2}: 2 pieces of line 1`},
		{`set_price('S77', 1)`, `no article has the SKU "S77"`},
		{`set_price('S1', -1)`, `price of S1: -1 cents`},
		{`set_special('S1', 1220)`, `special price of S1: 1220 cents are not below its price of 1220`},
		{`set_special('S1', 1000, '2026-02-01', '2026-01-01')`, `special price of S1: it would end on 2026-01-01, before it begins on 2026-02-01`},
		{`set_special('S1', null, '2026-02-01')`, `special price of S1: days without a price`},
		{`set_measures('S1', weight_kg => -1)`, `measures of S1: not between 0 and 1000000`},
	} {
		_, err := e.Exec(context.Background(), "select erp."+try.call)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Message != try.sentence || refused.Code != "23514" {
			t.Errorf("%s\ngot  %v\nwant %s", try.call, err, try.sentence)
		}
	}
	if after := e.text(everything); after != before {
		t.Error("refused calls have changed something")
	}
	e.exec(`select erp.set_special('S1', 1000)`)
	if _, err := e.Exec(context.Background(), `select erp.set_price('S1', 1000)`); err == nil || !strings.Contains(err.Error(), "price of S1: 1000 cents are not above its special price of 1000; end that first") {
		t.Error(err)
	}
}
