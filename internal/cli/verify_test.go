package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/clerk"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/verify"
)

// Beside customers who order, edit, cancel and delete, and an administrator who saves settings, nothing is called different
// that is not; a cent that is wrong is found, named with what mends it, and mended by that.
func TestVerifyBesideLiveOrders(t *testing.T) {
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{Stock: 10_000})
	observing := p.run(1, "applier", "verify")
	if !strings.Contains(observing, "knows no shop") {
		t.Errorf("before the first start: %s", observing)
	}
	running := []*program{p.start("cdc", "run"), p.start("applier", "run")}
	p.live(running...)
	ctx, home := context.WithCancel(t.Context())
	ordered := make(chan error, 1)
	go func() {
		// Fewer than a race-built intake takes beside other tests: behind for good, it is nobody's match.
		ordered <- p.shop.Run(ctx, shop.Load{Rate: 8, Seed: 11, Settings: true, Journal: p.journal})
	}()
	for n := range 3 {
		p.until("orders flow", running, func() bool {
			return p.number("select count(*) from erp.sales_order") >= int64(40+50*n)
		})
		said := p.besideOrders(running, "applier", "verify")
		if !strings.Contains(said, "Nothing differs") || strings.Contains(said, "changed as long as") {
			t.Errorf("verify beside orders: %s", said)
		}
		if said := p.besideOrders(running, "applier", "reconcile", "--dry-run"); strings.Contains(said, "CHANGED UNSEEN") {
			t.Errorf("the shop's own rows beside orders: %s", said)
		}
	}
	p.waitsForIntake(running)
	home()
	if err := <-ordered; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// A cancellation that the binary log never names.
	unseen := p.number(`select max(k.order_id) from spola.link k join erp.sales_order o on o.id = k.erp_order where k.status = 'imported' and not k.deleted and o.state = 'open'`)
	hidden, err := p.shop.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hidden.Close()
	for _, statement := range []string{"SET sql_log_bin = 0",
		fmt.Sprintf("INSERT INTO oc_order_history (order_id, order_status_id, notify, comment, date_added) VALUES (%d, 7, 0, '', NOW())", unseen),
		fmt.Sprintf("UPDATE oc_order SET order_status_id = 7 WHERE order_id = %d", unseen)} {
		if _, err := hidden.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	said := p.run(5, "applier", "verify", "--orders", fmt.Sprint(unseen), "--mend")
	if !strings.Contains(said, fmt.Sprintf("applier verify --orders %d --mend", unseen)) || !strings.Contains(said, "read the rows of 1 orders again") {
		t.Errorf("an order that was cancelled unseen: %s", said)
	}
	p.until("the order is cancelled in the ERP", running, func() bool {
		return p.number("select count(*) from erp.sales_order o join spola.link k on k.erp_order = o.id where k.order_id = $1 and o.state = 'cancelled'", unseen) > 0
	})
	if said := p.run(0, "applier", "verify"); !strings.Contains(said, "Nothing differs") {
		t.Errorf("what was changed unseen has come: %s", said)
	}

	// A cent that somebody changed in the ERP is no matter of the shop's rows.
	kept := p.number(`select max(k.order_id) from spola.link k join erp.sales_order o on o.id = k.erp_order where k.status = 'imported' and not k.deleted and o.state = 'open'`)
	changed, err := p.erp.Exec(t.Context(), `update erp.order_line set gross = gross + 1 where order_id = (select erp_order from spola.link where order_id = $1)
		and line = (select min(line) from erp.order_line where order_id = (select erp_order from spola.link where order_id = $1))`, kept)
	if err != nil || changed.RowsAffected() != 1 {
		t.Fatal(changed, err)
	}
	if said := p.run(5, "applier", "verify", "--json"); !strings.Contains(said, `"differences":1`) {
		t.Errorf("a cent more on a line: %s", said)
	}
	for _, running := range running {
		running.stop()
	}
}

