package applier

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
)

// Customers is `applier customers`.
type Customers struct {
	JSON bool `help:"Print JSON." name:"json"`
}

// Run lists what is flagged about customers.
func (c Customers) Run(env *cli.Env) error {
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		flags, err := intake.ListFlags(env.Ctx, conn, shop)
		if err != nil {
			return err
		}
		if c.JSON {
			if flags == nil {
				flags = []intake.Flag{}
			}
			return json.NewEncoder(env.Out).Encode(flags)
		}
		if len(flags) == 0 {
			fmt.Fprintln(env.Out, "Nothing is flagged about customers.")
			return nil
		}
		w := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "WHERE\tFIELD\tVALUE\tWHAT")
		for _, f := range flags {
			printable.Printf(w, "%s\t%s\t%s\t%s\n", f.Subject, f.Field, f.Value, f.What)
		}
		return w.Flush()
	})
}
