// Package watch measures the way of an order: from the return of its last statement's commit in
// the shop until a connection of its own sees it in the ERP. It knows nothing of reader and
// applier.
//
//	w, err := watch.Open(ctx, "postgres://…/erp")
//	go w.Run(ctx)
//	w.Placed("shop", order, committedAt)
//	times := w.Latencies()
package watch

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// lookEvery is how often one looks while something is on its way: what a latency may be too large by.
const lookEvery = time.Millisecond

// idleEvery is how often one looks else.
const idleEvery = 50 * time.Millisecond

// The ERP's server looks for itself: a thousand questions a second would take time of the processors that is measured.
//
//go:embed arrivals.sql
var waitForArrivals string

// patience is how long an order is looked for closely. One that the shop denied at the button,
// or that was parked, never comes.
const patience = 5 * time.Second

// Arrival is an order as the ERP shows it.
type Arrival struct {
	Shop    string
	Order   int64  // the shop's number
	Number  string // the ERP's
	Cents   int64
	Name    string        // of the customer, and the town
	Latency time.Duration // 0: not known yet
}

// Watch looks at the orders of an ERP. It is safe for concurrent use.
type Watch struct {
	erp *pgx.Conn

	mu      sync.Mutex
	placed  map[shopOrder]time.Time // on their way: when their commit returned
	seen    map[shopOrder]time.Time // seen in the ERP; zero once the latency is known
	told    time.Time               // when an order was placed last
	last    int64                   // ERP order seen last
	arrived int
	at      time.Time // when the newest was seen
	newest  Arrival
	times   []time.Duration
	wake    chan struct{}
}

// shopOrder is an order by the shop and its number there.
type shopOrder struct {
	shop  string
	order int64
}

// Open connects to the ERP. Orders that are there already are passed over.
func Open(ctx context.Context, erp string) (*Watch, error) {
	conn, err := pgx.Connect(ctx, erp)
	if err != nil {
		return nil, fmt.Errorf("connect the watch to the ERP: %w", err)
	}
	w := newWatch()
	w.erp = conn
	if _, err := conn.Exec(ctx, waitForArrivals); err != nil {
		_ = conn.Close(ctx)
		return nil, fmt.Errorf("look at the ERP's orders: %w", err)
	}
	if err := conn.QueryRow(ctx, "select coalesce(max(id), 0) from erp.sales_order").Scan(&w.last); err != nil {
		_ = conn.Close(ctx)
		return nil, fmt.Errorf("look at the ERP's orders: %w", err)
	}
	return w, nil
}

func newWatch() *Watch {
	return &Watch{placed: map[shopOrder]time.Time{}, seen: map[shopOrder]time.Time{}, wake: make(chan struct{}, 1)}
}

// Placed notes that the commit returned which makes an order one for the ERP. Told again of an
// order that is there, it does nothing.
func (w *Watch) Placed(shop string, number int64, at time.Time) {
	order := shopOrder{shop, number}
	w.mu.Lock()
	defer w.mu.Unlock()
	if seen, ok := w.seen[order]; ok {
		if !seen.IsZero() { // it was seen before its commit's return was told
			w.times = append(w.times, max(0, seen.Sub(at)))
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

// Run looks until ctx ends, then closes the connection: closely while orders are on their way,
// else once in a while.
func (w *Watch) Run(ctx context.Context) error {
	defer w.erp.Close(context.WithoutCancel(ctx))
	for {
		began := time.Now()
		expecting := w.expecting()
		if err := w.look(ctx, expecting); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if expecting {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-time.After(time.Until(began.Add(idleEvery))):
		}
	}
}

func (w *Watch) expecting() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.placed) > 0 && time.Since(w.told) < patience
}

// look asks for what has come, and waits for it if an order is expected.
func (w *Watch) look(ctx context.Context, expecting bool) error {
	wait := time.Duration(0)
	if expecting {
		wait = idleEvery
	}
	rows, err := w.erp.Query(ctx, "select * from pg_temp.arrivals($1, $2, $3)", w.last, wait, lookEvery)
	if err != nil {
		return fmt.Errorf("look at the ERP's orders: %w", err)
	}
	var a Arrival
	var shopNumber string
	_, err = pgx.ForEachRow(rows, []any{&w.last, &a.Shop, &shopNumber, &a.Number, &a.Cents, &a.Name}, func() (err error) {
		if a.Order, err = strconv.ParseInt(shopNumber, 10, 64); err != nil {
			return fmt.Errorf("ERP order %s: shop number %q: %w", a.Number, shopNumber, err)
		}
		w.arrive(a, time.Now())
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at the ERP's orders: %w", err)
	}
	return nil
}

func (w *Watch) arrive(a Arrival, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived++
	w.at = at
	order := shopOrder{a.Shop, a.Order}
	if placed, ok := w.placed[order]; ok {
		delete(w.placed, order)
		a.Latency, at = at.Sub(placed), time.Time{}
		w.times = append(w.times, a.Latency)
	}
	w.seen[order] = at
	w.newest = a
}

// OnTheWay is how many orders are placed and not seen yet.
func (w *Watch) OnTheWay() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.placed)
}

// Arrived is how many orders were seen, and the newest with the time when it was.
func (w *Watch) Arrived() (n int, newest Arrival, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.arrived, w.newest, w.at
}

// Latencies are those of the orders seen so far, the newest last; at most so many of the newest,
// or all if most is 0.
func (w *Watch) Latencies(most int) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return newest(w.times, most)
}

// newest is a copy of the last so many, or of all if most is 0.
func newest(times []time.Duration, most int) []time.Duration {
	from := 0
	if most > 0 {
		from = max(0, len(times)-most)
	}
	return slices.Clone(times[from:])
}
