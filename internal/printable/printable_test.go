package printable_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spola-cdc/spola/internal/printable"
)

type named string

func TestValuesAreOneLine(t *testing.T) {
	var out bytes.Buffer
	printable.Printf(&out, "%s|%s|%s|%s|%d\n%s\n", "Anna\n2026 order 1 was dropped", named("a\tb"), errors.New("x\x1b[31m"), "caffè 日本 \u202egnp", 7, printable.Block("select 1;\nselect\r2"))
	want := `Anna\n2026 order 1 was dropped|a\tb|x\u001b[31m|caffè 日本 \u202egnp|7` + "\nselect 1;\nselect\\r2\n"
	if out.String() != want {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
}

// Whatever somebody types, it is one line and commands no terminal; what is only to be seen stays as it is.
func TestNoTextDoesAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		shown := printable.Text(text)
		if strings.ContainsFunc(shown, func(r rune) bool {
			return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfffd
		}) {
			t.Fatalf("%q is shown as %q", text, shown)
		}
		if again := printable.Text(shown); again != shown {
			t.Fatalf("%q, shown again: %q", shown, again)
		}
		line, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		if n, err := (printable.Log{W: &log}).Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
		var back, plain string
		if err := json.Unmarshal(log.Bytes(), &back); err != nil {
			t.Fatalf("%s: %v", log.Bytes(), err)
		}
		if err := json.Unmarshal(line, &plain); err != nil || back != plain {
			t.Fatalf("%q became %q in the log", plain, back)
		}
	})
}
