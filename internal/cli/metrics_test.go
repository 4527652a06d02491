package cli_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// What an operator is told is so: an applier that stands still has a lag in records and seconds and holds up the probe, one that
// goes on has none; a part that is away is told, and its figures are told no more.
func TestMetricsTellTheLag(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	address := freeAddress(t)
	running := []*program{p.start("metrics", "--listen", address)}

	// Who looks before anybody reads sends a probe that no reader will ever find: it must not be waited for for ever.
	marker, err := os.ReadFile("../source/mysql/marker.sql")
	if err != nil {
		t.Fatal(err)
	}
	made, _, _ := strings.Cut(string(marker), ";")
	p.shopExec(made)
	p.until("a probe is sent", running, func() bool {
		v, there := scrape(t, address, `spola_probe_waiting_seconds{shop="shop",stage="log"}`)
		return there && v > 0
	})
	reader, taker := p.start("cdc", "run"), p.start("applier", "run")
	running = append(running, reader, taker)
	p.live(running...)
	first := p.place("first@example.com")
	topic := p.cfg.Topic()
	lag := `kafka_consumergroup_lag{consumergroup="` + topic + `.intake",partition="0",topic="` + topic + `"}`
	series := func(name string) (float64, bool) { return scrape(t, address, name) }
	wants := func(what, name string, holds func(float64) bool) {
		t.Helper()
		p.until(what, running, func() bool { v, there := series(name); return there && holds(v) })
	}
	above := func(than float64) func(float64) bool { return func(v float64) bool { return v > than } }
	is := func(want float64) func(float64) bool { return func(v float64) bool { return v == want } }

	wants("no record is left", lag, is(0))
	for _, stage := range []string{"log", "intake"} {
		wants("the probe has come to "+stage, `spola_probe_seconds{shop="shop",stage="`+stage+`"}`, above(0))
	}
	wants("the order stands in the ERP", `spola_orders{kind="imported",shop="shop"}`, is(1))
	for _, part := range []string{"shop", "erp", "kafka"} {
		wants(part+" answers", `spola_up{part="`+part+`",shop="shop"}`, is(1))
	}
	if status, said := get(t, address, "/readyz?verbose"); status != http.StatusOK || !strings.Contains(said, "[+] arrives") {
		t.Errorf("ready: %d\n%s", status, said)
	}

	for path, want := range map[string]string{"/": "in the ERP", fmt.Sprintf("/order?number=%d", first): "taken over as W"} {
		if status, said := get(t, address, path); status != http.StatusOK || !strings.Contains(said, want) {
			t.Errorf("%s: %d, without %q\n%s", path, status, want, said)
		}
	}

	// It looks again and again over one connection; one that has ended is no fault of the ERP's.
	const session = "select coalesce(max(pid), 0) from pg_stat_activity where application_name = 'spola metrics shop'"
	looked := func() float64 { v, _ := series(`spola_looked_timestamp_seconds{shop="shop"}`); return v }
	again := func() {
		t.Helper()
		before := looked()
		p.until("it looks again", running, func() bool { return looked() > before })
	}
	pid := p.number(session)
	if again(); pid == 0 || p.number(session) != pid {
		t.Errorf("each look connects anew: session %d, then %d", pid, p.number(session))
	}
	p.erpExec("select pg_terminate_backend($1)", pid)
	if again(); p.number(session) == pid {
		t.Errorf("session %d was not ended", pid)
	}
	if up, _ := series(`spola_up{part="erp",shop="shop"}`); up != 1 {
		t.Error("the ERP is told to be away, where a connection had ended")
	}

	const unread = `spola_shop_unread_transactions{shop="shop"}`
	wants("all that the shop committed is read", unread, is(0))
	if err := reader.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for n := range 7 { // an order is several transactions
		p.place(fmt.Sprintf("unread%d@example.com", n))
	}
	wants("what is not read", unread, above(6))
	if err := reader.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	wants("it is read", unread, is(0))

	if err := taker.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.place("second@example.com")
	wants("the lag in records", lag, above(6))
	wants("the lag in seconds", `spola_applier_lag_seconds{applier="intake",shop="shop"}`, above(2))
	wants("the probe waits", `spola_probe_waiting_seconds{shop="shop",stage="intake"}`, above(2))
	wants("it stands in the log", `spola_probe_waiting_seconds{shop="shop",stage="log"}`, is(0))
	if err := taker.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	wants("no record is left", lag, is(0))
	wants("no second either", `spola_applier_lag_seconds{applier="intake",shop="shop"}`, is(0))
	wants("all orders", `spola_orders{kind="imported",shop="shop"}`, is(9))
	wants("no probe waits", `spola_probe_waiting_seconds{shop="shop",stage="intake"}`, is(0))
}

// freeAddress is one of this host that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return free.Addr().String()
}

// scrape reads one series: "name{label="value",…}", labels in the order of their names.
func scrape(t *testing.T, address, series string) (float64, bool) {
	t.Helper()
	value, there := scrapeAll(t, address)[series]
	return value, there
}

// scrapeAll reads all series at once; none while nobody answers.
func scrapeAll(t *testing.T, address string) map[string]float64 {
	t.Helper()
	status, text := get(t, address, "/metrics")
	if status != http.StatusOK {
		return nil
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("/metrics can't be read: %v\n%s", err, text)
	}
	all := map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+`="`+l.GetValue()+`"`)
			}
			all[name+"{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// get is status 0 while nobody answers.
func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}
