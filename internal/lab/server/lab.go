package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"
)

// Options say where a Lab keeps its files. The zero value is right for tests.
type Options struct {
	// Cache is where unpacked packages stay from run to run. Empty: the default of the
	// package's doc.
	Cache string
	// Dir is where the servers' data lies, and stays after Close. Empty: a fresh directory
	// that Close removes.
	Dir string
	// Unpacked uses no installed server, Java or Maven.
	Unpacked bool
	// Progress is told, in one line each, what takes longer than a moment. May be nil.
	Progress func(line string)
}

// Lab is a set of servers, their directory and the user they run as.
type Lab struct {
	cache    string
	dir      string
	keep     bool
	unpacked bool
	progress func(string)
	user     *Account
	owner    *flock.Flock // held while the Lab is open, so that nobody sweeps its directory
	spawner  *spawner

	mu      sync.Mutex
	servers []*Server
	ports   []*flock.Flock
}

// Open makes the directories of a Lab and removes those that killed processes left. The
// context bounds nothing later than Open.
func Open(ctx context.Context, o Options) (*Lab, error) {
	account, err := Ordinary()
	if err != nil {
		return nil, fmt.Errorf("find the user that servers run as: %w", err)
	}
	l := &Lab{cache: o.Cache, dir: o.Dir, keep: o.Dir != "", unpacked: o.Unpacked, progress: o.Progress, user: account}
	if l.cache == "" {
		if l.cache, err = DefaultCache(); err != nil {
			return nil, err
		}
	}
	if l.progress == nil {
		l.progress = func(string) {}
	}
	if err := l.user.makeDir(l.cache, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache of servers: %w", err)
	}
	if err := l.openDir(ctx); err != nil {
		return nil, fmt.Errorf("make the directory of servers: %w", err)
	}
	l.spawner = newSpawner()
	return l, nil
}

// DefaultCache is the directory where unpacked servers and tools stay from run to run.
func DefaultCache() (string, error) {
	if dir := os.Getenv("SPOLA_CACHE"); dir != "" {
		return dir, nil
	}
	if os.Geteuid() == 0 {
		return "/var/cache/spola", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache of servers (SPOLA_CACHE names one): %w", err)
	}
	return filepath.Join(dir, "spola"), nil
}

// dataPattern names the directories of Labs; the star is a random number.
const dataPattern = "spola-lab-*"

// dataParent is where they lie: a disk, and a short path.
func dataParent() string {
	const parent = "/var/tmp"
	probe, err := os.MkdirTemp(parent, "spola-probe-*")
	if err != nil {
		return os.TempDir()
	}
	if os.Remove(probe) != nil {
		return os.TempDir()
	}
	return parent
}

func (l *Lab) openDir(ctx context.Context) error {
	if l.keep {
		dir, err := filepath.Abs(l.dir)
		if err != nil {
			return err
		}
		l.dir = dir
		if err := l.user.makeDir(l.dir, 0o755); err != nil {
			return err
		}
	} else {
		parent := dataParent()
		sweep(ctx, parent)
		dir, err := os.MkdirTemp(parent, dataPattern)
		if err != nil {
			return err
		}
		l.dir = dir
	}
	l.owner = flock.New(filepath.Join(l.dir, "owner.lock"))
	if got, err := l.owner.TryLock(); err != nil || !got {
		return fmt.Errorf("%s is in use by another process: %w", l.dir, errors.Join(err, os.ErrExist))
	}
	for _, dir := range []string{l.dir, filepath.Join(l.dir, "home"), filepath.Join(l.dir, "tmp")} {
		if err := l.user.makeDir(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes the directories of Labs whose process is gone: their lock is free.
func sweep(ctx context.Context, parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, dataPattern))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		lock := flock.New(filepath.Join(dir, "owner.lock"), flock.SetFlag(os.O_RDONLY))
		if got, err := lock.TryLock(); err != nil || !got || ctx.Err() != nil {
			continue // in use, another user's, or just being made
		}
		_ = os.RemoveAll(dir) // the next run tries again
		_ = lock.Unlock()
	}
}

// Dir is where the Lab's data lies.
func (l *Lab) Dir() string { return l.dir }

// Cache is where unpacked packages lie.
func (l *Lab) Cache() string { return l.cache }

// User is who the servers run as.
func (l *Lab) User() *Account { return l.user }

// Close stops every server of the Lab and removes its directory, unless Options.Dir named it.
// Servers whose data is kept are stopped gently, the others killed.
func (l *Lab) Close() error {
	l.mu.Lock()
	servers := l.servers
	l.servers = nil
	l.mu.Unlock()
	var failed []error
	for i := len(servers) - 1; i >= 0; i-- {
		if l.keep {
			failed = append(failed, servers[i].Stop(context.Background()))
		} else {
			failed = append(failed, servers[i].Kill())
		}
	}
	l.spawner.close()
	for _, lock := range l.ports {
		failed = append(failed, lock.Unlock())
	}
	if !l.keep {
		failed = append(failed, os.RemoveAll(l.dir))
	}
	return errors.Join(append(failed, l.owner.Unlock())...)
}

func (l *Lab) add(s *Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.servers = append(l.servers, s)
}
