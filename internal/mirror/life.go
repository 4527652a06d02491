package mirror

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// claimed takes note of the incarnation that a claim names. A higher one than the claim before
// says that the shop's database was restored or replaced: the mirror then holds rows of another
// life until the snapshot with which the new one begins has gone through all tables. A lower one
// says nothing: a log that was lost begins to count again.
func (p *Part) claimed(r *change.Record) error {
	var claim change.ClaimMessage
	if err := change.Message(r.Value, &claim); err != nil {
		return err
	}
	if claim.Incarnation > p.m.life && p.m.life > 0 {
		p.restored = true
		p.runDone = 0 // a snapshot of the life before
	}
	p.m.life, p.life = claim.Incarnation, claim.Incarnation
	return nil
}

// Distrust has the mirror taken for incomplete until the next snapshot run has ended: its rows
// are as of a place that the log does not go on from.
func Distrust(ctx context.Context, tx pgx.Tx, source string) error {
	if _, err := tx.Exec(ctx, "update spola.mirror set snapshot_done = false where source = $1", source); err != nil {
		return postgres.Explain(err)
	}
	return nil
}
