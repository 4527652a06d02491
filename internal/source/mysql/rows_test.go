package mysql

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"pgregory.net/rapid"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// peerColumns are compared with go-mysql's own decoding; how its value looks in the log.
var peerColumns = []struct {
	ddl   string
	draw  func(r *rand.Rand) string
	shown func(v any) string
}{
	{"bigint", func(r *rand.Rand) string { return strconv.FormatInt(int64(r.Uint64()), 10) }, plainly},
	{"mediumint", func(r *rand.Rand) string { return strconv.Itoa(r.IntN(1<<24) - 1<<23) }, plainly},
	{"smallint", func(r *rand.Rand) string { return strconv.Itoa(r.IntN(1<<16) - 1<<15) }, plainly},
	{"decimal(30,10)", func(r *rand.Rand) string {
		return fmt.Sprintf("%d.%010d", int64(r.Uint64())>>r.IntN(60), r.IntN(1e9)*10)
	}, quotedly},
	{"decimal(9,9)", func(r *rand.Rand) string { return fmt.Sprintf("-0.%09d", r.IntN(1e9)) }, quotedly},
	{"double", func(r *rand.Rand) string {
		for {
			if f := math.Float64frombits(r.Uint64()); !math.IsNaN(f) && !math.IsInf(f, 0) {
				return strconv.FormatFloat(f, 'e', -1, 64)
			}
		}
	}, asJSON},
	{"float", func(r *rand.Rand) string { return strconv.FormatFloat(r.Float64()*1e6, 'f', 3, 32) }, asJSON},
	{"datetime(6)", func(r *rand.Rand) string {
		return fmt.Sprintf("'%s'", time.UnixMicro(r.Int64N(8e15)-4e15).UTC().Format("2006-01-02 15:04:05.000000"))
	}, func(v any) string { return strings.Replace(quotedly(v), " ", "T", 1) }},
	{"timestamp(3) NULL", func(r *rand.Rand) string {
		return fmt.Sprintf("'%s'", time.UnixMilli(1000+r.Int64N(2147483646000)).UTC().Format("2006-01-02 15:04:05.000"))
	}, func(v any) string { return strings.Replace(strings.Replace(quotedly(v), " ", "T", 1), `"`, "", 1) }},
	{"time(4)", func(r *rand.Rand) string {
		return fmt.Sprintf("'%s%d:%02d:%02d.%04d'", []string{"", "-"}[r.IntN(2)], r.IntN(838), r.IntN(60), r.IntN(60), 1+r.IntN(9999))
	}, quotedly},
	{"varchar(60)", func(r *rand.Rand) string {
		return "'" + strings.Repeat(string(rune(0x1F300+r.IntN(200)))+`x"y`, r.IntN(9)) + "'"
	}, asJSON},
}

