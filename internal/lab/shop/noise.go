package shop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

func newSession() string { return fmt.Sprintf("%016x%010x", rand.Uint64(), rand.Uint32()) }

// optimizeEvery is how many requests lie between two OPTIMIZE TABLE of the sessions. A genuine
// shop does it at every fifth or so; here never more than once a second, for it rewrites the
// whole table.
const optimizeEvery = 5

// fillCart is what the shop writes while the cart is filled.
func (c *Checkout) fillCart(ctx context.Context) error {
	if !c.shop.options.Noise {
		return nil
	}
	for _, l := range c.order.Lines {
		option := "[]"
		if _, value, _ := c.shop.find(l); value != nil {
			option = fmt.Sprintf(`{"%d":"%d"}`, value.OptionID, value.ID)
		}
		if err := c.exec(ctx, "cart add", c.customer, c.session, l.Product, option, l.Quantity); err != nil {
			return err
		}
		if err := c.request(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *Checkout) clearCart(ctx context.Context) error {
	if !c.shop.options.Noise {
		return nil
	}
	at := c.At // the order was complete before this
	defer func() { c.At = at }()
	return c.exec(ctx, "cart clear", c.customer, c.session)
}

// request is the noise of each request: its session is saved.
func (c *Checkout) request(ctx context.Context) error {
	if err := c.exec(ctx, "session", c.session, `{"currency":"EUR","language":"it-it"}`); err != nil {
		return err
	}
	now, last := time.Now().Unix(), c.shop.optimized.Load()
	if c.shop.requests.Add(1)%optimizeEvery != 0 || now == last || !c.shop.optimized.CompareAndSwap(last, now) {
		return nil
	}
	rows, err := c.shop.query(ctx, "session optimize") // answers with a table
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
	}
	return rows.Err()
}
