package stream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/segmentio/kafka-go"

	"github.com/spola-cdc/spola/internal/change"
)

const (
	// pollWait is how long a broker holds a fetch when there is nothing. It answers at once
	// when something comes, so that the wait costs no latency.
	pollWait = 10 * time.Second

	// maxIdle is how many answers without a record are believed though the log goes on.
	maxIdle = 3

	// rangeTries is how often a broker must say that an offset is out of the log's range: one
	// that was elected just now may say so too early.
	rangeTries = 3
)

// Reader gives the records of a log in order, without a hole and without a repeat.
type Reader struct {
	cfg     Config
	cancel  context.CancelFunc
	done    chan struct{}
	batches chan []change.Record

	end  atomic.Int64 // high watermark
	read atomic.Int64 // offset behind the last record that Next gave

	err error // why the fetching ended; set before done is closed

	// The fetching goroutine's alone.
	session *session
	parser  *parser
	check   checker
	offset  int64 // to be fetched next
}

// OpenReader finds the position in the log and verifies that the record there is the one
// meant, by its number and its checksum. It waits for brokers that are away until the context
// ends.
func OpenReader(ctx context.Context, cfg Config, from Position) (*Reader, error) {
	var at found
	s, err := withSession(ctx, cfg, "find the place in", func(s *session) (err error) {
		at, err = s.find(ctx, from)
		return err
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Reader{
		cfg: cfg, cancel: cancel, done: make(chan struct{}),
		batches: make(chan []change.Record, 1),
		session: s, parser: newParser(cfg.Topic), offset: at.offset,
		check: checker{topic: cfg.Topic, place: from.Place, any: from.Oldest, trimmed: at.trimmed},
	}
	r.read.Store(at.offset)
	r.end.Store(at.offset)
	go r.run(ctx)
	return r, nil
}

// Next returns the next records, as many as have come, at least one; it waits for them. The
// records and their bytes are the caller's. Errors are the context's or a StopError; what
// the network does is retried within.
func (r *Reader) Next(ctx context.Context) ([]change.Record, error) {
	select {
	case records := <-r.batches:
		return r.given(records), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.done:
	}
	select {
	case records := <-r.batches: // what was fetched before the end
		return r.given(records), nil
	default:
		return nil, r.err
	}
}

func (r *Reader) given(records []change.Record) []change.Record {
	r.read.Store(records[len(records)-1].Offset + 1)
	return records
}

// Behind returns how many records and fences stood behind the last record given by Next,
// when the broker was last heard.
func (r *Reader) Behind() int64 { return max(0, r.end.Load()-r.read.Load()) }

// Close ends the Reader.
func (r *Reader) Close() error {
	r.cancel()
	<-r.done
	return nil
}

// errReaderClosed is what a closed Reader answers.
var errReaderClosed = errors.New("the log's reader is closed")

// run fetches one piece ahead of what Next has given.
func (r *Reader) run(ctx context.Context) {
	defer close(r.done)
	err := r.fetchAll(ctx)
	if ctx.Err() != nil {
		err = errReaderClosed
	}
	r.err = err
	if r.session != nil {
		r.session.close()
	}
}

func (r *Reader) fetchAll(ctx context.Context) error {
	pause := newBackOff(ctx)
	idle, outside := 0, 0
	for {
		got, err := r.fetchOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && got:
			idle, outside = 0, 0
			pause.Reset() // only now: a watchdog that reconnects in vain slows down
			continue
		case err == nil:
			// The watchdog: a broker that has more but sends nothing is asked over new connections.
			if idle++; idle < maxIdle || r.end.Load() <= r.offset {
				continue
			}
			err = fmt.Errorf("fetch %s from offset %d: no record in %d answers, though the log ends at %d", r.cfg.Topic, r.offset, idle, r.end.Load())
		case errors.Is(err, kafka.OffsetOutOfRange):
			if outside++; outside >= rangeTries {
				return r.outside(ctx, err)
			}
		case isFinal(err):
			return err
		}
		idle = 0
		if err := r.reconnect(ctx, err, pause); err != nil {
			return err
		}
	}
}

// fetchOnce fetches, checks and hands over what comes; got tells whether anything came.
func (r *Reader) fetchOnce(ctx context.Context) (got bool, err error) {
	res, err := r.session.fetch(ctx, r.offset, pollWait, r.cfg.maxBytes())
	if err != nil {
		return false, err
	}
	r.end.Store(res.end)
	records, next, bad := r.parser.parse(nil, res.records, r.offset)
	got, r.offset = next > r.offset, next
	records, err = r.check.keep(records)
	if err == nil {
		err = bad // what stands before a broken batch is given first
	}
	if len(records) > 0 {
		select {
		case r.batches <- records:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return got, err
}

// reconnect begins a new session after a pause.
func (r *Reader) reconnect(ctx context.Context, cause error, pause backoff.BackOff) error {
	r.session.close()
	p := pause.NextBackOff()
	r.cfg.Log.Warn().Err(cause).Str("topic", r.cfg.Topic).Int64("offset", r.offset).Dur("pause", p).Msg("read: connecting again")
	if err := wait(ctx, p); err != nil {
		return err
	}
	var err error
	r.session, err = newSession(r.cfg)
	return err
}

// outside says why the next record is not in the log's range.
func (r *Reader) outside(ctx context.Context, cause error) error {
	start, end, err := r.session.bounds(ctx)
	if err != nil {
		return fmt.Errorf("%w; %w", cause, err)
	}
	if r.offset < start {
		return stopAt(ErrTrimmed, r.cfg.Topic, start, r.check.place, fmt.Sprintf("it was read last; offsets %d to %d are deleted", r.offset, start-1))
	}
	return stopAt(ErrShortened, r.cfg.Topic, end, r.check.place, fmt.Sprintf("it was read last, at offset %d, but the log ends at %d", r.offset-1, end))
}
