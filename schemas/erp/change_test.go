package erp_test

import (
	"context"
	"strings"
	"testing"
)

// stocked gives every article 10 pieces in each web warehouse.
func stocked(t *testing.T) *erp {
	e := open(t)
	e.exec(`select erp.receive_goods(w::smallint, array(select row(a, 10)::erp.goods_in from generate_series(1, 10) a)) from generate_series(1, 2) w`)
	return e
}

func (e *erp) available(article int) string {
	return e.text(`select on_hand, committed, available from erp.availability where article_id = $1`, article)
}

// Invariant: after an edit the order is what the shop has, to the cent, and holds just its pieces;
// lines that stay keep their number.
func TestEditMakesTheOrderNew(t *testing.T) {
	e := stocked(t)
	e.importOrders(order("a", item{1, 3}, item{2, 1}, item{1, 4}))
	number := e.text(`select order_id, number from erp.orders`)
	b := order("a", item{3, 1}, item{1, 2})
	b.orders[0]["note"] = "to the neighbour"
	b.orders[0]["shop_number"] = "ignored"
	b.charges[0]["title"] = "Express"
	if r := e.applyEdits(b); !r[0].OK || !r[0].Existing {
		t.Fatalf("%+v", r[0])
	}
	if got := e.text(`select order_id, number from erp.orders`); got != number {
		t.Errorf("order became %s, was %s", got, number)
	}
	if got := e.text(`select line, position, article_id, quantity, committed from erp.order_lines order by position`); got != "4 1 3 1 1\n1 2 1 2 2" {
		t.Errorf("lines:\n%s", got)
	}
	if got := e.text(`select o.total, v.gross, p.amount, c.title, s.note from erp.orders o, erp.order_vat_rates v, erp.order_payments p, erp.order_charges c, erp.sales_order s`); got != "4160 4160 4160 Express to the neighbour" {
		t.Errorf("money: %s", got)
	}
	if one, two := e.available(1), e.available(2); one != "20 2 18" || two != "20 0 20" {
		t.Errorf("articles 1 and 2: %s, %s", one, two)
	}
}

// Invariant: an edit that is refused leaves everything as it was, and says why.
func TestEditRefused(t *testing.T) {
	e := stocked(t)
	var b batch
	b.add("whole", item{1, 3})
	b.add("part", item{2, 3})
	b.add("clerk", item{3, 1})
	b.add("bad", item{4, 1})
	e.importOrders(b)
	e.exec(`select erp.ship_order(1), erp.ship_order(2, '{"1": 2}'), erp.cancel_order(3, 'no longer made')`)
	everything := `select o.*, l.* from erp.orders o join erp.order_lines l using (order_id) order by o.order_id`
	before := e.text(everything)

	var edits batch
	for _, reference := range []string{"whole", "part", "clerk", "bad", "never"} {
		edits.add(reference, item{5, 1})
	}
	edits.lines[3]["quantity"] = 0
	var reasons []string
	for _, r := range e.applyEdits(edits) {
		reasons = append(reasons, r.reason())
	}
	if got := strings.Join(reasons, " "); got != "shipped shipped cancelled quantity unknown" {
		t.Errorf("reasons: %s", got)
	}
	if after := e.text(everything); after != before {
		t.Errorf("refused edits changed\n%s\nto\n%s", before, after)
	}
}

