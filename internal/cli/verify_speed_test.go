//go:build speed

package cli_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// newSpeedPipeline is one on servers that need not outlive a crash, live, with some hundred orders of all kinds that have gone the whole way.
func newSpeedPipeline(t *testing.T) (p *pipeline, running []*program) {
	t.Helper()
	mysql := server.PrivateMySQL(t, map[string]string{"sync_binlog": "0", "innodb_flush_log_at_trx_commit": "2", "innodb_buffer_pool_size": "1G"})
	postgres := server.PrivatePostgres(t, map[string]string{"fsync": "off", "shared_buffers": "1GB", "max_wal_size": "8GB"})
	p = newPipelineAt(t, mysql.URL()+"shop", postgres.URL(), server.Kafka(t), shop.Options{Stock: 1_000_000})
	running = []*program{p.start("cdc", "run"), p.start("applier", "run")}
	p.live(running...)
	if err := p.shop.Run(t.Context(), shop.Load{Rate: 50, Seed: 11, Shoppers: 500, Journal: p.journal}); err != nil {
		t.Fatal(err)
	}
	p.settled(running...)
	return p, running
}

// TestVerifySpeed prints how long `applier verify` takes over SPOLA_VERIFY_ORDERS orders (go test -tags speed), and that it finds one cent among
// them. Some hundred orders of all kinds go the whole way; their rows are copied on both sides then, each copy with numbers of its own.
func TestVerifySpeed(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("SPOLA_VERIFY_ORDERS"))
	if err != nil {
		t.Skip("SPOLA_VERIFY_ORDERS is not set")
	}
	p, _ := newSpeedPipeline(t)
	p.run(0, "applier", "verify")

	began := time.Now()
	placed := p.copyOrders(n)
	t.Logf("%d orders in the shop and the ERP, made in %s", placed, time.Since(began).Round(time.Second))
	for range 3 {
		began = time.Now()
		verify := p.start("applier", "verify")
		said := verify.ends(0)
		took, used := time.Since(began), verify.cmd.ProcessState
		if !strings.Contains(said, "Nothing differs") {
			t.Errorf("verify says\n%s", said)
		}
		t.Logf("%s: %s, of which the program was at work %s\n%s", verify.name, took.Round(10*time.Millisecond), (used.UserTime() + used.SystemTime()).Round(10*time.Millisecond), said)
	}
	p.erpExec("update erp.sales_order set total = total + 1 where id = (select max(erp_order) from spola.link where status = 'imported')")
	if said := p.run(5, "applier", "verify"); !strings.Contains(said, "1 between shop and ERP") {
		t.Errorf("a cent among %d orders: %s", placed, said)
	}
}

