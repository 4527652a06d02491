package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Patience is how long a test waits for what must come. It is for what hangs: a test that waits does not fail for the machine's being slow or busy.
const Patience = 10 * time.Minute

// MySQL is the URL of a fresh database on the shared MySQL 9.7, dropped after the test.
func MySQL(t testing.TB) string {
	t.Helper()
	return shopDatabase(t, shared.need(t, "MySQL", "SPOLA_TEST_MYSQL", (*Lab).MySQL))
}

// MariaDB is the URL of a fresh database on the shared MariaDB 10.11, dropped after the test.
func MariaDB(t testing.TB) string {
	t.Helper()
	return shopDatabase(t, shared.need(t, "MariaDB", "SPOLA_TEST_MARIADB", (*Lab).MariaDB))
}

// Postgres is the URL of a fresh database on the shared PostgreSQL 15, dropped after the test.
func Postgres(t testing.TB) string {
	t.Helper()
	return erpDatabase(t, shared.need(t, "PostgreSQL", "SPOLA_TEST_POSTGRES", (*Lab).Postgres))
}

// CopiedPostgres is the URL of a fresh database on the shared PostgreSQL 15 that is as fill leaves an empty
// one, dropped after the test. fill is called once for all tests, of all packages, that give the same name:
// the others are given copies, which takes a tenth of a migration's time. The template stays on the server
// under that name, which must say all that decides about what stands in it.
func CopiedPostgres(t testing.TB, name string, fill func(url string) error) string {
	t.Helper()
	server := shared.need(t, "PostgreSQL", "SPOLA_TEST_POSTGRES", (*Lab).Postgres)
	if err := makeTemplate(server, name, fill); err != nil {
		t.Fatalf("make the template %s: %v", name, err)
	}
	return erpDatabaseOf(t, server, " TEMPLATE "+name)
}

// makeTemplate makes a database for copies unless it is there. Nobody may connect to a finished one: a
// copy waits until all have left.
func makeTemplate(server, name string, fill func(url string) error) (err error) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	there := func() (found bool, err error) {
		err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&found)
		return found, err
	}
	if found, err := there(); err != nil || found {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
		return err
	}
	if found, err := there(); err != nil || found {
		return err
	}
	part := name + "_part" // of a process that was killed, or ours
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + part + " WITH (FORCE)", "CREATE DATABASE " + part} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	u.Path = "/" + part
	if err := fill(u.String()); err != nil {
		return err
	}
	for _, statement := range []string{
		"ALTER DATABASE " + part + " ALLOW_CONNECTIONS false",
		"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '" + part + "'",
		"ALTER DATABASE " + part + " RENAME TO " + name,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// OwnPostgres is the URL of a fresh database on a PostgreSQL 15 that no other package uses, dropped
// after the test. A replication slot is made only when every transaction of the whole server has
// ended: tests that make one would wait for those of other packages.
func OwnPostgres(t testing.TB) string {
	t.Helper()
	return erpDatabase(t, shared.need(t, "PostgreSQL of its own", "", (*Lab).Postgres))
}

// Kafka are the brokers of the shared Apache Kafka 4.3: one. A test makes topics of its own
// and deletes them.
func Kafka(t testing.TB) []string {
	t.Helper()
	return strings.Split(shared.need(t, "Kafka", "SPOLA_TEST_KAFKA", oneBroker), ",")
}

func oneBroker(l *Lab, ctx context.Context, c Config) (*Server, error) {
	cluster, err := l.Kafka(ctx, 1, c)
	if err != nil {
		return nil, err
	}
	return cluster.Brokers[0], nil
}

// PrivateMySQL is a MySQL 9.7 of this test alone, which may kill and reset it. It is gone after
// the test. Settings go over the lab's own and may be nil.
func PrivateMySQL(t testing.TB, settings map[string]string) *Server {
	t.Helper()
	return private(t, "MySQL", settings, (*Lab).MySQL)
}

// PrivateMariaDB is a MariaDB 10.11 of this test alone.
func PrivateMariaDB(t testing.TB, settings map[string]string) *Server {
	t.Helper()
	return private(t, "MariaDB", settings, (*Lab).MariaDB)
}

// PrivatePostgres is a PostgreSQL 15 of this test alone.
func PrivatePostgres(t testing.TB, settings map[string]string) *Server {
	t.Helper()
	return private(t, "PostgreSQL", settings, (*Lab).Postgres)
}

// PrivateKafka is an Apache Kafka 4.3 of this test alone, with one broker or three.
func PrivateKafka(t testing.TB, brokers int, settings map[string]string) *Cluster {
	t.Helper()
	var cluster *Cluster
	private(t, "Kafka", settings, func(l *Lab, ctx context.Context, c Config) (*Server, error) {
		var err error
		if cluster, err = l.Kafka(ctx, brokers, c); err != nil {
			return nil, err
		}
		return cluster.Brokers[0], nil
	})
	return cluster
}

// PrivateLab is a Lab of this test alone, for several servers that belong together.
func PrivateLab(t testing.TB) *Lab {
	t.Helper()
	lab, err := Open(context.Background(), Options{})
	if err != nil {
		Skip(t, "servers: "+err.Error())
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return lab
}

// starter is one of Lab's methods that start a server.
type starter func(l *Lab, ctx context.Context, c Config) (*Server, error)

func private(t testing.TB, product string, settings map[string]string, start starter) *Server {
	t.Helper()
	s, err := start(PrivateLab(t), context.Background(), Config{Settings: settings})
	if err != nil {
		Skip(t, product+": "+err.Error())
	}
	return s
}

// Skip skips a test for want of something that the machine lacks, and records the reason for
// the list at the end of `make test`. With CI=true it fails the test: there nothing may lack.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("skipped, which counts as a failure with CI=true: %s", reason)
	}
	if path := os.Getenv("SPOLA_SKIPS"); path != "" {
		if err := record(path, t.Name()+": "+firstLine(reason)); err != nil {
			t.Errorf("record a skipped test: %v", err)
		}
	}
	t.Skip(reason)
}

