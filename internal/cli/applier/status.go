package applier

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/stream"
)

// Status is `applier status`.
type Status struct {
	JSON bool `help:"Print JSON." name:"json"`
}

// lag is how far the applier is behind the end of the log.
type lag struct {
	Events  int64   `json:"events"`  // records that are not applied yet
	Seconds float64 `json:"seconds"` // since the shop committed the oldest of them
}

// status is what `applier status` tells.
type status struct {
	intake.Overview
	Lag lag `json:"lag"`
}

// Run shows how far the applier is and what became of the orders, whether or not it runs.
func (s Status) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config, config.NeedERP)
	if err != nil {
		return err
	}
	var o intake.Overview
	err = withShop(env, func(conn *pgx.Conn, shop string) error {
		o, err = intake.Look(env.Ctx, conn, shop)
		return err
	})
	if err != nil {
		return err
	}
	if !s.JSON {
		printOverview(env.Out, o)
	}
	measured, err := stream.MeasureLag(env.Ctx, cfg.Stream(env.Log), o.Offset)
	if err != nil {
		return err
	}
	behind := lag{Events: measured.Events, Seconds: measured.Age.Seconds()}
	if s.JSON {
		return json.NewEncoder(env.Out).Encode(status{o, behind})
	}
	printable.Printf(env.Out, "lag       %d records, %.1f s\n", behind.Events, behind.Seconds)
	return nil
}

func printOverview(w io.Writer, o intake.Overview) {
	cut := ""
	if o.Cut != nil {
		cut = ", orders from " + o.Cut.Format(time.DateTime) + " on"
	}
	printable.Printf(w, "shop      %s, mode %s%s, first snapshot %s\n", o.Shop, o.Mode, cut, yes(o.Snapshot, "complete", "not complete"))
	printable.Printf(w, "place     generation %d, record %d, moved %s ago\n", o.Generation, o.Seq, time.Since(o.Moved).Round(time.Millisecond))
	if o.Paused != nil {
		printable.Printf(w, "          Paused by %s since %s: applier resume lets it go on.\n", o.PausedBy, o.Paused.Local().Format(time.DateTime))
	}
	if o.Mode == "observe" {
		fmt.Fprintln(w, "          Only observed: nothing is written to the ERP's orders. What follows is what would be.")
	}
	label := "orders"
	for _, k := range intake.OrderKinds {
		n := o.Orders[k.Kind]
		if n.Count == 0 {
			continue
		}
		printable.Printf(w, "%-8s %7d  %s%s\n", label, n.Count, yes(o.Mode == "observe", k.Observed, k.Live), examples(n))
		label = ""
	}
	if label != "" {
		fmt.Fprintln(w, "orders          none so far")
	}
	if o.Waiting > 0 {
		printable.Printf(w, "%-8s %7d  settle, or are to be derived again\n", "", o.Waiting)
	}
	label = "parked"
	for _, p := range o.Parked {
		printable.Printf(w, "%-8s %7d  %s: %s\n%18sorder %d: %s\n%18sto mend: %s\n", label, p.Count, p.Reason, p.Why, "", p.Examples[0], p.What[0], "", p.Mend)
		label = ""
	}
	label = "flagged"
	for _, f := range o.Flagged {
		printable.Printf(w, "%-8s %7d  customers' %s can't be right (%s%s): applier customers\n", label, f.Count, f.Field,
			strings.Join(f.Examples, ", "), yes(f.Count > int64(len(f.Examples)), " …", ""))
		label = ""
	}
}

// examples names the newest orders of a sample: " (4713, 4712, 4711 …)".
func examples(n intake.Sample) string {
	var words []string
	for _, id := range n.Examples {
		words = append(words, strconv.FormatInt(id, 10))
	}
	return fmt.Sprintf(" (%s%s)", strings.Join(words, ", "), yes(n.Count > int64(len(words)), " …", ""))
}

func yes(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
