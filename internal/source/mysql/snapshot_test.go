package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// replica applies a log as the mirror does: rows by their key, and a chunk's end deletes the
// rows of its range that nothing named since the chunk's low watermark.
type replica struct {
	rows  map[string]string
	named map[string]bool // since the low watermark
}

func replay(t testing.TB, records []change.Record, table string) map[string]string {
	t.Helper()
	r := &replica{rows: map[string]string{}, named: map[string]bool{}}
	for i := range records {
		if err := r.apply(&records[i], table); err != nil {
			t.Fatalf("record %d: %v", records[i].Seq, err)
		}
	}
	return r.rows
}

func (r *replica) apply(record *change.Record, table string) error {
	if record.Table == Marker && strings.Contains(string(record.Key), `"low"`) {
		r.named = map[string]bool{}
	}
	if record.Table != table {
		return nil
	}
	switch record.Op {
	case change.Delete:
		delete(r.rows, string(record.Key))
		r.named[string(record.Key)] = true
	case change.Create, change.Update, change.Read:
		_, after, err := change.Rows(record.Value)
		if err != nil {
			return err
		}
		r.rows[string(record.Key)] = string(after)
		r.named[string(record.Key)] = true
	case change.Chunk:
		var m change.ChunkMessage
		if err := change.Message(record.Value, &m); err != nil {
			return err
		}
		return r.endChunk(&m)
	}
	return nil
}

func (r *replica) endChunk(m *change.ChunkMessage) error {
	for key := range r.rows {
		inside, err := within(key, m)
		if err != nil {
			return err
		}
		if inside && !r.named[key] {
			delete(r.rows, key)
		}
	}
	return nil
}

// within is for keys of one number.
func within(key string, m *change.ChunkMessage) (bool, error) {
	var k struct {
		Key map[string]int64 `json:"key"`
	}
	if err := json.Unmarshal([]byte(key), &k); err != nil {
		return false, err
	}
	var id, from, to int64
	for _, id = range k.Key {
	}
	for raw, into := range map[*[]json.RawMessage]*int64{&m.From: &from, &m.To: &to} {
		if *raw == nil {
			continue
		}
		if err := json.Unmarshal((*raw)[0], into); err != nil {
			return false, err
		}
	}
	return (m.From == nil || id > from) && (m.To == nil || id <= to), nil
}

// table reads a table as the log would show it.
func (s *shop) table(c Capture) map[string]string {
	s.t.Helper()
	shape, err := readShape(context.Background(), s.db, &c)
	if err != nil {
		s.t.Fatal(err)
	}
	query, args, err := chunkQuery(shape, &chunkTask{table: &table{}}, 1<<30)
	if err != nil {
		s.t.Fatal(err)
	}
	rows, err := s.db.Query(query, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	reading := newChunkReading(shape, &table{capture: c})
	for rows.Next() {
		if err := rows.Scan(reading.targets...); err != nil {
			s.t.Fatal(err)
		}
		if err := reading.add(); err != nil {
			s.t.Fatal(err)
		}
	}
	out := map[string]string{}
	for _, r := range reading.rows {
		out[string(r.key)] = string(r.object)
	}
	return out
}

// write changes random rows until stopped, some of them without the binary log knowing.
func (s *shop) write(ctx context.Context, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 0))
	for ctx.Err() == nil {
		id := random.IntN(600)
		statement := fmt.Sprintf("INSERT INTO oc_order (order_id, total, comment) VALUES (%d, %d, 'live') ON DUPLICATE KEY UPDATE total = total + 1", id, random.IntN(100))
		switch random.IntN(4) {
		case 0:
			statement = fmt.Sprintf("DELETE FROM oc_order WHERE order_id BETWEEN %d AND %d", id, id+random.IntN(3))
		case 1:
			statement = fmt.Sprintf("UPDATE oc_order SET comment = 'touched' WHERE order_id BETWEEN %d AND %d", id, id+5)
		case 2:
			statement = fmt.Sprintf("UPDATE IGNORE oc_order SET order_id = %d WHERE order_id = %d", random.IntN(600), id)
		}
		if _, err := s.db.ExecContext(ctx, statement); err != nil && ctx.Err() == nil && !isMySQLError(err, 1213) {
			return err
		}
	}
	return nil
}

