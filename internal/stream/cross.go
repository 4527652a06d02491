package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/spola-cdc/spola/internal/change"
)

// Crossing is where an applier may go on that can't follow the log: at the first record of its
// newest generation, which begins with a full snapshot. What the log did not bring him is known
// by its result only.
type Crossing struct {
	Why   error               // the StopError that keeps the log from being followed
	Place change.Place        // before the generation's first record
	Claim change.ClaimMessage // of that record
}

// FindCrossing returns where an applier at the position may cross into the newest generation, nil
// if it needs no crossing: the log can be followed from the position to its end. It reads all
// that lies between. Errors are a StopError if no generation of the log can be gone on with.
func FindCrossing(ctx context.Context, cfg Config, from Position) (*Crossing, error) {
	var c *Crossing
	s, err := withSession(ctx, cfg, "look for a crossing in", func(s *session) (err error) {
		c, err = s.crossing(ctx, from)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.close()
	return c, nil
}

func (s *session) crossing(ctx context.Context, from Position) (*Crossing, error) {
	start, end, err := s.bounds(ctx)
	if err != nil {
		return nil, err
	}
	last, err := s.readTail(ctx, end)
	if err != nil {
		return nil, err
	}
	if last.Offset < 0 {
		return nil, stopAt(ErrEmpty, s.cfg.Topic, end, change.Place{}, "there is nothing to go on with")
	}
	why, within, err := s.obstacle(ctx, from, end)
	if why == nil || err != nil {
		return nil, err
	}
	newest := change.Place{Gen: last.Place.Gen}
	if within == newest.Gen {
		return nil, why // where the generation itself is broken, reading it from its start ends as well
	}
	at, err := s.search(ctx, newest, start, end)
	if err != nil {
		return nil, err
	}
	first, err := s.firstFrom(ctx, at.offset, end)
	if err != nil {
		return nil, err
	}
	c := &Crossing{Why: why, Place: newest}
	switch {
	case newest.Gen == 1:
		return nil, &StopError{Kind: ErrGeneration, Topic: s.cfg.Topic, Offset: at.offset, Mend: "if it is the right topic on the right brokers, " + anew,
			What: "it has only its first generation, which is not what the applier has read"}
	case first == nil || first.Gen != newest.Gen || first.Seq != 1 || first.Op != change.Claim:
		return nil, stopAt(ErrTrimmed, s.cfg.Topic, at.offset, newest, fmt.Sprintf("the beginning of generation %d, its newest, is gone", newest.Gen))
	}
	if err := change.Message(first.Value, &c.Claim); err != nil {
		return nil, fmt.Errorf("claim %d/%d of %s: %w", first.Gen, first.Seq, s.cfg.Topic, err)
	}
	return c, nil
}

// obstacle follows the log from the position to the offset and returns the StopError at which a
// reader would end, nil if none, and the generation in which it did; 0 if it did not even begin.
func (s *session) obstacle(ctx context.Context, from Position, end int64) (why error, within int64, err error) {
	at, err := s.find(ctx, from)
	if errors.Is(err, ErrStopped) {
		return err, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	check := checker{topic: s.cfg.Topic, place: from.Place, trimmed: at.trimmed}
	err = s.scan(ctx, at.offset, end, func(records []change.Record) error {
		_, err := check.keep(records)
		return err
	})
	if !errors.Is(err, ErrStopped) {
		return nil, 0, err
	}
	if check.place != from.Place {
		within = check.place.Gen
	}
	return err, within, nil
}