// Invariant: cancelled gives everything back once; the shop may take up again what the shop cancelled.
func TestCancelAndTakeUpAgain(t *testing.T) {
	e := stocked(t)
	b := order("a", item{1, 15}, item{2, 30})
	b.add("shipped", item{3, 1})
	e.importOrders(b)
	if got := e.available(1) + ", " + e.available(2); got != "20 15 5, 20 30 -10" {
		t.Fatalf("after import: %s", got)
	}
	e.exec(`select erp.ship_order(2)`)
	for range 2 {
		r := e.cancelOrders("a", "shipped", "never")
		if !r[0].OK || r[1].reason() != "shipped" || r[2].reason() != "unknown" {
			t.Errorf("%+v", r)
		}
		if got := e.available(1) + ", " + e.available(2); got != "20 0 20, 20 0 20" {
			t.Errorf("after cancelling: %s", got)
		}
	}
	if got := e.text(`select state, cancelled_by, backorder from erp.orders where order_id = 1`); got != "cancelled shop false" {
		t.Errorf("cancelled: %s", got)
	}
	if r := e.applyEdits(order("a", item{1, 2})); !r[0].OK {
		t.Fatalf("taking up again: %+v", r[0])
	}
	if got := e.text(`select state, cancelled_by from erp.orders where order_id = 1`) + " " + e.available(1); got != "open - 20 2 18" {
		t.Errorf("taken up again: %s", got)
	}
}

// Invariant: a reduced line never turns pieces into backorder, even when others of the call want them.
func TestReducedLineKeepsItsPieces(t *testing.T) {
	e := open(t)
	e.exec(`select erp.receive_goods(1::smallint, array[row(1, 5)]::erp.goods_in[])`)
	var b batch
	b.add("holder", item{1, 5})
	b.add("waiting", item{1, 5})
	e.importOrders(b)
	var edits batch
	edits.add("waiting", item{1, 6})
	edits.add("holder", item{1, 3})
	e.applyEdits(edits)
	if got := e.text(`select o.reference, l.committed, l.backorder, o.backorder from erp.orders o join erp.order_lines l using (order_id) order by 1`); got != "holder 3 0 false\nwaiting 6 4 true" {
		t.Errorf("lines:\n%s", got)
	}
}

func TestBackorderEndsWhenGoodsCome(t *testing.T) {
	e := open(t)
	e.importOrders(order("old", item{1, 2}))
	e.importOrders(order("young", item{1, 2}))
	e.exec(`select erp.receive_goods(1::smallint, array[row(1, 3)]::erp.goods_in[])`)
	if got := e.text(`select reference, backorder from erp.orders order by 1`); got != "old false\nyoung true" {
		t.Errorf("after 3 pieces:\n%s", got)
	}
	if _, err := e.Exec(context.Background(), `select erp.sell_at_counter(1::smallint, array[row(1, 1)]::erp.goods_in[])`); err == nil {
		t.Error("sold what is committed")
	}
}

// An order of the traditional trade holds pieces of its own warehouse, and web availability does not move.
func TestTraditionalOrder(t *testing.T) {
	e := stocked(t)
	e.exec(`select erp.receive_goods(3::smallint, array[row(1, 5)]::erp.goods_in[])`)
	e.exec(`select erp.enter_order(1, 3::smallint, array[row(1, 4), row(2, 1)]::erp.goods_in[])`)
	if got := e.text(`select number, channel, total, backorder from erp.orders`); !strings.HasPrefix(got, "T20") || !strings.HasSuffix(got, " traditional 6100 true") {
		t.Errorf("order: %s", got)
	}
	if got := e.available(1); got != "20 0 20" {
		t.Errorf("web availability: %s", got)
	}
	if broken := e.text(brokenTotals); broken != "" {
		t.Errorf("totals:\n%s", broken)
	}
}

// Services are sold without stock.
func TestUnstockedArticle(t *testing.T) {
	e := stocked(t)
	e.exec(`update erp.article set stocked = false where id = 10`)
	e.importOrders(order("a", item{10, 1}, item{1, 1}))
	if got := e.text(`select line, committed, backorder from erp.order_lines order by line`); got != "1 0 0\n2 1 0" {
		t.Errorf("lines:\n%s", got)
	}
	e.exec(`select erp.ship_order(1)`)
	if got := e.text(`select state from erp.orders`); got != "shipped" {
		t.Errorf("state: %s", got)
	}
}
