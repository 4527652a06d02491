// Command spola is all of Spola in one program: every verb of cdc and applier, the whole
// pipeline in one process, the embedded broker, and the demo.
package main

import (
	"os"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/all"
)

func main() { os.Exit(cli.Main(all.Program())) }
