package cli_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
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
		ordered <- p.shop.Run(ctx, shop.Load{Rate: 25, Seed: 11, Settings: true, Journal: p.journal})
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
