package notice

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/gofrs/flock"
	"github.com/rs/zerolog"
)

// Notifier looks, tells and remembers. Of several with one directory and shop one works, the others wait for its end.
type Notifier struct {
	Shop   string
	Dir    string                                                   // of the book and the last words; made if it is not there
	Look   func() Sight                                             // what there is now; must not wait long
	Digest func(before map[string]int64) (string, map[string]int64) // how things are, beside the totals of the last one; nil: there is none
	At     string                                                   // of the digest, such as 08:00; empty: never
	Send   func(ctx context.Context, subject, text string) error    // to the one person
	Rules  Rules
	Every  time.Duration // from one look to the next; default 2 s
	Log    zerolog.Logger

	mu      sync.Mutex
	standby bool      // another process tells
	passes  int       // looks since it works
	idle    bool      // in the last one there was nothing left to tell
	unsent  time.Time // since when what is due can't be sent; zero: it can
	why     error
}

// Run looks and tells until ctx ends. It fails only where the directory can't be used at all.
func (n *Notifier) Run(ctx context.Context) error {
	n.Rules = n.Rules.withDefaults()
	if n.Every == 0 {
		n.Every = 2 * time.Second
	}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return fmt.Errorf("notices: %w; name a directory that this program may write: notices.dir in spola.yaml", err)
	}
	lock := lockOf(n.Dir, n.Shop)
	defer func() { _ = lock.Close() }() // the process's end would do the same
	for told := false; ; told = true {
		mine, err := lock.TryLock()
		if err != nil {
			return fmt.Errorf("notices: %w; name a directory that this program may write: notices.dir in spola.yaml", err)
		}
		n.stand(!mine)
		if mine {
			n.work(ctx)
			return nil
		}
		if !told {
			n.Log.Info().Str("dir", n.Dir).Msg("notices are told by another process: waiting for its end")
		}
		if !wait(ctx, 2*time.Second) {
			return nil
		}
	}
}

func (n *Notifier) stand(by bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.standby = by
}

func (n *Notifier) path() string { return bookPath(n.Dir, n.Shop) }

// lockOf is held by the process that tells.
func lockOf(dir, shop string) *flock.Flock {
	return flock.New(filepath.Join(dir, shop+".lock"), flock.SetPermissions(0o600))
}

func bookPath(dir, shop string) string { return filepath.Join(dir, shop+".told.json") }

// Standing is what the process that tells has open now, by its book, for who has not looked for as long: without What and Why, which
// only a look has. Nothing where no process tells, or its directory is closed to who asks.
func Standing(dir, shop string) (causes []Cause) {
	if _, err := os.Stat(bookPath(dir, shop)); err != nil {
		return nil // nor is a lock made there
	}
	lock := lockOf(dir, shop)
	if free, err := lock.TryRLock(); free || err != nil {
		_ = lock.Close() // the process's end would do the same
		return nil
	}
	b, err := readBook(bookPath(dir, shop))
	if err != nil {
		return nil
	}
	for _, reason := range slices.Sorted(maps.Keys(b.Open)) {
		if e := b.Open[reason]; e.Gone.IsZero() {
			causes = append(causes, e.Cause)
		}
	}
	return causes
}

// work is Run for who has the lock. A book that can't be written is kept in memory: a full disk is the worst time to fall silent.
func (n *Notifier) work(ctx context.Context) {
	b, err := readBook(n.path())
	if err != nil {
		n.Log.Warn().Err(err).Msg("notices: what is open now is told again")
	}
	pause := untilAgain()
	var again time.Time // not before
	for {
		now := time.Now()
		b.see(now, n.Look())
		if now.After(again) {
			if err := n.tell(ctx, b, now); err != nil && ctx.Err() == nil {
				again = time.Now().Add(pause.NextBackOff())
				n.Log.Warn().Err(err).Time("again", again).Msg("a notice can't be mailed: trying again")
				n.failed(now, err)
			} else if err == nil {
				pause.Reset()
				n.failed(time.Time{}, nil)
			}
		}
		if err := b.keep(n.path()); err != nil {
			n.Log.Warn().Err(err).Msg("notices go on: behind a restart some may be told twice")
		}
		n.passed(b.untold(time.Now(), n.Rules) == 0)
		if !wait(ctx, n.Every) {
			return
		}
	}
}

// untilAgain are the pauses before a mail is tried again that the server has not taken. At most a minute or so: who mends the server at night
// waits for the notice to see that it works.
func untilAgain() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(10*time.Second), backoff.WithMultiplier(2), backoff.WithMaxInterval(time.Minute),
		backoff.WithMaxElapsedTime(0))
}

// tell sends what is due.
func (n *Notifier) tell(ctx context.Context, b *book, now time.Time) error {
	if l := b.due(now, n.Rules); l != nil {
		if err := n.Send(ctx, l.subject(n.Shop), l.text(now)); err != nil {
			return err
		}
		b.told(now, l)
		n.Log.Info().Int("new", len(l.New)).Int("over", len(l.Over)).Msg("a notice was mailed")
	}
	if n.Digest == nil || !b.digestDue(now, n.At) {
		return nil
	}
	text, totals := n.Digest(b.Totals)
	if err := n.Send(ctx, fmt.Sprintf("[spola %s] %s", n.Shop, now.Format("Monday, 2 January")), b.digest(text, now)); err != nil {
		return err
	}
	b.Digested, b.Totals = now.Format(time.DateOnly), totals
	return nil
}

func (n *Notifier) passed(idle bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.passes++
	n.idle = idle
}

func (n *Notifier) failed(at time.Time, why error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.why = why; why == nil {
		n.unsent = time.Time{}
	} else if n.unsent.IsZero() {
		n.unsent = at
	}
}

// Unsent is since when a notice can't be mailed, and why; zero: all can.
func (n *Notifier) Unsent() (since time.Time, why error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.unsent, n.why
}

// Rest waits until what there is at its call has been told, or ctx ends. Where another process tells, or none can be told, it does not wait.
func (n *Notifier) Rest(ctx context.Context) {
	look := func() (passes int, idle, standby bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.passes, n.idle, n.standby
	}
	began, _, _ := look()
	for {
		passes, idle, standby := look()
		if standby || passes >= began+2 && idle { // the next look may have begun before
			return
		}
		if !wait(ctx, 50*time.Millisecond) {
			return
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
