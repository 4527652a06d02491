package shop

import "context"

// SetStatus is the administrator's change of an order's state.
func (s *Shop) SetStatus(ctx context.Context, id int64, status int) error {
	_, err := s.addHistory(ctx, id, history{status: status})
	return err
}

// SetStatusByAPI is SetStatus as another program asks for it, by the shop's signed API.
func (s *Shop) SetStatusByAPI(ctx context.Context, id int64, status int) error {
	if _, err := s.exec(ctx, id, "api history", 1, "history_add", clientIP); err != nil {
		return err
	}
	return s.SetStatus(ctx, id, status)
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
