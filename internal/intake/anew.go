package intake

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// When the mirror is not what the shop holds, nothing is derived until a full snapshot has gone
// through all tables: half of it would make half of an order, or another one. Then everything is
// derived once, known orders that are gone included. It happens when the shop's database was
// restored (a new incarnation), and when an applier goes on behind a gap in the log (Anew).

// Anew has everything derived again behind the next snapshot that ends: the applier goes on in
// a log that does not follow what it has read, in this generation of it, because somebody said so.
func Anew(ctx context.Context, tx pgx.Tx, shop string, generation int64, by By) error {
	if err := mirror.Distrust(ctx, tx, shop); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "update spola.shop set derived = false where shop = $1", shop)
	if err != nil {
		return postgres.Explain(fmt.Errorf("have all orders of shop %s derived again: %w", shop, err))
	}
	return audit(ctx, tx, by, shop, 0, "cross", fmt.Sprintf("into generation %d", generation), nil)
}

// restored begins another life of the shop: its order numbers may be used again. Orders that it
// has in common with the life before are found by their fingerprint.
func (in *Intake) restored(ctx context.Context, tx pgx.Tx, ticks int64) error {
	due := ticks + Settle
	_, err := tx.Exec(ctx, "update spola.shop set incarnation = incarnation + 1, derived = false, lookups_due = $2 where shop = $1", in.shop, due)
	if err != nil {
		return in.failed("begin a new incarnation", err)
	}
	// The clock of the new life is another one, and its snapshot is awaited in any case.
	if _, err := tx.Exec(ctx, "update spola.recovery set tick = 0 where shop = $1", in.shop); err != nil {
		return in.failed("begin a new incarnation", err)
	}
	in.derived, in.lookupsDue = false, &due
	return nil
}

// knowsMarks refuses marks of the shop's stock rows whose entries the ledger does not have: what has reached the shop was
// committed here once, so this database is an older one than it was.
func (in *Intake) knowsMarks(ctx context.Context, tx pgx.Tx, marks map[string]int64) error {
	if len(marks) == 0 {
		return nil
	}
	row, number, err := postgres.UnknownEntry(ctx, tx, in.shop, marks, postgres.SeenWithin)
	if err != nil || row == "" {
		return err
	}
	return postgres.Restored(fmt.Sprintf("the shop was delivered entry %d of the stock ledger, for %s, and the ledger does not have it", number, row))
}

// noteUnderived keeps what deriving must know later of a batch behind which nothing is derived.
func (in *Intake) noteUnderived(ctx context.Context, tx pgx.Tx, changed *mirror.Changed) error {
	if len(changed.Shapes) > 0 {
		in.installed = false
		if _, err := tx.Exec(ctx, "update spola.shop set installed = '' where shop = $1", in.shop); err != nil {
			return in.failed("note that tables have another shape", err)
		}
	}
	return in.noteLookups(ctx, tx, changed)
}
