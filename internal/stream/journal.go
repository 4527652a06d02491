package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// forEver is the retention of a journal: it is a witness for as long as there are backups.
const forEver = math.MaxInt64 / int64(time.Millisecond) * int64(time.Millisecond)

// Journal is a topic of short entries that is no log: entries have no numbers and may stand twice, so several programs may write it.
// An entry that Append has acknowledged stands on all replicas in sync; it is for what must be known when the databases are not.
type Journal struct {
	cfg Config

	mu sync.Mutex // of the session in use
	s  *session
}

// OpenJournal makes the topic if it is not there, kept for ever, and refuses one that loses entries.
func OpenJournal(ctx context.Context, cfg Config, want TopicSettings) (*Journal, error) {
	want.Retention = time.Duration(forEver)
	if _, err := ensureTopic(ctx, cfg, want, anybodys); err != nil {
		return nil, err
	}
	return &Journal{cfg: cfg}, nil
}

// FindJournal is a journal that is there, to be read; nil if nobody has begun it.
func FindJournal(ctx context.Context, cfg Config) (*Journal, error) {
	there := true
	s, err := withSession(ctx, cfg, "look for the journal", func(s *session) error {
		_, _, err := s.describe(ctx)
		if errors.Is(err, kafka.UnknownTopicOrPartition) {
			there = false
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.close()
	if !there {
		return nil, nil //nolint:nilnil // there is none
	}
	return &Journal{cfg: cfg}, nil
}

// Close ends the connections.
func (j *Journal) Close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.s != nil {
		j.s.close()
		j.s = nil
	}
}

// Append returns when the entry stands on all replicas in sync, or ctx ends: then it may stand or not. Behind a broken connection
// it is written again, and may stand twice.
func (j *Journal) Append(ctx context.Context, key string, value []byte) error {
	return j.with(ctx, "write the journal", func(s *session) error {
		res, err := s.client.Produce(ctx, &kafka.ProduceRequest{Topic: j.cfg.Topic, RequiredAcks: kafka.RequireAll,
			Records: kafka.NewRecordReader(kafka.Record{Time: time.Now(), Key: kafka.NewBytes([]byte(key)), Value: kafka.NewBytes(value)})})
		if err == nil {
			err = res.Error
		}
		return err
	})
}

// Read calls each with the entries from the offset on, up to the end that the journal has when it is called, and returns the offset
// behind them. An offset that the journal does not have any more, or not yet, is an error: ErrForgotten.
func (j *Journal) Read(ctx context.Context, from int64, each func(key string, value []byte) error) (next int64, err error) {
	next = from
	err = j.with(ctx, "read the journal", func(s *session) error {
		start, end, err := s.bounds(ctx)
		if err != nil {
			return err
		}
		if from < start && from > 0 || from > end {
			return fmt.Errorf("%s has entries %d to %d, and was read up to %d: %w", j.cfg.Topic, start, end, from, ErrForgotten)
		}
		for next = max(next, start); next < end; {
			if next, err = s.entries(ctx, next, end, each); err != nil {
				return err
			}
		}
		return nil
	})
	return next, err
}

// ErrForgotten says that entries of a journal are gone: it was made anew, or moved without them.
var ErrForgotten = errors.New("the journal has lost entries")

// entries calls each with what one fetch brings.
func (s *session) entries(ctx context.Context, from, to int64, each func(key string, value []byte) error) (next int64, err error) {
	res, err := s.client.Fetch(ctx, &kafka.FetchRequest{Topic: s.cfg.Topic, Offset: from, MinBytes: 1, MaxBytes: int64(s.cfg.maxBytes()), MaxWait: time.Second})
	if err == nil {
		err = res.Error
	}
	if err != nil {
		return from, fmt.Errorf("fetch from offset %d: %w", from, err)
	}
	for next = from; ; {
		record, err := res.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return next, nil
		}
		if err != nil {
			return next, fmt.Errorf("entry behind %d: %w", next, err)
		}
		key, err := kafka.ReadAll(record.Key)
		value, err2 := kafka.ReadAll(record.Value)
		if err := errors.Join(err, err2); err != nil {
			return next, fmt.Errorf("entry %d: %w", record.Offset, err)
		}
		if record.Offset < next || record.Offset >= to {
			continue // a batch comes whole
		}
		if err := each(string(key), value); err != nil {
			return next, &told{err}
		}
		next = record.Offset + 1
	}
}

// told is an error of who reads: no new connection mends it.
type told struct{ error }

func (t *told) Unwrap() error { return t.error }

// with does something over the session in use, and over new ones until it succeeds, can't be mended so, or ctx ends.
func (j *Journal) with(ctx context.Context, what string, do func(*session) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.s != nil {
		err := do(j.s)
		if err == nil {
			return nil
		}
		j.s.close()
		j.s = nil
		if final(err) {
			return err
		}
	}
	var ended error
	s, err := withSession(ctx, j.cfg, what, func(s *session) error {
		err := do(s)
		if err != nil && final(err) {
			ended = err
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case ended != nil:
		s.close()
		return ended
	}
	j.s = s
	return nil
}

func final(err error) bool {
	var t *told
	return errors.As(err, &t) || errors.Is(err, ErrForgotten)
}

// anybodys takes whatever stands in a journal's topic: its entries are told by what they say.
func anybodys(*session, context.Context) error { return nil }
