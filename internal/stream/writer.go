package stream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/spola-cdc/spola/internal/change"
)

// refreshAfter is how long an epoch is used. Kafka forgets a transactional id that was not
// used for transactional.id.expiration.ms (7 days), and then gives the next owner another
// producer id, which fences nobody.
const refreshAfter = 24 * time.Hour

// lastSequence is where a new epoch is taken, so that sequence numbers never pass 2^31:
// Kafka goes on with 0 there, the embedded broker with 1.
const lastSequence = math.MaxInt32 - 2*maxBatchRecords

// Writer appends to a log that it owns. Its methods may be called from one goroutine at a
// time; sending goes on behind them in a goroutine of its own, one request in flight, and
// what is appended meanwhile goes with the next.
type Writer struct {
	cfg    Config
	cancel context.CancelFunc
	wake   chan struct{} // there is something to send
	done   chan struct{} // the sender has ended

	// The sender's alone.
	session *session
	own     owner
	taken   int64     // offset of the fence by which this owner took the log
	stands  standing  // the last record that is known to stand in the log
	since   time.Time // of the epoch

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when what stands below changes
	open     *batch        // is being filled; nil only for a moment
	spare    *batch        // the other one, nil while it is in flight
	place    change.Place  // of the last appended record
	first    bool          // nothing was appended yet
	acked    standing
	inFlight bool
	err      error
}

// standing is a record of the log with its offset.
type standing struct {
	place  change.Place
	offset int64
}

func newWriter(s *session, own owner, tail *Tail) (*Writer, error) {
	open, err := newBatch()
	if err != nil {
		return nil, err
	}
	spare, err := newBatch()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{
		cfg: s.cfg, cancel: cancel, wake: make(chan struct{}, 1), done: make(chan struct{}),
		session: s, own: own, taken: tail.fence, since: time.Now(),
		stands:  standing{tail.Place, tail.Offset},
		changed: make(chan struct{}), open: open, spare: spare, first: true,
		place: change.Place{Gen: tail.Generation},
		acked: standing{tail.Place, tail.Offset},
	}
	if tail.Generation == tail.Place.Gen {
		w.place = tail.Place
	}
	go w.run(ctx)
	return w, nil
}

// Append numbers the records (it sets their Seq, Gen and Sum) and encodes them. It returns
// when they are accepted, not when they are acknowledged, and keeps no reference to them:
// key and value buffers may be used again. It waits while a batch is in flight and the next
// is full. Records of a call may come to stand in several batches.
//
// An error of an earlier send is returned by every later call; it is ErrFenced, a StopError,
// or the context's. TooBigError leaves the Writer as it was.
func (w *Writer) Append(ctx context.Context, records []change.Record) error {
	if len(records) == 0 {
		return nil
	}
	for i := range records {
		if size := Size(&records[i]); size > w.MaxRecord() {
			return &TooBigError{Index: i, Table: records[i].Table, Size: size, Limit: w.MaxRecord()}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first && records[0].Op != change.Claim {
		return fmt.Errorf("append to %s: the first record of an owner is a claim, not %q", w.cfg.Topic, records[0].Op)
	}
	for i := range records {
		for !w.hasRoom(&records[i]) {
			if err := w.waitLocked(ctx); err != nil {
				return err
			}
		}
		if w.err != nil {
			return w.err
		}
		w.add(&records[i])
	}
	w.poke()
	return nil
}

func (w *Writer) hasRoom(r *change.Record) bool {
	b := w.open
	return w.err != nil || b.count == 0 || b.count < maxBatchRecords && len(b.raw)+Size(r) <= w.cfg.maxBytes()
}

// add numbers a record and puts it into the open batch.
func (w *Writer) add(r *change.Record) {
	r.Gen, r.Seq = w.place.Gen, w.place.Seq+1
	r.Sum = r.NextSum(w.place.Sum)
	if w.open.count == 0 {
		w.open.before = w.place
	}
	w.place = change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}
	w.open.add(r)
	w.open.after = w.place
	w.first = false
}

func (w *Writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// waitLocked waits for a change, with the lock released meanwhile.
func (w *Writer) waitLocked(ctx context.Context) error {
	changed := w.changed
	w.poke()
	w.mu.Unlock()
	defer w.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Writer) signalLocked() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// Flush waits until everything appended is acknowledged by all in-sync replicas.
func (w *Writer) Flush(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && (w.open.count > 0 || w.inFlight) {
		if err := w.waitLocked(ctx); err != nil {
			return err
		}
	}
	return w.err
}

// Acked returns the place and the offset of the last acknowledged record, or of the tail's.
func (w *Writer) Acked() (change.Place, int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked.place, w.acked.offset
}

// Appended returns the place of the last appended record; before the claim, the place that
// the claim follows.
func (w *Writer) Appended() change.Place {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.place
}

// MaxRecord returns the largest Size that Append takes.
func (w *Writer) MaxRecord() int { return w.cfg.maxBytes() }

// Done is closed when the Writer has failed or is closed; Err then says why.
func (w *Writer) Done() <-chan struct{} { return w.done }

// errClosed is what a closed Writer answers.
var errClosed = errors.New("the log's writer is closed")

// Err returns the error that ended the Writer, nil while it lives and after Close.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.err, errClosed) {
		return nil
	}
	return w.err
}

// Close stops sending and waits for it. What is not acknowledged may or may not be in the
// log: Flush first.
func (w *Writer) Close() error {
	w.cancel()
	<-w.done
	return nil
}

// run is the sender.
func (w *Writer) run(ctx context.Context) {
	defer close(w.done)
	refresh := time.NewTicker(refreshAfter / 24)
	defer refresh.Stop()
	err := w.sendAll(ctx, refresh.C)
	if ctx.Err() != nil {
		err = errClosed
	}
	w.cancel()
	w.session.close()
	w.mu.Lock()
	w.err = err
	w.signalLocked()
	w.mu.Unlock()
}

func (w *Writer) sendAll(ctx context.Context, refresh <-chan time.Time) error {
	for {
		b := w.next()
		if b == nil {
			select {
			case <-w.wake:
			case <-refresh:
				if err := w.refresh(ctx, 0); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if err := w.refresh(ctx, b.count); err != nil {
			return err
		}
		if err := b.seal(); err != nil {
			return err
		}
		offset, err := w.send(ctx, b)
		if err != nil {
			return err
		}
		w.acknowledge(b, offset)
	}
}

// next takes the open batch, if there is something in it, and leaves the spare one open.
func (w *Writer) next() *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open.count == 0 {
		return nil
	}
	b := w.open
	w.open, w.spare, w.inFlight = w.spare, nil, true
	w.signalLocked()
	return b
}

func (w *Writer) acknowledge(b *batch, last int64) {
	w.stands = standing{b.after, last}
	b.reset()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked, w.spare, w.inFlight = w.stands, b, false
	w.signalLocked()
}

// refresh takes a new epoch once a day, and before the sequence numbers run out.
func (w *Writer) refresh(ctx context.Context, count int) error {
	if time.Since(w.since) < refreshAfter && int64(w.own.sequence)+int64(count) < lastSequence {
		return nil
	}
	_, err := w.reclaim(ctx, nil)
	return err
}
