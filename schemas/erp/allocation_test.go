package erp_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"
)

// Thirty histories are enough for every run; -rapid.checks=1000 is for an evening.
func init() {
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
}

// Invariant: whole calls of any size commit, release and ship exactly the pieces that going
// through them piece by piece would, and every total agrees with its parts.
func TestAllocationAgainstModel(t *testing.T) {
	e := open(t)
	rapid.Check(t, func(t *rapid.T) {
		e := &erp{Conn: e.Conn, t: t, url: e.url}
		e.exec(`delete from erp.sales_order; delete from erp.order_line; delete from erp.order_charge; delete from erp.order_vat;
			delete from erp.order_payment; delete from erp.commitment; delete from erp.stock; delete from erp.stock_movement; delete from erp.shipment; delete from erp.shipment_line;
			alter sequence erp.sales_order_id_seq restart`)
		h := &history{erp: e, model: newModel()}
		t.Repeat(map[string]func(*rapid.T){
			"import":  h.importOrders,
			"edit":    h.edit,
			"cancel":  h.cancel,
			"ship":    h.ship,
			"part":    h.shipPart,
			"short":   h.closeShort,
			"return":  h.takeBack,
			"receive": h.receive,
			"sell":    h.sell,
			"count":   h.count,
			"move":    h.move,
			"":        h.check,
		})
	})
}

// history plays the same steps in the ERP and in the model.
type history struct {
	erp   *erp
	model *model
	last  int64
}

var someItems = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) item {
	return item{article: rapid.Int64Range(1, 3).Draw(t, "article"), quantity: rapid.Int64Range(1, 4).Draw(t, "quantity")}
}), 1, 3)

func (h *history) importOrders(t *rapid.T) {
	var b batch
	var takes [][]item
	for range rapid.IntRange(1, 4).Draw(t, "orders") {
		items := someItems.Draw(t, "items")
		takes = append(takes, items)
		b.add(fmt.Sprint(h.last+int64(len(takes))), items...)
	}
	for _, r := range h.erp.importOrders(b) {
		if !r.OK || fmt.Sprint(*r.ID) != *r.Reference {
			t.Fatalf("import: %+v", r)
		}
	}
	for _, items := range takes {
		h.last++
		h.model.take(h.last, items)
	}
}

// some draws orders in the states given, in the order of a call.
func (h *history) some(t *rapid.T, states ...string) []int64 {
	var ids []int64
	for _, id := range h.model.ids() {
		if slices.Contains(states, h.model.orders[id].state) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		t.Skip("no such order")
	}
	ids = rapid.Permutation(ids).Draw(t, "ids")
	return ids[:rapid.IntRange(1, min(3, len(ids))).Draw(t, "n")]
}

func (h *history) edit(t *rapid.T) {
	ids := h.some(t, "open", "cancelled", "shipped", "part_shipped", "closed_short")
	var b batch
	var edited []int64
	var items [][]item
	for _, id := range ids {
		lines := someItems.Draw(t, "items")
		b.add(fmt.Sprint(id), lines...)
		if state := h.model.orders[id].state; state == "open" || state == "cancelled" {
			edited, items = append(edited, id), append(items, lines)
		}
	}
	for i, r := range h.erp.applyEdits(b) {
		want := ""
		if state := h.model.orders[ids[i]].state; state != "open" && state != "cancelled" {
			want = "shipped"
		}
		if r.reason() != want {
			t.Fatalf("edit of order %d: %+v, want reason %q", ids[i], r, want)
		}
	}
	h.model.edit(edited, items)
}

func (h *history) cancel(t *rapid.T) {
	ids := h.some(t, "open", "cancelled", "shipped")
	// The oldest order loses its mark first, so the order of the call does not matter.
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	var references []string
	for _, id := range ids {
		references = append(references, fmt.Sprint(id))
	}
	for i, r := range h.erp.cancelOrders(references...) {
		if shipped := h.model.orders[ids[i]].state == "shipped"; r.OK == shipped {
			t.Fatalf("cancel order %d: %+v", ids[i], r)
		}
	}
	for _, id := range ids {
		h.model.cancel(id)
	}
}

func (h *history) ship(t *rapid.T) {
	id := h.some(t, "open", "part_shipped")[0]
	_, err := h.erp.Exec(context.Background(), "select erp.ship_order($1)", id)
	if left := h.model.ship(id, nil, 0); left != (err == nil) {
		t.Fatalf("ship order %d: %v, the model ships: %v", id, err, left)
	}
}

