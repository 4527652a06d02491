package applier

import (
	_ "embed" // the query stands in status.sql
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/stream"
)

//go:embed status.sql
var statusQuery string

// Status is `applier status`.
type Status struct{}

// status is a row of status.sql.
type status struct {
	mode                                string
	snapshot                            bool
	gen, seq, offset, recordTime        int64
	moved                               time.Time
	imported, cancelled, closed, parked int64
}

// Run shows how far the applier is, whether or not it runs.
func (Status) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config)
	if err != nil {
		return err
	}
	var s status
	err = withShop(env, func(conn *pgx.Conn, shop string) error {
		err := conn.QueryRow(env.Ctx, statusQuery, shop).Scan(&s.mode, &s.snapshot, &s.gen, &s.seq, &s.offset, &s.recordTime, &s.moved,
			&s.imported, &s.cancelled, &s.closed, &s.parked)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("shop %s is not known: no applier has run for it", shop)
		}
		if err != nil {
			return fmt.Errorf("read the status of shop %s: %w", shop, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "shop      %s, mode %s, first snapshot %s\n", cfg.Shop.Name, s.mode, yes(s.snapshot, "complete", "not complete"))
	fmt.Fprintf(env.Out, "place     generation %d, record %d, moved %s ago\n", s.gen, s.seq, time.Since(s.moved).Round(time.Millisecond))
	fmt.Fprintf(env.Out, "orders    %d in the ERP, %d cancelled, %d closed, %d parked\n", s.imported, s.cancelled, s.closed, s.parked)
	lag, err := stream.MeasureLag(env.Ctx, cfg.Stream(env.Log), s.offset)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Out, "lag       %d records, %.1f s\n", lag.Events, lag.Age.Seconds())
	return nil
}

func yes(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
