package fleet

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// wantsPerson are the statuses after which deploy/systemd starts nothing again: usage, the
// stream stopped, fenced, configuration.
var wantsPerson = []int{2, 3, 4, 78}

const (
	restartAfter   = 200 * time.Millisecond // systemd's RestartSec, shortened
	superviseEvery = 50 * time.Millisecond
)

// supervise starts a part again that has ended by itself.
func (f *Fleet) supervise(ctx context.Context, p *part) {
	for pause(ctx, superviseEvery) == nil {
		if f.failure() != nil {
			return
		}
		if err := f.revive(ctx, p); err != nil {
			f.fail(err)
			return
		}
	}
}

// revive looks at a part once. While the plan works on the part, it is left alone.
func (f *Fleet) revive(ctx context.Context, p *part) error {
	if !p.mu.TryLock() {
		return nil
	}
	defer p.mu.Unlock()
	_, err := f.restart(ctx, p)
	return err
}

// restart starts a part again if it has ended by itself; it tells whether it has. A status
// that wants a person is an error.
func (f *Fleet) restart(ctx context.Context, p *part) (bool, error) {
	status, ended := p.EndedWith()
	if !ended {
		return false, nil
	}
	if slices.Contains(wantsPerson, status) {
		return false, fmt.Errorf("%s ended with status %d, which wants a person:\n%s", p.Name(), status, p.LogTail())
	}
	f.say("%s ended by itself with status %d: started again", p.Name(), status)
	f.count(func(r *Report) { r.Restarts[p.Name()]++ })
	_ = pause(ctx, restartAfter) // at the end of the run it is started without a pause
	return true, p.Launch()
}
