package shop

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/shopspring/decimal"
)

// history is a change of an order's state.
type history struct {
	status  int
	notify  int
	comment string
}

// stored is an order as it stands in the shop.
type stored struct {
	id       int64
	status   int
	customer int64
	total    decimal.Decimal
	lines    []storedLine
	totals   []totalRow
}

type storedLine struct {
	id       int64
	product  int
	quantity int
	values   []int64
}

// consumes tells whether an order in this state has taken its pieces from the shop's stock: the
// union of config_processing_status and config_complete_status.
func consumes(status int) bool {
	switch status {
	case Complete, Pending, Processing, Reversed, Shipped:
		return true
	}
	return false
}

// addHistory brings an order into a state, as the shop's model does: what leaves or enters the
// consuming states moves stock first, the state follows, the history row comes last. It returns
// when the last commit returned.
func (s *Shop) addHistory(ctx context.Context, id int64, h history) (time.Time, error) {
	o, err := s.read(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	switch {
	case !consumes(o.status) && consumes(h.status):
		denied, err := s.consume(ctx, o)
		if err != nil {
			return time.Time{}, err
		}
		if denied {
			h.status = Denied // the coupon was used up meanwhile; the pieces are gone all the same
		}
	case consumes(o.status) && !consumes(h.status):
		if err := s.giveBack(ctx, o); err != nil {
			return time.Time{}, err
		}
	}
	if _, err := s.exec(ctx, id, "status", h.status, id); err != nil {
		return time.Time{}, err
	}
	_, err = s.exec(ctx, id, "history", id, h.status, h.notify, h.comment)
	return time.Now(), err
}

// consume counts the sale, redeems coupon and store credit, and takes the pieces.
func (s *Shop) consume(ctx context.Context, o stored) (denied bool, err error) {
	if err := s.count(ctx, o, 1); err != nil {
		return false, err
	}
	for _, t := range o.totals {
		switch t.code {
		case "coupon":
			if denied, err = s.redeem(ctx, o, t); err != nil {
				return false, err
			}
		case "credit":
			_, err := s.exec(ctx, o.id, "customer credit", o.customer, o.id, fmt.Sprintf("Ordine n. %d", o.id), t.value.String())
			if err != nil {
				return false, err
			}
		}
	}
	return denied, s.moveStock(ctx, o, "product subtract", "option subtract")
}

func (s *Shop) redeem(ctx context.Context, o stored, t totalRow) (denied bool, err error) {
	code := t.title[len("Coupon (") : len(t.title)-1]
	id, left, err := s.coupon(ctx, code)
	if err != nil {
		return false, err
	}
	if !left {
		return true, nil
	}
	_, err = s.exec(ctx, o.id, "coupon history", id, o.id, o.customer, t.value.String())
	return false, err
}

// giveBack undoes consume.
func (s *Shop) giveBack(ctx context.Context, o stored) error {
	if err := s.count(ctx, o, -1); err != nil {
		return err
	}
	return s.restock(ctx, o)
}

func (s *Shop) restock(ctx context.Context, o stored) error {
	if err := s.moveStock(ctx, o, "product restock", "option restock"); err != nil {
		return err
	}
	for _, t := range o.totals {
		name := map[string]string{"coupon": "coupon history delete", "credit": "credit delete"}[t.code]
		if name == "" {
			continue
		}
		if _, err := s.exec(ctx, o.id, name, o.id); err != nil {
			return err
		}
	}
	return nil
}

// count keeps the shop's statistics.
func (s *Shop) count(ctx context.Context, o stored, sign int64) error {
	sale := o.total.Round(2).Mul(decimal.New(sign, 0))
	if _, err := s.exec(ctx, o.id, "statistics", sale.String(), "order_sale"); err != nil {
		return err
	}
	_, err := s.exec(ctx, o.id, "statistics", sign, "order_processing")
	return err
}

// moveStock updates the stock of each line: the product, then each of its option values.
func (s *Shop) moveStock(ctx context.Context, o stored, product, option string) error {
	for _, l := range o.lines {
		if _, err := s.exec(ctx, o.id, product, l.quantity, l.product); err != nil {
			return err
		}
		for _, value := range l.values {
			if _, err := s.exec(ctx, o.id, option, l.quantity, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Shop) read(ctx context.Context, id int64) (stored, error) {
	o := stored{id: id}
	err := s.scan(ctx, "read order", id, func(rows *sql.Rows) error { return rows.Scan(&o.status, &o.customer, &o.total) })
	if err != nil {
		return o, err
	}
	err = s.scan(ctx, "read products", id, func(rows *sql.Rows) error {
		var l storedLine
		o.lines = append(o.lines, l)
		last := &o.lines[len(o.lines)-1]
		return rows.Scan(&last.id, &last.product, &last.quantity)
	})
	if err != nil {
		return o, err
	}
	err = s.scan(ctx, "read options", id, func(rows *sql.Rows) error {
		var line, value int64
		err := rows.Scan(&line, &value)
		for i := range o.lines {
			if o.lines[i].id == line {
				o.lines[i].values = append(o.lines[i].values, value)
			}
		}
		return err
	})
	if err != nil {
		return o, err
	}
	return o, s.scan(ctx, "read totals", id, func(rows *sql.Rows) error {
		var t totalRow
		err := rows.Scan(&t.code, &t.title, &t.value)
		o.totals = append(o.totals, t)
		return err
	})
}

// scan calls each with every row of a query by its key. No row of "read order" is an error.
func (s *Shop) scan(ctx context.Context, name string, key any, each func(*sql.Rows) error) error {
	rows, err := s.query(ctx, name, key)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	found := false
	for rows.Next() {
		found = true
		if err := each(rows); err != nil {
			return fmt.Errorf("%s %v: %w", name, key, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s %v: %w", name, key, err)
	}
	if !found && name == "read order" {
		return fmt.Errorf("order %v: %w", key, sql.ErrNoRows)
	}
	return nil
}
