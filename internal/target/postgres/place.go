package postgres

import (
	"context"
	_ "embed" // the statements stand in .sql files
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
)

var (
	//go:embed place_take.sql
	takePlace string
	//go:embed place_read.sql
	readPlace string
	//go:embed place_move.sql
	movePlace string
)

// place is the row of one applier and source, as this process owns it.
type place struct {
	applier, source, owner string
	epoch                  int64 // 0: not taken yet
}

// ReadPlace returns where an applier stands and leaves the place its owner's. It waits for his
// transaction at work.
func ReadPlace(ctx context.Context, tx pgx.Tx, applier, source string) (change.Stand, error) {
	p := place{applier: applier, source: source}
	stand, _, _, _, err := p.scan(tx.QueryRow(ctx, readPlace, applier, source)) // a paused one stands somewhere too
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return change.Stand{}, fmt.Errorf("%s: there is none: it has never run", p.named("read"))
	case err != nil:
		return change.Stand{}, explain(p.named("read"), err)
	}
	return stand, nil
}

// take makes the row if there is none, raises its owner epoch, and returns where it stands. It
// waits for a transaction of the former owner that is not finished. It is ErrPaused if a person
// has paused the applier.
func (p *place) take(ctx context.Context, tx pgx.Tx) (change.Stand, error) {
	stand, epoch, _, paused, err := p.scan(tx.QueryRow(ctx, takePlace, p.applier, p.source, p.owner))
	if err != nil {
		return change.Stand{}, explain(p.named("take"), err)
	}
	p.epoch = epoch
	return stand, paused
}

// read returns where the row stands, if it is still this process's own. It waits for a
// transaction of one's own that an unknown COMMIT left running.
func (p *place) read(ctx context.Context, tx pgx.Tx) (change.Stand, error) {
	stand, epoch, owner, paused, err := p.scan(tx.QueryRow(ctx, readPlace, p.applier, p.source))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return change.Stand{}, fmt.Errorf("%s: the row is gone: %w", p.named("read"), ErrMoved)
	case err != nil:
		return change.Stand{}, explain(p.named("read"), err)
	case epoch != p.epoch:
		return change.Stand{}, p.fenced(epoch, owner)
	}
	return stand, paused
}

// scan reads a row; paused is ErrPaused if it says so.
func (p *place) scan(row pgx.Row) (stand change.Stand, epoch int64, owner string, paused, err error) {
	var sum, by string
	var since *time.Time
	if err = row.Scan(&stand.Gen, &stand.Seq, &sum, &epoch, &owner, &stand.Applied, &stand.Offset, &stand.Time, &since, &by); err != nil {
		return
	}
	if since != nil {
		paused = fmt.Errorf("%w by %s since %s", ErrPaused, by, since.Format(time.RFC3339))
	}
	stand.Sum, err = change.ParseSum(sum)
	return
}

// move sets the row from one place to the next. Who finds the row changed has no effect.
func (p *place) move(ctx context.Context, tx pgx.Tx, from, to change.Stand) error {
	tag, err := tx.Exec(ctx, movePlace, p.applier, p.source, p.epoch, from.Gen, from.Seq, change.FormatSum(from.Sum), from.Applied,
		to.Gen, to.Seq, change.FormatSum(to.Sum), to.Applied, to.Offset, to.Time)
	if err != nil {
		return explain(p.named("move"), err)
	}
	if tag.RowsAffected() == 1 {
		return nil
	}
	now, err := p.read(ctx, tx)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: at %d/%d instead of %d/%d: %w", p.named("move"), now.Gen, now.Seq, from.Gen, from.Seq, ErrMoved)
}

func (p *place) fenced(epoch int64, owner string) error {
	return fmt.Errorf("%s: owner epoch %d of %s is above %d: %w", p.named("keep"), epoch, owner, p.epoch, ErrFenced)
}

func (p *place) named(verb string) string {
	return fmt.Sprintf("%s place of applier %s in log %s", verb, p.applier, p.source)
}