func plainly(v any) string  { return fmt.Sprint(v) }
func quotedly(v any) string { return `"` + fmt.Sprint(v) + `"` }
func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Random rows come out as go-mysql's own decoder, which shares no code with this one, has them.
func TestDecoderAgreesWithPeer(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 1))
		s := newShop(t, url)
		ddl, capture := "CREATE TABLE peer (id int NOT NULL PRIMARY KEY", Capture{Name: "peer", Columns: []string{"id"}, Key: []string{"id"}}
		for i, c := range peerColumns {
			ddl += fmt.Sprintf(", c%d %s", i, c.ddl)
			capture.Columns = append(capture.Columns, fmt.Sprintf("c%d", i))
		}
		s.cfg.Tables = []Capture{capture}
		s.exec(ddl + ")")
		s.start()
		s.snapshotDone(1)
		f, err := readFacts(context.Background(), s.db)
		if err != nil {
			t.Fatal(err)
		}
		const rows = 300
		conn, err := s.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for i := range rows {
			statement := fmt.Sprintf("INSERT INTO peer VALUES (%d", i)
			for _, c := range peerColumns {
				value := "NULL"
				if random.IntN(10) > 0 {
					value = c.draw(random)
				}
				statement += ", " + value
			}
			exec(t, conn, statement+")")
		}
		records := s.log.wait(t, "all rows", func(records []change.Record) bool { return len(rowsOf(records, "peer")) == rows })
		peer := peerRows(t, s, f, rows)
		for i, r := range rowsOf(records, "peer") {
			_, after, err := change.Rows(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			column := -1
			err = change.Fields(after, func(_, value []byte) error {
				if column++; column == 0 {
					return nil
				}
				want := "null"
				if v := peer[i][column]; v != nil {
					want = peerColumns[column-1].shown(v)
				}
				got := string(value)
				if strings.HasPrefix(peerColumns[column-1].ddl, "timestamp") && v(peer[i][column]) {
					want = `"` + strings.TrimSuffix(want, `"`) + `Z"`
				}
				if got != want && !sameNumber(got, want) {
					t.Errorf("row %d, %s: %s, go-mysql has %s", i, peerColumns[column-1].ddl, got, want)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func v(value any) bool { return value != nil }

// sameNumber compares two ways of writing one number.
func sameNumber(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x == y
}

// peerRows lets go-mysql decode the table's rows.
func peerRows(t *testing.T, s *shop, before facts, count int) [][]any {
	a, err := s.cfg.address()
	if err != nil {
		t.Fatal(err)
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: s.cfg.ServerID + 1, Flavor: string(before.flavor), Host: a.host, Port: a.port, User: a.user,
		Logger: slog.New(slog.DiscardHandler), TimestampStringLocation: time.UTC,
	})
	defer syncer.Close()
	set, err := gomysql.ParseGTIDSet(string(before.flavor), strings.Join(strings.Fields(before.executed), ""))
	if err != nil {
		t.Fatal(err)
	}
	streamer, err := syncer.StartSyncGTID(set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	var out [][]any
	for len(out) < count {
		e, err := streamer.GetEvent(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ev, ok := e.Event.(*replication.RowsEvent); ok && string(ev.Table.Schema) == a.database && string(ev.Table.Table) == "peer" {
			out = append(out, ev.Rows...)
		}
	}
	return out
}

// A number of a JSON document is written alike, whether it comes as a stored double or as the
// server's text of it.
func TestAppendNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "f")
		if math.IsInf(f, 0) || math.IsNaN(f) {
			t.Skip()
		}
		short, err := appendNumber(nil, strconv.AppendFloat(nil, f, 'e', -1, 64))
		if err != nil {
			t.Fatal(err)
		}
		back, err := strconv.ParseFloat(string(short), 64)
		if err != nil || back != f {
			t.Fatalf("%v is written %s", f, short)
		}
		if !json.Valid(short) || !bytes.ContainsAny(short, ".e") {
			t.Fatalf("%v is written %s", f, short)
		}
		if abs := math.Abs(f); abs < 1e15 && abs > 1e-6 {
			long, err := appendNumber(nil, strconv.AppendFloat(nil, f, 'f', -1, 64))
			if err != nil {
				t.Fatal(err)
			}
			if strings.ContainsRune(string(strconv.AppendFloat(nil, f, 'f', -1, 64)), '.') && !bytes.Equal(short, long) {
				t.Fatalf("%v is written %s and %s", f, short, long)
			}
		}
	})
}

// Bytes that are no row event, no table map and no document end in an error, not in a panic.
func TestDamagedEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "raw")
		l, err := parseTableMap(raw, mysqlFlavor)
		if err != nil {
			l = &layout{columns: []column{{kind: kindVarchar, width: 1}, {kind: kindJSON, width: 2, captured: true}, {kind: kindDatetime2, width: 5, captured: true}}}
		}
		ev, err := parseRows(replication.UPDATE_ROWS_EVENTv2, raw, func(uint64) *layout { return l })
		var d decoder
		for err == nil && len(ev.rest) > 0 {
			before := len(ev.rest)
			if _, err = d.appendImage(nil, &ev, nil); err == nil && len(ev.rest) == before {
				break
			}
		}
		if len(raw) > 0 {
			_, _ = appendDocument(nil, raw[0]&15, raw[1:], 0)
		}
		_, _ = mapName(raw)
		_, _ = (&payloadReader{rest: raw}).head()
	})
}

