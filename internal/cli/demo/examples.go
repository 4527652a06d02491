package demo

import (
	"github.com/spola-cdc/spola/internal/cli"
)

// Examples of `spola demo`.
func (Demo) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "until ctrl-C"},
		{Args: "--for 20s --shop mariadb --json", For: "for twenty seconds on MariaDB, with the proof for a program"},
		{Args: "--existing 5000", For: "a shop that has a past"},
		{Args: "--page 127.0.0.1:9395", For: "with the flow in a browser"},
	}
}

// Result of `spola demo` --json.
func (Demo) Result() any { return Proof{} }

// Examples of `spola chaos`.
func (Chaos) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--for 60s --brokers 3", For: "a minute on three brokers of Apache Kafka"},
		{Args: "--shops 2", For: "two shops on one ERP"},
		{Args: "--pieces 3 --rate 200 --clerk 20", For: "hundreds of shoppers at once, few pieces of each article"},
	}
}

// Result of `spola chaos` --json.
func (Chaos) Result() any { return ChaosProof{} }

// Examples of `spola bench`.
func (Bench) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--orders 50000", For: "five minutes"},
		{Args: "--back", For: "the way back: latency of stock, an hour's backlog, the law over a million rows"},
	}
}

// Result of `spola bench` --json.
func (Bench) Result() any { return benchFigures{} }