// Beside live writes, and with the reader killed again and again, a snapshot ends with the log
// telling exactly what the table holds: rows changed within a window, rows moved to another
// key, and rows that vanished without the binary log (ghosts).
func TestSnapshotBesideWrites(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := newShop(t, url, orders)
		s.cfg.ChunkRows = 30
		s.exec(ordersTable)
		for i := range 500 {
			s.exec(fmt.Sprintf("INSERT INTO oc_order (order_id, total, comment) VALUES (%d, %d, 'before')", i+1, i))
		}
		s.start()
		s.snapshotDone(1)
		conn, err := s.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exec(t, conn, "SET SESSION sql_log_bin = 0")
		exec(t, conn, "DELETE FROM oc_order WHERE order_id IN (7, 77, 177, 499, 500)")
		exec(t, conn, "UPDATE oc_order SET comment = 'unseen' WHERE order_id = 200")
		exec(t, conn, "SET SESSION sql_log_bin = 1")
		conn.Close()

		ctx, cancel := context.WithCancel(t.Context())
		writing := make(chan error, 1)
		go func() { writing <- s.write(ctx, 1) }()
		if err := RequestSnapshot(t.Context(), s.cfg, SnapshotRequest{Ranges: []KeyRange{{Table: "oc_order"}}}); err != nil {
			t.Fatal(err)
		}
		s.end()
		for kills := 0; !runEnded(s.log.all(), 2); kills++ {
			s.log.takes(400)
			s.start()
			if err := s.ended(); !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			if kills > 400 {
				t.Fatal("the snapshot does not come to its end")
			}
		}
		s.log.takes(-1)
		cancel()
		if err := <-writing; err != nil {
			t.Fatal(err)
		}
		s.start()
		s.exec("INSERT INTO oc_order (order_id, comment) VALUES (9999, 'the end')")
		s.row("oc_order", "the end")
		s.end()
		records := s.log.all()
		checkChain(t, records)
		if diff := cmp.Diff(s.table(orders), replay(t, records, "oc_order")); diff != "" {
			t.Errorf("the log tells another table than there is: %.3000s", diff)
		}
	})
}

// Rows that are changed, deleted or moved to another key between a chunk's SELECT and its high watermark are newer than
// what was read: the log tells them as the stream does. The watermark is held back, so that they are sure to be.
func TestRowsChangedBehindTheReadingOfAChunk(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := newShop(t, url, orders)
		s.exec(ordersTable)
		for id := range 6 {
			s.exec(fmt.Sprintf("INSERT INTO oc_order (order_id, comment) VALUES (%d, 'before')", id+1))
		}
		s.start()
		s.snapshotDone(1)
		held, err := s.db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = held.Rollback() }() // where the test has failed before
		if _, err := held.ExecContext(t.Context(), "SELECT name FROM "+Marker+" WHERE name = ? FOR UPDATE", highRow); err != nil {
			t.Fatal(err)
		}
		if err := RequestSnapshot(t.Context(), s.cfg, SnapshotRequest{Ranges: []KeyRange{{Table: "oc_order"}}}); err != nil {
			t.Fatal(err)
		}
		s.waitsForALock()
		s.exec("UPDATE oc_order SET comment = 'newer' WHERE order_id = 2")
		s.exec("DELETE FROM oc_order WHERE order_id = 3")
		s.exec("UPDATE oc_order SET order_id = 60 WHERE order_id = 4")
		if err := held.Rollback(); err != nil {
			t.Fatal(err)
		}
		s.snapshotDone(2)
		s.end()
		if diff := cmp.Diff(s.table(orders), replay(t, s.log.all(), "oc_order")); diff != "" {
			t.Errorf("the log tells another table than there is: %s", diff)
		}
	})
}

