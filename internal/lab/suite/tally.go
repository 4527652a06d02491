package suite

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// result is what one package's tests did.
type result struct {
	name                    string
	took                    time.Duration
	passed, failed, skipped int
	broken                  string // why it failed although no test did; empty if not so
	output                  string
}

// A result line of a test binary in its test2json mode: marked by ^V, so that nothing that a
// test prints is taken for one.
var resultLine = regexp.MustCompile("\x16 *--- (PASS|FAIL|SKIP): (\\S+) \\(")

// chatter is what a test binary says about tests on their way.
var chatter = regexp.MustCompile("\x16(?:=== (?:RUN|PAUSE|CONT|NAME) .*| *--- (?:PASS|SKIP): .*)\n")

// count reads the output of a test binary. It counts tests, not subtests.
func count(output string) result {
	r := result{output: strings.ReplaceAll(chatter.ReplaceAllString(output, ""), "\x16", "")}
	for _, found := range resultLine.FindAllStringSubmatch(output, -1) {
		if strings.Contains(found[2], "/") {
			continue
		}
		switch found[1] {
		case "PASS":
			r.passed++
		case "FAIL":
			r.failed++
		case "SKIP":
			r.skipped++
		}
	}
	return r
}

// tally adds up the packages' results and writes them. Its methods are safe for use by
// several goroutines.
type tally struct {
	out   io.Writer
	width int

	mu                      sync.Mutex
	passed, failed, skipped int
	failures                []string
}

// align makes the names' column wide enough.
func (t *tally) align(jobs []job) {
	for _, j := range jobs {
		t.width = max(t.width, len(j.name))
	}
}

// add writes a package's line, and in full what it printed if it failed.
func (t *tally) add(r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.broken != "" {
		r.failed++
	}
	t.passed += r.passed
	t.failed += r.failed
	t.skipped += r.skipped
	word := "ok  "
	if r.failed > 0 {
		word = "FAIL"
		t.failures = append(t.failures, r.name)
	}
	fmt.Fprintf(t.out, "%s  %-*s %7.2fs  %s\n", word, t.width, r.name, r.took.Seconds(), r.counts())
	if r.failed > 0 {
		fmt.Fprintf(t.out, "%s\n", strings.TrimRight(r.output, "\n"))
	}
	if r.broken != "" {
		fmt.Fprintf(t.out, "%s: %s\n", r.name, r.broken)
	}
}

func (r result) counts() string {
	text := fmt.Sprintf("%d tests", r.passed+r.failed+r.skipped)
	if r.failed > 0 {
		text += fmt.Sprintf(", %d failed", r.failed)
	}
	if r.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", r.skipped)
	}
	return text
}

// close writes what was skipped, what failed, and the closing line that CI reads.
func (t *tally) close(skips string) error {
	text, err := os.ReadFile(skips)
	if err != nil {
		return fmt.Errorf("read what was skipped: %w", err)
	}
	lines := slices.Sorted(strings.Lines(string(text)))
	if len(lines) > 0 {
		fmt.Fprintf(t.out, "\nskipped, for want of something:\n")
		for _, line := range lines {
			fmt.Fprint(t.out, "  ", line)
		}
	}
	if len(t.failures) > 0 {
		fmt.Fprintf(t.out, "\nfailed: %s\n", strings.Join(t.failures, ", "))
	}
	fmt.Fprintf(t.out, "\n%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	if t.failed > 0 {
		return ErrFailed
	}
	return nil
}
