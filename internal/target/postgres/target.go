package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
)

// Target is the ERP's database as one applier uses it: one place row, one transaction at a time that has moved
// it. A second connection is for the transaction that begins before the one at work has been committed.
type Target struct {
	url   string
	place place

	mu    sync.Mutex
	conns [2]*pgx.Conn // the first is open as long as the target is
	busy  [2]bool      // has a transaction
}

// NewTarget names the place row: applier and source. owner (host and process) is for people.
func NewTarget(url, applier, source, owner string) *Target {
	return &Target{url: url, place: place{applier: applier, source: source, owner: owner}}
}

// Open connects, anew if there was a connection, and returns the place that holds in the
// database. The first time it takes the place over from any other applier; later it returns
// ErrFenced if another has taken it since: fencing back would let the two take turns for ever. While
// a person has paused the applier it is ErrPaused.
func (t *Target) Open(ctx context.Context, start func(pgx.Tx) error) (change.Stand, error) {
	t.Close()
	conn, err := t.connect(ctx)
	if err != nil {
		return change.Stand{}, err
	}
	t.conns[0] = conn
	var stand change.Stand
	claim := t.place
	err = InTransaction(ctx, conn, func(tx pgx.Tx) (err error) {
		if claim.epoch == 0 {
			stand, err = claim.take(ctx, tx)
		} else {
			stand, err = claim.read(ctx, tx)
		}
		if err != nil {
			return err
		}
		return start(tx)
	})
	if err != nil {
		return change.Stand{}, err
	}
	// Only now: after an unknown COMMIT of the first take it is taken again.
	t.place = claim
	return stand, nil
}

func (t *Target) connect(ctx context.Context) (*pgx.Conn, error) {
	return Connect(ctx, t.url, "spola "+t.place.applier+" "+t.place.source)
}

// Begin begins the transaction of a batch; while another is at work, on the second connection.
func (t *Target) Begin(ctx context.Context) (pgx.Tx, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := 0
	if t.busy[0] {
		at = 1
	}
	if t.conns[at] == nil {
		conn, err := t.connect(ctx)
		if err != nil {
			return nil, err
		}
		t.conns[at] = conn
	}
	tx, err := t.conns[at].BeginTx(ctx, echo)
	if err != nil {
		return nil, explain("begin", err)
	}
	t.busy[at] = true
	return tx, nil
}

// Move sets the place inside tx. It returns ErrFenced, ErrPaused or ErrMoved if the place is not the
// one this applier left, or may not leave; tx is then to be rolled back.
func (t *Target) Move(ctx context.Context, tx pgx.Tx, from, to change.Stand) error {
	return t.place.move(ctx, tx, from, to)
}

// Commit commits. After an error it is unknown whether it was: Open tells.
func (t *Target) Commit(ctx context.Context, tx pgx.Tx) error {
	if err := tx.Commit(ctx); err != nil {
		return explain("commit", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, conn := range t.conns {
		if conn == tx.Conn() {
			t.busy[i] = false
		}
	}
	return nil
}

// Retryable tells whether the error clears without a person. An error on a connection that is
// lost by now is the loss's, whatever it says.
func (t *Target) Retryable(err error) bool {
	lost := false
	for _, conn := range t.conns {
		lost = lost || conn != nil && conn.IsClosed()
	}
	return Retryable(err) || lost && !errors.Is(err, ErrStopped) && !errors.Is(err, ErrFenced)
}

// Fenced tells whether another applier has taken over.
func (t *Target) Fenced(err error) bool { return errors.Is(err, ErrFenced) }

// Paused tells whether a person has paused the applier.
func (t *Target) Paused(err error) bool { return errors.Is(err, ErrPaused) }

// Close ends the connections, and with them transactions that were not committed.
func (t *Target) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for i, conn := range t.conns {
		if conn != nil {
			// Nothing depends on how it ends: what was not committed is rolled back either way.
			_ = conn.Close(ctx)
		}
		t.conns[i], t.busy[i] = nil, false
	}
}

// String names the target for people.
func (t *Target) String() string {
	return fmt.Sprintf("applier %s of log %s", t.place.applier, t.place.source)
}
