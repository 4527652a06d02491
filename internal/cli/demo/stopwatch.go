package demo

import (
	"context"
	_ "embed" // the statements stand in stopwatch.sql
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/lab/watch"
)

//go:embed stopwatch.sql
var clockSQL string

// The article by which the way back is timed: no customer is offered it, nobody edits it in the shop.
const (
	clockArticle = "CLOCK-01"
	clockProduct = 900001
)

const (
	moveEvery = 100 * time.Millisecond // between two movements of the article
	overdue   = time.Second            // when a look is taken whether the clerk has moved it too
)

// hangClock gives the ERP the article.
func hangClock(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, named(clockSQL, "article"), clockArticle); err != nil {
		return fmt.Errorf("give the ERP an article to time: %w", err)
	}
	return nil
}

// stopwatch times the way back: it moves an article of the ERP and looks when each shop shows it. The clerk may come upon the
// article as upon any other: a movement that he has overtaken is given up.
type stopwatch struct {
	erp   string // URL
	shops []*stage
	backs []*watch.Back // of each shop
	free  []int64       // pieces of the article in the ERP behind the last movement, for each shop
	done  chan struct{} // closed when its work is
}

func newStopwatch(st *stage) *stopwatch {
	c := &stopwatch{erp: st.cfg.ERP.URL(), shops: st.all(), done: make(chan struct{})}
	for _, s := range c.shops {
		c.backs = append(c.backs, watch.NewBack(s.shop.DB(), s.cfg.Shop.Prefix))
	}
	return c
}

// Work moves the article while customers order, and on a slow machine until it has timed something, but no longer than ctx. It
// begins when all shops show what there is: before that the article has no account.
func (c *stopwatch) Work(ctx, ordering context.Context) error {
	defer close(c.done)
	conn, err := pgx.Connect(ctx, c.erp)
	if err != nil {
		return fmt.Errorf("connect the clock to the ERP: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := c.move(ctx, conn); err != nil {
		return err
	}
	tick := time.NewTicker(moveEvery)
	defer tick.Stop()
	for begun := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !begun {
			begun, err = c.shown(ctx, conn)
		} else {
			err = c.step(context.WithoutCancel(ctx), conn)
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("time the way back: %w", err)
		}
		if ordering.Err() != nil && c.Latencies(1).Max > 0 {
			return nil
		}
	}
}

// Wait waits until its work is done, for a while.
func (c *stopwatch) Wait(ctx context.Context) {
	select {
	case <-c.done:
	case <-time.After(settleWithin):
	case <-ctx.Done():
	}
}

// shown tells whether all shops show what there is.
func (c *stopwatch) shown(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var err error
	if c.free, err = c.count(ctx, conn); err != nil {
		return false, err
	}
	for i, s := range c.shops {
		var shown int64
		if err := s.shop.DB().QueryRowContext(ctx, "SELECT quantity FROM "+s.cfg.Shop.Prefix+"product WHERE product_id = ?", clockProduct).Scan(&shown); err != nil {
			return false, err
		}
		if shown != c.free[i]-int64(s.buffer) {
			return false, nil
		}
	}
	return true, nil
}

// step moves the article if the last movement is shown everywhere.
func (c *stopwatch) step(ctx context.Context, conn *pgx.Conn) error {
	for _, b := range c.backs {
		n, since := b.OnTheWay()
		switch {
		case n == 0:
			continue
		case time.Since(since) < overdue:
			return nil
		}
		free, err := c.count(ctx, conn)
		if err != nil {
			return err
		}
		if slices.Equal(free, c.free) {
			return nil // it is late
		}
		for _, b := range c.backs {
			b.Forget(clockProduct)
		}
		break
	}
	if err := c.move(ctx, conn); err != nil {
		return err
	}
	at := time.Now()
	for i, b := range c.backs {
		b.Moved(clockProduct, c.free[i]-int64(c.shops[i].buffer), at)
	}
	return nil
}

// move receives a piece. How many there are then is read before it is committed: nobody else moves the article so long.
func (c *stopwatch) move(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
		if _, err := tx.Exec(ctx, named(clockSQL, "receive"), clockArticle, outletFrom); err != nil {
			return err
		}
		c.free, err = c.count(ctx, tx)
		return err
	})
}

// count is how many pieces there are for each shop.
func (c *stopwatch) count(ctx context.Context, erp interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) ([]int64, error) {
	free := make([]int64, len(c.shops))
	for i, s := range c.shops {
		if err := erp.QueryRow(ctx, named(clockSQL, "free"), clockArticle, s.warehouse()).Scan(&free[i]); err != nil {
			return nil, err
		}
	}
	return free, nil
}

// Run looks at the shops until ctx ends.
func (c *stopwatch) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, b := range c.backs {
		group.Go(func() error { return b.Run(ctx) })
	}
	return group.Wait()
}

// Latencies are those of the latest movements, or of all if most is 0.
func (c *stopwatch) Latencies(most int) Latencies {
	var all []time.Duration
	for _, b := range c.backs {
		all = append(all, b.Latencies(most)...)
	}
	return percentiles(all)
}
