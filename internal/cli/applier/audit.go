package applier

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
)

// Audit is `applier audit`.
type Audit struct {
	Order int64 `help:"Only those about this order of the shop." placeholder:"NUMBER"`
	Last  int   `help:"How many, newest first." default:"50"`
	JSON  bool  `help:"Print JSON." name:"json"`
}

// Run lists what people have decided.
func (a Audit) Run(env *cli.Env) error {
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		list, err := intake.ListAudit(env.Ctx, conn, shop, a.Order, a.Last)
		if err != nil {
			return err
		}
		if a.JSON {
			if list == nil {
				list = []intake.Audited{}
			}
			return json.NewEncoder(env.Out).Encode(list)
		}
		if len(list) == 0 {
			fmt.Fprintln(env.Out, "Nobody has decided anything yet.")
			return nil
		}
		printAudit(env.Out, list)
		return nil
	})
}

func printAudit(out io.Writer, list []intake.Audited) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, a := range list {
		about := "shop"
		if a.Order != nil {
			about = fmt.Sprintf("order %d", *a.Order)
		}
		printable.Printf(w, "%s\t%s\t%s\t%s %s\t%s\n", a.At.Local().Format(time.DateTime), a.Who, about, a.Verb, a.Decision, a.Reason)
	}
	_ = w.Flush() // what it writes to has said so already
}
