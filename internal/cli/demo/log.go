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
	client, err := kgo.NewClient(kgo.SeedBrokers(st.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		st.cfg.Topic(): {0: kgo.NewOffset().AtStart()},
	}))
	if err != nil {
		return verify.LogReport{}, fmt.Errorf("read the log: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	return verify.CheckLog(recordsOf(ctx, client))
}

// recordsOf gives the records up to the end that the log has when it is reached.
func recordsOf(ctx context.Context, client *kgo.Client) iter.Seq2[verify.LogRecord, error] {
	return func(yield func(verify.LogRecord, error) bool) {
		for next, end := int64(0), int64(1); next < end; {
			fetched := client.PollFetches(ctx)
			if err := fetched.Err(); err != nil {
				yield(verify.LogRecord{}, fmt.Errorf("read the log from offset %d: %w", next, err))
				return
			}
			fetched.EachPartition(func(p kgo.FetchTopicPartition) { end = p.HighWatermark })
			for r := range fetched.RecordsAll() {
				next = r.Offset + 1
				if record, err := logRecord(r); !yield(record, err) || err != nil {
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