func record(path, line string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return err
	}
	return f.Close()
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// sharedServers are those of this test binary: one of each, started when the first test asks,
// for as long as the binary runs. The one state of this package that is not a caller's: tests
// have no other place in common.
type sharedServers struct {
	mu      sync.Mutex
	lab     *Lab
	servers map[string]*sharedServer
}

type sharedServer struct {
	once sync.Once
	url  string
	err  error
}

var shared = &sharedServers{servers: map[string]*sharedServer{}}

// need returns the URL of a server that is there already, by the environment, or of this
// binary's own.
func (s *sharedServers) need(t testing.TB, product, variable string, start starter) string {
	t.Helper()
	if url := os.Getenv(variable); url != "" {
		return url
	}
	s.mu.Lock()
	one := s.servers[product]
	if one == nil {
		one = &sharedServer{}
		s.servers[product] = one
	}
	s.mu.Unlock()
	one.once.Do(func() { one.url, one.err = s.start(start) })
	if one.err != nil {
		Skip(t, product+": "+one.err.Error())
	}
	return one.url
}

func (s *sharedServers) start(start starter) (string, error) {
	s.mu.Lock()
	var err error
	if s.lab == nil {
		s.lab, err = Open(context.Background(), Options{})
	}
	lab := s.lab
	s.mu.Unlock()
	if err != nil {
		return "", err
	}
	server, err := start(lab, context.Background(), Config{})
	if err != nil {
		return "", err
	}
	return server.URL(), nil
}

// freshName is a name for a test's own database.
func freshName(t testing.TB) string {
	raw := make([]byte, 6)
	if _, err := rand.Read(raw); err != nil {
		t.Fatalf("draw a database's name: %v", err)
	}
	return "t_" + hex.EncodeToString(raw)
}

func shopDatabase(t testing.TB, server string) string {
	t.Helper()
	name := freshName(t)
	execShop(t, server, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	t.Cleanup(func() { execShop(t, server, "DROP DATABASE IF EXISTS "+name) })
	return withDatabase(t, server, name)
}

func execShop(t testing.TB, server, statement string) {
	t.Helper()
	db, err := OpenMySQL(server)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		t.Fatalf("%s on %s: %v", statement, server, err)
	}
}

func erpDatabase(t testing.TB, server string) string {
	t.Helper()
	return erpDatabaseOf(t, server, "")
}

func erpDatabaseOf(t testing.TB, server, options string) string {
	t.Helper()
	name := freshName(t)
	execERP(t, server, "CREATE DATABASE "+name+options)
	// FORCE ends connections that a test left open. A replication slot of the test's own
	// holds the database and is dropped first.
	t.Cleanup(func() {
		execERP(t, server, fmt.Sprintf(
			"SELECT pg_terminate_backend(active_pid, 60000) FROM pg_replication_slots WHERE database = '%s' AND active", name))
		execERP(t, server, fmt.Sprintf(
			"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '%s'", name))
		execERP(t, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	})
	return withDatabase(t, server, name)
}

func execERP(t testing.TB, server, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s on %s: %v", statement, server, err)
	}
}

func withDatabase(t testing.TB, server, name string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("URL of a server: %v", err)
	}
	u.Path = "/" + name
	return u.String()
}
