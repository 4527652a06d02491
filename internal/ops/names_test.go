package ops

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spola-cdc/spola/internal/stock"
)

// exposed are the names and labels of all metrics, by a picture that has everything.
func exposed(t *testing.T) map[string][]string {
	t.Helper()
	pic := picture()
	hour, bytes := time.Hour, int64(1e9)
	pic.Behind, pic.ERPBack = &bytes, &bytes
	pic.Clock, pic.ERPTime, pic.Binlog, pic.Unread, pic.WAL, pic.Slow.Stock.Last = &hour, &hour, &hour, &hour, &bytes, &stock.LastRun{Ended: pic.At}
	pic.Errors[PartShop], pic.Errors[PartERP] = errors.New("away"), nil
	registry := prometheus.NewRegistry()
	registry.MustRegister(&metrics{shop: "shop", told: func() (*Picture, Trip) {
		return pic, Trip{Took: time.Second, Arrived: pic.At, Log: Leg{Took: time.Second, Arrived: pic.At}}
	}, unsent: func() (time.Duration, bool) { return 0, true }},
		backMetrics{shop: "shop", told: func() (map[string]Trip, error) {
			return map[string]Trip{StageLog: {Took: time.Second, Arrived: pic.At}}, nil
		}})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{}
	for _, f := range families {
		names[f.GetName()] = nil
		for _, l := range f.GetMetric()[0].GetLabel() {
			names[f.GetName()] = append(names[f.GetName()], l.GetName())
		}
	}
	return names
}

var (
	selector = regexp.MustCompile(`\b((?:spola|kafka)_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	legend   = regexp.MustCompile(`\{\{(\w+)\}\}`)
)

// unknownOf are the names and labels of an expression that nobody exposes.
func unknownOf(names map[string][]string, expr string) (wrong []string) {
	for _, use := range selector.FindAllStringSubmatch(expr, -1) {
		labels, known := names[use[1]]
		if !known {
			wrong = append(wrong, use[1])
		}
		for _, label := range matcher.FindAllStringSubmatch(use[2], -1) {
			if known && !slices.Contains(labels, label[1]) {
				wrong = append(wrong, use[1]+"{"+label[1]+"}")
			}
		}
	}
	return wrong
}

// The dashboard and the alert rules ask for what /metrics tells, by its names and labels, and the dashboard shows all of it.
func TestNamesAreExposed(t *testing.T) {
	names := exposed(t)
	text, err := os.ReadFile("../../deploy/grafana/spola.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title, Description string
			Targets            []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{"spola_looked_timestamp_seconds": true, "spola_probe_arrived_timestamp_seconds": true, "spola_back_probe_arrived_timestamp_seconds": true, "spola_applier_moved_timestamp_seconds": true, "spola_shop_live": true, "spola_stock_rows": true} // what others say better
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			for _, wrong := range unknownOf(names, target.Expr) {
				t.Errorf("%s: nobody tells %s", p.Title, wrong)
			}
			for _, use := range selector.FindAllStringSubmatch(target.Expr, -1) {
				shown[use[1]] = true
				for _, label := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
					if !slices.Contains(names[use[1]], label[1]) {
						t.Errorf("%s: %s has no label %s", p.Title, use[1], label[1])
					}
				}
			}
		}
		if p.Description != "" && strings.Contains(p.Description, "docs/runbooks/") {
			if _, err := os.Stat("../../" + p.Description[strings.Index(p.Description, "docs/runbooks/"):]); err != nil {
				t.Errorf("%s: %v", p.Title, err)
			}
		}
	}
	for name := range names {
		if !shown[name] {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
	rules, err := os.ReadFile("../../deploy/prometheus/spola.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, expr := range regexp.MustCompile(`(?m)^\s+expr: (.+)$`).FindAllStringSubmatch(string(rules), -1) {
		for _, wrong := range unknownOf(names, expr[1]) {
			t.Errorf("%s: nobody tells %s", expr[1], wrong)
		}
	}
	if wrong := unknownOf(names, `spola_lag{shop="x"} + spola_mails{status="failed"}`); len(wrong) != 2 { // what this test is for
		t.Errorf("planted names are not found: %v", wrong)
	}
}
