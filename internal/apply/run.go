package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/change"
)

// ErrStopped is what every error is that no retry mends: the log can't be gone on with, or the
// effect met what it may not guess. The process exits with status 3.
var ErrStopped = errors.New("stopped")

// ErrFenced says that a newer applier has taken over. The process exits with status 4.
var ErrFenced = errors.New("fenced")

// ErrAgain may be returned by an effect that wants the batch rolled back and read again at once,
// because it has learnt how to take it (the mirror: that rows it took for new are there).
var ErrAgain = errors.New("batch to be taken again")

// Target is a database that keeps an applier's place with the effect. It is used by one
// goroutine at a time; but where parts are Early, Begin may be called while another transaction is at work.
type Target[Tx any] interface {
	// Open connects (again), makes sure that the place is this process's own, calls start in
	// the same transaction and returns where the place stands.
	Open(ctx context.Context, start func(Tx) error) (change.Stand, error)
	Begin(ctx context.Context) (Tx, error)
	// Move sets the place from one stand to the next, or fails if it is not at the first.
	Move(ctx context.Context, tx Tx, from, to change.Stand) error
	Commit(ctx context.Context, tx Tx) error
	// Close ends the connection; what is not committed is rolled back.
	Close()

	// Retryable tells of an error that it clears without a person: a lost connection, a conflict.
	Retryable(err error) bool
	// Fenced tells of an error that it says that a newer applier has taken over.
	Fenced(err error) bool
	// Paused tells of an error that it says that a person has paused this applier.
	Paused(err error) bool
}

// Reader gives the records of a log behind a place, in order and checked.
type Reader interface {
	// Next waits for records and returns at least one. They are the caller's.
	Next(ctx context.Context) ([]change.Record, error)
	// Behind tells how many records stood behind the last one returned.
	Behind() int64
	Close() error
}

// Open opens the log behind a stand. Its errors, and those of the Reader, are final: whatever
// clears by itself is retried within.
type Open func(ctx context.Context, from change.Stand) (Reader, error)

// Progress is told after each commit.
type Progress struct {
	change.Stand
	Committed    time.Time // when COMMIT returned
	Transactions int       // of the source, in this batch
	Records      int       // in this batch
	Behind       int64     // records in the log behind this place
}

// Options of a loop. The zero value will do.
type Options struct {
	Records int // a part of a batch ends when it holds so many records …
	Bytes   int // … or so many bytes; default 20,000 and 12 MiB

	// MaxWait is the longest pause between two tries; default 2 s.
	MaxWait time.Duration

	OnCommit func(Progress) // called on the writing goroutine: must not block
	Log      zerolog.Logger
}

// Run applies the log to the target until ctx ends, and then returns nil, with the batch in
// hand committed or rolled back. Other ends are errors: ErrFenced, or ErrStopped with its cause.
func Run[Tx any](ctx context.Context, target Target[Tx], effect Effect[Tx], open Open, o Options) error {
	if o.Records == 0 {
		o.Records = 20_000
	}
	if o.Bytes == 0 {
		o.Bytes = 12 << 20
	}
	if o.MaxWait == 0 {
		o.MaxWait = 2 * time.Second
	}
	r := &runner[Tx]{target: target, effect: effect, open: open, o: o, wait: patience(o.MaxWait)}
	defer target.Close()
	for {
		err := r.session(ctx)
		if ctx.Err() != nil && !errors.Is(err, ErrFenced) {
			return nil
		}
		if err = r.judge(err); err != nil {
			return err
		}
		if err := r.pause(ctx); err != nil {
			return nil
		}
	}
}

// patience is how retries are spaced: quick at first, because most conflicts are over at once;
// without an end, because a database that is down for the night comes back.
func patience(longest time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(min(20*time.Millisecond, longest)),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(longest),
		backoff.WithMaxElapsedTime(0))
}

type runner[Tx any] struct {
	target Target[Tx]
	effect Effect[Tx]
	open   Open
	o      Options
	wait   *backoff.ExponentialBackOff
	again  int // batches taken again since the last commit
	paused bool
}

// maxAgain bounds ErrAgain: an effect that has not learnt by then never will.
const maxAgain = 5

// judge returns nil if the loop may begin again, and the loop's final error otherwise.
func (r *runner[Tx]) judge(err error) error {
	if errors.Is(err, ErrAgain) && r.again < maxAgain {
		r.again++
		r.wait.Reset()
		return nil
	}
	if errors.Is(err, ErrStopped) || errors.Is(err, ErrFenced) {
		return err
	}
	switch {
	case r.target.Fenced(err):
		return fmt.Errorf("%w: %w", ErrFenced, err)
	case r.target.Paused(err):
		if !r.paused {
			r.o.Log.Info().Err(err).Msg("nothing is applied until it is resumed")
		}
		r.paused = true
		return nil
	case r.target.Retryable(err):
		r.o.Log.Warn().Err(err).Msg("batch rolled back, connecting again")
		return nil
	}
	return fmt.Errorf("%w: %w", ErrStopped, err)
}

func (r *runner[Tx]) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(r.wait.NextBackOff()):
		return nil
	}
}

// session reads the place, and applies the log from there until something fails.
func (r *runner[Tx]) session(ctx context.Context) error {
	stand, err := r.target.Open(ctx, func(tx Tx) error { return r.effect.Start(ctx, tx) })
	if err != nil {
		return err
	}
	reader, err := r.open(ctx, stand)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	defer func() { _ = reader.Close() }() // it has only read

	group, inner := errgroup.WithContext(ctx)
	fetched := make(chan []change.Record, 1)
	pieces, ended := make(chan piece[Tx]), make(chan piece[Tx])
	group.Go(func() error { return fetch(inner, reader, fetched) })
	group.Go(func() error {
		c := &cutter[Tx]{effect: r.effect, stand: stand, edge: stand, o: r.o, out: pieces, ended: ended}
		return c.run(inner, fetched)
	})
	group.Go(func() error {
		// What is begun is finished: a stop in the middle of a batch would only repeat it.
		finishing, cancel := outlive(inner, 5*time.Second)
		defer cancel()
		return r.write(inner, finishing, reader, pieces, ended)
	})
	return group.Wait()
}

// outlive returns a context that ends some time after ctx does.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() { stop(); cancel() }
}

func fetch(ctx context.Context, reader Reader, out chan<- []change.Record) error {
	for {
		records, err := reader.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: %w", ErrStopped, err)
		}
		select {
		case out <- records:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
