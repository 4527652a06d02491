package demo

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/lab/watch"
)

// recent is how many latencies the screen speaks of.
const recent = 1000

// watcher watches the ERP's orders, and counts those that are parked.
type watcher struct {
	*watch.Watch
	erp    *pgx.Conn
	parked atomic.Int64
}

func newWatcher(ctx context.Context, erp string) (*watcher, error) {
	orders, err := watch.Open(ctx, erp)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, erp)
	if err != nil {
		return nil, fmt.Errorf("connect to the ERP to count parked orders: %w", err)
	}
	return &watcher{Watch: orders, erp: conn}, nil
}

// Run watches and counts until ctx ends.
func (w *watcher) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.Watch.Run(ctx) })
	group.Go(func() error { return w.countParked(ctx) })
	return group.Wait()
}

// parkedEvery is how often parked orders are counted.
const parkedEvery = 500 * time.Millisecond

func (w *watcher) countParked(ctx context.Context) error {
	defer w.erp.Close(context.WithoutCancel(ctx))
	tick := time.NewTicker(parkedEvery)
	defer tick.Stop()
	for {
		var n int64
		err := w.erp.QueryRow(ctx, "select count(*) from spola.parked").Scan(&n)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("count parked orders: %w", err)
		}
		w.parked.Store(n)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// view is what the screen shows of the watch.
type view struct {
	arrived  int
	parked   int64
	p50, p99 time.Duration // of the latest orders
	newest   watch.Arrival
}

func (w *watcher) view() view {
	p := percentiles(w.Watch.Latencies(recent))
	n, newest, _ := w.Arrived()
	return view{arrived: n, parked: w.parked.Load(), p50: p.P50, p99: p.P99, newest: newest}
}

// Latencies of all orders of a run.
type Latencies struct{ P50, P99, Max time.Duration }

// Latencies are those of all orders so far.
func (w *watcher) Latencies() Latencies { return percentiles(w.Watch.Latencies(0)) }

func percentiles(all []time.Duration) Latencies {
	if len(all) == 0 {
		return Latencies{}
	}
	slices.Sort(all)
	at := func(share float64) time.Duration { return all[int(share*float64(len(all)-1)+0.5)] }
	return Latencies{P50: at(0.50), P99: at(0.99), Max: all[len(all)-1]}
}
