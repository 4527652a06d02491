package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// typeCase is a column type with edge values, each as SQL and as the log must show it. The
// expectations are written by hand from package change's table of types.
type typeCase struct {
	ddl    string
	only   flavor // empty: both
	values [][2]string
}

func typeCases() []typeCase {
	both := []typeCase{
		{"tinyint", "", [][2]string{{"-128", "-128"}, {"127", "127"}, {"0", "0"}}},
		{"tinyint unsigned", "", [][2]string{{"255", "255"}, {"0", "0"}}},
		{"tinyint(1)", "", [][2]string{{"TRUE", "1"}}},
		{"smallint", "", [][2]string{{"-32768", "-32768"}, {"32767", "32767"}}},
		{"smallint unsigned", "", [][2]string{{"65535", "65535"}}},
		{"mediumint", "", [][2]string{{"-8388608", "-8388608"}, {"8388607", "8388607"}}},
		{"mediumint unsigned", "", [][2]string{{"16777215", "16777215"}}},
		{"int", "", [][2]string{{"-2147483648", "-2147483648"}, {"2147483647", "2147483647"}}},
		{"int unsigned", "", [][2]string{{"4294967295", "4294967295"}}},
		{"int(6) zerofill", "", [][2]string{{"42", "42"}, {"0", "0"}}},
		{"bigint", "", [][2]string{{"-9223372036854775808", "-9223372036854775808"}, {"9223372036854775807", "9223372036854775807"}}},
		{"bigint unsigned", "", [][2]string{{"18446744073709551615", `"18446744073709551615"`}, {"0", `"0"`}, {"9223372036854775808", `"9223372036854775808"`}}},
		{"year", "", [][2]string{{"1901", "1901"}, {"2155", "2155"}, {"0", "0"}, {"2026", "2026"}}},
		{"bit(1)", "", [][2]string{{"b'1'", `"1"`}, {"b'0'", `"0"`}}},
		{"bit(12)", "", [][2]string{{"b'101010101010'", `"2730"`}}},
		{"bit(64)", "", [][2]string{{"b'" + strings.Repeat("1", 64) + "'", `"18446744073709551615"`}}},
		{"decimal(15,4)", "", [][2]string{{"146.08", `"146.0800"`}, {"-0.0001", `"-0.0001"`}, {"0", `"0.0000"`}, {"99999999999.9999", `"99999999999.9999"`}, {"-99999999999.9999", `"-99999999999.9999"`}, {"1000000000", `"1000000000.0000"`}}},
		{"decimal(5,0)", "", [][2]string{{"-99999", `"-99999"`}, {"7", `"7"`}}},
		{"decimal(4,4)", "", [][2]string{{"0.9999", `"0.9999"`}, {"-0.5", `"-0.5000"`}}},
		{"decimal(65,30)", "", [][2]string{
			{"12345678901234567890123456789012345.123456789012345678901234567891", `"12345678901234567890123456789012345.123456789012345678901234567891"`},
			{"-0.000000000000000000000000000001", `"-0.000000000000000000000000000001"`}, {"1000000000000000000", `"1000000000000000000.000000000000000000000000000000"`},
		}},
		{"decimal(10,2) unsigned zerofill", "", [][2]string{{"3.5", `"3.50"`}, {"0.05", `"0.05"`}}},
		{"float", "", [][2]string{{"0.1", "0.1"}, {"-1.5", "-1.5"}, {"16777217", "16777216"}, {"3.4028235e38", "3.4028235e+38"}, {"1e-38", "1e-38"}, {"1234567", "1234567"}}},
		{"double", "", [][2]string{{"0.1", "0.1"}, {"1e300", "1e+300"}, {"-2.2250738585072014e-308", "-2.2250738585072014e-308"}, {"123456789.123456789", "123456789.12345679"}, {"1e20", "100000000000000000000"}}},
		{"float(7,3)", "", [][2]string{{"1234.567", "1234.567"}}},
		{"date", "", [][2]string{{"'2026-11-25'", `"2026-11-25"`}, {"'1000-01-01'", `"1000-01-01"`}, {"'9999-12-31'", `"9999-12-31"`}, {"'0000-00-00'", `"0000-00-00"`}, {"'2026-00-00'", `"2026-00-00"`}, {"'1969-12-31'", `"1969-12-31"`}, {"'0001-01-01'", `"0001-01-01"`}}},
		{"datetime", "", [][2]string{{"'2026-11-25 10:00:01'", `"2026-11-25T10:00:01"`}, {"'0000-00-00 00:00:00'", `"0000-00-00T00:00:00"`}, {"'1752-09-14 23:59:59'", `"1752-09-14T23:59:59"`}, {"'9999-12-31 23:59:59'", `"9999-12-31T23:59:59"`}}},
		{"datetime(1)", "", [][2]string{{"'2026-11-25 10:00:00.5'", `"2026-11-25T10:00:00.5"`}, {"'2026-11-25 10:00:00'", `"2026-11-25T10:00:00.0"`}}},
		{"datetime(3)", "", [][2]string{{"'1969-07-20 20:17:40.123'", `"1969-07-20T20:17:40.123"`}}},
		{"datetime(6)", "", [][2]string{{"'1969-07-20 20:17:40.000001'", `"1969-07-20T20:17:40.000001"`}, {"'9999-12-31 23:59:59.999999'", `"9999-12-31T23:59:59.999999"`}}},
		// The session's zone is +02:00.
		{"timestamp NULL", "", [][2]string{{"'2026-01-01 02:00:00'", `"2026-01-01T00:00:00Z"`}, {"'1970-01-01 02:00:01'", `"1970-01-01T00:00:01Z"`}, {"'0000-00-00 00:00:00'", `"0000-00-00T00:00:00Z"`}, {"'2024-02-29 14:30:15'", `"2024-02-29T12:30:15Z"`}, {"'2038-01-19 05:14:07'", `"2038-01-19T03:14:07Z"`}}},
		{"timestamp(2) NULL", "", [][2]string{{"'2026-03-29 04:00:00.25'", `"2026-03-29T02:00:00.25Z"`}}},
		{"timestamp(6) NULL", "", [][2]string{{"'2026-12-31 01:59:59.999999'", `"2026-12-30T23:59:59.999999Z"`}}},
		{"time", "", [][2]string{{"'838:59:59'", `"838:59:59"`}, {"'-838:59:59'", `"-838:59:59"`}, {"'00:00:00'", `"00:00:00"`}, {"'-00:00:01'", `"-00:00:01"`}, {"'24:00:00'", `"24:00:00"`}}},
		{"time(1)", "", [][2]string{{"'-00:00:00.1'", `"-00:00:00.1"`}, {"'-838:59:58.9'", `"-838:59:58.9"`}}},
		{"time(3)", "", [][2]string{{"'-00:00:01.010'", `"-00:00:01.010"`}, {"'12:00:00.999'", `"12:00:00.999"`}, {"'-12:00:00'", `"-12:00:00.000"`}}},
		{"time(6)", "", [][2]string{{"'-00:00:00.000001'", `"-00:00:00.000001"`}, {"'837:59:59.999999'", `"837:59:59.999999"`}}},
		{"char(5) CHARACTER SET utf8mb4", "", [][2]string{{"'ab'", `"ab"`}, {"''", `""`}, {"'😀é'", `"😀é"`}}},
		{"char(200) CHARACTER SET utf8mb4", "", [][2]string{{"'Größe'", `"Größe"`}, {"REPEAT('€',200)", `"` + strings.Repeat("€", 200) + `"`}}},
		{"varchar(20) CHARACTER SET utf8mb4", "", [][2]string{{`'a"b\\c'`, `"a\"b\\c"`}, {"'tab\\tnl\\n'", `"tab\tnl\n"`}, {"'  x  '", `"  x  "`}, {"CONCAT('a', CHAR(0), 'b', CHAR(31))", `"a\u0000b\u001f"`}, {"'🧵 spola'", `"🧵 spola"`}}},
		{"varchar(300) CHARACTER SET utf8mb3", "", [][2]string{{"REPEAT('ž',300)", `"` + strings.Repeat("ž", 300) + `"`}}},
		{"varchar(40) CHARACTER SET latin1", "", [][2]string{{"'Müller €5'", `"Müller €5"`}, {"'¿ñ'", `"¿ñ"`}}},
		{"varchar(40) CHARACTER SET cp1251", "", [][2]string{{"'Привет'", `"Привет"`}}},
		{"varchar(40) CHARACTER SET latin2", "", [][2]string{{"'Łódź'", `"Łódź"`}}},
		{"varchar(40) CHARACTER SET ucs2", "", [][2]string{{"'Ω€'", `"Ω€"`}}},
		{"varchar(40) CHARACTER SET utf16", "", [][2]string{{"'a😀'", `"a😀"`}}},
		{"varchar(40) CHARACTER SET utf32", "", [][2]string{{"'a😀'", `"a😀"`}}},
		{"varchar(40) CHARACTER SET ascii", "", [][2]string{{"'plain'", `"plain"`}}},
		{"tinytext CHARACTER SET utf8mb4", "", [][2]string{{"'t'", `"t"`}}},
		{"text CHARACTER SET latin1", "", [][2]string{{"'naïve'", `"naïve"`}}},
		{"mediumtext CHARACTER SET utf8mb4", "", [][2]string{{"REPEAT('ab😀', 20000)", `"` + strings.Repeat("ab😀", 20000) + `"`}}},
		{"longtext CHARACTER SET utf8mb4", "", [][2]string{{"''", `""`}}},
		{"enum('new','it''s','größe')", "", [][2]string{{"'new'", `"new"`}, {"'it''s'", `"it's"`}, {"'größe'", `"größe"`}, {"0", `""`}}},
		{"enum('ä','b') CHARACTER SET latin1", "", [][2]string{{"'ä'", `"ä"`}}},
		{"set('a','b','ç')", "", [][2]string{{"'a,ç'", `"a,ç"`}, {"''", `""`}, {"'a,b,ç'", `"a,b,ç"`}}},
		{"binary(4)", "", [][2]string{{"X'01'", `"AQAAAA=="`}, {"X'00000000'", `"AAAAAA=="`}, {"X'FFFEFDFC'", `"//79/A=="`}}},
		{"varbinary(300)", "", [][2]string{{"X'00FF'", `"AP8="`}, {"''", `""`}, {"X'010000'", `"AQAA"`}}},
		{"tinyblob", "", [][2]string{{"X'FF'", `"/w=="`}}},
		{"blob", "", [][2]string{{"X'000102'", `"AAEC"`}}},
		{"mediumblob", "", [][2]string{{"REPEAT('a', 3000)", `"` + strings.Repeat("YWFh", 1000) + `"`}}},
		{"longblob", "", [][2]string{{"''", `""`}}},
		{"geometry", "", [][2]string{{"ST_GeomFromText('POINT(1 2)')", `"AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA=="`}}},
		{"point", "", [][2]string{{"ST_GeomFromText('POINT(1 2)')", `"AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA=="`}}},
		{"json", mariadbFlavor, [][2]string{{`'{"a": 1, "b": [1, 2]}'`, `"{\"a\": 1, \"b\": [1, 2]}"`}}},
	}
	return append(both, jsonCases())
}

