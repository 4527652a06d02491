package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// BackReport is what a run has measured of the way back.
type BackReport struct {
	Machine        Machine            `json:"machine"`
	Orders         int                `json:"orders"`           // that the shop has
	Articles       int                `json:"articles"`         // whose stock moves
	AccountSeconds float64            `json:"accounts_seconds"` // from the start of the way back until each had its account
	OpenSeconds    float64            `json:"open_seconds"`     // and the shop showed it
	Movements      int                `json:"movements"`        // one by one
	Latency        Percentiles        `json:"latency"`          // from the return of a movement's commit in the ERP until the shop's row shows it
	CPU            map[string]float64 `json:"cores"`            // used by each process meanwhile
	Hour           Hour               `json:"hour"`
	Comparison     Comparison         `json:"comparison"`
	Law            []Law              `json:"law"`
}

// Hour is a backlog of movements, delivered.
type Hour struct {
	Movements int                `json:"movements"`
	Seconds   float64            `json:"seconds"` // from the start of the programs until the shop shows all
	CPU       map[string]float64 `json:"cpu_seconds"`
}

// Comparison is shop and mirror compared again and again while customers order.
type Comparison struct {
	Runs    int         `json:"runs"`
	Rows    int64       `json:"rows"`
	Seconds float64     `json:"seconds"`
	Unequal int64       `json:"unequal"` // ranges that were read again
	Alone   Percentiles `json:"checkout_alone"`
	Beside  Percentiles `json:"checkout_beside"`
}

// Law is one check of it over all rows.
type Law struct {
	SKUs        int     `json:"skus"`
	Old         int     `json:"old_orders"`
	Seconds     float64 `json:"seconds"`
	LagSeconds  float64 `json:"lag_seconds"`  // with what is unpublished and undelivered
	LookSeconds float64 `json:"look_seconds"` // what a reconciliation asks at each tick
	Rows        int64   `json:"rows"`
	Drifting    int64   `json:"drifting"`
	Unpublished int64   `json:"unpublished"`
	Undelivered int64   `json:"undelivered"`
}

// Print shows the figures beside their targets.
func (r BackReport) Print(w io.Writer) {
	r.Machine.print(w)
	fmt.Fprintf(w, "The way back: %s articles that move, a shop with %s orders. All on the same cores.\n\n", thousands(float64(r.Articles)), thousands(float64(r.Orders)))
	t := table{w: w}
	t.head("measured", "target")
	for _, row := range slices.Concat(r.stockRows(), r.comparisonRows(), r.lawRows()) {
		t.row(row)
	}
	t.end()
}

func (r BackReport) stockRows() []row {
	return []row{
		section("Commit in the ERP → row of the shop (p50 · p99 · p99.9 · max ms)"),
		goal(fmt.Sprintf("%d movements/s, each its own transaction", movementRate), r.Latency.String(), "p50 ≤ 15, p99 ≤ 50", r.Latency.P50 <= 15 && r.Latency.P99 <= 50),
		plain("  cores", figures(r.CPU, "%s %.2f")),
		section("Backlog"),
		goal(thousands(float64(r.Hour.Movements))+" movements, from the start of the programs", seconds(r.Hour.Seconds), "≤ 10 s", r.Hour.Seconds <= 10),
		plain("  CPU", figures(r.Hour.CPU, "%s %.1f s")),
		plain("first accounts of all articles, shown in the shop", seconds(r.AccountSeconds)+", "+seconds(r.OpenSeconds)),
	}
}

func (r BackReport) comparisonRows() []row {
	c := r.Comparison
	more := c.Beside.P99/max(c.Alone.P99, 0.001) - 1
	return []row{
		section("Shop and mirror compared beside checkouts (p50 · p99 · p99.9 · max ms)"),
		plain("rows compared", fmt.Sprintf("%s rows/s in %d runs", thousands(float64(c.Rows)/max(c.Seconds, 0.001)), c.Runs)),
		plain(fmt.Sprintf("%d checkouts/s alone", checkoutRate), c.Alone.String()),
		goal("the same beside it", c.Beside.String()+", p99 "+signed(more), "≤ +10 %", more <= 0.10),
	}
}

func (r BackReport) lawRows() []row {
	rows := []row{section("The law over all rows · with what is unpublished and undelivered · what a reconciliation asks at each tick")}
	for _, l := range r.Law {
		what := fmt.Sprintf("%s SKUs, %s old orders", thousands(float64(l.SKUs)), thousands(float64(l.Old)))
		measured := fmt.Sprintf("%.2f s · %.2f s · %.2f s", l.Seconds, l.LagSeconds, l.LookSeconds)
		if l.SKUs < 1_000_000 {
			rows = append(rows, plain(what, measured))
			continue
		}
		rows = append(rows, goal(what, measured, "≤ 10 s", l.Seconds <= 10))
	}
	return rows
}

func signed(x float64) string { return fmt.Sprintf("%+.0f %%", 100*x) }

func figures(of map[string]float64, format string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf(format, name, of[name]))
	}
	return strings.Join(parts, ", ")
}
