package schemas

import (
	"fmt"

	"github.com/goccy/go-yaml"
)

// Contract is erp/contract.yaml: what an ERP offers, with the names and types of all its parts.
type Contract struct {
	Version    int                      `yaml:"version"`
	Schema     string                   `yaml:"schema"`
	Types      map[string]yaml.MapSlice `yaml:"types"`      // fields in their order
	Functions  map[string][]string      `yaml:"functions"`  // types of which each argument is an array
	Procedures map[string][]string      `yaml:"procedures"` // likewise, of those that return nothing
	Views      map[string]yaml.MapSlice `yaml:"views"`      // the columns that must be there
	Reasons    yaml.MapSlice            `yaml:"reasons"`
	Publish    []Publication            `yaml:"publish"`
}

// Publication is a table of the ERP whose changes move stock or orders, are mailed, or count documents.
type Publication struct {
	Table   string `yaml:"table"`
	Article string `yaml:"article"` // expression over its row
	Order   string `yaml:"order"`

	// What customers are mailed about.
	Shipment string `yaml:"shipment"`
	Document string `yaml:"document"`
	// Of a table of counters: the columns of a row's series, year, and last number given out, which never goes down.
	Series string `yaml:"series"`
	Year   string `yaml:"year"`
	Last   string `yaml:"last"`
}

// LoadContract reads the contract. Unknown keys are refused.
func LoadContract() (*Contract, error) {
	text, err := ERP.ReadFile("erp/contract.yaml")
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	var c Contract
	if err := yaml.UnmarshalWithOptions(text, &c, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("contract.yaml: %w", err)
	}
	return &c, nil
}