// shipPart asks for pieces of one line, from any warehouse or from one.
func (h *history) shipPart(t *rapid.T) {
	id := h.some(t, "open", "part_shipped")[0]
	line := rapid.SampledFrom(h.model.orders[id].lines).Draw(t, "line").line
	n, warehouse := rapid.Int64Range(1, 4).Draw(t, "pieces"), rapid.Int64Range(0, 2).Draw(t, "warehouse")
	_, err := h.erp.Exec(context.Background(), "select erp.ship_order($1, jsonb_build_object($2::int, $3::bigint), nullif($4, 0)::smallint)", id, line, n, warehouse)
	if left := h.model.ship(id, map[int64]int64{line: n}, warehouse); left != (err == nil) {
		t.Fatalf("ship %d pieces of line %d of order %d: %v, the model ships: %v", n, line, id, err, left)
	}
}

func (h *history) closeShort(t *rapid.T) {
	id := h.some(t, "open", "part_shipped", "shipped")[0]
	_, err := h.erp.Exec(context.Background(), "select erp.close_short($1, 'sold out')", id)
	if done := h.model.closeShort(id); done != (err == nil) {
		t.Fatalf("close order %d short: %v, the model does: %v", id, err, done)
	}
}

func (h *history) takeBack(t *rapid.T) {
	id := h.some(t, "part_shipped", "shipped", "closed_short")[0]
	l := rapid.SampledFrom(h.model.orders[id].lines).Draw(t, "line")
	n, warehouse := rapid.Int64Range(1, 4).Draw(t, "pieces"), rapid.Int64Range(1, 3).Draw(t, "warehouse")
	_, err := h.erp.Exec(context.Background(), "select erp.take_back($1, jsonb_build_object($2::int, $3::bigint), $4::smallint)", id, l.line, n, warehouse)
	if enough := l.shipped-l.returned >= n; enough != (err == nil) {
		t.Fatalf("take back %d pieces of line %d of order %d: %v", n, l.line, id, err)
	} else if enough {
		l.returned += n
		h.model.onHand[place{l.article, warehouse}] += n
		h.model.settle()
	}
}

func (h *history) count(t *rapid.T) {
	p := place{rapid.Int64Range(1, 3).Draw(t, "article"), rapid.Int64Range(1, 3).Draw(t, "warehouse")}
	n := rapid.Int64Range(0, 8).Draw(t, "quantity")
	h.erp.exec("select erp.count_stock($1::smallint, array[row($2::bigint, $3::bigint)]::erp.goods_in[])", p.warehouse, p.article, n)
	h.model.count(p, n)
}

func (h *history) move(t *rapid.T) {
	from := place{rapid.Int64Range(1, 3).Draw(t, "article"), rapid.Int64Range(1, 3).Draw(t, "from")}
	to := place{from.article, from.warehouse%3 + 1}
	n := rapid.Int64Range(1, 4).Draw(t, "quantity")
	_, err := h.erp.Exec(context.Background(), "select erp.move_between($1::smallint, $2::smallint, array[row($3::bigint, $4::bigint)]::erp.goods_in[])",
		from.warehouse, to.warehouse, from.article, n)
	if enough := h.model.free(from) >= n; enough != (err == nil) {
		t.Fatalf("move %d of %+v: %v, free in the model: %d", n, from, err, h.model.free(from))
	} else if enough {
		h.model.onHand[from] -= n
		h.model.onHand[to] += n
		h.model.settle()
	}
}

func (h *history) receive(t *rapid.T) {
	p := place{rapid.Int64Range(1, 3).Draw(t, "article"), rapid.Int64Range(1, 3).Draw(t, "warehouse")}
	n := rapid.Int64Range(1, 8).Draw(t, "quantity")
	h.erp.exec("select erp.receive_goods($1::smallint, array[row($2::bigint, $3::bigint)]::erp.goods_in[])", p.warehouse, p.article, n)
	h.model.onHand[p] += n
	h.model.settle()
}

