package fleet_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/fault"
	"github.com/spola-cdc/spola/internal/lab/fleet"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// roleVariable makes this test binary a part of a fleet instead of a run of tests.
const roleVariable = "SPOLA_FLEET_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "counter":
		count(os.Getenv("SPOLA_FLEET_URL"))
	case "stopped":
		os.Exit(3)
	}
}

// count is a program as ours are: its place stands beside its effect, it goes on after a lost
// connection, and it may be killed at any time.
func count(url string) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		if err := step(ctx, url); err != nil {
			fmt.Println(err)
		}
		cancel()
	}
}

func step(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for {
		_, err := conn.Exec(ctx, `WITH at AS (UPDATE place SET n = n + 1 RETURNING n) INSERT INTO counted SELECT n FROM at`)
		if err != nil {
			return err
		}
	}
}

// world is a fleet of a private PostgreSQL and a counter that reaches it through a proxy.
type world struct {
	fleet *fleet.Fleet
	lab   *server.Lab
	db    *server.Server
}

func newWorld(t *testing.T, role string) *world {
	t.Helper()
	lab := server.PrivateLab(t)
	db, err := lab.Postgres(t.Context(), server.Config{})
	if err != nil {
		server.Skip(t, "PostgreSQL: "+err.Error())
	}
	w := &world{lab: lab, db: db}
	w.query(t, "CREATE TABLE place (n bigint NOT NULL)", nil)
	w.query(t, "INSERT INTO place VALUES (0)", nil)
	w.query(t, "CREATE TABLE counted (n bigint PRIMARY KEY)", nil)
	proxy, err := fault.New(db.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	url, err := proxy.URL(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	counter, err := lab.Program("counter", server.Program{
		Argv: []string{readable(t, lab, binary)}, Env: []string{roleVariable + "=" + role, "SPOLA_FLEET_URL=" + url},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.fleet = fleet.New(fleet.Options{Seed: 1, Progress: w.counted, Say: func(line string) { t.Log(line) }})
	w.fleet.Add(db, counter)
	w.fleet.Disturb("postgres", proxy)
	return w
}

// readable is a copy of a binary where the lab's user can run it: go test builds in a directory
// that is closed to others.
func readable(t *testing.T, lab *server.Lab, binary string) string {
	t.Helper()
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	path := lab.Dir() + "/program"
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func (w *world) counted(ctx context.Context) (int64, error) {
	conn, err := pgx.Connect(ctx, w.db.URL())
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	var n int64
	return n, conn.QueryRow(ctx, "SELECT count(*) FROM counted").Scan(&n)
}

func (w *world) query(t *testing.T, sql string, into any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if into == nil {
		_, err = conn.Exec(t.Context(), sql)
	} else {
		err = conn.QueryRow(t.Context(), sql).Scan(into)
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// A run kills every kind of part, some while they start, and the work goes on in between. At
// the end everything runs, and what the program promised holds.
func TestRunKillsAndPartsComeBack(t *testing.T) {
	w := newWorld(t, "counter")
	if err := w.fleet.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// How many kills fit into a time depends on the machine; in a minute every kind has its turn.
	var report fleet.Report
	every := func() bool {
		return report.Kills["postgres"] > 0 && report.Kills["counter"] > 0 && report.WhileStarting > 0
	}
	for range 10 {
		var err error
		if report, err = w.fleet.Run(t.Context(), 6*time.Second); err != nil {
			t.Fatal(err)
		}
		if every() {
			break
		}
	}
	if err := w.fleet.Calm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.fleet.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", report)
	if !every() {
		t.Errorf("not every kind of kill happened: %+v", report)
	}
	var sum int64
	for _, n := range report.Passed {
		sum += n
	}
	if sum == 0 {
		t.Errorf("nothing passed between %d kills", report.KillCount())
	}
	if err := w.db.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var verdict string
	w.query(t, `SELECT format('%s of %s', count(*), max(n)) FROM counted`, &verdict)
	if counted, highest, _ := strings.Cut(verdict, " of "); counted != highest {
		t.Errorf("the counter left a hole: %s", verdict)
	}
}

// A part that stops in a way that wants a person is not started again: the run has failed.
func TestStatusThatWantsAPerson(t *testing.T) {
	w := newWorld(t, "stopped")
	if err := w.fleet.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := w.fleet.Run(t.Context(), 20*time.Second)
	if err == nil || !strings.Contains(fmt.Sprint(err), "status 3") {
		t.Errorf("the counter ended with status 3, and the run says: %v", err)
	}
	if err := w.fleet.Stop(t.Context()); err == nil {
		t.Error("Stop forgets the failure")
	}
}
