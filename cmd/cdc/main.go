// Command cdc reads a shop's binlog into its log on Kafka.
package main

import (
	"os"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/cdc"
)

func main() {
	var program struct {
		cli.Common
		cdc.Verbs
	}
	os.Exit(cli.Main("cdc", "Reads a shop's binlog into its log on Kafka.", &program.Common, &program))
}
