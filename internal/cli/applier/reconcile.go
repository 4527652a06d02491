package applier

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/schemas"
)

// Reconcile is `applier reconcile`.
type Reconcile struct {
	DryRun bool     `help:"Only tell what it would do."`
	SKU    []string `help:"Of these articles only." name:"sku" placeholder:"SKU"`
	Allow  string   `help:"Let changes of very many rows at once through for ten minutes, for this reason; it stands with your name in the list of decisions (applier audit)." placeholder:"REASON"`
	JSON   bool     `help:"Print JSON." name:"json"`
}

// allowedFor is how long a person's word lets mass changes through.
const allowedFor = 10 * time.Minute

// Run holds what the shop shows against the accounts of its stock, and repairs what drifts.
func (r Reconcile) Run(env *cli.Env) error {
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		if r.Allow != "" && !r.DryRun {
			if err := intake.AllowMassChanges(env.Ctx, conn, shop, allowedFor, intake.By{Who: cli.Person(), Reason: r.Allow}); err != nil {
				return err
			}
		}
		cfg, err := config.Load(env.Config)
		if err != nil {
			return err
		}
		compared, done, err := comparing(cfg, env.Log)
		if err != nil {
			return err
		}
		defer done()
		env.Log.Info().Msg("watching the shop's stock until its orders have settled: some seconds in a busy shop, minutes in a quiet one")
		run, err := stock.Reconcile(env.Ctx, conn, shop, intake.Schema(shop), stock.Options{
			Why: stock.Command, DryRun: r.DryRun, Only: r.SKU, Shop: compared, Tick: ticks(conn, shop)})
		if err != nil {
			return err
		}
		if r.JSON {
			return json.NewEncoder(env.Out).Encode(run)
		}
		return printRun(env.Out, run)
	})
}

// comparing is how the shop's rows are compared with the mirror.
func comparing(cfg config.Config, log zerolog.Logger) (shop *stock.Shop, done func(), err error) {
	source, err := cdc.Source(cfg, log)
	if err != nil {
		return nil, nil, err
	}
	profile, _, err := schemas.Platform(cfg.Shop.Platform)
	if err != nil {
		return nil, nil, err
	}
	db, err := mysql.Open(source)
	if err != nil {
		return nil, nil, err
	}
	return &stock.Shop{DB: db, Prefix: cfg.Shop.Prefix, Mirror: mirror.Schema(cfg.Shop.Name), Tables: profile.Compare,
		Request: func(ctx context.Context, request mysql.SnapshotRequest) error {
			return mysql.RequestSnapshot(ctx, source, request)
		},
	}, func() { _ = db.Close() }, nil
}

func printRun(out io.Writer, r stock.Run) error {
	printable.Printf(out, "Stock of shop %s: %d rows have an account; watched for %d ticks of the shop's clock.\n", r.Shop, r.Rows, r.Ticks)
	if r.Held != "" {
		printable.Printf(out, "HELD: %s.\n", r.Held)
	}
	if r.NotCompared != "" {
		printable.Printf(out, "NOT COMPARED with the shop's own tables: %s\n", r.NotCompared)
	}
	if r.Recounted > 0 {
		printable.Printf(out, "COUNTED ANEW: %d sums of what the shop has subtracted were wrong: somebody has written into Spola's tables.\n", r.Recounted)
	}
	printable.Printf(out, "drifting %d, explained %d, repaired %d; opened %d, closed %d; left for the next run %d\n", r.Drifting, r.Explained, r.Repaired, r.Opened, r.Closed, r.Waiting)
	for i, u := range r.Unlike {
		if i == namedRows {
			printable.Printf(out, "… and %d more rows\n", len(r.Unlike)-i)
			break
		}
		printable.Printf(out, "CHANGED UNSEEN: %s %d (%s) is %s in the shop, %s by its log; applier reconcile reads it again\n", u.Table, u.Key, u.What, cmp.Or(u.Shop, "gone"), cmp.Or(u.Mirror, "gone"))
	}
	if o := r.Orders; len(o.Days) > 0 {
		printable.Printf(out, "Orders since %s: %d in the shop, %d of them in the ERP to the cent, %d explained (parked, settling, closed, decided); read again %d, left %d\n",
			o.Since, o.Orders, o.InERP, o.Explained, len(o.Asked), o.Left)
		for _, d := range o.Days {
			if d.Orders != d.InERP+d.Explained {
				printable.Printf(out, "  %s: %d orders, %d in the ERP, %d explained; %d cents in the shop, %d in the ERP\n", d.Day, d.Orders, d.InERP, d.Explained, d.CentsShop, d.CentsERP)
			}
		}
		if o.Left > 0 {
			printable.Printf(out, "NOT IN THE ERP as the shop has them: %v; applier verify --orders says what differs\n", o.Odd)
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, f := range r.Found {
		if i == 0 {
			fmt.Fprintln(table, "WHAT\tSTOCK ROW\tSKU\tPIECES\tWHY")
		}
		printable.Printf(table, "%s\t%s\t%s\t%d\t%s\n", f.What, f.StockRow, f.SKU, f.Pieces, f.Why)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if r.DryRun {
		fmt.Fprintln(out, "Nothing was changed.")
	}
	return nil
}
