package stream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// benchRows are rows as an OpenCart order of seven rows has them: one of about forty columns,
// the others small; 600 bytes a record on average.
func benchRows(n int) []change.Record {
	source := `"source":{"version":"1","connector":"mysql","name":"shop","ts_ms":1764043200000,"ts_us":1764043200000000,"snapshot":"false","db":"opencart","table":"oc_order","server_id":1,"gtid":"3E11FA47-71CA-11E1-9E33-C80AA9429562:%d","file":"binlog.000012","pos":%d,"row":%d},"op":"c","ts_ms":1764043200000,"ts_us":1764043200000000,"transaction":{"id":"3E11FA47-71CA-11E1-9E33-C80AA9429562:%d","total_order":%d,"data_collection_order":1}}`
	random := rand.New(rand.NewPCG(1, 1))
	columns := func(n int) []byte {
		var b []byte
		for i := range n {
			b = fmt.Appendf(b, `,"payment_column_%d":"%s"`, i, strconv.FormatUint(random.Uint64()>>(random.IntN(50)), 36))
		}
		return b
	}
	records := make([]change.Record, n)
	for i := range records {
		width := 6
		if i%7 == 0 {
			width = 38
		}
		id := fmt.Appendf(nil, `"order_id":%d`, i/7)
		value := fmt.Appendf(nil, `{"before":null,"after":{%s%s,"total":"%d.%02d"},`, id, columns(width), i*37%900, i*13%100)
		records[i] = change.Record{
			Op: change.Create, Time: 1764043200000 + int64(i), Table: "oc_order", Schema: 1, Last: i%7 == 6,
			Origin: fmt.Sprintf("tx 1 3E11FA47-71CA-11E1-9E33-C80AA9429562:1-%d 3E11FA47-71CA-11E1-9E33-C80AA9429562:%d %d", i/7, i/7+1, i%7+1),
			Key:    change.RowKey(nil, "oc_order", id),
			Value:  fmt.Appendf(value, source, i/7, i*600, i%7, i/7, i%7+1),
		}
	}
	return records
}

// cpu reports the processor time of the whole process from now to the end of the benchmark: on
// a machine with other work it says more than the clock.
func cpu(b *testing.B) {
	begin := processorTime(b)
	b.Cleanup(func() {
		b.ReportMetric(float64(processorTime(b)-begin)/float64(b.N), "cpu-ns/op")
	})
}

func processorTime(b *testing.B) int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func BenchmarkSum(b *testing.B) {
	records := benchRows(7000)
	b.ReportAllocs()
	cpu(b)
	var sum uint64
	for i := range b.N {
		sum = records[i%len(records)].NextSum(sum)
	}
}

func BenchmarkEncode(b *testing.B) {
	records := benchRows(7000)
	batch, err := newBatch()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	cpu(b)
	var bytes int64
	for i := range b.N {
		batch.add(&records[i%len(records)])
		if len(batch.raw) > DefaultMaxBytes || i == b.N-1 {
			bytes += int64(len(batch.raw))
			batch.reset()
		}
	}
	b.SetBytes(bytes / int64(b.N))
}

func BenchmarkSeal(b *testing.B) {
	records := benchRows(7000)
	batch, err := newBatch()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	cpu(b)
	var bytes, packed int64
	for i := range b.N {
		batch.add(&records[i%len(records)])
		if len(batch.raw) > DefaultMaxBytes || i == b.N-1 {
			if err := batch.seal(); err != nil {
				b.Fatal(err)
			}
			batch.stamp(producer{id: 1})
			bytes += int64(len(batch.raw))
			packed += int64(batch.out.Len())
			batch.reset()
		}
	}
	b.SetBytes(bytes / int64(b.N))
	b.ReportMetric(float64(packed)/float64(b.N), "packed-bytes/op")
}

func BenchmarkParse(b *testing.B) {
	records := benchRows(7000)
	batch, err := newBatch()
	if err != nil {
		b.Fatal(err)
	}
	count := 1500
	for i := range count {
		batch.add(setNumber(&records[i], i))
	}
	if err := batch.seal(); err != nil {
		b.Fatal(err)
	}
	batch.stamp(producer{id: 1})
	data := batch.out.Bytes()[sizeBytes:]
	p := newParser("bench")
	b.ReportAllocs()
	cpu(b)
	for i := 0; i < b.N; i += count {
		if _, _, err := p.parse(nil, data, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func setNumber(r *change.Record, i int) *change.Record {
	r.Seq, r.Gen = int64(i+1), 1
	return r
}

func BenchmarkAppend(b *testing.B) {
	b.Run("embedded", func(b *testing.B) { benchmarkAppend(b, embedded(b)) })
	b.Run("kafka", func(b *testing.B) { benchmarkAppend(b, server.Kafka(b)) })
}

// benchmarkAppend appends transactions of seven rows, as cdc does from a backlog.
func benchmarkAppend(b *testing.B, brokers []string) {
	cfg := freshLog(b, brokers)
	w, _ := own(b, cfg)
	records := benchRows(7000)
	b.ReportAllocs()
	cpu(b)
	b.ResetTimer()
	for i := 0; i < b.N; i += 7 {
		at := i % len(records)
		if err := w.Append(b.Context(), records[at:at+7]); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkRead(b *testing.B) {
	b.Run("embedded", func(b *testing.B) { benchmarkRead(b, embedded(b)) })
	b.Run("kafka", func(b *testing.B) { benchmarkRead(b, server.Kafka(b)) })
}

func benchmarkRead(b *testing.B, brokers []string) {
	cfg := freshLog(b, brokers)
	w, _ := own(b, cfg)
	records := benchRows(7000)
	for i := 0; i < b.N; i += len(records) {
		if err := w.Append(b.Context(), records); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	cpu(b)
	b.ResetTimer()
	r := open(b, cfg, Position{})
	for n := 0; n < b.N; {
		got, err := r.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		n += len(got)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkLatency measures from Append to Next, one record at a time.
func BenchmarkLatency(b *testing.B) {
	b.Run("embedded", func(b *testing.B) { benchmarkLatency(b, embedded(b)) })
	b.Run("kafka", func(b *testing.B) { benchmarkLatency(b, server.Kafka(b)) })
}

func benchmarkLatency(b *testing.B, brokers []string) {
	cfg := freshLog(b, brokers)
	w, _ := own(b, cfg)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	r := open(b, cfg, Position{})
	records := benchRows(7)
	if _, err := r.Next(ctx); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := w.Append(ctx, records[:1]); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Next(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
