package spola

import (
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/survey"
)

// Examples of `spola init`.
func (Init) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--shop mysql://spola_cdc@shop.example.com/shop --erp postgres://spola_applier@erp.example.com/erp", For: "passwords in SPOLA_SHOP_PASSWORD and SPOLA_ERP_PASSWORD"},
		{Args: "--shop mysql://spola_cdc@shop.example.com/shop --erp postgres://spola_applier@erp.example.com/erp --brokers kafka:9092 --dir /etc/spola", For: "with the log on Kafka"},
	}
}

// Result of `spola init` --json.
func (Init) Result() any { return written{} }

// Examples of `spola doctor`.
func (Doctor) Examples() []cli.Example {
	return []cli.Example{{Args: "", For: "what is wrong, worst first"}, {Args: "--json", For: "for a program"}}
}

// Result of `spola doctor` --json.
func (Doctor) Result() any { return survey.Report{} }

// Examples of `spola run`.
func (Run) Examples() []cli.Example {
	return []cli.Example{
		{Args: "--config /etc/spola/spola.yaml", For: "all of it in one process, until ctrl-C"},
		{Args: "--metrics 127.0.0.1:9394", For: "with its lag for Prometheus"},
	}
}

// Examples of `spola metrics`.
func (Metrics) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "at 127.0.0.1:9394: /metrics, /livez, /readyz?verbose"},
		{Args: "--listen 10.0.0.5:9394", For: "for a Prometheus on another host: figures, and nothing of a customer"},
	}
}

// Examples of `spola notices`.
func (Notices) Examples() []cli.Example {
	return []cli.Example{
		{Args: "", For: "what waits for a person, and who is told of it"},
		{Args: "--test", For: "mail it now, to see that it arrives"},
	}
}

// Result of `spola notices` --json.
func (Notices) Result() any { return noticed{} }

// Examples of `spola broker`.
func (Broker) Examples() []cli.Example {
	return []cli.Example{{Args: "--dir broker --listen 127.0.0.1:9392", For: "let the log of a trial be read while it moves to Kafka"}}
}

// Examples of `spola remove`.
func (Remove) Examples() []cli.Example {
	return []cli.Example{{Args: "--dry-run", For: "what would go, and what stays"}, {Args: "--yes", For: "take it away, for good"}}
}

// Result of `spola remove` --json.
func (Remove) Result() any { return removed{} }

// Examples of `spola schema`.
func (Schema) Examples() []cli.Example {
	return []cli.Example{
		{Args: "spola > spola.schema.json", For: "then, as the first line of spola.yaml: # yaml-language-server: $schema=spola.schema.json"},
		{Args: "shop > shop.schema.json", For: "the same for shop.yaml"},
	}
}