// waitsForALock returns once a statement in the shop's database waits for a row's lock. InnoDB shows what it showed before to who has looked within a tenth of a second.
func (s *shop) waitsForALock() {
	s.t.Helper()
	deadline := time.After(server.Patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for waiting := 0; waiting == 0; {
		err := s.db.QueryRowContext(s.t.Context(), `SELECT count(*) FROM information_schema.innodb_trx t
			JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()`).Scan(&waiting)
		if err != nil {
			s.t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatal("nothing waits for the lock")
		}
	}
}

func runEnded(records []change.Record, run int64) bool {
	for _, r := range records {
		var m change.ChunkMessage
		if r.Op == change.Chunk && change.Message(r.Value, &m) == nil && m.Run == run && m.LastOfRun {
			return true
		}
	}
	return false
}

// A range is read again by itself, bounds as ChunkMessage states them; keys of several columns
// and of texts go on where a chunk ended.
func TestSnapshotRanges(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		pairs := Capture{Name: "pairs", Columns: []string{"a", "b", "v"}, Key: []string{"a", "b"}}
		names := Capture{Name: "names", Columns: []string{"name", "at", "raw"}, Key: []string{"name", "at", "raw"}}
		s := newShop(t, url, orders, pairs, names)
		s.cfg.ChunkRows = 4
		s.exec(ordersTable)
		s.exec("CREATE TABLE pairs (b int NOT NULL, v int, a varchar(20) CHARACTER SET latin1 NOT NULL, PRIMARY KEY (a, b))")
		s.exec("CREATE TABLE names (name varchar(20) CHARACTER SET utf8mb4 NOT NULL, at datetime(2) NOT NULL, raw varbinary(9) NOT NULL, PRIMARY KEY (name, at, raw))")
		for i := range 30 {
			s.exec("INSERT INTO oc_order (total) VALUES (1)")
			s.exec(fmt.Sprintf("INSERT INTO pairs (a, b, v) VALUES ('é%d', %d, 1)", i%3, i))
			s.exec(fmt.Sprintf("INSERT INTO names VALUES ('ž😀%d', '2026-01-01 00:00:00.2%d', X'00%02d')", i%2, i%5, i))
		}
		s.start()
		s.snapshotDone(1)
		request := SnapshotRequest{Ranges: []KeyRange{{Table: "oc_order", From: []json.RawMessage{json.RawMessage("10")}, To: []json.RawMessage{json.RawMessage("20")}}}}
		if err := RequestSnapshot(t.Context(), s.cfg, request); err != nil {
			t.Fatal(err)
		}
		s.snapshotDone(2)
		s.end()
		count := map[string]int{}
		seen := map[string]bool{}
		for _, r := range s.log.all() {
			if r.Op != change.Read {
				continue
			}
			o, err := change.ParseOrigin(r.Origin)
			if err != nil {
				t.Fatal(err)
			}
			at := fmt.Sprintf("%d %s", o.Run, r.Key)
			if seen[at] {
				t.Errorf("run %d has row %s twice", o.Run, r.Key)
			}
			seen[at] = true
			count[fmt.Sprintf("%d %s", o.Run, r.Table)]++
		}
		want := map[string]int{"1 oc_order": 30, "1 pairs": 30, "1 names": 30, "2 oc_order": 10}
		if diff := cmp.Diff(want, count); diff != "" {
			t.Errorf("rows read: %s", diff)
		}
	})
}

// Whoever empties the marker table, or brings back an old one, takes nothing from the reader: it ticks on, a snapshot that is asked for
// is read, though the log remembers requests with higher numbers, and its watermarks stand where they should.
func TestMarkerIsEmptied(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := newShop(t, url, orders)
		s.exec(ordersTable)
		s.exec("INSERT INTO oc_order (total) VALUES (1)")
		s.start()
		s.snapshotDone(1)
		request := SnapshotRequest{Ranges: []KeyRange{{Table: "oc_order"}}}
		ask := func() {
			t.Helper()
			if err := RequestSnapshot(t.Context(), s.cfg, request); err != nil {
				t.Fatal(err)
			}
		}
		for run := int64(2); run < 4; run++ {
			ask()
			s.snapshotDone(run)
		}
		s.exec("DELETE FROM spola_marker")
		ask()
		s.snapshotDone(4)
		s.exec("DELETE FROM spola_marker WHERE name <> 'request'")
		ask()
		s.snapshotDone(5)
		s.exec("DELETE FROM spola_marker WHERE name = 'tick'")
		s.exec("INSERT INTO oc_order (total) VALUES (2)")
		s.row(Marker, `{"name":"tick","generation":0,"number":2,`)
		s.end()
	})
}

