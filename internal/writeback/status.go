package writeback

import (
	"context"
	_ "embed" // the queries stand in status.postgres.sql
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed status.postgres.sql
var statusSQL string

// Standing is how far a stream of the way back is, and what of it waits, as the mirror has it: as old as
// the intake's lag, and without asking the shop.
type Standing struct {
	Stream     string     `json:"stream"`     // stock, orders
	Generation int64      `json:"generation"` // of the ERP's log, and the record last applied
	Seq        int64      `json:"seq"`
	Offset     int64      `json:"-"` // of that record on Kafka
	Moved      time.Time  `json:"moved"`
	Paused     *time.Time `json:"paused,omitempty"`
	PausedBy   string     `json:"paused_by,omitempty"`
	Waits      []Wait     `json:"waits"` // by reason, most frequent first
}

// Wait is what waits for one reason.
type Wait struct {
	Why      string   `json:"why"`
	Mend     string   `json:"mend"`
	Count    int64    `json:"count"`
	Examples []string `json:"examples"` // at most three
}

// stockMends is what a person does about a stock row that can't take all.
var stockMends = map[string]string{
	whyFloor:     "nothing: the column can't go lower, and the rest is netted with what comes; where it is unsigned, the shop's column may be given a sign",
	whyMissing:   "the shop has no such row any more: map the article to another (applier articles --import)",
	whyUntracked: "let the shop subtract stock for it, or take the article off the row (applier articles --import)",
}

// Standings are the streams that have run for a shop.
func Standings(ctx context.Context, conn *pgx.Conn, shop string) ([]Standing, error) {
	query := map[string]string{}
	for _, part := range strings.Split(strings.ReplaceAll(statusSQL, "{mirror}", pgx.Identifier{"mirror_" + shop}.Sanitize()), "\n-- name: ")[1:] {
		name, statement, _ := strings.Cut(part, "\n")
		query[name] = statement
	}
	var there bool
	if err := conn.QueryRow(ctx, "select to_regclass($1) is not null", "mirror_"+shop+".spola_marker").Scan(&there); err != nil || !there {
		return nil, err
	}
	rows, err := conn.Query(ctx, query["places"])
	if err != nil {
		return nil, fmt.Errorf("read the marker of shop %s: %w", shop, err)
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (s Standing, err error) {
		return s, r.Scan(&s.Stream, &s.Generation, &s.Seq, &s.Offset, &s.Moved, &s.Paused, &s.PausedBy)
	})
	if err != nil {
		return nil, fmt.Errorf("read the marker of shop %s: %w", shop, err)
	}
	if rows, err = conn.Query(ctx, query["waits"]); err != nil {
		return nil, fmt.Errorf("read what waits for shop %s: %w", shop, err)
	}
	var stream string
	var w Wait
	_, err = pgx.ForEachRow(rows, []any{&stream, &w.Why, &w.Count, &w.Examples}, func() error {
		for i := range all {
			if all[i].Stream == stream {
				w.Mend = map[string]map[string]string{StockApplier: stockMends, OrdersApplier: Mends}[stream][w.Why]
				all[i].Waits = append(all[i].Waits, w)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what waits for shop %s: %w", shop, err)
	}
	return all, nil
}
