package cdc

import "github.com/spola-cdc/spola/internal/cli"

// Program is the program cdc.
func Program() cli.Program {
	var grammar struct {
		cli.Common
		Verbs
	}
	return cli.Program{Name: "cdc", Description: "Reads a shop's binlog, or the ERP's write-ahead log, into its log on Kafka.",
		Common: &grammar.Common, Grammar: &grammar}
}

// Examples of `cdc run`.
func (Run) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "read the shop until ctrl-C"},
		{Args: "erp", For: "read what changes in the ERP"},
		{Args: "--new-generation", For: "once, when the log's topic was lost, emptied or made again"},
		{Args: "--moved-from 127.0.0.1:9392", For: "once, when the log has moved from these brokers to those of spola.yaml"},
		{Args: "--new-incarnation", For: "once, when the shop's database was restored from a backup"},
	}
}

// Examples of `cdc preflight`.
func (Preflight) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "can the shop be read?"},
		{Args: "erp --json", For: "can the ERP be read, told to a program"},
		{Args: "erp --make spola_migrator", For: "make what is missing in the ERP, as the owner of its tables"},
	}
}

// Result of `cdc preflight` --json.
func (Preflight) Result() any { return looked{} }

// Examples of `cdc snapshot`.
func (Snapshot) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "read all tables of the shop again, beside the stream"},
		{Args: "oc_order --from 4000 --to 5000", For: "the orders 4001 to 5000 only"},
		{Args: "erp erp.stock", For: "a table of the ERP"},
	}
}

// Result of `cdc snapshot` --json.
func (Snapshot) Result() any { return asked{} }

// Examples of `cdc position`.
func (Position) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "where in the shop's binlog the log ends, and what a snapshot has still to read"},
		{Args: "erp --json", For: "the same of the ERP, for a program"},
	}
}

// Result of `cdc position` --json.
func (Position) Result() any { return position{} }
