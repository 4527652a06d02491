package demo

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/intake"
)

// lookAgain is how often the stage asks for something that comes by itself.
const lookAgain = 50 * time.Millisecond

// goLive does what a merchant does on his first day: it waits for the first snapshot, maps the
// articles of products in sizes, and lets orders in from now on.
func (st *stage) goLive(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return fmt.Errorf("go live: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	from := intake.Going{From: time.Now().Add(-24 * time.Hour), By: intake.By{Who: "demo", Reason: "its first day"}}
	return await(ctx, func() error {
		_, err := intake.CheckLive(ctx, conn, st.name, from)
		if errors.Is(err, intake.ErrNotReady) {
			return err
		}
		if err == nil {
			_, err = intake.ImportArticles(ctx, conn, st.name, st.sizes(), intake.By{Who: "demo"})
		}
		if err == nil {
			_, err = intake.GoLive(ctx, conn, st.name, from)
		}
		if err != nil {
			return backoff.Permanent(fmt.Errorf("go live: %w", err))
		}
		return nil
	})
}

// sizes are the mappings that nobody can guess: which article a product is in each size. All
// others are found by their model.
func (st *stage) sizes() *bytes.Buffer {
	var file bytes.Buffer
	w := csv.NewWriter(&file)
	_ = w.Write([]string{"product", "variant", "sku"}) // a buffer takes everything
	for _, a := range st.shop.Articles() {
		if a.Value != 0 {
			_ = w.Write([]string{strconv.Itoa(a.Product), strconv.Itoa(a.Value), a.SKU})
		}
	}
	w.Flush()
	return &file
}

// settledTicks is how many ticks of the shop must have been applied after its last order: three
// for a cancellation to settle, and two for what that brings.
const settledTicks = 5

// settle waits until everything that the shop has committed is applied and settled: by a tick
// that the reader writes into the shop and the applier finds in the mirror.
func (st *stage) settle(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return fmt.Errorf("wait for the last orders: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := st.wake(ctx); err != nil {
		return err
	}
	var last, applied int64
	if err := st.shop.DB().QueryRowContext(ctx, "SELECT number FROM spola_marker WHERE name = 'tick'").Scan(&last); err != nil {
		return fmt.Errorf("read the shop's last tick: %w", err)
	}
	err = await(ctx, func() error {
		err := conn.QueryRow(ctx, "select number from "+pgx.Identifier{"mirror_" + st.name, "spola_marker"}.Sanitize()+" where name = 'tick'").Scan(&applied)
		if err != nil {
			return err
		}
		if applied < last+settledTicks {
			return fmt.Errorf("tick %d of %d is applied", applied, last+settledTicks)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for the last orders: %w", err)
	}
	return nil
}

// wake changes something in the shop: at rest it is ticked once a minute, else each second.
func (st *stage) wake(ctx context.Context) error {
	if _, err := st.shop.DB().ExecContext(ctx, "UPDATE "+st.cfg.Shop.Prefix+"product SET date_modified = date_modified + INTERVAL 1 SECOND WHERE product_id = 1"); err != nil {
		return fmt.Errorf("wake the shop: %w", err)
	}
	return nil
}

// await tries again, patiently, until ctx ends; the last error then says what was missing.
func await(ctx context.Context, look func() error) error {
	var last error
	err := backoff.Retry(func() error {
		err := look()
		if err != nil && ctx.Err() == nil {
			last = err
		}
		return err
	}, backoff.WithContext(backoff.NewConstantBackOff(lookAgain), ctx))
	if err != nil && ctx.Err() != nil {
		return errors.Join(last, err)
	}
	return err
}

// topicPrefix keeps demos apart that share a cluster: each needs a log of its own.
func topicPrefix(s setting) string {
	if len(s.brokers) == 0 {
		return "spola"
	}
	return "spola_demo_" + strconv.FormatInt(time.Now().Unix(), 36)
}
