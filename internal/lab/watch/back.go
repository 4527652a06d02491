package watch

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Back measures the way of stock: from the return of a movement's commit in the ERP until a connection of its own sees
// the shop's row show what there is then. One process reads both times. It is safe for concurrent use.
//
//	b := watch.NewBack(shop, "oc_")
//	go b.Run(ctx)
//	b.Moved(product, quantity, committedAt)
//	times := b.Latencies(0)
type Back struct {
	shop  *sql.DB
	table string

	mu       sync.Mutex
	expected map[int64]movement // by product
	times    []time.Duration
	wake     chan struct{}
}

// movement is one that the shop does not show yet.
type movement struct {
	quantity int64
	at       time.Time
}

// NewBack watches the products of a shop whose tables begin with prefix.
func NewBack(shop *sql.DB, prefix string) *Back {
	return &Back{shop: shop, table: "`" + prefix + "product`", expected: map[int64]movement{}, wake: make(chan struct{}, 1)}
}

// Moved notes that the commit of a movement returned, behind which the product is to show so many pieces. A movement
// before it that is on the way still is measured with it, from the earlier commit.
func (b *Back) Moved(product, quantity int64, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if had, ok := b.expected[product]; ok && had.at.Before(at) {
		at = had.at
	}
	b.expected[product] = movement{quantity, at}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Forget gives a movement up: somebody else has moved the article, so the shop may never show that quantity.
func (b *Back) Forget(product int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.expected, product)
}

// OnTheWay is how many products do not show their movement yet, and since when the oldest.
func (b *Back) OnTheWay() (n int, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.expected {
		if since.IsZero() || m.at.Before(since) {
			since = m.at
		}
	}
	return len(b.expected), since
}

// Run looks until ctx ends: closely while something is on its way.
func (b *Back) Run(ctx context.Context) error {
	for {
		began := time.Now()
		if err := b.look(ctx); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // it ends by that
			}
			return err
		}
		pause := idleEvery
		if n, _ := b.OnTheWay(); n > 0 {
			pause = lookEvery
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.wake:
		case <-time.After(time.Until(began.Add(pause))):
		}
	}
}

func (b *Back) look(ctx context.Context) error {
	ids := b.products()
	if len(ids) == 0 {
		return nil
	}
	rows, err := b.shop.QueryContext(ctx, "SELECT product_id, quantity FROM "+b.table+" WHERE product_id IN ("+strings.Join(ids, ", ")+")")
	if err != nil {
		return fmt.Errorf("look at the shop's stock: %w", err)
	}
	defer rows.Close()
	seen := time.Now()
	for rows.Next() {
		var product, quantity int64
		if err := rows.Scan(&product, &quantity); err != nil {
			return err
		}
		b.shows(product, quantity, seen)
	}
	return rows.Err()
}

func (b *Back) products() (ids []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.expected {
		ids = append(ids, strconv.FormatInt(id, 10))
	}
	return ids
}

func (b *Back) shows(product, quantity int64, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m, ok := b.expected[product]; ok && m.quantity == quantity {
		delete(b.expected, product)
		b.times = append(b.times, max(0, at.Sub(m.at)))
	}
}

// Latencies are those of the movements seen so far, the newest last; at most so many of the newest, or all if most is 0.
func (b *Back) Latencies(most int) []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return newest(b.times, most)
}
