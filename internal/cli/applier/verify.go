package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/verify"
)

// Verify is `applier verify`.
type Verify struct {
	Since  string  `help:"Only orders placed since this day, 2026-11-01." placeholder:"DAY"`
	Orders []int64 `help:"Only these orders, by the shop's numbers." placeholder:"NUMBER"`
	Stock  bool    `help:"Hold the shop's stock against its accounts too, as applier reconcile --dry-run does, and its own rows against what its log says of them: some seconds more in a busy shop, minutes in a quiet one or in one of a million rows."`
	Mend   bool    `help:"Have the shop's rows of orders that differ read again: that mends what changed there unseen."`
	JSON   bool    `help:"Print JSON." name:"json"`
}

// verified is what `applier verify` ends with.
type verified struct {
	*verify.Report
	Stock     *stock.Run `json:"stock,omitempty"`
	ReadAgain []int64    `json:"read_again,omitempty"` // orders whose rows cdc was asked to read again
}

// arrivesWithin is how long what the shop has committed may take into the ERP before nobody waits any longer.
const arrivesWithin = time.Minute

// Run compares, and ends with status 5 where something differs.
func (v Verify) Run(env *cli.Env) error {
	var since time.Time
	if v.Since != "" {
		var err error
		if since, err = time.ParseInLocation(time.DateOnly, v.Since, time.Local); err != nil {
			return cli.Usage("--since: %q is no day: write it like 2026-11-01", v.Since)
		}
	}
	if v.Since != "" && v.Orders != nil {
		return cli.Usage("--since and --orders exclude each other: leave one away")
	}
	cfg, err := config.Load(env.Config, config.NeedShop, config.NeedERP)
	if err != nil {
		return err
	}
	return withShop(env, func(conn *pgx.Conn, _ string) error {
		var done verified
		if done.Report, err = v.compare(env.Ctx, cfg, env, conn, since); err != nil {
			return err
		}
		if v.Mend {
			if done.ReadAgain, err = readAgain(env.Ctx, cfg, env, done.Details); err != nil {
				return err
			}
		}
		if v.Stock {
			run, err := reconcile(env, cfg, conn, stock.Options{DryRun: true})
			if err != nil {
				return err
			}
			done.Stock = &run
		}
		if v.JSON {
			err = json.NewEncoder(env.Out).Encode(done)
		} else {
			err = done.print(env.Out, cfg.Shop.Name)
		}
		return errors.Join(err, done.differs())
	})
}

func (v Verify) compare(ctx context.Context, cfg config.Config, env *cli.Env, conn *pgx.Conn, since time.Time) (*verify.Report, error) {
	text, err := os.ReadFile(cfg.Shop.File)
	if err != nil {
		return nil, inShopFile(cfg.Shop.File, err)
	}
	rules, err := verify.ReadRules(cfg.Shop.Platform, text)
	if err != nil {
		return nil, err
	}
	source, err := cdc.Source(cfg, env.Log)
	if err != nil {
		return nil, err
	}
	shop, err := mysql.Open(source)
	if err != nil {
		return nil, err
	}
	defer func() { _ = shop.Close() }() // it has only asked
	shop.SetMaxOpenConns(8)             // five tables are read side by side
	pool, err := pgxpool.ParseConfig(cfg.ERP.URL())
	if err != nil {
		return nil, fmt.Errorf("connect to the ERP's database: %w", err)
	}
	pool.MaxConns = 8
	pool.ConnConfig.RuntimeParams["application_name"] = "spola verify"
	erp, err := pgxpool.NewWithConfig(ctx, pool)
	if err != nil {
		return nil, fmt.Errorf("connect to the ERP's database: %w", err)
	}
	defer erp.Close()
	report, err := verify.Beside(ctx, verify.Config{Shop: shop, ERP: erp, Name: cfg.Shop.Name, Prefix: cfg.Shop.Prefix, Rules: rules, Orders: v.Orders, Since: since},
		func(ctx context.Context) error {
			number, err := mysql.Probe(ctx, shop)
			if err != nil {
				return err
			}
			return arrived(ctx, conn, cfg.Shop.Name, number)
		})
	if errors.Is(err, verify.ErrObserved) {
		return nil, fmt.Errorf("%w: applier status tells what would be, applier golive begins it", err)
	}
	return report, err
}

