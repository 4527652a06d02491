package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/spola-cdc/spola/internal/change"
)

// send brings a sealed batch into the log, once, and returns the offset of its last record.
//
// Within a connection the same bytes are sent again. When the outcome is open, or another
// broker leads, ownership is in question on every broker: reclaim finds out, and whether the
// batch stands in the log already; if not, it is sent again as the new epoch's.
func (w *Writer) send(ctx context.Context, b *batch) (last int64, err error) {
	b.stamp(w.own.producer)
	pause := newBackOff(ctx)
	for {
		base, err := w.session.produce(ctx, b)
		switch {
		case err == nil:
			if base <= w.stands.offset {
				return 0, stopAt(ErrShortened, w.cfg.Topic, base, b.after, fmt.Sprintf("it was written there, behind offset %d", w.stands.offset))
			}
			w.own.sequence += int32(b.count)
			return base + int64(b.count) - 1, nil
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case isSameBytes(err):
			w.cfg.Log.Warn().Err(err).Str("topic", w.cfg.Topic).Msg("send: trying again")
			if err := wait(ctx, pause.NextBackOff()); err != nil {
				return 0, err
			}
			continue
		}
		if err := w.refused(err, b); err != nil {
			return 0, err
		}
		w.cfg.Log.Warn().Err(err).Str("topic", w.cfg.Topic).Int64("seq", b.after.Seq).Msg("send: ownership of the log is in question")
		stands, err := w.reclaim(ctx, b)
		if err != nil {
			return 0, err
		}
		if stands != nil {
			return stands.offset, nil
		}
		b.stamp(w.own.producer)
	}
}

// refused turns answers that no retry mends into errors.
func (w *Writer) refused(err error, b *batch) error {
	switch {
	case errors.Is(err, kafka.OutOfOrderSequenceNumber), errors.Is(err, kafka.UnknownProducerId):
		return stopAt(ErrSequence, w.cfg.Topic, -1, b.after, err.Error())
	case errors.Is(err, kafka.MessageSizeTooLarge), errors.Is(err, kafka.RecordListTooLarge):
		return &StopError{Kind: ErrTopic, Topic: w.cfg.Topic, Offset: -1, Gen: b.after.Gen, Seq: b.after.Seq,
			What: fmt.Sprintf("the broker does not take a batch of %d bytes", b.out.Len()), Mend: "raise the topic's max.message.bytes"}
	case errors.Is(err, kafka.InvalidTimestamp), errors.Is(err, kafka.InvalidMessage), errors.Is(err, kafka.InvalidRecord):
		return stopAt(ErrTopic, w.cfg.Topic, -1, b.after, err.Error())
	}
	if isFinal(err) {
		return fmt.Errorf("send to %s: %w", w.cfg.Topic, err)
	}
	return nil
}

// reclaim asks whether the log is still one's own: a new epoch by one's own id, a fence, and
// the tail between the last record that is known to stand there and the fence. It returns
// where the batch's last record stands if the batch is in the log, nil if it is not. Nothing
// is renumbered.
func (w *Writer) reclaim(ctx context.Context, b *batch) (*standing, error) {
	w.session.close()
	var found tailEnd
	s, err := withSession(ctx, w.cfg, "take the log again", func(s *session) error {
		err := s.takeEpoch(ctx, &w.own)
		if errors.Is(err, ErrFenced) && w.own.unsure {
			err = w.takeUnsure(ctx, s, err)
		}
		if err != nil {
			return err
		}
		fence, err := s.writeFence(ctx, &w.own, false)
		if errors.Is(err, ErrFenced) {
			// Refused between epoch and fence: either the log was taken, and the coordinator
			// says so at the next attempt, or an older owner asked for it on a broker that
			// gives it to anybody, and the tail says so.
			return fmt.Errorf("write a fence: epoch %d was refused", w.own.epoch)
		}
		if err != nil {
			return err
		}
		found, err = w.readEnd(ctx, s, fence)
		return err
	})
	if err != nil {
		return nil, err
	}
	w.session, w.since = s, time.Now()
	switch {
	case found.last.place == w.stands.place:
		return nil, nil
	case b != nil && found.last.place == b.after:
		return &found.last, nil
	}
	s.close()
	return nil, stopAt(ErrMismatch, w.cfg.Topic, found.last.offset, found.last.place, "somebody else wrote it, without taking the log first")
}

