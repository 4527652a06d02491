package mysql

import (
	"context"
	"database/sql"
	_ "embed" // the statements stand in .sql files
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/change"
)

var (
	//go:embed place_read.sql
	readPlace string
	//go:embed place_make.sql
	makePlace string
	//go:embed place_move.sql
	movePlace string
)

// place is the row of one applier and log, as this process owns it.
type place struct {
	applier, source, owner string
	epoch                  int64 // 0: not taken yet

	row row // as this process left it
}

// row is a place row of the marker: generation, number and applied of the stand are columns of
// their own, the rest is in the note.
type row struct {
	stand change.Stand
	note  string
	with  note
}

// note is what of a place has no column in the marker.
type note struct {
	Sum      string     `json:"sum"`
	Epoch    int64      `json:"epoch"` // raised by each applier that starts: fences the one before
	Owner    string     `json:"owner"` // host and process, for people
	Offset   int64      `json:"offset"`
	Time     int64      `json:"time"`
	Turn     int64      `json:"turn"` // transactions that touched the place without moving it
	Moved    time.Time  `json:"moved"`
	Paused   *time.Time `json:"paused,omitempty"`
	PausedBy string     `json:"paused_by,omitempty"`
}

// RowName is the name of a place's row in the marker.
func RowName(applier, source string) string { return "place." + applier + "." + source }

func (p *place) name() string { return RowName(p.applier, p.source) }

// take makes the row if there is none, raises its owner epoch, and returns where it stands. It
// waits for a transaction of the former owner that is not finished. It is ErrPaused if a person
// has paused the applier.
func (p *place) take(ctx context.Context, tx *sql.Tx) (change.Stand, error) {
	found, err := p.scan(ctx, tx)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = tx.ExecContext(ctx, makePlace, p.name(), encode(note{Sum: change.FormatSum(0), Offset: -1}))
		if is(err, 1062) {
			err = errTouched // another applier begins at the same moment
		}
		if err == nil {
			found, err = p.scan(ctx, tx)
		}
	}
	if err != nil {
		return change.Stand{}, explain(p.named("take"), err)
	}
	p.row = found
	with := found.with
	with.Epoch, with.Owner = with.Epoch+1, p.owner
	p.epoch = with.Epoch
	if err := p.set(ctx, tx, found.stand, with); err != nil {
		return change.Stand{}, err
	}
	return found.stand, found.paused()
}

// read returns where the row stands, if it is still this process's own. It waits for a
// transaction of one's own that an unknown COMMIT left running.
func (p *place) read(ctx context.Context, tx *sql.Tx) (change.Stand, error) {
	found, err := p.scan(ctx, tx)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return change.Stand{}, fmt.Errorf("%s: the row is gone: %w", p.named("read"), ErrMoved)
	case err != nil:
		return change.Stand{}, explain(p.named("read"), err)
	case found.with.Epoch != p.epoch:
		return change.Stand{}, fmt.Errorf("%s: owner epoch %d of %s is above %d: %w", p.named("keep"), found.with.Epoch, found.with.Owner, p.epoch, ErrFenced)
	}
	p.row = found
	return found.stand, found.paused()
}

func (p *place) scan(ctx context.Context, tx *sql.Tx) (row, error) {
	return p.query(ctx, tx, readPlace)
}

// glance reads the row as it was committed last, and waits for nobody.
func (p *place) glance(ctx context.Context, tx *sql.Tx) (row, error) {
	return p.query(ctx, tx, strings.Replace(readPlace, " FOR UPDATE", "", 1))
}

func (p *place) query(ctx context.Context, tx *sql.Tx, query string) (r row, err error) {
	err = tx.QueryRowContext(ctx, query, p.name()).Scan(&r.stand.Gen, &r.stand.Seq, &r.stand.Applied, &r.note)
	if IsMissing(err) {
		return r, errNoMarker
	}
	if err != nil {
		return r, err
	}
	return r, r.decode()
}

func (r *row) decode() (err error) {
	if err = json.Unmarshal([]byte(r.note), &r.with); err != nil {
		return &StopError{What: "the note of a place in " + Marker + " can't be read", Mend: "restore the row, or delete it to begin anew behind a snapshot of the log", Err: err}
	}
	r.stand.Offset, r.stand.Time = r.with.Offset, r.with.Time
	r.stand.Sum, err = change.ParseSum(r.with.Sum)
	return err
}

// paused is ErrPaused if a person has paused the applier.
func (r *row) paused() error {
	if r.with.Paused == nil {
		return nil
	}
	return fmt.Errorf("%w by %s since %s", ErrPaused, r.with.PausedBy, r.with.Paused.Format(time.RFC3339))
}

// touch changes the row and leaves the place: for a transaction that is to be done before the
// place moves.
func (p *place) touch(ctx context.Context, tx *sql.Tx) error {
	with := p.row.with
	with.Turn++
	return p.set(ctx, tx, p.row.stand, with)
}

// move sets the row from one place to the next. Who finds the row changed has no effect.
func (p *place) move(ctx context.Context, tx *sql.Tx, from, to change.Stand) error {
	if now := p.row.stand; now.Place != from.Place || now.Applied != from.Applied {
		return fmt.Errorf("%s: at %d/%d instead of %d/%d: %w", p.named("move"), now.Gen, now.Seq, from.Gen, from.Seq, ErrMoved)
	}
	with := p.row.with
	with.Sum, with.Offset, with.Time, with.Moved = change.FormatSum(to.Sum), to.Offset, to.Time, time.Now().UTC()
	return p.set(ctx, tx, to, with)
}

// set is the compare-and-set against the row as this process left it.
func (p *place) set(ctx context.Context, tx *sql.Tx, to change.Stand, with note) error {
	was, text := p.row, encode(with)
	result, err := tx.ExecContext(ctx, movePlace, to.Gen, to.Seq, to.Applied, text,
		p.name(), was.stand.Gen, was.stand.Seq, was.stand.Applied, was.note)
	if err != nil {
		return explain(p.named("move"), err)
	}
	if changed, err := result.RowsAffected(); err != nil || changed != 1 {
		return errors.Join(err, p.explainChange(ctx, tx))
	}
	p.row = row{stand: to, note: text, with: with}
	return nil
}

// explainChange says why the row is not as this process left it.
func (p *place) explainChange(ctx context.Context, tx *sql.Tx) error {
	was := p.row.stand
	now, err := p.read(ctx, tx)
	if err != nil {
		return err
	}
	if now.Place == was.Place && now.Applied == was.Applied {
		return fmt.Errorf("%s: %w", p.named("move"), errTouched)
	}
	return fmt.Errorf("%s: at %d/%d instead of %d/%d: %w", p.named("move"), now.Gen, now.Seq, was.Gen, was.Seq, ErrMoved)
}

func (p *place) named(verb string) string {
	return fmt.Sprintf("%s place of applier %s in log %s", verb, p.applier, p.source)
}

func encode(n note) string {
	text, err := json.Marshal(n)
	if err != nil {
		panic(err) // it holds nothing that can't be written
	}
	return string(text)
}
