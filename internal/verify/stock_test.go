package verify_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/verify"
)

// keepStock lets Spola keep accounts of three rows of the shop's stock: what they show is what there is. An order whose bank transfer is awaited has a piece that the
// ERP does not count, one was closed short by a piece, and one row is owed three pieces.
func (s *sides) keepStock() {
	s.t.Helper()
	s.exec(`insert into erp.warehouse (id, code, name, web_rank) values (1, 'BO', 'Bologna', 1), (2, 'MI', 'Milano', null)`)
	s.exec(`insert into erp.commitment (order_id, line, warehouse_id, article_id, quantity, backorder)
		select l.order_id, l.line, 1, l.article_id, l.quantity, 0 from erp.order_line l join erp.sales_order o on o.id = l.order_id where o.state = 'open'`)
	s.exec(`insert into spola.consumption (shop, order_id, incarnation, line, stock_row, article, pieces)
		values ('shop', 1, 1, '1', 'product:1', 1, 2), ('shop', 2, 1, '1', 'product:1', 1, 1), ('shop', 2, 1, '3', 'product:3', 2, 2), ('shop', 2, 1, '4:53', 'option:53', 3, 1),
			('shop', 3, 1, '1', 'product:1', 1, 1), ('shop', 4, 1, '1', 'product:1', 1, 1), ('shop', 5, 1, '1', 'product:1', 1, 0)`)
	s.exec(`insert into spola.stock_total (shop, stock_row, k) select shop, stock_row, sum(pieces) from spola.consumption group by 1, 2`)
	s.exec(`insert into spola.in_flight values ('shop', 'product:1', 4, 1, 1)`)
	s.exec(`insert into spola.stock_head (shop, no) values ('shop', 7)`)
	s.exec(`insert into spola.ledger (shop, no, stock_row, article_id, cause, pieces, target)
		values ('shop', 1, 'product:1', 1, 'start', 5, 5), ('shop', 2, 'product:3', 2, 'start', 0, 0), ('shop', 3, 'option:53', 3, 'start', 4, 4),
			('shop', 4, 'product:1', 1, 'delta', -2, 3), ('shop', 5, 'product:1', 1, 'delta', 1, 4), ('shop', 6, 'product:3', 2, 'delta', 3, 3), ('shop', 7, 'option:53', 3, 'delta', 1, 5)`)
	s.exec(`insert into spola.stock_account (shop, stock_row, article_id, buffer, published, target)
		values ('shop', 'product:1', 1, 2, 0, 4), ('shop', 'product:3', 2, 0, 0, 3), ('shop', 'option:53', 3, 0, 0, 5)`)
	s.inShop("UPDATE oc_order SET date_modified = NOW() - INTERVAL 1 HOUR")
	s.inShop("CREATE TABLE spola_marker (name varchar(191) PRIMARY KEY, generation bigint NOT NULL DEFAULT 0, number bigint NOT NULL DEFAULT 0, applied bigint NOT NULL DEFAULT 0, note text)")
	s.inShop("INSERT INTO spola_marker (name, number, applied) VALUES ('product:1', 5, 4), ('product:3', 2, 0), ('option:53', 7, 5), ('tick', 5, 0)")
	for row, want := range map[string]string{"product:1": "1, 1, $1 + 2 + 1", "product:3": "2, 1, $1 + 3", "option:53": "3, 1, $1"} { // buffer and flight; owed
		var pieces int64
		kind, id, _ := strings.Cut(row, ":")
		if err := s.shop.DB().QueryRowContext(s.t.Context(), map[string]string{"product": "SELECT quantity FROM oc_product WHERE product_id = ?",
			"option": "SELECT quantity FROM oc_product_option_value WHERE product_option_value_id = ?"}[kind], id).Scan(&pieces); err != nil {
			s.t.Fatal(err)
		}
		s.exec("insert into erp.stock (article_id, warehouse_id, on_hand) values (%s)", strings.ReplaceAll(want, "$1", fmt.Sprint(pieces)))
	}
	s.exec("update erp.stock s set committed = k.pieces, on_hand = on_hand + k.pieces from (select article_id, sum(quantity) as pieces from erp.commitment group by 1) k where k.article_id = s.article_id")
	s.exec("insert into erp.stock (article_id, warehouse_id, on_hand) select article_id, 2, 1000 from erp.stock") // which the shop does not show
}

