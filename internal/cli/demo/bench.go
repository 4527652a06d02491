package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/lab/bench"
)

// Bench is `spola bench`.
type Bench struct {
	Orders int    `help:"Orders of the backlog; with --back those that the shop has, 20000 if not given." placeholder:"500000"`
	Back   bool   `help:"Measure the way back instead: from the ERP's stock to the shop's, the law, and the comparison of shop and mirror."`
	Dir    string `help:"Keep the data in this directory." type:"path"`
	JSON   bool   `help:"End with the figures as one line of JSON." name:"json"`
}

// Run measures, and shows each figure beside its target. It judges nothing.
func (b Bench) Run(env *cli.Env) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	options := bench.Options{Orders: b.Orders, Dir: b.Dir,
		CDC: []string{self, "cdc"}, Applier: []string{self, "applier"},
		Furnish:  Furnish,
		Progress: func(line string) { fmt.Fprintln(os.Stderr, line) }}
	var figures benchFigures
	if b.Back {
		report, err := bench.RunBack(env.Ctx, options)
		if err != nil {
			return err
		}
		figures.Back = &report
	} else {
		report, err := bench.Run(env.Ctx, options)
		if err != nil {
			return err
		}
		figures.Report = &report
	}
	if b.JSON {
		return json.NewEncoder(env.Out).Encode(figures)
	}
	figures.Print(env.Out)
	return nil
}

// benchFigures are those of the way in, or of the way back.
type benchFigures struct {
	*bench.Report
	Back *bench.BackReport `json:"back,omitempty"`
}

// Print shows them to a person.
func (f benchFigures) Print(w io.Writer) {
	if f.Back != nil {
		f.Back.Print(w)
		return
	}
	f.Report.Print(w)
}
