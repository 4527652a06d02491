package mirror

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
)

func isAgain(err error) bool { return errors.Is(err, apply.ErrAgain) }

// typeCases are values as the log carries them and as PostgreSQL shows them.
var typeCases = []struct {
	column change.Column
	value  string
	want   string
	flaw   string
}{
	{change.Column{Type: change.TinyInt}, `-128`, "-128", ""},
	{change.Column{Type: change.TinyInt, Unsigned: true}, `255`, "255", ""},
	{change.Column{Type: change.MediumInt, Unsigned: true}, `16777215`, "16777215", ""},
	{change.Column{Type: change.Int}, `-2147483648`, "-2147483648", ""},
	{change.Column{Type: change.Int, Unsigned: true}, `4294967295`, "4294967295", ""},
	{change.Column{Type: change.BigInt}, `-9223372036854775808`, "-9223372036854775808", ""},
	{change.Column{Type: change.BigInt, Unsigned: true}, `"18446744073709551615"`, "18446744073709551615", ""},
	{change.Column{Type: change.Year}, `2155`, "2155", ""},
	{change.Column{Type: change.Bit}, `"18446744073709551615"`, "18446744073709551615", ""},
	{change.Column{Type: change.Decimal, Precision: 15, Scale: 4}, `"-99999999999.9999"`, "-99999999999.9999", ""},
	{change.Column{Type: change.Decimal, Precision: 65, Scale: 30}, `"0.000000000000000000000000000001"`, "0.000000000000000000000000000001", ""},
	{change.Column{Type: change.Float}, `3.4028235e+38`, "3.4028235e+38", ""},
	{change.Column{Type: change.Double}, `1.7976931348623157e+308`, "1.7976931348623157e+308", ""},
	{change.Column{Type: change.Double}, `-0.1`, "-0.1", ""},
	{change.Column{Type: change.Date}, `"1000-01-01"`, "1000-01-01", ""},
	{change.Column{Type: change.Date}, `"9999-12-31"`, "9999-12-31", ""},
	{change.Column{Type: change.Date}, `"2024-02-29"`, "2024-02-29", ""},
	{change.Column{Type: change.Date}, `"0000-00-00"`, "-infinity", ""},
	{change.Column{Type: change.Date}, `"2026-00-00"`, "-infinity", "v: 2026-00-00 is no date"},
	{change.Column{Type: change.Date}, `"2026-02-31"`, "-infinity", "v: 2026-02-31 is no date"},
	{change.Column{Type: change.DateTime}, `"1969-12-31T23:59:59"`, "1969-12-31 23:59:59", ""},
	{change.Column{Type: change.DateTime, Precision: 6}, `"2026-11-25T10:00:00.123456"`, "2026-11-25 10:00:00.123456", ""},
	{change.Column{Type: change.DateTime}, `"0000-00-00T00:00:00"`, "-infinity", ""},
	{change.Column{Type: change.Timestamp}, `"1970-01-01T00:00:01Z"`, "1970-01-01 00:00:01+00", ""},
	{change.Column{Type: change.Timestamp, Precision: 3}, `"2038-01-19T03:14:07.999Z"`, "2038-01-19 03:14:07.999+00", ""},
	{change.Column{Type: change.Time}, `"-838:59:59"`, "-838:59:59", ""},
	{change.Column{Type: change.Time, Precision: 1}, `"838:59:58.5"`, "838:59:58.5", ""},
	{change.Column{Type: change.VarChar}, `""`, "", ""},
	{change.Column{Type: change.VarChar}, `"Müller 😀 \"a\\b\" \n\t\r\b\f\u0001\u00e9\ud83d\ude00 \/ \\N \\."`,
		"Müller 😀 \"a\\b\" \n\t\r\b\f\u0001é😀 / \\N \\.", ""},
	{change.Column{Type: change.VarChar}, `"\\N"`, `\N`, ""},
	{change.Column{Type: change.VarChar}, `"\u005cN"`, `\N`, ""},
	{change.Column{Type: change.VarChar}, `"a\u0009b\u000ac\u000dd\u000be"`, "a\tb\nc\rd\ve", ""},
	{change.Column{Type: change.Text}, `"nul\u0000byte"`, "nulbyte", "v: a character that PostgreSQL can't store was left out"},
	{change.Column{Type: change.Text}, `"half \ud83d pair"`, "half  pair", "v: a character that PostgreSQL can't store was left out"},
	{change.Column{Type: change.Text}, "\"bad \xff byte\"", "bad  byte", "v: bytes that are no UTF-8 were left out"},
	{change.Column{Type: change.Enum}, `"it's"`, "it's", ""},
	{change.Column{Type: change.Set}, `"a,b"`, "a,b", ""},
	{change.Column{Type: change.JSON}, `"{\"a\": [1, \"x\\u0041\\n\\\\\", null]}"`, `{"a": [1, "xA\n\\", null]}`, ""},
	{change.Column{Type: change.JSON}, `"\"nul\\u0000\""`, `"nul"`, "v: a character that PostgreSQL can't store was left out"},
	{change.Column{Type: change.JSON}, `"\"\\\\u0000\""`, `"\\u0000"`, ""},
	{change.Column{Type: change.JSON}, `"\"\\ud83d\""`, `""`, "v: a character that PostgreSQL can't store was left out"},
	{change.Column{Type: change.JSON}, `"{broken"`, "null", "v: no valid JSON: left out"},
	{change.Column{Type: change.Blob}, `"AP8AXA=="`, `\x00ff005c`, ""},
	{change.Column{Type: change.Binary}, `""`, `\x`, ""},
	{change.Column{Type: change.Text, Nullable: true}, `null`, "null", ""},
	{change.Column{Type: change.Text}, `"null"`, "null", ""},
}

