package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// watch measures how long orders take from the return of their commit in the shop until a
// connection of its own sees them in the ERP. It knows nothing of reader and applier.
type watch struct {
	erp  *pgx.Conn
	last int64 // ERP order seen last

	mu      sync.Mutex
	placed  map[int64]time.Time // on their way
	early   map[int64]time.Time // seen before their commit's return was told
	times   []time.Duration
	arrived time.Time // when the last one was seen
	wake    chan struct{}
}

// watchEvery is how often the watch looks while an order is on its way: what a figure may be
// too large by.
const watchEvery = time.Millisecond

func newWatch(ctx context.Context, st *stage) (*watch, error) {
	conn, err := st.connectTo(ctx, "erp")
	if err != nil {
		return nil, err
	}
	w := &watch{erp: conn, placed: map[int64]time.Time{}, early: map[int64]time.Time{}, wake: make(chan struct{}, 1)}
	if err := conn.QueryRow(ctx, "select coalesce(max(id), 0) from erp.sales_order").Scan(&w.last); err != nil {
		return nil, fmt.Errorf("watch the ERP: %w", err)
	}
	return w, nil
}

// told notes that the commit returned which made an order one for the ERP.
func (w *watch) told(order int64, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if seen, ok := w.early[order]; ok {
		delete(w.early, order)
		w.times = append(w.times, max(0, seen.Sub(at)))
		return
	}
	w.placed[order] = at
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watch) outstanding() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.placed)
}

// run looks until ctx ends; nothing is asked while no order is on its way.
func (w *watch) run(ctx context.Context) error {
	defer w.erp.Close(context.WithoutCancel(ctx))
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if w.outstanding() == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-w.wake:
			}
		}
		if err := w.look(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *watch) look(ctx context.Context) error {
	rows, err := w.erp.Query(ctx, "select id, shop_number from erp.sales_order where id > $1 order by id", w.last)
	if err != nil {
		return fmt.Errorf("watch the ERP: %w", err)
	}
	var number string
	_, err = pgx.ForEachRow(rows, []any{&w.last, &number}, func() error {
		order, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return err
		}
		w.arrive(order, time.Now())
		return nil
	})
	if err != nil {
		return fmt.Errorf("watch the ERP: %w", err)
	}
	return nil
}

func (w *watch) arrive(order int64, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived = at
	placed, ok := w.placed[order]
	if !ok {
		w.early[order] = at
		return
	}
	delete(w.placed, order)
	w.times = append(w.times, at.Sub(placed))
}
