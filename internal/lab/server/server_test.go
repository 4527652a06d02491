package server_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // to look at both databases with one interface

	"github.com/spola-cdc/spola/internal/lab/server"
)

// open opens either kind of database by its URL.
func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	var db *sql.DB
	var err error
	if strings.HasPrefix(url, "postgres") {
		db, err = sql.Open("pgx", url)
	} else {
		db, err = server.OpenMySQL(url)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func value(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var v string
	if err := db.QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// Tests that ask for the same template at once are each given a copy of their own, of what was filled
// once; one that was left half filled is filled anew.
func TestCopiesOfATemplate(t *testing.T) {
	name := fmt.Sprintf("template_%d", time.Now().UnixNano())
	base := server.Postgres(t)
	admin := open(t, base)
	exec(t, admin, "CREATE DATABASE "+name+"_part")
	t.Cleanup(func() { exec(t, open(t, base), "DROP DATABASE "+name) })
	var filled atomic.Int64
	t.Run("at once", func(t *testing.T) {
		for i := range 4 {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				db := open(t, server.CopiedPostgres(t, name, func(url string) error {
					filled.Add(1)
					_, err := open(t, url).Exec("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
					return err
				}))
				if _, err := db.Exec("INSERT INTO t VALUES (2)"); err != nil {
					t.Error(err)
				}
				if sum := value(t, db, "SELECT sum(n) FROM t"); sum != "3" {
					t.Errorf("a copy has %s, want 3", sum)
				}
			})
		}
	})
	if n := filled.Load(); n != 1 {
		t.Errorf("filled %d times", n)
	}
}

// What was committed survives kill -9 and a gentle restart, on the same port.
func TestKilledServerComesBack(t *testing.T) {
	servers := map[string]func(testing.TB, map[string]string) *server.Server{
		"MySQL": server.PrivateMySQL, "MariaDB": server.PrivateMariaDB, "PostgreSQL": server.PrivatePostgres,
	}
	for product, start := range servers {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			url := s.URL()
			if product != "PostgreSQL" {
				exec(t, open(t, url), "CREATE DATABASE kept")
				url += "kept"
			}
			db := open(t, url)
			exec(t, db, "CREATE TABLE kept (id int PRIMARY KEY)")
			exec(t, db, "INSERT INTO kept VALUES (7)")
			before := s.PID()
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := open(t, url).Ping(); err == nil {
				t.Fatal("it answers although it was killed")
			}
			if err := s.Start(context.Background()); err != nil {
				t.Fatal(err)
			}
			if s.PID() == before {
				t.Errorf("the process is still %d", before)
			}
			if err := s.Restart(context.Background()); err != nil {
				t.Fatal(err)
			}
			if got := value(t, open(t, url), "SELECT max(id) FROM kept"); got != "7" {
				t.Errorf("after kill -9 and restart the row reads %s", got)
			}
		})
	}
}

// Two servers from the same template are two servers: a reader has to tell them apart.
func TestServersHaveTheirOwnIdentity(t *testing.T) {
	lab := server.PrivateLab(t)
	identity := func(name, query string, start func(context.Context, server.Config) (*server.Server, error)) string {
		s, err := start(context.Background(), server.Config{Name: name})
		if err != nil {
			server.Skip(t, err.Error())
		}
		return value(t, open(t, s.URL()), query)
	}
	if a, b := identity("m1", "SELECT @@server_uuid", lab.MySQL), identity("m2", "SELECT @@server_uuid", lab.MySQL); a == b {
		t.Errorf("two MySQL servers share the UUID %s", a)
	}
	const system = "SELECT system_identifier::text FROM pg_control_system()"
	if a, b := identity("p1", system, lab.Postgres), identity("p2", system, lab.Postgres); a == b {
		t.Errorf("two PostgreSQL servers share the system identifier %s", a)
	}
}

// The settings that everything else relies on, and a caller's own over them.
func TestSettings(t *testing.T) {
	shared := []struct{ product, url, query, want string }{
		{"MySQL", server.MySQL(t), "SELECT concat_ws(' ', @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, @@gtid_mode, @@sync_binlog, @@innodb_flush_log_at_trx_commit)", "ROW FULL FULL ON 1 1"},
		{"MariaDB", server.MariaDB(t), "SELECT concat_ws(' ', @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, @@gtid_strict_mode, @@sync_binlog, @@innodb_flush_log_at_trx_commit)", "ROW FULL FULL ON 1 1"},
		{"PostgreSQL", server.Postgres(t), "SHOW wal_level", "logical"},
		{"MySQL", server.MySQL(t), "SELECT substring_index(version(), '.', 2)", "9.7"},
		{"MariaDB", server.MariaDB(t), "SELECT substring_index(version(), '.', 2)", "10.11"},
		{"MariaDB", server.MariaDB(t), "SELECT count(*) FROM mysql.user WHERE user = '' AND host <> ''", "0"},
	}
	for _, s := range shared {
		if got := value(t, open(t, s.url), s.query); got != s.want {
			t.Errorf("%s: %s = %q, want %q", s.product, s.query, got, s.want)
		}
	}
	own := server.PrivateMySQL(t, map[string]string{"binlog_format": "STATEMENT"})
	if got := value(t, open(t, own.URL()), "SELECT @@binlog_format"); got != "STATEMENT" {
		t.Errorf("binlog_format = %s although the caller set STATEMENT", got)
	}
}

// Each test has a database of its own, which is gone after it, even with a connection open.
func TestFreshDatabaseIsDropped(t *testing.T) {
	for product, fresh := range map[string]func(testing.TB) string{
		"MySQL": server.MySQL, "MariaDB": server.MariaDB, "PostgreSQL": server.Postgres,
	} {
		var url string
		t.Run(product, func(t *testing.T) {
			url = fresh(t)
			exec(t, open(t, url), "CREATE TABLE t (id int PRIMARY KEY)")
			if other := fresh(t); other == url {
				t.Errorf("two calls gave the same database %s", url)
			}
		})
		if url != "" && open(t, url).Ping() == nil {
			t.Errorf("%s is still there after its test", url)
		}
	}
}

// Three brokers elect a leader again after one is killed, and it comes back.
func TestKafkaOfThreeBrokers(t *testing.T) {
	cluster := server.PrivateKafka(t, 3, nil)
	if len(cluster.Addrs()) != 3 {
		t.Fatalf("brokers: %v", cluster.Addrs())
	}
	if err := cluster.Brokers[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Brokers[0].Start(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Neither a process nor a file is left behind.
func TestLabLeavesNothing(t *testing.T) {
	lab, err := server.Open(context.Background(), server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := lab.Postgres(context.Background(), server.Config{})
	if err != nil {
		lab.Close()
		server.Skip(t, err.Error())
	}
	pid := s.PID()
	if pid == 0 {
		t.Fatal("the server does not run")
	}
	if err := lab.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(lab.Dir()); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", lab.Dir(), err)
	}
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); !os.IsNotExist(err) {
		t.Errorf("process %d still runs: %v", pid, err)
	}
}
