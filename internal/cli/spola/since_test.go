package spola_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/lab/shop"
)

// Orders from before the day that the configuration names never leave the shop, whatever happens
// to them there: the ERP has no half order, and nothing is parked.
func TestOrdersBeforeADay(t *testing.T) {
	week := time.Now().AddDate(0, 0, -7)
	m := newMerchantSince(t, week.Format(time.DateOnly))
	var old []int64
	for i := range 3 {
		id := m.order(fmt.Sprintf("old%d@mail.example", i), shop.CashOnDelivery, 0)
		for _, table := range []string{"oc_order", "oc_order_history"} {
			_, err := m.shop.DB().Exec("UPDATE "+table+" SET date_added = '2024-05-01 10:00:00' WHERE order_id = ?", id)
			m.must(err)
		}
		old = append(old, id)
	}
	m.order("young@mail.example", shop.CashOnDelivery, 0)
	m.run()
	m.until("the past is derived", func() bool { return m.status().Derived })
	m.refuses(applierVerb("golive", "--from", "2024-01-01"), "stay in the shop (orders_since)")
	m.refuses(applierVerb("golive", "--from", "2024-01-01", "--dry-run"), "stay in the shop (orders_since)")
	m.says(applierVerb("golive", "--from", week.Format(time.RFC3339)), "The shop is live")
	m.until("the young order is taken", func() bool { return m.count("select count(*) from erp.sales_order") == 1 })

	// Somebody ships one, edits another, and deletes the third.
	m.must(m.shop.SetStatus(t.Context(), old[0], shop.Complete))
	for _, statement := range []string{
		fmt.Sprintf("UPDATE oc_order SET comment = 'ring twice' WHERE order_id = %d", old[1]),
		fmt.Sprintf("INSERT INTO oc_order_product SELECT NULL, order_id, product_id, master_id, name, model, quantity, price, total, tax, reward FROM oc_order_product WHERE order_id = %d", old[1]),
		fmt.Sprintf("DELETE FROM oc_order_product WHERE order_id = %d", old[2]),
		fmt.Sprintf("DELETE FROM oc_order WHERE order_id = %d", old[2]),
	} {
		_, err := m.shop.DB().Exec(statement)
		m.must(err)
	}
	m.order("youngest@mail.example", shop.CashOnDelivery, 0)
	m.until("the youngest order is taken", func() bool { return m.count("select count(*) from erp.sales_order") == 2 })
	for _, table := range []string{"oc_order", "oc_order_product", "oc_order_total", "oc_order_history"} {
		if n := m.count("select count(*) from mirror_shop1."+table+" where order_id <= $1", old[2]); n != 0 {
			t.Errorf("%d rows of old orders have left %s", n, table)
		}
		if n := m.count("select count(distinct order_id) from mirror_shop1." + table); n != 2 {
			t.Errorf("the mirror's %s has %d orders, want the two that are young", table, n)
		}
	}
	if n := m.count("select count(*) from spola.parked"); n != 0 {
		t.Errorf("%d orders are parked", n)
	}
}
