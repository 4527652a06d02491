package demo

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spola-cdc/spola/internal/verify"
)

// checkLog reads the shop's log from its first record with another client than Spola's own, and
// has its numbers and sums checked by other code.
func (st *stage) checkLog(ctx context.Context) (verify.LogReport, error) {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	client, err := st.readLog(st.cfg.Topic())
	if err != nil {
		return verify.LogReport{}, err
	}
	defer client.Close()
	return verify.CheckLog(recordsOf(ctx, client, func(verify.LogRecord) bool { return true }))
}

func (st *stage) readLog(topic string) (*kgo.Client, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(st.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic: {0: kgo.NewOffset().AtStart()},
	}))
	if err != nil {
		return nil, fmt.Errorf("read the log %s: %w", topic, err)
	}
	return client, nil
}

// recordsOf gives the records up to the end that the log has when it is reached, but no end before the
// record that last says is to come.
func recordsOf(ctx context.Context, client *kgo.Client, last func(verify.LogRecord) bool) iter.Seq2[verify.LogRecord, error] {
	return func(yield func(verify.LogRecord, error) bool) {
		come := false
		for next, end := int64(0), int64(1); next < end || !come; {
			fetched := client.PollFetches(ctx)
			if err := fetched.Err(); err != nil {
				yield(verify.LogRecord{}, fmt.Errorf("read the log from offset %d: %w", next, err))
				return
			}
			fetched.EachPartition(func(p kgo.FetchTopicPartition) { end = p.HighWatermark })
			for r := range fetched.RecordsAll() {
				next = r.Offset + 1
				record, err := logRecord(r)
				come = come || err == nil && last(record)
				if !yield(record, err) || err != nil {
					return
				}
			}
		}
	}
}

func logRecord(r *kgo.Record) (verify.LogRecord, error) {
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	record := verify.LogRecord{Offset: r.Offset, Time: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value,
		Fence: headers["spola-op"] == "fence", Sum: headers["spola-sum"], Origin: headers["spola-origin"]}
	if record.Fence {
		return record, nil
	}
	var err error
	if record.Seq, err = strconv.ParseInt(headers["spola-seq"], 10, 64); err != nil {
		return record, fmt.Errorf("header spola-seq at offset %d: %w", r.Offset, err)
	}
	if record.Gen, err = strconv.ParseInt(headers["spola-gen"], 10, 64); err != nil {
		return record, fmt.Errorf("header spola-gen at offset %d: %w", r.Offset, err)
	}
	return record, nil
}
