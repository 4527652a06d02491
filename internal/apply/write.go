package apply

import (
	"context"
	"fmt"
	"time"
)

// write gives each batch its transaction. ctx ends the waiting for the next batch, finishing the
// work on the one in hand.
func (r *runner[Tx]) write(ctx, finishing context.Context, reader Reader, in, ended <-chan piece[Tx]) error {
	look := time.NewTicker(idleEvery)
	defer look.Stop()
	idler, _ := r.effect.(Idler[Tx])
	eager, _ := r.effect.(Eager)
	open := make(chan struct{})
	close(open)
	for {
		var portion <-chan struct{}
		if eager != nil && eager.More() {
			select {
			case first := <-in:
				if err := r.chain(ctx, finishing, reader, first, in, ended); err != nil {
					return err
				}
			default:
				portion = open
			}
		}
		select {
		case <-portion:
			if err := r.idle(finishing, idler); err != nil {
				return err
			}
		case first := <-in:
			if err := r.chain(ctx, finishing, reader, first, in, ended); err != nil {
				return err
			}
		case now := <-look.C:
			if idler == nil || !idler.Due(now) {
				continue
			}
			if err := r.idle(finishing, idler); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begun is a batch of which something may have been done early; then it has its transaction.
type begun[Tx any] struct {
	piece[Tx]
	tx  Tx
	has bool // tx is there
}

// chain writes a batch, and those that have ended by the time each is at work. Of each its early part is done
// meanwhile, so that in a backlog the database copies rows on one connection while it derives on the other.
func (r *runner[Tx]) chain(ctx, finishing context.Context, reader Reader, first piece[Tx], in, ended <-chan piece[Tx]) error {
	at := &begun[Tx]{piece: first}
	for at != nil {
		early, cancel := context.WithCancel(finishing)
		done := make(chan error, 1)
		go func() {
			err := r.batch(ctx, finishing, reader, at, in)
			if err != nil {
				cancel() // the early part may wait for a lock of this batch
			}
			done <- err
		}()
		if !at.alone() {
			ended = nil
		}
		next, err := r.meanwhile(early, done, ended)
		cancel()
		if err != nil {
			return err
		}
		at = next
	}
	return nil
}

// meanwhile waits until the batch at work is done, and begins the next one if that ends before.
func (r *runner[Tx]) meanwhile(ctx context.Context, done <-chan error, ended <-chan piece[Tx]) (*begun[Tx], error) {
	select {
	case err := <-done:
		return nil, err
	case p := <-ended:
		next := &begun[Tx]{piece: p}
		failed := r.early(ctx, next)
		if err := <-done; err != nil {
			return nil, err // and what is begun falls with the connection
		}
		return next, failed
	}
}

func (p *piece[Tx]) alone() bool {
	part, ok := p.part.(Early[Tx])
	return ok && p.last && part.Alone()
}

func (r *runner[Tx]) early(ctx context.Context, b *begun[Tx]) (err error) {
	if !b.alone() {
		return nil
	}
	if b.tx, err = r.target.Begin(ctx); err != nil {
		return err
	}
	b.has = true
	return b.part.(Early[Tx]).Early(ctx, b.tx)
}

// idleEvery is how often an effect is asked whether it has work without records.
const idleEvery = time.Second

func (r *runner[Tx]) idle(ctx context.Context, idler Idler[Tx]) error {
	tx, err := r.target.Begin(ctx)
	if err != nil {
		return err
	}
	if err := idler.Idle(ctx, tx); err != nil {
		return fmt.Errorf("try again what could not be written: %w", err)
	}
	return r.target.Commit(ctx, tx)
}

// batch is the order that everything hangs on: place, effect, commit.
//
// The place moves first: an applier that was overtaken waits at the row, finds it changed, and
// has no effect: what was done early in this transaction falls with it. The effect comes in the same transaction, so there is no moment at which one
// holds without the other. If COMMIT fails it may have happened or not: the place, read again,
// tells, and nothing else is believed.
func (r *runner[Tx]) batch(ctx, finishing context.Context, reader Reader, b *begun[Tx], in <-chan piece[Tx]) (err error) {
	p, tx := b.piece, b.tx
	if !b.has {
		if tx, err = r.target.Begin(finishing); err != nil {
			return err
		}
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
