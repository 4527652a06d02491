package applier

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// Ledger settles what changes in the ERP into the shop's stock accounts, and reconciles them, until ctx ends.
func Ledger(ctx context.Context, cfg config.Config, o Options) error {
	contract, err := schemas.LoadContract()
	if err != nil {
		return err
	}
	file, err := shopFile(cfg)
	if err != nil {
		return err
	}
	log := o.Log.With().Str("component", "applier").Str("log", cfg.ERPTopic()).Str("stream", ledgerStream).Logger()
	if err := prepare(ctx, cfg, log); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		target := postgres.NewTarget(cfg.ERP.URL(), ledgerStream, cfg.Shop.Name, cli.Owner())
		return noted(ctx, cfg, log, follow(ctx, cfg, cfg.ERPStream(log), ledgerStream, target, stock.NewLedger(cfg.Shop.Name, contract),
			witnessed(cfg, cfg.ERPStream(log), ledgerStream, erpRestored), o))
	})
	group.Go(func() error { return reconcileEvery(ctx, cfg, file.Stock.Reconcile, log) })
	return group.Wait()
}

// lookEvery is how often somebody asks whether it is his turn to reconcile.
const lookEvery = time.Second

// reconcileEvery reconciles the shop's stock whenever the last run, of anybody, was so long ago. Of any number of appliers one leads at a time:
// who holds the lock.
func reconcileEvery(ctx context.Context, cfg config.Config, every time.Duration, log zerolog.Logger) error {
	for ctx.Err() == nil {
		run, err := reconcileIfDue(ctx, cfg, every, log)
		switch {
		case err != nil && ctx.Err() == nil:
			log.Warn().Err(err).Msg("reconciliation of stock failed: trying again")
		case run != nil:
			tell(log, *run)
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(every, lookEvery)):
		}
	}
	return nil
}

// reconcileIfDue runs if nobody did for so long and nobody does; nil if it did not.
func reconcileIfDue(ctx context.Context, cfg config.Config, every time.Duration, log zerolog.Logger) (*stock.Run, error) {
	conn, err := postgres.Connect(ctx, cfg.ERP.URL(), "spola reconcile "+cfg.Shop.Name)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	due, err := stock.Due(ctx, conn, cfg.Shop.Name, every)
	if err != nil || !due {
		return nil, err
	}
	compared, done, err := comparing(cfg, log)
	if err != nil {
		return nil, err
	}
	defer done()
	run, err := stock.Reconcile(ctx, conn, cfg.Shop.Name, intake.Schema(cfg.Shop.Name), stock.Options{Why: "schedule", Shop: compared, Tick: ticks(conn, cfg.Shop.Name)})
	return &run, err
}

// ticks waits for the shop's clock, as the mirror has it.
func ticks(conn *pgx.Conn, shop string) func(context.Context) error {
	return func(ctx context.Context) error { return stock.AwaitTick(ctx, conn, shop) }
}

func tell(log zerolog.Logger, r stock.Run) {
	event := log.Info()
	if r.Held != "" || r.NotCompared != "" || r.Repaired > 0 || r.Waiting > 0 || r.Orders.Left > 0 {
		event = log.Warn()
	}
	event.Int64("rows", r.Rows).Int64("drifting", r.Drifting).Int64("repaired", r.Repaired).Int64("opened", r.Opened).Int64("closed", r.Closed).
		Int64("waiting", r.Waiting).Int64("orders", r.Orders.Orders).Int64("orders_left", r.Orders.Left).Str("held", r.Held).Str("not_compared", r.NotCompared).Dur("took", r.Ended.Sub(r.Began)).Msg("stock reconciled")
}
