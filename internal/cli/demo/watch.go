package demo

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// lookEvery is how often the watch asks the ERP while an order is on its way. It bounds how
// exact a latency is.
const lookEvery = time.Millisecond

// recent is how many latencies the screen speaks of.
const recent = 1000

// watch measures the way of an order: from the return of its last statement's commit in the
// shop until a connection of its own sees it in the ERP. It knows nothing of reader and applier.
type watch struct {
	erp *pgx.Conn

	mu        sync.Mutex
	placed    map[int64]time.Time // on their way: shop order → when its commit returned
	seen      map[int64]time.Time // seen in the ERP; zero once the latency is known
	told      time.Time           // when an order was placed last
	last      int64               // ERP order seen last
	arrived   int
	parked    int64
	latencies []time.Duration
	newest    arrival
	wake      chan struct{}
}

// arrival is an order as the ERP shows it.
type arrival struct {
	order   int64
	number  string
	cents   int64
	name    string
	latency time.Duration
}

func newWatch(ctx context.Context, erp string) (*watch, error) {
	conn, err := pgx.Connect(ctx, erp)
	if err != nil {
		return nil, fmt.Errorf("connect the watch to the ERP: %w", err)
	}
	return &watch{erp: conn, placed: map[int64]time.Time{}, seen: map[int64]time.Time{}, wake: make(chan struct{}, 1)}, nil
}

// Placed notes that the commit returned which makes an order one for the ERP. Told again of an
// order that is there, it does nothing.
func (w *watch) Placed(order int64, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if seen, ok := w.seen[order]; ok {
		if !seen.IsZero() {
			w.latencies = append(w.latencies, max(0, seen.Sub(at)))
			w.seen[order] = time.Time{}
		}
		return
	}
	w.placed[order] = at
	w.told = time.Now()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run looks until ctx ends: closely while orders are on their way, else once in a while.
func (w *watch) Run(ctx context.Context) error {
	defer w.erp.Close(context.WithoutCancel(ctx))
	var counted time.Time
	for {
		err := w.look(ctx)
		if err == nil && time.Since(counted) > parkedEvery {
			err, counted = w.countParked(ctx), time.Now()
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		pause := lookEvery
		if !w.expecting() {
			pause = 50 * lookEvery
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-time.After(pause):
		}
	}
}

// patience is how long an order is looked for closely. One that the shop denied at the button,
// or that was parked, never comes.
const patience = 5 * time.Second

func (w *watch) expecting() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.placed) > 0 && time.Since(w.told) < patience
}

// parkedEvery is how often the watch counts parked orders.
const parkedEvery = 500 * time.Millisecond

func (w *watch) countParked(ctx context.Context) error {
	var n int64
	if err := w.erp.QueryRow(ctx, "select count(*) from spola.parked where shop = $1", shopName).Scan(&n); err != nil {
		return fmt.Errorf("count parked orders: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parked = n
	return nil
}

const arrivals = `select id, shop_number, series || year || '/' || number, total, (shipping).first_name || ' ' || (shipping).last_name || ', ' || (shipping).city
from erp.sales_order where id > $1 and channel = 'web' order by id`

func (w *watch) look(ctx context.Context) error {
	rows, err := w.erp.Query(ctx, arrivals, w.last)
	if err != nil {
		return fmt.Errorf("look at the ERP's orders: %w", err)
	}
	var id int64
	var a arrival
	var shopNumber string
	_, err = pgx.ForEachRow(rows, []any{&id, &shopNumber, &a.number, &a.cents, &a.name}, func() error {
		order, err := strconv.ParseInt(shopNumber, 10, 64)
		if err != nil {
			return fmt.Errorf("ERP order %s: shop number %q: %w", a.number, shopNumber, err)
		}
		a.order = order
		w.last = id
		w.arrive(a, time.Now())
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at the ERP's orders: %w", err)
	}
	return nil
}

func (w *watch) arrive(a arrival, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived++
	placed, ok := w.placed[a.order]
	if !ok {
		w.seen[a.order] = at
		w.newest = a
		return
	}
	delete(w.placed, a.order)
	w.seen[a.order] = time.Time{}
	a.latency = at.Sub(placed)
	w.latencies = append(w.latencies, a.latency)
	w.newest = a
}

// view is what the screen shows of the watch.
type view struct {
	arrived  int
	parked   int64
	p50, p99 time.Duration // of the latest orders
	newest   arrival
}

func (w *watch) view() view {
	w.mu.Lock()
	defer w.mu.Unlock()
	lately := w.latencies[max(0, len(w.latencies)-recent):]
	p := percentiles(lately)
	return view{arrived: w.arrived, parked: w.parked, p50: p.P50, p99: p.P99, newest: w.newest}
}

// Latencies of all orders of a run.
type Latencies struct{ P50, P99, Max time.Duration }

func (w *watch) Latencies() Latencies {
	w.mu.Lock()
	defer w.mu.Unlock()
	return percentiles(w.latencies)
}

func percentiles(all []time.Duration) Latencies {
	if len(all) == 0 {
		return Latencies{}
	}
	sorted := slices.Sorted(slices.Values(all))
	at := func(share float64) time.Duration { return sorted[int(share*float64(len(sorted)-1)+0.5)] }
	return Latencies{P50: at(0.50), P99: at(0.99), Max: sorted[len(sorted)-1]}
}
