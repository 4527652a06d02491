package mysql

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
)

var boundTables = []Capture{
	{Name: "oc_customer", Columns: []string{"customer_id"}, Key: []string{"customer_id"}},
	{Name: "oc_order", Columns: []string{"order_id", "date_added", "comment"}, Key: []string{"order_id"}, Order: "order_id"},
	{Name: "oc_line", Columns: []string{"line_id", "order_id", "name"}, Key: []string{"line_id"}, Order: "order_id"},
}

// boundShop has orders 1 to 9 of 2024 and 10 to 20 of 2025, but for 12, whose date is older; of
// each two lines, which are numbered by themselves, and a customer.
func boundShop(t *testing.T, url string) *shop {
	s := newShop(t, url, boundTables...)
	s.exec("CREATE TABLE oc_customer (customer_id int NOT NULL PRIMARY KEY)")
	s.exec("CREATE TABLE oc_order (order_id int NOT NULL PRIMARY KEY, date_added datetime, comment varchar(40))")
	s.exec("CREATE TABLE oc_line (line_id int NOT NULL PRIMARY KEY, order_id int NOT NULL, name varchar(40))")
	for id := 1; id <= 20; id++ {
		date := "2024-06-01"
		if id >= 10 && id != 12 {
			date = "2025-06-01"
		}
		s.exec(fmt.Sprintf("INSERT INTO oc_customer VALUES (%d)", id))
		s.exec(fmt.Sprintf("INSERT INTO oc_order VALUES (%d, '%s', '')", id, date))
		s.exec(fmt.Sprintf("INSERT INTO oc_line VALUES (%d, %d, 'a'), (%d, %d, 'b')", 100-2*id, id, 101-2*id, id))
	}
	s.cfg.ChunkRows = 3
	s.cfg.Since = &Since{Table: "oc_order", Column: "date_added", Day: "2025-01-01"}
	return s
}

// ordersIn are the orders that rows of a table in the log belong to, and of customers their numbers.
func ordersIn(t *testing.T, records []change.Record, table string) []int {
	t.Helper()
	var out []int
	for _, r := range rowsOf(records, table) {
		before, after, err := change.Rows(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if r.Op == change.Delete {
			after = before
		}
		var row struct {
			Order    int `json:"order_id"`
			Customer int `json:"customer_id"`
		}
		if err := json.Unmarshal(after, &row); err != nil {
			t.Fatal(err)
		}
		out = append(out, row.Order+row.Customer)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func numbers(from, to int) (out []int) {
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}

// Of orders from before the day nothing leaves the shop, neither in a snapshot nor when somebody
// changes them later; of the others everything does. Which ones these are stays as it was when
// the log was begun.
func TestOrdersSince(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := boundShop(t, url)
		s.start()
		s.snapshotDone(1)
		s.exec("UPDATE oc_order SET comment = 'too old' WHERE order_id = 9")
		s.exec("INSERT INTO oc_line VALUES (1000, 9, 'too old')")
		s.exec("DELETE FROM oc_line WHERE order_id = 8")
		s.exec("DELETE FROM oc_line WHERE order_id = 10")
		s.exec("DELETE FROM oc_order WHERE order_id = 10")
		s.exec("UPDATE oc_order SET comment = 'younger' WHERE order_id = 12")
		s.row("oc_order", "younger")
		s.end()
		s.start() // the first order of the year is gone: the bound is what it was
		s.exec("UPDATE oc_line SET name = 'too old' WHERE order_id = 9")
		s.exec("INSERT INTO oc_order VALUES (21, NULL, 'newest')")
		s.row("oc_order", "newest")
		s.end()
		records := s.log.all()
		if got := ordersIn(t, records, "oc_order"); !slices.Equal(got, numbers(10, 21)) {
			t.Errorf("orders %v are in the log", got)
		}
		if got := ordersIn(t, records, "oc_line"); !slices.Equal(got, numbers(10, 20)) {
			t.Errorf("lines of orders %v are in the log", got)
		}
		if got := ordersIn(t, records, "oc_customer"); !slices.Equal(got, numbers(1, 20)) {
			t.Errorf("customers %v are in the log", got)
		}
		for _, r := range records {
			var m change.ChunkMessage
			if r.Op != change.Chunk {
				continue
			}
			if err := change.Message(r.Value, &m); err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int64{true: 10}[m.Table != "oc_customer"]; m.OrdersFrom != want {
				t.Errorf("chunk %d of %s is said to have orders from %d on", m.Chunk, m.Table, m.OrdersFrom)
			}
		}
		checkChain(t, records)
	})
}

// The bound of a log can't be moved, but for an earlier one with a snapshot of everything.
func TestOrdersSinceStays(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := boundShop(t, url)
		s.start()
		s.snapshotDone(1)
		s.end()
		for _, day := range []string{"2025-06-01", "2024-06-01", ""} {
			s.cfg.Since = &Since{Table: "oc_order", Column: "date_added", Day: day}
			if day == "" {
				s.cfg.Since = nil
			}
			s.start()
			err := s.ended()
			if !errors.Is(err, ErrBound) || !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), `orders_since: "2025-01-01"`) {
				t.Errorf("orders since %q: %v", day, err)
			}
			if offered := strings.Contains(fmt.Sprint(err), "--new-incarnation"); offered != (day < "2025-01-01") {
				t.Errorf("orders since %q: %v", day, err)
			}
		}
		s.cfg.NewIncarnation = true
		s.cfg.Since = &Since{Table: "oc_order", Column: "date_added", Day: "2026-01-01"}
		s.start()
		if err := s.ended(); !errors.Is(err, ErrBound) {
			t.Errorf("a later day with a new incarnation: %v", err)
		}
		s.cfg.Since.Day = "2024-01-01"
		s.start()
		s.row("oc_line", `"line_id":98`)
		s.end()
		if got := ordersIn(t, s.log.all(), "oc_line"); !slices.Equal(got, numbers(1, 20)) {
			t.Errorf("lines of orders %v are in the log", got)
		}
	})
}

// Where no order is from the day or later yet, the next one is the first.
func TestOrdersSinceTomorrow(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := boundShop(t, url)
		s.cfg.Since.Day = "2099-01-01"
		s.start()
		s.snapshotDone(1)
		s.exec("INSERT INTO oc_order VALUES (21, NULL, 'the next')")
		s.row("oc_order", "the next")
		s.end()
		if got := ordersIn(t, s.log.all(), "oc_order"); !slices.Equal(got, []int{21}) {
			t.Errorf("orders %v are in the log", got)
		}
	})
}
