//go:build speed

package intake

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSpeed prints how fast orders are derived (go test -tags speed); SPOLA_INTAKE_ORDERS says how many.
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
	for i := range n {
		second := []int64{42, 42, 42, 41}[i%4] // of another rate than the first: a quarter of all orders
		shop.together(func() {
			id := shop.begin(testOrder{lines: []testLine{{31, 0, 2}, {second, 0, 1}}, email: fmt.Sprintf("anna%d@mail.example", i), first: fmt.Sprintf("Anna %d", i%1000)})
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
		if os.Getenv("SPOLA_EXPLAIN") != "" && size == 5000 {
			erp.exec("load 'auto_explain'")
			erp.exec("set auto_explain.log_nested_statements = on")
			erp.exec("set auto_explain.log_analyze = on")
			erp.exec("set auto_explain.log_min_duration = 100")
		}
		all := shop.txs
		shop.txs = shop.txs[:min(erp.done+left, len(all))]
		begin, before := time.Now(), erp.cpu()
		erp.catchUp(shop.testLog, size)
		shop.txs = all
		cpu := erp.cpu() - before
		took := time.Since(begin)
		erp.exec("select pg_stat_force_next_flush()")
		t.Log(erp.text("select string_agg(format('%s: %s calls, total %s ms, self %s ms', funcname, calls, total_time::int, self_time::int), e'\n' order by self_time desc) from pg_stat_user_functions"))
		t.Logf("batches of %d: %d orders in %v: %.0f/s, %.2f ms a batch", size, left, took.Round(time.Millisecond), float64(left)/took.Seconds(), took.Seconds()*1000*float64(size)/float64(left))
		t.Logf("PostgreSQL's own CPU: %.2f ms a batch, %.0f orders a CPU second", cpu*1000*float64(size)/float64(left), float64(left)/cpu)
	}
}

// cpu is the CPU seconds that the connection's backend has used, where it runs on this machine.
func (e *testERP) cpu() float64 {
	text, err := os.ReadFile("/proc/" + e.text("select pg_backend_pid()") + "/schedstat")
	if err != nil {
		return 0
	}
	nanoseconds, _ := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	return nanoseconds / 1e9
}