// TestVerifyBesideLoad runs `applier verify` again and again beside 200 orders a second for SPOLA_VERIFY_FOR (go test -tags speed), and wants no
// difference called that is none, and the one that is. An order is one transaction; one in twenty is edited the way the shop's own page does it, called off, moved on or
// deleted within five seconds.
func TestVerifyBesideLoad(t *testing.T) {
	long, err := time.ParseDuration(os.Getenv("SPOLA_VERIFY_FOR"))
	if err != nil {
		t.Skip("SPOLA_VERIFY_FOR is not set")
	}
	const rate = 200
	mysql, postgres := server.PrivateMySQL(t, nil), server.PrivatePostgres(t, nil)
	p := newPipelineAt(t, mysql.URL()+"shop", postgres.URL(), server.Kafka(t), shop.Options{Stock: 1_000_000})
	running := []*program{p.start("cdc", "run"), p.start("applier", "run")}
	p.live(running...)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var placed, changed atomic.Int64
	desk, ctx := errgroup.WithContext(ctx)
	desk.SetLimit(100)
	failed := make(chan error, 1)
	go func() {
		_, _, err := p.shop.Bench(ctx, shop.BenchLoad{Orders: int(long.Seconds() * rate), Rate: rate, Committed: func(order int64, _ time.Time) {
			placed.Add(1)
			if order%20 == 0 {
				desk.TryGo(func() error {
					time.Sleep(time.Duration(order%5000) * time.Millisecond)
					changed.Add(1)
					return p.changes(ctx, order)
				})
			}
		}})
		failed <- errors.Join(err, desk.Wait())
	}()

	began, verifies, gaveUp, longest := time.Now(), 0, 0, time.Duration(0)
	var behind int64
	for ended := false; !ended; {
		at := time.Now()
		verify := p.start("applier", "verify", "--json")
		<-verify.done
		longest = max(longest, time.Since(at))
		switch said := verify.said.String(); {
		case verify.cmd.ProcessState.ExitCode() == 1 && strings.Contains(said, "has not come into the ERP's database"):
			gaveUp++ // this machine has too much to do
		case verify.cmd.ProcessState.ExitCode() != 0 || !strings.Contains(said, `"differences":0`) || strings.Contains(said, "orders_changing"):
			t.Errorf("verify %d, %s in: %s", verifies, time.Since(began).Round(time.Second), said)
		default:
			verifies++
		}
		for _, one := range running {
			if one.ended() {
				t.Fatalf("%s has ended:\n%s", one.name, one.tail())
			}
		}
		behind = max(behind, placed.Load()-p.number("select count(*) from spola.link"))
		select {
		case err := <-failed:
			if ended = true; err != nil {
				t.Fatal(err)
			}
		default:
		}
	}
	t.Logf("%d orders in %s, %d of them changed afterwards; %d times verify beside them, the longest %s, and %d times it gave up since the ERP was a minute behind; at the end of one that was %d orders at most",
		placed.Load(), time.Since(began).Round(time.Second), changed.Load(), verifies, longest.Round(10*time.Millisecond), gaveUp, behind)
	p.settled(running...)
	t.Log(p.run(0, "applier", "verify"))
	p.erpExec("update erp.sales_order set total = total + 1 where id = (select min(o.id) from erp.sales_order o join spola.link k on k.erp_order = o.id where not k.deleted and o.state = 'open')")
	if said := p.run(5, "applier", "verify"); !strings.Contains(said, "1 between shop and ERP") {
		t.Errorf("a cent among them: %s", said)
	}
}

// changes does to an order what an administrator does, by its number. Few are deleted: a deletion is six statements, and one that takes three seconds on a busy
// machine is an order without lines, of which more than twenty a minute stop intake.
func (p *pipeline) changes(ctx context.Context, order int64) error {
	switch {
	case order%1000 == 0:
		return p.shop.Delete(ctx, order)
	case order%60 == 0:
		edited := p.order(fmt.Sprintf("bench%d@mail.example", order))
		edited.Lines[0].Quantity = 3
		return p.shop.Edit(ctx, order, edited)
	case order%60 == 20:
		return p.shop.Cancel(ctx, order)
	}
	return p.shop.SetStatus(ctx, order, shop.Processing)
}

