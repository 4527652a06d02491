package postgres

import (
	"context"
	_ "embed" // the query stands in visible.sql
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed visible.sql
var hiddenQuery string

// AwaitVisible waits until what these transactions have committed can be read through q, a connection or a transaction that
// reads what is committed. The log has a transaction as soon as its commit is in the write-ahead log; others see it a moment
// later, or, with a synchronous standby, when that has answered. Who takes from the log only where to look
// would look too early, and never again. transactions are by the log's numbers, txId.
func AwaitVisible(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, transactions map[int64]bool,
) error {
	if len(transactions) == 0 {
		return nil
	}
	ids := slices.Collect(maps.Keys(transactions))
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		var hidden bool
		if err := q.QueryRow(ctx, hiddenQuery, ids).Scan(&hidden); err != nil {
			return Explain(fmt.Errorf("wait until %d transactions can be read: %w", len(ids), err))
		}
		if !hidden {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
