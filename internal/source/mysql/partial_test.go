package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// partialCases are documents and what changes them in part. The first member makes each so
// large that the server finds a difference smaller than the whole.
var partialCases = []struct{ document, change string }{
	{`{"b": 1}`, `JSON_SET(doc, '$.b', 2)`},
	{`{"b": 1}`, `JSON_REPLACE(doc, '$.b', 'two "quoted" 😀')`},
	{`{"b": 1}`, `JSON_REMOVE(doc, '$.b')`},
	{`{"b": 1}`, `JSON_REMOVE(doc, '$.b', '$.filler')`},
	{`{"bb": 1, "a": 2, "ccc": 3}`, `JSON_SET(doc, '$.b', 0, '$.aaa', 1, '$.zz', 2, '$.cccc', 3)`}, // among others, by length then bytes
	{`{}`, `JSON_SET(doc, '$.o', CAST('{"x": {"y": []}}' AS JSON))`},
	{`{"o": {"x": {"y": [1, [2, 3], {"z": 4}]}}}`, `JSON_SET(doc, '$.o.x.y[1][0]', 'deep', '$.o.x.y[2].z', CAST('[5]' AS JSON))`},
	{`{"o": {"x": {"y": [1, [2, 3], {"z": 4}]}}}`, `JSON_REMOVE(doc, '$.o.x.y[1][0]', '$.o.x.y[0]')`},
	{`{"o": {"x": {"y": [1, [2, 3], {"z": 4}]}}}`, `JSON_REMOVE(doc, '$.o.x.y[last]', '$.o.x.y[last-1]')`},
	{`{"l": [1, 2, 3]}`, `JSON_SET(doc, '$.l[3]', 4, '$.l[9]', 5)`},
	{`{"l": [1, 2, 3]}`, `JSON_SET(doc, '$.l[last]', 'c', '$.l[last-1]', 'b')`},
	{`{"l": [1, 2, 3]}`, `JSON_SET(doc, '$.l[last-7]', 0)`},
	{`{"l": []}`, `JSON_SET(doc, '$.l[0]', CAST('{"a": 1}' AS JSON))`},
	{`{"l": []}`, `JSON_SET(doc, '$.l[last]', 1)`},
	{`{"s": 5}`, `JSON_SET(doc, '$.s[0]', 6)`}, // a scalar counts as an array of itself
	{`{"s": 5}`, `JSON_SET(doc, '$.s[1]', 6)`},
	{`{"s": 5}`, `JSON_REPLACE(doc, '$.s[last]', 'x')`},
	{`{"s": [5]}`, `JSON_REPLACE(doc, '$.nothing', 1)`},
	{`{"s": [5]}`, `JSON_REMOVE(doc, '$.s[0]')`},
	{`{"s": {"only": 1}}`, `JSON_REMOVE(doc, '$.s.only')`},
	{`{"a b": 1, "é😀": 2, "q\"q": 3, "back\\slash": 4, "": 5, "1": 6}`, `JSON_SET(doc, '$."a b"', 10, '$."é😀"', 20, '$."q\\"q"', 30, '$."back\\\\slash"', 40, '$.""', 50, '$."1"', 60)`},
	{`{"a b": 1, "é😀": 2, "q\"q": 3, "back\\slash": 4, "": 5, "1": 6}`, `JSON_REMOVE(doc, '$."a b"', '$."é😀"', '$."q\\"q"', '$."back\\\\slash"', '$.""', '$."1"')`},
	{`{"last": 1, "a.b": 2, "a[0]": 3, "$": 4}`, `JSON_SET(doc, '$.last', 10, '$."a.b"', 20, '$."a[0]"', 30, '$."$"', 40)`},
	{`{"t": "], }, \" [ {"}`, `JSON_SET(doc, '$.u', '], }', '$.t', '{[,')`},
	// A value of every type.
	{`{"v": 0}`, `JSON_SET(doc, '$.v', NULL)`},
	{`{"v": 0}`, `JSON_SET(doc, '$.v', TRUE, '$.w', FALSE)`},
	{`{"v": 0}`, `JSON_SET(doc, '$.v', -32769, '$.w', 65536, '$.x', 18446744073709551615, '$.y', -9223372036854775808)`},
	{`{"v": 0}`, `JSON_SET(doc, '$.v', 0.1e0, '$.w', 1e25, '$.x', 1e0, '$.y', -0e0)`},
	{`{"v": 0}`, `JSON_SET(doc, '$.v', 1.50, '$.w', CAST(-7 AS DECIMAL(5,0)), '$.x', 99999999999.9999)`},
	{`{"v": 0}`, `JSON_SET(doc, '$.v', CAST('2026-11-25' AS DATE), '$.w', CAST('2026-11-25 01:02:03.5' AS DATETIME(6)), '$.x', CAST('-12:30:00' AS TIME))`},
	{`{"v": 0}`, `JSON_SET(doc, '$.v', CAST(X'00FF' AS BINARY), '$.w', b'101')`},
	{`{"v": 0}`, `JSON_SET(doc, '$.v', REPEAT('long ', 40), '$.w', CONCAT('a', CHAR(10), CHAR(9), CHAR(1)))`},
	{`{"v": 0}`, `JSON_SET(doc, '$.v', CAST('{}' AS JSON), '$.w', CAST('[]' AS JSON), '$.x', CAST('[[], {"a": []}]' AS JSON))`},
}

