package shop

import (
	_ "embed" // the shop's SQL
	"fmt"
	"strings"
)

//go:embed schema.sql
var schemaSQL string

//go:embed data.sql
var dataSQL string

//go:embed checkout.sql
var checkoutSQL string

// statements are the shop's statements by name, with the table prefix filled in.
type statements map[string]string

func loadStatements(prefix string) statements {
	all := parseStatements(withPrefix(checkoutSQL, prefix))
	columns := all["order columns"]
	for name, text := range all {
		all[name] = strings.ReplaceAll(text, "{order}", columns)
	}
	return all
}

// parseStatements takes a file apart at its lines "-- name:".
func parseStatements(sql string) statements {
	all := statements{}
	name := ""
	for _, line := range strings.Split(sql, "\n") {
		if found, ok := strings.CutPrefix(line, "-- name: "); ok {
			name = found
			continue
		}
		if name == "" || line == "" || strings.HasPrefix(line, "--") {
			continue
		}
		all[name] += line
	}
	return all
}

func (s statements) get(name string) (string, error) {
	text, ok := s[name]
	if !ok {
		return "", fmt.Errorf("the test shop has no statement %q", name)
	}
	return text, nil
}

func withPrefix(sql, prefix string) string {
	return strings.ReplaceAll(sql, "{prefix}", prefix)
}

// script splits a file of plain statements, each ended by a semicolon at the end of a line.
func script(sql string) []string {
	var out []string
	for _, statement := range strings.Split(sql, ";\n") {
		if strings.TrimSpace(statement) != "" {
			out = append(out, statement)
		}
	}
	return out
}
