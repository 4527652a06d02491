// Command cdc reads a shop's binlog, or the ERP's write-ahead log, into its log on Kafka.
package main

import (
	"os"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/cdc"
)

func main() { os.Exit(cli.Main(cdc.Program())) }
