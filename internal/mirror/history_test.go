package mirror

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spola-cdc/spola/internal/change"
)

// Three tables whose keys differ in what matters: one number, two of them, and a text.
var (
	orderTable = change.Table{Name: "oc_order", Version: 1, Key: []string{"order_id"}, Columns: []change.Column{
		{Name: "order_id", Type: change.Int}, {Name: "note", Type: change.Text, Nullable: true}}}
	lineTable = change.Table{Name: "oc_line", Version: 1, Key: []string{"line", "order_id"}, Columns: []change.Column{
		{Name: "order_id", Type: change.Int}, {Name: "line", Type: change.Int}, {Name: "note", Type: change.Text, Nullable: true}}}
	textTable = change.Table{Name: "oc_setting", Version: 1, Key: []string{"code"}, Columns: []change.Column{
		{Name: "code", Type: change.VarChar}, {Name: "note", Type: change.Text, Nullable: true}}}

	historyTables = []change.Table{orderTable, lineTable, textTable}
	historySpecs  = []TableSpec{{Name: "oc_order", Order: "order_id"}, {Name: "oc_line", Order: "order_id"}}
)

// history makes a log and, beside it, the mirror that it must give: a plain map, told of each
// change as it happens.
type history struct {
	log    testLog
	shop   map[string]map[string][]string // table → key → row
	ghosts map[string]map[string][]string // rows of the mirror that the shop deleted or changed without a word in the binlog
	silent map[string]map[string]bool     // rows of the shop that the mirror has not heard of as they are
	orders map[int64]bool                 // of which a row of the mirror changed
	ticks  int64
	run    int64
}

func newHistory() *history {
	h := &history{orders: map[int64]bool{}, shop: map[string]map[string][]string{}, ghosts: map[string]map[string][]string{}, silent: map[string]map[string]bool{}}
	for _, t := range append([]change.Table{markerTable}, historyTables...) {
		h.log.shape(t)
		h.shop[t.Name] = map[string][]string{}
		h.ghosts[t.Name] = map[string][]string{}
		h.silent[t.Name] = map[string]bool{}
	}
	return h
}

func keyOf(t change.Table, row []string) string {
	var key []string
	for _, name := range t.Key {
		i := slices.IndexFunc(t.Columns, func(c change.Column) bool { return c.Name == name })
		key = append(key, row[i])
	}
	return strings.Join(key, ",")
}

// mirrored returns the rows that the mirror must have: the shop's, and ghosts.
func (h *history) mirrored(t change.Table) []string {
	var rows []string
	for i, set := range []map[string][]string{h.shop[t.Name], h.ghosts[t.Name]} {
		for key, row := range set {
			if i == 0 && h.silent[t.Name][key] {
				continue
			}
			var fields []string
			for _, v := range row {
				if v != "null" {
					if text, err := strconv.Unquote(v); err == nil {
						v = text
					}
				}
				fields = append(fields, v)
			}
			rows = append(rows, strings.Join(fields, " | "))
		}
	}
	sort.Strings(rows)
	return rows
}

// drawRow draws a row, with a key that few others have.
func drawRow(t *rapid.T, table change.Table) []string {
	var row []string
	for _, c := range table.Columns {
		switch {
		case c.Name == "note":
			row = append(row, rapid.SampledFrom([]string{"null", `""`, `"a"`, `"b\\n\\tc"`, `"\\\\N"`}).Draw(t, "note"))
		case c.Type == change.Int:
			row = append(row, fmt.Sprint(rapid.IntRange(1, 12).Draw(t, c.Name)))
		default:
			row = append(row, fmt.Sprintf("%q", rapid.SampledFrom([]string{"a", "A", "b", "ä", "zz"}).Draw(t, c.Name)))
		}
	}
	return row
}

