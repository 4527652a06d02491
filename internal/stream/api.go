package stream

import (
	"context"
	"errors"
	"time"

	"github.com/spola-cdc/spola/internal/change"
)

// EnsureTopic makes the topic of a log if it is not there: one partition, deleted by age and
// never compacted. A topic that is there and can't be a log is refused with a StopError that
// says how to mend it. made tells whether it was made now.
func EnsureTopic(ctx context.Context, cfg Config, want TopicSettings) (made bool, err error) {
	return false, errors.ErrUnsupported
}

// Begin says how a Writer may begin.
type Begin struct {
	Owner string // host and process, for people; stands in the fence

	// First allows an empty log to begin with generation 1: nothing was ever read from this
	// source. Without it, or NewGeneration, an empty log is an error: somebody emptied it.
	First bool

	// NewGeneration begins generation n+1 behind the last record of generation n.
	NewGeneration bool

	// Predecessor is what a new generation names if the log is empty, because it was moved to
	// another broker or lost. It is not used when the log has records.
	Predecessor *change.Predecessor
}

// Tail is the end of the log as its new owner found it, final up to his fence.
type Tail struct {
	Place       change.Place        // of the last record; zero if there is none
	Origin      string              // of the last record; empty if there is none
	Offset      int64               // of the last record; -1 if there is none
	Generation  int64               // of the claim that the caller writes next
	Predecessor *change.Predecessor // what this claim names; nil if it goes on in a generation or begins the first
}

// Each calls fold with the records from the last claim or heartbeat on, in order, in
// pieces. The records and their bytes may be kept.
func (t *Tail) Each(ctx context.Context, fold func([]change.Record) error) error {
	return errors.ErrUnsupported
}

// Acquire takes the log over: it takes an epoch, writes a fence, and reads the tail. The
// caller folds the tail and then appends a claim; the Writer takes no other record first.
// A topic that is not there is a StopError: call EnsureTopic first.
func Acquire(ctx context.Context, cfg Config, begin Begin) (*Writer, *Tail, error) {
	return nil, nil, errors.ErrUnsupported
}

// Writer appends to a log that it owns. Its methods may be called from one goroutine at a
// time; sending goes on behind them in a goroutine of its own, one request in flight, and
// what is appended meanwhile goes with the next.
type Writer struct{}

// Append numbers the records (it sets their Seq, Gen and Sum) and encodes them. It returns
// when they are accepted, not when they are acknowledged, and keeps no reference to them:
// key and value buffers may be used again. It waits while a batch is in flight and the next
// is full. Records of a call may come to stand in several batches.
//
// An error of an earlier send is returned by every later call; it is ErrFenced, a StopError,
// or the context's. TooBigError leaves the Writer as it was.
func (w *Writer) Append(ctx context.Context, records []change.Record) error {
	return errors.ErrUnsupported
}

// Flush waits until everything appended is acknowledged by all in-sync replicas.
func (w *Writer) Flush(ctx context.Context) error { return errors.ErrUnsupported }

// Acked returns the place and the offset of the last acknowledged record.
func (w *Writer) Acked() (change.Place, int64) { return change.Place{}, -1 }

// Appended returns the place of the last appended record.
func (w *Writer) Appended() change.Place { return change.Place{} }

// Done is closed when the Writer has failed or is closed; Err then says why.
func (w *Writer) Done() <-chan struct{} { return nil }

// Err returns the error that ended the Writer, nil while it lives and after Close.
func (w *Writer) Err() error { return nil }

// Size returns the bytes that a record counts, a bound of what it takes in a batch before
// compression. It depends on the record alone, so that the same record is too big every time.
func (w *Writer) Size(r *change.Record) int { return 0 }

// MaxRecord returns the largest Size that Append takes.
func (w *Writer) MaxRecord() int { return 0 }

// Close stops sending and waits for it. What is not acknowledged may or may not be in the
// log: Flush first.
func (w *Writer) Close() error { return nil }

// Position says where a Reader begins.
type Position struct {
	Place change.Place // the last record that was read; with Seq 0 the beginning of generation Gen, the zero Place that of the log

	// Offset is the Kafka offset of that record, as a hint; -1 or a wrong one costs a search.
	Offset int64

	// Oldest begins at the oldest record that the log still has, whatever its number. For
	// tools that look at a log; an applier would miss what is gone.
	Oldest bool
}

// Reader gives the records of a log in order, without a hole and without a repeat.
type Reader struct{}

// OpenReader finds the position in the log and verifies that the record there is the one
// meant, by its number and its checksum.
func OpenReader(ctx context.Context, cfg Config, from Position) (*Reader, error) {
	return nil, errors.ErrUnsupported
}

// Next returns the next records, as many as have come, at least one; it waits for them. The
// records and their bytes are the caller's. Errors are the context's or a StopError; what
// the network does is retried within.
func (r *Reader) Next(ctx context.Context) ([]change.Record, error) {
	return nil, errors.ErrUnsupported
}

// Behind returns how many records and fences stood behind the last record given by Next,
// when the broker was last heard.
func (r *Reader) Behind() int64 { return 0 }

// Close ends the Reader.
func (r *Reader) Close() error { return nil }

// Scan calls each with all records from the oldest on up to the end that the log has now,
// checked like a Reader's. For verification tools.
func Scan(ctx context.Context, cfg Config, each func([]change.Record) error) error {
	return errors.ErrUnsupported
}

// Lag is how far a consumer is behind.
type Lag struct {
	Events  int64         // offsets between the consumer and the end of the log, fences included
	Seconds time.Duration // age of the oldest record that the consumer has not read; 0 if none
}

// MeasureLag tells how far a consumer that has read up to the offset is behind the end.
func MeasureLag(ctx context.Context, cfg Config, read int64) (Lag, error) {
	return Lag{}, errors.ErrUnsupported
}

// CommitOffset publishes that the group has read up to and including the offset. It is for
// lag tools and a witness after a restore; Spola itself never resumes from it.
func CommitOffset(ctx context.Context, cfg Config, group string, offset int64) error {
	return errors.ErrUnsupported
}

// CommittedOffset returns the last offset that CommitOffset published, -1 if none.
func CommittedOffset(ctx context.Context, cfg Config, group string) (int64, error) {
	return -1, errors.ErrUnsupported
}
