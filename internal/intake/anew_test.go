package intake

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// Behind a gap in the log everything is derived once, when the snapshot is through: orders that changed
// in the gap, known ones that are gone, and new ones, whichever batches of the snapshot their rows were in.
func TestEverythingIsDerivedBehindAGap(t *testing.T) {
	for _, batch := range []int{1, 1000} {
		shop, erp := bothLive(t)
		cancelled, gone := shop.place(testOrder{lines: twoLines}, 1), shop.place(testOrder{lines: twoLines}, 1)
		shop.tick(4)
		erp.catchUp(shop.testLog, batch)
		erp.want("orders", "2", "select count(*) from erp.sales_order")

		before := len(shop.txs)
		shop.setState(cancelled, 7)
		shop.remove(gone)
		fresh := shop.place(testOrder{lines: twoLines}, 1)
		shop.txs = shop.txs[:before] // nobody has read it
		if err := erp.inTx(func(tx pgx.Tx) error {
			return Anew(t.Context(), tx, testShop, 2, By{Who: "test", Reason: "the log was lost"})
		}); err != nil {
			t.Fatal(err)
		}
		erp.started = false // what Start has read is of the place before
		shop.snapshot(2, true)
		all := shop.txs
		shop.txs = all[:len(all)-1]
		erp.catchUp(shop.testLog, batch)
		erp.want("before the last rows are read", "0 0", "select (select count(*) from spola.link where order_id = $1) || ' ' || (select count(*) from spola.parked)", fresh)
		shop.txs = all
		shop.tick(3 * Settle) // for the settings, then for known orders
		erp.catchUp(shop.testLog, batch)
		erp.want("cancelled in the gap", "cancelled", "select status from spola.link where order_id = $1", cancelled)
		erp.want("gone in the gap", "true imported", "select deleted || ' ' || status from spola.link where order_id = $1", gone)
		erp.want("new in the gap", "imported", "select status from spola.link where order_id = $1", fresh)
		erp.want("parked", "0", "select count(*) from spola.parked")
	}
}