func (s *sides) inShop(statement string) {
	s.t.Helper()
	if _, err := s.shop.DB().ExecContext(s.t.Context(), statement); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

// stock compares the stock while between may happen at each look.
func (s *sides) stock(between func()) *verify.StockReport {
	s.t.Helper()
	report, err := verify.Stock(s.t.Context(), verify.Config{Shop: s.shop.DB(), ERP: s.erp, Name: "shop", Rules: s.rules},
		func(context.Context) error { return nil }, func(context.Context) error { between(); return nil })
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

// stockKinds lists what was found: "product:1 shown".
func stockKinds(r *verify.StockReport) string {
	var all []string
	for _, d := range r.Details {
		all = append(all, strings.TrimSpace(d.Row+" "+d.Kind))
	}
	return strings.Join(all, ", ")
}

// Whatever is wrong with the stock is found, by name, and nothing else is.
func TestStockDifferencesAreFound(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	if got := s.stock(func() { t.Error("waits for the ledger of a shop that has no accounts") }); got.Rows != 0 || got.Differences != 0 {
		t.Errorf("a shop whose stock is nobody's: %+v", got)
	}
	s.keepStock()
	for _, c := range []struct {
		name        string
		spoil, mend string // "shop: " in the shop
		want        string
	}{
		{"a piece more in the shop", "shop: UPDATE oc_product SET quantity = quantity + 1 WHERE product_id = 1", "shop: UPDATE oc_product SET quantity = quantity - 1 WHERE product_id = 1", "product:1 shown"},
		{"a size less", "shop: UPDATE oc_product_option_value SET quantity = quantity - 1 WHERE product_option_value_id = 53", "shop: UPDATE oc_product_option_value SET quantity = quantity + 1 WHERE product_option_value_id = 53", "option:53 shown"},
		{"delivered twice", "shop: UPDATE spola_marker SET applied = applied + 1 WHERE name = 'product:1'", "shop: UPDATE spola_marker SET applied = applied - 1 WHERE name = 'product:1'", "product:1 shown"},
		{"a receipt that no account knows", "update erp.stock set on_hand = on_hand + 1 where article_id = 2 and warehouse_id = 1", "update erp.stock set on_hand = on_hand - 1 where article_id = 2 and warehouse_id = 1", "product:3 shown"},
		{"another buffer", "update spola.stock_account set buffer = 3 where stock_row = 'product:1'", "update spola.stock_account set buffer = 2 where stock_row = 'product:1'", "product:1 shown"},
		{"another warehouse", "insert into spola.stock_warehouse values ('shop', 'BO'), ('shop', 'MI')", "delete from spola.stock_warehouse", "option:53 shown, product:1 shown, product:3 shown"},
		{"in flight by hand", "update spola.in_flight set pieces = 2", "update spola.in_flight set pieces = 1", "product:1 in flight, product:1 shown"},
		{"no more in flight", "delete from spola.in_flight", "insert into spola.in_flight values ('shop', 'product:1', 4, 1, 1)", "product:1 in flight, product:1 shown"},
		{"not committed", "delete from erp.commitment where order_id = 1", "insert into erp.commitment (order_id, line, warehouse_id, article_id, quantity, backorder) values (1, 1, 1, 1, 2, 0)", "product:1 in flight"},
		{"closed short unnoticed", "update erp.sales_order set state = 'closed_short' where id = 3", "update erp.sales_order set state = 'open' where id = 3", "product:1 in flight"},
		{"a sum by hand", "update spola.stock_total set k = k + 1 where stock_row = 'product:3'", "update spola.stock_total set k = k - 1 where stock_row = 'product:3'", "product:3 consumed"},
		{"an entry is gone", "delete from spola.ledger where no = 4", "insert into spola.ledger (shop, no, stock_row, article_id, cause, pieces, target) values ('shop', 4, 'product:1', 1, 'delta', -2, 3)", "entry, product:1 entry"},
		{"the last entry is gone", "delete from spola.ledger where no = 7", "insert into spola.ledger (shop, no, stock_row, article_id, cause, pieces, target) values ('shop', 7, 'option:53', 3, 'delta', 1, 5)", "option:53 account, entry"},
		{"an entry is another", "update spola.ledger set pieces = 2 where no = 5", "update spola.ledger set pieces = 1 where no = 5", "product:1 entry"},
		{"an account by hand", "update spola.stock_account set target = 4 where stock_row = 'option:53'", "update spola.stock_account set target = 5 where stock_row = 'option:53'", "option:53 account, option:53 shown"},
		{"what a restore has lost", "update spola.ledger set no = no + 90 where no >= 6; update spola.stock_head set no = 97; insert into spola.recovery (shop, who, generation, seq, lost_above, lost_to, tick, found) values ('shop', '', 1, 1, 5, 95, 0, '[]')",
			"update spola.ledger set no = no - 90 where no >= 6; update spola.stock_head set no = 7; delete from spola.recovery", ""},
	} {
		do := func(statement string) {
			if inShop, is := strings.CutPrefix(statement, "shop: "); is {
				s.inShop(inShop)
			} else {
				s.exec("%s", statement)
			}
		}
		do(c.spoil)
		got := s.stock(func() {})
		if stockKinds(got) != c.want || got.Rows != 3 || got.Changing != 0 || int(got.Differences) != len(got.Details) {
			t.Errorf("%s: found %q, want %q: %+v", c.name, stockKinds(got), c.want, got)
		}
		do(c.mend)
	}
	if got := s.stock(func() {}); got.Differences != 0 {
		t.Errorf("mended, and yet: %+v", got)
	}
}

// What is on its way, half-written, settling or changing is no difference.
func TestStockBesideLiveOrders(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.keepStock()
	const more, less = "UPDATE oc_product SET quantity = quantity + 1 WHERE product_id = 1", "UPDATE oc_product SET quantity = quantity - 1 WHERE product_id = 1"
	busy, looks := "+", 0
	for _, c := range []struct {
		name     string
		before   func()
		between  func()
		after    func()
		changing int64
	}{
		{"the other side comes after", func() { s.inShop(more) }, func() { s.exec("update spola.stock_account set buffer = 1 where stock_row = 'product:1'") }, func() {
			s.exec("update spola.stock_account set buffer = 2 where stock_row = 'product:1'")
			s.inShop(less)
		}, 0},
		{"the other side comes at the last moment", func() { s.inShop(more) }, func() {
			if looks++; looks == 4 {
				s.exec("update spola.stock_account set buffer = 1 where stock_row = 'product:1'")
			}
		}, func() {
			s.exec("update spola.stock_account set buffer = 2 where stock_row = 'product:1'")
			s.inShop(less)
		}, 0},
		{"it changes all the time", func() { s.inShop(more) }, func() {
			s.inShop("UPDATE oc_product SET quantity = quantity " + busy + " 3 WHERE product_id = 1")
			busy = map[string]string{"+": "-", "-": "+"}[busy]
		}, func() {
			if busy == "-" {
				s.inShop("UPDATE oc_product SET quantity = quantity - 3 WHERE product_id = 1")
			}
			s.inShop(less)
		}, 1},
		{"an order settles", func() {
			s.inShop(more)
			s.exec("insert into spola.due (shop, order_id, tick, settling) values ('shop', 3, 5, true)")
		}, func() {}, func() { s.inShop(less); s.exec("delete from spola.due") }, 1},
		{"an order of which nothing was counted yet settles", func() {
			s.inShop(more)
			s.exec("insert into spola.due (shop, order_id, tick, settling) values ('shop', 6, 5, true)")
		}, func() {}, func() { s.inShop(less); s.exec("delete from spola.due") }, 1},
		{"an order's note settles", func() {
			s.exec("update spola.in_flight set pieces = 2; update spola.stock_account set buffer = 1 where stock_row = 'product:1'; insert into spola.due (shop, order_id, tick, settling) values ('shop', 4, 5, true)")
		}, func() {}, func() {
			s.exec("update spola.in_flight set pieces = 1; update spola.stock_account set buffer = 2 where stock_row = 'product:1'; delete from spola.due")
		}, 1},
		{"a checkout is half-written", func() {
			s.inShop(less)
			s.inShop("UPDATE oc_order SET date_modified = NOW() WHERE order_id = 7")
		}, func() {}, func() {
			s.inShop(more)
			s.inShop("UPDATE oc_order SET date_modified = NOW() - INTERVAL 1 HOUR WHERE order_id = 7")
		}, 1},
	} {
		c.before()
		got := s.stock(c.between)
		if got.Differences != 0 || got.Changing != c.changing {
			t.Errorf("%s: %+v", c.name, got)
		}
		c.after()
	}
}
