package cli_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// The way back has a probe of its own, though nothing happens in the ERP: it comes to the log and to each applier in the time that it takes. One
// that is held up is told with the delay that it was given; the others go on being measured.
func TestLagOfTheWayBack(t *testing.T) {
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	p.readsERP()
	p.writesShop()
	p.run(0, "cdc", "preflight", "erp", "--make", "postgres")
	write, stock := p.start("applier", "run", "orders"), p.start("applier", "run", "stock")
	erpReader := p.start("cdc", "run", "erp")
	running := []*program{p.start("cdc", "run"), p.start("applier", "run"), erpReader, write, stock, p.start("applier", "run", "ledger")}
	p.live(running...)
	address := freeAddress(t)
	running = append(running, p.start("metrics", "--listen", address))
	series := func(name string) float64 { v, _ := scrape(t, address, name); return v }
	of := func(what, stage string) float64 {
		return series("spola_back_probe_" + what + `{shop="shop",stage="` + stage + `"}`)
	}
	wants := func(what string, holds func() bool) { t.Helper(); p.until(what, running, holds) }
	for _, stage := range []string{"log", "orders", "stock"} {
		wants("a probe comes to "+stage, func() bool { return of("seconds", stage) > 0 })
	}
	wants("the clock of the ERP's server is measured", func() bool {
		_, there := scrape(t, address, `spola_erp_clock_ahead_seconds{shop="shop"}`)
		return there
	})
	wants("until the binary log is purged", func() bool { return series(`spola_binlog_left_seconds{shop="shop"}`) > 3600 })

	// Held up: nothing of the applier of orders gets through until a moment that is known.
	if err := write.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	held := float64(time.Now().UnixMilli()) / 1000
	wants("the probe waits", func() bool { return of("waiting_seconds", "orders") > 2 })
	now := func() float64 { return float64(time.Now().UnixMilli()) / 1000 }
	before := now()
	waits := of("waiting_seconds", "orders")
	began, atMost := before-waits, now()-waits // when it was sent, between two moments
	wants("stock is measured all the same", func() bool {
		return of("arrived_timestamp_seconds", "stock") > held && of("waiting_seconds", "stock") == 0
	})
	let := now()
	if err := write.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	wants("it arrives", func() bool {
		return of("arrived_timestamp_seconds", "orders") >= let && of("waiting_seconds", "orders") == 0
	})
	arrived, took := of("arrived_timestamp_seconds", "orders"), of("seconds", "orders")
	const tolerance = 0.05 // seconds
	if sent := arrived - took; waits < 2 || sent < began-tolerance || sent > atMost+tolerance {
		t.Errorf("it took %.3f s until %.3f; it was sent between %.3f and %.3f, and had waited for %.3f s", took, arrived, began, atMost, waits)
	}
	t.Logf("measured %.3f s, of which %.3f s were behind the moment when it was let go", took, arrived-let)

	// The slot is lost, and with it a message that is on its way: the next one shows that it goes on. Who writes into the shop has been started
	// in this life of the ERP.
	for _, one := range []**program{&write, &stock} {
		(*one).stop()
		*one = p.start(strings.Fields((*one).name)...)
	}
	running, let = nil, now()
	for _, stage := range []string{"orders", "stock"} {
		wants("a probe comes to who was started again: "+stage, func() bool { return of("arrived_timestamp_seconds", stage) > let })
	}
	erpReader.stop()
	wants("the probe waits for the log", func() bool { return of("waiting_seconds", "log") > 1 })
	p.erpExec("select pg_drop_replication_slot($1)", p.cfg.ERP.Log.Slot)
	lost := now()
	running = []*program{p.start("cdc", "run", "erp", "--new-incarnation")}
	wants("a probe comes to the log of the new slot", func() bool {
		return of("arrived_timestamp_seconds", "log") > lost && of("waiting_seconds", "log") == 0
	})

	// Who writes into the shop waits for a person's word, also where the ledger has long gone on and probes stand behind the claim of the new life.
	for _, one := range []*program{write, stock} {
		if text := one.ends(3); !strings.Contains(text, "applier recover erp") {
			t.Errorf("%s says: %s", one.name, text)
		}
	}
	wants("the ledger goes on", func() bool {
		return p.number("select count(*) from spola.place where applier = 'ledger' and generation = 2") == 1
	})
	if text := p.run(0, "applier", "recover", "erp"); !strings.Contains(text, "lacks nothing") {
		t.Errorf("where only the slot was lost: %s", text)
	}
	let = now()
	running = append(running, p.start("applier", "run", "orders"), p.start("applier", "run", "stock"))
	for _, stage := range []string{"orders", "stock"} {
		wants("a probe comes to "+stage+" again", func() bool {
			return of("arrived_timestamp_seconds", stage) > let && of("waiting_seconds", stage) == 0
		})
	}
}
