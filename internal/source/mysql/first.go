package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	err = retry(ctx, cfg.Log, "look whether it was read before", func() (err error) {
		read, err = hasTicked(ctx, db)
		return err
	})
	return read, err
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
