package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/spola-cdc/spola/internal/change"
)

// Scan calls each with all records from the oldest on up to the end that the log has now,
// checked like a Reader's. For verification tools.
func Scan(ctx context.Context, cfg Config, each func([]change.Record) error) error {
	s, err := newSession(cfg)
	if err != nil {
		return err
	}
	defer s.close()
	start, end, err := s.bounds(ctx)
	if err != nil {
		return err
	}
	check := checker{topic: cfg.Topic, any: true, trimmed: true}
	return s.scan(ctx, start, end, func(records []change.Record) error {
		kept, err := check.keep(records)
		if len(kept) > 0 {
			err = errors.Join(each(kept), err)
		}
		return err
	})
}

// Lag is how far a consumer is behind.
type Lag struct {
	Events int64     // offsets between the consumer and the end of the log, fences included
	Oldest time.Time // commit of the oldest record that the consumer has not read, by its source's clock; zero if there is none
}

// Age is how old the oldest record that is not read is at a time, by its source's clock.
func (l Lag) Age(at time.Time) time.Duration {
	if l.Oldest.IsZero() {
		return 0
	}
	return max(0, at.Sub(l.Oldest))
}

// MeasureLag tells how far a consumer that has read up to and including the offset is behind
// the end of the log.
func MeasureLag(ctx context.Context, cfg Config, read int64) (Lag, error) {
	m := NewMeter(cfg)
	defer m.Close()
	return m.Lag(ctx, read)
}

// Meter measures again and again how far consumers are behind the end of a log, over connections that it keeps. One goroutine uses it.
type Meter struct {
	cfg     Config
	session *session // nil: none holds
}

// NewMeter connects to nobody yet.
func NewMeter(cfg Config) *Meter { return &Meter{cfg: cfg} }

// Close closes its connections.
func (m *Meter) Close() {
	if m.session != nil {
		m.session.close()
		m.session = nil
	}
}

// Lag is MeasureLag. After an error the next call connects anew.
func (m *Meter) Lag(ctx context.Context, read int64) (lag Lag, err error) {
	if m.session == nil {
		if m.session, err = newSession(m.cfg); err != nil {
			return Lag{}, err
		}
	}
	if lag, err = m.session.lag(ctx, read); err != nil {
		m.Close()
	}
	return lag, err
}

func (s *session) lag(ctx context.Context, read int64) (Lag, error) {
	start, end, err := s.bounds(ctx)
	if err != nil {
		return Lag{}, fmt.Errorf("%w at %s: %w", ErrAway, strings.Join(s.cfg.Brokers, ", "), err)
	}
	lag := Lag{Events: max(0, end-read-1)}
	oldest, err := s.firstFrom(ctx, max(read+1, start), end)
	if err != nil || oldest == nil {
		return lag, err
	}
	lag.Oldest = time.UnixMilli(oldest.Time)
	return lag, nil
}

// CommitOffset publishes that the group has read up to and including the offset. It is for
// lag tools and a witness after a restore; Spola itself never resumes from it. It connects
// anew, so that once in some seconds is often enough, and tries until the context ends.
func CommitOffset(ctx context.Context, cfg Config, group string, offset int64) error {
	s, err := withSession(ctx, cfg, "commit offset of "+group+" in", func(s *session) error {
		res, err := s.client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
			GroupID: group, GenerationID: -1, // no member of a group
			Topics: map[string][]kafka.OffsetCommit{cfg.Topic: {{Partition: 0, Offset: offset + 1}}},
		})
		if err != nil {
			return err
		}
		for _, p := range res.Topics[cfg.Topic] {
			err = errors.Join(err, p.Error)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.close()
	return nil
}

// CommittedOffset returns the last offset that CommitOffset published, -1 if none.
func CommittedOffset(ctx context.Context, cfg Config, group string) (int64, error) {
	offset := int64(-1)
	s, err := withSession(ctx, cfg, "committed offset of "+group+" in", func(s *session) error {
		res, err := s.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{cfg.Topic: {0}}})
		if err == nil {
			err = res.Error
		}
		if errors.Is(err, kafka.GroupIdNotFound) {
			return nil // the embedded broker's way to say that there is none
		}
		if err != nil {
			return err
		}
		for _, p := range res.Topics[cfg.Topic] {
			err = errors.Join(err, p.Error)
			offset = max(-1, p.CommittedOffset-1)
		}
		return err
	})
	if err != nil {
		return -1, err
	}
	s.close()
	return offset, nil
}
