package bench

import (
	"fmt"
	"io"
	"unicode/utf8"
)

// table prints rows of three columns.
type table struct{ w io.Writer }

const (
	firstColumn  = 56
	secondColumn = 34
)

func (t table) head(measured, target string) {
	fmt.Fprintf(t.w, "%s%s%s\n", pad("", firstColumn), pad(measured, secondColumn), target)
}

func (t table) row(r row) {
	if r.section {
		fmt.Fprintf(t.w, "\n%s\n", r.what)
		return
	}
	mark := ""
	switch {
	case r.target == "":
	case r.missed:
		mark = "  ✗ missed"
	default:
		mark = "  ✓"
	}
	fmt.Fprintf(t.w, "  %s%s%s%s\n", pad(r.what, firstColumn-2), pad(r.measured, secondColumn), r.target, mark)
}

func (t table) end() { fmt.Fprintln(t.w) }

func pad(text string, to int) string {
	for n := utf8.RuneCountInString(text); n < to; n++ {
		text += " "
	}
	return text
}