// jsonCases are documents of MySQL's JSON type; MariaDB's is a text.
func jsonCases() typeCase {
	c := typeCase{ddl: "json", only: mysqlFlavor}
	for _, one := range [][2]string{
		{`'{"b": 1, "aa": [true, false, null]}'`, `{"b":1,"aa":[true,false,null]}`},
		{`'[]'`, `[]`}, {`'{}'`, `{}`}, {`'null'`, `null`}, {`'true'`, `true`}, {`'""'`, `""`},
		{`'"tab\\t quote\\" é 😀 \\u0001"'`, `"tab\t quote\" é 😀 \u0001"`},
		{`'[-32768, 32767, 65535, -2147483648, 4294967295, 9223372036854775807, 18446744073709551615, -9223372036854775808]'`,
			`[-32768,32767,65535,-2147483648,4294967295,9223372036854775807,18446744073709551615,-9223372036854775808]`},
		{`'[1.0, 0.1, -0.0, 1e20, 1e25, 1.5e-10, 123456789012345.6, 1e15, 1e16, 1e17]'`,
			`[1.0,0.1,-0.0,100000000000000000000.0,1.0e25,1.5e-10,123456789012345.6,1000000000000000.0,10000000000000000.0,100000000000000000.0]`},
		{`JSON_ARRAY(CAST(1.50 AS DECIMAL(10,2)), CAST(-7 AS DECIMAL(5,0)), CAST('2026-11-25' AS DATE), CAST('2026-11-25 01:02:03.5' AS DATETIME(6)), CAST('-12:30:00' AS TIME))`,
			`[1.5,-7,"2026-11-25","2026-11-25 01:02:03.500000","-12:30:00.000000"]`},
		{`JSON_OBJECT('blob', CAST(X'00FF' AS BINARY))`, `{"blob":"base64:type15:AP8="}`},
		{`JSON_OBJECT('big', REPEAT('x', 70000))`, `{"big":"` + strings.Repeat("x", 70000) + `"}`},
		{`CONCAT('[', REPEAT('{"k": [1, "v"]}, ', 9000), '0]')`, `[` + strings.Repeat(`{"k":[1,"v"]},`, 9000) + `0]`},
	} {
		text, err := json.Marshal(one[1])
		if err != nil {
			panic(err)
		}
		c.values = append(c.values, [2]string{one[0], string(unescapeHTML(text))})
	}
	return c
}

