package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrRestored says that the ERP's database is older than what others have seen of it: it was restored from a backup, or has
// failed over to a server that lacks the last commits.
var ErrRestored = errors.New("the ERP's database was restored")

// SeenWithin is how long an entry is waited for that was committed, but can't be seen yet. A variable for tests.
var SeenWithin = 10 * time.Second

// restoredCode is the error of spola.refuse_restored.
const restoredCode = "SPH02"

// Restored is the error of an applier that meets a witness of what this database does not have; what says which.
func Restored(what string) error {
	return &StopError{What: "the ERP's database is an older one than it was: " + what, Mend: mendRestored, Err: ErrRestored}
}

const mendRestored = "see that it is the right database; `applier recover erp --dry-run` shows what it lacks, `applier recover erp` lets it go on from there"

// NoteRestored keeps everybody from entering anything into the accounts of stock, and the ERP from giving out numbers of documents,
// until a person has looked.
func NoteRestored(ctx context.Context, conn *pgx.Conn, why string) error {
	return InTransaction(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "update spola.stock_head set restored = $1 where restored is null", why); err != nil {
			return Explain(fmt.Errorf("hold the accounts of stock: %w", err))
		}
		var can bool
		if err := tx.QueryRow(ctx, "select to_regprocedure('erp.hold_numbers(text)') is not null").Scan(&can); err != nil || !can {
			return err
		}
		if _, err := tx.Exec(ctx, "select erp.hold_numbers($1)", why); err != nil {
			return Explain(fmt.Errorf("hold the numbers of documents: %w", err))
		}
		return nil
	})
}

// UnknownEntry returns one of these entries of a shop's stock ledger, by the row of its stock, that this database neither has nor is known
// to have lost; an empty row: there is none. One that was committed may have come round by log and shop before others see it here (AwaitVisible):
// it is waited for, so long.
func UnknownEntry(ctx context.Context, tx pgx.Tx, shop string, entries map[string]int64, within time.Duration) (row string, number int64, err error) {
	rows := slices.Sorted(maps.Keys(entries))
	numbers := make([]int64, len(rows))
	for i, row := range rows {
		numbers[i] = entries[row]
	}
	for began, pause := time.Now(), time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err = tx.QueryRow(ctx, "select stock_row, number from spola.unknown_marks($1, $2, $3) limit 1", shop, rows, numbers).Scan(&row, &number)
		if errors.Is(err, pgx.ErrNoRows) {
			return "", 0, nil
		}
		if err != nil {
			return "", 0, Explain(fmt.Errorf("look for entries of the ledger: %w", err))
		}
		if time.Since(began) > within {
			return row, number, nil
		}
		select {
		case <-ctx.Done():
			return "", 0, ctx.Err()
		case <-time.After(pause):
		}
	}
}
