package shop_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/verify"
)

// What the journal says was placed stands in the shop, and nothing else does.
func TestJournalIsTheShop(t *testing.T) {
	dialects(t, shop.Options{Noise: true}, func(t *testing.T, s *shop.Shop) {
		path := filepath.Join(t.TempDir(), "journal")
		run(t, s, shop.Load{Rate: 100, Seed: 7, Shoppers: 80, Planted: 5, Settings: true}, path)
		journal := readJournal(t, path)
		const shoppers, friends = 80, 4
		orders := numbers(t, s, "SELECT order_id, order_status_id FROM oc_order")
		placed, planted := 0, 0
		for _, o := range journal.Orders {
			if o.Placed != verify.OK || o.Unfinished {
				t.Errorf("order %d (%s): checkout %s, unfinished %v", o.ID, o.Token, o.Placed, o.Unfinished)
			}
			state, there := orders[o.ID]
			delete(orders, o.ID)
			switch {
			case o.Deleted == there:
				t.Errorf("order %d: deleted %v, in the shop %v", o.ID, o.Deleted, there)
			case there && o.Intended != (state != shop.Abandoned):
				t.Errorf("order %d: intended %v, state %d", o.ID, o.Intended, state)
			}
			if o.Intended {
				placed++
			}
			if o.Facts.Planted {
				planted++
			}
		}
		if len(orders) != 0 {
			t.Errorf("orders that the journal does not know: %v", orders)
		}
		if len(journal.Orders) != shoppers+friends || placed < 60 || placed == shoppers+friends || planted != 5 {
			t.Errorf("%d orders, %d placed, %d planted", len(journal.Orders), placed, planted)
		}
		if denied := numbers(t, s, "SELECT order_status_id, COUNT(DISTINCT order_id) FROM oc_order_history GROUP BY order_status_id")[shop.Denied]; denied != friends {
			t.Errorf("%d orders were denied, want one for each of %d friends", denied, friends)
		}
		if calls := numbers(t, s, "SELECT 1, COUNT(*) FROM oc_api_history")[1]; calls == 0 {
			t.Error("no other program changed a state")
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if pages := strings.Count(string(text), `"action":"product"`); pages != 2*3 {
			t.Errorf("%d entries of product pages in the journal, want an intent and an outcome of each of 3", pages)
		}
	})
}

// Where goods may be sold out, who finds too few pieces leaves and has written nothing; who finds enough, of the size too, orders.
func TestShoppersLeaveEmptyShelves(t *testing.T) {
	dialects(t, shop.Options{}, func(t *testing.T, s *shop.Shop) {
		var left atomic.Int64
		load := shop.Load{Rate: 100, Seed: 7, Shoppers: 20, Scarce: true, SoldOut: func() { left.Add(1) }}
		for _, shelf := range []struct {
			products, sizes int   // pieces
			least, most     int64 // shoppers who leave
		}{{0, 0, 20, 20}, {1000, 0, 1, 19}, {1000, 1000, 0, 0}} {
			for table, pieces := range map[string]int{"product": shelf.products, "product_option_value": shelf.sizes} {
				if _, err := s.DB().ExecContext(t.Context(), "UPDATE oc_"+table+" SET quantity = ?", pieces); err != nil {
					t.Fatal(err)
				}
			}
			left.Store(0)
			had := numbers(t, s, "SELECT 1, COUNT(*) FROM oc_order")[1]
			run(t, s, load, filepath.Join(t.TempDir(), "journal"))
			ordered := numbers(t, s, "SELECT 1, COUNT(*) FROM oc_order")[1] - had
			if n := left.Load(); n < shelf.least || n > shelf.most || (ordered == 0) != (n == load.Shoppers) {
				t.Errorf("%+v: %d of %d shoppers left, %d orders", shelf, n, load.Shoppers, ordered)
			}
		}
	})
}

func run(t *testing.T, s *shop.Shop, load shop.Load, path string) {
	t.Helper()
	journal, err := shop.OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	load.Journal = journal
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	if err := s.Run(ctx, load); err != nil {
		t.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
}

func readJournal(t *testing.T, path string) *verify.Journal {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	journal, err := verify.ReadJournal(file)
	if err != nil {
		t.Fatal(err)
	}
	return journal
}

// numbers reads a query of two numbers, the first of them a key.
func numbers(t *testing.T, s *shop.Shop, query string) map[int64]int64 {
	t.Helper()
	rows, err := s.DB().QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	all := map[int64]int64{}
	for rows.Next() {
		var key, value int64
		if err := rows.Scan(&key, &value); err != nil {
			t.Fatal(err)
		}
		all[key] = value
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
