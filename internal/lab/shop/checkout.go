package shop

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/shopspring/decimal"
)

// PlaceOrder is a whole checkout: the overview, the button, and what the order asks for besides.
// It returns the order's id. An error leaves the order where the failing statement left it;
// Refused tells whether that statement can have had an effect.
func (s *Shop) PlaceOrder(ctx context.Context, order Order) (int64, error) {
	c, err := s.Begin(ctx, order)
	if err != nil {
		return c.ID, err
	}
	return c.ID, c.finish(ctx)
}

// finish presses the button as often as the order wants it.
func (c *Checkout) finish(ctx context.Context) error {
	if c.order.Abandon {
		return nil
	}
	for range c.order.Confirms {
		if err := c.Confirm(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Checkout is an order between the overview and the button.
type Checkout struct {
	ID int64     // of the order; 0 until its row is written
	At time.Time // when the commit of the last statement returned that the order needed

	shop     *Shop
	order    Order
	cart     cart
	customer int64 // customer_id; 0 for a guest
	address  int64 // address_id of an account
	session  string

	confirmed bool // the button was pressed once
}

// Begin goes through the checkout up to and including the overview, where the order is written
// with state 0.
func (s *Shop) Begin(ctx context.Context, order Order) (*Checkout, error) {
	c := &Checkout{shop: s, session: newSession()}
	var err error
	if c.order, err = s.withDefaults(order); err != nil {
		return c, err
	}
	if err := c.upload(ctx); err != nil {
		return c, err
	}
	if err := c.fillCart(ctx); err != nil {
		return c, err
	}
	if err := c.identify(ctx); err != nil {
		return c, err
	}
	if err := c.overview(ctx); err != nil {
		return c, err
	}
	for range c.order.Reviews {
		if err := c.overviewAgain(ctx); err != nil {
			return c, err
		}
	}
	if c.order.LateComment {
		if err := c.exec(ctx, "order comment", escape(c.order.Comment), c.ID); err != nil {
			return c, err
		}
	}
	return c, nil
}

// upload sends the files that the customer has chosen.
func (c *Checkout) upload(ctx context.Context) error {
	for _, line := range c.order.Lines {
		_, options, _ := c.shop.find(line) // withDefaults has found it
		for _, o := range options {
			if o.kind != "file" {
				continue
			}
			if err := c.exec(ctx, "upload", "logo.png", "logo.png."+o.text, o.text); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Checkout) exec(ctx context.Context, name string, args ...any) error {
	_, err := c.shop.exec(ctx, c.ID, name, args...)
	c.At = time.Now()
	return err
}

// identify writes what the shop writes about the customer before the overview.
func (c *Checkout) identify(ctx context.Context) error {
	customer := c.order.Customer
	language, _, _ := customer.language()
	switch {
	case customer.Account != 0:
		c.customer, c.address = customer.Account, customer.Account
		if err := c.exec(ctx, "customer seen", language, clientIP, c.customer); err != nil {
			return err
		}
		return c.exec(ctx, "customer ip", c.customer, clientIP)
	case customer.Register:
		return c.register(ctx)
	default:
		return c.exec(ctx, "login forget", customer.Email) // touches no row
	}
}

const clientIP = "203.0.113.7"

func (c *Checkout) register(ctx context.Context) error {
	p, a := c.order.Customer, c.order.Customer.Address
	language, _, _ := p.language()
	result, err := c.shop.exec(ctx, 0, "customer", p.group(), language, escape(p.First), escape(p.Last), p.Email, p.Phone,
		passwordHash, p.fields(), clientIP)
	if err != nil {
		return err
	}
	if c.customer, err = result.LastInsertId(); err != nil {
		return err
	}
	result, err = c.shop.exec(ctx, 0, "address", c.customer, escape(p.First), escape(p.Last), escape(a.Company),
		escape(a.Street), "", escape(a.City), a.Postcode, int(a.Country), a.Country.zone())
	if err != nil {
		return err
	}
	if c.address, err = result.LastInsertId(); err != nil {
		return err
	}
	if err := c.exec(ctx, "address others", c.address, c.customer); err != nil {
		return err
	}
	if p.Credit != "" {
		if err := c.exec(ctx, "customer credit", c.customer, 0, "Buono", p.Credit); err != nil {
			return err
		}
	}
	return c.exec(ctx, "customer seen", language, clientIP, c.customer)
}

// overview writes the order: its row, its lines, its totals.
func (c *Checkout) overview(ctx context.Context) error {
	good := false
	if c.order.Coupon != "" {
		_, left, err := c.shop.coupon(ctx, c.order.Coupon)
		if err != nil {
			return err
		}
		good = left
	}
	c.cart = c.shop.fill(c.order, good, c.order.credit())
	result, err := c.shop.exec(ctx, 0, "order", c.columns()...)
	if err != nil {
		return err
	}
	if c.ID, err = result.LastInsertId(); err != nil {
		return err
	}
	return c.writeParts(ctx)
}

// overviewAgain is the overview reached a second time: the same order, rewritten.
func (c *Checkout) overviewAgain(ctx context.Context) error {
	if err := c.exec(ctx, "order again", append(c.columns(), c.ID)...); err != nil {
		return err
	}
	return c.rewriteParts(ctx)
}

func (c *Checkout) rewriteParts(ctx context.Context) error {
	if err := c.shop.each(ctx, c.ID, []string{"products delete", "options delete", "subscriptions delete"}, c.ID); err != nil {
		return err
	}
	if err := c.writeLines(ctx); err != nil {
		return err
	}
	if err := c.exec(ctx, "totals delete", c.ID); err != nil {
		return err
	}
	return c.writeTotals(ctx)
}

func (c *Checkout) writeParts(ctx context.Context) error {
	if err := c.writeLines(ctx); err != nil {
		return err
	}
	return c.writeTotals(ctx)
}

func (c *Checkout) writeLines(ctx context.Context) error {
	for _, l := range c.cart.lines {
		result, err := c.shop.exec(ctx, c.ID, "order product", c.ID, l.Product, escape(l.product.Name), l.product.Model,
			l.Quantity, l.price.String(), l.net().String(), l.tax.String())
		if err != nil {
			return err
		}
		id, err := result.LastInsertId()
		if err != nil {
			return err
		}
		for _, o := range l.chosen {
			err := c.exec(ctx, "order option", c.ID, id, o.option, o.value, escape(o.name), escape(o.text), o.kind)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Checkout) writeTotals(ctx context.Context) error {
	for _, t := range c.cart.totals {
		err := c.exec(ctx, "order total", c.ID, "opencart", t.code, t.title, t.value.String(), t.sort)
		if err != nil {
			return err
		}
	}
	return nil
}

// Confirm is the button: stock, state, history. Pressed again it writes one more history row.
func (c *Checkout) Confirm(ctx context.Context) error {
	comment, notify := "", 0
	if c.order.Payment == BankTransfer {
		comment, notify = "Bonifico a IT60 X054 2811 1010 0000 0123 456", 1
	}
	at := c.At
	if err := c.addHistory(ctx, Pending, notify, comment); err != nil {
		return err
	}
	if c.confirmed {
		c.At = at // it was complete before
	}
	c.confirmed = true
	return c.clearCart(ctx)
}

func (c *Checkout) addHistory(ctx context.Context, status, notify int, comment string) error {
	at, err := c.shop.addHistory(ctx, c.ID, history{status: status, notify: notify, comment: comment})
	c.At = at
	return err
}

// credit is what the account has of store credit: only accounts that the order opens have any.
func (o Order) credit() decimal.Decimal {
	if !o.Customer.Register || o.Customer.Credit == "" {
		return decimal.Zero
	}
	return decimal.RequireFromString(o.Customer.Credit)
}

// coupon returns a coupon's id and whether it can still be used.
func (s *Shop) coupon(ctx context.Context, code string) (id int64, left bool, err error) {
	rows, err := s.query(ctx, "read coupon", code)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = rows.Close() }()
	var limit, used int64
	if !rows.Next() {
		return 0, false, fmt.Errorf("coupon %s: %w", code, sql.ErrNoRows)
	}
	if err := rows.Scan(&id, &limit, &used); err != nil {
		return 0, false, fmt.Errorf("coupon %s: %w", code, err)
	}
	return id, limit == 0 || used < limit, rows.Err()
}
