package intake

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
)

// portion is how many orders of before going live are taken over at once: some tens of milliseconds, for which an order of today
// may have to wait.
const portion = 50

var (
	_ apply.Idler[pgx.Tx] = (*Effect)(nil)
	_ apply.Eager         = (*Effect)(nil)
)

// Due tells whether orders of before going live are still to be taken over. They are spread over ticks, a portion each, so that today's
// get in between, and none waits for ever where today's leave no gap. Gaps are filled with further portions.
func (e *Effect) Due(time.Time) bool { return e.intake.spread }

// More tells whether the last portion has left some.
func (e *Effect) More() bool { return e.intake.more }

// Idle takes over what the next tick with any of them would, ahead of that tick: what it finds does not depend on when it looks.
func (e *Effect) Idle(ctx context.Context, tx pgx.Tx) error {
	e.intake.more = false
	mine, err := e.intake.holds(ctx, tx)
	if err != nil || !mine {
		return err
	}
	taken, err := e.intake.ahead(ctx, tx)
	if err != nil {
		return err
	}
	e.done(taken)
	return nil
}

// begin remembers as whom the place was taken: what is done without records moves no place that would tell.
func (in *Intake) begin(ctx context.Context, tx pgx.Tx) error {
	in.spread, in.more = false, false // the next tick tells
	err := tx.QueryRow(ctx, "select max(owner_epoch) from spola.place where applier = 'intake' and source = $1", in.shop).Scan(&in.epoch)
	if err != nil {
		return in.failed("read the place", err)
	}
	return nil
}

// holds tells whether the place is still this process's own and nobody has paused it, and keeps it so until tx ends.
func (in *Intake) holds(ctx context.Context, tx pgx.Tx) (mine bool, err error) {
	if in.epoch == nil {
		return false, nil
	}
	rows, err := tx.Query(ctx, "select 1 from spola.place where applier = 'intake' and source = $1 and owner_epoch = $2 and paused_at is null for share", in.shop, *in.epoch)
	if err == nil {
		mine = rows.Next()
		rows.Close()
		err = rows.Err()
	}
	if err != nil {
		return false, in.failed("look whose the place is", err)
	}
	return mine, nil
}

// spreads notes whether orders are due at later ticks that wait for no settling.
func (in *Intake) spreads(ctx context.Context, tx pgx.Tx) error {
	err := tx.QueryRow(ctx, "select exists (select from spola.due d where d.shop = $1 and not d.settling and d.tick > $2)", in.shop, in.ticks).Scan(&in.spread)
	if err != nil {
		return in.failed("look for orders that are spread over ticks", err)
	}
	return nil
}

// ahead derives a portion of these now.
func (in *Intake) ahead(ctx context.Context, tx pgx.Tx) (Taken, error) {
	var sum Taken
	if !in.installed || !in.derived || in.lookupsDue != nil {
		in.spread = false
		return sum, nil
	}
	var brought int
	if err := tx.QueryRow(ctx, in.forward, in.ticks, portion).Scan(&brought); err != nil {
		return sum, in.failed("bring orders forward", err)
	}
	in.spread, in.more = brought > 0, brought == portion
	if !in.spread {
		return sum, nil
	}
	for more, how := true, (call{}); more; how = (call{held: true}) {
		var err error
		if more, err = in.deriveSome(ctx, tx, nil, in.ticks, in.most, how, &sum); err != nil {
			return sum, err
		}
	}
	return sum, in.settle(ctx, tx, sum)
}
