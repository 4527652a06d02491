package mirror

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// probeLook is how often a probe is looked for.
const probeLook = 20 * time.Millisecond

// AwaitProbe returns when the mirror shows a probe of its source, by its number, or a later one: it then shows all that
// the source had committed before.
func AwaitProbe(ctx context.Context, conn *pgx.Conn, source string, number int64) error {
	query := "select coalesce(max(number), 0) from " + pgx.Identifier{Schema(source), Marker}.Sanitize() + " where name = 'probe'"
	for {
		var seen int64
		if err := conn.QueryRow(ctx, query).Scan(&seen); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("look for the shop's probe in the mirror: %w", err)
		}
		if seen >= number {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(probeLook):
		}
	}
}