// step makes one more thing happen in the shop.
func (h *history) step(t *rapid.T) {
	table := historyTables[rapid.IntRange(0, len(historyTables)-1).Draw(t, "table")]
	switch rapid.SampledFrom([]string{"put", "put", "put", "put", "rekey", "delete", "ghost", "silent", "tick", "chunks"}).Draw(t, "what") {
	case "put":
		h.put(table, drawRow(t, table))
	case "rekey":
		if old := h.draw(t, table); old != nil {
			h.rekey(table, old, drawRow(t, table))
		}
	case "delete":
		if old := h.draw(t, table); old != nil {
			h.touch(table, old)
			h.log.row(table, change.Delete, true, old, nil)
			h.gone(table, keyOf(table, old))
		}
	case "ghost":
		if old := h.draw(t, table); old != nil {
			h.unheard(table, keyOf(table, old))
			delete(h.shop[table.Name], keyOf(table, old))
		}
	case "silent":
		row := drawRow(t, table)
		h.unheard(table, keyOf(table, row))
		h.silent[table.Name][keyOf(table, row)] = true
		h.shop[table.Name][keyOf(table, row)] = row
	case "tick":
		h.ticks++
		h.mark("tick", 0, h.ticks)
	case "chunks":
		h.snapshot(t, table)
	}
}

func (h *history) draw(t *rapid.T, table change.Table) []string {
	var keys []string
	for key := range h.shop[table.Name] {
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil
	}
	sort.Strings(keys)
	return h.shop[table.Name][rapid.SampledFrom(keys).Draw(t, "row")]
}

// touch notes the order of a row.
func (h *history) touch(table change.Table, row []string) {
	if table.Name == textTable.Name {
		return
	}
	order, _ := strconv.ParseInt(row[0], 10, 64)
	h.orders[order] = true
}

func (h *history) put(table change.Table, row []string) {
	key := keyOf(table, row)
	h.touch(table, row)
	if old := h.shop[table.Name][key]; old != nil {
		h.log.row(table, change.Update, true, old, row)
	} else {
		h.log.row(table, change.Create, true, nil, row)
	}
	h.heard(table, row)
}

// heard notes that the mirror has heard of a row as it is.
func (h *history) heard(table change.Table, row []string) {
	key := keyOf(table, row)
	h.shop[table.Name][key] = row
	delete(h.ghosts[table.Name], key)
	delete(h.silent[table.Name], key)
}

// gone notes that the mirror has heard of a row's end.
func (h *history) gone(table change.Table, key string) {
	delete(h.shop[table.Name], key)
	delete(h.ghosts[table.Name], key)
	delete(h.silent[table.Name], key)
}

// unheard notes that the mirror keeps a row as it is, whatever becomes of it.
func (h *history) unheard(table change.Table, key string) {
	if row := h.shop[table.Name][key]; row != nil && !h.silent[table.Name][key] {
		h.ghosts[table.Name][key] = row
	}
	delete(h.silent[table.Name], key)
}

func (h *history) rekey(table change.Table, old, row []string) {
	key := keyOf(table, row)
	if h.shop[table.Name][key] != nil && key != keyOf(table, old) {
		return // the shop's own primary key forbids it
	}
	h.touch(table, old)
	h.touch(table, row)
	h.log.row(table, change.Update, true, old, row)
	h.gone(table, keyOf(table, old))
	h.heard(table, row)
}

func (h *history) mark(name string, generation, number int64) {
	h.log.mark(name, generation, number)
	h.shop[Marker][fmt.Sprintf("%q", name)] = []string{fmt.Sprintf("%q", name), fmt.Sprint(generation), fmt.Sprint(number), "0", "null"}
}

// snapshot reads a table in chunks of the first column of its key, with changes in the windows.
func (h *history) snapshot(t *rapid.T, table change.Table) {
	h.run++
	cuts := []int64{4, 8}
	if table.Name == textTable.Name {
		cuts = cuts[:1]
	}
	var from []int64
	for i := 0; i <= len(cuts); i++ {
		to := cuts[min(i, len(cuts)):]
		if len(to) > 1 {
			to = to[:1]
		}
		h.chunk(t, table, int64(i+1), from, to, i == len(cuts))
		from = to
	}
}

