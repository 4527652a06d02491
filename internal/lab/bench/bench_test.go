package bench_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/cli/demo"
	"github.com/spola-cdc/spola/internal/lab/bench"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// TestMain makes this test binary one of the programs instead of a run of tests when its first
// argument names it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		os.Exit(program(os.Args[1]))
	}
	os.Exit(m.Run())
}

func program(name string) int {
	os.Args = append(os.Args[:1], os.Args[2:]...)
	switch name {
	case "cdc":
		return cli.Main(cdc.Program())
	case "applier":
		return cli.Main(applier.Program())
	}
	return cli.ExitUsage
}

// A run goes through, on few orders, and has a figure for everything that it prints. How large
// the figures are is no matter of a test.
func TestRun(t *testing.T) {
	// Whether the machine can have the servers at all; the benchmark starts its own.
	server.Kafka(t)
	server.MySQL(t)
	server.Postgres(t)
	exe := readable(t)
	report, err := bench.Run(t.Context(), bench.Options{
		Orders: 300, For: time.Second, Rest: time.Second,
		CDC: []string{exe, "cdc"}, Applier: []string{exe, "applier"},
		Furnish:  demo.Furnish,
		Progress: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, figure := range map[string]float64{
		"decoder":       report.Decoder.RowsPerSecond,
		"cdc":           report.Capture.RowsPerSecond,
		"ceiling":       report.Ceiling.OrdersPerSecond,
		"applier":       report.Takeover.OrdersPerSecond,
		"MySQL":         report.Commits.MySQL.P99,
		"PostgreSQL":    report.Commits.Postgres.P99,
		"beside":        report.Beside.P99,
		"snapshots":     float64(report.Beside.Snapshots),
		"memory of cdc": report.Huge.CDC.Peak,
		"of applier":    report.Huge.Applier.Peak,
		"of kafka":      report.Servers["kafka"],
	} {
		if figure <= 0 {
			t.Errorf("%s: %v", what, figure)
		}
	}
	if len(report.Latencies) != 5 {
		t.Errorf("%d paces, want 5", len(report.Latencies))
	}
	for _, l := range report.Latencies {
		if l.P50 <= 0 || l.P999 < l.P99 || l.P99 < l.P50 || l.Orders == 0 || l.Arrived <= 0 {
			t.Errorf("at %g orders a second: %+v", l.Rate, l)
		}
	}
	var page strings.Builder
	report.Print(&page)
	if text := page.String(); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("the report has no figure somewhere:\n%s", text)
	}
	if _, err := json.Marshal(report); err != nil {
		t.Error(err)
	}
}

// readable is this test binary where the servers' user may read it, who is another one when the
// tests run as root.
func readable(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "spola-bench-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	from, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "programs")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// The way back is measured, too, on few articles: what comes back is delivered whole, shop and mirror agree, and the law holds of what
// was made up to check it over.
func TestRunBack(t *testing.T) {
	server.Kafka(t)
	server.MySQL(t)
	server.Postgres(t)
	exe := readable(t)
	report, err := bench.RunBack(t.Context(), bench.Options{
		Orders: 300, For: time.Second, Rest: time.Second, Articles: 200, Movements: 2000, SKUs: []int{100, 1000}, Old: []int{100, 2000},
		CDC: []string{exe, "cdc"}, Applier: []string{exe, "applier"},
		Furnish:  demo.Furnish,
		Progress: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Movements < 90 || report.Latency.P50 <= 0 || report.Latency.P99 < report.Latency.P50 || report.Hour.Movements != 2000 || report.Hour.Seconds <= 0 ||
		report.Comparison.Rows < 500 || report.Comparison.Unequal != 0 || report.Comparison.Alone.P99 <= 0 || report.Comparison.Beside.P99 <= 0 || len(report.Law) != 4 {
		t.Errorf("%+v", report)
	}
	for _, l := range report.Law {
		if l.Rows-int64(l.SKUs) != report.Law[0].Rows-int64(report.Law[0].SKUs) || l.Seconds <= 0 || l.LookSeconds <= 0 {
			t.Errorf("%+v", l)
		}
	}
	var page strings.Builder
	report.Print(&page)
	if text := page.String(); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("the report has no figure somewhere:\n%s", text)
	}
}
