package shop_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/lab/shop"
)

// What a saboteur says he did is what the stock has gained or lost, and what he hides is not in the binlog.
func TestSaboteur(t *testing.T) {
	dialects(t, shop.Options{Products: 20}, func(t *testing.T, s *shop.Shop) {
		x := s.Saboteur(1)
		stock := func() (sum int64) {
			if err := s.DB().QueryRowContext(t.Context(), `SELECT (SELECT SUM(quantity) FROM oc_product) + (SELECT SUM(quantity) FROM oc_product_option_value)`).Scan(&sum); err != nil {
				t.Fatal(err)
			}
			return sum
		}
		want, hidden := stock(), 0
		for range 30 {
			e, err := x.Step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want += e.By
			if e.Hidden {
				hidden++
			}
		}
		if got := stock(); got != want || hidden == 0 || hidden == 30 {
			t.Errorf("stock is %d after hand edits, want %d; %d of 30 were hidden", got, want, hidden)
		}
		for _, hide := range []bool{true, false} {
			file, from := binlogEnd(t, s.DB())
			if _, err := x.Edit(t.Context(), "option:51", 7, hide); err != nil {
				t.Fatal(err)
			}
			if logged := loggedSince(t, s.DB(), file, from); logged == hide {
				t.Errorf("hidden %v, in the binlog %v", hide, logged)
			}
		}
		if got := stock(); got != want+14 {
			t.Errorf("stock is %d, want %d", got, want+14)
		}
		if _, err := x.Edit(t.Context(), "option:9999", 1, false); err == nil {
			t.Error("a row that is not there was edited")
		}
	})
}

func binlogEnd(t *testing.T, db *sql.DB) (file, at string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SHOW BINARY LOG STATUS") // MySQL 8.4 and on
	if err != nil {
		rows, err = db.QueryContext(t.Context(), "SHOW MASTER STATUS")
	}
	if err != nil {
		t.Fatal(err)
	}
	all := rowsOf(t, rows)
	return all[0][0], all[0][1]
}

// loggedSince tells whether a row of this database's tables is in the binlog from there on. Other tests write too.
func loggedSince(t *testing.T, db *sql.DB, file, from string) bool {
	t.Helper()
	var database string
	if err := db.QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(t.Context(), "SHOW BINLOG EVENTS IN '"+file+"' FROM "+from)
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range rowsOf(t, rows) {
		if strings.Contains(strings.Join(event, " "), "("+database+".") {
			return true
		}
	}
	return false
}

func rowsOf(t *testing.T, rows *sql.Rows) (all [][]string) {
	t.Helper()
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(columns))
		for i, v := range values {
			texts[i] = v.String
		}
		all = append(all, texts)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
