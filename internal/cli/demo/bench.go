package demo

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/lab/bench"
)

// Bench is `spola bench`.
type Bench struct {
	Orders int    `help:"Orders of the backlog." default:"500000"`
	Dir    string `help:"Keep the data in this directory." type:"path"`
	JSON   bool   `help:"End with the figures as one line of JSON." name:"json"`
}

// Run measures, and shows each figure beside its target. It judges nothing.
func (b Bench) Run(env *cli.Env) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	report, err := bench.Run(env.Ctx, bench.Options{Orders: b.Orders, Dir: b.Dir,
		CDC: []string{self, "cdc"}, Applier: []string{self, "applier"},
		Furnish:  Furnish,
		Progress: func(line string) { fmt.Fprintln(os.Stderr, line) }})
	if err != nil {
		return err
	}
	if b.JSON {
		return json.NewEncoder(env.Out).Encode(report)
	}
	report.Print(env.Out)
	return nil
}
