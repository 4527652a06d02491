// Package all holds the program spola: every verb of cdc and applier, the whole pipeline in one
// process, the embedded broker, and the demo.
package all

//go:generate go run ../reference

import (
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/cli/demo"
	"github.com/spola-cdc/spola/internal/cli/spola"
)

// Program is the program spola.
func Program() cli.Program {
	var grammar struct {
		cli.Common

		Init    spola.Init    `cmd:"" help:"Look at a shop and an ERP, and write spola.yaml and shop.yaml for them."`
		Doctor  spola.Doctor  `cmd:"" help:"Hold the files against shop, log and ERP: one list of what is wrong, worst first, each with what mends it."`
		Metrics spola.Metrics `cmd:"" help:"Tell Prometheus how far everything is, and answer health checks: lag, what is parked or waits, stock, and a probe that shows that it works."`
		Notices spola.Notices `cmd:"" help:"Show what waits for a person (a stream that has stopped, parked orders, drift, mails that failed), and who is told of it by mail."`
		Run     spola.Run     `cmd:"" help:"Read a shop and take its orders into the ERP, in one process."`
		Broker  spola.Broker  `cmd:"" help:"Run the embedded broker, for trying out."`
		Schema  spola.Schema  `cmd:"" help:"Print the JSON Schema of spola.yaml or of a shop file, by which an editor completes and checks it."`
		Remove  spola.Remove  `cmd:"" help:"Take Spola away from a shop and an ERP; the ERP's orders stay."`
		Cdc     cdc.Verbs     `cmd:"" help:"The verbs of the program cdc."`
		Applier applier.Verbs `cmd:"" help:"The verbs of the program applier."`
		Demo    demo.Demo     `cmd:"" help:"Watch it work on a shop and an ERP of its own."`
		Chaos   demo.Chaos    `cmd:"" help:"Kill its parts at random, and prove that nothing is lost or doubled."`
		Bench   demo.Bench    `cmd:"" help:"Measure it, beside what the machine could do without it."`
	}
	return cli.Program{Name: "spola", Description: "Orders from a web shop's database into an ERP's, through Kafka: exactly once, within milliseconds.",
		Common: &grammar.Common, Grammar: &grammar}
}
