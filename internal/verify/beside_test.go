package verify_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/verify"
)

// beside compares while matched does what may happen meanwhile.
func (s *sides) beside(c verify.Config, matched verify.Matched) (*verify.Report, error) {
	s.t.Helper()
	c.Shop, c.ERP, c.Name, c.Rules = s.shop.DB(), s.erp, "shop", s.rules
	return verify.Beside(s.t.Context(), c, matched)
}

// An order that was cancelled while the shop was only observed need not be in the ERP; one that came behind going live must.
func TestCalledOffBeforeGoingLive(t *testing.T) {
	s := newSides(t)
	s.exec("delete from spola.link where order_id = %d", cancelled)
	s.exec("delete from erp.order_charge where order_id = %d", cancelled)
	s.exec("delete from erp.order_line where order_id = %d", cancelled)
	s.exec("delete from erp.order_vat where order_id = %d", cancelled)
	s.exec("delete from erp.sales_order where id = %d", cancelled)
	for _, c := range []struct{ live, want string }{{"", fmt.Sprintf("%d missing", cancelled)}, {"now() - interval '1 year'", fmt.Sprintf("%d missing", cancelled)}, {"now() + interval '1 hour'", ""}} {
		if c.live != "" {
			s.exec("delete from spola.audit; insert into spola.audit (who, shop, verb, decision, reason, at) values ('', 'shop', 'golive', 'live', '', %s)", c.live)
		}
		if got := kinds(s.prove()); got != c.want {
			t.Errorf("live since %q: %q, want %q", c.live, got, c.want)
		}
	}
}

// What is found while both sides go on is what they are at one moment: an order that the ERP has not caught up with, or that
// changes or settles while it is looked at, is no difference; one that stays another is.
func TestBesideLiveOrders(t *testing.T) {
	s := newSides(t)
	nothing := func(context.Context) error { return nil }
	if _, err := s.beside(verify.Config{}, nothing); !errors.Is(err, verify.ErrObserved) {
		t.Fatalf("a shop that is only observed: %v", err)
	}
	s.exec("update spola.shop set mode = 'live', cut = '2000-01-01'")
	const wrong, right = "update erp.sales_order set total = total + 1 where id = 1", "update erp.sales_order set total = total - 1 where id = 1"
	touch := func(context.Context) error {
		_, err := s.shop.DB().ExecContext(t.Context(), "UPDATE oc_order_history SET date_added = date_added + INTERVAL 1 SECOND WHERE order_id = 1")
		return err
	}
	for _, c := range []struct {
		name     string
		before   string
		matched  verify.Matched
		after    string
		which    verify.Config
		want     string
		changing int64
		inERP    int64
	}{
		{name: "nothing is wrong", matched: nothing, inERP: 4},
		{name: "a cent", before: wrong, matched: nothing, after: right, want: "1 cents", inERP: 4},
		{name: "an order that was called off is edited", before: fmt.Sprintf("update erp.sales_order set total = total + 1 where id = %d", cancelled), matched: nothing,
			after: fmt.Sprintf("update erp.sales_order set total = total - 1 where id = %d", cancelled), inERP: 4},
		{name: "an order is called off by the shop alone", before: fmt.Sprintf("update erp.sales_order set state = 'open' where id = %d", cancelled), matched: nothing,
			after: fmt.Sprintf("update erp.sales_order set state = 'cancelled' where id = %d", cancelled), want: fmt.Sprintf("%d state", cancelled), inERP: 4},
		{name: "the ERP was behind", before: wrong, matched: func(context.Context) error { s.exec(right); return nil }, inERP: 4},
		{name: "the order changes all the time", before: wrong, matched: touch, after: right, changing: 1, inERP: 3},
		{name: "the order settles", before: wrong + "; insert into spola.due (shop, order_id, tick, settling) values ('shop', 1, 5, true)", matched: nothing,
			after: right + "; delete from spola.due", changing: 1, inERP: 3},
		{name: "another order", before: wrong, matched: nothing, after: right, which: verify.Config{Orders: []int64{mixed, cancelled}}, inERP: 2},
		{name: "this order", before: wrong, matched: nothing, after: right, which: verify.Config{Orders: []int64{mixed, goods, goods}}, want: "1 cents", inERP: 2},
		{name: "no order", matched: nothing, which: verify.Config{Orders: []int64{4711}}, want: "4711 unknown"},
		{name: "since yesterday", before: wrong, matched: nothing, after: right, which: verify.Config{Since: time.Now().Add(-24 * time.Hour)}, want: "1 cents", inERP: 4},
		{name: "since tomorrow", before: wrong, matched: nothing, after: right, which: verify.Config{Since: time.Now().Add(48 * time.Hour)}},
	} {
		s.exec("%s", c.before)
		got, err := s.beside(c.which, c.matched)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if kinds(got) != c.want || got.OrdersChanging != c.changing || got.OrdersInERP != c.inERP || c.want == "" && got.CentsShop != got.CentsERP {
			t.Errorf("%s: %+v", c.name, got)
		}
		s.exec("%s", c.after)
	}
}

// Without a journal an order that the shop has no longer is as it should be if the bridge knows of it, else nobody has noticed.
func TestBesideDeletedOrders(t *testing.T) {
	s := newSides(t)
	s.exec("update spola.shop set mode = 'live', cut = '2000-01-01'")
	if err := s.shop.Delete(t.Context(), goods); err != nil {
		t.Fatal(err)
	}
	nothing := func(context.Context) error { return nil }
	got, err := s.beside(verify.Config{}, nothing)
	if err != nil || kinds(got) != "1 gone" {
		t.Errorf("gone unseen: %+v, %v", got, err)
	}
	s.exec("update spola.link set deleted = true where order_id = %d", goods)
	if got, err = s.beside(verify.Config{}, nothing); err != nil || got.Differences != 0 || got.OrdersInERP != 3 {
		t.Errorf("gone: %+v, %v", got, err)
	}
}
