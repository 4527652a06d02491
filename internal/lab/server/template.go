package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// template returns an initialised data directory of the cache, after making it if need be.
// A server begins with a copy of it: initialising takes seconds, copying a fraction of one.
func (l *Lab) template(ctx context.Context, name string, initialise func(dir string) error) (string, error) {
	dir := filepath.Join(l.cache, "templates", name)
	if err := l.user.makeDir(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	err := l.once(ctx, dir, func(dir string) error {
		l.progress("initialising " + name + " (once)")
		return initialise(filepath.Join(dir, "data"))
	})
	if err != nil {
		return "", fmt.Errorf("initialise %s: %w", name, err)
	}
	return filepath.Join(dir, "data"), nil
}

// newServer makes a server's directory; its data is made by fill unless it is there from an
// earlier Lab in the same directory.
func (l *Lab) newServer(name string, fill func(data string) error) (*Server, error) {
	dir := filepath.Join(l.dir, name)
	if err := l.user.makeDir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	s := &Server{lab: l, name: name, dir: dir}
	var err error
	if s.port, err = l.Port(); err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	if _, err := os.Stat(s.DataDir()); err == nil {
		return s, nil
	}
	part := s.DataDir() + ".part"
	if err := os.RemoveAll(part); err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	if err := fill(part); err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	return s, os.Rename(part, s.DataDir())
}

// copyTree copies a template as the account, so that the copy is its own.
func (l *Lab) copyTree(ctx context.Context, from, to string) error {
	_, err := l.run(ctx, l.dir, nil, "cp", "-a", "--reflink=auto", from, to)
	return err
}

// launched adds a server to the Lab and starts it.
func (l *Lab) launched(ctx context.Context, s *Server) (*Server, error) {
	l.add(s)
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Kill())
	}
	return s, nil
}

// merged are our settings with a caller's over them; an empty value takes one away.
func merged(ours, theirs map[string]string) map[string]string {
	all := map[string]string{}
	for _, settings := range []map[string]string{ours, theirs} {
		for name, value := range settings {
			all[name] = value
		}
	}
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}
