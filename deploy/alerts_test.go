package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/lab/server"
)

// Each alert goes off for its cause and is silent while all is well, by Prometheus's own tool; each has a runbook, and
// no runbook is anybody's.
func TestAlertRules(t *testing.T) {
	lab := server.PrivateLab(t)
	for _, args := range [][]string{{"check", "rules", "spola.rules.yml"}, {"test", "rules", "spola.rules_test.yml"}} {
		if said, err := lab.Promtool(t.Context(), "prometheus", args...); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, said)
		}
	}
	rules, err := os.ReadFile("prometheus/spola.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("prometheus/spola.rules_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !strings.Contains(string(tests), "alertname: "+alert[1]) {
			t.Errorf("%s is not tried", alert[1])
		}
	}
	named := map[string]bool{}
	for _, runbook := range regexp.MustCompile(`runbook: (docs/runbooks/[a-z-]+\.md)`).FindAllStringSubmatch(string(rules), -1) {
		named[filepath.Base(runbook[1])] = true
		if _, err := os.Stat(filepath.Join("..", runbook[1])); err != nil {
			t.Errorf("a runbook is missing: %v", err)
		}
	}
	written, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range written {
		if !named[filepath.Base(path)] {
			t.Errorf("no alert names %s", path)
		}
	}
}
