package apply

import (
	"context"
	"fmt"
	"time"
)

// write gives each batch its transaction. ctx ends the waiting for the next batch, finishing the
// work on the one in hand.
func (r *runner[Tx]) write(ctx, finishing context.Context, reader Reader, in <-chan piece[Tx]) error {
	for {
		select {
		case first := <-in:
			if err := r.batch(ctx, finishing, reader, first, in); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// batch is the order that everything hangs on: place, effect, commit.
//
// The place moves first: an applier that was overtaken waits at the row, finds it changed, and
// has no effect. The effect comes in the same transaction, so there is no moment at which one
// holds without the other. If COMMIT fails it may have happened or not: the place, read again,
// tells, and nothing else is believed.
func (r *runner[Tx]) batch(ctx, finishing context.Context, reader Reader, p piece[Tx], in <-chan piece[Tx]) error {
	tx, err := r.target.Begin(finishing)
	if err != nil {
		return err
	}
	done := Progress{}
	for {
		if err := r.target.Move(finishing, tx, p.from, p.to); err != nil {
			return err
		}
		if err := p.part.Apply(finishing, tx, p.last); err != nil {
			return fmt.Errorf("apply records behind %d/%d up to %d/%d: %w", p.from.Gen, p.from.Seq, p.to.Gen, p.to.Seq, err)
		}
		done.Records += p.records
		done.Transactions += p.transactions
		if p.last {
			break
		}
		if p, err = next(ctx, in); err != nil {
			return err
		}
	}
	if err := r.target.Commit(finishing, tx); err != nil {
		return err
	}
	done.Stand, done.Committed, done.Behind = p.to, time.Now(), reader.Behind()
	r.committed(done)
	return nil
}

// next waits for the next piece of a source transaction that is too large for one.
func next[Tx any](ctx context.Context, in <-chan piece[Tx]) (p piece[Tx], err error) {
	select {
	case p = <-in:
		return p, nil
	case <-ctx.Done():
		return p, ctx.Err()
	}
}

func (r *runner[Tx]) committed(done Progress) {
	r.again = 0
	if r.paused {
		r.o.Log.Info().Msg("resumed")
		r.paused = false
	}
	r.wait.Reset()
	if r.o.OnCommit != nil {
		r.o.OnCommit(done)
	}
}
