package mirror

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// A table that grows from nothing has no statistics, and the planner then scans it or takes the
// wrong index: the same statement is ten times slower. PostgreSQL's own daemon comes a minute
// later, so the mirror analyzes a table after its first rows, and again when it has grown
// fourfold: in between the planner reckons with the table's size on disk. (At every growth by a
// half, statistics were a third of the time of a backlog of 20,000 orders.)
const (
	firstAnalyze  = 500 // rows written
	analyzeGrowth = 3   // rows written since, as a multiple of the rows known
)

// size is how large a table was when it was analyzed last, and what was written since.
type size struct {
	known, written int
	table          *table
}

func (s *session) grew(t *table, rows int) {
	z := s.sizes[t.shape.Name]
	if z == nil {
		z = &size{known: -1}
		s.sizes[t.shape.Name] = z
	}
	z.table = t
	z.written += rows
}

// analyze brings the statistics of tables that have grown up to date, inside tx, so that what is
// derived in this very batch has them; after a snapshot those of all tables written that have none
// yet, or have grown. Only of the columns by which rows are looked up: an order's row has sixty others, and orders wait meanwhile.
func (m *Mirror) analyze(ctx context.Context, tx pgx.Tx, all bool) error {
	for name, z := range m.db.sizes {
		due := z.written >= max(firstAnalyze, analyzeGrowth*z.known)
		if !due && !(all && z.written > 0) {
			continue
		}
		if z.known < 0 {
			if err := m.lookUp(ctx, tx, z); err != nil {
				return err
			}
		}
		if z.written < analyzeGrowth*z.known {
			continue
		}
		if _, err := tx.Exec(ctx, z.table.sql.analyze); err != nil {
			return m.failed("analyze "+name, err)
		}
		if err := m.lookUp(ctx, tx, z); err != nil {
			return err
		}
		z.written = 0
	}
	return nil
}

// lookUp asks how many rows PostgreSQL believes the table to have.
func (m *Mirror) lookUp(ctx context.Context, tx pgx.Tx, z *size) error {
	var rows float64
	if err := tx.QueryRow(ctx, "select reltuples from pg_class where oid = $1::text::regclass", z.table.sql.name).Scan(&rows); err != nil {
		return m.failed("look up the size of "+z.table.shape.Name, err)
	}
	z.known = max(0, int(rows))
	return nil
}
