package stream

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/change"
)

// Finder reads a few records of a log here and there, for people who ask about one thing among millions. It does not
// check that what it reads follows on what stands before.
type Finder struct {
	s          *session
	start, end int64
}

// findBytes is what one look brings: some hundred records.
const findBytes = 256 << 10

// OpenFinder connects. Brokers that are away are ErrAway, without another attempt.
func OpenFinder(ctx context.Context, cfg Config) (*Finder, error) {
	s, err := newSession(cfg)
	if err != nil {
		return nil, err
	}
	f := &Finder{s: s}
	if f.start, f.end, err = s.bounds(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("%w at %s: %w", ErrAway, strings.Join(cfg.Brokers, ", "), err)
	}
	return f, nil
}

// Close ends the connections.
func (f *Finder) Close() { f.s.close() }

// Bounds are the offset of the oldest record, and the one behind the newest when the finder was opened.
func (f *Finder) Bounds() (start, end int64) { return f.start, f.end }

// Renew asks for the bounds again: a log goes on.
func (f *Finder) Renew(ctx context.Context) (start, end int64, err error) {
	if f.start, f.end, err = f.s.bounds(ctx); err != nil {
		err = fmt.Errorf("%w at %s: %w", ErrAway, strings.Join(f.s.cfg.Brokers, ", "), err)
	}
	return f.start, f.end, err
}

// From returns what one fetch brings from an offset on, fences left out, and the offset to go on from. It brings
// something wherever the log has something.
func (f *Finder) From(ctx context.Context, offset int64) (records []change.Record, next int64, err error) {
	p := newParser(f.s.cfg.Topic)
	next = max(offset, f.start)
	for len(records) == 0 && next < f.end {
		res, err := f.s.fetch(ctx, next, time.Second, findBytes)
		if err != nil {
			return nil, next, err
		}
		all, behind, err := p.parse(nil, res.records, next)
		if err != nil {
			return nil, next, err
		}
		if behind == next {
			return nil, next, fmt.Errorf("fetch %s from offset %d: nothing comes, though the log ends at %d", f.s.cfg.Topic, next, f.end)
		}
		next = behind
		for _, r := range all {
			if r.Op != change.Fence {
				records = append(records, r)
			}
		}
	}
	return records, next, nil
}

// Newest returns a log's newest record; nil if it has none.
func Newest(ctx context.Context, cfg Config) (*change.Record, error) {
	f, err := OpenFinder(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for from := f.end - 1; from >= f.start; from -= 50 { // fences may stand last
		records, _, err := f.From(ctx, from)
		if err != nil || len(records) > 0 {
			return last(records), err
		}
	}
	return nil, nil
}

func last(records []change.Record) *change.Record {
	if len(records) == 0 {
		return nil
	}
	return &records[len(records)-1]
}

// At returns the offset of a record by its number; false if the log does not hold it (any more). near is a record whose
// number and offset are known: between the two, offsets go with numbers but for the fences, so that a look or
// two are enough, however long the log is.
func (f *Finder) At(ctx context.Context, gen, seq int64, near change.Stand) (int64, bool, error) {
	low, high := f.start, f.end // the record is at low or above, and below high
	guess := near.Offset - (near.Seq - seq)
	if near.Gen != gen || near.Offset < 0 {
		guess = low + (high-low)/2
	}
	for low < high {
		guess = min(max(guess, low), high-1)
		r, err := f.s.firstFrom(ctx, guess, high)
		if err != nil {
			return 0, false, err
		}
		switch {
		case r == nil:
			high = guess
			guess = low + (high-low)/2
		case r.Gen == gen && r.Seq == seq:
			return r.Offset, true, nil
		case r.Gen > gen || r.Gen == gen && r.Seq > seq:
			high = guess // whatever stands from the guess on is beyond
			guess = r.Offset - (r.Seq - seq)
			if r.Gen != gen {
				guess = low + (high-low)/2
			}
		default:
			low = r.Offset + 1
			guess = r.Offset + (seq - r.Seq)
			if r.Gen != gen {
				guess = low + (high-low)/2
			}
		}
	}
	return 0, false, nil
}

// Since returns the offset of the first record that was committed at its source at a time or later, the log's end if there is none.
func (f *Finder) Since(ctx context.Context, at time.Time) (int64, error) {
	return f.s.since(ctx, at, f.end)
}

// Probe looks for a probe record from an offset on, as far as the log goes by now. It returns the probe's place, or the zero place if there is none, and the
// offset from which to look on.
func (f *Finder) Probe(ctx context.Context, from int64) (at change.Place, next int64, err error) {
	start, end, err := f.Renew(ctx)
	if err != nil {
		return at, from, err
	}
	if next = from; next > end { // the topic was made anew
		next = start
	}
	for next < end {
		var records []change.Record
		if records, next, err = f.From(ctx, next); err != nil {
			return at, next, err
		}
		for _, r := range records {
			if r.Op == change.Probe {
				return change.Place{Gen: r.Gen, Seq: r.Seq}, next, nil
			}
		}
	}
	return at, next, nil
}
