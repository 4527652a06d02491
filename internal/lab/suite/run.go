package suite

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// runAll runs the binaries as they are built, some at once, and reports each when it has ended.
func (s *suite) runAll(ctx context.Context, built <-chan job) error {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for j := range built {
		group.Go(func() error {
			if j.failed != "" {
				s.tally.add(result{name: j.name, output: j.failed, broken: "does not compile"})
				return nil
			}
			if ctx.Err() == nil {
				s.tally.add(s.runOne(ctx, j))
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// killGrace is how long the tests of a package may take to end after their time is up.
const killGrace = 10 * time.Second

func (s *suite) runOne(ctx context.Context, j job) result {
	// The binary ends itself after its own timeout, with all stacks; this is for one that can't.
	ctx, cancel := context.WithTimeout(ctx, s.Timeout+killGrace)
	defer cancel()
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, j.binary, j.args...)
	cmd.Dir = j.dir
	cmd.Env = s.lab.Environment(append(s.env, "PWD="+j.dir)...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killGrace
	s.lab.User().Apply(cmd)
	began := time.Now()
	err := cmd.Run()
	r := count(output.String())
	r.name, r.took = j.name, time.Since(began)
	if err != nil && r.failed == 0 {
		r.broken = err.Error()
	}
	return r
}

// skipsFile is where tests record what they skipped for want of something.
func (s *suite) skipsFile() string { return filepath.Join(s.dir, "skips") }