// unescapeHTML undoes what json.Marshal adds for browsers.
func unescapeHTML(text []byte) []byte {
	return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(text)))
}

// Every value of every type comes out of the stream and out of a snapshot as it was expected,
// byte by byte, and both know the table by the same shape.
func TestTypes(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := newShop(t, url)
		f, err := readFacts(context.Background(), s.db)
		if err != nil {
			t.Fatal(err)
		}
		var cases []typeCase
		ddl, capture, rows := "CREATE TABLE types (id int NOT NULL PRIMARY KEY, hidden varchar(10) DEFAULT 'never'", Capture{Name: "types", Columns: []string{"id"}, Key: []string{"id"}}, 0
		for _, c := range typeCases() {
			if c.only != "" && c.only != f.flavor {
				continue
			}
			name := fmt.Sprintf("c%02d", len(cases))
			cases = append(cases, c)
			ddl += ", " + name + " " + c.ddl
			capture.Columns = append(capture.Columns, name)
			rows = max(rows, len(c.values)+1)
		}
		s.cfg.Tables = []Capture{capture}
		conn, err := s.db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		exec(t, conn, "SET SESSION time_zone = '+02:00'")
		exec(t, conn, "SET SESSION sql_mode = ''")
		exec(t, conn, ddl+") ROW_FORMAT=DYNAMIC")
		insertValues(t, conn, cases, rows, 0)
		s.start()
		s.snapshotDone(1)
		insertValues(t, conn, cases, rows, 1000)
		records := s.log.wait(t, "all rows", func(records []change.Record) bool { return len(rowsOf(records, "types")) == 2*rows })
		for i, r := range rowsOf(records, "types") {
			compareValues(t, cases, i%rows, r)
		}
		schemas := 0
		for _, r := range records {
			if r.Op == change.Schema && r.Table == "types" {
				schemas++
			}
		}
		if schemas != 1 {
			t.Errorf("the table was announced %d times: its shape in the binary log differs from that in information_schema", schemas)
		}
	})
}

