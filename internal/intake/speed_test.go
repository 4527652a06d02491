package intake

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// TestSpeed prints how fast orders are derived; it runs when SPOLA_INTAKE_ORDERS says how many.
func TestSpeed(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("SPOLA_INTAKE_ORDERS"))
	if err != nil {
		t.Skip("SPOLA_INTAKE_ORDERS is not set")
	}
	profile, _ := testProfile(t)
	shop, erp := newTestShop(profile), newTestERP(t)
	erp.catchUp(shop.testLog, 1000)
	erp.live()
	erp.exec("set track_functions = 'all'")
	for range n {
		shop.together(func() {
			id := shop.begin(testOrder{lines: []testLine{{31, 0, 2}, {41, 0, 1}}})
			shop.update("order", id, row{"order_status_id": 1})
			shop.insert("order_history", row{"order_id": id, "order_status_id": 1, "date_added": shop.now()})
		})
	}
	for _, size := range []int{5000, 1000, 1} {
		left := min(len(shop.txs)-erp.done, n/3)
		if size == 1 {
			left = 300
		}
		erp.exec("select pg_stat_reset()")
		all := shop.txs
		shop.txs = shop.txs[:min(erp.done+left, len(all))]
		begin := time.Now()
		erp.catchUp(shop.testLog, size)
		shop.txs = all
		took := time.Since(begin)
		erp.exec("select pg_stat_force_next_flush()")
		t.Log(erp.text("select string_agg(format('%s: %s calls, total %s ms, self %s ms', funcname, calls, total_time::int, self_time::int), e'\n' order by self_time desc) from pg_stat_user_functions"))
		t.Logf("batches of %d: %d orders in %v: %.0f/s, %.2f ms a batch", size, left, took.Round(time.Millisecond), float64(left)/took.Seconds(), took.Seconds()*1000*float64(size)/float64(left))
	}
}
