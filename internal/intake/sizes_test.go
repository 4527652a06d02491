package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// outcome is what must not depend on the size of batches.
const outcome = `select jsonb_pretty(jsonb_build_object(
	'orders', (select jsonb_agg(jsonb_build_array(o.reference, o.state, o.total, o.email,
		(select jsonb_agg(jsonb_build_array(a.sku, l.quantity, l.gross, l.vat_rate) order by a.sku, l.quantity, l.gross) from erp.order_line l join erp.article a on a.id = l.article_id where l.order_id = o.id),
		(select jsonb_agg(jsonb_build_array(v.vat_rate, v.gross, v.vat) order by v.vat_rate) from erp.order_vat v where v.order_id = o.id)) order by o.reference) from erp.sales_order o),
	'links', (select jsonb_agg(jsonb_build_array(order_id, status, state, class, consuming, deleted, erp_order is null) order by order_id) from spola.link),
	'consumption', (select jsonb_agg(jsonb_build_array(order_id, line, stock_row, pieces, article is null) order by order_id, line, stock_row) from spola.consumption),
	'totals', (select jsonb_agg(jsonb_build_array(stock_row, k) order by stock_row) from spola.stock_total where k <> 0),
	'parked', (select jsonb_agg(jsonb_build_array(order_id, reason) order by order_id) from spola.parked),
	'committed', (select sum(quantity) from erp.commitment)))`

// The same log gives the same orders, links and consumption, whatever the size of the batches. The
// statements of several people in the shop stand between each other, as they do in a shop without
// transactions.
func TestAnyBatchSizeGivesTheSame(t *testing.T) {
	profile, _ := testProfile(t)
	erps := map[int]*testERP{1: newTestERP(t), 60: newTestERP(t), 5000: newTestERP(t)}
	turns := erps[60].takeTurns()
	defer func() {
		if !t.Failed() && turns.early == 0 {
			t.Error("no order was drafted early")
		}

	}()
	rapid.Check(t, func(r *rapid.T) {
		shop := newTestShop(profile)
		base := len(shop.txs)
		playHistory(r, shop)
		results := map[int]string{}
		for size, erp := range erps {
			erp.liveBehind(shop.txs[:base])
			erp.catchUp(shop.testLog, size)
			results[size] = erp.text(outcome)
			erp.recount(r)
		}
		for _, size := range []int{60, 5000} {
			if results[size] != results[1] {
				r.Fatalf("%s", differences(shop.testLog, results[1], results[size], size))
			}
		}
	})
}

// differences tells what differs, and the story of each order that does.
func differences(l *testLog, one, many string, size int) string {
	var a, b map[string]any
	if err := errors.Join(json.Unmarshal([]byte(one), &a), json.Unmarshal([]byte(many), &b)); err != nil {
		return err.Error()
	}
	var text strings.Builder
	for key, x := range a {
		y := b[key]
		if fmt.Sprint(x) == fmt.Sprint(y) {
			continue
		}
		left, _ := x.([]any)
		right, _ := y.([]any)
		fmt.Fprintf(&text, "%s differ between batches of 1 and of %d:\n", key, size)
		stories(&text, l, "-", left, right)
		stories(&text, l, "+", right, left)
	}
	return text.String()
}

// stories tells what of some is not in others.
func stories(text *strings.Builder, l *testLog, sign string, some, others []any) {
	for _, x := range some {
		if slices.ContainsFunc(others, func(y any) bool { return fmt.Sprint(x) == fmt.Sprint(y) }) {
			continue
		}
		fmt.Fprintf(text, "%s %v\n", sign, x)
		if row, ok := x.([]any); ok {
			if id, ok := row[0].(float64); ok {
				fmt.Fprintf(text, "    %s\n", l.story(int64(id)))
			}
		}
	}
}

// recount holds the totals to the consumption they sum up.
func (e *testERP) recount(r *rapid.T) {
	wrong := e.text(`select string_agg(stock_row, ' ') from (
		select stock_row, sum(pieces) as k from spola.consumption where stock_row <> '' group by stock_row) c
		full join spola.stock_total t using (stock_row) where coalesce(c.k, 0) <> coalesce(t.k, 0)`)
	if wrong != "" {
		r.Fatalf("totals of %s are not the sum of their consumption", wrong)
	}
}

