package server

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// Standby starts a copy of a PostgreSQL server that follows it by streaming, as one that takes over when
// it is lost. The server is stopped for the copy and started again.
func (l *Lab) Standby(ctx context.Context, primary *Server) (*Server, error) {
	if err := primary.Stop(ctx); err != nil {
		return nil, err
	}
	s, err := l.newServer(primary.name+"-standby", func(data string) error {
		if err := l.copyTree(ctx, primary.DataDir(), data); err != nil {
			return err
		}
		_, err := l.run(ctx, l.dir, nil, "touch", filepath.Join(data, "standby.signal"))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := primary.Start(ctx); err != nil {
		return nil, err
	}
	s.version = primary.version
	s.url = "postgres://postgres@" + s.Addr() + "/postgres"
	s.recipe = primary.recipe
	s.recipe.argv = append(postgresAt(primary.recipe.argv, s), "-c", fmt.Sprintf("primary_conninfo=host=127.0.0.1 port=%d user=postgres", primary.port))
	return l.launched(ctx, s)
}

// TakeOver lets a standby answer at the address of the one that it has followed, which is lost. It has what had reached it, and
// can be read only until it is promoted.
func (s *Server) TakeOver(ctx context.Context, lost *Server) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	s.port, s.url = lost.port, lost.url
	s.recipe.argv = postgresAt(s.recipe.argv, s)
	return s.Start(ctx)
}

// Promote ends a standby's following: from now on it is a server of its own.
func (s *Server) Promote(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return fmt.Errorf("promote %s: %w", s.name, err)
	}
	defer conn.Close(ctx)
	var promoted bool
	if err := conn.QueryRow(ctx, "select pg_promote()").Scan(&promoted); err != nil {
		return fmt.Errorf("promote %s: %w", s.name, err)
	}
	if !promoted {
		return fmt.Errorf("promote %s: it has not ended its recovery", s.name)
	}
	return nil
}

// postgresAt is a command that starts PostgreSQL, with a server's own data and port.
func postgresAt(argv []string, s *Server) []string {
	argv = slices.Clone(argv)
	for i, word := range argv[:len(argv)-1] {
		switch word {
		case "-D":
			argv[i+1] = s.DataDir()
		case "-p":
			argv[i+1] = strconv.Itoa(s.port)
		}
	}
	return argv
}
