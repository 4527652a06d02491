package postgres

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// value is one of a type, and how it stands in the log.
type value struct{ sql, want string }

var typeCases = []struct {
	column string
	typ    change.Type
	values []value
}{
	{"smallint", change.SmallInt, []value{{"-32768", "-32768"}, {"32767", "32767"}}},
	{"integer", change.Int, []value{{"-2147483648", "-2147483648"}, {"0", "0"}}},
	{"bigint", change.BigInt, []value{{"-9223372036854775808", "-9223372036854775808"}, {"9223372036854775807", "9223372036854775807"}}},
	{"oid", change.BigInt, []value{{"4294967295", "4294967295"}}},
	{"boolean", change.Boolean, []value{{"true", "true"}, {"false", "false"}}},
	{"real", change.Float, []value{{"1.5", "1.5"}, {"'NaN'", `"NaN"`}, {"'Infinity'", `"Infinity"`}, {"'-Infinity'", `"-Infinity"`}, {"1e38", "1e+38"}, {"0.1", "0.1"}}},
	{"double precision", change.Double, []value{{"0.1::float8 + 0.2::float8", "0.30000000000000004"}, {"'-0'", "-0"}, {"'NaN'", `"NaN"`}, {"1e-300", "1e-300"}}},
	{"numeric", change.Decimal, []value{{"'NaN'", `"NaN"`}, {"'Infinity'", `"Infinity"`}, {"1.10", `"1.10"`}, {"-0.00", `"0.00"`},
		{"12345678901234567890123456789.123456789", `"12345678901234567890123456789.123456789"`}}},
	{"numeric(10,2)", change.Decimal, []value{{"12345678.905", `"12345678.91"`}, {"0", `"0.00"`}}},
	{"numeric(3,-2)", change.Decimal, []value{{"12345", `"12300"`}}},
	{"money", change.Other, []value{{"1234.5", `"$1,234.50"`}}},
	{"date", change.Date, []value{{"'2026-11-25'", `"2026-11-25"`}, {"'infinity'", `"infinity"`}, {"'-infinity'", `"-infinity"`}, {"'0044-03-15 BC'", `"0044-03-15 BC"`}, {"'12026-01-01'", `"12026-01-01"`}}},
	{"timestamp", change.DateTime, []value{{"'2026-11-25 10:00:00.5'", `"2026-11-25T10:00:00.5"`}, {"'infinity'", `"infinity"`}, {"'0044-03-15 10:00 BC'", `"0044-03-15T10:00:00 BC"`}}},
	{"timestamptz", change.Timestamp, []value{{"'2026-11-25 10:00:00.123456+02'", `"2026-11-25T08:00:00.123456Z"`}, {"'-infinity'", `"-infinity"`},
		{"'0044-03-15 10:00+00 BC'", `"0044-03-15T10:00:00Z BC"`}, {"'1850-01-01 00:00 Europe/Rome'", `"1849-12-31T23:10:04Z"`}}},
	{"time", change.Time, []value{{"'10:00:00.5'", `"10:00:00.5"`}, {"'24:00'", `"24:00:00"`}}},
	{"timetz", change.Other, []value{{"'10:00:00+02'", `"10:00:00+02"`}}},
	{"interval", change.Interval, []value{{"'1 year 2 months 3 days 04:05:06.5'", `"P1Y2M3DT4H5M6.5S"`}, {"'0'", `"PT0S"`}, {"'-1 day'", `"P-1D"`}}},
	{"bytea", change.Blob, []value{{`'\x00ff10'`, `"AP8Q"`}, {"''", `""`}}},
	{"json", change.JSON, []value{{`'{"b" : 1, "a": "é"}'`, `"{\"b\" : 1, \"a\": \"é\"}"`}}},
	{"jsonb", change.JSON, []value{{`'{"b" : 1, "a": [1.50, null]}'`, `"{\"a\": [1.50, null], \"b\": 1}"`}, {"'null'", `"null"`}}},
	{"uuid", change.UUID, []value{{"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`}}},
	{"text", change.Text, []value{{"'emoji 🧶, è, \"quote\", back\\slash'", `"emoji 🧶, è, \"quote\", back\\slash"`}, {"E'line\\nfeed\\ttab\\u0001\\u2028'", "\"line\\nfeed\\ttab\\u0001\u2028\""}, {"''", `""`}, {"'NULL'", `"NULL"`}}},
	{"varchar(20)", change.VarChar, []value{{"'short'", `"short"`}}},
	{"char(5)", change.Char, []value{{"'ab'", `"ab   "`}}},
	{`"char"`, change.Char, []value{{"'x'", `"x"`}}},
	{"name", change.Text, []value{{"'spola'", `"spola"`}}},
	{"mood", change.Enum, []value{{"'so so'", `"so so"`}}},
	{"cents", change.Int, []value{{"42", "42"}}},
	{"price", change.Decimal, []value{{"1.5", `"1.50"`}}},
	{"paid", change.Decimal, []value{{"2", `"2.00"`}}},
	{"address", change.Other, []value{{"row('Via Roma 1', 'a \"b\"', null)", `"(\"Via Roma 1\",\"a \"\"b\"\"\",)"`}}},
	{"integer[]", change.Other, []value{{"'{1,NULL,-3}'", `"{1,NULL,-3}"`}, {"'{{1,2},{3,4}}'", `"{{1,2},{3,4}}"`}, {"'{}'", `"{}"`}}},
	{"text[]", change.Other, []value{{`'{"a b","c\"d",NULL,"NULL"}'`, `"{\"a b\",\"c\\\"d\",NULL,\"NULL\"}"`}}},
	{"timestamptz[]", change.Other, []value{{`'{"2026-11-25 10:00:00+02"}'`, `"{\"2026-11-25 08:00:00+00\"}"`}}},
	{"mood[]", change.Other, []value{{`'{ok,"so so"}'`, `"{ok,\"so so\"}"`}}},
	{"int4range", change.Other, []value{{"'[1,5]'", `"[1,6)"`}, {"'empty'", `"empty"`}}},
	{"bit(3)", change.Other, []value{{"B'101'", `"101"`}}},
	{"inet", change.Other, []value{{"'192.168.0.1/24'", `"192.168.0.1/24"`}}},
	{"xml", change.Other, []value{{"'<a>1</a>'", `"<a>1</a>"`}}},
	{"tsvector", change.Other, []value{{"'a:1 b'", `"'a':1 'b'"`}}},
	{"point", change.Other, []value{{"'(1,2.5)'", `"(1,2.5)"`}}},
	{"label", change.Text, []value{{"'x'", `"x"`}}},
}

// Every type's values stand in the log as types.go says, from the stream and from a snapshot
// alike, whatever the database's own settings are.
func TestTypes(t *testing.T) {
	database := server.OwnPostgres(t)
	e := newERP(t, database, Capture{Name: "public.types"})
	e.exec(`CREATE TYPE mood AS ENUM ('ok', 'so so');
		CREATE DOMAIN cents AS integer CHECK (value >= 0);
		CREATE DOMAIN price AS numeric(10,2);
		CREATE DOMAIN paid AS price NOT NULL DEFAULT 0;
		CREATE DOMAIN label AS text;
		CREATE TYPE address AS (street text, city text, zip text)`)
	e.exec(`DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET datestyle = ''German''', current_database());
		EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''', current_database());
		EXECUTE format('ALTER DATABASE %I SET bytea_output = ''escape''', current_database());
		EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -5', current_database());
		EXECUTE format('ALTER DATABASE %I SET intervalstyle = ''sql_standard''', current_database());
		END $$`)
	var columns, names []string
	most := 0
	for i, c := range typeCases {
		columns = append(columns, fmt.Sprintf("c%d %s", i, c.column))
		names = append(names, fmt.Sprintf("c%d", i))
		most = max(most, len(c.values))
	}
	e.exec("CREATE TABLE types (id bigint PRIMARY KEY, " + strings.Join(columns, ", ") + ", made int GENERATED ALWAYS AS (c1 / 2) STORED, nothing text)")
	insert := func(id, row int) {
		var values []string
		for _, c := range typeCases {
			values = append(values, "("+c.values[min(row, len(c.values)-1)].sql+")")
		}
		e.exec(fmt.Sprintf("INSERT INTO types (id, %s) VALUES (%d, %s)", strings.Join(names, ", "), id, strings.Join(values, ", ")))
	}
	for row := range most {
		insert(row, row)
	}
	e.publish()
	e.start()
	e.snapshotDone(1)
	for row := range most {
		insert(100+row, row)
	}
	e.exec("DELETE FROM types WHERE id = $1", 100+most-1)
	e.log.wait(t, "the deleted row", func(records []change.Record) bool {
		e.alive()
		rows := rowsOf(records, "public.types")
		return len(rows) > 0 && rows[len(rows)-1].Op == change.Delete
	})
	e.end()
	seen := 0
	for _, r := range rowsOf(e.log.all(), "public.types") {
		before, after, err := change.Rows(r.Value)
		if err != nil {
			t.Fatalf("%v: %s", err, r.Value)
		}
		if !json.Valid(r.Value) {
			t.Errorf("no JSON: %s", r.Value)
		}
		row := after
		if r.Op == change.Delete {
			row = before
		}
		fields := map[string]string{}
		if err := change.Fields(row, func(name, value []byte) error {
			fields[string(name)] = string(value)
			return nil
		}); err != nil {
			t.Fatalf("%v: %s", err, row)
		}
		var id int
		fmt.Sscan(fields["id"], &id)
		for i, c := range typeCases {
			want := c.values[min(id%100, len(c.values)-1)]
			if got := fields[fmt.Sprintf("c%d", i)]; got != want.want {
				t.Errorf("%s: %s %s is %s, want %s", r.Op, c.column, want.sql, got, want.want)
			}
		}
		if fields["nothing"] != "null" || fields["made"] != "" {
			t.Errorf("null %s, generated %q", fields["nothing"], fields["made"])
		}
		seen++
	}
	if seen != 2*most+1 {
		t.Errorf("%d rows, want %d", seen, 2*most+1)
	}
	schemas := 0
	for _, r := range e.log.all() {
		if r.Op != change.Schema {
			continue
		}
		schemas++
		var m change.SchemaMessage
		if err := change.Message(r.Value, &m); err != nil {
			t.Fatal(err)
		}
		for i, c := range typeCases {
			if got := m.Columns[i+1]; got.Type != c.typ || got.Name != names[i] {
				t.Errorf("%s is announced as %+v, want %s", c.column, got, c.typ)
			}
		}
	}
	if schemas != 1 {
		t.Errorf("%d shapes were announced: stream and snapshot differ", schemas)
	}
}

// Typmods of numeric, also with a negative scale and of a domain on a domain.
func TestDecimals(t *testing.T) {
	known := types{1700: {base: 1700, modifier: -1}, 20000: {base: 1700, modifier: (10<<16 | 2) + 4}}
	for _, c := range []struct {
		id               uint32
		modifier         int32
		precision, scale int
	}{
		{1700, -1, 0, 0}, {1700, (10<<16 | 2) + 4, 10, 2}, {1700, (3<<16 | 0x7fe) + 4, 3, -2}, {1700, (1000<<16 | 1000) + 4, 1000, 1000}, {20000, -1, 10, 2},
	} {
		got, ok := known.describe("c", c.id, c.modifier)
		if !ok || got.Precision != c.precision || got.Scale != c.scale {
			t.Errorf("modifier %d: %+v, want %d,%d", c.modifier, got.Column, c.precision, c.scale)
		}
	}
	if _, ok := known.describe("c", 4711, -1); ok {
		t.Error("a type that is not there is known")
	}
}