// Every value must come into PostgreSQL as it is, by each of the ways that rows go.
func TestTypes(t *testing.T) {
	for _, way := range []struct {
		name string
		ways ways
		op   change.Op
	}{
		{"statements", ways{1000, 1000}, change.Create},
		{"copy", ways{0, 0}, change.Create},
		{"merge", ways{0, 0}, change.Read},
	} {
		t.Run(way.name, func(t *testing.T) {
			a := newApplier(t, database(t), "types", nil)
			a.m.ways = way.ways
			l := &testLog{}
			for i, c := range typeCases {
				table := typeTable(i, c.column)
				l.shape(table)
				l.row(table, way.op, true, nil, []string{fmt.Sprint(i), c.value})
			}
			a.all(l)
			for i, c := range typeCases {
				var text, flaw *string
				err := a.conn.QueryRow(t.Context(), "select v::text, spola_flaw from mirror_types."+typeTable(i, c.column).Name).Scan(&text, &flaw)
				if err != nil {
					t.Fatal(err)
				}
				got := []string{shown(text), shown(flaw)}
				if want := []string{c.want, orNull(c.flaw)}; !cmp.Equal(got, want) {
					t.Errorf("%s %s: %s", c.column.Type, c.value, cmp.Diff(want, got))
				}
			}
		})
	}
}

func typeTable(i int, c change.Column) change.Table {
	c.Name = "v"
	return change.Table{Name: fmt.Sprintf("t%d", i), Version: 1, Key: []string{"id"},
		Columns: []change.Column{{Name: "id", Type: change.Int}, c}}
}

func shown(text *string) string {
	if text == nil {
		return "null"
	}
	return *text
}

func orNull(text string) string {
	if text == "" {
		return "null"
	}
	return text
}

// A value that no source of ours writes stops the stream, with table, column and key named.
func TestNoGuess(t *testing.T) {
	a := newApplier(t, database(t), "guess", nil)
	table := change.Table{Name: "oc_order", Version: 2, Key: []string{"order_id"}, Columns: []change.Column{
		{Name: "order_id", Type: change.Int}, {Name: "total", Type: change.Decimal, Precision: 15, Scale: 4}}}
	for _, c := range []struct {
		name string
		row  func(*testLog)
		want string
	}{
		{"no shape", func(l *testLog) { l.row(change.Table{Name: "oc_new"}, change.Create, true, nil, []string{}) }, "has no shape yet"},
		{"other version", func(l *testLog) {
			other := table
			other.Version = 3
			l.row(other, change.Create, true, nil, []string{"1", `"1.0000"`})
		}, "version 3"},
		{"missing column", func(l *testLog) { l.row(table, change.Create, true, nil, []string{"1"}) }, "lacks column total"},
		{"bad number", func(l *testLog) { l.row(table, change.Create, true, nil, []string{"1", `"x"`}) }, "column total"},
		{"null key", func(l *testLog) { l.row(table, change.Create, true, nil, []string{"null", `"1.0000"`}) }, "order_id is null"},
		{"no row", func(l *testLog) { l.row(table, change.Create, true, nil, nil) }, "does not fit"},
		{"unknown op", func(l *testLog) { l.append(change.Record{Op: "t", Last: true}) }, `op "t"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &testLog{}
			l.shape(table)
			c.row(l)
			err := a.m.Part(0).Add(l.records)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "record 1/2, offset 1") {
				t.Fatalf("got %v, want it to name %q and record 1/2, offset 1", err, c.want)
			}
		})
	}
}

// A row too big for the log leaves its key and a flaw.
func TestStub(t *testing.T) {
	a := newApplier(t, database(t), "stub", nil)
	table := typeTable(0, change.Column{Type: change.Text})
	l := &testLog{}
	l.shape(table)
	l.row(table, change.Create, true, nil, []string{"1", `"small"`})
	value := `{"before":null,"after":{"id":1},"source":{},"op":"u","stub":{"bytes":9000000}}`
	l.append(change.Record{Table: table.Name, Op: change.Update, Schema: 1, Last: true, Key: []byte("{}"), Value: []byte(value)})
	a.all(l)
	want := []string{"1 | null | the row is too big for the log: only its key is here"}
	if got := a.content(table.Name, "id", "v", "spola_flaw"); !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}
