package shop

import (
	"context"
	"database/sql"
	"fmt"
)

// SetStatus is the administrator's change of an order's state.
func (s *Shop) SetStatus(ctx context.Context, id int64, status int) error {
	_, err := s.addHistory(ctx, id, history{status: status})
	return err
}

// Cancel is SetStatus with the state cancelled: the pieces go back into the shop's stock.
func (s *Shop) Cancel(ctx context.Context, id int64) error { return s.SetStatus(ctx, id, Cancelled) }

// Delete removes an order. The pieces stay gone, as in a genuine shop.
func (s *Shop) Delete(ctx context.Context, id int64) error {
	return s.each(ctx, id, []string{"products delete", "options delete", "subscriptions delete", "totals delete",
		"histories delete", "order delete"}, id)
}

// Edit is the administrator's order page, saved: a confirmed order is voided, rewritten whole
// and brought back into its state, some 20 to 28 transactions within a blink. Customer, payment
// and ways of ordering that order leaves open get their defaults, not what the order had; give
// the order as it was placed, with the change. An Edit that failed can be called again.
func (s *Shop) Edit(ctx context.Context, id int64, order Order) error {
	was, err := s.read(ctx, id)
	if err != nil {
		return err
	}
	return s.edit(ctx, was, was.status, order)
}

// edit brings the order back into the state back, which differs from its present one when an
// earlier attempt was cut off between.
func (s *Shop) edit(ctx context.Context, was stored, back int, order Order) error {
	c := &Checkout{ID: was.id, shop: s, customer: was.customer, address: order.Customer.Account}
	credit := order.credit()
	if was.customer != 0 {
		order.Customer.Register = false
	}
	var err error
	if c.order, err = s.withDefaults(order); err != nil {
		return err
	}
	if consumes(was.status) {
		if err := s.void(ctx, was); err != nil {
			return err
		}
	}
	c.cart = s.fill(c.order, c.order.Coupon != "", credit)
	if err := c.overviewAgain(ctx); err != nil {
		return err
	}
	return c.addHistory(ctx, back, 0, "")
}

// void is the first part of an edit.
func (s *Shop) void(ctx context.Context, was stored) error {
	if err := s.restock(ctx, was); err != nil {
		return err
	}
	if _, err := s.exec(ctx, was.id, "status", Voided, was.id); err != nil {
		return err
	}
	_, err := s.exec(ctx, was.id, "history", was.id, Voided, 1, "")
	return err
}

// SaveSettings saves a page of settings unchanged, as the shop does: all rows of a code are
// deleted, then inserted one by one. The codes are those of the setting table: config,
// payment_cod, shipping_flat …
func (s *Shop) SaveSettings(ctx context.Context, code string) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	page, err := s.settingsOf(ctx, code)
	if err != nil {
		return err
	}
	return s.replace(ctx, page)
}

// SaveTaxClass saves a tax class unchanged: its rules are deleted, then inserted one by one.
func (s *Shop) SaveTaxClass(ctx context.Context, class int) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	page, err := s.rulesOf(ctx, class)
	if err != nil {
		return err
	}
	return s.replace(ctx, page)
}

// replacement is a page that is saved by a DELETE and an INSERT a row.
type replacement struct {
	clear, insert string
	key           any
	rows          [][]any
}

func (s *Shop) settingsOf(ctx context.Context, code string) (replacement, error) {
	r := replacement{clear: "setting delete", insert: "setting", key: code}
	err := s.scan(ctx, "read settings", code, func(rows *sql.Rows) error {
		var key, value string
		var serialized int
		err := rows.Scan(&key, &value, &serialized)
		r.rows = append(r.rows, []any{code, key, value, serialized})
		return err
	})
	return r, err
}

func (s *Shop) rulesOf(ctx context.Context, class int) (replacement, error) {
	r := replacement{clear: "tax rules delete", insert: "tax rule", key: class}
	err := s.scan(ctx, "read tax rules", class, func(rows *sql.Rows) error {
		var rate, priority int
		var based string
		err := rows.Scan(&rate, &based, &priority)
		r.rows = append(r.rows, []any{class, rate, based, priority})
		return err
	})
	return r, err
}

// replace refuses to save nothing: that would lose the page for good.
func (s *Shop) replace(ctx context.Context, r replacement) error {
	if len(r.rows) == 0 {
		return fmt.Errorf("%s %v: nothing to save", r.clear, r.key)
	}
	if _, err := s.exec(ctx, 0, r.clear, r.key); err != nil {
		return err
	}
	for _, row := range r.rows {
		if _, err := s.exec(ctx, 0, r.insert, row...); err != nil {
			return err
		}
	}
	return nil
}
