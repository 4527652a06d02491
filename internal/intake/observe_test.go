package intake

import (
	"strings"
	"testing"
)

// what of the ERP and of the shop's log must stay as it was in observe.
const untouched = "select (select count(*) from erp.sales_order) || ' ' || (select count(*) from erp.customer) || ' ' || (select count(*) from erp.commitment)"

// A shop that is only observed shows what would be taken and what would be parked, and why; nothing
// is written to the ERP, and whatever is wrong with its past does not stop the stream.
func TestObserveShowsWhatWouldBe(t *testing.T) {
	profile, _ := testProfile(t)
	shop, erp := newTestShop(profile), newTestERP(t)
	takeable := shop.place(testOrder{lines: twoLines}, 1)
	shop.place(testOrder{lines: twoLines, method: "bank_transfer.bank_transfer"}, 1) // placed
	shop.place(testOrder{lines: twoLines}, 5)                                        // done long ago
	wrong := shop.place(testOrder{lines: twoLines, addTotal: d("1")}, 2)
	for range 25 {
		shop.place(testOrder{lines: []testLine{{41, 0, 1}}}, 17)
	}
	erp.catchUp(shop.testLog, 1000)
	erp.want("the ERP", "0 0 0", untouched)

	o, err := Look(t.Context(), erp.conn, testShop)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"takeable": 1, "placed": 1, "final": 1, "parked": 26}
	for kind, n := range want {
		if o.Orders[kind].Count != n {
			t.Errorf("%d orders are %s, want %d", o.Orders[kind].Count, kind, n)
		}
	}
	if len(o.Orders) != len(want) || o.Mode != "observe" || o.Orders["takeable"].Examples[0] != takeable {
		t.Errorf("overview: %+v", o)
	}
	if len(o.Parked) != 2 || o.Parked[0].Reason != "unknown_state" || o.Parked[0].Count != 25 || len(o.Parked[0].Examples) != 3 ||
		o.Parked[1].Reason != "sum_open" || o.Parked[1].Examples[0] != wrong || !strings.Contains(o.Parked[1].What[0], "difference -1.0000") || o.Parked[1].Mend == "" {
		t.Errorf("parked: %+v", o.Parked)
	}

	// What is mended is seen to be, before anything goes live.
	shop.edit(wrong, testOrder{lines: twoLines})
	erp.reload(strings.Replace(testShopFile, "states:", "states:\n  - {state: \"17\", class: taken}", 1))
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	if o, err = Look(t.Context(), erp.conn, testShop); err != nil || len(o.Parked) != 0 || o.Orders["takeable"].Count != 27 {
		t.Errorf("mended: %+v, %v", o, err)
	}
	erp.want("the ERP", "0 0 0", untouched)
}

func TestLookAtAnUnknownShop(t *testing.T) {
	erp := newTestERP(t)
	if _, err := Look(t.Context(), erp.conn, "nowhere"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("an unknown shop: %v", err)
	}
}
