package intake

import (
	"errors"
	"strings"
	"testing"
)

// decide resolves a parked order and returns the error's text.
func (e *testERP) decide(order int64, choice Choice) string {
	e.t.Helper()
	_, err := ResolveParked(e.t.Context(), e.conn, testShop, order, choice, By{Who: "anna@office", Reason: "spoke to the customer"})
	if err == nil {
		return ""
	}
	if !errors.Is(err, ErrRefused) && !errors.Is(err, ErrNotParked) {
		e.t.Fatal(err)
	}
	return err.Error()
}

// ship ships the ERP's order of an order.
func (e *testERP) ship(order int64) {
	e.t.Helper()
	e.exec("select erp.ship_order(erp_order) from spola.link where order_id = $1", order)
}

const parkedList = "select string_agg(order_id || ' ' || reason, ', ' order by order_id) from spola.parked"

// An edit behind the shipment waits for a person with its difference; what the person says holds,
// and leaves who, what and why. Later changes count again.
func TestEditBehindShipmentIsDecided(t *testing.T) {
	shop, erp := bothLive(t)
	kept := shop.place(testOrder{lines: twoLines}, 1)
	taken := shop.place(testOrder{lines: twoLines}, 1)
	less := shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1000)
	for _, id := range []int64{kept, taken, less} {
		erp.ship(id)
	}
	more := testOrder{lines: []testLine{{31, 0, 2}, {41, 0, 1}, {42, 0, 1}}}
	shop.edit(kept, more)
	shop.edit(taken, more)
	shop.edit(less, testOrder{lines: []testLine{{31, 0, 1}, {41, 0, 1}}})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "1 shipped, 2 shipped, 3 shipped", parkedList)

	differences, err := CompareParked(t.Context(), erp.conn, testShop, kept)
	if err != nil || len(differences) != 1 || differences[0] != (Difference{What: "SP-42", ShopQuantity: 1, ShopGross: 2200}) {
		t.Errorf("differences: %+v, %v", differences, err)
	}
	if said := erp.decide(kept, Drop); !strings.Contains(said, "Choose --take-shop or --keep-erp") {
		t.Errorf("dropping what the ERP has: %q", said)
	}
	if _, err := ResolveParked(t.Context(), erp.conn, testShop, kept, KeepERP, By{Who: "anna", Reason: " "}); !errors.Is(err, ErrRefused) {
		t.Errorf("a decision without a reason: %v", err)
	}
	if said := erp.decide(kept, KeepERP) + erp.decide(taken, TakeShop); said != "" {
		t.Fatal(said)
	}
	if said := erp.decide(less, TakeShop); !strings.Contains(said, "2 pieces have left, the shop has 1") {
		t.Errorf("less than has left: %q", said)
	}
	erp.want("parked", "3 shipped", parkedList)
	lines := "select string_agg(o.state || ' ' || n, ', ' order by o.id) from erp.sales_order o, lateral (select count(*) as n from erp.order_line l where l.order_id = o.id) l"
	erp.want("orders", "shipped 2, part_shipped 3, shipped 2", lines)
	erp.want("decided", "1 keep-erp shipped, 2 take-shop shipped", `select string_agg(concat_ws(' ', order_id, decision, detail -> 'parked' ->> 'reason'), ', ' order by id) from spola.audit
		where who = 'anna@office' and reason = 'spoke to the customer' and verb = 'resolve'`)

	// A new state is no change of the order; another edit is.
	shop.setState(kept, 2)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "3 shipped", parkedList)
	shop.edit(kept, testOrder{lines: []testLine{{31, 0, 2}, {41, 0, 1}, {43, 0, 1}}})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "1 shipped, 3 shipped", parkedList)
	erp.want("orders", "shipped 2, part_shipped 3, shipped 2", lines)
}

