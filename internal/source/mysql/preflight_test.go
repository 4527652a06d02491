package mysql

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/lab/server"
)

func codes(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Code)
	}
	return out
}

// A server as the lab sets it up has nothing that keeps cdc from starting.
func TestPreflightOfSoundServer(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := newShop(t, url, orders)
		s.exec(ordersTable)
		findings, err := Preflight(t.Context(), s.cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.Severity == Blocking {
				t.Errorf("%s: %s", f.Code, f.What)
			}
			if f.Mend == "" || f.What == "" {
				t.Errorf("%s has no text or remedy", f.Code)
			}
		}
		if !slices.Contains(codes(findings), "marker") {
			t.Error("a missing marker table is not told")
		}
	})
}

// Each setting that is wrong is found, with a statement; and where it can be mended while the
// server runs, the statement mends it.
func TestPreflightOfBadServer(t *testing.T) {
	bad := map[string]string{
		"binlog_row_image": "MINIMAL", "binlog_row_metadata": "MINIMAL", "sync_binlog": "0", "innodb_flush_log_at_trx_commit": "2",
		"binlog_checksum": "NONE", "binlog_expire_logs_seconds": "3600",
	}
	t.Run("mysql", func(t *testing.T) {
		settings := map[string]string{"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF", "binlog_order_commits": "OFF", "source_verify_checksum": "OFF"}
		for name, value := range bad {
			settings[name] = value
		}
		testBadServer(t, server.PrivateMySQL(t, settings), []string{
			"binlog_row_image", "binlog_row_metadata", "gtid_mode", "binlog_order_commits", "sync_binlog",
			"innodb_flush_log_at_trx_commit", "binlog_checksum", "binlog_expire_logs_seconds", "source_verify_checksum",
		})
	})
	t.Run("mariadb", func(t *testing.T) {
		settings := map[string]string{"binlog_format": "MIXED", "binlog_row_metadata": "NO_LOG", "mysql56_temporal_format": "OFF", "gtid_strict_mode": "OFF", "master_verify_checksum": "OFF"}
		for name, value := range bad {
			if settings[name] == "" {
				settings[name] = value
			}
		}
		testBadServer(t, server.PrivateMariaDB(t, settings), []string{
			"binlog_format", "binlog_row_image", "binlog_row_metadata", "sync_binlog", "mysql56_temporal_format",
			"innodb_flush_log_at_trx_commit", "binlog_checksum", "binlog_expire_logs_seconds", "master_verify_checksum", "gtid_strict_mode",
		})
	})
}

