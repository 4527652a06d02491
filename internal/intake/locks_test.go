package intake

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Invariant: intake and those who work in the ERP never wait for each other in a circle, whatever intake takes over, edits and
// cancels in one transaction. Each case has somebody stop halfway, as if between two statements of one of the ERP's
// functions; intake comes to wait for him; then he goes on.
func TestIntakeAndClerksNeverWaitInACircle(t *testing.T) {
	const (
		order = "select from erp.sales_order where shop = 'shop' and shop_number = '%d' for update" // as ship_order begins
		ship  = "select erp.ship_order(id) from erp.sales_order where shop = 'shop' and shop_number = '%d'"
		stock = "select from erp.stock where article_id = (select id from erp.article where sku = 'SP-31') for update" // as sell_at_counter begins
		sell  = `select erp.sell_at_counter(1::smallint, erp.goods('{"SP-31": 1, "SP-42": 1}'))`
	)
	shop, erp := bothLive(t)
	of := func(product int64) testOrder { return testOrder{lines: []testLine{{product, 0, 1}}} }
	two := func() (a, b int64) {
		a, b = shop.place(of(31), 1), shop.place(of(42), 1)
		erp.catchUp(shop.testLog, 1)
		return a, b
	}
	for name, c := range map[string]struct {
		most  int // orders that one call derives
		batch func() (half, on string)
	}{
		"an order is shipped that is edited beside a new one": {batch, func() (string, string) {
			a, _ := two()
			shop.edit(a, of(41))
			shop.place(of(31), 1)
			return fmt.Sprintf(order, a), fmt.Sprintf(ship, a)
		}},
		"articles are sold of which a new order and an edit have one each": {batch, func() (string, string) {
			a, _ := two()
			shop.edit(a, testOrder{lines: []testLine{{31, 0, 3}}})
			shop.place(of(42), 1)
			return stock, sell
		}},
		"an order is shipped that is cancelled beside an edit": {batch, func() (string, string) {
			a, b := shop.place(of(31), 1), shop.place(of(31), 1)
			erp.catchUp(shop.testLog, 1)
			shop.rewrite(a, of(41).withDefaults())
			shop.setState(b, 7)
			shop.tick(2)
			erp.catchUp(shop.testLog, 1)
			shop.tick(1)
			return fmt.Sprintf(order, b), fmt.Sprintf(ship, b)
		}},
		"another shop takes over": {batch, func() (string, string) {
			a, _ := two()
			shop.edit(a, of(41))
			shop.place(of(31), 1)
			return "select pg_advisory_xact_lock(hashtext('erp.import_orders'))", "select erp.lock_stock(array(select id from erp.article), 1::smallint)"
		}},
		"articles are sold of orders that are taken over by several calls": {1, func() (string, string) {
			two()
			shop.place(of(42), 1)
			shop.place(of(31), 1)
			return stock, sell
		}},
		"an order is shipped that is cancelled by one of several calls": {1, func() (string, string) {
			a, b := shop.place(of(31), 1), shop.place(of(31), 1)
			erp.catchUp(shop.testLog, 1)
			shop.setState(a, 7)
			shop.setState(b, 7)
			shop.tick(2)
			erp.catchUp(shop.testLog, 1)
			shop.tick(1)
			return fmt.Sprintf(order, b), fmt.Sprintf(ship, b)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			half, on := c.batch()
			erp.effect.intake.most = c.most
			defer func() { erp.effect.intake.most = batch }()
			erp.crosses(t, shop.testLog, half, on)
			erp.want("orders left parked", "0", "select count(*) from spola.parked where reason <> 'shipped'")
		})
	}
}

// crosses has somebody do half of something, intake apply what is new until it waits for him, and him go on.
func (e *testERP) crosses(t *testing.T, l *testLog, half, on string) {
	t.Helper()
	ctx := t.Context()
	clerk, err := pgx.Connect(ctx, e.url)
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close(context.WithoutCancel(ctx))
	tx, err := clerk.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // a second end is none
	if _, err := tx.Exec(ctx, half); err != nil {
		t.Fatal(err)
	}
	applied, pid := make(chan error, 1), e.conn.PgConn().PID()
	go func() { applied <- e.tryCatchUp(l, 1000) }()
	for waits := false; !waits; time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-applied:
			t.Fatalf("intake has waited for nobody: %v", err)
		default:
		}
		if err := tx.QueryRow(ctx, "select cardinality(pg_blocking_pids($1)) > 0", int32(pid)).Scan(&waits); err != nil { //nolint:gosec // a process id
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec(ctx, on); err != nil {
		t.Errorf("the clerk is broken off: %v", err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Errorf("the clerk is broken off: %v", err)
	}
	if err := <-applied; err != nil {
		t.Errorf("intake is broken off: %v", err)
	}
}
