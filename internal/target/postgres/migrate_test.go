package postgres

import (
	"testing"
	"testing/fstest"

	"github.com/spola-cdc/spola/internal/lab/server"
)

// A merchant whose ERP offers the contract itself gets no reference ERP over it.
func TestMigrationsStayAway(t *testing.T) {
	for _, theirs := range []bool{false, true} {
		url := server.Postgres(t)
		conn, err := Connect(t.Context(), url, "test")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if theirs {
			_, err = conn.Exec(t.Context(), "create schema erp; create function erp.import_orders() returns int language sql as 'select 1'")
			if err != nil {
				t.Fatal(err)
			}
		}
		set := Migrations{Name: "erp", Yields: "erp.import_orders", Files: fstest.MapFS{
			"00001_all.sql":  {Data: []byte("-- +goose Up\ncreate schema if not exists erp;\ncreate table erp.ours ();\ncreate function erp.import_orders(n int) returns int language sql as 'select 1';\n")},
			"00002_more.sql": {Data: []byte("-- +goose Up\ncreate table erp.more ();\n")},
		}}
		first := Migrations{Name: set.Name, Yields: set.Yields, Files: fstest.MapFS{"00001_all.sql": set.Files.(fstest.MapFS)["00001_all.sql"]}}
		for _, m := range []Migrations{first, set, set} {
			if err := Migrate(t.Context(), url, m); err != nil {
				t.Fatal(err)
			}
		}
		var tables, applied, newest int64
		err = conn.QueryRow(t.Context(), "select count(*) from pg_tables where schemaname = 'erp'").Scan(&tables)
		if err != nil {
			t.Fatal(err)
		}
		if applied, newest, err = set.Version(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		want := [3]int64{2, 2, 2}
		if theirs {
			want = [3]int64{}
		}
		if got := [3]int64{tables, applied, newest}; got != want {
			t.Errorf("theirs %t: tables, version and newest are %v, want %v", theirs, got, want)
		}
	}
}