// What a person asks for is read in small steps: orders that come meanwhile wait behind no large chunk.
func TestRequestedSnapshotIsCalm(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := newShop(t, url, orders)
		s.exec(ordersTable)
		s.exec("INSERT INTO oc_order (total) VALUES (1)")
		for range 10 {
			s.exec("INSERT INTO oc_order (total) SELECT total FROM oc_order")
		}
		s.start()
		s.snapshotDone(1)
		if err := RequestSnapshot(t.Context(), s.cfg, SnapshotRequest{Ranges: []KeyRange{{Table: "oc_order"}}}); err != nil {
			t.Fatal(err)
		}
		s.snapshotDone(2)
		s.end()
		sizes := map[int64][]int64{}
		for _, r := range s.log.all() {
			var message change.ChunkMessage
			if r.Op != change.Chunk {
				continue
			}
			if err := change.Message(r.Value, &message); err != nil {
				t.Fatal(err)
			}
			sizes[message.Run] = append(sizes[message.Run], message.Rows)
		}
		if diff := cmp.Diff(map[int64][]int64{1: {1024}, 2: {250, 250, 250, 250, 24}}, sizes); diff != "" {
			t.Errorf("rows of the chunks: %s", diff)
		}
	})
}

// Rows outside the bound of a table never leave the shop, neither streamed nor by snapshot.
func TestOnly(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		settings := Capture{
			Name: "oc_setting", Columns: []string{"setting_id", "key", "value"}, Key: []string{"setting_id"},
			Only: &Only{Column: "key", Values: []string{"config_currency"}},
		}
		s := newShop(t, url, settings)
		s.exec("CREATE TABLE oc_setting (setting_id int NOT NULL AUTO_INCREMENT PRIMARY KEY, `key` varchar(50), value text)")
		s.exec("INSERT INTO oc_setting (`key`, value) VALUES ('config_currency', 'EUR'), ('config_mail_smtp_password', 'secret1')")
		s.start()
		s.snapshotDone(1)
		s.exec("INSERT INTO oc_setting (`key`, value) VALUES ('config_mail_smtp_password', 'secret2'), ('config_currency', 'GBP')")
		s.exec("UPDATE oc_setting SET value = CONCAT(value, '!')")
		s.exec("DELETE FROM oc_setting")
		s.log.wait(t, "deletes", func(records []change.Record) bool {
			rows := rowsOf(records, "oc_setting")
			return len(rows) > 1 && rows[len(rows)-2].Op == change.Delete
		})
		s.end()
		var ops string
		for _, r := range s.log.all() {
			if strings.Contains(string(r.Value), "secret") {
				t.Errorf("left the shop: %s", r.Value)
			}
			if r.Table == "oc_setting" && r.Op.IsRow() {
				ops += string(r.Op)
			}
		}
		if ops != "rcuudd" {
			t.Errorf("ops %s, want rcuudd", ops)
		}
		checkChain(t, s.log.all())
	})
}

// Orders that are placed while a large table is read do not wait for it.
func TestSnapshotDoesNotHoldTheStream(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := newShop(t, url, orders)
		s.exec(ordersTable)
		s.exec("INSERT INTO oc_order (order_id) SELECT 1")
		s.exec("INSERT INTO oc_order (total, comment) SELECT 1, REPEAT('x', 200) FROM information_schema.collations a, information_schema.collations b LIMIT 60000")
		s.start()
		s.log.wait(t, "begin of the snapshot", func(records []change.Record) bool {
			return len(rowsOf(records, "oc_order")) > 0
		})
		for i := range 5 {
			begun := time.Now()
			text := fmt.Sprintf("placed %d", i)
			s.exec("INSERT INTO oc_order (comment) VALUES (?)", text)
			s.row("oc_order", text)
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("an order took %v beside a snapshot", took)
			}
		}
		s.end()
	})
}
