package writeback

import (
	"testing"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
)

// What is to be delivered is delivered at once, and what tells of the log itself goes by at once; the rest waits for company,
// for each move of the place in the shop comes back through the shop's log.
func TestPatientIsWhoHasNothingToDeliver(t *testing.T) {
	stock, err := NewStock(testShop, "opencart", "oc_", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	orders := &Orders{order: map[string]string{"erp.sales_order": "id"}}
	moved := rowRecord(change.Update, "erp.stock", `"article_id":1,"warehouse_id":1`, map[string]any{"article_id": 1})
	placed := rowRecord(change.Create, "erp.sales_order", `"id":1`, map[string]any{"id": 1})
	for _, c := range []struct {
		what    string
		part    interface{ Add([]change.Record) error }
		record  change.Record
		patient bool
	}{
		{"stock of the ERP for stock", stock.Part(0), moved, true},
		{"another shop's entry for stock", stock.Part(0), ledgerRecord(change.Create, "outlet", 1, "product:1", 1), true},
		{"an entry for stock", stock.Part(0), ledgerRecord(change.Create, testShop, 1, "product:1", 1), false},
		{"a probe for stock", stock.Part(0), change.Record{Op: change.Probe}, false},
		{"stock of the ERP for orders", orders.Part(0), moved, true},
		{"an order for orders", orders.Part(0), placed, false},
		{"a probe for orders", orders.Part(0), change.Record{Op: change.Probe}, false},
	} {
		if err := c.part.Add([]change.Record{c.record}); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if got := apply.MayWait(c.part, []change.Record{c.record}); got != c.patient {
			t.Errorf("%s: patient %t, want %t", c.what, got, c.patient)
		}
	}
}