// copyOrders copies all orders of the shop, and what the ERP and the bridge have of them, until there are n. It passes the binary log and the
// ERP's triggers by.
func (p *pipeline) copyOrders(n int) (orders int64) {
	p.t.Helper()
	var has, step int64
	ask := func(query string, into *int64) {
		p.t.Helper()
		if err := p.shop.DB().QueryRowContext(p.t.Context(), query).Scan(into); err != nil {
			p.t.Fatalf("%s: %v", query, err)
		}
	}
	ask("SELECT COUNT(*) FROM oc_order WHERE order_status_id > 0", &has)
	ask("SELECT GREATEST(MAX(o.order_id), (SELECT MAX(order_product_id) FROM oc_order_product), (SELECT MAX(order_total_id) FROM oc_order_total), (SELECT MAX(order_history_id) FROM oc_order_history), (SELECT COALESCE(MAX(order_option_id), 0) FROM oc_order_option)) FROM oc_order o", &step)
	step = max(step, p.number("select max(id) from erp.sales_order")) + 1
	copies := (int64(n) + has - 1) / has

	conn, err := p.shop.DB().Conn(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }() // customers who came upon it were in no binary log
	run := func(statement string) {
		p.t.Helper()
		if _, err := conn.ExecContext(p.t.Context(), statement); err != nil {
			p.t.Fatalf("%s: %v", statement, err)
		}
	}
	run("SET SESSION sql_log_bin = 0, SESSION group_concat_max_len = 100000, SESSION cte_max_recursion_depth = 100000000, SESSION foreign_key_checks = 0, SESSION unique_checks = 0")
	run(fmt.Sprintf("CREATE TEMPORARY TABLE copies (n bigint PRIMARY KEY) AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %d) SELECT n FROM c", copies-1))
	for table, key := range map[string]string{"oc_order": "order_id", "oc_order_product": "order_product_id", "oc_order_option": "order_option_id", "oc_order_total": "order_total_id", "oc_order_history": "order_history_id"} {
		var names string
		if err := conn.QueryRowContext(p.t.Context(), "SELECT GROUP_CONCAT(CONCAT('`', column_name, '`') ORDER BY ordinal_position SEPARATOR ', ') FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? AND extra NOT LIKE '%GENERATED%'", table).Scan(&names); err != nil {
			p.t.Fatal(err)
		}
		values := "t." + strings.ReplaceAll(names, ", ", ", t.")
		for _, id := range slices.Compact(slices.Sorted(slices.Values([]string{"order_id", "order_product_id", key}))) {
			values = strings.ReplaceAll(values, "t.`"+id+"`", fmt.Sprintf("(t.`%s` + c.n * %d)", id, step))
		}
		run(fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM copies c JOIN %s t WHERE t.order_id < %d ORDER BY c.n, t.%s", table, names, values, table, step, key))
		run("ANALYZE TABLE " + table)
	}

	p.erpExec("set session_replication_role = replica")
	for _, table := range []struct{ name, shifted, mine string }{
		{"spola.link", "order_id erp_order", "t.order_id"}, {"erp.sales_order", "id number", "t.id"}, {"erp.order_line", "order_id", "t.order_id"},
		{"erp.order_charge", "order_id", "t.order_id"}, {"erp.order_vat", "order_id", "t.order_id"}, {"erp.order_payment", "order_id", "t.order_id"},
	} {
		var names string
		if err := p.erp.QueryRow(p.t.Context(), "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''", table.name).Scan(&names); err != nil {
			p.t.Fatal(err)
		}
		var values []string
		for _, name := range strings.Split(names, ", ") {
			value := "t." + name
			switch {
			case strings.Contains(" "+table.shifted+" ", " "+name+" "):
				value = fmt.Sprintf("t.%s + c.n * %d", name, step)
			case name == "reference":
				value = "t.reference || '-' || c.n"
			}
			values = append(values, value)
		}
		p.erpExec(fmt.Sprintf("insert into %s (%s) overriding system value select %s from generate_series(1, %d) c (n) cross join %s t where %s < %d order by c.n, %[6]s", table.name, names, strings.Join(values, ", "), copies-1, table.name, table.mine, step))
		p.erpExec("analyze " + table.name)
	}
	p.erpExec("set session_replication_role = origin")
	p.erpExec("select setval(pg_get_serial_sequence('erp.sales_order', 'id'), (select max(id) from erp.sales_order))") // the next customers' orders are numbered behind them
	p.erpExec("update erp.counter c set last = greatest(c.last, (select coalesce(max(o.number), 0) from erp.sales_order o where o.series = c.series and o.year = c.year))")
	ask("SELECT COUNT(*) FROM oc_order WHERE order_status_id > 0", &orders)
	return orders
}
