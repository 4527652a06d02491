package writeback

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/target/mysql"
)

// onBoth runs a test on a shop on MySQL and on one on MariaDB.
func onBoth(t *testing.T, o shop.Options, test func(t *testing.T, s *testStock)) {
	t.Helper()
	for name, database := range map[string]func(testing.TB) string{"mysql": server.MySQL, "mariadb": server.MariaDB} {
		t.Run(name, func(t *testing.T) { test(t, openStock(t, database(t), o)) })
	}
}

// testStock is a test shop with its marker, and a log of the ERP.
type testStock struct {
	*shop.Shop
	t   testing.TB
	url string
	log *testLog
}

func openStock(t testing.TB, url string, o shop.Options) *testStock {
	t.Helper()
	if o.Stock == 0 {
		o.Stock = 100
	}
	s, err := shop.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	marker, err := os.ReadFile("../source/mysql/marker.sql")
	if err != nil {
		t.Fatal(err)
	}
	w := &testStock{Shop: s, t: t, url: url, log: newTestLog(1000)}
	w.exec(string(marker))
	return w
}

// reset makes the shop what it was after its installation, for another test.
func (s *testStock) reset(t testing.TB) {
	s.t, s.log = t, newTestLog(1000)
	s.exec("DELETE FROM spola_marker")
	s.exec("ALTER TABLE oc_product MODIFY quantity int DEFAULT 0")
	s.exec("UPDATE oc_product SET quantity = 100, subtract = product_id % 10 <> 0")
	s.exec("UPDATE oc_product_option_value SET product_option_value_id = 51 WHERE product_option_value_id = 9051")
	s.exec("UPDATE oc_product_option_value SET quantity = 100")
}

// forget has the appliers begin anew; what rows were given stays marked.
func (s *testStock) forget() {
	s.exec("DELETE FROM spola_marker WHERE name LIKE 'place.%' OR name LIKE 'life.%'")
}

func (s *testStock) exec(query string, args ...any) {
	s.t.Helper()
	if _, err := s.DB().ExecContext(context.Background(), query, args...); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
}

func (s *testStock) number(query string, args ...any) int64 {
	s.t.Helper()
	var n sql.NullInt64
	if err := s.DB().QueryRowContext(context.Background(), query, args...).Scan(&n); err != nil && !errors.Is(err, sql.ErrNoRows) {
		s.t.Fatalf("%s: %v", query, err)
	}
	return n.Int64
}

func (s *testStock) product(id int64) int64 {
	return s.number("SELECT quantity FROM oc_product WHERE product_id = ?", id)
}

func (s *testStock) option(id int64) int64 {
	return s.number("SELECT quantity FROM oc_product_option_value WHERE product_option_value_id = ?", id)
}

func (s *testStock) applied(row string) int64 {
	return s.number("SELECT applied FROM spola_marker WHERE name = ?", row)
}

func (s *testStock) note(row string) string {
	var note sql.NullString
	if err := s.DB().QueryRow("SELECT note FROM spola_marker WHERE name = ?", row).Scan(&note); err != nil {
		s.t.Fatalf("mark %s: %v", row, err)
	}
	return note.String
}

func (s *testStock) effect() *Stock {
	e, err := NewStock(testShop, "opencart", "oc_", zerolog.Nop())
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// deliver applies the log to its end.
func (s *testStock) deliver() {
	s.t.Helper()
	if err := runTo(s.t, s.url, StockApplier, s.effect(), s.log, apply.Options{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testStock) want(what string, got, want int64) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s is %d, want %d", what, got, want)
	}
}

// checkouts lets many customers buy a product at once, one piece each, and counts the pieces sold.
func (s *testStock) checkouts(customers, each int, line shop.Line) (wait func() int64) {
	var group sync.WaitGroup
	var mu sync.Mutex
	var sold int64
	for range customers {
		group.Go(func() {
			for range each {
				_, err := s.PlaceOrder(context.Background(), shop.Order{Lines: []shop.Line{line}})
				if err != nil {
					s.t.Errorf("a checkout failed: %v", err)
					return
				}
				mu.Lock()
				sold += int64(line.Quantity)
				mu.Unlock()
			}
		})
	}
	return func() int64 { group.Wait(); return sold }
}

// order is the order of a backlog, against the marks as they are.
func (s *testStock) order(entries map[string]entry) (rows []string) {
	s.t.Helper()
	target := mysql.NewTarget(s.url, "look", Log, "test")
	defer target.Close()
	_, err := target.Open(s.t.Context(), func(tx *mysql.Tx) (err error) {
		rows, err = s.effect().order(s.t.Context(), tx, entries)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return rows
}
