// Package bench measures Spola on one machine, with all servers on it: what a backlog takes
// from the shop to finished orders of the ERP, beside what the machine could do without us, and
// how long one order takes when it is placed.
//
//	report, err := bench.Run(ctx, bench.Options{Orders: 500_000, CDC: …, Applier: …, Furnish: …})
//	report.Print(os.Stdout)
//
// Nothing here is a test: a run prints figures beside their targets and leaves the judgement
// to the reader.
//
//	stage.go     servers, shop, ERP, and our programs as processes of their own
//	decode.go    go-mysql alone             capture.go   cdc: backlog → log
//	ceiling.go   six throw-away statements  takeover.go  applier: log → orders
//	latency.go   commit → visible           commit.go    what the databases' own commits take
//	beside.go    the same beside a snapshot
//	usage.go     CPU and memory             atrest.go    idle, and one huge transaction
//	back.go      the way back: movements of the ERP → rows of the shop, the law, the comparison
//	report.go    the figures, and how they are shown
package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/shop"
)

// Options of a run.
type Options struct {
	Orders int           // of the backlog; default 500,000
	Dir    string        // where the servers' data lies, and stays; empty: a fresh directory, removed at the end
	For    time.Duration // how long orders come at each rate; default 20 s
	Rest   time.Duration // how long idle CPU is measured; default 15 s

	// Of the way back, which RunBack measures.
	Articles  int   // whose stock moves; default 10,000
	Movements int   // of the backlog; default 100,000
	SKUs      []int // over how many the law is checked, ascending; default 10,000, 100,000 and 1,000,000
	Old       []int // and with how many old orders in Spola's tables, ascending; default 10,000 and 5,000,000

	// CDC and Applier are the command lines of the programs, to which verbs and flags are
	// added: {"bin/cdc"}, or {"bin/spola"} for a program that has both's verbs.
	CDC, Applier []string

	// Furnish fills a new reference ERP with what the shop sells.
	Furnish func(context.Context, *pgx.Conn, []shop.Article) error

	// Progress is told what happens, a line each. May be nil.
	Progress func(line string)
}

func (o *Options) setDefaults() error {
	if o.Orders == 0 {
		o.Orders = 500_000
	}
	if o.For == 0 {
		o.For = 20 * time.Second
	}
	if o.Rest == 0 {
		o.Rest = 15 * time.Second
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Orders < 100 {
		return fmt.Errorf("a benchmark of %d orders: at least 100", o.Orders)
	}
	if len(o.CDC) == 0 || len(o.Applier) == 0 || o.Furnish == nil {
		return errors.New("a benchmark needs the programs' command lines and what fills the ERP")
	}
	return nil
}

// rowsPerOrder is how many rows of captured tables an order of the backlog has.
const rowsPerOrder = 7

// paces are the rates at which orders come one by one.
var paces = []pace{{50, false}, {200, false}, {1000, false}, {20, true}, {50, true}}

// pace is how orders come.
type pace struct {
	rate    float64
	genuine bool // statement by statement as the shop does, each its own transaction
}

// Run runs the benchmark. Its servers are gone afterwards.
func Run(ctx context.Context, o Options) (_ Report, err error) {
	if err := o.setDefaults(); err != nil {
		return Report{}, err
	}
	st, err := build(ctx, o, false)
	if err != nil {
		return Report{}, fmt.Errorf("build the benchmark's stage: %w", err)
	}
	defer func() { err = errors.Join(err, st.close()) }()
	r := Report{Orders: o.Orders, Rows: o.Orders * rowsPerOrder, Machine: machine(st)}
	for _, step := range []struct {
		what string
		do   func(context.Context, *stage, *Report) error
	}{
		{"write the backlog", writeBacklog},
		{"decode the binlog with go-mysql", measureDecoder},
		{"read the backlog into the log", measureCapture},
		{"decode the binlog with go-mysql, again", measureDecoder},
		{"run the throw-away statements", measureCeiling},
		{"take the backlog over into the ERP", measureTakeover},
		{"measure the databases' own commits", measureCommits},
		{"place orders one by one", measureLatencies},
		{"read all tables again beside orders", measureSnapshot},
		{"measure the rest", measureIdle},
		{"pass a huge transaction", measureHuge},
	} {
		began := time.Now()
		if err := step.do(ctx, st, &r); err != nil {
			return r, fmt.Errorf("%s: %w", step.what, err)
		}
		st.tell("%-40s %6.1f s", step.what, time.Since(began).Seconds())
	}
	return r, nil
}
