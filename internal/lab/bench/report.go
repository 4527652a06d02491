package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Report is what a run has measured. Rates are a second; CPU is in seconds per million rows.
type Report struct {
	Machine     Machine            `json:"machine"`
	Orders      int                `json:"orders"` // of the backlog
	Rows        int                `json:"rows"`
	Decoder     Throughput         `json:"decoder"` // go-mysql alone, events decoded and thrown away
	Capture     Capture            `json:"cdc"`
	Ceiling     Ceiling            `json:"ceiling"`
	Takeover    Takeover           `json:"applier"`
	Commits     Commits            `json:"commits"`
	Latencies   []Latency          `json:"latencies"`
	Beside      Beside             `json:"beside_a_snapshot"`
	IdlePercent float64            `json:"idle_percent"` // of a core, cdc and applier together
	Huge        Huge               `json:"huge"`
	Servers     map[string]float64 `json:"servers_mib"`
}

// Throughput is how fast rows passed and what that cost.
type Throughput struct {
	RowsPerSecond float64 `json:"rows_per_second"`
	CPUPerMillion float64 `json:"cpu_seconds_per_million_rows"`
}

// Capture is cdc's way from the binlog to the last acknowledged record.
type Capture struct {
	Throughput
	StartSeconds float64 `json:"start_seconds"` // from the start of the process to its claim
	BrokerCPU    float64 `json:"broker_cpu_seconds_per_million_rows"`
	Memory       memory  `json:"backlog"` // while the backlog passed
	Running      memory  `json:"running"` // while orders came one by one
}

// Ceiling is what PostgreSQL does at best with orders of this size.
type Ceiling struct {
	OrdersPerSecond float64 `json:"orders_per_second"`
	DatabaseCPU     float64 `json:"database_cpu_seconds_per_million_rows"`
}

// Takeover is the applier's way from the log to finished ERP orders.
type Takeover struct {
	Throughput
	OrdersPerSecond float64 `json:"orders_per_second"`
	StartSeconds    float64 `json:"start_seconds"` // from the start of the process until the place was its own
	DatabaseCPU     float64 `json:"database_cpu_seconds_per_million_rows"`
	Memory          memory  `json:"backlog"`
	Running         memory  `json:"running"`
}

// Commits are what a COMMIT takes in each database by itself.
type Commits struct {
	MySQL    Percentiles `json:"mysql"`
	Postgres Percentiles `json:"postgres"`
}

// Latency is the way of orders that come one by one: from the return of the commit that made
// them orders until the ERP shows them.
type Latency struct {
	Rate    float64 `json:"rate"`    // offered
	Genuine bool    `json:"genuine"` // statement by statement, as the shop's checkout does it
	Orders  int     `json:"orders"`
	Placed  float64 `json:"placed_per_second"`
	Arrived float64 `json:"arrived_per_second"`
	Percentiles
	CPU map[string]float64 `json:"cores"` // used by each process
}

