package mirror

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// New rows are copied while the batch before is not committed yet, and only once; what changes rows of that
// batch waits for it.
func TestEarly(t *testing.T) {
	h := newHistory()
	conn := database(t)
	a := newApplier(t, conn, "early", historySpecs)
	a.all(&h.log)
	shapes := len(h.log.records)
	line := func(i int, note string) []string { return []string{fmt.Sprint(i), "1", note} }
	for i := range 100 {
		h.log.row(lineTable, change.Create, true, nil, line(i, `"first"`))
	}
	border := len(h.log.records)
	for i := range 100 {
		h.log.row(lineTable, change.Create, true, nil, line(100+i, `"second"`))
	}
	h.log.row(lineTable, change.Create, true, nil, []string{"1", "2", `"second"`})
	h.log.row(lineTable, change.Update, true, line(1, `"first"`), line(1, `"later"`))
	h.log.row(lineTable, change.Delete, true, line(2, `"first"`), nil)

	other, err := postgres.Connect(t.Context(), conn.Config().ConnString(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	begin := func(conn *pgx.Conn, from, to int) (pgx.Tx, *Part) {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		part := a.m.Part(int64(from))
		if err := part.Add(h.log.records[from:to]); err != nil {
			t.Fatal(err)
		}
		return tx, part
	}
	finish := func(tx pgx.Tx, part *Part) {
		t.Helper()
		if _, err := part.Apply(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first, one := begin(conn, shapes, border)
	if _, err := one.Apply(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second, two := begin(other, border, len(h.log.records))
	if !two.Alone() {
		t.Fatal("rows of tables as they are are not alone")
	}
	whole, err := two.Early(t.Context(), second, FewNew)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Sort(whole); len(whole) != 100 || whole[0] != 100 { // of orders 1 and 2 a row of the batch before changes
		t.Errorf("orders of new rows alone: %v", whole)
	}
	if err := first.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	finish(second, two)
	counts := map[string]int{}
	for _, note := range a.content(lineTable.Name, "note") {
		counts[note]++
	}
	if counts["first"] != 98 || counts["second"] != 101 || counts["later"] != 1 {
		t.Errorf("rows by note: %v", counts)
	}
}
