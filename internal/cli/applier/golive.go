package applier

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
)

// Golive is `applier golive`.
type Golive struct {
	From   string `help:"First day by the shop's clock, or moment (2026-12-01T08:00:00+01:00), of orders that are taken over by themselves." required:"" placeholder:"DATE"`
	DryRun bool   `help:"Change nothing: tell what it would do, and write the file in which you decide about orders that are there already."`
	File   string `help:"That file: a dry run writes it (golive-SHOP.csv if not given), going live reads it." type:"path" placeholder:"FILE.csv"`
	Reason string `help:"Stands with your name in the list of decisions (applier audit)." default:"going live"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// Run goes live, or tells what stands against it.
func (g Golive) Run(env *cli.Env) error {
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		clock, err := intake.Clock(env.Ctx, conn, shop)
		if err != nil {
			return err
		}
		from, err := moment("--from", g.From, clock)
		if err != nil {
			return err
		}
		if err := leave(env, from); err != nil {
			return err
		}
		how := intake.Going{From: from, By: intake.By{Who: cli.Person(), Reason: g.Reason}, Log: progress(os.Stderr, "orders")}
		if g.DryRun {
			return g.dryRun(env, conn, shop, how)
		}
		if g.File != "" {
			file, err := os.Open(g.File)
			if err != nil {
				return fmt.Errorf("go live: %w", err)
			}
			defer file.Close()
			how.Said, how.File = file, g.File
		}
		r, err := intake.GoLive(env.Ctx, conn, shop, how)
		if err != nil {
			return err
		}
		if g.JSON {
			return json.NewEncoder(env.Out).Encode(r)
		}
		if r.Live {
			printable.Printf(env.Out, "Shop %s is live since before, with orders from %s on. Nothing was changed.\n", shop, r.From.Format(time.DateTime))
			return nil
		}
		report(env.Out, r)
		fmt.Fprintln(env.Out, "The shop is live: its orders follow with the applier's next batches (applier status).")
		return nil
	})
}

// leave refuses a cut that promises orders which stay in the shop.
func leave(env *cli.Env, from time.Time) error {
	cfg, err := config.Load(env.Config)
	if err != nil {
		return err
	}
	if since := cfg.Shop.Since(); from.Before(since) {
		return fmt.Errorf("shop %s can't go live from %s: orders before %s stay in the shop (orders_since); name a later moment",
			cfg.Shop.Name, from.Format(time.RFC3339), since.Format(time.DateOnly))
	}
	return nil
}

// dryRun writes the files next to what are to be their names, and gives them these once they are whole. In the list of stock nobody decides
// anything: an older one is replaced.
func (g Golive) dryRun(env *cli.Env, conn *pgx.Conn, shop string, how intake.Going) error {
	name := g.File
	if name == "" {
		name = "golive-" + shop + ".csv"
	}
	stock := strings.TrimSuffix(name, ".csv") + "-stock.csv"
	if _, err := os.Stat(name); err == nil {
		return fmt.Errorf("%s is there already, and somebody may have edited it: name another with --file, or remove it", name)
	}
	var table, rows bytes.Buffer
	how.Table, how.Stock = &table, &rows
	r, err := intake.CheckLive(env.Ctx, conn, shop, how)
	if err != nil {
		return err
	}
	if err := publish(name, table.Bytes()); err != nil {
		return fmt.Errorf("write the decisions: %w", err)
	}
	if err := publish(stock, rows.Bytes()); err != nil {
		return fmt.Errorf("write what becomes of the shop's stock: %w", err)
	}
	if g.JSON {
		return json.NewEncoder(env.Out).Encode(r)
	}
	if r.Live {
		printable.Printf(env.Out, "Shop %s is live already, with orders from %s on.\n", shop, r.From.Format(time.DateTime))
		return nil
	}
	report(env.Out, r)
	reportStock(env.Out, r.Stock, stock)
	printable.Printf(env.Out, "\nLooked at in %.1f s. Nothing was changed. %s has a line for each order before the cut: look through the column \"decision\" (import, adopt with\nthe ERP's number in erp_order, close), then: applier golive --from %s --file %s\n", r.Seconds, name, g.From, name)
	return nil
}

// publish gives a file its name once all of it is there; nothing makes none.
func publish(name string, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if err := os.WriteFile(name+".new", text, 0o600); err != nil { // names of customers may stand in it
		return err
	}
	return os.Rename(name+".new", name)
}

// foretold is how many rows of the shop's stock are told by name; the file has all.
const foretold = 10

// reportStock tells what the shop is to show. file has all of it.
func reportStock(w io.Writer, p *intake.StockPlan, file string) {
	if p == nil || len(p.Rows) == 0 {
		return
	}
	printable.Printf(w, "Once stock is brought into the live shop, %d of its rows of stock show what they do now, %d more, %d less (%d of these nothing); %d are left as they are\n",
		p.Same, p.More, p.Less, p.Emptied, p.Left)
	told := 0
	for _, r := range p.Rows {
		if r.WhyNot != "" || r.Now == r.After {
			continue
		}
		if told == foretold {
			printable.Printf(w, "%8s … and %d more\n", "", p.More+p.Less-told)
			break
		}
		told++
		printable.Printf(w, "%8s %s (%s): %d -> %d\n", "", r.SKU, r.StockRow, r.Now, r.After)
	}
	printable.Printf(w, "  all rows: %s\n", file)
}

func report(w io.Writer, r intake.Readiness) {
	if r.ERP != "" {
		printable.Printf(w, "In the way: %s\n", r.ERP)
	}
	for _, state := range r.Unclassified {
		printable.Printf(w, "In the way: order state %s has no class in the shop file\n", state)
	}
	names := func(what string, n intake.Names, mend string) {
		if n.Count > 0 {
			printable.Printf(w, "%d %s: %s%s\n%s", n.Count, what, strings.Join(n.First, ", "), yes(n.Count > int64(len(n.First)), " …", ""), printable.Block(mend))
		}
	}
	names("products of the shop without an article of the ERP", r.Missing, "  their orders will be parked until \"applier articles\" maps them\n")
	names("articles of the ERP that the shop does not sell", r.Unsold, "")
	printable.Printf(w, "Orders that the ERP does not have from the shop: %d, with %s as the cut\n", r.Orders, r.From.Format(time.DateTime))
	line := func(n int, what string) {
		if n > 0 {
			printable.Printf(w, "%8d %s\n", n, what)
		}
	}
	line(r.Import, "import: into the ERP")
	line(r.Parked, "         of these will be parked: applier parked")
	line(r.Again, "         of these are parked and looked at again at the moment, for what they waited for is there")
	line(r.Adopt, "adopt: linked to an order that was entered by hand")
	line(int(r.Differing.Count), "         of these have another total there")
	for _, d := range r.Differing.First {
		printable.Printf(w, "%8s          order %s\n", "", d)
	}
	line(r.Close, "close: not into the ERP")
	line(r.Open, "are yours to say: several fit")
	printable.Printf(w, "%d customers have placed those to be imported; the ERP has %d of them already\n", r.Customers.Count, r.Customers.Known)
	for _, c := range r.Customers.First {
		printable.Printf(w, "  will be parked: %s\n", c)
	}
	for _, d := range r.Customers.Doubles.First {
		printable.Printf(w, "  one e-mail, several accounts: %s\n", d)
	}
	line(r.Passed, "lines of the file are about orders cancelled or deleted since: passed over")
}

// progress paints a bar on a terminal; elsewhere it is silent.
func progress(out *os.File, what string) func(done, total int) {
	info, err := out.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return bar(out, what)
}

// bar draws one line over and over.
func bar(out io.Writer, what string) func(done, total int) {
	const width = 40
	return func(done, total int) {
		filled := width * done / max(total, 1)
		fmt.Fprintf(out, "\r[%s%s] %d of %d %s", strings.Repeat("#", filled), strings.Repeat(".", width-filled), done, total, what)
		if done >= total {
			fmt.Fprintln(out)
		}
	}
}

// moment reads a day, which begins at midnight by the shop's clock, or a moment with its zone.
func moment(flag, text string, clock *time.Location) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, text, clock); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, cli.Usage("%s %q is neither a day (2026-12-01) nor a moment (2026-12-01T08:00:00+01:00)", flag, text)
	}
	return t.In(clock), nil
}
