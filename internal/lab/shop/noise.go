package shop

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
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
		_, options, _ := c.shop.find(l) // withDefaults has found it
		if err := c.exec(ctx, "cart add", c.customer, c.session, l.Product, cartOptions(options), l.Quantity); err != nil {
			return err
		}
		if err := c.request(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cartOptions is a line's options as the cart keeps them: an answer by option, a list for boxes.
func cartOptions(all []chosen) string {
	if len(all) == 0 {
		return "[]"
	}
	answers := map[string]any{}
	for _, o := range all {
		key := strconv.Itoa(o.option)
		switch {
		case o.kind == "checkbox":
			boxes, _ := answers[key].([]string)
			answers[key] = append(boxes, strconv.Itoa(o.value))
		case o.value != 0:
			answers[key] = strconv.Itoa(o.value)
		default:
			answers[key] = escape(o.text)
		}
	}
	return toJSON(answers)
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
