// Package printable keeps what customers type from doing more than being read. A line break in a
// name would break a table or forge a line of a log, an escape sequence would command the terminal, and
// marks of direction would show another text than the one that stands there.
package printable

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is a text of one line as a person may see it: what is no letter, sign or space is shown as an escape.
func Text(s string) string { return escape(s, active) }

// Lines is such a text of several lines: line breaks stay.
func Lines(s string) string {
	return escape(s, func(r rune) bool { return r != '\n' && active(r) })
}

// Block is a text whose line breaks are ours, such as a statement: Printf leaves them.
type Block string

// Printf prints values in a form of ours: every text among them is one line, but for Blocks.
func Printf(w io.Writer, format string, args ...any) {
	shown := make([]any, len(args))
	for i, a := range args {
		shown[i] = value(a)
	}
	fmt.Fprintf(w, format, shown...)
}

func value(a any) any {
	switch v := a.(type) {
	case Block:
		return Lines(string(v))
	case string:
		return Text(v)
	case error:
		return Text(v.Error())
	case fmt.Stringer:
		if k := reflect.ValueOf(a).Kind(); k >= reflect.Int && k <= reflect.Float64 {
			return a // a number with a name, such as a duration
		}
		return Text(v.String())
	case []byte:
		return Text(string(v))
	}
	if v := reflect.ValueOf(a); v.Kind() == reflect.String {
		return Text(v.String())
	}
	return a
}

// Log writes lines of a log whose writer has escaped what ASCII knows of, and escapes the rest, as JSON does: the
// controls of ISO 6429 beyond ASCII, line breaks of Unicode, marks of direction.
type Log struct{ W io.Writer }

// Write writes a line.
func (l Log) Write(line []byte) (int, error) {
	if !strings.ContainsFunc(string(line), beyond) {
		return l.W.Write(line)
	}
	if _, err := io.WriteString(l.W, escape(string(line), beyond)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func beyond(r rune) bool { return r >= utf8.RuneSelf && r != utf8.RuneError && active(r) || r == 0x7f }

// active tells what does something from what is only seen.
func active(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError
}

func escape(s string, escaped func(rune) bool) string {
	if !strings.ContainsFunc(s, escaped) {
		return s
	}
	var b strings.Builder
	for at, r := range s {
		switch {
		case !escaped(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == utf8.RuneError && !strings.HasPrefix(s[at:], "\ufffd"):
			fmt.Fprintf(&b, `\x%02x`, s[at])
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
