package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/schemas"
)

// setting is a file that people write.
type setting struct {
	title    string
	of       reflect.Type
	words    map[string][]string // those that may stand for a key
	patterns map[string]string
	required map[string][]string // keys of a section that have to be there
	names    map[string][]string // what the keys of a map may be
	left     string              // a key that is refused with a sentence of its own
}

// settings are the files, by the names of their schemas.
func settings() map[string]setting {
	return map[string]setting{
		"spola": {title: "spola.yaml: where the shop, the ERP and the log are", of: reflect.TypeFor[config.Config](),
			words: map[string][]string{"kafka.mechanism": append([]string{""}, config.Mechanisms...), "shop.platform": platforms(),
				"smtp.tls": append([]string{""}, config.TLSModes...)},
			patterns: map[string]string{
				"shop.name": config.SourceName, "shop.database": `^mysql://[^@/:]+@[^/]+/.+`, "erp.database": `^postgres(ql)?://[^@/:]+@[^/]+/.+`,
				"kafka.brokers[]": config.Address, "broker.listen": config.Address, "shop.orders_since": `^(\d{4}-\d{2}-\d{2})?$`,
				"smtp.server": `^$|` + config.Address, "smtp.since": `^(\d{4}-\d{2}-\d{2})?$`,
				"notices.to": `^$|` + config.NoticesTo, "notices.digest": `^$|` + config.DigestHour,
			},
			required: map[string][]string{"": {"shop", "erp"}, "shop": {"name", "platform", "database"}, "erp": {"database"}}},
		"shop": {title: "The shop file: what a shop's states, totals, payments and fields mean", of: reflect.TypeFor[intake.ShopFile](),
			words: map[string][]string{
				"states[].class": intake.Classes, "totals[].kind": intake.TotalKinds, "payments{}": intake.Moneys, "custom_fields{}": intake.Meanings,
				"customer_groups{}": intake.Kinds, "customers.match[]": intake.Matches, "customers.malformed": append([]string{""}, intake.Malformeds...),
				"natures[].kind": append([]string{""}, intake.Kinds...),
			},
			patterns: map[string]string{"natures[].country": intake.CountryCode, "parcels{}": `\{tracking\}`},
			names:    map[string][]string{"statuses": intake.ERPStates},
			required: map[string][]string{"": {"platform", "states"}, "states[]": {"state", "class"}, "totals[]": {"code", "kind"},
				"fixed_taxes[]": {"title", "rate"}, "natures[]": {"country", "nature"}},
			left: "prefix"},
	}
}

// platforms are those whose shops can be read.
func platforms() (names []string) {
	known, err := schemas.KnownPlatforms()
	if err != nil {
		return nil // a test of schemas tells
	}
	for _, p := range known {
		if _, _, err := schemas.Platform(p.Platform); err == nil {
			names = append(names, p.Platform)
		}
	}
	return names
}

// object is a JSON object whose keys keep their order.
type object []entry

type entry struct {
	key   string
	value any
}

// MarshalJSON writes the keys in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, e := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(e.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", e.key, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// schema is the JSON Schema of the file.
func (s setting) schema(said *comments) (string, error) {
	whole := object{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", s.title}}
	rest, err := s.kind(said, s.of, "")
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(append(whole, rest...)); err != nil {
		return "", err
	}
	return b.String(), nil
}

// kind says what a value of a type may be.
func (s setting) kind(said *comments, t reflect.Type, key string) (object, error) {
	switch t.String() {
	case "time.Duration":
		return object{{"type", "string"}, {"pattern", `^(\d+(\.\d+)?(h|m|s|ms))+$`}}, nil
	case "decimal.Decimal":
		return object{{"type", []string{"number", "string"}}, {"pattern", `^\d+(\.\d+)?$`}}, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.kind(said, t.Elem(), key)
	case reflect.Struct:
		return s.section(said, t, key)
	case reflect.Slice:
		of, err := s.kind(said, t.Elem(), key+"[]")
		return object{{"type", []string{"array", "null"}}, {"items", of}}, err
	case reflect.Map:
		of, err := s.kind(said, t.Elem(), key+"{}")
		out := object{{"type", []string{"object", "null"}}, {"additionalProperties", of}}
		if names := s.names[key]; names != nil {
			out = append(out, entry{"propertyNames", object{{"enum", names}}})
		}
		return out, err
	case reflect.Bool:
		return object{{"type", "boolean"}}, nil
	case reflect.String:
		out := object{{"type", "string"}}
		if words := s.words[key]; words != nil {
			out = append(out, entry{"enum", words})
		}
		if pattern := s.patterns[key]; pattern != "" {
			out = append(out, entry{"pattern", pattern})
		}
		return out, nil
	case reflect.Int, reflect.Int64:
		return object{{"type", "integer"}}, nil
	case reflect.Uint32:
		return object{{"type", "integer"}, {"minimum", 0}}, nil
	}
	return nil, fmt.Errorf("%s: no schema for %s", key, t)
}

// section is the schema of a struct: each field with what the source says of it.
func (s setting) section(said *comments, t reflect.Type, key string) (object, error) {
	properties := object{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" || name == s.left {
			continue
		}
		whole := strings.TrimPrefix(key+"."+name, ".")
		of, err := s.kind(said, f.Type, whole)
		if err != nil {
			return nil, err
		}
		text, err := said.of(t, f.Name)
		if err != nil {
			return nil, err
		}
		if text != "" {
			of = append(object{{"description", text}}, of...)
		}
		properties = append(properties, entry{name, of})
	}
	out := object{{"type", "object"}, {"properties", properties}, {"additionalProperties", false}}
	if required := s.required[key]; required != nil {
		out = append(out, entry{"required", required})
	}
	return out, nil
}
