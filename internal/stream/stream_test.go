package stream

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"

	"github.com/spola-cdc/spola/internal/broker"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// onEachBroker runs a test on the embedded broker and on Apache Kafka.
func onEachBroker(t *testing.T, test func(t *testing.T, brokers []string)) {
	t.Run("embedded", func(t *testing.T) { test(t, embedded(t)) })
	t.Run("kafka", func(t *testing.T) { test(t, server.Kafka(t)) })
}

// embedded starts an embedded broker for a test.
func embedded(t testing.TB) []string {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return []string{b.Addr()}
}

func testLog(t testing.TB) zerolog.Logger {
	if testing.Verbose() {
		return zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)
	}
	return zerolog.Nop()
}

// freshLog makes a topic of its own for a test.
func freshLog(t testing.TB, brokers []string) Config {
	t.Helper()
	cfg := Config{Brokers: brokers, Topic: fmt.Sprintf("test.%s.%d", topicName(t.Name()), time.Now().UnixNano()), Log: testLog(t)}
	if _, err := EnsureTopic(t.Context(), cfg, TopicSettings{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deleteTopic(t, cfg) })
	return cfg
}

func deleteTopic(t testing.TB, cfg Config) {
	t.Helper()
	s, err := newSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ctx, cancel := context.WithTimeout(context.Background(), server.Patience)
	defer cancel()
	if _, err := s.client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{cfg.Topic}}); err != nil {
		t.Errorf("delete topic: %v", err)
	}
}

func topicName(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c == '/' || c == '#' {
			b[i] = '-'
		}
	}
	return string(b)
}

func acquire(t testing.TB, cfg Config) (*Writer, *Tail) {
	t.Helper()
	w, tail, err := Acquire(t.Context(), cfg, Begin{Owner: t.Name(), First: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w, tail
}

// claim is the first record of an owner.
func claim(tail *Tail) change.Record {
	before := "null"
	if p := tail.Predecessor; p != nil {
		before = fmt.Sprintf(`{"generation":%d,"seq":%d,"sum":%q,"origin":%q}`, p.Gen, p.Seq, p.Sum, p.Origin)
	}
	return change.Record{
		Op: change.Claim, Time: time.Now().UnixMilli(), Origin: "claim none", Last: true,
		Key: change.OwnKey(change.Claim),
		Value: fmt.Appendf(nil, `{"before":null,"after":null,"source":null,"op":"m","ts_ms":1,"ts_us":1,"transaction":null,"message":{"kind":"claim","generation":%d,"predecessor":%s,"incarnation":1,"owner":"test","state":null}}`,
			tail.Generation, before),
	}
}

// own takes the log and claims it.
func own(t testing.TB, cfg Config) (*Writer, *Tail) {
	t.Helper()
	w, tail := acquire(t, cfg)
	mustAppend(t, w, claim(tail))
	return w, tail
}

func mustAppend(t testing.TB, w *Writer, records ...change.Record) {
	t.Helper()
	if err := w.Append(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// row is the n-th row of a test.
func row(n int) change.Record {
	return change.Record{
		Op: change.Create, Time: time.Now().UnixMilli(), Table: "oc_order", Schema: 1, Last: true,
		Origin: fmt.Sprintf("tx 1 3E11FA47-71CA-11E1-9E33-C80AA9429562:1-%d 3E11FA47-71CA-11E1-9E33-C80AA9429562:%d 1 end", n, n+1),
		Key:    change.RowKey(nil, "oc_order", fmt.Appendf(nil, `"order_id":%d`, n)),
		Value:  fmt.Appendf(nil, `{"before":null,"after":{"order_id":%d,"total":"12.50"},"source":{},"op":"c"}`, n),
	}
}

func rows(from, to int) []change.Record {
	var records []change.Record
	for n := from; n < to; n++ {
		records = append(records, row(n))
	}
	return records
}

func open(t testing.TB, cfg Config, from Position) *Reader {
	t.Helper()
	r, err := OpenReader(t.Context(), cfg, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// take reads n records.
func take(t testing.TB, r *Reader, n int) []change.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	var all []change.Record
	for len(all) < n {
		records, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d records: %v", len(all), n, err)
		}
		all = append(all, records...)
	}
	return all
}

// whole scans the log and demands 1, 2, 3 … from its first record on, with right sums.
func whole(t testing.TB, cfg Config) []change.Record {
	t.Helper()
	var all []change.Record
	err := Scan(t.Context(), cfg, func(records []change.Record) error {
		all = append(all, records...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var sum uint64
	for i, r := range all {
		if r.Seq != int64(i+1) {
			t.Fatalf("record %d of the log has number %d", i+1, r.Seq)
		}
		if sum = r.NextSum(sum); sum != r.Sum {
			t.Fatalf("record %d of the log has sum %x, want %x", r.Seq, r.Sum, sum)
		}
	}
	return all
}
