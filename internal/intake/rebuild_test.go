package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// rebuilt rebuilds from the log, whose records up to trimmed are gone.
func (e *testERP) rebuilt(l *testLog, how Replaying, trimmed int64) (Rebuilt, Replayed, error) {
	e.t.Helper()
	e.placed()
	conn, err := postgres.Connect(e.t.Context(), e.url, "rebuild")
	if err != nil {
		e.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	own := *e.effect.intake
	how.By = By{Who: "dana@office", Reason: "a test"}
	return own.Rebuild(e.t.Context(), conn, Rebuilding{Replaying: how, Read: func(_ context.Context, _ string, part stream.Range, each func([]change.Record) error) error {
		if first := part.From.Seq; first > 0 && first <= trimmed {
			return &stream.GoneError{Topic: "test", First: l.at(trimmed + 1)}
		}
		for _, tx := range l.txs {
			var inside []change.Record
			for _, r := range tx {
				if r.Seq > trimmed && r.Seq >= part.From.Seq && r.Seq > part.Behind.Seq && (part.To.Seq == 0 || r.Seq <= part.To.Seq) {
					inside = append(inside, r)
				}
			}
			if len(inside) > 0 {
				if err := each(inside); err != nil {
					return err
				}
			}
		}
		return nil
	}})
}

// placed notes how far intake is.
func (e *testERP) placed() {
	e.exec("update spola.place set generation = 1, seq = $1, applied = $1 where applier = 'intake'", e.applied)
}

// unequal is what differed of the live mirror: rows missing, too many and other of each table, and whose they are.
func (r Rebuilt) unequal() string {
	var tables []string
	for _, u := range r.Mirror {
		tables = append(tables, fmt.Sprintf("%s %d/%d/%d %v", u.Table, u.Missing, u.Extra, u.Other, u.Orders))
	}
	return strings.Join(tables, ", ")
}

// wholeMirror is all of the mirror but where in the log its rows were read.
const wholeMirror = `select md5(string_agg(x, '' order by x)) from (
	select (to_jsonb(m) - 'spola_at')::text as x from mirror_shop.oc_order m union all select (to_jsonb(m) - 'spola_at')::text from mirror_shop.oc_order_product m
	union all select (to_jsonb(m) - 'spola_at')::text from mirror_shop.oc_order_total m union all select (to_jsonb(m) - 'spola_at')::text from mirror_shop.oc_order_history m
	union all select (to_jsonb(m) - 'spola_at')::text from mirror_shop.oc_order_option m union all select (to_jsonb(m) - 'spola_at')::text from mirror_shop.oc_product m
	union all select (to_jsonb(m) - 'spola_at')::text from mirror_shop.oc_setting m union all select (to_jsonb(m) - 'spola_at')::text from mirror_shop.oc_customer m
	union all select (to_jsonb(m) - 'spola_at')::text from mirror_shop.oc_tax_rate m union all select (to_jsonb(m) - 'spola_at')::text from mirror_shop.oc_tax_rate_to_customer_group m) x`

// A mirror that is built again is the live one; what differs of the live one is found, and brought to it with what follows.
func TestRebuild(t *testing.T) {
	shop, erp := bothLive(t)
	erp.hasPlace()
	for range 6 {
		shop.place(testOrder{lines: twoLines}, 1)
	}
	shop.edit(2, testOrder{lines: []testLine{{42, 0, 3}}})
	shop.setState(3, 7)
	shop.remove(4)
	shop.tick(4)
	erp.catchUp(shop.testLog, 50)
	begun := shop.seq
	shop.snapshot(2, true)
	shop.edit(5, testOrder{lines: []testLine{{41, 0, 2}}})
	shop.place(testOrder{lines: twoLines}, 1)
	shop.update("product", 43, row{"quantity": 5})
	shop.tick(4)
	erp.catchUp(shop.testLog, 50)

	before, mirror, all := erp.text(outcome), erp.text(wholeMirror), erp.text(everything)
	for what, trimmed := range map[string]int64{"from the log's beginning": 0, "from its last snapshot": begun - 3} {
		r, orders, err := erp.rebuilt(shop.testLog, Replaying{DryRun: true}, trimmed)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(r.Mirror) > 0 || r.Swapped || orders.Differs() > 0 || orders.Orders != 7 || r.From != fmt.Sprintf("1/%d", begun+1) {
			t.Errorf("%s: %+v, %d orders: %s", what, r, orders.Orders, orders.outcomes())
		}
	}
	if _, _, err := erp.rebuilt(shop.testLog, Replaying{DryRun: true}, begun+3); !errors.Is(err, ErrNoSnapshot) || !strings.Contains(err.Error(), "cdc snapshot") {
		t.Errorf("from a log without a whole snapshot: %v", err)
	}

	// Rows of the live mirror that are not what the log says: of orders, of the catalogue and of the settings.
	erp.exec("update mirror_shop.oc_order_product set quantity = 9, total = 900 where order_id = 1 and product_id = 41") // wrong
	erp.exec("delete from mirror_shop.oc_order_total where order_id = 6 and code = 'shipping'")                          // missing
	erp.exec(`insert into mirror_shop.oc_order_product (order_product_id, order_id, product_id, master_id, name, model, quantity, price, total, tax, spola_at)
		values (777, 7, 43, 0, 'ghost', 'SP-43', 1, 0.0333, 0.0333, 0.0013, 1)`) // too many
	erp.exec("update mirror_shop.oc_product set quantity = 77 where product_id = 43")
	erp.exec("update mirror_shop.oc_tax_rate set name = 'IVA ventidue' where tax_rate_id = 101")
	erp.exec("select canonical_shop.take_lookups()")
	damaged := erp.text(everything)
	r, orders, err := erp.rebuilt(shop.testLog, Replaying{DryRun: true}, 0)
	if err != nil {
		t.Fatal(err)
	}
	const want = "oc_order_product 0/1/1 [1 7], oc_order_total 1/0/0 [6], oc_product 0/0/1 [], oc_tax_rate 0/0/1 []"
	if got := r.unequal(); got != want {
		t.Errorf("found  %s\nwanted %s", got, want)
	}
	if got := erp.text(everything); got != damaged {
		t.Error("a dry run has changed something")
	}
	_ = orders
	if r, orders, err = erp.rebuilt(shop.testLog, Replaying{}, begun-3); err != nil || !r.Swapped {
		t.Fatalf("%+v, %s, %v", r, orders.outcomes(), err)
	}
	if got := erp.text(wholeMirror); got != mirror {
		t.Error("the mirror is another one")
	}
	erp.want("settings", "1", "select count(distinct rate) from spola.tax_title where title = 'IVA 22%'")
	erp.want("what is left of second mirrors", "0", "select (select count(*) from spola.mirror where source <> 'shop') + (select count(*) from spola.mirror_table where source <> 'shop')")
	if got := erp.text(outcome); got != before {
		t.Errorf("orders before\n%s\nand behind\n%s", before, got)
	}
	if got := erp.text(everything); got == all {
		t.Error("no row was written again") // spola_at tells
	}
	shop.tick(2)
	shop.place(testOrder{lines: twoLines}, 1)
	shop.edit(1, testOrder{lines: []testLine{{41, 0, 1}}})
	shop.tick(4)
	erp.catchUp(shop.testLog, 50)
	erp.want("orders go on", "7", "select count(*) from erp.sales_order where state = 'open'")
	erp.recounted()
}

// What the shop does between the look at all rows and the swap is in both mirrors: a swap looks only at what differed, and brings no older row back.
func TestShopGoesOnBeforeTheSwap(t *testing.T) {
	shop, erp := bothLive(t)
	erp.hasPlace()
	shop.snapshot(2, true)
	for range 6 {
		shop.place(testOrder{lines: twoLines}, 1)
	}
	shop.tick(4)
	erp.catchUp(shop.testLog, 50)
	erp.exec("update mirror_shop.oc_order_product set quantity = 9, total = 900 where order_id in (1, 2, 3)") // wrong
	erp.exec("delete from mirror_shop.oc_order_total where order_id in (4, 5) and code = 'shipping'")         // missing
	erp.exec("update mirror_shop.oc_product set quantity = 77 where product_id = 43")                         // wrong
	erp.exec(`insert into mirror_shop.oc_order_product (order_product_id, order_id, product_id, master_id, name, model, quantity, price, total, tax, spola_at)
		values (777, 6, 43, 0, 'ghost', 'SP-43', 1, 0.0333, 0.0333, 0.0013, 1)`) // too many

	went := false
	goOn := func(int, int) {
		if went {
			return
		}
		went = true
		shop.edit(1, testOrder{lines: []testLine{{41, 0, 2}}}) // its wrong rows are gone
		shop.remove(2)
		shop.setState(4, 7)
		shop.edit(5, testOrder{lines: twoLines})
		shop.update("product", 43, row{"quantity": 5}) // right again
		shop.place(testOrder{lines: twoLines}, 1)
		shop.tick(4)
		erp.catchUp(shop.testLog, 50)
		erp.placed()
	}
	r, _, err := erp.rebuilt(shop.testLog, Replaying{Log: goOn}, 0)
	if err != nil || !r.Swapped || !went {
		t.Fatalf("%+v, %v", r, err)
	}
	if got, want := r.unequal(), "oc_order_product 0/1/2 [3 6], oc_order_total 1/0/0 [4]"; got != want {
		t.Errorf("brought %s\nwanted  %s", got, want)
	}
	if r, orders, err := erp.rebuilt(shop.testLog, Replaying{DryRun: true}, 0); err != nil || len(r.Mirror) > 0 || orders.Differs() > 0 {
		t.Errorf("behind it: %+v, %s, %v", r.Mirror, orders.outcomes(), err)
	}
	shop.tick(4)
	erp.catchUp(shop.testLog, 50)
	erp.recounted()
}

// at is a record of the log by its number.
func (l *testLog) at(seq int64) change.Record {
	for _, tx := range l.txs {
		for _, r := range tx {
			if r.Seq == seq {
				return r
			}
		}
	}
	panic(fmt.Sprintf("no record %d", seq)) // test code
}
