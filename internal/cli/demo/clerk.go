package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spola-cdc/spola/internal/lab/clerk"
)

// desk is where the ERP's clerk works beside the shop's customers: he receives, counts, moves, sells at
// the counter, ships whole and in part, cancels, closes short, takes back, and changes prices.
type desk struct {
	erp   string // URL of the ERP
	seed  uint64
	rate  float64        // deeds a second; 0: nobody works there
	day   map[string]int // shares of his deeds; nil: as ever
	deeds atomic.Int64
}

// refilling is the day of a clerk whose shelves are bought empty: half of what he does is to fill them.
var refilling = map[string]int{
	"receive": 24, "count": 1, "move": 4, "sell": 6, "enter": 1, "ship": 8, "ship part": 3, "cancel": 3, "close short": 1, "take back": 1,
}

// again is how long the clerk waits before he connects anew.
const again = 200 * time.Millisecond

// Work lets the clerk work until ctx ends. With an ERP that is killed he connects anew, as another
// clerk would; what an ERP that stands refuses otherwise than by a sentence is an error.
func (d *desk) Work(ctx context.Context, killed bool) error {
	for shift := uint64(0); d.rate > 0 && ctx.Err() == nil; shift++ {
		err := d.shift(ctx, d.seed+shift)
		switch {
		case err == nil || ctx.Err() != nil:
		case killed && lost(err):
			time.Sleep(again)
		default:
			return err
		}
	}
	return nil
}

// shift is a clerk's work on one connection.
func (d *desk) shift(ctx context.Context, seed uint64) error {
	conn, err := pgx.Connect(ctx, d.erp)
	if err != nil {
		return fmt.Errorf("connect the clerk to the ERP: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	c, err := clerk.New(conn, clerk.Options{Seed: seed, Deeds: d.day})
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Duration(float64(time.Second) / d.rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// A deed that has begun is ended, whoever goes home meanwhile.
		deed, err := c.Step(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		if deed.Refused == "" && !deed.Idle {
			d.deeds.Add(1)
		}
	}
}

// lost tells whether an error is of a connection that broke, or of a server that ends or starts.
func lost(err error) bool {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(answer.Code, "57P")
	}
	return true
}

// broken says what must hold in the ERP and does not, a sentence each.
func (st *stage) broken(ctx context.Context) ([]string, error) {
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return nil, fmt.Errorf("look for what is broken in the ERP: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, clerk.Broken)
	if err != nil {
		return nil, fmt.Errorf("look for what is broken in the ERP: %w", err)
	}
	sentences, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for what is broken in the ERP: %w", err)
	}
	return sentences, nil
}
