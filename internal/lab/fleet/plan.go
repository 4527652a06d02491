package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spola-cdc/spola/internal/lab/fault"
)

const (
	longestPause = 2 * time.Second        // between the last ready and the next kill
	longestFault = 800 * time.Millisecond // of a connection
	longestDelay = 300 * time.Millisecond // of an answer
	firstStart   = time.Second            // how long a part is taken to start before we know
	backWithin   = 2 * time.Minute        // after a kill, on the slowest machine
)

// Run kills parts at random for so long, and may be called again to go on: each kill 0 to 2 s after the last part was ready
// again, every third while its part is still starting; in between connections are cut and
// delayed. It returns what happened, and an error when a part did not come back or ended in a
// way that wants a person. A context that ends early ends the run without an error.
func (f *Fleet) Run(ctx context.Context, d time.Duration) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	starts := map[string]time.Duration{}
	passed, err := f.passed(ctx, f.last)
	defer func() { f.last = passed }()
	for n := 1; ctx.Err() == nil && err == nil && f.failure() == nil; n++ {
		if err = pause(ctx, f.upTo(longestPause)); err != nil {
			break
		}
		if err = f.disturb(ctx); err != nil {
			break
		}
		p := f.parts[f.random.IntN(len(f.parts))]
		if passed, err = f.passed(ctx, passed); err != nil {
			break
		}
		err = f.kill(ctx, p, starts, n%2 == 0)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = nil
	}
	return f.Report(), errors.Join(err, f.failure())
}

// kill kills a part and starts it again; with again, it kills it once more while it starts, so
// that every third kill of all is one of those.
func (f *Fleet) kill(ctx context.Context, p *part, starts map[string]time.Duration, again bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := f.killOnce(p, false); err != nil {
		return err
	}
	if again {
		usual, known := starts[p.Name()]
		if !known {
			usual = firstStart
		}
		if err := pause(ctx, f.upTo(usual)); err != nil {
			return err
		}
		if err := f.killOnce(p, true); err != nil {
			return err
		}
	}
	began := time.Now()
	// A part that is down when the time is up has to come back all the same.
	if err := f.comeBack(context.WithoutCancel(ctx), p); err != nil {
		return fmt.Errorf("%s does not come back from kill -9: %w", p.Name(), err)
	}
	took := time.Since(began)
	starts[p.Name()] = took
	f.say("%s is ready again after %s", p.Name(), took.Round(time.Millisecond))
	f.count(func(r *Report) { r.Longest[p.Name()] = max(r.Longest[p.Name()], took.Milliseconds()) })
	return nil
}

// comeBack waits until a part is ready, and starts it again as often as it ends by itself on
// the way: a program may give up while a server that it needs is still starting.
func (f *Fleet) comeBack(ctx context.Context, p *part) error {
	ctx, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	for {
		err := p.WaitReady(ctx)
		if err == nil {
			return nil
		}
		if restarted, failed := f.restart(ctx, p); failed != nil {
			return failed
		} else if !restarted {
			return err
		}
	}
}

func (f *Fleet) killOnce(p *part, starting bool) error {
	word := ""
	if starting {
		word = " while it starts"
	}
	f.say("kill -9 %s%s", p.Name(), word)
	if err := p.Kill(); err != nil {
		return err
	}
	f.count(func(r *Report) {
		r.Kills[p.Name()]++
		if starting {
			r.WhileStarting++
		}
	})
	return p.Launch()
}

// disturb makes one connection bad for a moment, every other time.
func (f *Fleet) disturb(ctx context.Context) error {
	if len(f.disturbed) == 0 || f.random.IntN(2) == 0 {
		return nil
	}
	d := f.disturbed[f.random.IntN(len(f.disturbed))]
	delay := f.upTo(longestDelay)
	faults := []struct {
		name string
		do   func(*fault.Proxy) error
	}{
		{"cut", func(p *fault.Proxy) error { p.Cut(); return nil }},
		{"delay", func(p *fault.Proxy) error { return p.Delay(delay, delay/2) }},
		{"silence", (*fault.Proxy).Silence},
		{"reset", (*fault.Proxy).Reset},
	}
	one := faults[f.random.IntN(len(faults))]
	f.say("%s of the connection to %s", one.name, d.name)
	if err := one.do(d.proxy); err != nil {
		return err
	}
	f.count(func(r *Report) { r.Faults[one.name]++ })
	err := pause(ctx, f.upTo(longestFault))
	return errors.Join(d.proxy.Mend(), err)
}

// passed notes how much has passed since the last kill, and returns the count so far.
func (f *Fleet) passed(ctx context.Context, before int64) (int64, error) {
	if f.options.Progress == nil {
		return 0, nil
	}
	now, err := f.options.Progress(ctx)
	if err != nil {
		return before, ctx.Err() // down at this moment: the next interval counts it
	}
	if f.Report().KillCount() > 0 {
		f.count(func(r *Report) { r.Passed = append(r.Passed, now-before) })
	}
	return now, nil
}

func (f *Fleet) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(f.random.Int64N(int64(d)))
}
