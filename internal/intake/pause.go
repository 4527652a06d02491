package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Pause keeps an applier of a shop's log from applying anything until Resume, whether it runs or
// is started. The batch in hand is finished first. It returns since when the applier is paused,
// and when the record that it applied last was committed in the shop: what waits in the log is
// younger. Pausing again changes nothing.
func Pause(ctx context.Context, conn *pgx.Conn, shop, applier string, by By) (since, reached time.Time, err error) {
	err = postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error {
		var already *time.Time
		var ms int64
		err := tx.QueryRow(ctx, "select paused_at, record_time from spola.place where applier = $1 and source = $2 for update", applier, shop).Scan(&already, &ms)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("shop %s: applier %s is not known: %w", shop, applier, ErrUnknownShop)
		}
		if err != nil {
			return fmt.Errorf("read the place of applier %s of shop %s: %w", applier, shop, err)
		}
		reached = time.UnixMilli(ms)
		if already != nil {
			since = *already
			return nil
		}
		err = tx.QueryRow(ctx, `update spola.place set paused_at = clock_timestamp(), paused_by = $3 where applier = $1 and source = $2
			returning paused_at`, applier, shop, by.Who).Scan(&since)
		if err != nil {
			return fmt.Errorf("pause applier %s of shop %s: %w", applier, shop, err)
		}
		return audit(ctx, tx, by, shop, 0, "pause", applier, nil)
	})
	return since, reached, err
}

// Resume lets a paused applier go on, within seconds if it runs. It tells whether it was paused.
func Resume(ctx context.Context, conn *pgx.Conn, shop, applier string, by By) (was bool, err error) {
	err = postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "update spola.place set paused_at = null, paused_by = '' where applier = $1 and source = $2 and paused_at is not null", applier, shop)
		if err != nil {
			return fmt.Errorf("resume applier %s of shop %s: %w", applier, shop, err)
		}
		if was = tag.RowsAffected() > 0; !was {
			return nil
		}
		return audit(ctx, tx, by, shop, 0, "resume", applier, nil)
	})
	return was, err
}
