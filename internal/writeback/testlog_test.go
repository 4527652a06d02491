package writeback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/mysql"
)

const testShop = "shop"

// testLog is the ERP's log in memory, in the envelope. Readers see what is added while they wait.
type testLog struct {
	mu      sync.Mutex
	records []change.Record
	grown   chan struct{}
	sum     uint64
	no      int64 // of the ledger
	chunk   int   // records that a read gives at most
}

func newTestLog(chunk int) *testLog {
	l := &testLog{grown: make(chan struct{}), chunk: chunk}
	l.claim(1)
	return l
}

func (l *testLog) add(records ...change.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range records {
		r.Seq, r.Gen, r.Offset = int64(len(l.records))+1, 1, int64(len(l.records))
		r.Time, r.Origin, r.Last = 1_764_000_000_000+r.Seq, "none", i == len(records)-1
		l.sum = r.NextSum(l.sum)
		r.Sum = l.sum
		l.records = append(l.records, r)
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

// claim is a new owner's, of this life of the ERP.
func (l *testLog) claim(life int64) {
	l.add(change.Record{Op: change.Claim, Key: change.OwnKey(change.Claim), Value: []byte(fmt.Sprintf(
		`{"before":null,"after":null,"source":{},"op":"m","ts_ms":0,"ts_us":0,"transaction":null,"message":{"kind":"claim","generation":1,"incarnation":%d,"owner":"","state":null}}`, life))})
}

// row is a row of a table as the ERP's reader writes it.
func rowRecord(op change.Op, table, key string, row map[string]any) change.Record {
	after, err := json.Marshal(row)
	if err != nil {
		panic(err) // test code, with its own types
	}
	return change.Record{Op: op, Table: table, Schema: 1, Key: change.RowKey(nil, table, []byte(key)),
		Value: []byte(fmt.Sprintf(`{"before":null,"after":%s,"source":{},"op":%q,"ts_ms":0,"ts_us":0,"transaction":null}`, after, op))}
}

func ledgerRecord(op change.Op, shop string, no int64, row string, target int64) change.Record {
	return rowRecord(op, ledgerTable, fmt.Sprintf(`"shop":%q,"no":%d`, shop, no),
		map[string]any{"shop": shop, "no": no, "stock_row": row, "article_id": 1, "cause": "delta", "pieces": 0, "target": target, "at": "2026-11-28T06:00:00Z", "detail": nil})
}

// ledger adds an entry with the next number, a transaction of its own.
func (l *testLog) ledger(row string, target int64) {
	l.no++
	l.add(ledgerRecord(change.Create, testShop, l.no, row, target))
}

func (l *testLog) end() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.records))
}

func (l *testLog) open(_ context.Context, from change.Stand) (apply.Reader, error) {
	return &testReader{l: l, next: int(from.Seq)}, nil
}

type testReader struct {
	l    *testLog
	next int // guarded by l.mu: Behind is asked by the writing goroutine
}

func (r *testReader) Next(ctx context.Context) ([]change.Record, error) {
	for {
		r.l.mu.Lock()
		end := min(len(r.l.records), r.next+r.l.chunk)
		records, grown := append([]change.Record(nil), r.l.records[r.next:end]...), r.l.grown
		r.next = end
		r.l.mu.Unlock()
		if len(records) > 0 {
			return records, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *testReader) Behind() int64 {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	return int64(len(r.l.records) - r.next)
}

func (r *testReader) Close() error { return nil }

// runTo applies the log up to its end as it is now, as an applier of this name.
func runTo(t testing.TB, url, applier string, effect apply.Effect[*mysql.Tx], log *testLog, o apply.Options) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	end := log.end()
	o.OnCommit = func(p apply.Progress) {
		if p.Seq >= end {
			cancel()
		}
	}
	o.Log = zerolog.Nop()
	open := func(ctx context.Context, from change.Stand) (apply.Reader, error) {
		if from.Seq >= end { // of the last batch only the answer was lost
			cancel()
		}
		return log.open(ctx, from)
	}
	err := apply.Run(ctx, mysql.NewTarget(url, applier, Log, "test"), effect, open, o)
	if err == nil && ctx.Err() == nil {
		return errors.New("the applier ended before the log did")
	}
	return err
}
