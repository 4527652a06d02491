package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/spola-cdc/spola/internal/change"
)

// Position says where a Reader begins.
type Position struct {
	Place change.Place // the last record that was read; with Seq 0 the beginning of generation Gen, the zero Place that of the log

	// Offset is the Kafka offset of that record, as a hint; -1 or a wrong one costs a search.
	Offset int64

	// Oldest begins at the oldest record that the log still has, whatever its number. For
	// tools that look at a log; an applier would miss what is gone.
	Oldest bool
}

// found is where reading begins.
type found struct {
	offset  int64
	trimmed bool // nothing before the offset is left to compare the place with
}

// find returns the offset behind the record at the position. The record must be the one that
// was read, by its number and its sum; if retention has deleted it, the sum of the record
// that follows says so as well.
func (s *session) find(ctx context.Context, from Position) (found, error) {
	start, end, err := s.bounds(ctx)
	if err != nil {
		return found{}, err
	}
	place := from.Place
	if from.Oldest || place == (change.Place{}) {
		return found{offset: start, trimmed: true}, nil
	}
	if place.Seq > 0 && from.Offset >= start && from.Offset < end {
		r, err := s.firstFrom(ctx, from.Offset, from.Offset+1)
		if err != nil {
			return found{}, err
		}
		if r != nil && r.Gen == place.Gen && r.Seq == place.Seq {
			return found{offset: r.Offset + 1}, s.isPlace(r, place)
		}
	}
	return s.search(ctx, place, start, end)
}

// search halves the offsets between lo and hi until they meet behind the last record that
// is not beyond the place: numbers grow with offsets.
func (s *session) search(ctx context.Context, place change.Place, lo, hi int64) (found, error) {
	end := hi // behind the last record that is no fence, as far as is known
	var before *change.Record
	for lo < hi {
		mid := lo + (hi-lo)/2
		r, err := s.firstFrom(ctx, mid, hi)
		switch {
		case err != nil:
			return found{}, err
		case r == nil && hi == end:
			hi, end = mid, mid
		case r == nil || isBeyond(r, place):
			hi = mid
		default:
			before, lo = r, r.Offset+1
		}
	}
	switch {
	case before != nil && before.Gen == place.Gen && before.Seq == place.Seq:
		return found{offset: lo}, s.isPlace(before, place)
	case place.Seq == 0:
		return found{offset: lo, trimmed: before == nil}, nil
	case lo < end:
		return found{offset: lo, trimmed: before == nil}, nil // the first record read tells
	case before == nil:
		return found{}, stopAt(ErrEmpty, s.cfg.Topic, end, place, "it has no record; the record named was read before")
	default:
		return found{}, stopAt(ErrShortened, s.cfg.Topic, end, place, fmt.Sprintf("it ends with %d/%d; the record named was read before", before.Gen, before.Seq))
	}
}

// since asks the broker for the offset of the first record whose time is at or later; end if there is none. Times need not be in order: whatever
// stands before it is earlier.
func (s *session) since(ctx context.Context, at time.Time, end int64) (int64, error) {
	res, err := s.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{s.cfg.Topic: {kafka.TimeOffsetOf(0, at)}},
	})
	if err != nil {
		return 0, fmt.Errorf("look for a time in %s: %w", s.cfg.Topic, err)
	}
	parts := res.Topics[s.cfg.Topic]
	if len(parts) != 1 {
		return 0, fmt.Errorf("look for a time in %s: %d partitions answered", s.cfg.Topic, len(parts))
	}
	if parts[0].Error != nil {
		return 0, fmt.Errorf("look for a time in %s: %w", s.cfg.Topic, parts[0].Error)
	}
	for offset := range parts[0].Offsets {
		if offset >= 0 {
			return min(offset, end), nil
		}
	}
	return end, nil
}

func isBeyond(r *change.Record, place change.Place) bool {
	return change.Place{Gen: r.Gen, Seq: r.Seq}.Beyond(place)
}

func (s *session) isPlace(r *change.Record, place change.Place) error {
	if r.Sum == place.Sum {
		return nil
	}
	return stopAt(ErrMismatch, s.cfg.Topic, r.Offset, place, fmt.Sprintf("it carries sum %s, read was %s", change.FormatSum(r.Sum), change.FormatSum(place.Sum)))
}

// probeBytes is enough for a batch or two; a broker sends one whole batch anyway.
const probeBytes = 64 << 10

// firstFrom returns the first record, fences passed over, with an offset from (included) to
// (excluded), nil if there is none.
func (s *session) firstFrom(ctx context.Context, from, to int64) (*change.Record, error) {
	p := newParser(s.cfg.Topic)
	for from < to {
		res, err := s.fetch(ctx, from, time.Second, probeBytes)
		if err != nil {
			return nil, err
		}
		records, next, err := p.parse(nil, res.records, from)
		if err != nil {
			return nil, err
		}
		for i := range records {
			if r := &records[i]; r.Offset < to && r.Op != change.Fence {
				return r, nil
			}
		}
		if next == from {
			return nil, fmt.Errorf("fetch %s from offset %d: no record below %d", s.cfg.Topic, from, to)
		}
		from = next
	}
	return nil, nil
}
