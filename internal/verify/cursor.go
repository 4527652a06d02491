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
}

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

// take returns the rows of an order. Rows of orders before it are passed over: nobody has them.
func (c *cursor[T]) take(order int64) ([]T, error) {
	var all []T
	for {
		next, ok, err := c.peek()
		if err != nil || !ok || next > order {
			return all, err
		}
		if next == order {
			all = append(all, c.row)
		}
		c.ahead = false
	}
}
