package intake

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/schemas"
)

// followLookups replaces the copy of the shop's settings when they have changed, are complete
// and have settled. Until then orders are derived with the copy before; with none, they wait.
func (in *Intake) followLookups(ctx context.Context, tx pgx.Tx, changed *mirror.Changed) error {
	if err := in.noteLookups(ctx, tx, changed); err != nil {
		return err
	}
	if in.lookupsDue == nil || in.lookups > 0 && changed.Ticks < *in.lookupsDue {
		return nil
	}
	return in.takeLookups(ctx, tx)
}

// noteLookups notes that the copy of the shop's settings is of yesterday.
func (in *Intake) noteLookups(ctx context.Context, tx pgx.Tx, changed *mirror.Changed) error {
	if !in.changedKind(changed, schemas.KindLookup) {
		return nil
	}
	due := changed.Ticks + Settle
	in.lookupsDue = &due
	if _, err := tx.Exec(ctx, "update spola.shop set lookups_due = $2 where shop = $1", in.shop, due); err != nil {
		return in.failed("note changed settings", err)
	}
	return nil
}

func (in *Intake) takeLookups(ctx context.Context, tx pgx.Tx) error {
	missing, err := lookupsMissing(ctx, tx, in.shop)
	if err != nil || missing != "" {
		return err
	}
	schema := pgx.Identifier{Schema(in.shop)}.Sanitize()
	if _, err := tx.Exec(ctx, "select "+schema+".take_lookups()"); err != nil {
		return in.failed("copy the shop's settings", err)
	}
	_, err = tx.Exec(ctx, "update spola.shop set lookups = lookups + 1, lookups_due = null where shop = $1", in.shop)
	if err != nil {
		return in.failed("note the copy of the shop's settings", err)
	}
	in.lookups++
	in.lookupsDue = nil
	if err := in.release(ctx, tx, "state"); err != nil { // whose name may be known now
		return err
	}
	return in.release(ctx, tx, "setting")
}

// lookupsMissing says what of the shop's settings is not in the mirror; empty if nothing is.
func lookupsMissing(ctx context.Context, tx pgx.Tx, shop string) (string, error) {
	var missing *string
	schema := pgx.Identifier{Schema(shop)}.Sanitize()
	if err := tx.QueryRow(ctx, "select "+schema+".lookups_missing()").Scan(&missing); err != nil {
		return "", fmt.Errorf("look for the settings of shop %s: %w", shop, err)
	}
	if missing == nil {
		return "", nil
	}
	return *missing, nil
}

// changedKind tells whether a table of the kind has changed.
func (in *Intake) changedKind(changed *mirror.Changed, kind schemas.Kind) bool {
	for _, t := range in.profile.Tables {
		if t.Kind == kind && changed.Tables[in.prefix+t.Name] {
			return true
		}
	}
	return false
}

// release has the orders derived again that wait for something of this kind.
func (in *Intake) release(ctx context.Context, tx pgx.Tx, waitsFor string) error {
	_, err := tx.Exec(ctx, `insert into spola.due (shop, order_id, tick, settling)
		select shop, order_id, 0, false from spola.parked where shop = $1 and waits_for = $2 on conflict do nothing`, in.shop, waitsFor)
	if err != nil {
		return in.failed("release orders that wait for a "+waitsFor, err)
	}
	return nil
}
