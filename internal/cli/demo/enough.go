package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// overtime bounds how much longer than asked for a day lasts, until there is something to see.
const overtime = 10 * time.Minute

// least is what a day brings before it ends. On a machine that is slow or busy with other things it may not be there in the time that was asked for: then
// the day is longer.
type least struct {
	orders  int64 // placed, or in the ERP
	deeds   int64 // of the ERP's clerk
	parcels int64 // of each shop: that left, and of which the customer has learned
}

// leastOf is what is to be seen of a day of so many orders and deeds: part of them, and of a long day no more than anybody wants to wait for.
func leastOf(orders, deeds float64, shops int) least {
	return least{
		orders: min(int64(orders/2), 50), deeds: min(int64(deeds/5), 10),
		parcels: (min(int64(deeds/20), 2) + int64(shops) - 1) / int64(shops),
	}
}

// last waits until the day is over: until it has lasted as long as it was to, and has brought what it brings at the least. The shops shut before, as soon as
// enough has been ordered: what is overtaxed catches up. A ctx that ends is the end of the day too.
func (d Demo) last(ctx context.Context, st *stage, count *counters, clerk *desk, shut func()) error {
	if !sleep(ctx, d.For) {
		return nil
	}
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return unless(ctx, fmt.Errorf("look what the day has brought: %w", err))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	shops := len(st.all())
	want := leastOf(d.Rate*d.For.Seconds()*float64(shops), d.Clerk*d.For.Seconds(), shops)
	for began := time.Now(); time.Since(began) < overtime; {
		enough := count.placed.Load() >= want.orders
		if enough {
			shut()
		}
		enough = enough && clerk.deeds.Load() >= want.deeds
		for _, s := range st.all() {
			mailed, told, err := s.parcels(ctx, conn)
			if err != nil {
				return unless(ctx, err)
			}
			enough = enough && mailed >= want.parcels && told >= want.parcels
		}
		if enough || !sleep(ctx, paintEvery) {
			return nil
		}
	}
	return nil
}

// parcels counts the orders that left whole and of which the customer was mailed, and the parcels of which he was told in the shop.
func (st *stage) parcels(ctx context.Context, erp *pgx.Conn) (mailed, told int64, err error) {
	if err := erp.QueryRow(ctx, mailSQL["parcels"], st.name).Scan(&mailed); err != nil {
		return 0, 0, fmt.Errorf("count parcels: %w", err)
	}
	_, told, err = st.told(ctx)
	return mailed, told, err
}

// told counts the orders that the shop shows as shipped, and the parcels of which it has told customers the number.
func (st *stage) told(ctx context.Context) (shipped, tracking int64, err error) {
	if err := st.shop.DB().QueryRowContext(ctx, st.query("told")).Scan(&shipped, &tracking); err != nil {
		return 0, 0, fmt.Errorf("count what the shop has told its customers: %w", err)
	}
	return shipped, tracking, nil
}

// sleep waits; false: ctx has ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// unless is an error, unless ctx has ended: then that is what brought it.
func unless(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}
