package stream

import (
	"context"
	"fmt"

	"github.com/spola-cdc/spola/internal/change"
)

// Tail is the end of the log as its new owner found it, final up to his fence.
type Tail struct {
	Place       change.Place        // of the last record; zero if there is none
	Origin      string              // of the last record; empty if there is none
	Offset      int64               // of the last record; -1 if there is none
	Generation  int64               // of the claim that the caller writes next
	Predecessor *change.Predecessor // what this claim names; nil if it goes on in a generation or begins the first

	cfg   Config
	state int64 // offset of the last claim or heartbeat, -1 if there is none
	start int64 // offset of the oldest record
	fence int64 // offset of the owner's fence
}

// Each calls fold with the records from the last claim or heartbeat on, in order, in pieces,
// so that the caller finds the state that his predecessor left. The records and their bytes
// may be kept. Calling it again begins again.
func (t *Tail) Each(ctx context.Context, fold func([]change.Record) error) error {
	if t.state < 0 {
		return nil
	}
	s, err := newSession(t.cfg)
	if err != nil {
		return err
	}
	defer s.close()
	check := checker{topic: t.cfg.Topic, any: true}
	return s.scan(ctx, t.state, t.fence, func(records []change.Record) error {
		kept, err := check.keep(records)
		if err != nil || len(kept) == 0 {
			return err
		}
		return fold(kept)
	})
}

// keep checks records in order and returns those to be kept, in the same slice.
func (c *checker) keep(records []change.Record) ([]change.Record, error) {
	kept := records[:0]
	for i := range records {
		ok, err := c.check(&records[i])
		if err != nil {
			return kept, err
		}
		if ok {
			kept = append(kept, records[i])
		}
	}
	return kept, nil
}

// scan calls each with the records whose offsets are from (included) to (excluded), fences
// among them, in pieces.
func (s *session) scan(ctx context.Context, from, to int64, each func([]change.Record) error) error {
	p := newParser(s.cfg.Topic)
	for from < to {
		res, err := s.fetch(ctx, from, requestTime/4, s.cfg.maxBytes())
		if err != nil {
			return err
		}
		records, next, err := p.parse(nil, res.records, from)
		if err != nil {
			return err
		}
		if next == from {
			if res.end < to {
				// The end can be behind for a moment, on a leader that was elected just now.
				continue
			}
			return fmt.Errorf("fetch %s from offset %d: no record, though the log ends at %d", s.cfg.Topic, from, res.end)
		}
		from = next
		for len(records) > 0 && records[len(records)-1].Offset >= to {
			records = records[:len(records)-1]
		}
		if err := each(records); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) maxBytes() int {
	if c.MaxBytes == 0 {
		return DefaultMaxBytes
	}
	return c.MaxBytes
}

// firstWindow and lastWindow are how many offsets are read at a time, backwards.
const (
	firstWindow = 64
	lastWindow  = 1 << 16
)

// readTail finds the last record before the fence and the last claim or heartbeat, reading
// backwards in windows that grow.
func (s *session) readTail(ctx context.Context, fence int64) (*Tail, error) {
	start, _, err := s.bounds(ctx)
	if err != nil {
		return nil, err
	}
	t := &Tail{cfg: s.cfg, Offset: -1, state: -1, start: start, fence: fence}
	to, window := fence, int64(firstWindow)
	for to > start && t.state < 0 {
		from := max(start, to-window)
		var last change.Record
		err := s.scan(ctx, from, to, func(records []change.Record) error {
			for i := range records {
				switch records[i].Op {
				case change.Fence:
					continue
				case change.Claim, change.Heartbeat:
					t.state = records[i].Offset
				}
				last = records[i]
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if t.Offset < 0 && last.Op != "" {
			t.Place = change.Place{Gen: last.Gen, Seq: last.Seq, Sum: last.Sum}
			t.Origin, t.Offset = last.Origin, last.Offset
		}
		to, window = from, min(4*window, lastWindow)
	}
	if t.Offset >= 0 && t.state < 0 {
		return nil, stopAt(ErrTrimmed, s.cfg.Topic, start, change.Place{}, "the log has neither a claim nor a heartbeat any more, so the reader's state is gone")
	}
	return t, nil
}

// begin decides in which generation the owner goes on.
func (t *Tail) begin(b Begin) error {
	if t.Offset >= 0 {
		t.Generation = t.Place.Gen
		if b.NewGeneration {
			t.Generation++
			t.Predecessor = &change.Predecessor{Gen: t.Place.Gen, Seq: t.Place.Seq, Sum: change.FormatSum(t.Place.Sum), Origin: t.Origin}
		}
		return nil
	}
	switch {
	case b.NewGeneration && b.Predecessor != nil:
		t.Generation, t.Predecessor = b.Predecessor.Gen+1, b.Predecessor
	case b.NewGeneration:
		// Nobody knows what stood there. Generation 1 would be taken for what it replaces.
		t.Generation = 2
	case b.First && t.start == 0:
		t.Generation = 1
	default:
		return stopAt(ErrEmpty, t.cfg.Topic, t.fence, change.Place{}, "it has no record, though this source was read before")
	}
	return nil
}
