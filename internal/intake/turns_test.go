package intake

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// turns are two connections that take batches by turns, as apply does in a backlog: what can be done of a batch early
// is done when the one before is derived and not committed.
type turns struct {
	conns [2]*pgx.Conn
	next  int
	at    pgx.Tx // of the batch at work
	alone bool   // it is
	early int    // orders that were taken as they had been drafted early

	between func() // called when the batch before is committed; nil: nothing
}

// takeTurns lets the ERP's database be written so, however few the rows of a batch.
func (e *testERP) takeTurns() *turns {
	e.turns = &turns{}
	return e.turns
}

// turn does the work on the next batch. The last one is committed.
func (e *testERP) turn(part apply.Early[pgx.Tx], work func(pgx.Tx) error, last bool) error {
	ctx, t := e.t.Context(), e.turns
	if t.conns[0] != e.conn {
		other, err := postgres.Connect(ctx, e.url, "test")
		if err != nil {
			return err
		}
		e.t.Cleanup(func() { _ = other.Close(context.Background()) })
		*t = turns{conns: [2]*pgx.Conn{e.conn, other}, early: t.early, between: t.between}
	}
	tx, err := t.conns[t.next].Begin(ctx)
	if err != nil {
		return err
	}
	if t.at != nil {
		err = t.meanwhile(ctx, part, tx)
	}
	if err == nil {
		err = work(tx)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback(ctx))
	}
	t.at, t.alone, t.next = tx, part.Alone(), 1-t.next
	if last {
		return t.commit(ctx)
	}
	return nil
}

// meanwhile does what can be done of a part before the batch at work is committed; it may wait for that one's locks.
func (t *turns) meanwhile(ctx context.Context, part apply.Early[pgx.Tx], tx pgx.Tx) error {
	done := make(chan error, 1)
	go func() {
		if t.alone && part.Alone() {
			done <- part.Early(ctx, tx)
		}
		close(done)
	}()
	var err error
	select {
	case err = <-done:
	case <-time.After(200 * time.Millisecond):
	}
	if committed := t.commit(ctx); committed != nil {
		return committed
	}
	if err = errors.Join(err, <-done); err == nil && t.between != nil {
		t.between()
	}
	return err
}

func (t *turns) commit(ctx context.Context) error {
	at := t.at
	t.at = nil
	return at.Commit(ctx)
}
