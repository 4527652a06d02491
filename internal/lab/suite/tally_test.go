package suite

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const plantedVariable = "SPOLA_SUITE_PLANTED"

// plantedTests are what TestCount runs this binary for, in a process of its own.
var plantedTests = []testing.InternalTest{
	{Name: "TestPass", F: func(t *testing.T) {
		t.Run("sub", func(t *testing.T) { t.Run("subsub", func(*testing.T) {}) })
		os.Stdout.WriteString("--- FAIL: TestThatOnlyPrints (0.00s)")
	}},
	{Name: "TestFail", F: func(t *testing.T) {
		if os.Getenv(plantedVariable) == "fail" {
			t.Run("sub", func(t *testing.T) { t.Error("planted failure") })
		}
	}},
	{Name: "TestSkip", F: func(t *testing.T) { t.Skip("planted skip") }},
	{Name: "TestPanic", F: func(*testing.T) {
		if os.Getenv(plantedVariable) == "panic" {
			panic("planted panic")
		}
	}},
}

func TestMain(m *testing.M) {
	if os.Getenv(plantedVariable) != "" {
		testing.Main(func(string, string) (bool, error) { return true, nil }, plantedTests, nil, nil)
	}
	os.Exit(m.Run())
}

// planted runs the planted tests.
func planted(t *testing.T, how string) (string, error) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.v=test2json")
	cmd.Env = append(os.Environ(), plantedVariable+"="+how)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestCount(t *testing.T) {
	out, err := planted(t, "pass")
	if err != nil {
		t.Fatalf("the planted tests fail: %v\n%s", err, out)
	}
	if r := count(out); r.passed != 3 || r.failed != 0 || r.skipped != 1 {
		t.Errorf("passed, failed, skipped = %d, %d, %d, want 3, 0, 1; output:\n%s", r.passed, r.failed, r.skipped, out)
	}
	out, err = planted(t, "fail")
	if err == nil {
		t.Fatal("the planted failure does not fail")
	}
	r := count(out)
	if r.passed != 2 || r.failed != 1 || r.skipped != 1 {
		t.Errorf("passed, failed, skipped = %d, %d, %d, want 2, 1, 1; output:\n%s", r.passed, r.failed, r.skipped, out)
	}
	if !strings.Contains(r.output, "planted failure") || strings.Contains(r.output, "=== RUN") {
		t.Errorf("the output of a failure should be its own words only:\n%s", r.output)
	}
}

// A run in which anything failed must not look like one that passed.
func TestTally(t *testing.T) {
	skips := filepath.Join(t.TempDir(), "skips")
	write := func(text string) {
		if err := os.WriteFile(skips, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report := func(results ...result) (string, error) {
		var out strings.Builder
		all := tally{out: &out}
		for _, r := range results {
			all.add(r)
		}
		err := all.close(skips)
		return out.String(), err
	}
	write("TestKafka: no network\n")
	out, err := report(result{name: "a", passed: 2}, result{name: "b", passed: 1, skipped: 1})
	if err != nil || !strings.HasSuffix(out, "\n3 passed, 0 failed, 1 skipped\n") {
		t.Errorf("all passed, but: %v\n%s", err, out)
	}
	if !strings.Contains(out, "TestKafka: no network") {
		t.Errorf("what was skipped is not listed:\n%s", out)
	}
	write("")
	out, err = report(result{name: "a", passed: 2, failed: 1, output: "why"}, result{name: "b", passed: 1})
	if !errors.Is(err, ErrFailed) || !strings.HasSuffix(out, "\n3 passed, 1 failed, 0 skipped\n") || !strings.Contains(out, "why") {
		t.Errorf("a test failed, but: %v\n%s", err, out)
	}
	// A binary that dies prints no line for the test that killed it.
	out, err = report(result{name: "a", passed: 2, broken: "exit status 2"})
	if !errors.Is(err, ErrFailed) || !strings.HasSuffix(out, "\n2 passed, 1 failed, 0 skipped\n") {
		t.Errorf("a binary died, but: %v\n%s", err, out)
	}
}

func TestPanicIsAFailure(t *testing.T) {
	out, err := planted(t, "panic")
	if err == nil {
		t.Fatal("the planted panic does not fail")
	}
	if r := count(out); r.failed == 0 && !strings.Contains(r.output, "planted panic") {
		t.Errorf("a panic is neither counted nor shown:\n%s", out)
	}
}