// playHistory lets several people act on a shop at once, one statement of one of them at a time.
func playHistory(r *rapid.T, shop *testOpenCart) {
	var running []func() bool // each does its next statement and tells whether there are more
	var placed []int64
	busy := map[int64]bool{}
	for step := 0; step < 60; step++ {
		switch act := rapid.IntRange(0, 9).Draw(r, "act"); {
		case act < 3:
			running = append(running, steps(shop, func(s *testOpenCart) {
				o := drawOrder(r)
				id := s.begin(o)
				placed = append(placed, id)
				s.setState(id, rapid.SampledFrom([]int64{1, 1, 1, 2, 8}).Draw(r, "state"))
			}))
		case act < 5 && len(placed) > 0:
			id := rapid.SampledFrom(placed).Draw(r, "order")
			if busy[id] || shop.rows["order"][id] == nil || toInt(shop.rows["order"][id]["order_status_id"]) == 0 {
				continue
			}
			busy[id] = true
			what := rapid.IntRange(0, 5).Draw(r, "what")
			running = append(running, steps(shop, func(s *testOpenCart) {
				switch {
				case what < 2:
					s.edit(id, drawOrder(r))
				case what == 2:
					s.setState(id, 7)
				case what == 3:
					s.setState(id, 2)
				case what == 4:
					s.setState(id, 5)
				default:
					s.remove(id)
				}
				busy[id] = false
			}))
		case act == 5:
			shop.tick(rapid.IntRange(1, 4).Draw(r, "ticks"))
		case act == 6:
			shop.update("product", 42, row{"subtract": rapid.IntRange(0, 1).Draw(r, "subtract")})
		}
		for range rapid.IntRange(0, 12).Draw(r, "statements") {
			if len(running) == 0 {
				break
			}
			at := rapid.IntRange(0, len(running)-1).Draw(r, "who")
			if !running[at]() {
				running = append(running[:at], running[at+1:]...)
			}
		}
	}
	for _, next := range running { // the last ones are left halfway, some of them
		for rapid.IntRange(0, 9).Draw(r, "on") > 0 && next() {
		}
	}
	shop.tick(5)
}

func drawOrder(r *rapid.T) testOrder {
	o := testOrder{method: rapid.SampledFrom([]string{"cod.cod", "bank_transfer.bank_transfer"}).Draw(r, "method")}
	for range rapid.IntRange(1, 3).Draw(r, "lines") {
		o.lines = append(o.lines, testLine{rapid.SampledFrom([]int64{31, 41, 42, 50}).Draw(r, "product"), 0, int64(rapid.IntRange(1, 4).Draw(r, "pieces"))})
	}
	if rapid.Bool().Draw(r, "coupon") {
		o.coupon = d("0.1")
	}
	o.email = fmt.Sprintf("c%d@example.com", rapid.IntRange(1, 3).Draw(r, "customer"))
	return o
}

// errLeft ends somebody's doing halfway.
type errLeft struct{}

// steps runs what somebody does in the shop one statement at a time, until it says that there are no more.
func steps(shop *testOpenCart, do func(*testOpenCart)) func() bool {
	next, _ := iter.Pull(func(yield func(bool) bool) {
		defer func() {
			if err := recover(); err != nil && err != any(errLeft{}) {
				panic(err)
			}
		}()
		shop.pause = func() {
			mine := shop.pause
			if !yield(true) {
				panic(errLeft{})
			}
			shop.pause = mine
		}
		do(shop)
	})
	return func() bool {
		_, more := next()
		shop.pause = nil
		return more
	}
}

// What an order costs, or a change of one, does not grow with those before it: no table is read beyond the order's own rows, also
// where nobody has analyzed tables that have grown since the statements were planned.
func TestOrderReadsItsOwnRowsOnly(t *testing.T) {
	profile, _ := testProfile(t)
	shop, erp := newTestShop(profile), newTestERP(t)
	erp.catchUp(shop.testLog, 1000)
	erp.live()
	place := func(n int) {
		for range n {
			shop.together(func() {
				id := shop.begin(testOrder{lines: []testLine{{31, 0, 2}, {41, 0, 1}}})
				shop.update("order", id, row{"order_status_id": 1})
				shop.insert("order_history", row{"order_id": id, "order_status_id": 1, "date_added": shop.now()})
			})
		}
	}
	place(20)
	erp.catchUp(shop.testLog, 1)
	place(1000)
	erp.catchUp(shop.testLog, 500)
	for _, step := range []struct {
		what   string
		change func()
	}{
		{"an order", func() { place(1) }},
		{"another state", func() { shop.setState(105, 2) }},
		{"an edit", func() { shop.edit(106, testOrder{lines: []testLine{{31, 0, 3}, {42, 0, 1}}}); shop.tick(4) }},
		{"a cancellation", func() { shop.setState(107, 7); shop.tick(4) }},
		{"a deletion", func() { shop.remove(108); shop.tick(4) }},
	} {
		step.change()
		erp.exec("select pg_stat_force_next_flush()")
		erp.exec("select pg_stat_reset()")
		erp.catchUp(shop.testLog, 1)
		erp.exec("select pg_stat_force_next_flush()")
		erp.exec("select 1")
		read := erp.text(`select string_agg(format('%s.%s: %s rows', schemaname, relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), e'\n')
			from pg_stat_user_tables where greatest(seq_tup_read, idx_tup_fetch, (select max(i.idx_tup_read) from pg_stat_user_indexes i where i.relid = pg_stat_user_tables.relid)) > 1000`)
		if read != "" {
			t.Errorf("for %s behind 1,020 others were read\n%s", step.what, read)
		}
	}
	if got := erp.text("select count(*) from erp.sales_order"); got != "1021" {
		t.Fatalf("%s orders in the ERP", got)
	}
}
