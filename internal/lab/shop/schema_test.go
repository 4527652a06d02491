package shop_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spola-cdc/spola/internal/lab/shop"
)

// The genuine schema is somebody else's work and no part of this repository; where it lies
// beside it, the test shop is held against it.
var genuineSchema = filepath.Join("..", "..", "..", "..", "shared", "shops", "opencart-4.1.0.4", "schema.sql")

func TestTablesAreTheGenuineOnes(t *testing.T) {
	text, err := os.ReadFile(genuineSchema)
	if err != nil {
		t.Logf("nothing compared, the genuine schema is not here: %v", err)
		return
	}
	dialects(t, shop.Options{Prefix: "mine_"}, func(t *testing.T, s *shop.Shop) {
		mineColumns, mineKeys := describe(t, s.DB(), columnsOf, "mine_"), describe(t, s.DB(), keysOf, "mine_")
		if len(mineColumns) == 0 {
			t.Fatal("the test shop has no tables")
		}
		for _, statement := range strings.Split(string(text), ";\n") {
			_, rest, found := strings.Cut(statement, "CREATE TABLE `oc_")
			table, _, _ := strings.Cut(rest, "`")
			if !found || mineColumns[table] == nil {
				continue // the test shop does not write it
			}
			if _, err := s.DB().ExecContext(t.Context(), "CREATE TABLE `oc_"+rest); err != nil {
				t.Fatalf("genuine schema: %v", err)
			}
		}
		if diff := cmp.Diff(describe(t, s.DB(), columnsOf, "oc_"), mineColumns); diff != "" {
			t.Errorf("columns, genuine (-) and test shop (+):\n%s", diff)
		}
		if diff := cmp.Diff(describe(t, s.DB(), keysOf, "oc_"), mineKeys); diff != "" {
			t.Errorf("keys, genuine (-) and test shop (+):\n%s", diff)
		}
	})
}

const columnsOf = `SELECT table_name, CONCAT_WS(' ', ordinal_position, column_name, column_type, is_nullable,
	COALESCE(column_default, 'no default'), COALESCE(collation_name, ''), extra)
	FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name LIKE ? ORDER BY table_name, ordinal_position`

const keysOf = `SELECT table_name, CONCAT_WS(' ', index_name, non_unique, seq_in_index, column_name)
	FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name LIKE ? ORDER BY table_name, index_name, seq_in_index`

// describe returns a line for each column or key of the tables with a prefix, by table.
func describe(t *testing.T, db *sql.DB, query, prefix string) map[string][]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, strings.ReplaceAll(prefix, "_", `\_`)+"%")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string][]string{}
	for rows.Next() {
		var table, line string
		if err := rows.Scan(&table, &line); err != nil {
			t.Fatal(err)
		}
		table = strings.TrimPrefix(table, prefix)
		out[table] = append(out[table], line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
