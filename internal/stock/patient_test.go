package stock_test

import (
	"fmt"
	"testing"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/schemas"
)

// What is to be settled is settled at once, and what tells of the log itself goes by at once; Spola's own entries wait.
func TestPatientIsWhoHasNothingToSettle(t *testing.T) {
	contract, err := schemas.LoadContract()
	if err != nil {
		t.Fatal(err)
	}
	row := func(op change.Op, table string) change.Record {
		return change.Record{Op: op, Table: table, Gen: 1, Seq: 1, Value: fmt.Appendf(nil,
			`{"before":null,"after":{"article_id":1,"shop":"outlet","no":1,"stock_row":"product:1"},"source":{"txId":1},"op":%q,"ts_ms":0,"ts_us":0,"transaction":null}`, op)}
	}
	for _, c := range []struct {
		record  change.Record
		patient bool
	}{
		{row(change.Create, "spola.ledger"), true},
		{row(change.Update, "erp.stock"), false},
		{row(change.Read, "spola.ledger"), false},
		{change.Record{Op: change.Probe}, false},
	} {
		part := stock.NewLedger("shop", contract).Part(0)
		if err := part.Add([]change.Record{c.record}); err != nil {
			t.Fatal(err)
		}
		if got := apply.MayWait(part, []change.Record{c.record}); got != c.patient {
			t.Errorf("%s %s: patient %t, want %t", c.record.Op, c.record.Table, got, c.patient)
		}
	}
}
