package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

// ErrNotReady says that a shop can't go live yet, for a reason that passes by itself: its first
// snapshot is not in the mirror, or its settings are not complete there.
var ErrNotReady = errors.New("the shop is not ready to go live")

// Readiness is what stands against going live, and what it would do.
type Readiness struct {
	Mode         string
	Unclassified []string // order states that the shop file has no class for, "17 (Backorder)"
	Orders       int      // of the mirror that are more than a cart
	Closed       int      // of these complete before the cut: they are not imported
}

// GoLive lets a shop's orders into the ERP: those that were complete at from or later. Those
// before are closed: linked, so that they are never imported, and counted in consumption. Doing
// it again changes nothing but the cut of orders that are not linked yet.
//
// It refuses while an order state of the shop has no class, and is ErrNotReady before the first
// snapshot. The orders follow with the applier's next batch.
func GoLive(ctx context.Context, conn *pgx.Conn, shop string, from time.Time) (Readiness, error) {
	return goLive(ctx, conn, shop, from, false)
}

// CheckLive tells what GoLive would do, and changes nothing.
func CheckLive(ctx context.Context, conn *pgx.Conn, shop string, from time.Time) (Readiness, error) {
	return goLive(ctx, conn, shop, from, true)
}

func goLive(ctx context.Context, conn *pgx.Conn, shop string, from time.Time, dry bool) (r Readiness, err error) {
	if from.After(time.Now().Add(time.Minute)) {
		return r, fmt.Errorf("shop %s can't go live from %s: that is not yet", shop, from.Format(time.RFC3339))
	}
	err = postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error {
		if r, err = readiness(ctx, tx, shop, from); err != nil {
			return err
		}
		if len(r.Unclassified) > 0 && !dry {
			return fmt.Errorf("shop %s can't go live: give these order states a class in the shop file and start the applier with it: %v", shop, r.Unclassified)
		}
		if dry || r.Mode == "live" {
			return nil
		}
		return letIn(ctx, tx, shop, from)
	})
	return r, err
}

// readiness locks the shop against a batch that runs meanwhile.
func readiness(ctx context.Context, tx pgx.Tx, shop string, from time.Time) (Readiness, error) {
	var r Readiness
	var derived bool
	err := tx.QueryRow(ctx, "select mode, derived from spola.shop where shop = $1 for update", shop).Scan(&r.Mode, &derived)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, fmt.Errorf("%w: no applier has run for shop %s", ErrNotReady, shop)
	}
	if err != nil {
		return r, fmt.Errorf("read shop %s: %w", shop, err)
	}
	if !derived {
		return r, fmt.Errorf("%w: the first snapshot of shop %s, or its settings, are not complete in the mirror", ErrNotReady, shop)
	}
	rows, err := tx.Query(ctx, `select format('%s (%s)', t.state, t.name) from spola.shop_state t
		where t.shop = $1 and not exists (select from spola.state_class c where c.shop = t.shop and c.state = t.state)
		order by length(t.state), t.state`, shop)
	if err != nil {
		return r, fmt.Errorf("look for states without a class in shop %s: %w", shop, err)
	}
	if r.Unclassified, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return r, fmt.Errorf("look for states without a class in shop %s: %w", shop, err)
	}
	err = tx.QueryRow(ctx, `select count(*), count(*) filter (where h.begun < $2)
		from spola.link l
		join `+pgx.Identifier{Schema(shop)}.Sanitize()+`.heads(array(select order_id from spola.link where shop = $1)) h on h.order_id = l.order_id
		where l.shop = $1 and l.erp_order is null and not l.deleted`, shop, from).Scan(&r.Orders, &r.Closed)
	if err != nil {
		return r, fmt.Errorf("count the orders of shop %s: %w", shop, err)
	}
	return r, nil
}

func letIn(ctx context.Context, tx pgx.Tx, shop string, from time.Time) error {
	if _, err := tx.Exec(ctx, "update spola.shop set mode = 'live', cut = $2 where shop = $1", shop, from); err != nil {
		return fmt.Errorf("let shop %s go live: %w", shop, err)
	}
	_, err := tx.Exec(ctx, `insert into spola.due (shop, order_id, tick, settling)
		select shop, order_id, 0, false from spola.link where shop = $1 and not deleted on conflict do nothing`, shop)
	if err != nil {
		return fmt.Errorf("let the orders of shop %s in: %w", shop, err)
	}
	return nil
}
