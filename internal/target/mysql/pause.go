package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/spola-cdc/spola/internal/change"
)

// Standing is where an applier of the shop stands, for people.
type Standing struct {
	change.Stand
	Moved    time.Time  // when it moved last
	Paused   *time.Time // since when a person has paused it; nil: it is not
	PausedBy string
}

// ErrNeverRan says that an applier has no place in the shop yet.
var ErrNeverRan = errors.New("it has never run")

// Look reads where an applier stands and leaves a running one alone.
func Look(ctx context.Context, url, applier, source string) (s Standing, err error) {
	err = withPlace(ctx, url, applier, source, (*place).glance, func(_ *sql.Tx, p *place) error {
		s = p.row.standing()
		return nil
	})
	return s, err
}

// Pause keeps an applier from writing anything until Resume, whether it runs or is started. The
// batch in hand is finished first. It returns since when; pausing again changes nothing.
func Pause(ctx context.Context, url, applier, source, who string) (s Standing, err error) {
	err = withPlace(ctx, url, applier, source, (*place).scan, func(tx *sql.Tx, p *place) error {
		if p.row.with.Paused == nil {
			with, now := p.row.with, time.Now().UTC().Truncate(time.Second)
			with.Paused, with.PausedBy = &now, who
			if err := p.set(ctx, tx, p.row.stand, with); err != nil {
				return err
			}
		}
		s = p.row.standing()
		return nil
	})
	return s, err
}

// Resume lets a paused applier go on, within seconds if it runs. It tells whether it was paused.
func Resume(ctx context.Context, url, applier, source string) (was bool, err error) {
	err = withPlace(ctx, url, applier, source, (*place).scan, func(tx *sql.Tx, p *place) error {
		if was = p.row.with.Paused != nil; !was {
			return nil
		}
		with := p.row.with
		with.Paused, with.PausedBy = nil, ""
		return p.set(ctx, tx, p.row.stand, with)
	})
	return was, err
}

func (r *row) standing() Standing {
	return Standing{Stand: r.stand, Moved: r.with.Moved, Paused: r.with.Paused, PausedBy: r.with.PausedBy}
}

// withPlace reads a place, locked or at a glance, calls do with it, and commits.
func withPlace(ctx context.Context, url, applier, source string, read func(*place, context.Context, *sql.Tx) (row, error), do func(*sql.Tx, *place) error) error {
	conn, end, err := Connect(ctx, url, 0)
	if err != nil {
		return err
	}
	defer end()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return explain("begin", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing is left to roll back after a commit
	p := &place{applier: applier, source: source}
	p.row, err = read(p, ctx, tx)
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, errNoMarker) {
		return fmt.Errorf("%s: %w", p.named("read"), ErrNeverRan)
	}
	if err != nil {
		return explain(p.named("read"), err)
	}
	if err := do(tx, p); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return explain("commit", err)
	}
	return nil
}
