package intake

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// What is drafted while the batch before is at work is what would be drafted behind it, or is not used.
func TestOrdersAreDraftedEarly(t *testing.T) {
	profile, _ := testProfile(t)
	one := []testLine{{31, 0, 2}, {41, 0, 1}}
	at := func(s *testOpenCart, o testOrder, state int64) (id int64) {
		s.together(func() { id = s.place(o, state) })
		return id
	}
	account := func(s *testOpenCart, first string) {
		s.insert("customer", row{"customer_id": 9, "firstname": first, "lastname": "Rossi", "email": "nine@example.com", "customer_group_id": 1, "status": 1})
	}
	behind := func(t *testing.T, url, sql string) {
		t.Helper()
		conn, err := postgres.Connect(t.Context(), url, "test")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	swap := func(s *testOpenCart, order int64) {
		for id, line := range s.rows["order_product"] {
			if toInt(line["order_id"]) == order && toInt(line["product_id"]) == 41 {
				s.update("order_product", id, row{"product_id": 43})
				return
			}
		}
		t.Fatalf("order %d has no line of product 41", order)
	}
	var open, half int64 // orders that were begun before; half has its state without a row of the history
	cases := []struct {
		name          string
		first, second func(*testOpenCart)
		between       string // what somebody does when the first batch is committed
		early         int    // orders of the second batch that are taken as drafted
	}{
		{"nothing but orders", func(s *testOpenCart) {
			at(s, testOrder{lines: one}, 1)
			at(s, testOrder{lines: one, customer: 9}, 2)
		}, func(s *testOpenCart) {
			at(s, testOrder{lines: one}, 1)
			at(s, testOrder{lines: []testLine{{50, 17, 1}}, coupon: d("0.1")}, 1) // no article: parked
			at(s, testOrder{lines: one, method: "bank_transfer.bank_transfer"}, 1)
			at(s, testOrder{lines: one, customer: 9}, 2)
		}, "", 3},
		{"an order that the first batch has begun", func(s *testOpenCart) {
			s.together(func() { open = s.begin(testOrder{lines: one}) })
		}, func(s *testOpenCart) {
			at(s, testOrder{lines: one}, 1)
			s.together(func() { s.setState(open, 1) })
		}, "", 1},
		{"an order that the first batch rewrites", func(s *testOpenCart) {
			swap(s, half)
		}, func(s *testOpenCart) {
			at(s, testOrder{lines: one}, 1)
			s.insert("order_history", row{"order_id": half, "order_status_id": 1, "date_added": s.now()})
		}, "", 1},
		{"an order that is rewritten", nil, func(s *testOpenCart) {
			at(s, testOrder{lines: one}, 1)
			swap(s, half)
			s.insert("order_history", row{"order_id": half, "order_status_id": 1, "date_added": s.now()})
		}, "", 1},
		{"one that was begun before", nil, func(s *testOpenCart) {
			at(s, testOrder{lines: one}, 1)
			s.together(func() { s.setState(open, 1) })
		}, "", 1},
		{"what keeps stock", func(s *testOpenCart) {
			s.update("product", 31, row{"subtract": 0})
		}, func(s *testOpenCart) { at(s, testOrder{lines: one}, 1) }, "", 0},
		{"what keeps stock, behind the order", nil, func(s *testOpenCart) {
			s.update("product", 31, row{"subtract": 0})
			at(s, testOrder{lines: one}, 1)
		}, "", 0},
		{"settings", func(s *testOpenCart) {
			s.insert("order_status", row{"order_status_id": 44, "language_id": 1, "name": "new"})
		}, func(s *testOpenCart) { at(s, testOrder{lines: one}, 1) }, "", 0},
		{"an account that can't be read", func(s *testOpenCart) {
			account(s, "An\x00na")
		}, func(s *testOpenCart) {
			at(s, testOrder{lines: one, customer: 9}, 1)
			at(s, testOrder{lines: one}, 1)
		}, "", 1},
		{"such an account, in the batch itself", nil, func(s *testOpenCart) {
			account(s, "An\x00na")
			at(s, testOrder{lines: one, customer: 9}, 1)
			at(s, testOrder{lines: one}, 1)
		}, "", 1},
		{"back to observing", nil, func(s *testOpenCart) { at(s, testOrder{lines: one}, 1) }, "update spola.shop set mode = 'observe'", 0},
		{"another life of the shop", nil, func(s *testOpenCart) { at(s, testOrder{lines: one}, 1) }, "update spola.shop set incarnation = 2", 0},
		{"another class", nil, func(s *testOpenCart) {
			at(s, testOrder{lines: one}, 1)
			at(s, testOrder{lines: one}, 2)
		}, "update spola.state_class set class = 'placed' where state = '2'", 0},
		{"malformed tax data parks by now", nil, func(s *testOpenCart) { at(s, testOrder{lines: one, custom: `{"1":"IT123"}`}, 1) },
			"update spola.shop set malformed = 'park'", 0},
		{"an article found otherwise", nil, func(s *testOpenCart) { at(s, testOrder{lines: one}, 1) },
			"insert into spola.article (shop, product, variant, article, by) select 'shop', '31', '', id, 'sku' from erp.article where sku = 'SP-42'", 0},
	}
	plain, turning := newTestERP(t), newTestERP(t)
	turns := turning.takeTurns()
	for _, c := range cases {
		shop := newTestShop(profile)
		open = shop.begin(testOrder{lines: one})
		half = shop.begin(testOrder{lines: one})
		shop.update("order", half, row{"order_status_id": 1})
		shop.tick(5)
		base := shop.txs
		if c.first != nil {
			c.first(shop)
		}
		fill := func(to int) {
			for len(shop.txs) < to {
				shop.update("product", 43, row{"quantity": len(shop.txs)})
			}
		}
		fill(len(base) + 6)
		middle := shop.txs
		c.second(shop)
		fill(len(middle) + 6)
		all := shop.txs
		if len(middle) != len(base)+6 || len(all) != len(middle)+6 {
			t.Fatalf("%s: batches of %d and %d transactions", c.name, len(middle)-len(base), len(all)-len(middle))
		}
		between := func(e *testERP) func() {
			return func() {
				if c.between != "" {
					behind(t, e.url, c.between)
				}
			}
		}
		results := map[*testERP]string{}
		for _, erp := range []*testERP{plain, turning} {
			erp.liveBehind(base)
			if erp == plain {
				shop.txs = middle
				erp.catchUp(shop.testLog, 6)
				between(erp)()
			} else {
				turns.between = between(erp)
			}
			shop.txs = all
			turns.early = 0
			erp.catchUp(shop.testLog, 6)
			turns.between = nil
			results[erp] = erp.text(outcome)
		}
		if results[plain] != results[turning] {
			t.Errorf("%s: %s", c.name, differences(shop.testLog, results[plain], results[turning], 6))
		}
		if turns.early != c.early {
			t.Errorf("%s: %d orders were taken as drafted early, want %d", c.name, turns.early, c.early)
		}
	}
}

// Who maps articles waits for what is drafted: an order that is taken behind him has his article.
func TestArticlesWaitForDrafts(t *testing.T) {
	profile, _ := testProfile(t)
	shop, erp := newTestShop(profile), newTestERP(t)
	erp.takeTurns()
	erp.reload(testShopFile)
	shop.tick(5)
	erp.catchUp(shop.testLog, 1000)
	erp.live()
	for range 2 {
		shop.together(func() { shop.place(testOrder{lines: []testLine{{31, 0, 1}}}, 1) })
	}
	importing, err := postgres.Connect(t.Context(), erp.url, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer importing.Close(context.WithoutCancel(t.Context()))
	imported := make(chan error, 1)
	erp.turns.between = func() {
		go func() {
			_, err := ImportArticles(t.Context(), importing, testShop, strings.NewReader("product,variant,sku\n31,,SP-42\n"), By{Who: "anna@office"})
			imported <- err
		}()
		until(t, erp.url, "select exists (select from pg_locks where locktype = 'advisory' and not granted)")
	}
	erp.catchUp(shop.testLog, 1)
	erp.turns.between = nil
	if err := <-imported; err != nil {
		t.Fatal(err)
	}
	erp.want("drafted early", "1", fmt.Sprint("select ", erp.turns.early))
	shop.together(func() { shop.place(testOrder{lines: []testLine{{31, 0, 1}}}, 1) })
	erp.catchUp(shop.testLog, 1)
	erp.want("articles", "SP-31 SP-31 SP-42", "select string_agg(a.sku, ' ' order by l.order_id) from erp.order_line l join erp.article a on a.id = l.article_id")
}

// until waits for what a query tells.
func until(t *testing.T, url, query string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for holds := false; !holds; {
		if err := conn.QueryRow(ctx, query).Scan(&holds); err != nil {
			t.Errorf("wait until %s: %v", query, err)
			return
		}
	}
}

// What prepares an order waits for company, and so does what Spola's own appliers have written into the shop; what completes one does not, nor a
// tick, nor a probe.
func TestPreparationsArePatient(t *testing.T) {
	shop, erp := newAccounts(t)
	mark := func(name string) change.Record {
		return change.Record{Op: change.Update, Table: "spola_marker", Key: change.RowKey(nil, "spola_marker", fmt.Appendf(nil, `"name":%q`, name))}
	}
	patient := func(records ...change.Record) bool {
		f, err := erp.effect.split.rules.read(records)
		if err != nil {
			t.Fatal(err)
		}
		return apply.MayWait(&part{urgent: awaited(f, records)}, records)
	}
	for _, c := range []struct {
		records []change.Record
		want    bool
	}{
		{[]change.Record{mark("place.stock.erp"), mark("product:31")}, true},
		{[]change.Record{mark("tick")}, false},
		{[]change.Record{mark("probe")}, false},
		{[]change.Record{mark("place.stock.erp"), {Op: change.Probe}}, false},
	} {
		if got := patient(c.records...); got != c.want {
			t.Errorf("%s %s: %t", c.records[0].Table, c.records[0].Key, got)
		}
	}
	begun := len(shop.txs)
	id := shop.place(testOrder{lines: twoLines}, 1)
	shop.edit(id, testOrder{lines: twoLines[:1]})
	shop.remove(id)
	for _, tx := range shop.txs[begun:] {
		if got, want := patient(tx...), tx[0].Table != "oc_order_history"; got != want {
			t.Errorf("%s %s of an order: %t", tx[0].Op, tx[0].Table, got)
		}
	}
	begun = len(shop.txs)
	shop.update("setting", 1, row{"value": "[]"})
	if patient(shop.txs[begun]...) {
		t.Error("a setting waits")
	}
}
