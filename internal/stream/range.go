package stream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/spola-cdc/spola/internal/change"
)

// Range is a part of a log, its ends included; what is zero is open. Of From and To only generation and number count.
type Range struct {
	From, To     change.Place
	Behind       change.Place // begin with the record that follows this one, held against its sum; in the place of From
	Since, Until time.Time    // by the records' own times, to the millisecond
}

// GoneError says that a log no longer holds all of a range.
type GoneError struct {
	Topic string
	First change.Record // the oldest that it holds; without number if it holds none
}

// Error tells what the log still has.
func (e *GoneError) Error() string {
	if e.First.Seq == 0 {
		return fmt.Sprintf("log %s holds no record", e.Topic)
	}
	return fmt.Sprintf("log %s holds nothing before record %d/%d of %s", e.Topic, e.First.Gen, e.First.Seq, time.UnixMilli(e.First.Time).UTC().Format(time.RFC3339))
}

// disorder is how far apart the times of neighbours in a log may be in the wrong order: they come from the clocks of the source's
// server, which may be set, and of its reader. Whoever reads until a time reads on for so long behind it.
const disorder = time.Hour

// ReadRange calls each with the records of a range, in order and checked like a Reader's, and done with how much of what is to be
// read was. It ends with the last record that the log has when it begins. A log that no longer holds the range's
// beginning is a GoneError.
func ReadRange(ctx context.Context, cfg Config, r Range, each func([]change.Record) error, done func(read, all int64)) error {
	var from, end int64
	w := &walk{r: r, check: checker{topic: cfg.Topic, any: true, trimmed: true}, each: each}
	if r.Behind != (change.Place{}) {
		w.check = checker{topic: cfg.Topic, place: r.Behind}
	}
	// What the network does is retried, behind what was read.
	s, err := withSession(ctx, cfg, "read a range of", func(s *session) (err error) {
		if end == 0 {
			if from, end, err = s.findRange(ctx, r); err != nil {
				return err
			}
			w.at = from
		}
		return s.scan(ctx, w.at, end, func(records []change.Record) error {
			if err := w.take(records); err != nil || done == nil {
				return err
			}
			done(w.at-from, end-from)
			return nil
		})
	})
	switch {
	case w.failed != nil:
		return w.failed
	case err != nil && !errors.Is(err, errEnough):
		return err
	case err == nil:
		s.close()
	}
	if done != nil {
		done(end-from, end-from)
	}
	return nil
}

// errEnough ends a scan before its end.
var errEnough = errors.New("enough was read")

// walk is a way through a range.
type walk struct {
	r      Range
	check  checker
	each   func([]change.Record) error
	at     int64 // offset to be read next
	failed error // each's
}

// take passes on what of these records is in the range.
func (w *walk) take(records []change.Record) error {
	if len(records) == 0 {
		return nil
	}
	next := records[len(records)-1].Offset + 1
	kept, bad := w.check.keep(records)
	inside, over := w.r.cut(kept)
	if len(inside) > 0 {
		w.failed = w.each(inside)
	}
	if w.failed != nil || over {
		return backoff.Permanent(errEnough)
	}
	w.at = next
	return bad
}

// cut returns those records that are in the range, and whether none behind them can be.
func (r Range) cut(records []change.Record) (inside []change.Record, over bool) {
	until, since := int64(math.MaxInt64), int64(math.MinInt64)
	if !r.Until.IsZero() {
		until = r.Until.UnixMilli()
	}
	if !r.Since.IsZero() {
		since = r.Since.UnixMilli()
	}
	for _, rec := range records {
		if r.To.Gen > 0 && isBeyond(&rec, r.To) || !r.Until.IsZero() && rec.Time > until+disorder.Milliseconds() {
			return inside, true
		}
		if rec.Time >= since && rec.Time <= until {
			inside = append(inside, rec)
		}
	}
	return inside, false
}

// findRange returns the offsets between which a range is to be read.
func (s *session) findRange(ctx context.Context, r Range) (from, end int64, err error) {
	start, end, err := s.bounds(ctx)
	if err != nil {
		return 0, 0, err
	}
	if r.Behind != (change.Place{}) {
		from, err = s.firstOffset(ctx, start, end, func(rec *change.Record) bool { return isBeyond(rec, r.Behind) })
		return from, end, err
	}
	first, err := s.firstFrom(ctx, start, end)
	if err != nil {
		return 0, 0, err
	}
	if first == nil {
		return 0, 0, backoff.Permanent(&GoneError{Topic: s.cfg.Topic})
	}
	// A log whose first record is the very first of its first generation has lost nothing.
	whole := first.Gen == 1 && first.Seq == 1
	if !whole && (r.From.Gen > 0 && isBeyond(first, r.From) || !r.Since.IsZero() && first.Time > r.Since.UnixMilli()) {
		return 0, 0, backoff.Permanent(&GoneError{Topic: s.cfg.Topic, First: *first})
	}
	from = start
	if r.From.Gen > 0 {
		before := change.Place{Gen: r.From.Gen, Seq: r.From.Seq - 1}
		if from, err = s.firstOffset(ctx, start, end, func(rec *change.Record) bool { return isBeyond(rec, before) }); err != nil {
			return 0, 0, err
		}
	}
	if !r.Since.IsZero() {
		at, err := s.since(ctx, r.Since, end)
		if err != nil {
			return 0, 0, err
		}
		from = max(from, at)
	}
	return from, end, nil
}

// firstOffset halves the offsets between lo and hi until they meet at the first record of which something holds that holds
// of all behind it; hi if there is none.
func (s *session) firstOffset(ctx context.Context, lo, hi int64, holds func(*change.Record) bool) (int64, error) {
	for lo < hi {
		mid := lo + (hi-lo)/2
		r, err := s.firstFrom(ctx, mid, hi)
		switch {
		case err != nil:
			return 0, err
		case r == nil || holds(r):
			hi = mid
		default:
			lo = r.Offset + 1
		}
	}
	return lo, nil
}
