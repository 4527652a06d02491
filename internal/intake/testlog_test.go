package intake

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/schemas"
)

const (
	testShop   = "shop"
	testPrefix = "oc_"
)

// row is a row of a shop's table, by column.
type row map[string]any

// testLog writes the log that a reader would write of an OpenCart shop: each statement its own
// transaction, as the genuine shop does. It is the shop and the reader in one.
type testLog struct {
	profile *schemas.Profile
	txs     [][]change.Record
	rows    map[string]map[int64]row // by table without prefix, by first key column
	seq     int64
	ids     map[string]int64
	inside  []change.Record // of an open transaction
	open    bool
	ticks   int
	pause   func() // called behind each statement
}

func newTestLog(profile *schemas.Profile) *testLog {
	l := &testLog{profile: profile, rows: map[string]map[int64]row{}, ids: map[string]int64{}}
	l.schema(change.Table{Name: "spola_marker", Version: 1, Key: []string{"name"}, Columns: []change.Column{
		{Name: "name", Type: change.VarChar}, {Name: "generation", Type: change.BigInt}, {Name: "number", Type: change.BigInt},
		{Name: "applied", Type: change.BigInt}, {Name: "note", Type: change.Text, Nullable: true}}})
	for _, t := range profile.Tables {
		table := change.Table{Name: testPrefix + t.Name, Version: 1, Key: t.Key}
		for _, c := range t.Columns {
			table.Columns = append(table.Columns, columnOf(t.Name, c, slices.Contains(t.Key, c)))
		}
		l.schema(table)
		l.rows[t.Name] = map[int64]row{}
	}
	return l
}

// columnOf gives a column the type that it has in a genuine shop.
func columnOf(table, name string, key bool) change.Column {
	c := change.Column{Name: name, Nullable: !key, Type: change.Text}
	switch {
	case strings.HasSuffix(name, "_id") && name != "transaction_id", slices.Contains([]string{"quantity", "subtract", "status", "notify", "sort_order", "invoice_no", "priority", "default", "serialized", "decimal_place"}, name):
		c.Type = change.Int
	case name == "total", name == "price", name == "tax", name == "rate", name == "value" && table == "order_total":
		c.Type, c.Precision, c.Scale = change.Decimal, 15, 4
	case name == "currency_value", name == "weight", name == "length", name == "width", name == "height":
		c.Type, c.Precision, c.Scale = change.Decimal, 15, 8
	case name == "value" && table == "currency":
		c.Type = change.Double
	case strings.HasPrefix(name, "date_"):
		c.Type = change.DateTime
	}
	return c
}

func (l *testLog) schema(t change.Table) {
	message, err := json.Marshal(change.SchemaMessage{Kind: change.Schema, Table: t})
	if err != nil {
		panic(err) // test code, with its own types
	}
	l.record(change.Record{Op: change.Schema, Table: t.Name, Schema: 1, Key: change.OwnKey(change.Schema),
		Value: []byte(`{"before":null,"after":null,"source":{},"op":"m","ts_ms":0,"ts_us":0,"transaction":null,"message":` + string(message) + `}`)})
}

// record puts a record at the end of the log, as a transaction of its own or inside the open one.
func (l *testLog) record(r change.Record) {
	l.seq++
	r.Seq, r.Gen, r.Time = l.seq, 1, 1764000000000+l.seq
	if l.open {
		l.inside = append(l.inside, r)
		return
	}
	r.Last = true
	l.commit([]change.Record{r})
}

func (l *testLog) commit(tx []change.Record) {
	l.txs = append(l.txs, tx)
	if l.pause != nil {
		l.pause()
	}
}

// together writes several statements as one transaction.
func (l *testLog) together(statements func()) {
	l.open, l.inside = true, nil
	statements()
	l.open = false
	if n := len(l.inside); n > 0 {
		l.inside[n-1].Last = true
		l.commit(l.inside)
	}
}

func (l *testLog) insert(table string, r row) int64 {
	t := l.profile.Table(table)
	key := t.Key[0]
	if r[key] == nil {
		l.ids[table]++
		r[key] = l.ids[table]
	}
	id := toInt(r[key])
	l.ids[table] = max(l.ids[table], id)
	if len(t.Key) > 1 {
		id = id*1000 + toInt(r[t.Key[1]])
	}
	l.rows[table][id] = r
	l.change(table, change.Create, nil, r)
	return id
}

func (l *testLog) update(table string, id int64, set row) {
	before := l.rows[table][id]
	after := maps.Clone(before)
	maps.Copy(after, set)
	if fmt.Sprint(before) == fmt.Sprint(after) {
		return // MySQL writes no event
	}
	l.rows[table][id] = after
	l.change(table, change.Update, before, after)
}

