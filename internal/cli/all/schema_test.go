package all_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/schemas"
)

// valid says what the schema of a file says of a text; nil: nothing is wrong.
func valid(t *testing.T, name, text string) error {
	t.Helper()
	raw, err := schemas.Config.ReadFile("config/" + name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("file.json", parsed); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("file.json")
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}

// An editor that goes by the schemas says of a file what the programs say of it.
func TestSchemasAgreeWithThePrograms(t *testing.T) {
	for _, name := range []string{"SPOLA_SHOP_PASSWORD", "SPOLA_ERP_PASSWORD", "SPOLA_KAFKA_PASSWORD"} {
		t.Setenv(name, "")
	}
	for _, file := range []struct {
		name, path string
		load       func(text string) error
		sound      [][2]string
		wrong      [][2]string
	}{
		{name: "spola", path: "../../../deploy/spola.example.yaml", load: func(text string) error {
			path := filepath.Join(t.TempDir(), "spola.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := config.Load(path)
			return err
		}, sound: [][2]string{
			{"brokers: []  ", "brokers: [kafka1:9092, '[::1]:9092']"}, {"retention: 336h ", "retention: 24h30m"}, {`orders_since: ""  `, "orders_since: '2026-01-01'"},
			{"/shop  # MySQL", "/shop?tls=true  # MySQL"}, {"listen: 127.0.0.1:9392", "listen: localhost:9392"},
			{`mechanism: ""  `, `mechanism: scram-sha-512`},
		}, wrong: [][2]string{
			{"prefix: oc_ ", "prefx: oc_"}, {"name: shop ", "name: Shop-1"}, {"mysql://", "postgres://"}, {"spola_cdc@127", "spola_cdc:secret@127"},
			{"retention: 336h ", "retention: two weeks"}, {"brokers: [] ", "brokers: [kafka1]"}, {`mechanism: ""`, "mechanism: gssapi"}, {"# tls: true", "tls: perhaps"},
			{"server_id: 0", "server_id: -1"}, {`orders_since: ""  `, "orders_since: yesterday"}, {"platform: opencart", "platform: magento"},
		}},
		{name: "shop", path: "../../../deploy/shop.opencart.example.yaml", load: func(text string) error {
			_, err := intake.ParseShopFile([]byte(text))
			return err
		}, sound: [][2]string{
			{"fixed_taxes: []", `fixed_taxes: [{title: Eco, rate: "22.5"}]`}, {"match: []", "match: [email]"}, {"parcels: {}", "parcels: {it: 'Spedito: {tracking}'}"}, {"tax_class: 9}", "rate: 22}"},
		}, wrong: [][2]string{
			{"class: ignored}", "class: ignred}"}, {"class: ignored}", `class: "?"}`}, {"kind: charge,", "kind: charges,"}, {"to_collect\n", "collect\n"}, {"tax_code\n", "taxcode\n"},
			{"{country: EU,", "{country: eu,"}, {"match: []", "match: [name]"}, {"malformed: take", "malformed: ignore"}, {"platform: opencart", "platform: opencart\nprefix: oc_"},
			{"parked_per_minute", "parked_a_minute"}, {"  shipped: \"3\"", "  sent: \"3\""}, {"parcels: {}", "parcels: {it: Spedito}"}, {`"2": company`, `"2": firm`},
		}},
	} {
		text, err := os.ReadFile(file.path)
		if err != nil {
			t.Fatal(err)
		}
		try := func(edit [2]string, sound bool) {
			edited := strings.Replace(string(text), edit[0], edit[1], 1)
			if edited == string(text) && edit[0] != "" {
				t.Errorf("%s has no %q", file.path, edit[0])
			}
			if strings.HasPrefix(edit[1], "mechanism: scram") {
				edited = strings.Replace(edited, `user: ""`, "user: spola", 1)
			}
			if err := file.load(edited); (err == nil) != sound {
				t.Errorf("%s with %q: sound %v, but the program says %v", file.name, edit[1], sound, err)
			}
			if err := valid(t, file.name, edited); (err == nil) != sound {
				t.Errorf("%s with %q: sound %v, but the schema says %v", file.name, edit[1], sound, err)
			}
		}
		try([2]string{}, true)
		for _, edit := range file.sound {
			try(edit, true)
		}
		for _, edit := range file.wrong {
			try(edit, false)
		}
	}
}
