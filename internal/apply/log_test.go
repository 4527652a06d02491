package apply_test

import (
	"context"
	"sync"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
)

// memory is a log in memory. Readers see what is appended while they wait.
type memory struct {
	mu      sync.Mutex
	records []change.Record
	grown   chan struct{}
	sum     uint64
	gen     int64
	seq     int64
	chunk   int // records that Next returns at most
}

func newMemory(chunk int) *memory {
	return &memory{grown: make(chan struct{}), gen: 1, chunk: chunk}
}

// transaction appends a source transaction of n records.
func (m *memory) transaction(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range n {
		m.seq++
		r := change.Record{Seq: m.seq, Gen: m.gen, Op: change.Create, Time: 1_000_000 + m.seq, Origin: "none", Last: i == n-1,
			Key: []byte("{}"), Value: make([]byte, 100), Offset: int64(len(m.records))}
		m.sum = r.NextSum(m.sum)
		r.Sum = m.sum
		m.records = append(m.records, r)
	}
	close(m.grown)
	m.grown = make(chan struct{})
}

// generation begins a new one.
func (m *memory) generation() { m.gen, m.seq, m.sum = m.gen+1, 0, 0 }

// open gives the records behind a stand, by number: this log's reader finds no fault.
func (m *memory) open(_ context.Context, from change.Stand) (apply.Reader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := 0
	for i, r := range m.records {
		if r.Gen == from.Gen && r.Seq == from.Seq {
			next = i + 1
		}
	}
	return &memoryReader{m: m, next: next}, nil
}

type memoryReader struct {
	m    *memory
	next int // guarded by m.mu: Behind is asked by the writing goroutine
}

func (r *memoryReader) Next(ctx context.Context) ([]change.Record, error) {
	for {
		r.m.mu.Lock()
		end := min(len(r.m.records), r.next+r.m.chunk)
		records, grown := append([]change.Record(nil), r.m.records[r.next:end]...), r.m.grown
		r.next = end
		r.m.mu.Unlock()
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

func (r *memoryReader) Behind() int64 {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	return int64(len(r.m.records) - r.next)
}

func (r *memoryReader) Close() error { return nil }
