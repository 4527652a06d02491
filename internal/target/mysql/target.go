package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/spola-cdc/spola/internal/change"
)

// Target is the shop's database as one applier uses it: one connection, one place row, one
// transaction at a time. It is used by one goroutine.
type Target struct {
	url     string
	silence time.Duration
	place   place
	conn    *sql.Conn
	end     func()
	used    time.Time // when the connection was used last
}

// NewTarget names the place row: applier and source. owner (host and process) is for people.
func NewTarget(url, applier, source, owner string) *Target {
	return &Target{url: url, place: place{applier: applier, source: source, owner: owner}}
}

// Open connects, anew if there was a connection, and returns the place that holds in the
// database. The first time it takes the place over from any other applier; later it returns
// ErrFenced if another has taken it since: fencing back would let the two take turns for ever. While
// a person has paused the applier it is ErrPaused.
func (t *Target) Open(ctx context.Context, start func(*Tx) error) (stand change.Stand, err error) {
	if err := t.connect(ctx); err != nil {
		return stand, err
	}
	claim := t.place
	tx, err := t.begin(ctx)
	if err != nil {
		return stand, err
	}
	if claim.epoch == 0 {
		stand, err = claim.take(ctx, tx.tx)
	} else {
		stand, err = claim.read(ctx, tx.tx)
	}
	if err == nil {
		err = start(tx)
	}
	if err != nil {
		_ = tx.tx.Rollback() // the connection is closed before it is used again
		return stand, err
	}
	if err := t.Commit(ctx, tx); err != nil {
		return stand, err
	}
	// Only now: after an unknown COMMIT of the first take it is taken again.
	t.place = claim
	return stand, nil
}

func (t *Target) connect(ctx context.Context) (err error) {
	t.Close()
	t.conn, t.end, err = Connect(ctx, t.url, t.silence)
	t.used = time.Now()
	return err
}

// Begin begins the transaction of a batch. A connection that has rested is replaced first, before
// the server ends it; the place needs no look, since the transaction's first statement compares it.
func (t *Target) Begin(ctx context.Context) (*Tx, error) {
	if time.Since(t.used) > rest {
		if err := t.connect(ctx); err != nil {
			return nil, err
		}
	}
	return t.begin(ctx)
}

func (t *Target) begin(ctx context.Context) (*Tx, error) {
	tx, err := t.conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, explain("begin", err)
	}
	return &Tx{t: t, tx: tx, was: t.place.row}, nil
}

// Move sets the place inside tx. It returns ErrFenced, ErrPaused or ErrMoved if the place is not the
// one this applier left, or may not leave; tx is then to be rolled back.
func (t *Target) Move(ctx context.Context, tx *Tx, from, to change.Stand) error {
	if !tx.moved {
		tx.moved, tx.from = true, from
	}
	tx.to = to
	return t.place.move(ctx, tx.tx, from, to)
}

// Commit commits. After an error it is unknown whether it was: Open tells.
func (t *Target) Commit(ctx context.Context, tx *Tx) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := tx.tx.Commit(); err != nil {
		return explain("commit", err)
	}
	t.used = time.Now()
	return nil
}

// Retryable tells whether the error clears without a person.
func (t *Target) Retryable(err error) bool { return Retryable(err) }

// Fenced tells whether another applier has taken over.
func (t *Target) Fenced(err error) bool { return errors.Is(err, ErrFenced) }

// Paused tells whether a person has paused the applier.
func (t *Target) Paused(err error) bool { return errors.Is(err, ErrPaused) }

// Close ends the connection, and with it a transaction that was not committed.
func (t *Target) Close() {
	if t.conn != nil {
		t.end()
		t.conn = nil
	}
}

// String names the target for people.
func (t *Target) String() string {
	return fmt.Sprintf("applier %s of log %s", t.place.applier, t.place.source)
}

// Tx is the transaction of a batch in the shop.
type Tx struct {
	t        *Target
	tx       *sql.Tx
	was      row // the place before it
	moved    bool
	from, to change.Stand // of the batch so far
}

// Exec runs a statement and tells how many rows it changed.
func (x *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := x.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, explain("write into the shop", err)
	}
	return result.RowsAffected()
}

// Query reads rows, each by a call of each with a function that scans it.
func (x *Tx) Query(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	rows, err := x.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return explain("read in the shop", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return explain("read in the shop", err)
		}
	}
	if err := rows.Err(); err != nil {
		return explain("read in the shop", err)
	}
	return nil
}

// Ahead has a part of a batch's work done and committed in a transaction of its own, before the
// batch's, whose place stays where it was. It is for an effect that would lock too many rows of the
// shop for too long at once, and may be repeated: after a crash the whole batch is read again. Work
// without a batch is done so too.
// Nothing may have been written in x before.
func (x *Tx) Ahead(ctx context.Context, do func(*Tx) error) error {
	t := x.t
	if err := x.tx.Rollback(); err != nil {
		return explain("roll back", err)
	}
	t.place.row = x.was
	ahead, err := t.begin(ctx)
	if err != nil {
		return err
	}
	if err := t.place.touch(ctx, ahead.tx); err != nil {
		return err
	}
	if err := do(ahead); err != nil {
		return err
	}
	if err := t.Commit(ctx, ahead); err != nil {
		return err
	}
	again, err := t.begin(ctx)
	if err != nil {
		return err
	}
	x.tx, x.was = again.tx, again.was
	if !x.moved {
		return nil
	}
	return t.place.move(ctx, x.tx, x.from, x.to)
}
