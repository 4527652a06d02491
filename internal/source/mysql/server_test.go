package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// privateShop is a shop on a server of the test's own, which may reset and purge it.
func privateShop(t *testing.T, s *server.Server, tables ...Capture) *shop {
	t.Helper()
	db, err := server.OpenMySQL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DROP DATABASE IF EXISTS shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE DATABASE shop CHARACTER SET utf8mb4"); err != nil {
		t.Fatal(err)
	}
	return newShop(t, withDatabase(s.URL(), "shop"), tables...)
}

func withDatabase(url, name string) string { return strings.TrimRight(url, "/") + "/" + name }

// What can't be done to a server that others use is done to one of this test's own. The order
// counts: the last one resets it.
func TestPrivateServer(t *testing.T) {
	for name, private := range map[string]func(t testing.TB) *server.Server{
		"mysql": func(t testing.TB) *server.Server { return server.PrivateMySQL(t, nil) },
		"mariadb": func(t testing.TB) *server.Server {
			return server.PrivateMariaDB(t, map[string]string{"log_bin_compress": "ON", "log_bin_compress_min_len": "10"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := private(t)
			for _, part := range []struct {
				name string
				test func(t *testing.T, s *server.Server)
			}{
				{"compressed", testCompressed}, {"connection cut", testConnectionCut}, {"server id collision", testServerIDCollision},
				{"metadata", testMetadataGone}, {"wrong server", testWrongServer}, {"another content", testAnotherContent}, {"reset and purge", testResetAndPurge},
			} {
				t.Run(part.name, func(t *testing.T) { part.test(t, s) })
			}
		})
	}
}

func (s *shop) isMariaDB() bool {
	f, err := readFacts(context.Background(), s.db)
	if err != nil {
		s.t.Fatal(err)
	}
	return f.flavor == mariadbFlavor
}

// A binary log that was reset, also when it has grown past the old position again, is found,
// not streamed; beginning anew takes a snapshot in the next incarnation. A purged position is
// found too.
func testResetAndPurge(t *testing.T, private *server.Server) {
	s := privateShop(t, private, orders)
	s.exec(ordersTable)
	s.exec("INSERT INTO oc_order (total) VALUES (1)")
	s.start()
	s.snapshotDone(1)
	s.exec("INSERT INTO oc_order (comment) VALUES ('recorded')")
	s.row("oc_order", "recorded")
	s.end()

	reset := "RESET BINARY LOGS AND GTIDS"
	if s.isMariaDB() {
		reset = "RESET MASTER"
	}
	s.exec(reset)
	s.start()
	if err := s.ended(); !errors.Is(err, ErrAnchor) || strings.Contains(err.Error(), "it has ;") {
		t.Fatalf("after a reset: %v", err)
	}
	for i := range 40 {
		s.exec(fmt.Sprintf("INSERT INTO oc_order (comment) VALUES ('after the reset %d')", i))
	}
	s.start()
	if err := s.ended(); !errors.Is(err, ErrAnchor) || !strings.Contains(err.Error(), "--new-incarnation") {
		t.Fatalf("after a reset and 40 transactions: %v", err)
	}
	for _, r := range s.log.all() {
		if strings.Contains(string(r.Value), "after the reset") {
			t.Fatal("a transaction of the new history was streamed behind the old one")
		}
	}

	s.exec("INSERT INTO spola_marker (name, number, applied) VALUES ('product:1', 7, 3)") // what a restored shop has taken
	s.cfg.NewIncarnation = true
	s.start()
	s.snapshotDone(2)
	s.end()
	s.cfg.NewIncarnation = false
	read, marked := 0, 0
	for _, r := range s.log.all() {
		if r.Op == change.Read && strings.HasPrefix(r.Origin, "chunk 2 ") {
			switch {
			case r.Table != Marker:
				read++
			case strings.Contains(string(r.Value), `"name":"product:1"`):
				marked++
			}
			if o, err := change.ParseOrigin(r.Origin); err != nil || o.Tx.Incarnation != 2 {
				t.Fatalf("origin %s in the second incarnation (%v)", r.Origin, err)
			}
		}
	}
	if read != 42 || marked != 1 {
		t.Errorf("the snapshot of the second incarnation has %d rows, the table 42; of the marker's row it has %d", read, marked)
	}

	s.exec("INSERT INTO oc_order (comment) VALUES ('x')")
	s.exec("FLUSH BINARY LOGS")
	s.exec("INSERT INTO oc_order (comment) VALUES ('y')")
	s.exec("FLUSH BINARY LOGS")
	purge(t, s.db)
	s.start()
	if err := s.ended(); !errors.Is(err, ErrPurged) {
		t.Fatalf("after a purge: %v", err)
	}
}

func purge(t *testing.T, db *sql.DB) {
	t.Helper()
	rows, err := db.Query("SHOW BINARY LOGS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var last string
	for rows.Next() {
		targets := make([]any, len(names))
		targets[0] = &last
		for i := 1; i < len(names); i++ {
			targets[i] = new(sql.RawBytes)
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("PURGE BINARY LOGS TO '" + last + "'"); err != nil {
		t.Fatal(err)
	}
}

// Another server, even one with as many transactions, is not taken for the one that was read.
func testWrongServer(t *testing.T, private *server.Server) {
	wrong := privateShop(t, private, orders)
	url := server.MySQL
	if wrong.isMariaDB() {
		url = server.MariaDB
	}
	address := url(t)
	s := newShop(t, address, orders)
	s.exec(ordersTable)
	name := address[strings.LastIndex(address, "/")+1:] // of the database: by another name it is another shop's at once
	wrong.exec("CREATE DATABASE " + name)
	wrong = newShop(t, withDatabase(private.URL(), name), orders)
	wrong.exec(ordersTable)
	s.start()
	s.snapshotDone(1)
	s.end()
	wrong.log = s.log
	wrong.start()
	if err := wrong.ended(); !errors.Is(err, ErrAnchor) {
		t.Fatalf("on another server: %v", err)
	}
}

// A history that has the last transaction's GTID and time, but not its rows, is another one: a
// server that was restored and written to again. It is found at the next start, also when the log ends with
// a claim, by the anchor that every claim carries.
func testAnotherContent(t *testing.T, private *server.Server) {
	s := privateShop(t, private, orders)
	s.exec(ordersTable)
	s.start()
	s.snapshotDone(1)
	s.exec("INSERT INTO oc_order (order_id, comment) VALUES (7, 'as recorded')")
	last := s.row("oc_order", "as recorded")
	s.end()
	o, err := change.ParseOrigin(last.Origin)
	if err != nil {
		t.Fatal(err)
	}
	s.log.takes(1) // the next owner dies behind his claim
	s.log.cut(last)
	s.start()
	if err := s.ended(); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	s.log.takes(-1)

	var envelope struct {
		Source struct {
			ServerID int   `json:"server_id"`
			Micros   int64 `json:"ts_us"`
		}
	}
	if err := json.Unmarshal(last.Value, &envelope); err != nil {
		t.Fatal(err)
	}
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "SET sql_log_bin = 0")
	exec(t, conn, "DELETE FROM oc_order WHERE order_id = 7")
	exec(t, conn, "SET sql_log_bin = 1")
	if s.isMariaDB() {
		exec(t, conn, "RESET MASTER")
		exec(t, conn, "SET GLOBAL gtid_binlog_state = '"+o.Tx.Before+"'")
		number := o.Tx.GTID[strings.LastIndexByte(o.Tx.GTID, '-')+1:]
		exec(t, conn, fmt.Sprintf("SET timestamp = %d, gtid_seq_no = %s", envelope.Source.Micros/1e6, number))
	} else {
		exec(t, conn, "RESET BINARY LOGS AND GTIDS")
		exec(t, conn, "SET GLOBAL gtid_purged = '"+o.Tx.Before+"'")
		exec(t, conn, fmt.Sprintf("SET original_commit_timestamp = %d", envelope.Source.Micros))
		exec(t, conn, "SET GTID_NEXT = '"+o.Tx.GTID+"'")
	}
	exec(t, conn, "INSERT INTO oc_order (order_id, comment) VALUES (7, 'another one')")
	conn.Close()
	s.start()
	if err := s.ended(); !errors.Is(err, ErrAnchor) || !strings.Contains(err.Error(), "checksum") {
		t.Fatalf("behind another content of its last transaction: %v", err)
	}
}

// Compressed transactions give the same records as others.
func testCompressed(t *testing.T, private *server.Server) {
	s := privateShop(t, private, orders)
	s.exec(ordersTable)
	s.start()
	s.snapshotDone(1)
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !s.isMariaDB() {
		exec(t, conn, "SET SESSION binlog_transaction_compression = ON")
	}
	text := strings.Repeat("compressible ", 300)
	exec(t, conn, "INSERT INTO oc_order (total, comment) VALUES (1, '"+text+"'), (2, '"+text+"')")
	exec(t, conn, "UPDATE oc_order SET total = 3")
	exec(t, conn, "DELETE FROM oc_order WHERE order_id = 1")
	exec(t, conn, "INSERT INTO oc_order (comment) VALUES ('behind it')")
	conn.Close()
	s.row("oc_order", "behind it")
	s.end()
	var ops []string
	for _, r := range rowsOf(s.log.all(), "oc_order") {
		ops = append(ops, string(r.Op))
		if !strings.Contains(string(r.Value), "compressible") && !strings.Contains(string(r.Value), "behind it") {
			t.Errorf("row %s", r.Value)
		}
	}
	if got := strings.Join(ops, ""); got != "ccuudc" {
		t.Errorf("ops %s, want ccuudc", got)
	}
	checkChain(t, s.log.all())
	// And it is found again at the next start: its checksum does not depend on the compression.
	s.start()
	s.exec("INSERT INTO oc_order (comment) VALUES ('next start')")
	s.row("oc_order", "next start")
}

// The dump connection is cut within a transaction: nothing is lost, nothing comes twice.
func testConnectionCut(t *testing.T, private *server.Server) {
	s := privateShop(t, private, orders)
	s.exec(ordersTable)
	s.start()
	s.snapshotDone(1)
	for round := range 5 {
		if _, err := s.db.Exec("INSERT INTO oc_order (total) SELECT 1 FROM information_schema.collations a, information_schema.collations b LIMIT 4000"); err != nil {
			t.Fatal(err)
		}
		killDumps(t, s.db)
		s.exec(fmt.Sprintf("INSERT INTO oc_order (comment) VALUES ('round %d')", round))
		s.row("oc_order", fmt.Sprintf("round %d", round))
	}
	s.end()
	if n := len(formsOf(s.log.all(), "oc_order")); n != 5*4001 {
		t.Errorf("%d rows in the log, %d in the shop", n, 5*4001)
	}
	checkChain(t, s.log.all())
}

// Column names that are switched off while the reader runs stop it at the first row.
func testMetadataGone(t *testing.T, private *server.Server) {
	s := privateShop(t, private, orders)
	s.exec(ordersTable)
	s.start()
	s.snapshotDone(1)
	s.exec("SET GLOBAL binlog_row_metadata = 'MINIMAL'")
	defer s.exec("SET GLOBAL binlog_row_metadata = 'FULL'")
	s.exec("INSERT INTO oc_order (total) VALUES (1)")
	if err := s.ended(); !errors.Is(err, ErrFormat) {
		t.Fatalf("without column names: %v", err)
	}
}

// killDumps kills the dump threads of readers of this process's tests.
func killDumps(t *testing.T, db *sql.DB) {
	t.Helper()
	rows, err := db.Query("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	rows.Close()
	for _, id := range ids {
		if _, err := db.Exec(fmt.Sprintf("KILL %d", id)); err != nil && !isMySQLError(err, 1094) {
			t.Fatal(err)
		}
	}
}

// Two readers with the same server id throw each other off MariaDB; the one that finds out says
// so. MySQL tells replicas apart by a uuid, which each connection draws.
func testServerIDCollision(t *testing.T, private *server.Server) {
	s := privateShop(t, private, orders)
	if !s.isMariaDB() {
		return
	}
	s.exec(ordersTable)
	s.start()
	s.snapshotDone(1)
	other := newShop(t, s.url, orders)
	other.cfg.ServerID, other.cfg.patience = s.cfg.ServerID, 2*time.Second
	other.start()
	select {
	case <-s.done:
		if err := s.ended(); !errors.Is(err, ErrCollision) {
			t.Fatal(err)
		}
	case <-other.done:
		if err := other.ended(); !errors.Is(err, ErrCollision) {
			t.Fatal(err)
		}
	case <-time.After(server.Patience):
		t.Fatal("two readers with one server id go on")
	}
}
