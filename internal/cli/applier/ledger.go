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
	r := reconciler{cfg: cfg, every: every, log: log}
	defer r.close(ctx)
	for ctx.Err() == nil {
		run, err := r.ifDue(ctx)
		if run != nil {
			tell(log, *run)
		}
		if err != nil {
			r.close(ctx)
			if ctx.Err() == nil {
				log.Warn().Err(err).Msg("reconciliation of stock failed: trying again")
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(every, lookEvery)):
		}
	}
	return nil
}

// reconciler keeps the connection over which it asks from one look to the next; whatever fails ends it, and the lead with it.
type reconciler struct {
	cfg   config.Config
	every time.Duration
	log   zerolog.Logger
	conn  *pgx.Conn // nil: none yet
}

// ifDue runs if nobody did for so long and nobody does; nil if it did not.
func (r *reconciler) ifDue(ctx context.Context) (done *stock.Run, err error) {
	shop := r.cfg.Shop.Name
	if r.conn == nil {
		if r.conn, err = postgres.Connect(ctx, r.cfg.ERP.URL(), "spola reconcile "+shop); err != nil {
			return nil, err
		}
	}
	due, err := stock.Due(ctx, r.conn, shop, r.every)
	if err != nil || !due {
		return nil, err
	}
	compared, end, err := comparing(r.cfg, r.log)
	if err != nil {
		return nil, err
	}
	defer end()
	run, err := stock.Reconcile(ctx, r.conn, shop, intake.Schema(shop), stock.Options{Why: stock.Schedule, Shop: compared, Tick: ticks(r.conn, shop)})
	if err != nil {
		return nil, err
	}
	return &run, stock.Yield(ctx, r.conn, shop)
}

func (r *reconciler) close(ctx context.Context) {
	if r.conn != nil {
		_ = r.conn.Close(context.WithoutCancel(ctx)) // what it has done is committed
		r.conn = nil
	}
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
