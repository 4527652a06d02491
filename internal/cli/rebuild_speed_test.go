//go:build speed

package cli_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRebuildSpeed prints how fast a dry replay is, and how long a second mirror of SPOLA_REBUILD_ORDERS orders takes beside customers (go test -tags speed), and wants them
// served meanwhile, a planted row found and the swap right.
func TestRebuildSpeed(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("SPOLA_REBUILD_ORDERS"))
	if err != nil {
		t.Skip("SPOLA_REBUILD_ORDERS is not set")
	}
	p, running := newSpeedPipeline(t)
	placed := p.copyOrders(n)
	began := time.Now()
	p.run(0, "cdc", "snapshot", "oc_order", "oc_order_product", "oc_order_option", "oc_order_total", "oc_order_history")
	const mirrored = "select count(*) from mirror_shop.oc_order where order_status_id > 0"
	for p.number(mirrored) < placed || p.number("select count(*) from spola.due") > 0 || p.number("select count(*) from spola.shop where derived") == 0 {
		p.cart() // what settles waits for the clock
		time.Sleep(5 * time.Second)
	}
	t.Logf("%d orders in shop, log, mirror and ERP; the snapshot of them took %s", placed, time.Since(began).Round(time.Second))

	all := fmt.Sprintf("1-%d", p.number("select max(order_id) from spola.link"))
	began = time.Now()
	dry := p.start("applier", "replay", "--order", all, "--dry-run")
	<-dry.done
	took := time.Since(began)
	t.Logf("%s: %s, %.0f orders a second\n%s", dry.name, took.Round(10*time.Millisecond), float64(placed)/took.Seconds(), dry.ends(0))

	p.erpExec("update mirror_shop.oc_order_product set name = 'planted' where order_id = (select max(order_id) from mirror_shop.oc_order_product)")
	const imported = "select count(*) from erp.sales_order"
	came, closing := p.customers()
	came(10)
	for _, c := range []struct {
		flags []string
		ends  int
		says  string
	}{{[]string{"--reason", "test"}, 0, "oc_order_product of the live mirror was brought to it: 0 rows missing, 0 too many"}, {[]string{"--dry-run"}, 0, "The live mirror is the same."}} {
		began, had := time.Now(), p.number(imported)
		longest, last, orders := time.Duration(0), time.Now(), had
		replay := p.start(append([]string{"applier", "replay", "--rebuild"}, c.flags...)...)
		for ended := false; !ended; {
			select {
			case <-replay.done:
				ended = true
			case <-time.After(50 * time.Millisecond):
			}
			if now := p.number(imported); now > orders {
				orders, last = now, time.Now()
			}
			longest = max(longest, time.Since(last))
		}
		said := replay.ends(c.ends)
		used := replay.cmd.ProcessState
		t.Logf("%s: %s, of which the program was at work %s; %d orders came into the ERP meanwhile, the longest without one was %s\n%s", replay.name, time.Since(began).Round(10*time.Millisecond),
			(used.UserTime() + used.SystemTime()).Round(10*time.Millisecond), orders-had, longest.Round(time.Millisecond), said)
		if orders == had {
			t.Error("no order came meanwhile")
		}
		if !strings.Contains(said, c.says) {
			t.Errorf("it does not say %q", c.says)
		}
	}
	closing()
	p.settled(running...)
	p.want("the planted row", "0", "select count(*)::text from mirror_shop.oc_order_product where name = 'planted'")
	p.mirrored()
	p.run(0, "applier", "verify")
}
