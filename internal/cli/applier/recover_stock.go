package applier

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/internal/writeback"
)

// A shop that was restored shows pieces of orders that it has lost and the ERP has not. Were it only given what the ledger owes it since, a receipt of
// yesterday would go on sale beside them. So its accounts are held against what it shows first, and then each row is given
// what it is owed in one.

// restoredStock lets the applier of stock go on in a restored shop. It returns what was found to drift.
func restoredStock(ctx context.Context, env *cli.Env, cfg config.Config, conn *pgx.Conn, dryRun bool) (found drift, err error) {
	shop := cfg.Shop.Name
	found, err = heldAgainstAccounts(ctx, conn, shop, dryRun)
	if err != nil || dryRun {
		return found, err
	}
	tail, err := stream.ReadTail(ctx, cfg.ERPStream(env.Log))
	if err != nil {
		return found, err
	}
	if err := writeback.PassOver(ctx, cfg.Shop.WriteURL(), cli.Owner(), change.Stand{Place: tail.Place, Offset: tail.Offset}, 0); err != nil {
		return found, err
	}
	witness, err := writeback.ReadWitness(ctx, cfg.Shop.WriteURL())
	if err != nil {
		return found, err
	}
	return found, postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error { return stock.Announce(ctx, tx, shop, delivered(witness)) })
}

// drift is what a restored shop's rows of stock show beyond their accounts.
type drift struct {
	rows int64           // how many
	some []stock.Finding // the first of them
}

// heldAgainstAccounts repairs what the restored shop's rows show, until nothing is left that differs. The schedule's reconciliation may be at it at the
// same time: what that has repaired, or what has changed meanwhile, is looked at once more. It returns the rows that were found to drift.
func heldAgainstAccounts(ctx context.Context, conn *pgx.Conn, shop string, dryRun bool) (found drift, err error) {
	for n := 1; ; n++ {
		if err := ordersSettled(ctx, conn, shop); err != nil {
			return found, err
		}
		run, err := stock.Reconcile(ctx, conn, shop, intake.Schema(shop), stock.Options{Why: stock.Command, DryRun: dryRun, Tick: ticks(conn, shop)})
		if err != nil {
			return found, err
		}
		if run.Drifting > found.rows {
			found = drift{rows: run.Drifting, some: slices.DeleteFunc(run.Found, func(f stock.Finding) bool { return f.What != "repair" })}
		}
		switch {
		case dryRun:
			return found, nil
		case run.Held != "":
			return found, &postgres.StopError{What: "the restored shop's stock can't be held against its accounts: " + run.Held,
				Mend: "`applier reconcile --dry-run` shows it; if it is right, `applier reconcile --allow REASON`, and then again `applier recover stock`"}
		case run.Drifting == run.Repaired:
			return found, nil
		case n == settlesWithin:
			return found, &postgres.StopError{What: fmt.Sprintf("%d rows of the restored shop's stock have not settled: orders at them are half-written, or somebody is changing them", run.Drifting-run.Repaired),
				Mend: "see whether somebody is changing them; then `applier recover stock` again"}
		}
	}
}

// settlesWithin is how many ticks of the shop's clock the orders of a restored shop have to settle, and how many looks its rows.
const settlesWithin = 10

// ordersSettled waits for the orders that are half-written or were changed just now: all of a restored shop are. What rows show at which
// they are says nothing before.
func ordersSettled(ctx context.Context, conn *pgx.Conn, shop string) error {
	var orders []int64
	tick := ticks(conn, shop)
	for n := 0; ; n++ {
		rows, err := conn.Query(ctx, "select d.order_id from spola.due d where d.shop = $1 and d.settling and ($2::bigint[] is null or d.order_id = any ($2))", shop, orders)
		if err != nil {
			return fmt.Errorf("look for orders that have not settled: %w", err)
		}
		if orders, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
			return fmt.Errorf("look for orders that have not settled: %w", err)
		}
		switch {
		case len(orders) == 0:
			return nil
		case n == settlesWithin:
			return &postgres.StopError{What: fmt.Sprintf("%d orders of the restored shop have not settled, order %d among them", len(orders), orders[0]), Mend: "see whether somebody is changing them; then `applier recover stock` again"}
		}
		if err := tick(ctx); err != nil {
			return err
		}
	}
}

// shopReadAgain refuses while the mirror still shows the shop as it was before the restore: the place of the stream there, and the marks of stock.
func shopReadAgain(ctx context.Context, cfg config.Config, conn *pgx.Conn, name string, at change.Stand) error {
	witness, err := writeback.ReadWitness(ctx, cfg.Shop.WriteURL())
	if err != nil {
		return err
	}
	var derived bool
	marker := pgx.Identifier{mirror.Schema(cfg.Shop.Name), mirror.Marker}.Sanitize()
	err = conn.QueryRow(ctx, `select s.derived and exists (select from `+marker+` m where m.name = $2 and m.generation = $3 and m.number = $4)
		from spola.shop s where s.shop = $1`, cfg.Shop.Name, mysql.RowName(name, writeback.Log), at.Gen, at.Seq).Scan(&derived)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("look whether the restored shop was read: %w", err)
	}
	rows, err := conn.Query(ctx, "select name, number, applied from "+marker+" where name like '%:%'")
	if err != nil {
		return fmt.Errorf("look whether the restored shop was read: %w", err)
	}
	mirrored, err := pgx.CollectRows(rows, pgx.RowToStructByPos[writeback.Taken])
	if err != nil {
		return fmt.Errorf("look whether the restored shop was read: %w", err)
	}
	has := map[writeback.Taken]bool{}
	for _, t := range mirrored {
		has[t] = true
	}
	same := derived && len(has) == len(witness.Taken)
	for _, t := range witness.Taken {
		same = same && has[t]
	}
	if !same {
		return &mysql.StopError{What: "the restored shop was not read yet: the mirror shows it as it was", Mend: "`cdc run --new-incarnation`, and `applier run`; when its snapshot is through, ask again"}
	}
	return nil
}

func delivered(w writeback.Witness) []stock.Delivered {
	list := make([]stock.Delivered, len(w.Taken))
	for i, t := range w.Taken {
		list[i] = stock.Delivered{StockRow: t.Row, Number: t.Number, Applied: t.Applied}
	}
	return list
}
