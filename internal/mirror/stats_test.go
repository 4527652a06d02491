package mirror

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
)

// A table gets the statistics that its rows are looked up by with its first snapshot, and none again from one that
// reads it as it was: orders wait for that.
func TestStatistics(t *testing.T) {
	h := newHistory()
	a := newApplier(t, database(t), "stats", historySpecs)
	snapshot := func(rows int) int64 {
		t.Helper()
		h.run++
		h.mark("low", h.run, 1)
		for i := range rows {
			h.log.row(lineTable, change.Read, true, nil, []string{fmt.Sprint(i), "1", `"a line"`})
		}
		h.log.own(change.Chunk, change.ChunkMessage{Kind: change.Chunk, Run: h.run, Chunk: 1, Table: lineTable.Name, LastOfTable: true, LastOfRun: true})
		a.all(&h.log)
		var analyzed int64
		query := `select pg_stat_get_analyze_count($1::text::regclass) from pg_stat_force_next_flush()`
		for range 2 { // what the first gives out is shown to the second
			if err := a.conn.QueryRow(t.Context(), query, Schema("stats")+"."+lineTable.Name).Scan(&analyzed); err != nil {
				t.Fatal(err)
			}
		}
		return analyzed
	}
	first := snapshot(100)
	if first == 0 {
		t.Fatal("a table read for the first time has no statistics")
	}
	rows, err := a.conn.Query(t.Context(), "select attname::text from pg_stats where schemaname = $1 and tablename = $2 order by 1", Schema("stats"), lineTable.Name)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || !slices.Equal(columns, []string{"line", "order_id"}) {
		t.Errorf("statistics of columns %v (%v)", columns, err)
	}
	if again := snapshot(100); again != first {
		t.Errorf("a snapshot of the same rows made statistics again (%d times, %d before)", again, first)
	}
	if grown := snapshot(1000); grown == first {
		t.Error("a table that has grown keeps its old statistics")
	}
}
