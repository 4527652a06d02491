package erp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// Invariant: a forced edit is an edit, whatever became of the order meanwhile; pieces that have left
// stay in it, and only what remains is committed.
func TestForcedEdit(t *testing.T) {
	e := stocked(t)
	var b batch
	for i, reference := range []string{"whole", "part", "clerk", "open", "less"} {
		b.add(reference, item{int64(i + 1), 3})
	}
	e.importOrders(b)
	e.exec(`select erp.ship_order(1), erp.ship_order(2, '{"1": 2}'), erp.cancel_order(3, 'no longer made'), erp.ship_order(5)`)
	var edits batch
	edits.add("whole", item{1, 3}, item{6, 1}) // one more line
	edits.add("part", item{2, 2})              // what has left is all
	edits.add("clerk", item{3, 4})
	edits.add("open", item{4, 1})
	edits.add("less", item{5, 1}, item{7, 1}) // two of three came back, so the shop says
	results, err := edits.call(e, "force_edits")
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results[:4] {
		if !r.OK || !r.Existing {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if r := results[4]; r.reason() != "shipped" || !strings.Contains(*r.Detail, "line 1: 3 pieces have left, the shop has 1") {
		t.Errorf("less than has left: %+v", r)
	}
	want := "1 part_shipped 1 3 3 0\n1 part_shipped 6 1 0 1\n2 shipped 2 2 2 0\n3 open 3 4 0 4\n4 open 4 1 0 1\n5 shipped 5 3 3 0"
	if got := e.text(`select o.order_id, o.state, l.article_id, l.quantity, l.shipped, l.committed from erp.orders o join erp.order_lines l using (order_id) order by 1, l.line`); got != want {
		t.Errorf("orders:\n%s\nwant\n%s", got, want)
	}
	if got := e.text(`select coalesce(sum(s.committed), 0)::bigint, (select coalesce(sum(quantity), 0)::bigint from erp.commitment) from erp.stock s`); got != "6 6" {
		t.Errorf("committed: %s", got)
	}
	// It goes on like any other: what was added is shipped.
	e.exec(`select erp.ship_order(1)`)
	if got := e.text(`select state from erp.orders where order_id = 1`); got != "shipped" {
		t.Errorf("order 1 is %s", got)
	}
}

func (e *erp) adopt(pairs ...any) []result {
	e.t.Helper()
	var rows []string
	for i := 0; i < len(pairs); i += 2 {
		rows = append(rows, fmt.Sprintf("row('%s', %d, 'shop1', 'n%d')", pairs[i], pairs[i+1], pairs[i+1]))
	}
	var out []result
	r, err := e.Query(context.Background(), "select reference, id, ok, existing, reason, detail from erp.adopt_orders(array["+strings.Join(rows, ",")+"]::erp.order_adopt_in[])")
	if err != nil {
		e.t.Fatal(err)
	}
	defer r.Close()
	for r.Next() {
		var x result
		if err := r.Scan(&x.Reference, &x.ID, &x.OK, &x.Existing, &x.Reason, &x.Detail); err != nil {
			e.t.Fatal(err)
		}
		out = append(out, x)
	}
	if r.Err() != nil {
		e.t.Fatal(r.Err())
	}
	return out
}

// Invariant: an adopted order is the shop's from then on, and nobody's twice; nothing else of it changes.
func TestAdoptedOrder(t *testing.T) {
	e := stocked(t)
	for range 4 {
		e.exec(`select erp.enter_order(1, 1::smallint, array[row(1, 2)]::erp.goods_in[])`)
	}
	e.importOrders(order("known", item{2, 1})) // order 5
	before := e.text(`select id, number, channel, state, total, customer_id from erp.sales_order order by id`)
	var reasons []string
	for _, r := range e.adopt("a", 1, "b", 99, "known", 2, "c", 5, "d", 3, "e", 3, "f", 4) {
		reasons = append(reasons, r.reason())
	}
	if got := strings.Join(reasons, " "); got != " unknown linked linked repeated repeated " {
		t.Errorf("reasons: %s", got)
	}
	if r := e.adopt("a", 1); !r[0].OK || !r[0].Existing {
		t.Errorf("adopted again: %+v", r[0])
	}
	if got := e.text(`select id, reference, shop, shop_number from erp.sales_order where reference is not null order by id`); got != "1 a shop1 n1\n4 f shop1 n4\n5 known shop1 known" {
		t.Errorf("references:\n%s", got)
	}
	if after := e.text(`select id, number, channel, state, total, customer_id from erp.sales_order order by id`); after != before {
		t.Errorf("adopting changed\n%s\nto\n%s", before, after)
	}
	if r := e.applyEdits(order("a", item{1, 5})); !r[0].OK || *r[0].ID != 1 {
		t.Errorf("an edit of it: %+v", r[0])
	}
	if r := e.cancelOrders("f"); !r[0].OK {
		t.Errorf("its cancellation: %+v", r[0])
	}
	if got := e.available(1); got != "20 9 11" { // 5 of the first, 2 each of two that stay
		t.Errorf("article 1: %s", got)
	}
}
