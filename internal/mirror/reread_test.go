package mirror

import (
	"fmt"
	"slices"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
)

// Rows that a snapshot reads again are news of those orders only whose rows differ from the mirror's:
// changed without a word in the binlog, missing, or an order's no longer.
func TestRowsReadAgain(t *testing.T) {
	h := newHistory()
	for i := range 200 {
		h.put(lineTable, []string{fmt.Sprint(i), "1", `"as it was"`})
	}
	a := newApplier(t, database(t), "again", historySpecs)
	if first := a.apply(&h.log, 1000); len(first.Orders) != 200 {
		t.Fatalf("%d orders at first, want 200", len(first.Orders))
	}
	h.run++
	h.mark("low", h.run, 1)
	h.mark("high", h.run, 1)
	for i := range 202 {
		row := []string{fmt.Sprint(i), "1", `"as it was"`}
		switch i {
		case 7:
			row[2] = `"another"`
		case 8:
			row[2] = "null"
		case 9:
			row[1] = "2" // its line 1 is a ghost
		}
		h.log.row(lineTable, change.Read, true, nil, row)
	}
	h.log.own(change.Chunk, change.ChunkMessage{Kind: change.Chunk, Run: h.run, Chunk: 1, Table: lineTable.Name, LastOfTable: true, LastOfRun: true})
	if again := a.apply(&h.log, 1000); !slices.Equal(again.Orders, []int64{7, 8, 9, 200, 201}) {
		t.Errorf("orders of changed rows: %v", again.Orders)
	}
}
