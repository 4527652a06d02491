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
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/verify"
)

// Verify is `applier verify`.
type Verify struct {
	Since  string  `help:"Only orders placed since this day, 2026-11-01." placeholder:"DAY"`
	Orders []int64 `help:"Only these orders, by the shop's numbers." placeholder:"NUMBER"`
	Stock  bool    `help:"Compare the shop's stock with the ERP's too, row by row, and the ledger and the sums between them: some seconds more."`
	Mend   bool    `help:"Have the shop's rows of orders that differ read again: that mends what changed there unseen."`
	JSON   bool    `help:"Print JSON." name:"json"`
}

// verified is what `applier verify` ends with.
type verified struct {
	*verify.Report
	Stock     *verify.StockReport `json:"stock,omitempty"`
	ReadAgain []int64             `json:"read_again,omitempty"` // orders whose rows cdc was asked to read again
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
	needs := []config.Need{config.NeedShop, config.NeedERP}
	if v.Stock {
		needs = append(needs, config.NeedKafka)
	}
	cfg, err := config.Load(env.Config, needs...)
	if err != nil {
		return err
	}
	return withShop(env, func(conn *pgx.Conn, _ string) error {
		sides, err := openSides(env, cfg, conn)
		if err != nil {
			return err
		}
		defer sides.close()
		var done verified
		if done.Report, err = sides.orders(env.Ctx, v.Orders, since); err != nil {
			return err
		}
		if v.Mend {
			if done.ReadAgain, err = readAgain(env.Ctx, cfg, env, done.Details); err != nil {
				return err
			}
		}
		if v.Stock {
			if done.Stock, err = sides.stock(env); err != nil {
				return err
			}
		}
		if v.JSON {
			err = json.NewEncoder(env.Out).Encode(done)
		} else {
			err = done.print(env.Out, cfg.Shop.Name)
		}
		return errors.Join(err, done.differs())
	})
}

// sides are shop and ERP, as verify reads them.
type sides struct {
	cfg  config.Config
	conn *pgx.Conn // to the ERP, to wait over
	of   verify.Config
}

func openSides(env *cli.Env, cfg config.Config, conn *pgx.Conn) (*sides, error) {
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
	pool, err := pgxpool.ParseConfig(cfg.ERP.URL())
	if err != nil {
		return nil, fmt.Errorf("connect to the ERP's database: %w", err)
	}
	pool.MaxConns = 8
	pool.ConnConfig.RuntimeParams["application_name"] = "spola verify"
	shop, err := mysql.Open(source)
	if err != nil {
		return nil, err
	}
	shop.SetMaxOpenConns(8) // five tables are read side by side
	erp, err := pgxpool.NewWithConfig(env.Ctx, pool)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the ERP's database: %w", err), shop.Close())
	}
	return &sides{cfg, conn, verify.Config{Shop: shop, ERP: erp, Name: cfg.Shop.Name, Prefix: cfg.Shop.Prefix, Rules: rules}}, nil
}

func (s *sides) close() {
	_ = s.of.Shop.Close() // it has only asked
	s.of.ERP.Close()
}

// matched returns when the ERP has what the shop has committed.
func (s *sides) matched(ctx context.Context) error {
	number, err := mysql.Probe(ctx, s.of.Shop)
	if err != nil {
		return err
	}
	return arrived(ctx, s.conn, s.cfg.Shop.Name, number)
}

func (s *sides) orders(ctx context.Context, orders []int64, since time.Time) (*verify.Report, error) {
	s.of.Orders, s.of.Since = orders, since
	report, err := verify.Beside(ctx, s.of, s.matched)
	if errors.Is(err, verify.ErrObserved) {
		return nil, fmt.Errorf("%w: applier status tells what would be, applier golive begins it", err)
	}
	return report, err
}

func (s *sides) stock(env *cli.Env) (*verify.StockReport, error) {
	log := s.cfg.ERPStream(env.Log)
	finder, err := stream.OpenFinder(env.Ctx, log)
	if err != nil {
		return nil, err
	}
	defer finder.Close()
	return verify.Stock(env.Ctx, s.of, s.matched, func(ctx context.Context) error {
		err := stock.AwaitSettled(ctx, s.conn, finder, s.cfg.ERP.Log.Slot, s.cfg.Shop.Name, arrivesWithin)
		if errors.Is(err, stock.ErrUnsettled) {
			return fmt.Errorf("what the ERP committed %s ago has not come into the accounts of the shop's stock: see that cdc run erp and applier run ledger run, and how far they are with applier status", arrivesWithin)
		}
		return err
	})
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
	var stock int64
	if d.Stock != nil {
		stock = d.Stock.Differences
	}
	switch {
	case d.Differences > 0 && stock > 0:
		return cli.Differ("%d between shop and ERP, and %d of the stock", d.Differences, stock)
	case d.Differences > 0:
		return cli.Differ("%d between shop and ERP", d.Differences)
	case stock > 0:
		return cli.Differ("%d of the stock", stock)
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
		return printStock(out, *d.Stock)
	}
	return nil
}

func printStock(out io.Writer, r verify.StockReport) error {
	printable.Printf(out, "Stock: %d rows of the shop have an account.\n", r.Rows)
	if r.Changing > 0 {
		printable.Printf(out, "%d changed, or had orders that settle, as long as they were looked at, and were not compared: try again in a minute\n", r.Changing)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, x := range r.Details {
		if i == 0 {
			fmt.Fprintln(table, "STOCK ROW\tSKU\tWHAT\tDIFFERENCE\tTO MEND IT")
		}
		printable.Printf(table, "%s\t%s\t%s\t%s\t%s\n", x.Row, x.SKU, x.Kind, x.What, mendsStock(x))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if more := r.Differences - int64(len(r.Details)); more > 0 {
		printable.Printf(out, "… and %d more\n", more)
	}
	if r.Differences == 0 {
		printable.Printf(out, "Nothing of the stock differs.\n")
	}
	return nil
}

// mendsStock is what to do about a difference of the stock.
func mendsStock(x verify.StockDifference) string {
	switch x.Kind {
	case "shown":
		return "applier reconcile --sku " + x.SKU
	case "in flight":
		return fmt.Sprintf("applier replay --order %d", x.Order)
	case "entry":
		return "somebody has changed spola.ledger: put the entry back from a backup; what the shop shows does not hang on it"
	}
	return "applier reconcile, which counts anew"
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
