package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// Example is a command line that works, told by what follows the verb.
type Example struct {
	Args string // as typed into a shell: --from 2026-12-01 --dry-run; PROGRAM stands for the program's name
	For  string // what it is good for
}

// Exampled is a verb with examples.
type Exampled interface{ Examples() []Example }

// Resulting is a verb that prints its result as JSON where it is told --json.
type Resulting interface{ Result() any } // an empty one, or Results

// Results are empty results of a verb that has several, each with the flags that make it so.
type Results []struct {
	For string
	Of  any
}

// ExamplesOf are the examples of a verb; none if it has none.
func ExamplesOf(verb *kong.Node) []Example {
	if e, ok := verb.Target.Addr().Interface().(Exampled); ok {
		return e.Examples()
	}
	return nil
}

// ResultOf is an empty result of a verb; nil if it has none.
func ResultOf(verb *kong.Node) any {
	if r, ok := verb.Target.Addr().Interface().(Resulting); ok {
		return r.Result()
	}
	return nil
}

// printHelp adds to kong's help the examples of a verb or, for a whole program, the exit statuses.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	verb := ctx.Selected()
	if verb == nil {
		printExits(ctx.Stdout)
		return nil
	}
	examples := ExamplesOf(verb)
	if len(examples) > 0 {
		fmt.Fprint(ctx.Stdout, "\nExamples:\n")
	}
	for _, e := range examples {
		fmt.Fprintf(ctx.Stdout, "  # %s\n  %s\n", e.For, e.Line(verb))
	}
	fmt.Fprintf(ctx.Stdout, "\nWhat its exit status means: %s --help\n", ctx.Model.Name)
	return nil
}

// Line is the example as it is typed for this verb.
func (e Example) Line(verb *kong.Node) string {
	program, _, _ := strings.Cut(verb.FullPath(), " ")
	return strings.TrimSpace(verb.FullPath() + " " + strings.ReplaceAll(e.Args, "PROGRAM", program))
}

func printExits(w io.Writer) {
	fmt.Fprint(w, "\nExit status:\n")
	for _, e := range Exits {
		fmt.Fprintf(w, "  %-4d %s\n", e.Status, e.Meaning)
	}
}
