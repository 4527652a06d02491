package mirror

import (
	"slices"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
)

// Whatever happens to a row of an account, whose it was and whose it is are both told.
func TestAccountsThatChanged(t *testing.T) {
	address := change.Table{Name: "oc_address", Version: 1, Key: []string{"address_id"}, Columns: []change.Column{
		{Name: "address_id", Type: change.Int}, {Name: "customer_id", Type: change.Int, Nullable: true}}}
	customer := change.Table{Name: "oc_customer", Version: 1, Key: []string{"customer_id"}, Columns: []change.Column{
		{Name: "customer_id", Type: change.Int}, {Name: "email", Type: change.VarChar}}}
	a := newApplier(t, database(t), "shop", []TableSpec{{Name: "oc_address", Account: "customer_id"}, {Name: "oc_customer", Account: "customer_id"}})
	l := &testLog{}
	for _, shape := range []change.Table{markerTable, address, customer} {
		l.shape(shape)
	}
	a.all(l)
	step := func(what string, want []int64, write func()) {
		t.Helper()
		write()
		if c := a.all(l); !slices.Equal(c.Accounts, want) || len(c.Orders) > 0 {
			t.Errorf("%s: accounts %v changed and orders %v, want accounts %v", what, c.Accounts, c.Orders, want)
		}
	}
	step("new", []int64{7, 9}, func() {
		l.row(address, change.Create, true, nil, []string{"1", "7"})
		l.row(address, change.Create, true, nil, []string{"2", "9"})
		l.row(address, change.Create, true, nil, []string{"3", "null"})
	})
	step("given to another", []int64{7, 8}, func() { l.row(address, change.Update, true, []string{"1", "7"}, []string{"1", "8"}) })
	step("gone", []int64{8}, func() { l.row(address, change.Delete, true, []string{"1", "8"}, nil) })
	step("account", []int64{8}, func() { l.row(customer, change.Create, true, nil, []string{"8", `"a@example.com"`}) })
	step("ghost", []int64{9}, func() {
		l.mark("low", 1, 1)
		l.own(change.Chunk, change.ChunkMessage{Kind: change.Chunk, Run: 1, Chunk: 1, Table: "oc_address", LastOfTable: true, LastOfRun: true})
	})
	if rows := a.content("oc_address", "address_id"); len(rows) != 0 {
		t.Errorf("ghosts are still there: %v", rows)
	}
}

// A snapshot that left out the orders below a number says nothing about them: their rows are no
// ghosts, whatever range its chunks have.
func TestRowsThatASnapshotLeftOut(t *testing.T) {
	line := change.Table{Name: "oc_line", Version: 1, Key: []string{"line_id"}, Columns: []change.Column{
		{Name: "line_id", Type: change.Int}, {Name: "order_id", Type: change.Int}}}
	a := newApplier(t, database(t), "shop", []TableSpec{{Name: "oc_line", Order: "order_id"}})
	l := &testLog{}
	l.shape(markerTable)
	l.shape(line)
	for _, row := range [][]string{{"1", "9"}, {"2", "10"}, {"3", "8"}, {"4", "11"}} {
		l.row(line, change.Create, true, nil, row)
	}
	a.all(l)
	l.mark("low", 1, 1)
	l.own(change.Chunk, change.ChunkMessage{Kind: change.Chunk, Run: 1, Chunk: 1, Table: "oc_line", OrdersFrom: 10, LastOfTable: true, LastOfRun: true})
	if c := a.all(l); !slices.Equal(c.Orders, []int64{10, 11}) {
		t.Errorf("orders %v changed, want those of the ghosts", c.Orders)
	}
	if rows := a.content("oc_line", "line_id"); len(rows) != 2 {
		t.Errorf("rows left: %v, want those of orders 8 and 9", rows)
	}
}
