package intake

import (
	"errors"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Every cause parks its own order, says what is wrong, and lets the others through.
func TestEveryCauseParksItsOrder(t *testing.T) {
	shop, erp := bothLive(t)
	one := []testLine{{41, 0, 1}}
	want := map[int64]string{}
	park := func(reason, what string, o testOrder, spoil func(id int64)) {
		id := shop.begin(o)
		if spoil != nil {
			spoil(id)
		}
		state := int64(1)
		if reason == "unknown_state" {
			state = 17
		}
		if reason == "never_taken" {
			state = 5
		}
		shop.setState(id, state)
		want[id] = reason + "|" + what
	}
	ofOrder := func(table string, id int64, match, set row) {
		for key, r := range shop.rows[table] {
			if r["order_id"] == id {
				hit := true
				for c, v := range match {
					hit = hit && r[c] == v
				}
				if hit {
					shop.update(table, key, set)
				}
			}
		}
	}
	park("unknown_state", "State 17", testOrder{lines: one}, nil)
	park("never_taken", "State 5", testOrder{lines: one}, nil)
	park("sum_open", "difference -1.0000", testOrder{lines: one, addTotal: d("1")}, nil)
	park("sum_open", "add up to 120.1000, the order says 121.1000: difference -1.0000.", testOrder{lines: one, eco: true, addTotal: d("1")}, nil)
	park("gift_card", "Gift card, or what else stands in no line: the subtotal is 125.0000, its lines are 100.0000.", testOrder{lines: one, addTotal: d("25")}, func(id int64) {
		ofOrder("order_total", id, row{"code": "sub_total"}, row{"value": "125.0000"})
	})
	park("gift_card", "the subtotal is 100.0000, its lines are 0.", testOrder{lines: one}, func(id int64) { shop.deleteOrder("order_product", id) })
	park("vat_open", "the shop says 9.5000", testOrder{lines: one}, func(id int64) {
		ofOrder("order_total", id, row{"title": "IVA 10%"}, row{"value": "9.5000"})
		ofOrder("order_total", id, row{"code": "total"}, row{"value": "115.6000"})
		shop.update("order", id, row{"total": "115.6000"})
	})
	park("unknown_tax", "IVA 99%", testOrder{lines: one}, func(id int64) {
		ofOrder("order_total", id, row{"title": "IVA 22%"}, row{"title": "IVA 99%"})
	})
	park("fixed_tax", `"RAEE" of 4.0000`, testOrder{lines: one, eco: true}, func(id int64) {
		ofOrder("order_total", id, row{"title": ecoTax}, row{"title": "RAEE"})
	})
	park("tax_unclear", "VAT of 3.0000, which is 3.00 %", testOrder{lines: one}, func(id int64) {
		ofOrder("order_product", id, nil, row{"tax": "3.0000"})
	})
	park("unknown_total", "gift_wrap", testOrder{lines: one, extra: row{"code": "gift_wrap", "title": "Confezione", "value": "3.0000", "sort_order": 5}}, nil)
	park("unknown_article", "option values 17", testOrder{lines: []testLine{{50, 17, 1}}}, nil)
	park("multi_stock_options", "product 50", testOrder{lines: []testLine{{50, 17, 1}}}, func(id int64) {
		for key, r := range shop.rows["order_product"] {
			if r["order_id"] == id {
				shop.insert("order_option", row{"order_id": id, "order_product_id": key, "product_option_value_id": 19, "name": "Colore", "value": "rosso"})
			}
		}
	})
	park("unknown_nature", "0 % to CH", testOrder{lines: one, country: 204}, nil)
	park("unknown_country", "Country 999", testOrder{lines: one}, func(id int64) {
		shop.update("order", id, row{"shipping_country_id": 999})
	})
	park("invalid_text", "The order itself", testOrder{lines: one, first: "An\x00na"}, nil)
	park("no_lines", "no lines", testOrder{lines: one}, func(id int64) {
		shop.deleteOrder("order_product", id)
		ofOrder("order_total", id, row{"code": "sub_total"}, row{"value": "0.0000"})
	})
	park("overflow", "quantity 2000000", testOrder{lines: one}, func(id int64) {
		ofOrder("order_product", id, nil, row{"quantity": 2000000})
	})
	park("overflow", "total is 99999999999", testOrder{lines: one}, func(id int64) {
		shop.update("order", id, row{"total": "99999999999.0000"})
	})
	park("negative", "total is -", testOrder{lines: one}, func(id int64) {
		ofOrder("order_total", id, row{"code": "shipping"}, row{"code": "credit", "value": "-200.0000"})
		ofOrder("order_total", id, row{"title": "IVA 22%"}, row{"value": "0.0000"})
		shop.update("order", id, row{"total": "-90.0000"})
	})
	good := shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1000)

	erp.want("orders", "1", "select count(*) from erp.sales_order")
	erp.want("the good order", "imported", "select status from spola.link where order_id = $1", good)
	list, err := ListParked(t.Context(), erp.conn, testShop)
	if err != nil {
		t.Fatal(err)
	}
	got := map[int64]Parked{}
	for _, p := range list {
		got[p.Order] = p
	}
	for id, text := range want {
		reason, what, _ := strings.Cut(text, "|")
		p := got[id]
		if p.Reason != reason || !strings.Contains(p.What, what) || p.Why == "" || p.Mend == "" {
			t.Errorf("order %d is parked for %q: %q, %q; want %s: %s", id, p.Reason, p.What, p.Mend, reason, what)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d orders are parked, want %d", len(got), len(want))
	}
	for id := range want {
		if _, payload, err := ShowParked(t.Context(), erp.conn, testShop, id); err != nil || len(payload) < 10 {
			t.Errorf("order %d: %s, %v", id, payload, err)
		}
	}
}

func TestParkedOrdersFollowByThemselves(t *testing.T) {
	shop, erp := bothLive(t)
	shop.place(testOrder{lines: []testLine{{41, 0, 1}}}, 17)
	shop.place(testOrder{lines: []testLine{{41, 0, 1}}, country: 204}, 1)
	shop.update("product", 50, row{"subtract": 1})
	noArticle := shop.begin(testOrder{lines: []testLine{{42, 0, 1}}})
	for key, r := range shop.rows["order_product"] {
		if r["order_id"] == noArticle {
			shop.update("order_product", key, row{"model": "NEW:1", "product_id": 99})
		}
	}
	shop.setState(noArticle, 1)
	erp.catchUp(shop.testLog, 10)
	erp.want("parked", "3", "select count(*) from spola.parked")

	erp.article("NEW:1")
	shop.tick(1)
	erp.catchUp(shop.testLog, 10)
	erp.want("parked", "unknown_nature unknown_state", "select string_agg(reason, ' ' order by reason) from spola.parked")

	more := strings.Replace(testShopFile, "natures:", "natures:\n  - {country: \"*\", nature: N3.1}", 1)
	more = strings.Replace(more, "states:", "states:\n  - {state: \"17\", class: taken}", 1)
	erp.reload(more)
	shop.tick(1)
	erp.catchUp(shop.testLog, 10)
	erp.want("parked", "0", "select count(*) from spola.parked")
	erp.want("orders", "3", "select count(*) from erp.sales_order")
}

// What happens to a parked order afterwards waits behind what is wrong with it.
func TestLaterEventsOfAParkedOrder(t *testing.T) {
	shop, erp := bothLive(t)
	wrong := testOrder{lines: []testLine{{41, 0, 1}}, addTotal: d("1")}
	mended := shop.place(wrong, 1)
	cancelled := shop.place(wrong, 1)
	removed := shop.place(wrong, 1)
	shop.setState(mended, 2)
	erp.catchUp(shop.testLog, 1)
	erp.want("parked", "3", "select count(*) from spola.parked")
	shop.edit(mended, testOrder{lines: twoLines})
	shop.setState(cancelled, 7)
	shop.remove(removed)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1)
	erp.want("parked", "0", "select count(*) from spola.parked")
	erp.want("orders", "1", "select string_agg(shop_number, ' ') from erp.sales_order")
	erp.want("consumption", "product:31=2 product:41=1", totals)
}