// fenceWithin is how long whoever has taken an epoch may need for his fence.
const fenceWithin = 3 * time.Second

// takeUnsure takes an epoch for an owner who was refused for his, and has lost an answer before. A coordinator that moves to another broker forgets which epoch came
// before its newest: if it gave that to this owner, who never heard of it, it takes him for an older one. Whoever else has taken the log writes his fence at once:
// where none stands, the log is this owner's still, and is taken as at first.
func (w *Writer) takeUnsure(ctx context.Context, s *session, refused error) error {
	w.cfg.Log.Warn().Err(refused).Str("topic", w.cfg.Topic).Msg("take the log again: refused, maybe for an epoch of our own; looking whether anybody else writes")
	if err := wait(ctx, fenceWithin); err != nil {
		return err
	}
	_, end, err := s.bounds(ctx)
	if err != nil {
		return err
	}
	if end <= w.stands.offset {
		return fmt.Errorf("%s ends at offset %d: its new leader does not know yet how far it is whole", w.cfg.Topic, end)
	}
	if _, err := w.readEnd(ctx, s, end); err != nil {
		return err
	}
	w.own.producer = producer{id: -1, epoch: -1}
	return s.takeEpoch(ctx, &w.own)
}

// tailEnd is what stands behind the last record that is known to stand in the log.
type tailEnd struct{ last standing }

// readEnd reads from the last record that is known to stand in the log up to the fence.
func (w *Writer) readEnd(ctx context.Context, s *session, fence int64) (tailEnd, error) {
	start, _, err := s.bounds(ctx)
	if err != nil {
		return tailEnd{}, err
	}
	at := w.stands
	if fence <= at.offset {
		return tailEnd{}, stopAt(ErrShortened, w.cfg.Topic, fence, at.place, fmt.Sprintf("the log ends there, but the record was acknowledged at offset %d", at.offset))
	}
	end, seen := tailEnd{last: at}, at.offset < start
	err = s.scan(ctx, max(at.offset, start), fence, func(records []change.Record) error {
		for i := range records {
			r := &records[i]
			if err := w.meets(r, at); err != nil {
				return err
			}
			if r.Op != change.Fence {
				seen = seen || r.Offset == at.offset
				end.last = standing{change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}, r.Offset}
			}
		}
		return nil
	})
	if err == nil && !seen {
		err = stopAt(ErrMismatch, w.cfg.Topic, at.offset, at.place, "the record does not stand there any more")
	}
	return end, err
}

// meets judges a record that stands at or behind the last acknowledged one.
func (w *Writer) meets(r *change.Record, at standing) error {
	if r.Op == change.Fence {
		var fence fenceMessage
		if err := json.Unmarshal(r.Value, &fence); err != nil {
			return stopAt(ErrForeign, w.cfg.Topic, r.Offset, change.Place{}, "a fence that can't be read: "+err.Error())
		}
		// Whoever took the log before this owner did may have died before his claim.
		if fence.Takes && fence.ID != w.own.id && r.Offset > w.taken {
			return fmt.Errorf("%w: %s took %s at offset %d", ErrFenced, fence.Owner, w.cfg.Topic, r.Offset)
		}
		return nil
	}
	if r.Offset == at.offset && (change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}) != at.place {
		return stopAt(ErrMismatch, w.cfg.Topic, r.Offset, change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum},
			fmt.Sprintf("%d/%d was acknowledged at this offset", at.place.Gen, at.place.Seq))
	}
	return nil
}
