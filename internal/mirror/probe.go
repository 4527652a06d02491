package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// probeLook is how often a probe is looked for.
const probeLook = 20 * time.Millisecond

// ErrBehind says that a probe has not come within the time given.
var ErrBehind = errors.New("the mirror is behind")

// AwaitProbe returns when the mirror shows a probe of its source, by its number, or a later one: it then shows all that
// the source had committed before. Where that takes longer than within (0: it may take for ever) it is ErrBehind, and conn goes on.
func AwaitProbe(ctx context.Context, conn *pgx.Conn, source string, number int64, within time.Duration) error {
	began := time.Now()
	query := "select coalesce(max(number), 0) from " + pgx.Identifier{Schema(source), Marker}.Sanitize() + " where name = 'probe'"
	for {
		var seen int64
		if err := conn.QueryRow(ctx, query).Scan(&seen); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("look for the shop's probe in the mirror: %w", err)
		}
		switch {
		case seen >= number:
			return nil
		case within > 0 && time.Since(began) > within:
			return ErrBehind
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(probeLook):
		}
	}
}
