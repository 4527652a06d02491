package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/lab/watch"
)

// drainWithin bounds how long orders are waited for that have been placed.
const drainWithin = time.Minute

// measureLatencies lets orders come one by one, at one pace after the other, through cdc and
// applier as they run.
func measureLatencies(ctx context.Context, st *stage, r *Report) error {
	if err := st.start(ctx, st.cdc, st.applier); err != nil {
		return err
	}
	if err := st.warm(ctx); err != nil {
		return err
	}
	for _, p := range paces {
		meter, err := newMeter(st.pids())
		if err != nil {
			return err
		}
		l, err := st.place(ctx, p, st.options.For)
		if err != nil {
			return fmt.Errorf("at %g orders a second: %w", p.rate, err)
		}
		if l.CPU, err = meter.cores(); err != nil {
			return err
		}
		r.Latencies = append(r.Latencies, l)
		st.tell("  %s", l.line())
	}
	return nil
}

// warm places a few orders, so that connections stand and plans are made.
func (st *stage) warm(ctx context.Context) error {
	for _, genuine := range []bool{false, true} {
		if _, err := st.place(ctx, pace{20, genuine}, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// place places orders at a pace for a while and waits until all are in the ERP.
func (st *stage) place(ctx context.Context, p pace, during time.Duration) (Latency, error) {
	w, err := watch.Open(ctx, st.databaseURL("erp"))
	if err != nil {
		return Latency{}, err
	}
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	group, watched := errgroup.WithContext(watching)
	group.Go(func() error { return w.Run(watched) })
	orders := max(1, int(p.rate*during.Seconds()))
	began := time.Now()
	if p.genuine {
		err = st.checkouts(watched, p.rate, orders, w)
	} else {
		_, _, err = st.shop.Bench(watched, shop.BenchLoad{Orders: orders, Rate: p.rate, Committed: func(order int64, at time.Time) { w.Placed(shopName, order, at) }})
	}
	offered := time.Since(began)
	if err == nil {
		draining, cancel := context.WithTimeout(watched, drainWithin)
		err = st.until(draining, func() (bool, error) { return w.OnTheWay() == 0, nil })
		cancel()
	}
	unwatch()
	if failed := group.Wait(); failed != nil {
		return Latency{}, failed
	}
	if err != nil {
		return Latency{}, fmt.Errorf("%d orders are not in the ERP: %w", w.OnTheWay(), err)
	}
	_, _, last := w.Arrived()
	return Latency{
		Rate: p.rate, Genuine: p.genuine, Orders: orders, Percentiles: percentiles(w.Latencies(0)),
		Placed: float64(orders) / offered.Seconds(), Arrived: float64(orders) / last.Sub(began).Seconds(),
	}, nil
}

// checkouts lets customers go through the genuine checkout, each statement its own transaction.
func (st *stage) checkouts(ctx context.Context, rate float64, orders int, w *watch.Watch) error {
	group, ctx := errgroup.WithContext(ctx)
	_, err := paced(ctx, rate, time.Duration(float64(orders)/rate*float64(time.Second)), func(i int) (time.Duration, error) {
		group.Go(func() error { return st.checkout(ctx, i, w) })
		return 0, nil
	})
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

func (st *stage) checkout(ctx context.Context, i int, w *watch.Watch) error {
	c, err := st.order(ctx, i)
	if err == nil {
		w.Placed(shopName, c.ID, c.At)
	}
	return err
}

// order is a customer's way through the checkout.
func (st *stage) order(ctx context.Context, i int) (*shop.Checkout, error) {
	c, err := st.shop.Begin(ctx, shop.Order{
		Customer: shop.Customer{Email: fmt.Sprintf("checkout%d@mail.example", i)},
		Lines:    []shop.Line{{Product: 1 + i%4, Quantity: 1 + i%3}, {Product: 6, Quantity: 1}},
	})
	if err != nil {
		return nil, err
	}
	return c, c.Confirm(ctx)
}
