package verify

import (
	"fmt"
)

// rows is what the drivers of both databases have in common.
type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
}

// cursor walks through the rows of one statement, which come in the order of the orders they
// belong to, so that neither side has to be held in memory.
type cursor[T any] struct {
	name  string
	rows  rows
	close func()
	scan  func(rows) (order int64, row T, err error)

	ahead bool // order and row were read and not yet taken
	ended bool
	order int64
	row   T
	taken []T // what take returned last, where nobody keeps it
	keeps bool
}

// newCursor is a cursor on rows, which it closes at once where the whole is taken into memory.
func newCursor[T any](name string, r rows, closed func(), scan func(rows) (int64, T, error), whole bool) (*cursor[T], error) {
	c := &cursor[T]{name: name, rows: r, close: closed, scan: scan, keeps: whole}
	if !whole {
		return c, nil
	}
	defer closed()
	held := &heldRows[T]{}
	for r.Next() {
		order, row, err := scan(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		held.orders, held.rows = append(held.orders, order), append(held.rows, row)
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c.rows, c.close, c.scan = held, func() {}, held.scan
	return c, nil
}

// heldRows are rows in memory.
type heldRows[T any] struct {
	orders []int64
	rows   []T
	at     int // how many were asked for
}

func (h *heldRows[T]) Next() bool {
	h.at++
	return h.at <= len(h.rows)
}

func (h *heldRows[T]) Scan(...any) error { return nil }
func (h *heldRows[T]) Err() error        { return nil }

func (h *heldRows[T]) scan(rows) (int64, T, error) { return h.orders[h.at-1], h.rows[h.at-1], nil }

// peek returns the order of the next row; false at the end.
func (c *cursor[T]) peek() (order int64, ok bool, err error) {
	if c.ahead {
		return c.order, true, nil
	}
	if c.ended {
		return 0, false, nil
	}
	if !c.rows.Next() {
		c.ended = true
		if err := c.rows.Err(); err != nil {
			return 0, false, fmt.Errorf("%s: %w", c.name, err)
		}
		return 0, false, nil
	}
	order, row, err := c.scan(c.rows)
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w", c.name, err)
	}
	if order < c.order {
		return 0, false, fmt.Errorf("%s: order %d comes behind %d", c.name, order, c.order)
	}
	c.order, c.row, c.ahead = order, row, true
	return order, true, nil
}

// take returns the rows of an order; where not the whole is taken into memory they are good until the next call. Rows of orders before it
// are passed over: nobody has them.
func (c *cursor[T]) take(order int64) ([]T, error) {
	all := c.taken[:0]
	for {
		next, ok, err := c.peek()
		if err != nil || !ok || next > order {
			if !c.keeps {
				c.taken = all
			}
			return all, err
		}
		if next == order {
			all = append(all, c.row)
		}
		c.ahead = false
	}
}
