// Command applier applies a shop's log to the ERP.
package main

import (
	"os"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
)

func main() {
	var program struct {
		cli.Common
		applier.Verbs
	}
	os.Exit(cli.Main("applier", "Applies a shop's log to the ERP.", &program.Common, &program))
}