// A cancellation behind the shipment can only be noted; what the ERP has cancelled may be opened again.
func TestCancellationsAreDecided(t *testing.T) {
	shop, erp := bothLive(t)
	left := shop.place(testOrder{lines: twoLines}, 1)
	clerk := shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1000)
	erp.ship(left)
	erp.exec("select erp.cancel_order(erp_order, 'no longer made') from spola.link where order_id = $1", clerk)
	shop.setState(left, 7)
	shop.edit(clerk, testOrder{lines: []testLine{{31, 0, 5}}})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "1 shipped, 2 cancelled", parkedList)
	if said := erp.decide(left, TakeShop); !strings.Contains(said, "its goods have left") || strings.Contains(said, "--take-shop or") {
		t.Errorf("taking a cancellation of what has left: %q", said)
	}
	if said := erp.decide(left, KeepERP) + erp.decide(clerk, TakeShop); said != "" {
		t.Fatal(said)
	}
	shop.insert("order_history", row{"order_id": left, "order_status_id": 7, "notify": 0, "comment": "called", "date_added": shop.now()})
	erp.catchUp(shop.testLog, 1000)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "", parkedList)
	erp.want("orders", "shipped, open", "select string_agg(state, ', ' order by id) from erp.sales_order")
	erp.want("committed", "5", "select sum(quantity) from erp.commitment")
	erp.want("consumption", "product:31=5", totals)
}

// A clerk's cancellation that an edit crosses: when the shop follows it, nothing is left for a person to say.
func TestShopFollowsACancellationBehindAnEdit(t *testing.T) {
	shop, erp := bothLive(t)
	id := shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1000)
	erp.exec("select erp.cancel_order(erp_order, 'no longer made') from spola.link where order_id = $1", id)
	shop.edit(id, testOrder{lines: []testLine{{31, 0, 1}}})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "1 cancelled", parkedList)
	shop.setState(id, 7)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "", parkedList)
	erp.want("link", "cancelled cancelled", "select status || ' ' || class from spola.link")
	erp.want("order", "cancelled clerk", "select state || ' ' || cancelled_by from erp.sales_order")
	erp.want("consumption", "", totals)
}

// What the ERP never had may be dropped, or be let in against the rules; a number used again belongs
// to the order before.
func TestDropped(t *testing.T) {
	shop, erp := bothLive(t)
	wrong := shop.place(testOrder{lines: twoLines, addTotal: d("1")}, 1)
	done := shop.place(testOrder{lines: twoLines}, 5)
	again := shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1000)
	shop.update("order", again, row{"email": "other@example.com", "date_added": shop.now()})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "1 sum_open, 2 never_taken, 3 id_used_again", parkedList)
	if said := erp.decide(wrong, TakeShop); !strings.Contains(said, "the ERP does not have it") {
		t.Errorf("taking what adds up to nothing: %q", said)
	}
	if said := erp.decide(again, KeepERP); !strings.Contains(said, "belongs to another order") {
		t.Errorf("keeping another order: %q", said)
	}
	if said := erp.decide(wrong, Drop) + erp.decide(done, TakeShop) + erp.decide(again, Drop); said != "" {
		t.Fatal(said)
	}
	if said := erp.decide(wrong, Drop); !strings.Contains(said, "not parked") {
		t.Errorf("dropped twice: %q", said)
	}
	shop.tick(1)
	erp.catchUp(shop.testLog, 1000)
	erp.want("orders", "2 3", "select string_agg(shop_number, ' ' order by shop_number) from erp.sales_order")
	for _, id := range []int64{wrong, again} { // what happens to them is no business of the ERP's
		shop.setState(id, 2)
	}
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "", parkedList)
	erp.want("orders", "2 3", "select string_agg(shop_number, ' ' order by shop_number) from erp.sales_order")
	erp.want("closed", "1 3", "select string_agg(order_id::text, ' ' order by order_id) from spola.link where status = 'closed'")
}

// An edit that adds up to nothing, and that a person has set aside, does not come back with each new state.
func TestEditSetAsideStaysAside(t *testing.T) {
	shop, erp := bothLive(t)
	id := shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1000)
	shop.edit(id, testOrder{lines: twoLines, addTotal: d("1")})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "1 sum_open", parkedList)
	if said := erp.decide(id, TakeShop); !strings.Contains(said, "difference -1.0000") {
		t.Errorf("taking what adds up to nothing: %q", said)
	}
	if said := erp.decide(id, KeepERP); said != "" {
		t.Fatal(said)
	}
	shop.setState(id, 2)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "", parkedList)
	shop.edit(id, testOrder{lines: twoLines, addTotal: d("2")})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked after another edit", "1 sum_open", parkedList)
}

func TestNothingIsResolvedInObserve(t *testing.T) {
	profile, _ := testProfile(t)
	shop, erp := newTestShop(profile), newTestERP(t)
	id := shop.place(testOrder{lines: twoLines, addTotal: d("1")}, 1)
	erp.catchUp(shop.testLog, 1000)
	if said := erp.decide(id, Drop); !strings.Contains(said, "golive --dry-run") {
		t.Errorf("resolved in observe: %q", said)
	}
}