// A row that does not fit the log, or whose text is none, leaves a stub with its key and the
// order it belongs to; a row moved to another key is deleted and created; what Spola writes
// itself is told by its flag.
func TestSpecialRows(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		history := Capture{Name: "oc_history", Columns: []string{"id", "order_id", "comment"}, Key: []string{"id"}, Order: "order_id"}
		s := newShop(t, url, history)
		s.log.largest = 20000
		s.exec("CREATE TABLE oc_history (id int NOT NULL PRIMARY KEY, order_id int, comment mediumtext)")
		s.exec("INSERT INTO oc_history VALUES (1, 11, REPEAT('a', 50000))")
		s.start()
		s.snapshotDone(1)
		s.exec("INSERT INTO oc_history VALUES (2, 12, REPEAT('b', 50000)), (3, 13, 'small')")
		s.exec("UPDATE oc_history SET comment = 'now small' WHERE id = 2")
		s.exec("UPDATE oc_history SET id = 30 WHERE id = 3")
		tx, err := s.db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{"UPDATE spola_marker SET applied = applied + 1 WHERE name = 'request'", "INSERT INTO oc_history VALUES (4, 14, 'by Spola')"} {
			if _, err := tx.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		s.exec("INSERT INTO oc_history VALUES (5, 15, 'the end')")
		s.row("oc_history", "the end")
		s.end()
		var got []string
		for _, r := range rowsOf(s.log.all(), "oc_history") {
			before, after, err := change.Rows(r.Value)
			if err != nil || !json.Valid(r.Value) {
				t.Fatalf("%s: %v", r.Value, err)
			}
			line := string(r.Op) + " " + string(before) + " " + string(after)
			if bytes.Contains(r.Value, []byte(`"stub":{"bytes":`)) {
				line += " stub"
			}
			if bytes.Contains(r.Value, []byte(`"echo":true`)) {
				line += " echo"
			}
			got = append(got, line)
		}
		want := []string{
			`r  {"id":1,"order_id":11} stub`,
			`c  {"id":2,"order_id":12} stub`,
			`c  {"id":3,"order_id":13,"comment":"small"}`,
			`u  {"id":2,"order_id":12} stub`, // its row before does not fit
			`d {"id":3,"order_id":13,"comment":"small"} `,
			`c  {"id":30,"order_id":13,"comment":"small"}`,
			`c  {"id":4,"order_id":14,"comment":"by Spola"} echo`,
			`c  {"id":5,"order_id":15,"comment":"the end"}`,
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		checkChain(t, s.log.all())
	})
}

// One transaction of many rows passes with memory that does not depend on it, compressed or
// not, and the log's tail stays short: heartbeats come within it.
func TestMemoryOfLargeTransaction(t *testing.T) {
	if raceEnabled {
		t.Skip("memory is measured on plain builds")
	}
	for _, compressed := range []string{"OFF", "ON"} {
		t.Run("compression "+compressed, func(t *testing.T) {
			s := newShop(t, server.MySQL(t), orders)
			s.exec(ordersTable)
			s.log.discard = true
			s.start()
			conn, err := s.db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			exec(t, conn, "SET SESSION binlog_transaction_compression = "+compressed)
			debug.FreeOSMemory() // what other tests have left
			before := forgetPeak(t)
			const rows = 250000
			// Texts that hardly get smaller: the compressed transaction has 50 MB.
			exec(t, conn, fmt.Sprintf("INSERT INTO oc_order (total, comment) SELECT 1, CONCAT(SHA2(RAND(), 512), SHA2(RAND(), 512), SHA2(RAND(), 512)) FROM information_schema.collations a, information_schema.collations b, information_schema.engines c LIMIT %d", rows))
			deadline := time.After(server.Patience)
			for s.log.counted() < rows {
				select {
				case <-s.log.came:
				case <-deadline:
					t.Fatalf("%d of %d rows came", s.log.counted(), rows)
				}
			}
			most := memoryMB(t, "VmHWM:")
			t.Logf("resident: %d MB before, %d MB at most", before, most)
			if most > 100 {
				t.Errorf("resident memory went to %d MB", most)
			}
		})
	}
}

func (l *memoryLog) counted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// forgetPeak makes the process's most resident memory start from what it has, and tells that, in MB.
func forgetPeak(t testing.TB) int {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skip("the system does not measure it: " + err.Error())
	}
	return memoryMB(t, "VmRSS:")
}

func memoryMB(t testing.TB, which string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, which); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kb / 1024
		}
	}
	t.Fatalf("no %s in /proc/self/status", which)
	return 0
}

// The tail that a new owner must read stays short within a large transaction too, and a reader
// killed there goes on within it.
func TestHeartbeatWithinTransaction(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := newShop(t, url, orders)
		s.exec(ordersTable)
		s.start()
		s.snapshotDone(1)
		s.log.takes(45000)
		s.exec("INSERT INTO oc_order (total) SELECT 1 FROM information_schema.collations a, information_schema.collations b LIMIT 50000")
		s.ended()
		records := s.log.all()
		since := 0
		for _, r := range records {
			since++
			if r.Op == change.Heartbeat {
				since = 0
				if r.Last {
					t.Fatalf("heartbeat %d stands within a transaction and is told to be its border", r.Seq)
				}
			}
			if since > stateEvery+10 {
				t.Fatalf("%d records without a heartbeat before record %d", since, r.Seq)
			}
		}
		s.log.takes(-1)
		s.start()
		s.exec("INSERT INTO oc_order (comment) VALUES ('the end')")
		s.row("oc_order", "the end")
		s.end()
		if n := len(formsOf(s.log.all(), "oc_order")); n != 50001 {
			t.Errorf("%d rows, want 50001", n)
		}
		checkChain(t, s.log.all())
	})
}
