package applier

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/trace"
	"github.com/spola-cdc/spola/schemas"
)

// Trace is `applier trace`.
type Trace struct {
	Order string `arg:"" help:"The shop's order number (4711), the ERP's (W2026/17), or the number of a document about it (F2026/17)."`
	JSON  bool   `help:"Print JSON: one step a transaction." name:"json"`
}

// Run tells the story of one order.
func (t Trace) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config, config.NeedERP, config.NeedKafka)
	if err != nil {
		return err
	}
	from, err := TraceSources(cfg, env)
	if err != nil {
		return err
	}
	return withShop(env, func(conn *pgx.Conn, _ string) error {
		told, err := trace.Of(env.Ctx, conn, from, t.Order)
		if err != nil {
			return err
		}
		if t.JSON {
			return json.NewEncoder(env.Out).Encode(told)
		}
		printTrace(env.Out, told)
		return nil
	})
}

// TraceSources are where the configuration's orders are traced.
func TraceSources(cfg config.Config, env *cli.Env) (trace.Sources, error) {
	profile, _, err := schemas.Platform(cfg.Shop.Platform)
	if err != nil {
		return trace.Sources{}, err
	}
	from := trace.Sources{Shop: cfg.Shop.Name, Prefix: cfg.Shop.Prefix, Profile: profile, ShopLog: cfg.Stream(env.Log)}
	if cfg.ERP.Log.Stands() {
		log := cfg.ERPStream(env.Log)
		from.ERPLog = &log
	}
	return from, nil
}

// printTrace prints a line a step, then why what has not happened waits.
func printTrace(out io.Writer, t *trace.Trace) {
	number := ""
	if t.Number != "" {
		number = ", " + t.Number + " in the ERP"
	}
	printable.Printf(out, "Order %d of shop %s%s: %s", t.Order, t.Shop, number, t.Status)
	if t.State != "" {
		printable.Printf(out, "; the shop shows %s", t.State)
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nTIME\tWHERE\tOUTCOME\tWHAT\tRECORD\tOFFSET\tTRANSACTION")
	for _, s := range t.Fold() {
		at := "-"
		if s.At != nil {
			at = s.At.Local().Format("2006-01-02 15:04:05.000")
		}
		printable.Printf(w, "%s\t%s\t%s\t%s\t", at, s.Stage, s.Outcome, s.What)
		if p := s.Place; p != nil {
			printable.Printf(w, "%d/%d\t%d\t%s", p.Generation, p.Seq, p.Offset, p.Transaction)
		} else {
			fmt.Fprint(w, "\t\t")
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // what it writes to has said so already
	for _, s := range t.Steps {
		if s.Why == "" {
			continue
		}
		printable.Printf(out, "\n%s: %s\n  %s\n", s.Stage, s.What, sentence(s.Why))
		if s.Mend != "" {
			printable.Printf(out, "  To mend: %s\n", s.Mend)
		}
	}
	for _, n := range t.Notes {
		printable.Printf(out, "\n%s\n", n)
	}
}

// sentence ends with a full stop.
func sentence(text string) string {
	text = strings.TrimSpace(text)
	if text == "" || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}