func testBadServer(t *testing.T, private *server.Server, want []string) {
	s := privateShop(t, private, orders,
		Capture{Name: "oc_isam", Columns: []string{"id"}, Key: []string{"id"}},
		Capture{Name: "oc_missing", Columns: []string{"id"}, Key: []string{"id"}},
		Capture{Name: "oc_column", Columns: []string{"id", "gone"}, Key: []string{"id"}},
		Capture{Name: "oc_keyless", Columns: []string{"id"}, Key: []string{"id"}},
		Capture{Name: "oc_charset", Columns: []string{"id", "v"}, Key: []string{"id"}})
	s.exec(ordersTable)
	s.exec("CREATE TABLE oc_isam (id int PRIMARY KEY) ENGINE=MyISAM")
	s.exec("CREATE TABLE oc_column (id int PRIMARY KEY)")
	s.exec("CREATE TABLE oc_keyless (id int)")
	s.exec("CREATE TABLE oc_charset (id int PRIMARY KEY, v varchar(9) CHARACTER SET gbk)")
	asked, err := Open(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Close()
	if kept, err := BinlogKept(t.Context(), asked); err != nil || kept != time.Hour {
		t.Errorf("the binary log is kept for %v: %v", kept, err)
	}
	findings, err := Preflight(t.Context(), s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := codes(findings)
	for _, code := range want {
		if !slices.Contains(got, code) {
			t.Errorf("%s is not found; found: %v", code, got)
		}
	}
	shapes := map[string]string{}
	for _, f := range findings {
		if f.Mend == "" {
			t.Errorf("%s has no remedy", f.Code)
		}
		if f.Table != "" {
			shapes[f.Table] += f.Code + ": " + f.What + "; " + f.Mend + "\n"
		}
	}
	for table, text := range map[string]string{
		"oc_isam": "ALTER TABLE `oc_isam` ENGINE=InnoDB", "oc_missing": "not there", "oc_column": "gone", "oc_keyless": "primary key", "oc_charset": "gbk",
	} {
		if !strings.Contains(shapes[table], text) {
			t.Errorf("table %s: found %q, want %q in it", table, shapes[table], text)
		}
	}
	s.start()
	if err := s.ended(); !errors.Is(err, ErrStopped) || !errors.Is(err, ErrPreflight) {
		t.Errorf("cdc starts on such a server: %v", err)
	}
	testMends(t, s, findings)
}

// testMends runs what the findings say, in their order, and looks again.
func testMends(t *testing.T, s *shop, findings []Finding) {
	for _, f := range findings {
		for _, statement := range strings.Split(f.Mend, ";") {
			statement = strings.TrimSpace(statement)
			if !strings.HasPrefix(statement, "SET ") && !strings.HasPrefix(statement, "ALTER TABLE `") {
				continue
			}
			s.exec(statement)
		}
	}
	for _, statement := range []string{
		"DROP TABLE oc_column, oc_keyless, oc_charset", "CREATE TABLE oc_missing (id int PRIMARY KEY)", "CREATE TABLE oc_column (id int PRIMARY KEY, gone int)",
		"CREATE TABLE oc_keyless (id int PRIMARY KEY)", "CREATE TABLE oc_charset (id int PRIMARY KEY, v varchar(9))",
	} {
		s.exec(statement)
	}
	findings, err := Preflight(t.Context(), s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Code != "marker" && f.Code != "binlog_checksum" {
			t.Errorf("mended as told, and still there: %s: %s; %s", f.Code, f.What, f.Mend)
		}
	}
}

// A user who lacks a right is told the GRANT, and cdc stops instead of trying for ever; with
// the rights that are told, it runs.
func TestPreflightGrants(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := newShop(t, url, orders)
		s.exec(ordersTable)
		a, err := s.cfg.address()
		if err != nil {
			t.Fatal(err)
		}
		user := "u_" + a.database[2:]
		s.exec("CREATE USER '" + user + "'@'127.0.0.1' IDENTIFIED BY 'pw'")
		t.Cleanup(func() { s.exec("DROP USER '" + user + "'@'127.0.0.1'") })
		if err := ensureMarker(t.Context(), s.db); err != nil {
			t.Fatal(err)
		}
		s.exec("GRANT SELECT ON `" + a.database + "`.spola_marker TO '" + user + "'@'127.0.0.1'")
		low := newShop(t, strings.Replace(url, "root@", user+":pw@", 1), orders)
		low.log = s.log
		findings, err := Preflight(t.Context(), low.cfg)
		if err != nil {
			t.Fatal(err)
		}
		var grants []string
		for _, f := range findings {
			if strings.HasPrefix(f.Code, "grant_") {
				grants = append(grants, f.Mend)
			}
		}
		if len(grants) != 3 {
			t.Fatalf("findings about rights: %v, want that to replicate, that to the marker and that to the table", grants)
		}
		low.start()
		if err := low.ended(); !errors.Is(err, ErrPreflight) {
			t.Fatalf("without rights: %v", err)
		}
		for _, grant := range grants {
			s.exec(grant)
		}
		low.start()
		low.snapshotDone(1)
		if err := low.end(); errors.Is(err, ErrStopped) {
			t.Fatal(err)
		}
		wrong := newShop(t, strings.Replace(url, "root@", user+":wrong@", 1), orders)
		wrong.start()
		if err := wrong.ended(); !errors.Is(err, ErrLogin) || strings.Contains(err.Error(), "wrong") || !strings.Contains(err.Error(), "shop.password_file") {
			t.Fatalf("with a wrong password: %v", err)
		}
	})
}
