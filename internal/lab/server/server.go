package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Times a server may take. A loaded machine of two cores needs a fraction of them.
const (
	readyWithin = 90 * time.Second
	stopWithin  = 60 * time.Second
	pollEvery   = 25 * time.Millisecond
)

// Config is what a caller may ask of a server. The zero value will do.
type Config struct {
	// Name tells the servers of a Lab apart. Empty: mysql, mariadb, postgres or kafka.
	Name string
	// Settings go over the Lab's own, by the names that the server's documentation uses:
	// "binlog_format": "STATEMENT". An empty value takes a setting of the Lab away.
	Settings map[string]string
}

// Server is one process of a database or a broker, with its data. Its methods are safe for use
// by several goroutines; its port and its data stay the same over kills and restarts.
type Server struct {
	lab     *Lab
	name    string
	version string
	dir     string // its data, log and settings
	port    int
	url     string
	recipe  recipe

	mu      sync.Mutex
	process *process // nil: not running
}

// recipe is how one kind of server is run.
type recipe struct {
	argv  []string
	env   []string
	stop  syscall.Signal // ends it gently
	death syscall.Signal // ends it when we die
	// ready tells whether the server answers. started is where its log was when it started.
	ready func(ctx context.Context, s *Server, started int64) error
}

// process is one run of a server.
type process struct {
	cmd     *exec.Cmd
	started int64         // size of the log before it
	gone    chan struct{} // closed when it has ended
}

// Name tells the server apart within its Lab.
func (s *Server) Name() string { return s.name }

// Version is the version that its program gives.
func (s *Server) Version() string { return s.version }

// URL is how programs reach it: mysql://root@127.0.0.1:21004/,
// postgres://postgres@127.0.0.1:21007/postgres, or host:port for a Kafka broker.
func (s *Server) URL() string { return s.url }

// Addr is its host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// DataDir is where its data lies.
func (s *Server) DataDir() string { return filepath.Join(s.dir, "data") }

// LogFile is where its output goes, of all runs.
func (s *Server) LogFile() string { return filepath.Join(s.dir, "log") }

// PID is the running process, or 0.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.cmd.Process.Pid
}

// Launch starts the process and does not wait until it answers. A running one is left alone.
func (s *Server) Launch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		select {
		case <-s.process.gone: // ended by itself, or killed by somebody else
		default:
			return nil
		}
	}
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	defer log.Close()
	started, err := log.Stat()
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	cmd := exec.Command(s.recipe.argv[0], s.recipe.argv[1:]...)
	cmd.Dir = s.dir
	cmd.Env = s.lab.Environment(s.recipe.env...)
	cmd.Stdout, cmd.Stderr = log, log
	s.lab.user.Apply(cmd)
	if err := s.lab.spawner.start(cmd, s.recipe.death); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	p := &process{cmd: cmd, started: started.Size(), gone: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended stands in its log
		close(p.gone)
	}()
	s.process = p
	return nil
}

// WaitReady waits until the server answers. It fails when the process ends, with the end of
// its log, or after a minute and a half.
func (s *Server) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p == nil {
		return fmt.Errorf("%s does not run", s.name)
	}
	err := backoff.Retry(func() error {
		select {
		case <-p.gone:
			return backoff.Permanent(errors.New("it ended"))
		default:
			return s.recipe.ready(ctx, s, p.started)
		}
	}, backoff.WithContext(backoff.NewConstantBackOff(pollEvery), ctx))
	if err != nil {
		return fmt.Errorf("wait for %s on port %d: %w\n%s", s.name, s.port, err, tail(s.LogFile()))
	}
	return nil
}

// Start starts the server and waits until it answers.
func (s *Server) Start(ctx context.Context) error {
	if err := s.Launch(); err != nil {
		return err
	}
	return s.WaitReady(ctx)
}

// Stop ends the server gently and waits for it; if that takes a minute, it is killed.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	if err := p.cmd.Process.Signal(s.recipe.stop); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", s.name, err)
	}
	select {
	case <-p.gone:
		s.forget(p)
		return nil
	case <-ctx.Done():
		return s.Kill()
	}
}

// Kill ends the server and all its processes with kill -9, as when its machine loses its power
// (though what it had written stays), and waits until they are gone.
func (s *Server) Kill() error {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	children := childrenOf(p.cmd.Process.Pid)
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	<-p.gone
	s.forget(p)
	return killAll(children)
}

// Restart stops the server gently and starts it again.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx)
}

func (s *Server) forget(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == p {
		s.process = nil
	}
}