func (h *history) sell(t *rapid.T) {
	p := place{rapid.Int64Range(1, 3).Draw(t, "article"), rapid.Int64Range(1, 3).Draw(t, "warehouse")}
	n := rapid.Int64Range(1, 4).Draw(t, "quantity")
	_, err := h.erp.Exec(context.Background(),
		"select erp.sell_at_counter($1::smallint, array[row($2::bigint, $3::bigint)]::erp.goods_in[])", p.warehouse, p.article, n)
	if enough := h.model.free(p) >= n; enough != (err == nil) {
		t.Fatalf("sell %d of %+v: %v, free in the model: %d", n, p, err, h.model.free(p))
	} else if enough {
		h.model.onHand[p] -= n
	}
}

func (h *history) check(t *rapid.T) {
	if broken := h.erp.text(brokenTotals); broken != "" {
		t.Fatalf("totals:\n%s", broken)
	}
	lines := strings.Split(h.erp.text(stateOf), "\n")
	sort.Strings(lines)
	if got, want := strings.Join(lines, "\n"), h.model.String(); got != want {
		t.Fatalf("ERP:\n%s\n\nmodel:\n%s", got, want)
	}
}

// Invariant: clerks and importers at the same time lose no piece and never wait in a circle.
func TestConcurrentClerks(t *testing.T) {
	e := open(t)
	e.exec(`select erp.receive_goods(w::smallint, array(select row(a, 500)::erp.goods_in from generate_series(1, 10) a)) from generate_series(1, 2) w`)
	const rounds = 40
	done, running := make(chan error, 7), 0
	start := func(work func(e *erp, i int) error) {
		own := connect(t, e.url)
		running++
		go func() {
			for i := range rounds {
				if err := work(own, i); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	start(func(e *erp, i int) error {
		var b batch
		for n := range 10 {
			b.add(fmt.Sprintf("a%d.%d", i, n), item{int64(n + 1), 3}, item{int64(10 - n), 2})
		}
		_, err := b.call(e, "import_orders")
		return err
	})
	start(func(e *erp, i int) error {
		b := order(fmt.Sprintf("b%d", i), item{10, 1}, item{5, 1}, item{1, 1})
		if _, err := b.call(e, "import_orders"); err != nil {
			return err
		}
		b = order(fmt.Sprintf("b%d", i), item{1, 2}, item{7, 2})
		_, err := b.call(e, "apply_edits")
		return err
	})
	start(everything)
	start(func(e *erp, _ int) error {
		_, err := e.Exec(context.Background(), "select erp.sell_at_counter(1::smallint, array[row(9, 1), row(1, 1), row(4, 2)]::erp.goods_in[])")
		return err
	})
	start(func(e *erp, _ int) error {
		_, err := e.Exec(context.Background(), `select erp.ship_order(id) from (
			select id from erp.sales_order where state = 'open' and reference like 'a%' order by id limit 1) o`)
		return err
	})
	start(func(e *erp, _ int) error {
		_, err := e.Exec(context.Background(), `select erp.sell_at_counter(1::smallint, erp.goods('{"S1": 1, "S3": 1, "S6": 1, "S8": 1, "S9": 1}'))`)
		return err
	})
	start(func(e *erp, i int) error {
		_, err := e.Exec(context.Background(), "select erp.ship_order(id) from erp.sales_order where reference = any(array['c' || $1::int, 'd' || $1::int])", i-1)
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "23514" {
			return nil // it was cancelled meanwhile
		}
		return err
	})
	for range running {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if broken := e.text(brokenTotals); broken != "" {
		t.Errorf("totals:\n%s", broken)
	}
}

// everything is what intake may do in one transaction: orders are taken over, others edited and cancelled.
func everything(e *erp, i int) error {
	ctx := context.Background()
	tx, err := e.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) // a second end is none
	edited, cancelled := fmt.Sprintf("c%d", i-1), fmt.Sprintf("d%d", i-1)
	if _, err := tx.Exec(ctx, "select erp.lock_orders(array(select id from erp.sales_order where reference in ($1, $2)), '{1,3,6,8,9}')", edited, cancelled); err != nil {
		return err
	}
	var b batch
	b.add(fmt.Sprintf("c%d", i), item{8, 1}, item{9, 2})
	b.add(fmt.Sprintf("d%d", i), item{9, 1}, item{8, 1})
	if _, err := b.call(tx, "import_orders"); err != nil {
		return err
	}
	if i > 0 {
		if _, err := order(edited, item{1, 1}, item{3, 1}, item{6, 1}).call(tx, "apply_edits"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select erp.cancel_orders(array[row($1, '')::erp.order_cancel_in])", cancelled); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}
