//go:build speed

package cli_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/stream"
)

// TestTraceSpeed prints how long a trace takes among many events (go test -tags speed); SPOLA_TRACE_EVENTS says how many millions.
func TestTraceSpeed(t *testing.T) {
	millions, err := strconv.Atoi(os.Getenv("SPOLA_TRACE_EVENTS"))
	if err != nil {
		t.Skip("SPOLA_TRACE_EVENTS is not set")
	}
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{Stock: 1000})
	read, take := p.start("cdc", "run"), p.start("applier", "run")
	running := []*program{read, take}
	p.live(running...)
	first := p.place("anna@example.com")
	p.arrived(running, first)
	read.stop()

	// Between two orders stand millions of records; they repeat the last origin, as probes do.
	w, tail, err := stream.Acquire(t.Context(), p.log(), stream.Begin{Owner: "filler"})
	if err != nil {
		t.Fatal(err)
	}
	var last change.Record
	if err := tail.Each(t.Context(), func(records []change.Record) error { last = records[len(records)-1]; return nil }); err != nil {
		t.Fatal(err)
	}
	origin, err := change.ParseOrigin(last.Origin)
	if err != nil {
		t.Fatal(err)
	}
	var claim change.Record
	for _, r := range p.records() {
		if r.Op == change.Claim {
			claim = r
		}
	}
	claim.Origin = change.Origin{Kind: change.Claim, Tx: origin.Tx}.String()
	records := []change.Record{claim}
	filler := change.Record{Op: change.Probe, Time: time.Now().UnixMilli(), Last: true, Origin: change.Origin{Kind: change.Probe, Tx: origin.Tx}.String(), Key: change.OwnKey(change.Probe),
		Value: fmt.Appendf(nil, `{"before":null,"after":null,"source":null,"op":"m","ts_ms":1,"ts_us":1,"transaction":null,"message":{"kind":"probe","filler":"%0200d"}}`, 0)}
	for range 10_000 - 1 {
		records = append(records, filler)
	}
	begin := time.Now()
	for n := range millions * 100 {
		if err := w.Append(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			records[0] = filler
		}
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Logf("%d million records written in %s", millions, time.Since(begin).Round(time.Second))

	read = p.start("cdc", "run")
	running[0] = read
	second := p.place("bruno@example.com")
	p.arrived(running, second)
	for _, id := range []int64{first, second} {
		var took []time.Duration
		for range 15 {
			began := time.Now()
			p.traced(strconv.FormatInt(id, 10))
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		t.Logf("order %d: %s at the median, %s to %s, the start of the program included", id, took[7].Round(time.Millisecond), took[0].Round(time.Millisecond), took[14].Round(time.Millisecond))
	}
}
