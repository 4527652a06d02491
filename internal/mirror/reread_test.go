package mirror

import (
	"fmt"
	"slices"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
)

// Rows that a snapshot reads again are news of those orders only whose rows differ from the mirror's:
// changed without a word in the binlog, missing, or an order's no longer. Nothing else is written, however few they
// are, if the chunk stands in one batch.
func TestRowsReadAgain(t *testing.T) {
	conn := database(t)
	for _, rows := range []int{20, 200} {
		h := newHistory()
		for i := range rows {
			h.put(lineTable, []string{fmt.Sprint(i), "1", `"as it was"`})
		}
		a := newApplier(t, conn, fmt.Sprintf("again%d", rows), historySpecs)
		if first := a.apply(&h.log, 1000); len(first.Orders) != rows {
			t.Fatalf("%d orders at first, want %d", len(first.Orders), rows)
		}
		before := a.content(lineTable.Name, "order_id", "line", "spola_at", "ctid")
		h.readAgain(rows+2, map[int][]string{
			7: {"7", "1", `"another"`}, 8: {"8", "1", "null"}, 9: {"9", "2", `"its line 1 is a ghost"`}})
		h.put(lineTable, []string{"3", "1", `"changed behind the chunk, in its batch"`})
		again := a.apply(&h.log, 1000)
		if want := []int64{3, 7, 8, 9, int64(rows), int64(rows + 1)}; !slices.Equal(again.Orders, want) {
			t.Errorf("of %d rows, orders of changed ones: %v, want %v", rows, again.Orders, want)
		}
		kept := 0
		for _, row := range a.content(lineTable.Name, "order_id", "line", "spola_at", "ctid") {
			if slices.Contains(before, row) {
				kept++
			}
		}
		if kept != rows-4 {
			t.Errorf("%d of %d rows were left as they stood, want all but four", kept, rows)
		}
	}
}

// A chunk that two batches cut is news of what differs, too, and of no ghost that is none.
func TestChunkCutByBatches(t *testing.T) {
	conn := database(t)
	for _, rows := range []int{10, 200} {
		h := newHistory()
		for i := range rows {
			h.put(lineTable, []string{fmt.Sprint(i), "1", `"as it was"`})
		}
		a := newApplier(t, conn, fmt.Sprintf("cut%d", rows), historySpecs)
		a.apply(&h.log, 1000)
		h.readAgain(rows, map[int][]string{1: {"1", "1", `"another"`}, 8: {"8", "1", `"another"`}})
		orders := append(a.apply(&h.log, 2+rows/2).Orders, a.apply(&h.log, 1000).Orders...)
		if !slices.Contains(orders, 1) || !slices.Contains(orders, 8) {
			t.Errorf("of %d rows: changed are orders %v, want 1 and 8 among them", rows, orders)
		}
		if kept := a.content(lineTable.Name, "order_id"); len(kept) != rows {
			t.Errorf("%d rows are left of %d", len(kept), rows)
		}
	}
}

// A row that one snapshot read and the next one does not, both in one batch, is a ghost of the next.
func TestGhostBetweenSnapshotsOfOneBatch(t *testing.T) {
	h := newHistory()
	a := newApplier(t, database(t), "twice", historySpecs)
	h.readAgain(5, nil)
	h.readAgain(4, nil)
	if again := a.apply(&h.log, 1000); !slices.Equal(again.Orders, []int64{0, 1, 2, 3, 4}) {
		t.Errorf("orders that changed: %v", again.Orders)
	}
	if rows := a.content(lineTable.Name, "order_id"); len(rows) != 4 {
		t.Errorf("orders with a line: %v, want those that the second snapshot read", rows)
	}
}

// A snapshot that finds a table as it is in the mirror is no change of it.
func TestTableReadAgainUnchanged(t *testing.T) {
	h := newHistory()
	a := newApplier(t, database(t), "same", historySpecs)
	h.readAgain(20, nil)
	if first := a.apply(&h.log, 1000); !first.Tables[lineTable.Name] || len(first.Orders) != 20 {
		t.Errorf("at first changed are tables %v and orders %v", first.Tables, first.Orders)
	}
	h.readAgain(20, nil)
	if again := a.apply(&h.log, 1000); again.Tables[lineTable.Name] || len(again.Orders) > 0 {
		t.Errorf("changed are tables %v and orders %v", again.Tables, again.Orders)
	}
}

// Statistics of all tables are made when the mirror is whole, and not again behind every snapshot: no order
// could be taken meanwhile.
func TestLaterSnapshotAnalyzesNothing(t *testing.T) {
	h := newHistory()
	a := newApplier(t, database(t), "stats", historySpecs)
	analyzed := func() (n int) {
		t.Helper()
		if _, err := a.conn.Exec(t.Context(), "select pg_stat_force_next_flush()"); err != nil {
			t.Fatal(err)
		}
		query := "select analyze_count from pg_stat_user_tables where schemaname = $1 and relname = $2"
		if err := a.conn.QueryRow(t.Context(), query, Schema("stats"), lineTable.Name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	h.readAgain(20, nil)
	a.apply(&h.log, 1000)
	first := analyzed()
	h.readAgain(20, map[int][]string{3: {"3", "1", `"another"`}})
	a.apply(&h.log, 1000)
	if second := analyzed(); first != 1 || second != 1 {
		t.Errorf("the table was analyzed %d times behind the first snapshot, %d behind the second; want once", first, second)
	}
}

// readAgain reads line 1 of so many orders in one chunk, some of them otherwise than they were.
func (h *history) readAgain(orders int, otherwise map[int][]string) {
	h.run++
	h.mark("low", h.run, 1)
	h.mark("high", h.run, 1)
	for i := range orders {
		row := otherwise[i]
		if row == nil {
			row = []string{fmt.Sprint(i), "1", `"as it was"`}
		}
		h.log.row(lineTable, change.Read, true, nil, row)
	}
	h.log.own(change.Chunk, change.ChunkMessage{Kind: change.Chunk, Run: h.run, Chunk: 1, Table: lineTable.Name, Rows: int64(orders),
		LastOfTable: true, LastOfRun: true})
}