func TestTooManyForOneReasonStopTheStream(t *testing.T) {
	shop, erp := bothLive(t)
	for range 20 {
		shop.place(testOrder{lines: []testLine{{41, 0, 1}}}, 17)
	}
	erp.catchUp(shop.testLog, 1000)
	shop.tick(60)
	erp.catchUp(shop.testLog, 1000)
	shop.place(testOrder{lines: []testLine{{41, 0, 1}}}, 17) // a minute later: one more does no harm
	erp.catchUp(shop.testLog, 1000)
	for range 20 {
		shop.place(testOrder{lines: []testLine{{41, 0, 1}}}, 17)
	}
	err := erp.tryCatchUp(shop.testLog, 1000)
	if !errors.Is(err, postgres.ErrStopped) || !strings.Contains(err.Error(), "unknown_state") {
		t.Fatalf("the stream goes on: %v", err)
	}
	erp.want("orders", "0", "select count(*) from erp.sales_order")
	erp.reload(strings.Replace(testShopFile, "states:", "states:\n  - {state: \"17\", class: taken}", 1))
	shop.tick(1)
	erp.catchUp(shop.testLog, 1000)
	erp.want("orders, once the state has a class", "41", "select count(*) from erp.sales_order")
}

// How many are parked in a minute does not depend on how much of the log one batch takes: a backlog of half an hour with three a minute stops nobody, one of which
// nothing can be taken does.
func TestBacklogParksByTheMinute(t *testing.T) {
	for _, batch := range []int{1, 1000} {
		shop, erp := bothLive(t)
		minutes := func(n, parked int) {
			for range n {
				for range parked {
					shop.place(testOrder{lines: []testLine{{41, 0, 1}}}, 17)
				}
				shop.tick(60)
			}
		}
		minutes(30, 3)
		erp.catchUp(shop.testLog, batch)
		erp.want("parked", "90", "select count(*) from spola.parked")
		erp.started = false // its next batch begins where the database says that the clock stood
		minutes(10, 25)
		if err := erp.tryCatchUp(shop.testLog, batch); !errors.Is(err, postgres.ErrStopped) || !strings.Contains(err.Error(), `for "unknown_state" within a minute, the last of them `) {
			t.Errorf("in batches of %d the stream goes on: %v", batch, err)
		}
	}
}
