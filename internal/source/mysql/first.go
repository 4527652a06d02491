package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// WasRead tells whether a reader has ticked in this shop before. Then an empty log is no first
// start: somebody has emptied it. It waits for a server that is away until the context ends.
func WasRead(ctx context.Context, cfg Config) (bool, error) {
	db, err := cfg.open()
	if err != nil {
		return false, err
	}
	defer db.Close()
	var read bool
	look := func() error {
		var err error
		if read, err = hasTicked(ctx, db); isRefused(err) {
			return backoff.Permanent(&StopError{Kind: ErrPreflight, What: err.Error(), Mend: "run `cdc preflight`, which writes the GRANT out"})
		}
		return err
	}
	pause := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0), backoff.WithMaxInterval(2*time.Second))
	note := func(err error, wait time.Duration) {
		cfg.Log.Warn().Err(err).Dur("wait", wait).Msg("shop: look whether it was read before: trying again")
	}
	return read, backoff.RetryNotify(look, backoff.WithContext(pause, ctx), note)
}

func hasTicked(ctx context.Context, db *sql.DB) (bool, error) {
	var ticks int64
	err := db.QueryRowContext(ctx, "SELECT number FROM spola_marker WHERE name = 'tick'").Scan(&ticks)
	switch {
	case errors.Is(err, sql.ErrNoRows), isMySQLError(err, 1146):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the marker: %w", err)
	}
	return ticks > 0, nil
}
