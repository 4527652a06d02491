// Package suite is `make test`: it starts one set of real servers, builds every package's tests
// once, runs those of each package that is built as an ordinary user in the package's directory, some
// packages at once, and reports in a form that a person and a CI can read.
//
// The tests run with the race detector where there is a C compiler. A race-detecting build
// uses several times the memory, so tests whose names begin with TestMemory are left out of it
// and run from a second, plain build; their assertions on memory mean what a user would see.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/lab/server"
)

// Options are what a caller of the suite may choose. Out must be set.
type Options struct {
	Packages []string      // patterns of packages; empty: all of the module
	Run      string        // only tests whose names match; empty: all
	Timeout  time.Duration // of one package
	Strict   bool          // as in CI: what can't be had is a failure
	Out      io.Writer
}

const (
	// atOnce is how many packages' tests run at the same time: more than the two cores of the smallest
	// machine, for tests wait, for clocks, servers and processes, half of their time.
	atOnce = 3
	// buildsAtOnce is how many binaries are built at the same time, beside the tests that run.
	buildsAtOnce = 2
)

// raceExit has a program that was built with the race detector end at once, where it sleeps a second for what other threads may still have to tell: the
// programs that tests start, again and again, are such ones.
const raceExit = "GORACE=atexit_sleep_ms=20"

// ErrFailed means that tests failed; what failed has been written.
var ErrFailed = errors.New("tests failed")

// suite is one run.
type suite struct {
	Options
	lab   *server.Lab
	race  bool
	dir   string // of binaries and records
	env   []string
	tally tally
}

// Run runs the tests. It returns ErrFailed when some failed, and another error when they
// could not be run at all.
func Run(ctx context.Context, o Options) (err error) {
	began := time.Now()
	s := &suite{Options: o, tally: tally{out: o.Out}}
	if err := s.detectRace(ctx); err != nil {
		return err
	}
	s.lab, err = server.Open(ctx, server.Options{Progress: s.say})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.lab.Close()) }()
	if err := s.prepare(); err != nil {
		return fmt.Errorf("prepare the run of tests: %w", err)
	}
	packages, err := s.list(ctx)
	if err != nil {
		return err
	}
	jobs, err := s.jobs(packages)
	if err != nil {
		return err
	}
	s.tally.align(jobs)
	ctx, cancel := context.WithCancel(ctx)
	built := make(chan job, len(jobs))
	building := make(chan struct{})
	go func() { // while servers start: downloads wait for the network, builds for the CPU
		defer close(building)
		s.compile(ctx, jobs, built)
	}()
	defer func() { cancel(); <-building }()
	s.env = append(s.env, s.startServers(ctx)...)
	s.say(fmt.Sprintf("started in %s; running the tests of %d packages as %s",
		time.Since(began).Round(time.Second), len(packages), s.lab.User().Name))
	if err := s.runAll(ctx, built); err != nil {
		return err
	}
	return s.tally.close(s.skipsFile())
}

func (s *suite) say(line string) { fmt.Fprintln(s.Out, line) }

// detectRace decides whether tests are built with the race detector, which needs a C compiler.
func (s *suite) detectRace(ctx context.Context) error {
	err := tryCompiler(ctx)
	if err == nil {
		s.race = true
		return nil
	}
	if s.Strict {
		return fmt.Errorf("no C compiler for the race detector, which CI=true demands (install gcc and libc6-dev): %w", err)
	}
	s.say("no C compiler: the tests run without the race detector (gcc and libc6-dev would bring it)")
	return nil
}

// prepare makes the directory that the tests' user reads binaries from and records skips in.
func (s *suite) prepare() error {
	s.dir = filepath.Join(s.lab.Dir(), "suite")
	for _, dir := range []string{s.dir, filepath.Join(s.dir, "race"), filepath.Join(s.dir, "plain")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	skips := s.skipsFile()
	if err := os.WriteFile(skips, nil, 0o644); err != nil {
		return err
	}
	if err := s.lab.User().Give(skips); err != nil {
		return err
	}
	s.env = []string{"SPOLA_SKIPS=" + skips, "SPOLA_CACHE=" + s.lab.Cache(), raceExit}
	return nil
}

// startServers starts one set of servers and returns the variables that name them. A server
// that can't be had is said, and its tests skip themselves, or fail in CI.
func (s *suite) startServers(ctx context.Context) []string {
	// What JIT compiles for the few rows of a test takes longer than the rows, again in each session.
	erp := server.Config{Settings: map[string]string{"jit": "off"}}
	starts := []struct {
		product, variable string
		start             func(context.Context) (*server.Server, error)
	}{
		{"MySQL", "SPOLA_TEST_MYSQL", func(ctx context.Context) (*server.Server, error) { return s.lab.MySQL(ctx, server.Config{}) }},
		{"MariaDB", "SPOLA_TEST_MARIADB", func(ctx context.Context) (*server.Server, error) { return s.lab.MariaDB(ctx, server.Config{}) }},
		{"PostgreSQL", "SPOLA_TEST_POSTGRES", func(ctx context.Context) (*server.Server, error) { return s.lab.Postgres(ctx, erp) }},
		{"Kafka", "SPOLA_TEST_KAFKA", func(ctx context.Context) (*server.Server, error) {
			cluster, err := s.lab.Kafka(ctx, 1, server.Config{})
			if err != nil {
				return nil, err
			}
			return cluster.Brokers[0], nil
		}},
	}
	found := make([]string, len(starts))
	var group errgroup.Group
	for i, one := range starts {
		if os.Getenv(one.variable) != "" {
			continue // there already: the tests inherit the variable
		}
		group.Go(func() error {
			running, err := one.start(ctx)
			if err != nil {
				s.say(fmt.Sprintf("%s can't be had: %v", one.product, err))
				return nil
			}
			found[i] = one.variable + "=" + running.URL()
			s.say(fmt.Sprintf("%s %s at %s", one.product, running.Version(), running.URL()))
			return nil
		})
	}
	_ = group.Wait() // each has said its error
	return slices.DeleteFunc(found, func(pair string) bool { return pair == "" })
}