// readAgain has cdc read the rows of orders that differ, and says of which.
func readAgain(ctx context.Context, cfg config.Config, env *cli.Env, found []verify.Difference) (orders []int64, err error) {
	for _, d := range found {
		if rereadable(d) && !slices.Contains(orders, d.Order) {
			orders = append(orders, d.Order)
		}
	}
	if len(orders) == 0 {
		return nil, nil
	}
	shop, done, err := comparing(cfg, env.Log)
	if err != nil {
		return nil, err
	}
	defer done()
	return orders, shop.ReadAgain(ctx, "order", orders)
}

// rereadable tells whether the shop's rows may say something else than was read of them.
func rereadable(d verify.Difference) bool { return d.Kind != "unknown" && d.Order != 0 }

// arrived waits until a probe of the shop stands in the mirror.
func arrived(ctx context.Context, conn *pgx.Conn, shop string, number int64) error {
	err := mirror.AwaitProbe(ctx, conn, shop, number, arrivesWithin)
	if errors.Is(err, mirror.ErrBehind) {
		return fmt.Errorf("what the shop committed %s ago has not come into the ERP's database: see that cdc run and applier run intake run, and how far they are with applier status", arrivesWithin)
	}
	return err
}

func (d verified) differs() error {
	repairs := 0
	if d.Stock != nil {
		repairs = len(d.Stock.Unlike)
		for _, f := range d.Stock.Found {
			if f.What == "repair" {
				repairs++
			}
		}
	}
	switch {
	case d.Differences > 0 && repairs > 0:
		return cli.Differ("%d between shop and ERP, and %d rows of the shop's stock drift", d.Differences, repairs)
	case d.Differences > 0:
		return cli.Differ("%d between shop and ERP", d.Differences)
	case repairs > 0:
		return cli.Differ("%d rows of the shop's stock drift: applier reconcile repairs them", repairs)
	case d.Stock != nil && d.Stock.NotCompared != "":
		return fmt.Errorf("the shop's own rows of stock were not compared: %s", d.Stock.NotCompared)
	}
	return nil
}

func (d verified) print(out io.Writer, shop string) error {
	printable.Printf(out, "Shop %s and the ERP, read by other code than brings orders there:\n", shop)
	printable.Printf(out, "%d orders placed, %d of them for the ERP: %d stand there, %d are parked (applier parked)\n", d.OrdersPlaced, d.OrdersInScope, d.OrdersInERP, d.OrdersParked)
	if d.OrdersWaiting > 0 {
		printable.Printf(out, "%d were changed in the shop when it was too late, and wait for a person (applier parked)\n", d.OrdersWaiting)
	}
	if d.OrdersDecided > 0 {
		printable.Printf(out, "%d are as a person has decided (applier audit)\n", d.OrdersDecided)
	}
	if d.OrdersChanging > 0 {
		printable.Printf(out, "%d changed as long as they were looked at, and were not compared: try again with --orders later\n", d.OrdersChanging)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, x := range d.Details {
		if i == 0 {
			fmt.Fprintln(table, "ORDER\tWHAT\tDIFFERENCE\tTO MEND IT")
		}
		printable.Printf(table, "%d\t%s\t%s\t%s\n", x.Order, x.Kind, x.What, mends(x))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if more := d.Differences - int64(len(d.Details)); more > 0 {
		printable.Printf(out, "… and %d more\n", more)
	}
	if n := len(d.ReadAgain); n > 0 {
		printable.Printf(out, "Asked cdc to read the rows of %d orders again; verify once more in some seconds.\n", n)
	}
	if d.Differences == 0 {
		printable.Printf(out, "Nothing differs.\n")
	}
	if d.Stock != nil {
		return printRun(out, *d.Stock)
	}
	return nil
}

// mends is what to do about a difference.
func mends(x verify.Difference) string {
	switch {
	case x.Kind == "unknown":
		return "see whether that is the shop's number"
	case !rereadable(x):
		return "look at the order in the ERP: no order of the shop stands behind it"
	}
	return fmt.Sprintf("applier verify --orders %d --mend; if it differs behind that, somebody changed the order in the ERP", x.Order)
}
