package server

import (
	"context"
	"fmt"
	"syscall"
)

// Program is one of our own programs, run as a server of the Lab: as its user, with its log in
// the Lab's directory, ended when we end.
type Program struct {
	Argv []string
	Env  []string // over our own
	// Ready tells whether it works. Nil: it does as soon as it runs.
	Ready func(ctx context.Context) error
	// URL is how others reach it; may be empty.
	URL string
}

// Program prepares a program and does not start it.
func (l *Lab) Program(name string, p Program) (*Server, error) {
	if len(p.Argv) == 0 {
		return nil, fmt.Errorf("program %s: nothing to run", name)
	}
	s, err := l.newServer(name, func(data string) error { return l.user.makeDir(data, 0o755) })
	if err != nil {
		return nil, err
	}
	ready := func(ctx context.Context, _ *Server, _ int64) error {
		if p.Ready == nil {
			return nil
		}
		return p.Ready(ctx)
	}
	s.url = p.URL
	s.recipe = recipe{argv: p.Argv, env: p.Env, stop: syscall.SIGTERM, death: syscall.SIGKILL, ready: ready}
	l.add(s)
	return s, nil
}

// Ended is closed when the run that is going on has ended; nil when none was started, or it
// was stopped or killed by us.
func (s *Server) Ended() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	return s.process.gone
}

// EndedWith is the exit status of a run that has ended by itself, -1 if by a signal. It is not
// ended while it runs, or when we stopped or killed it.
func (s *Server) EndedWith() (status int, ended bool) {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p == nil {
		return 0, false
	}
	select {
	case <-p.gone:
		return p.cmd.ProcessState.ExitCode(), true
	default:
		return 0, false
	}
}

// LogTail is the end of its log, for a report.
func (s *Server) LogTail() string { return tail(s.LogFile()) }
