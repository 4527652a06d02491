package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/all"
)

const head = `<!-- Written by go generate ./internal/cli/...; edit the verbs instead. -->
# Commands

What ` + "`--help`" + ` says, on one page, and what ` + "`--json`" + ` prints. The verbs of ` + "`cdc`" + ` and ` + "`applier`" + ` are programs of their own, too: ` + "`applier status`" + ` is
` + "`spola applier status`" + `. Names of fields stay; new ones may come. A field that is left out is empty. Times are RFC 3339, amounts cents.

`

// commands is docs/commands.md.
func commands(said *comments) (string, error) {
	parser, err := all.Program().Parser()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(head + "| exit status | meaning |\n|---|---|\n")
	for _, e := range cli.Exits {
		fmt.Fprintf(&b, "| %d | %s |\n", e.Status, e.Meaning)
	}
	b.WriteString("\nOf all verbs:\n\n")
	flags(&b, parser.Model.Flags)
	for _, verb := range parser.Model.Leaves(true) {
		if err := command(&b, said, verb); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func command(b *strings.Builder, said *comments, verb *kong.Node) error {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n```sh\n", verb.FullPath(), verb.Help)
	for _, e := range cli.ExamplesOf(verb) {
		fmt.Fprintf(b, "%s   # %s\n", e.Line(verb), e.For)
	}
	b.WriteString("```\n\n")
	for _, p := range verb.Positional {
		fmt.Fprintf(b, "- `%s`: %s\n", p.Summary(), p.Help)
	}
	flags(b, verb.Flags)
	result := cli.ResultOf(verb)
	many, ok := result.(cli.Results)
	if result != nil && !ok {
		many = cli.Results{{Of: result}}
	}
	for _, r := range many {
		title := "`--json`"
		if r.For != "" {
			title += " with " + r.For
		}
		t := reflect.TypeOf(r.Of)
		if t.Kind() == reflect.Slice {
			title += ", a list of"
			t = t.Elem()
		}
		fmt.Fprintf(b, "\n%s:\n\n| field | | |\n|---|---|---|\n", title)
		if err := fields(b, said, t, ""); err != nil {
			return err
		}
	}
	return nil
}

func flags(b *strings.Builder, all []*kong.Flag) {
	for _, f := range all {
		if f.Name == "help" {
			continue
		}
		fmt.Fprintf(b, "- `%s`: %s\n", f.String(), f.Help)
	}
}

// fields is a row for each field of a type, and of those in it.
func fields(b *strings.Builder, said *comments, t reflect.Type, in string) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner, kind := described(f.Type)
		switch {
		case f.Anonymous && name == "":
			if err := fields(b, said, inner, in); err != nil {
				return err
			}
			continue
		case name == "" || name == "-":
			continue
		}
		text, err := said.of(t, f.Name)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", in+name, kind, strings.ReplaceAll(text, "|", `\|`))
		if inner.Kind() == reflect.Struct && strings.HasPrefix(inner.PkgPath(), modulePath) {
			if err := fields(b, said, inner, in+name+"."); err != nil {
				return err
			}
		}
	}
	return nil
}

// described is a type's word in JSON, and the type of its elements or of what it points at.
func described(t reflect.Type) (reflect.Type, string) {
	switch {
	case t.String() == "time.Time":
		return t, "time"
	case t.String() == "json.RawMessage":
		return t, "JSON"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return described(t.Elem())
	case reflect.Slice:
		inner, kind := described(t.Elem())
		return inner, "list of " + kind
	case reflect.Map:
		inner, kind := described(t.Elem())
		return inner, kind + " by key"
	case reflect.Struct:
		return t, "object"
	case reflect.String:
		return t, "text"
	case reflect.Bool:
		return t, "true or false"
	case reflect.Interface:
		return t, "object"
	}
	return t, "number"
}