// Percentiles of durations, in milliseconds.
type Percentiles struct {
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

// Beside is the way of orders that come while all tables of the shop are read again.
type Beside struct {
	Latency
	Snapshots int     `json:"snapshots"` // one after the other
	Seconds   float64 `json:"seconds"`   // all of them, until the mirror had them
}

// besideTarget is what 99 of 100 orders may take beside a snapshot, in milliseconds.
const besideTarget = 50

// Huge is one transaction that is larger than memory should be.
type Huge struct {
	Rows       int     `json:"rows"`
	LogSeconds float64 `json:"log_seconds"` // from its commit until it stood in the log
	Seconds    float64 `json:"seconds"`     // and in the mirror
	CDC        memory  `json:"cdc"`
	Applier    memory  `json:"applier"`
}

func throughput(rows int, took, cpu time.Duration) Throughput {
	return Throughput{RowsPerSecond: float64(rows) / took.Seconds(), CPUPerMillion: perMillion(cpu, rows)}
}

func perMillion(cpu time.Duration, rows int) float64 { return cpu.Seconds() / float64(rows) * 1e6 }

// cores is how many cores each process has used since the meter began.
func (m *meter) cores() (map[string]float64, error) {
	used, err := m.used()
	cores := map[string]float64{}
	for name, cpu := range used {
		cores[name] = cpu.Seconds() / time.Since(m.began).Seconds()
	}
	return cores, err
}

func percentiles(times []time.Duration) Percentiles {
	if len(times) == 0 {
		return Percentiles{}
	}
	sorted := slices.Sorted(slices.Values(times))
	at := func(share float64) float64 {
		// The smallest time that this share of all does not exceed.
		i := min(len(sorted)-1, max(0, int(share*float64(len(sorted))+0.999999)-1))
		return float64(sorted[i].Microseconds()) / 1000
	}
	return Percentiles{P50: at(0.50), P99: at(0.99), P999: at(0.999), Max: at(1)}
}

// Print shows the figures beside their targets.
func (r Report) Print(w io.Writer) {
	r.Machine.print(w)
	fmt.Fprintf(w, "Backlog: %s orders, %s rows, one transaction an order. All on the same cores.\n\n", thousands(float64(r.Orders)), thousands(float64(r.Rows)))
	t := table{w: w}
	t.head("measured", "target")
	for _, row := range slices.Concat(r.backlogRows(), r.latencyRows(), r.memoryRows()) {
		t.row(row)
	}
	t.end()
}

// row is a line of the report.
type row struct {
	what, measured, target string
	missed                 bool
	section                bool
}

func section(what string) row { return row{what: what, section: true} }

// goal is a row whose target is met or not.
func goal(what, measured, target string, met bool) row {
	return row{what: what, measured: measured, target: target, missed: !met}
}

func plain(what, measured string) row { return row{what: what, measured: measured} }

func (r Report) backlogRows() []row {
	share := r.Capture.RowsPerSecond / r.Decoder.RowsPerSecond
	done := r.Takeover.OrdersPerSecond / r.Ceiling.OrdersPerSecond
	return []row{
		section("Backlog → log"),
		plain("go-mysql, events decoded and thrown away", thousands(r.Decoder.RowsPerSecond)+" rows/s"),
		plain("  its CPU", seconds(r.Decoder.CPUPerMillion)+" per million rows"),
		goal("cdc, acknowledged by Kafka (acks=all)", thousands(r.Capture.RowsPerSecond)+" rows/s, "+percent(share)+" of it", "≥ 60 %", share >= 0.6),
		goal("  its CPU", seconds(r.Capture.CPUPerMillion)+" per million rows", "≤ 9 s", r.Capture.CPUPerMillion <= 9),
		plain("  Kafka's CPU", seconds(r.Capture.BrokerCPU)+" per million rows"),
		plain("  from its start to its claim", seconds(r.Capture.StartSeconds)),
		section("Log → finished orders in the ERP"),
		plain("six throw-away statements, the ceiling", thousands(r.Ceiling.OrdersPerSecond)+" orders/s"),
		plain("  PostgreSQL's CPU", seconds(r.Ceiling.DatabaseCPU)+" per million rows"),
		goal("applier", thousands(r.Takeover.OrdersPerSecond)+" orders/s, "+percent(done)+" of it", "≥ 50 %", done >= 0.5),
		plain("  its CPU", seconds(r.Takeover.CPUPerMillion)+" per million rows"),
		plain("  PostgreSQL's CPU", seconds(r.Takeover.DatabaseCPU)+" per million rows"),
		plain("  from its start to its place", seconds(r.Takeover.StartSeconds)),
	}
}

func (r Report) latencyRows() []row {
	rows := []row{
		section("Commit in the shop → order visible in the ERP (p50 · p99 · p99.9 · max ms)"),
		plain("MySQL's own commit", r.Commits.MySQL.String()),
		plain("PostgreSQL's own commit", r.Commits.Postgres.String()),
	}
	for _, l := range r.Latencies {
		target, met := l.target(2 * (r.Commits.MySQL.P99 + r.Commits.Postgres.P99))
		rows = append(rows, row{what: l.name(), measured: l.Percentiles.String(), target: target, missed: !met})
	}
	b := r.Beside
	return append(rows,
		goal("the same while all tables are read again", b.Percentiles.String(), fmt.Sprintf("p99 ≤ %d", besideTarget), b.P99 <= besideTarget),
		plain("  "+b.name(), fmt.Sprintf("%d snapshots, %.1f s each", b.Snapshots, b.Seconds/float64(max(1, b.Snapshots)))))
}

func (r Report) memoryRows() []row {
	rows := []row{section("Resident memory: now · most")}
	for _, m := range []struct {
		what   string
		memory memory
		bound  float64
	}{
		{"cdc, backlog", r.Capture.Memory, 100}, {"cdc, orders one by one", r.Capture.Running, 100},
		{"cdc, a transaction of " + thousands(float64(r.Huge.Rows)) + " rows", r.Huge.CDC, 100},
		{"applier, backlog", r.Takeover.Memory, 200}, {"applier, orders one by one", r.Takeover.Running, 200},
		{"applier, the same transaction", r.Huge.Applier, 200},
	} {
		rows = append(rows, goal(m.what, fmt.Sprintf("%.0f · %.0f MB", m.memory.Now, m.memory.Peak), fmt.Sprintf("≤ %.0f MB", m.bound), m.memory.Peak <= m.bound))
	}
	var servers []string
	for _, name := range []string{"kafka", "mysql", "postgres"} {
		servers = append(servers, fmt.Sprintf("%s %.0f", name, r.Servers[name]))
	}
	return append(rows,
		plain("servers at the end", strings.Join(servers, ", ")+" MB"),
		plain("that transaction in the log, in the mirror", fmt.Sprintf("after %.1f s, %.1f s", r.Huge.LogSeconds, r.Huge.Seconds)),
		section("At rest"),
		goal("cdc and applier together", fmt.Sprintf("%.2f %% of a core", r.IdlePercent), "≤ 1 %", r.IdlePercent <= 1))
}

// held is how near the arrivals must be to the offer for a rate to be held.
const held = 0.97

// target says what an order's way may take at a rate, and whether it does: bound is twice what
// the two databases' own commits take.
func (l Latency) target(bound float64) (string, bool) {
	switch {
	case l.Rate == 200 && !l.Genuine:
		p99 := max(30, bound)
		return fmt.Sprintf("p50 ≤ 8, p99 ≤ %.0f", p99), l.P50 <= 8 && l.P99 <= p99
	case l.Rate == 1000:
		return "held", l.Arrived >= held*l.Rate
	}
	return "", true
}

func (l Latency) name() string {
	how := "one transaction each"
	if l.Genuine {
		how = "the shop's own statements"
	}
	return fmt.Sprintf("%g orders/s, %s (%.0f/s arrived)", l.Rate, how, l.Arrived)
}

func (l Latency) line() string { return l.name() + ": " + l.Percentiles.String() + " ms" }

// String is "p50 · p99 · p99.9 · max".
func (p Percentiles) String() string {
	return fmt.Sprintf("%.1f · %.1f · %.1f · %.1f", p.P50, p.P99, p.P999, p.Max)
}

func seconds(s float64) string { return fmt.Sprintf("%.1f s", s) }
func percent(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }

func thousands(x float64) string {
	text := fmt.Sprintf("%.0f", x)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
