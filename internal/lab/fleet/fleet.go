// Package fleet runs the parts of Spola as processes of their own and kills them at random: the
// kill test. It knows neither shop nor ERP; who calls it brings the parts, and proves
// afterwards that nothing was lost.
//
//	f := fleet.New(fleet.Options{Seed: 1, Progress: ordersInERP, Say: print})
//	f.Add(mysql, postgres)             // servers of a Lab, started already
//	f.Add(broker, cdc, applier)        // programs of ours: Lab.Program
//	f.Disturb("mysql", proxy)          // connections that are cut and delayed in between
//	f.Start(ctx); report, err := f.Run(ctx, time.Minute); f.Calm(ctx)
//
// A program that ends by itself is started again, as systemd does it by deploy/systemd: after
// a status that wants a person (2, 3, 4, 78) it is not, and the run has failed.
package fleet

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/spola-cdc/spola/internal/lab/fault"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// Options are what a run depends on.
type Options struct {
	// Seed decides who is killed and when. The same seed makes the same plan; what the parts
	// are doing at that moment differs.
	Seed uint64
	// Progress counts what passes, orders in the ERP for instance. It is asked between kills,
	// while anything may be down: then it returns an error, and the last count stands.
	Progress func(ctx context.Context) (int64, error)
	// Say is told what happens, a line each. May be nil.
	Say func(line string)
}

// Report is what happened in a run.
type Report struct {
	Seed          uint64           `json:"seed"`
	Kills         map[string]int   `json:"kills"`          // by part
	WhileStarting int              `json:"while_starting"` // of those, so many while the part still started
	Faults        map[string]int   `json:"faults"`         // of connections, by kind
	Restarts      map[string]int   `json:"restarts"`       // programs that ended by themselves
	Passed        []int64          `json:"passed"`         // between a kill and the next
	Longest       map[string]int64 `json:"longest_ms"`     // from a kill until the part was ready again
}

// KillCount is the number of kills of all parts.
func (r Report) KillCount() int {
	sum := 0
	for _, n := range r.Kills {
		sum += n
	}
	return sum
}

// Fleet is the parts of one run.
type Fleet struct {
	options    Options
	random     *rand.Rand // of the one goroutine that runs the plan
	last       int64      // count of what had passed at the end of the last run; of that goroutine too
	parts      []*part
	disturbed  []disturbed
	supervised sync.WaitGroup
	stop       context.CancelFunc // ends the supervision

	mu     sync.Mutex
	report Report
	failed error // the first failure that a person must look at
}

// part is a process and who may touch it: the plan or its supervisor, never both.
type part struct {
	*server.Server
	mu sync.Mutex
}

type disturbed struct {
	name  string
	proxy *fault.Proxy
}

// New makes an empty fleet.
func New(o Options) *Fleet {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	return &Fleet{
		options: o,
		random:  rand.New(rand.NewPCG(o.Seed, 0)),
		report: Report{
			Seed: o.Seed, Kills: map[string]int{}, Faults: map[string]int{}, Restarts: map[string]int{}, Longest: map[string]int64{},
		},
	}
}

// Add gives the fleet parts, in the order in which they start.
func (f *Fleet) Add(servers ...*server.Server) {
	for _, s := range servers {
		f.parts = append(f.parts, &part{Server: s})
	}
}

// Disturb gives the fleet a connection that it may cut and delay.
func (f *Fleet) Disturb(name string, p *fault.Proxy) {
	f.disturbed = append(f.disturbed, disturbed{name: name, proxy: p})
}

// Start starts each part that does not run yet, waits until it is ready, and keeps it running
// until Stop.
func (f *Fleet) Start(ctx context.Context) error {
	supervision, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	for _, p := range f.parts {
		if err := p.Start(ctx); err != nil {
			return err
		}
		f.supervised.Go(func() { f.supervise(supervision, p) })
	}
	return nil
}

// Stop ends the supervision and stops all parts gently, last started first.
func (f *Fleet) Stop(ctx context.Context) error {
	if f.stop != nil {
		f.stop()
	}
	f.supervised.Wait()
	for i := len(f.parts) - 1; i >= 0; i-- {
		if err := f.parts[i].Stop(ctx); err != nil {
			return err
		}
	}
	return f.failure()
}

// Calm mends every connection and waits until all parts are ready, so that what is on its way
// can arrive.
func (f *Fleet) Calm(ctx context.Context) error {
	for _, d := range f.disturbed {
		if err := d.proxy.Mend(); err != nil {
			return err
		}
	}
	for _, p := range f.parts {
		if err := f.ready(ctx, p); err != nil {
			return err
		}
	}
	return f.failure()
}

func (f *Fleet) ready(ctx context.Context, p *part) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Start(ctx)
}

// Report is what happened so far.
func (f *Fleet) Report() Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.report
	r.Kills, r.Faults, r.Restarts = maps.Clone(r.Kills), maps.Clone(r.Faults), maps.Clone(r.Restarts)
	r.Longest, r.Passed = maps.Clone(r.Longest), slices.Clone(r.Passed)
	return r
}

func (f *Fleet) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func (f *Fleet) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = err
	}
}

func (f *Fleet) say(format string, args ...any) { f.options.Say(fmt.Sprintf(format, args...)) }

func (f *Fleet) count(change func(*Report)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.report)
}

// pause waits, unless the run ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