func exec(t testing.TB, conn *sql.Conn, statement string) {
	t.Helper()
	if _, err := conn.ExecContext(context.Background(), statement); err != nil {
		t.Fatalf("%.200s: %v", statement, err)
	}
}

// insertValues inserts a row for each value; types that have fewer get NULL.
func insertValues(t testing.TB, conn *sql.Conn, cases []typeCase, rows, from int) {
	t.Helper()
	for row := range rows {
		statement := fmt.Sprintf("INSERT INTO types VALUES (%d, 'never'", from+row)
		for _, c := range cases {
			value := "NULL"
			if row < len(c.values) {
				value = c.values[row][0]
			}
			statement += ", " + value
		}
		exec(t, conn, statement+")")
	}
}

func compareValues(t *testing.T, cases []typeCase, row int, r change.Record) {
	_, after, err := change.Rows(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(r.Value) {
		t.Errorf("the envelope is not JSON: %.300s", r.Value)
	}
	n := -1
	err = change.Fields(after, func(name, value []byte) error {
		if n++; n == 0 {
			return nil
		}
		c := cases[n-1]
		sql, want := "NULL", "null"
		if row < len(c.values) {
			sql, want = c.values[row][0], c.values[row][1]
		}
		if diff := cmp.Diff(want, string(value)); diff != "" {
			t.Errorf("op %s, %s %.100s: %.400s", r.Op, c.ddl, sql, diff)
		}
		return nil
	})
	if err != nil || n != len(cases) {
		t.Errorf("row %d has %d columns, want %d (%v)", row, n, len(cases), err)
	}
}

// The tables of one-byte character sets are the servers' own.
func TestCharsets(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		db, err := server.OpenMySQL(url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		names := []string{"latin1", "latin2", "latin5", "latin7", "cp1250", "cp1251", "cp1257", "koi8r", "cp850", "cp852"}
		for _, name := range names {
			set, err := charsetNamed(name)
			if err != nil {
				t.Fatal(err)
			}
			for b := 0x20; b < 256; b++ {
				var text string
				query := fmt.Sprintf("SELECT CONVERT(CONVERT(X'%02X' USING %s) USING utf8mb4)", b, name)
				if err := db.QueryRow(query).Scan(&text); err != nil {
					t.Fatal(err)
				}
				got, err := set.decode(string([]byte{byte(b)}))
				if err != nil && text == "?" {
					continue // neither has a character there
				}
				if err != nil || got != text {
					t.Errorf("%s byte %02x: the server says %q, we %q (%v)", name, b, text, got, err)
				}
			}
		}
	})
}
