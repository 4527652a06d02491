package erp_test

import "testing"

// Invariant: whoever has locked stock waits for no order, for whoever ships locks the order first.
func TestReceiptWaitsForNoOrder(t *testing.T) {
	e := open(t)
	e.importOrders(order("a", item{1, 5}))
	e.exec(`begin; select from erp.sales_order where id = 1 for update`)
	other := connect(t, e.url)
	other.exec(`set lock_timeout = '3s'`)
	other.exec(`select erp.receive_goods(1::smallint, array[row(1, 5)]::erp.goods_in[])`)
	e.exec(`commit`)
	if got := e.text(`select backorder from erp.orders`); got != "false" {
		t.Errorf("backorder: %s", got)
	}
}
