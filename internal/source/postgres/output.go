package postgres

import (
	"context"
	"fmt"

	"github.com/spola-cdc/spola/internal/change"
)

// Log is where records go.
type Log interface {
	// Append accepts records in order and gives them their numbers. It keeps no reference to
	// them. Its errors end the stream.
	Append(ctx context.Context, records []change.Record) error
	// MaxRecord is the largest record that Append takes: key, value, table and origin, and some
	// hundred bytes beside them.
	MaxRecord() int
	// Appended is the place of the last record that Append took.
	Appended() change.Place
	// Acked is the place and the offset of the last record that no broker loses any more.
	Acked() (change.Place, int64)
}

// A batch goes to the log when nothing more is to be decoded, or when it has grown to this.
const (
	batchRecords = 2000
	batchBytes   = 1 << 20
)

// recordOverhead is above what a log may count beside a record's key, value, table and origin.
const recordOverhead = 512

// output collects records in buffers that are used again for each batch. The last row of a
// transaction is known only at its end, so that one row is held back: its value stands open at
// the end of the buffer until the next row or the transaction's end closes it.
type output struct {
	log     Log
	bytes   []byte // values
	keys    []byte
	origins []byte
	pending []pendingRecord
	records []change.Record // handed to the log

	held bool
	stub string // what is to stand behind the held value
}

type pendingRecord struct {
	record             change.Record
	key, value, origin extent
}

type extent struct{ from, to int }

// begin opens a record whose value begins at from.
func (o *output) begin(r change.Record, key []byte, from int, origin func([]byte) []byte) {
	p := pendingRecord{record: r, value: extent{from, 0}}
	p.key.from = len(o.keys)
	o.keys = append(o.keys, key...)
	p.key.to = len(o.keys)
	p.origin.from = len(o.origins)
	o.origins = origin(o.origins)
	p.origin.to = len(o.origins)
	o.pending = append(o.pending, p)
}

func (o *output) last() *pendingRecord { return &o.pending[len(o.pending)-1] }

// closeHeld ends the row that is held back; anchor is empty unless it is its transaction's last.
func (o *output) closeHeld(anchor string) *pendingRecord {
	if anchor != "" {
		o.bytes = append(o.bytes, `,"anchor":"`...)
		o.bytes = append(o.bytes, anchor...)
		o.bytes = append(o.bytes, '"')
	}
	o.bytes = append(o.bytes, '}')
	o.bytes = append(o.bytes, o.stub...)
	o.bytes = append(o.bytes, '}')
	p := o.last()
	p.value.to = len(o.bytes)
	p.record.Last = anchor != ""
	if p.record.Last {
		o.origins = append(o.origins, " end"...)
		p.origin.to = len(o.origins)
	}
	o.held, o.stub = false, ""
	return p
}

// add appends a whole record.
func (o *output) add(r change.Record, key, value []byte, origin string) {
	from := len(o.bytes)
	o.bytes = append(o.bytes, value...)
	o.begin(r, key, from, func(b []byte) []byte { return append(b, origin...) })
	o.last().value.to = len(o.bytes)
}

// ready is how many records can go: all but the one that is held back.
func (o *output) ready() int {
	if o.held {
		return len(o.pending) - 1
	}
	return len(o.pending)
}

func (o *output) full() bool { return len(o.pending) >= batchRecords || len(o.bytes) >= batchBytes }

// logError is an error of the log, which no reconnecting to the ERP mends.
type logError struct{ err error }

// Error says that it was the log, not the ERP.
func (e *logError) Error() string { return fmt.Sprintf("append to the log: %v", e.err) }
func (e *logError) Unwrap() error { return e.err }

// flush hands what is ready to the log.
func (o *output) flush(ctx context.Context) error {
	n := o.ready()
	if n == 0 {
		return nil
	}
	origins := string(o.origins)
	o.records = o.records[:0]
	for i := range o.pending[:n] {
		p := &o.pending[i]
		p.record.Key = o.keys[p.key.from:p.key.to]
		p.record.Value = o.bytes[p.value.from:p.value.to]
		p.record.Origin = origins[p.origin.from:p.origin.to]
		o.records = append(o.records, p.record)
	}
	if err := o.log.Append(ctx, o.records); err != nil {
		return &logError{err}
	}
	o.keepFrom(n)
	return nil
}

// keepFrom forgets the first n records and moves a held one to the beginning of the buffers.
func (o *output) keepFrom(n int) {
	if n == len(o.pending) {
		o.bytes, o.keys, o.origins, o.pending = o.bytes[:0], o.keys[:0], o.origins[:0], o.pending[:0]
		if cap(o.bytes) > 4*batchBytes {
			o.bytes = nil
		}
		return
	}
	p := o.pending[n]
	o.bytes = p.value.moveTo(o.bytes)
	o.keys = p.key.moveTo(o.keys)
	o.origins = p.origin.moveTo(o.origins)
	o.pending = append(o.pending[:0], p)
}

// moveTo moves what stands from e.from on to the beginning of the buffer.
func (e *extent) moveTo(b []byte) []byte {
	b = b[:copy(b, b[e.from:])]
	e.from, e.to = 0, max(0, e.to-e.from)
	return b
}

// discardHeld forgets the row that is held back: its transaction is read again.
func (o *output) discardHeld() {
	if !o.held {
		return
	}
	p := o.last()
	o.bytes, o.keys, o.origins = o.bytes[:p.value.from], o.keys[:p.key.from], o.origins[:p.origin.from]
	o.pending = o.pending[:len(o.pending)-1]
	o.held, o.stub = false, ""
}