func (h *history) chunk(t *rapid.T, table change.Table, number int64, from, to []int64, last bool) {
	h.mark("low", h.run, number)
	inRange := func(row []string) bool {
		at := row[slices.IndexFunc(table.Columns, func(c change.Column) bool { return c.Name == table.Key[0] })]
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			n = collated[at]
		}
		return (len(from) == 0 || n > from[0]) && (len(to) == 0 || n <= to[0])
	}
	named := map[string]bool{}
	for range rapid.IntRange(0, 2).Draw(t, "in the window") {
		row := drawRow(t, table)
		h.put(table, row)
		named[keyOf(table, row)] = true
	}
	h.mark("high", h.run, number)
	read := 0
	for _, key := range sortedKeys(h.shop[table.Name]) {
		if row := h.shop[table.Name][key]; inRange(row) && !named[key] {
			if h.silent[table.Name][key] {
				h.touch(table, row)
			}
			h.heard(table, row)
			h.log.row(table, change.Read, true, nil, row)
			read++
			if rapid.IntRange(0, 19).Draw(t, "torn") == 0 {
				h.chunk(t, table, number, from, to, last) // its owner was lost; the next one reads it again
				return
			}
		}
	}
	h.log.own(change.Chunk, change.ChunkMessage{Kind: change.Chunk, Run: h.run, Chunk: number, Table: table.Name, Rows: int64(read),
		From: bound(table, from), To: bound(table, to), LastOfTable: last, LastOfRun: last})
	for key, row := range h.ghosts[table.Name] {
		if inRange(row) && table.Name != textTable.Name || last {
			h.touch(table, row)
			delete(h.ghosts[table.Name], key)
		}
	}
}

// collated is where a text stands in the shop's order, which is not PostgreSQL's.
var collated = map[string]int64{`"a"`: 1, `"A"`: 2, `"ä"`: 4, `"b"`: 5, `"zz"`: 6}

// bound is a key value up to which all rows with this first column lie.
func bound(table change.Table, n []int64) (values []json.RawMessage) {
	if len(n) == 0 {
		return nil
	}
	if table.Name == textTable.Name {
		return []json.RawMessage{json.RawMessage(`"ä"`)}
	}
	values = append(values, json.RawMessage(fmt.Sprint(n[0])))
	for range len(table.Key) - 1 {
		values = append(values, json.RawMessage("2147483647"))
	}
	return values
}

func sortedKeys(rows map[string][]string) []string {
	var keys []string
	for key := range rows {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// Any history cut anywhere gives the mirror that the model gives, and says which orders changed.
func TestHistories(t *testing.T) {
	conn := database(t)
	if _, err := conn.Exec(t.Context(), "set synchronous_commit = off"); err != nil { // nothing here depends on the disk
		t.Fatal(err)
	}
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			h.step(t)
		}
		n++
		a := newApplier(t, conn, fmt.Sprintf("h%d", n), historySpecs)
		a.m.ways = rapid.SampledFrom([]ways{{0, 0}, {2, 2}, {FewNew, fewOther}}).Draw(t, "ways")
		orders := map[int64]bool{}
		var last *Changed
		for a.applied < len(h.log.records) {
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				a.start()
			}
			last = a.apply(&h.log, rapid.SampledFrom([]int{1, 2, 7, 40, 1000}).Draw(t, "batch"))
			for _, order := range last.Orders {
				orders[order] = true
			}
		}
		for _, table := range append([]change.Table{markerTable}, historyTables...) {
			var names []string
			for _, c := range table.Columns {
				names = append(names, c.Name)
			}
			if got, want := a.content(table.Name, names...), h.mirrored(table); !slices.Equal(got, want) {
				t.Fatalf("%s: %s", table.Name, cmp.Diff(want, got))
			}
		}
		if !maps.Equal(orders, h.orders) {
			t.Fatalf("orders changed %v, want %v", orders, h.orders)
		}
		if last.Ticks != h.ticks || last.SnapshotDone != (h.run > 0) {
			t.Fatalf("ticks %d, snapshot done %v; want %d, %v", last.Ticks, last.SnapshotDone, h.ticks, h.run > 0)
		}
		if _, err := conn.Exec(t.Context(), "drop schema "+Schema(a.m.source)+" cascade"); err != nil {
			t.Fatal(err)
		}
	})
}