func (l *testLog) delete(table string, id int64) {
	before := l.rows[table][id]
	delete(l.rows[table], id)
	l.change(table, change.Delete, before, nil)
}

// deleteOrder deletes an order's rows of a table with one statement.
func (l *testLog) deleteOrder(table string, order int64) {
	l.together(func() {
		for _, id := range slices.Sorted(maps.Keys(l.rows[table])) {
			if l.rows[table][id]["order_id"] == order {
				l.delete(table, id)
			}
		}
	})
}

func (l *testLog) change(table string, op change.Op, before, after row) {
	t := l.profile.Table(table)
	some := after
	if some == nil {
		some = before
	}
	var key []byte
	for i, c := range t.Key {
		if i > 0 {
			key = append(key, ',')
		}
		key = append(append(key, `"`+c+`":`...), jsonOf(some[c])...)
	}
	name := testPrefix + table
	l.record(change.Record{Op: op, Table: name, Schema: 1, Key: change.RowKey(nil, name, key),
		Value: []byte(`{"before":` + object(t, before) + `,"after":` + object(t, after) + `,"source":{},"op":"` + string(op) + `","ts_ms":0,"ts_us":0,"transaction":null}`)})
}

func object(t *schemas.Table, r row) string {
	if r == nil {
		return "null"
	}
	var b strings.Builder
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + c + `":` + string(jsonOf(r[c])))
	}
	return "{" + b.String() + "}"
}

func jsonOf(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // test code, with its own types
	}
	return text
}

func toInt(v any) int64 {
	switch n := v.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	}
	panic(fmt.Sprintf("%v is no key", v)) // test code, with its own types
}

// tick moves the source's clock.
func (l *testLog) tick(n int) {
	for range n {
		l.ticks++
		value := fmt.Sprintf(`{"name":"tick","generation":0,"number":%d,"applied":0,"note":null}`, l.ticks)
		l.record(change.Record{Op: change.Update, Table: "spola_marker", Schema: 1, Key: change.RowKey(nil, "spola_marker", []byte(`"name":"tick"`)),
			Value: []byte(`{"before":` + value + `,"after":` + value + `,"source":{},"op":"u","ts_ms":0,"ts_us":0,"transaction":null}`)})
	}
}

// snapshotDone writes a snapshot of all tables, each in one chunk.
func (l *testLog) snapshotDone() { l.snapshot(1, false) }

// snapshot writes a snapshot of all tables. late: its last chunk comes behind the last row.
func (l *testLog) snapshot(run int64, late bool) {
	for i, t := range l.profile.Tables {
		m := change.ChunkMessage{Kind: change.Chunk, Run: run, Chunk: int64(i + 1), Table: testPrefix + t.Name,
			LastOfTable: true, LastOfRun: i == len(l.profile.Tables)-1}
		if !m.LastOfRun || !late {
			l.chunk(t, m, l.rows[t.Name])
			continue
		}
		end := []json.RawMessage{json.RawMessage("1000000")}
		m.To, m.LastOfTable, m.LastOfRun = end, false, false
		l.chunk(t, m, l.rows[t.Name])
		m.From, m.To, m.Chunk, m.LastOfTable, m.LastOfRun = end, nil, m.Chunk+1, true, true
		l.chunk(t, m, nil)
	}
}

// chunk writes one chunk of a snapshot: its low watermark, its rows and its end.
func (l *testLog) chunk(t schemas.Table, m change.ChunkMessage, rows map[int64]row) {
	message, err := json.Marshal(m)
	if err != nil {
		panic(err) // test code, with its own types
	}
	low := fmt.Sprintf(`{"name":"low","generation":%d,"number":%d,"applied":0,"note":null}`, m.Run, m.Chunk)
	l.record(change.Record{Op: change.Update, Table: "spola_marker", Schema: 1, Key: change.RowKey(nil, "spola_marker", []byte(`"name":"low"`)),
		Value: []byte(`{"before":null,"after":` + low + `,"source":{},"op":"u","ts_ms":0,"ts_us":0,"transaction":null}`)})
	l.together(func() {
		for _, id := range slices.Sorted(maps.Keys(rows)) {
			l.change(t.Name, change.Read, nil, rows[id])
		}
		l.record(change.Record{Op: change.Chunk, Key: change.OwnKey(change.Chunk),
			Value: []byte(`{"before":null,"after":null,"source":{},"op":"m","ts_ms":0,"ts_us":0,"transaction":null,"message":` + string(message) + `}`)})
	})
}