// partial is a table of documents in a session that writes differences.
func partial(t *testing.T) (*shop, func(statement string)) {
	s := newShop(t, server.MySQL(t), Capture{Name: "docs", Columns: []string{"id", "doc", "n"}, Key: []string{"id"}})
	s.exec("CREATE TABLE docs (id int NOT NULL PRIMARY KEY, before_it json, doc json, n int)")
	s.start()
	s.snapshotDone(1)
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	exec(t, conn, "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
	return s, func(statement string) { exec(t, conn, statement) }
}

const insertDoc = "INSERT INTO docs VALUES (%d, JSON_OBJECT('b', 1, 'f', REPEAT('x', 400)), JSON_SET('%s', '$.filler', REPEAT('x', 400)), 0)"

// compareDocs compares each row's last record with what SELECT gives.
func compareDocs(t *testing.T, s *shop) {
	t.Helper()
	last := map[string]string{}
	for _, r := range rowsOf(s.log.all(), "docs") {
		_, after, err := change.Rows(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		last[string(r.Key)] = string(after)
	}
	rows, err := s.db.Query("SELECT id, CAST(doc AS CHAR), n FROM docs ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, n int
		var text []byte
		if err := rows.Scan(&id, &text, &n); err != nil {
			t.Fatal(err)
		}
		document, err := appendSelectedJSON(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"id":%d,"doc":%s,"n":%d}`, id, document, n)
		if got := last[fmt.Sprintf(`{"table":"docs","key":{"id":%d}}`, id)]; got != want {
			t.Errorf("the log has\n%s\nthe table\n%s", got, want)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// What a partial update makes of a document is what the table then holds, wherever its path
// leads and whatever it puts there.
func TestPartialJSON(t *testing.T) {
	s, exec := partial(t)
	before, err := readFacts(context.Background(), s.db)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range partialCases {
		exec(fmt.Sprintf(insertDoc, i, strings.ReplaceAll(c.document, `\`, `\\`)))
		exec(fmt.Sprintf("UPDATE docs SET before_it = JSON_SET(before_it, '$.b', 2), n = 1, doc = %s WHERE id = %d", c.change, i))
	}
	exec("INSERT INTO docs VALUES (1000, NULL, NULL, 0)")
	exec("UPDATE docs SET doc = JSON_SET(doc, '$.a', 1), n = 2 WHERE id = 1000")
	exec("UPDATE docs SET doc = '{\"whole\": 1}', n = 3 WHERE id = 1000")
	s.row("docs", `"n":3`)
	compareDocs(t, s)
	if n := differences(t, s, before); n < len(partialCases)-1 { // one changes nothing
		t.Errorf("the server wrote %d documents as differences: too little is tested", n)
	}
}

// differences lets go-mysql count the documents that came as differences, up to the row with n = 3.
func differences(t *testing.T, s *shop, before facts) int {
	a, err := s.cfg.address()
	if err != nil {
		t.Fatal(err)
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: s.cfg.ServerID + 1, Flavor: "mysql", Host: a.host, Port: a.port, User: a.user, Logger: slog.New(slog.DiscardHandler),
	})
	defer syncer.Close()
	set, err := gomysql.ParseGTIDSet("mysql", strings.Join(strings.Fields(before.executed), ""))
	if err != nil {
		t.Fatal(err)
	}
	streamer, err := syncer.StartSyncGTID(set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	for count := 0; ; {
		e, err := streamer.GetEvent(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ev, ok := e.Event.(*replication.RowsEvent)
		if !ok || string(ev.Table.Schema) != a.database || string(ev.Table.Table) != "docs" {
			continue
		}
		for _, row := range ev.Rows {
			if _, is := row[2].(*replication.JsonDiff); is {
				count++
			}
			if fmt.Sprint(row[3]) == "3" {
				return count
			}
		}
	}
}

// Random changes of random documents come out as the table holds them.
func TestPartialJSONAtRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	s, exec := partial(t)
	const documents, changes = 5, 40
	for id := range documents {
		exec(fmt.Sprintf(insertDoc, id, randomDocument(random, 4)))
	}
	for n := 1; n <= changes; n++ {
		for id := range documents {
			exec(fmt.Sprintf("UPDATE docs SET n = %d, doc = %s WHERE id = %d", n, randomChange(random), id))
		}
		for id := range documents {
			s.log.wait(t, "change", func(records []change.Record) bool {
				for _, r := range rowsOf(records, "docs") {
					if strings.Contains(string(r.Value), fmt.Sprintf(`"n":%d}`, n)) && strings.Contains(string(r.Key), fmt.Sprintf(`"id":%d}`, id)) {
						return true
					}
				}
				return false
			})
		}
		if compareDocs(t, s); t.Failed() {
			return
		}
	}
}

var randomNames = []string{"a", "b", "cc", "a b", "é", "last"}

func randomDocument(r *rand.Rand, depth int) string {
	var parts []string
	for _, name := range randomNames {
		if r.IntN(3) > 0 {
			parts = append(parts, fmt.Sprintf(`"%s": %s`, name, randomValue(r, depth-1)))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func randomValue(r *rand.Rand, depth int) string {
	switch n := r.IntN(6); {
	case n < 2 && depth > 0:
		return randomDocument(r, depth)
	case n < 4 && depth > 0:
		var parts []string
		for range r.IntN(4) {
			parts = append(parts, randomValue(r, depth-1))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return []string{"1", "-2.5", "null", "true", `"text"`, `"]}, "`, "123456789012"}[r.IntN(7)]
}

func randomChange(r *rand.Rand) string {
	function := []string{"JSON_SET", "JSON_REPLACE", "JSON_REMOVE"}[r.IntN(3)]
	text := function + "(doc"
	for range 1 + r.IntN(3) {
		path := fmt.Sprintf(`$."%s"`, randomNames[r.IntN(len(randomNames))])
		for range r.IntN(3) {
			path += []string{fmt.Sprintf(`."%s"`, randomNames[r.IntN(len(randomNames))]), fmt.Sprintf("[%d]", r.IntN(3)), fmt.Sprintf("[last-%d]", r.IntN(3))}[r.IntN(3)]
		}
		text += ", '" + path + "'"
		if function != "JSON_REMOVE" {
			text += fmt.Sprintf(", CAST('%s' AS JSON)", randomValue(r, 2))
		}
	}
	return text + ")"
}

// Differences that do not fit what was there are an error, not a guess.
func TestPartialJSONThatDoesNotFit(t *testing.T) {
	const replace, insertion, remove = "\x00", "\x01", "\x02"
	path := func(text string) string { return string(rune(len(text))) + text }
	const one = "\x02\x04\x01" // two bytes: the literal true
	for name, c := range map[string]struct{ before, differences string }{
		"no document":            {`null`, replace + path("$.a") + one},
		"member is not there":    {`"{\"a\":1}"`, replace + path("$.b") + one},
		"element is not there":   {`"[1]"`, remove + path("$[1]")},
		"member is there":        {`"{\"a\":1}"`, insertion + path("$.a") + one},
		"insert into a scalar":   {`"{\"a\":1}"`, insertion + path("$.a.b") + one},
		"element of an object":   {`"{\"a\":1}"`, insertion + path("$[0]") + one},
		"remove everything":      {`"{\"a\":1}"`, remove + path("$")},
		"insert everything":      {`"{\"a\":1}"`, insertion + path("$") + one},
		"path with a wildcard":   {`"[1]"`, replace + path("$[*]") + one},
		"path that is none":      {`"[1]"`, replace + path("[0]") + one},
		"operation of tomorrow":  {`"[1]"`, "\x03" + path("$[0]") + one},
		"element before the 1st": {`"[1]"`, replace + path("$[last-1]") + one},
	} {
		var d decoder
		got, err := d.appendPatched(nil, []byte(c.before), []byte(c.differences))
		if !errors.Is(err, errPartial) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	var d decoder
	for _, short := range []string{"\x00", replace + "\x09$.a", replace + path("$.a"), replace + path("$.a") + "\x02\x04"} {
		if got, err := d.appendPatched(nil, []byte(`"{\"a\":1}"`), []byte(short)); err == nil {
			t.Errorf("%q: %s", short, got)
		}
	}
}

// An update that can't be done to what was there stops the stream and says how to go on.
func TestStopOfPartialJSON(t *testing.T) {
	r := &reader{file: "binlog.000001"}
	l := &layout{name: "docs"}
	err := r.badRow(l, &replication.EventHeader{LogPos: 4711}, fmt.Errorf("column doc: %w", errPartial))
	for _, want := range []string{"docs", "column doc", "binlog.000001:4711", "SET PERSIST binlog_row_value_options = ''"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	if !errors.Is(err, ErrStopped) {
		t.Errorf("%v does not stop the stream", err)
	}
}
