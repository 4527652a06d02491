// Command applier applies a shop's log to the ERP.
package main

import (
	"os"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
)

func main() { os.Exit(cli.Main(applier.Program())) }
