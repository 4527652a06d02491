package server

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

var postgresPackages = packages{name: "postgres-15", suite: "bookworm", names: []string{"postgresql-15"}}

var postgresSettings = map[string]string{
	"listen_addresses":       "127.0.0.1",
	"wal_level":              "logical",
	"max_connections":        "200",
	"max_wal_senders":        "20",
	"max_replication_slots":  "20",
	"max_slot_wal_keep_size": "4GB",
	"shared_buffers":         "128MB",
}

// postgresBinary is where PostgreSQL's programs are and what they need.
type postgresBinary struct {
	bin     string
	initdb  []string
	env     []string
	version string
}

func (l *Lab) postgresBinary(ctx context.Context) (postgresBinary, error) {
	if path, version := l.installed(ctx, postgresProgram); path != "" {
		bin := filepath.Dir(path)
		return postgresBinary{bin: bin, initdb: []string{filepath.Join(bin, "initdb")}, version: version}, nil
	}
	root, err := l.unpack(ctx, postgresPackages)
	if err != nil {
		return postgresBinary{}, err
	}
	libraries, err := libraryPath(root)
	if err != nil {
		return postgresBinary{}, err
	}
	bin := filepath.Join(root, "usr/lib/postgresql/15/bin")
	b := postgresBinary{
		bin: bin, env: []string{"LD_LIBRARY_PATH=" + libraries},
		initdb: []string{filepath.Join(bin, "initdb"), "-L", filepath.Join(root, "usr/share/postgresql/15")},
	}
	b.version = l.versionOf(ctx, postgresProgram, b.env, filepath.Join(bin, "postgres"))
	if b.version == "" {
		return postgresBinary{}, fmt.Errorf("the server unpacked in %s is not PostgreSQL 15, or does not run", root)
	}
	return b, nil
}

// Postgres starts a PostgreSQL 15 with logical WAL, whose superuser postgres has no password.
func (l *Lab) Postgres(ctx context.Context, c Config) (*Server, error) {
	binary, err := l.postgresBinary(ctx)
	if err != nil {
		return nil, err
	}
	s, err := l.newServer(nameOr(c.Name, "postgres"), func(data string) error {
		// Not copied from a template: initdb takes 0.6 s, and a copy would share the system
		// identifier by which a reader knows that it is connected to another server.
		argv := append(slices.Clone(binary.initdb), "--no-sync", "--username=postgres", "--auth=trust",
			"--encoding=UTF8", "--locale=C.UTF-8", "--pgdata="+data)
		_, err := l.run(ctx, l.dir, binary.env, argv...)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.version = binary.version
	argv := []string{filepath.Join(binary.bin, "postgres"), "-D", s.DataDir(), "-p", strconv.Itoa(s.port),
		"-c", "unix_socket_directories="} // none: the path of a socket ends at 107 bytes
	settings := merged(postgresSettings, c.Settings)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		argv = append(argv, "-c", name+"="+settings[name])
	}
	s.url = "postgres://postgres@" + s.Addr() + "/postgres"
	s.recipe = recipe{argv: argv, env: binary.env, stop: syscall.SIGINT, death: syscall.SIGQUIT, ready: pingPostgres}
	return l.launched(ctx, s)
}

func pingPostgres(ctx context.Context, s *Server, _ int64) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
