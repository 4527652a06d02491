package shop

import (
	"context"
	"database/sql"
	_ "embed" // the statements stand in saboteur.sql
	"fmt"
	"math/rand/v2"
	"time"
)

//go:embed saboteur.sql
var saboteurSQL string

// Saboteur edits the shop's stock by hand: he looks at a row in a database tool and types another
// number. Some of his edits never enter the binlog.
type Saboteur struct {
	shop   *Shop
	random *rand.Rand
	rows   []stockRow
}

type stockRow struct {
	kind string // product or option: the statement's name, and the row's
	id   int
}

// HandEdit is what a saboteur did.
type HandEdit struct {
	Row    string // of the shop's stock: product:31, option:17
	By     int64  // pieces: what he typed less what stood there when he typed it
	Hidden bool   // written with sql_log_bin = 0
	At     time.Time
}

// Saboteur is one who picks rows by this seed among all rows that keep stock.
func (s *Shop) Saboteur(seed uint64) *Saboteur {
	x := &Saboteur{shop: s, random: rand.New(rand.NewPCG(seed, 3))}
	for _, a := range s.Articles() {
		switch {
		case a.Value != 0:
			x.rows = append(x.rows, stockRow{"option", a.Value})
		case a.Stocked:
			x.rows = append(x.rows, stockRow{"product", a.Product})
		}
	}
	return x
}

// Step edits a row at random: up to five pieces more or less, every third time hidden from the binlog.
func (x *Saboteur) Step(ctx context.Context) (HandEdit, error) {
	by := 1 + x.random.Int64N(5)
	if x.random.IntN(2) == 0 {
		by = -by
	}
	row := x.rows[x.random.IntN(len(x.rows))]
	return x.edit(ctx, row, by, x.random.IntN(3) == 0)
}

// Edit changes one row of the shop's stock by so many pieces.
func (x *Saboteur) Edit(ctx context.Context, row string, by int64, hidden bool) (HandEdit, error) {
	for _, r := range x.rows {
		if r.String() == row {
			return x.edit(ctx, r, by, hidden)
		}
	}
	return HandEdit{}, fmt.Errorf("the shop keeps no stock in row %q", row)
}

func (r stockRow) String() string { return fmt.Sprintf("%s:%d", r.kind, r.id) }

// edit needs a connection of its own, for sql_log_bin belongs to a session and can't be set in a
// transaction. The row is locked from the look to the write, so By is exact.
func (x *Saboteur) edit(ctx context.Context, row stockRow, by int64, hidden bool) (e HandEdit, err error) {
	conn, err := x.shop.db.Conn(ctx)
	if err != nil {
		return e, fmt.Errorf("edit stock by hand: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if hidden {
		if _, err := conn.ExecContext(ctx, "SET SESSION sql_log_bin = 0"); err != nil {
			return e, fmt.Errorf("edit stock past the binlog: %w", err)
		}
		defer func() {
			if _, back := conn.ExecContext(context.WithoutCancel(ctx), "SET SESSION sql_log_bin = 1"); back != nil && err == nil {
				err = fmt.Errorf("write the binlog again: %w", back)
			}
		}()
	}
	if err := x.write(ctx, conn, row, by); err != nil {
		return e, fmt.Errorf("edit stock of %s by hand: %w", row, err)
	}
	return HandEdit{Row: row.String(), By: by, Hidden: hidden, At: time.Now()}, nil
}

func (x *Saboteur) write(ctx context.Context, conn *sql.Conn, row stockRow, by int64) error {
	statements := parseStatements(withPrefix(saboteurSQL, x.shop.options.Prefix))
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var was int64
	if err := tx.QueryRowContext(ctx, statements[row.kind], row.id).Scan(&was); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, statements[row.kind+" by hand"], was+by, row.id); err != nil {
		return err
	}
	return tx.Commit()
}