// Beside customers and a clerk, of the stock only that is called different which is: pieces that the shop has taken for orders that it then denied. Each
// of them is called when all have gone home, and mended by what verify says.
func TestVerifyStockBesideLiveOrders(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MariaDB(t), server.Kafka(t), shop.Options{})
	running := []*program{p.start("cdc", "run"), p.start("applier", "run")}
	p.live(running...)
	running = append(running, p.keepsStock()...)
	p.stockAtRest("each row shows what there is", running)
	p.until("the run that opened the accounts has ended", running, func() bool { p.wake(); return p.number("select count(*) from spola.reconciliation") > 0 })
	conn, err := pgx.Connect(t.Context(), p.cfg.ERP.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	erp, err := clerk.New(conn, clerk.Options{Seed: 3, Deeds: map[string]int{"receive": 4, "count": 2, "move": 2, "sell": 4, "ship": 8, "ship part": 4, "close short": 3, "take back": 2, "cancel": 2}})
	if err != nil {
		t.Fatal(err)
	}
	called := func(status int) (off map[string]int64) {
		t.Helper()
		one := p.start("applier", "verify", "--stock", "--json")
		p.until("what verify says", running, func() bool { return one.ended() })
		var said struct {
			Differences int64
			Stock       verify.StockReport
		}
		text := one.ends(one.cmd.ProcessState.ExitCode())
		if err := json.NewDecoder(strings.NewReader(text)).Decode(&said); err != nil { // behind it stands how it ended
			t.Fatalf("%v in %s", err, text)
		}
		off = map[string]int64{}
		for _, d := range said.Stock.Details {
			if d.Kind != "shown" {
				t.Errorf("the books add up all the time: %s", d)
			}
			off[d.Row] = d.Pieces
		}
		if got := one.cmd.ProcessState.ExitCode(); said.Differences != 0 || said.Stock.Rows < 40 || got != 0 != (len(off) > 0) || status >= 0 && got != status {
			t.Errorf("verify ends with %d: %s", got, text)
		}
		return off
	}
	came, stop := p.customers()
	var during []map[string]int64
	for range 4 {
		came(25)
		for range 8 {
			if _, err := erp.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		during = append(during, called(-1))
	}
	stop()
	p.settled(running...)
	p.until("orders have settled, and all that is owed is delivered", running, func() bool {
		p.wake()
		return p.number("select (select count(*) from spola.due) + (select count(*) from canonical_shop.law where undelivered <> 0 or unpublished <> 0)") == 0
	})
	denied := p.denied()
	if len(denied) == 0 {
		t.Error("no order was denied")
	}
	p.shopExec("UPDATE oc_order SET date_modified = date_modified - INTERVAL 1 HOUR WHERE order_status_id = 0") // nobody is in the middle of writing them
	if off := called(5); !maps.Equal(off, denied) {
		t.Errorf("verify calls %v, the shop has kept %v", off, denied)
	}
	for n, off := range during {
		for row, pieces := range off {
			if pieces >= 0 || pieces < denied[row] {
				t.Errorf("verify %d beside orders: %s shows %d too many, of which in the end there were %d", n, row, pieces, denied[row])
			}
		}
	}
	t.Logf("called beside orders: %v; in the end: %v", during, denied)
	one := p.start("applier", "reconcile", "--allow", "denied coupons")
	p.until("a run of reconciliation", running, func() bool { p.wake(); return one.ended() })
	one.ends(0)
	p.until("each row shows what there is again", running, func() bool { p.wake(); return p.reads(law) == "" })
	called(0)
}

// denied are the pieces that the shop has kept of orders that it denied, by row of its stock, as numbers below zero.
func (p *pipeline) denied() map[string]int64 {
	p.t.Helper()
	rows, err := p.shop.DB().QueryContext(p.t.Context(), `SELECT COALESCE(CONCAT('option:', v.product_option_value_id), CONCAT('product:', l.product_id)), -SUM(l.quantity)
		FROM oc_order_product l
		LEFT JOIN (SELECT w.order_product_id, w.product_option_value_id FROM oc_order_option w
			JOIN oc_product_option_value p ON p.product_option_value_id = w.product_option_value_id AND p.subtract = 1) v ON v.order_product_id = l.order_product_id
		WHERE l.order_id IN (SELECT order_id FROM oc_order_history WHERE order_status_id = ?) GROUP BY 1`, shop.Denied)
	if err != nil {
		p.t.Fatal(err)
	}
	defer rows.Close()
	found := map[string]int64{}
	for rows.Next() {
		var row string
		var pieces int64
		if err := rows.Scan(&row, &pieces); err != nil {
			p.t.Fatal(err)
		}
		if p.number("select count(*) from spola.stock_account where stock_row = $1 and published is not null", row) > 0 {
			found[row] = pieces
		}
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
	return found
}

// waitsForIntake holds intake up and wants verify to wait for what the shop has and the ERP has not, not to call it different.
func (p *pipeline) waitsForIntake(running []*program) {
	p.t.Helper()
	probe := func() (number int64) {
		p.t.Helper()
		if err := p.shop.DB().QueryRowContext(p.t.Context(), "SELECT COALESCE(MAX(number), 0) FROM spola_marker WHERE name = 'probe'").Scan(&number); err != nil {
			p.t.Fatal(err)
		}
		return number
	}
	take, before := running[1].cmd.Process, probe()
	if err := take.Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	p.place("late@example.com")
	verify := p.start("applier", "verify")
	p.until("verify asks how far the ERP is", append(running, verify), func() bool { return probe() > before })
	select {
	case <-verify.done: // it has not waited
	case <-time.After(time.Second):
	}
	if err := take.Signal(syscall.SIGCONT); err != nil {
		p.t.Fatal(err)
	}
	if said := verify.ends(0); !strings.Contains(said, "Nothing differs") {
		p.t.Errorf("verify while the ERP was behind: %s", said)
	}
}

// besideOrders runs a comparison that is to find nothing, and again where intake is further behind than it waits for: the machine may be busy.
func (p *pipeline) besideOrders(running []*program, verbs ...string) (said string) {
	p.t.Helper()
	p.until(strings.Join(verbs, " "), running, func() bool {
		one := p.start(verbs...)
		<-one.done
		said = one.said.String()
		if strings.Contains(said, "has not come into the ERP's database") {
			return false
		}
		one.ends(0)
		return true
	})
	return said
}
