package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// hostile is what somebody may call himself.
const hostile = "Anna\n{\"level\":\"error\",\"message\":\"order 1 dropped\"}\r\x1b[2J\u0085\u2028\u202egnp\x9b31m\x7f"

// A name can't forge a line of the log, nor command the terminal that shows it, wherever in a line it stands.
func TestNamesForgeNoLogLine(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		var out bytes.Buffer
		log := zerolog.New(lines(&out, terminal))
		log.Warn().Str("customer", hostile).Err(errors.New("refused: "+hostile)).Strs("names", []string{hostile}).Interface("any", hostile).Msg("parked: " + hostile)
		text := out.String()
		if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
			t.Errorf("terminal %v: more than a line: %q", terminal, text)
		}
		if !terminal && strings.ContainsFunc(text[:len(text)-1], func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x202e }) {
			t.Errorf("an active character came through: %q", text)
		}
		if terminal && (strings.Contains(text, "\x1b[2J") || strings.ContainsAny(text, "\r\x7f\u0085\u2028\u202e")) {
			t.Errorf("an active character came through: %q", text)
		}
	}
}
