package keys_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/parser"
	"github.com/shopspring/decimal"

	"github.com/spola-cdc/spola/internal/keys"
)

type file struct {
	Shop struct {
		Name   string `yaml:"name"`
		Prefix string `yaml:"prefix"`
	} `yaml:"shop"`
	Kafka struct {
		Brokers []string `yaml:"brokers"`
	} `yaml:"kafka"`
	States []struct {
		State string           `yaml:"state"`
		Rate  *decimal.Decimal `yaml:"rate"`
	} `yaml:"states"`
	Payments map[string]string `yaml:"payments"`
	Secret   string            `yaml:"-"`
}

// Each key that nobody reads is found, with its line and what was meant; entries of maps are no keys.
func TestUnknownKeys(t *testing.T) {
	text := `shop: {name: a, prefx: oc_, brokers: x}
kafka:
  Broker: [a]
states:
  - {state: "1", rate: 22}
  - sate: "2"
    zebra: 1
payments: {cod: paid, anything: paid}
secret: x
`
	parsed, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range keys.Find(parsed, reflect.TypeFor[file]()) {
		got = append(got, fmt.Sprintf("%d %s %s", u.Line, u.Key, u.Near))
	}
	want := "1 prefx shop.prefix|1 brokers kafka.brokers|3 Broker kafka.brokers|6 sate states.state|7 zebra |9 secret "
	if strings.Join(got, "|") != want {
		t.Errorf("found %s\nwant  %s", strings.Join(got, "|"), want)
	}
}
