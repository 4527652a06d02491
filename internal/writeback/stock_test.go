package writeback

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/target/mysql"
)

// What holds for stock, each on the same shop as it was in the morning.
var stockTests = []struct {
	name string
	test func(*testing.T, *testStock)
}{
	{"is delivered", testStockIsDelivered},
	{"in any order", testStockInAnyOrder},
	{"of a restored ERP", testStockOfARestoredERP},
	{"of an older life", testStockOfAnOlderLife},
	{"beside checkouts", testStockBesideCheckouts},
	{"floor", testStockFloor},
	{"waits", testStockWaits},
	{"backlog", testStockBacklog},
	{"order", testStockOrder},
	{"breaks", testStockBreaks},
	{"by two appliers", testStockByTwoAppliers},
	{"is refused", testStockIsRefused},
	{"while the shop is away", testStockWhileTheShopIsAway},
}

func TestStock(t *testing.T) {
	onBoth(t, shop.Options{Products: 700}, func(t *testing.T, s *testStock) {
		for _, c := range stockTests {
			t.Run(c.name, func(t *testing.T) {
				s.reset(t)
				c.test(t, s)
			})
		}
	})
}

// The column gets what the ledger says, as a difference; an option's pieces stand in its product
// too. Reading the log again changes nothing.
func testStockIsDelivered(t *testing.T, s *testStock) {
	s.log.ledger("product:1", -40)
	s.log.ledger("product:2", 5)
	s.log.ledger("option:51", 7)
	s.log.ledger("product:1", -30)
	s.log.add(ledgerRecord(change.Create, "another", 99, "product:2", 1000))
	s.deliver()
	check := func() {
		t.Helper()
		s.want("product 1", s.product(1), 70)
		s.want("product 2", s.product(2), 105)
		s.want("option 51", s.option(51), 107)
		s.want("its product", s.product(5), 107)
		s.want("another option", s.option(52), 100)
		s.want("applied of product 1", s.applied("product:1"), -30)
		s.want("number of product 1", s.number("SELECT number FROM spola_marker WHERE name = 'product:1'"), 4)
		s.want("applied of option 51", s.applied("option:51"), 7)
		s.want("marks of the sum row", s.number("SELECT COUNT(*) FROM spola_marker WHERE name = 'product:5'"), 0)
	}
	check()
	s.exec("DELETE FROM spola_marker WHERE name LIKE 'place.%'") // the whole log once more
	s.deliver()
	check()
}

// Entries merged, repeated, out of order and cut into batches anyhow: the column ends at the last
// word of each row.
func testStockInAnyOrder(t *testing.T, s *testStock) {
	random := rand.New(rand.NewPCG(1, 2))
	rows := []string{"product:1", "product:2", "product:3", "option:51", "option:52"}
	last := map[string]int64{}
	for range 6 {
		for range 60 {
			row := rows[random.IntN(len(rows))]
			last[row] = int64(random.IntN(80)) - 40
			s.log.ledger(row, last[row])
			if random.IntN(4) == 0 && s.log.no > 5 { // a snapshot names an old one again
				s.log.mu.Lock()
				old := s.log.records[1+random.IntN(len(s.log.records)-1)]
				s.log.mu.Unlock()
				if old.Table == ledgerTable {
					old.Op = change.Read
					s.log.add(old)
				}
			}
		}
		s.log.chunk = 1 + random.IntN(40)
		if err := runTo(t, s.url, StockApplier, s.effect(), s.log, apply.Options{Records: 1 + random.IntN(50)}); err != nil {
			t.Fatal(err)
		}
		for i, id := range []int64{1, 2, 3} {
			s.want(rows[i], s.product(id), 100+last[rows[i]])
		}
		s.want("option 51", s.option(51), 100+last["option:51"])
		s.want("option 52", s.option(52), 100+last["option:52"])
		s.want("product 5, their sum", s.product(5), 100+last["option:51"]+last["option:52"])
	}
}

// A restored ERP counts from an earlier number in a new life; a snapshot names old entries of it. Nothing of that life is delivered before a person
// has looked; and what was lost with the database, if he says so, never.
func testStockOfARestoredERP(t *testing.T, s *testStock) {
	s.log.ledger("product:1", 10)
	s.log.ledger("product:1", 20)
	s.log.ledger("product:1", 30)
	s.deliver()
	s.log.claim(2)
	s.log.add(ledgerRecord(change.Read, testShop, 1, "product:1", 10))
	s.log.add(ledgerRecord(change.Read, testShop, 2, "product:1", 20))
	s.log.add(ledgerRecord(change.Create, testShop, 4, "product:2", 50))
	if err := runTo(s.t, s.url, StockApplier, s.effect(), s.log, apply.Options{}); !errors.Is(err, mysql.ErrStopped) || !strings.Contains(err.Error(), "another life") {
		s.t.Fatalf("in another life of the ERP: %v", err)
	}
	s.want("product 2 before a person has looked", s.product(2), 100)
	if err := PassOver(s.t.Context(), s.url, "test", change.Stand{}, 2); err != nil {
		s.t.Fatal(err)
	}
	s.deliver()
	s.want("product 2 behind that", s.product(2), 150)
	s.want("product 1 behind the snapshot", s.product(1), 130)
	s.log.add(ledgerRecord(change.Create, testShop, 3, "product:1", 5))
	s.deliver()
	s.want("product 1 behind an entry of the new life", s.product(1), 105)
	s.log.add(ledgerRecord(change.Read, testShop, 9, "product:1", 6))
	s.deliver()
	s.want("product 1 behind an entry that only a snapshot showed", s.product(1), 106)
	s.log.add(ledgerRecord(change.Create, testShop, 10, "product:2", 90))
	last := s.log.records[len(s.log.records)-1]
	if err := PassOver(s.t.Context(), s.url, "test", change.Stand{Place: change.Place{Gen: last.Gen, Seq: last.Seq, Sum: last.Sum}, Offset: last.Offset}, 2); err != nil {
		s.t.Fatal(err)
	}
	s.deliver()
	s.want("product 2 behind an entry that was passed over", s.product(2), 150)
	s.log.add(ledgerRecord(change.Create, testShop, 11, "product:2", 40))
	s.deliver()
	s.want("product 2 behind the next", s.product(2), 140)
}

// A row that has an entry of the ERP's new life takes none of the one before, though the log names it again and its number is the higher one: the applier
// was lost ahead of its place, or the place is.
func testStockOfAnOlderLife(t *testing.T, s *testStock) {
	for _, target := range []int64{10, 20, 30, 40} {
		s.log.ledger("product:1", target)
	}
	old := s.log
	s.deliver()
	s.want("product 1 in the old life", s.product(1), 140)
	s.forget()
	s.log = newTestLog(1000)
	s.log.claim(2)
	s.log.add(ledgerRecord(change.Create, testShop, 3, "product:1", 5))
	s.deliver()
	s.want("product 1 in the new life", s.product(1), 105)

	s.forget()
	s.log = old
	s.deliver()
	s.want("product 1 behind entries of the old life", s.product(1), 105)
	s.want("the life in its mark", s.number("SELECT generation FROM spola_marker WHERE name = 'product:1'"), 2)
	s.want("the number in its mark", s.number("SELECT number FROM spola_marker WHERE name = 'product:1'"), 3)
}

// Customers buy while the ledger is delivered: no piece is lost, whichever comes first.
func testStockBesideCheckouts(t *testing.T, s *testStock) {
	sized := s.checkouts(2, 15, shop.Line{Product: shop.Sized, Value: 51, Quantity: 1})
	hot := s.checkouts(4, 15, shop.Line{Product: shop.Hot, Quantity: 1})
	done := make(chan struct{})
	go func() {
		defer close(done)
		random := rand.New(rand.NewPCG(3, 4))
		for range 120 {
			s.log.ledger("product:1", int64(random.IntN(200))-100)
			s.log.ledger("option:51", int64(random.IntN(20))-10)
			if random.IntN(3) == 0 {
				s.deliver()
			}
		}
		s.log.ledger("product:1", 17)
		s.log.ledger("option:51", -3)
		s.deliver()
	}()
	soldHot, soldSized := hot(), sized()
	<-done
	s.want("product 1", s.product(1), 100+17-soldHot)
	s.want("option 51", s.option(51), 100-3-soldSized)
	s.want("product 5", s.product(5), 100-3-soldSized)
	if soldHot != 60 || soldSized != 30 {
		t.Errorf("sold %d and %d, the test is about 60 and 30", soldHot, soldSized)
	}
}

// What a column can't take is owed, and netted with the next entry: never forgiven, never doubled.
func testStockFloor(t *testing.T, s *testStock) {
	s.exec("UPDATE oc_product SET quantity = 10")
	s.exec("ALTER TABLE oc_product MODIFY quantity int unsigned NOT NULL DEFAULT 0")
	s.log.ledger("product:1", -15)
	s.deliver()
	s.want("product 1", s.product(1), 0)
	s.want("applied", s.applied("product:1"), -10)
	if note := s.note("product:1"); note != `{"owed":-5,"why":"floor"}` {
		t.Errorf("the note is %s", note)
	}
	s.log.ledger("product:1", -12) // three more pieces came: two are still owed
	s.deliver()
	s.want("product 1 with three of five owed", s.product(1), 0)
	s.want("applied", s.applied("product:1"), -10)
	s.log.ledger("product:1", -4)
	s.deliver()
	s.want("product 1 when it is more than was owed", s.product(1), 6)
	s.want("applied", s.applied("product:1"), -4)
	if note := s.note("product:1"); note != "" {
		t.Errorf("nothing is owed, the note is %s", note)
	}
}

// A row that is not there or not tracked waits by name, beside the others, and gets what it is owed
// when it can take it.
func testStockWaits(t *testing.T, s *testStock) {
	s.exec("UPDATE oc_product SET subtract = 0 WHERE product_id = 2")
	s.exec("UPDATE oc_product_option_value SET product_option_value_id = 9051 WHERE product_option_value_id = 51")
	s.log.ledger("product:9000", 3)
	s.log.ledger("product:2", 4)
	s.log.ledger("option:51", 5)
	s.log.ledger("product:1", 6)
	s.deliver()
	s.want("product 1", s.product(1), 106)
	s.want("product 2, untracked", s.product(2), 100)
	s.want("product 5, whose option is gone", s.product(5), 100)
	for row, want := range map[string]string{"product:9000": `{"owed":3,"why":"missing"}`, "product:2": `{"owed":4,"why":"untracked"}`, "option:51": `{"owed":5,"why":"missing"}`} {
		if note := s.note(row); note != want {
			t.Errorf("the note of %s is %s, want %s", row, note, want)
		}
		s.want("applied of "+row, s.applied(row), 0)
	}
	for _, why := range []string{whyFloor, whyMissing, whyUntracked} {
		if stockMends[why] == "" {
			t.Errorf("nobody knows what mends %s", why)
		}
	}
	s.exec("UPDATE oc_product SET subtract = 1 WHERE product_id = 2")
	s.log.ledger("product:1", 7) // any entry: a start tries what is owed
	s.deliver()
	s.want("product 2, tracked again", s.product(2), 104)
	s.log.ledger("product:9000", 1)
	s.deliver()
	if note := s.note("product:9000"); note != `{"owed":1,"why":"missing"}` {
		t.Errorf("the next entry is netted with what was owed: the note is %s", note)
	}
}

// A backlog goes in short transactions, what goes off sale first.
func testStockBacklog(t *testing.T, s *testStock) {
	for id := 1; id <= 700; id++ {
		target := int64(5)
		if id > 600 {
			target = -5
		}
		s.log.ledger(fmt.Sprintf("product:%d", id), target+1)
		s.log.ledger(fmt.Sprintf("product:%d", id), target)
	}
	s.log.chunk = 5000
	var off, on, early int64
	looked := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(looked)
		for {
			off = s.number("SELECT COUNT(*) FROM spola_marker WHERE name LIKE 'product:%' AND applied < 0")
			on = s.number("SELECT COUNT(*) FROM spola_marker WHERE name LIKE 'product:%' AND applied > 0")
			if off > 0 && off < 90 && on > 110 {
				early++
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	s.deliver()
	close(stop)
	<-looked
	if early > 0 {
		t.Error("pieces came on sale before others went off it")
	}
	s.want("pieces of 1..600 that keep stock", s.number("SELECT SUM(quantity) - 100 * COUNT(*) FROM oc_product WHERE product_id <= 600 AND subtract = 1"),
		5*s.number("SELECT COUNT(*) FROM oc_product WHERE product_id <= 600 AND subtract = 1"))
	s.want("pieces of the others", s.number("SELECT SUM(quantity) - 100 * COUNT(*) FROM oc_product WHERE product_id BETWEEN 601 AND 700 AND subtract = 1"),
		-5*s.number("SELECT COUNT(*) FROM oc_product WHERE product_id BETWEEN 601 AND 700 AND subtract = 1"))
	s.want("turns of the place", s.number(`SELECT JSON_EXTRACT(note, '$.turn') FROM spola_marker WHERE name = 'place.stock.erp'`), 3)
}

// The order of a backlog: what goes off sale first.
func testStockOrder(t *testing.T, s *testStock) {
	entries := map[string]entry{}
	for id := range 250 {
		entries[fmt.Sprintf("product:%d", id)] = entry{life: 1, no: int64(id), target: int64(id - 200)}
	}
	s.exec("INSERT INTO spola_marker (name, applied) VALUES ('product:249', 100)")
	rows := s.order(entries)
	for i, row := range rows {
		if less := entries[row].target < 0 || row == "product:249"; less != (i < 201) {
			t.Fatalf("%s is number %d of the backlog", row, i)
		}
	}
}

// The connection breaks at each statement of a delivery in turn, before and behind it, COMMIT among
// them: each piece comes once.
func testStockBreaks(t *testing.T, s *testStock) {
	network, through := newCutter(t, s.url)
	direct := s.url
	defer func() { s.url = direct }()
	s.url = through
	for _, behind := range []bool{false, true} {
		steps := 0
		for n := 1; ; n++ {
			s.reset(t)
			s.log.chunk = 5000
			for id := 1; id <= 250; id++ { // more than one transaction's
				s.log.ledger(fmt.Sprintf("product:%d", id), 3)
			}
			s.log.ledger("option:51", 4)
			s.log.ledger("product:1", -5)
			network.arm(n, behind)
			s.deliver()
			if s.number("SELECT SUM(quantity) - 100 * COUNT(*) FROM oc_product WHERE subtract = 1") != 225*3-3-5+4 ||
				s.number("SELECT SUM(quantity - 100) FROM oc_product_option_value") != 4 ||
				s.number("SELECT SUM(applied) FROM spola_marker WHERE name LIKE 'product:%'") != 225*3-3-5 || s.product(1) != 95 {
				t.Fatalf("broken at statement %d, behind it: %v: product 1 has %d pieces and %d applied, all have %d more", n, behind, s.product(1), s.applied("product:1"),
					s.number("SELECT SUM(quantity) - 100 * COUNT(*) FROM oc_product WHERE subtract = 1"))
			}
			if !network.broke() {
				break
			}
			steps++
		}
		if steps < 20 {
			t.Errorf("it broke at %d statements only: a delivery in two transactions has more", steps)
		}
	}
}

// Of two appliers at once, while customers buy, the older is fenced, and each piece comes once.
func testStockByTwoAppliers(t *testing.T, s *testStock) {
	hot := s.checkouts(4, 10, shop.Line{Product: shop.Hot, Quantity: 1})
	e := s.effect()
	older := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	go func() {
		older <- apply.Run(ctx, mysql.NewTarget(s.url, StockApplier, Log, "older"), e, s.log.open, apply.Options{Log: zerolog.Nop()})
	}()
	for i := range int64(40) {
		s.log.ledger("product:1", i-20)
		s.log.ledger(fmt.Sprintf("product:%d", 11+i%5), i)
		if i == 20 {
			s.deliver() // a newer one takes over
		}
	}
	s.deliver()
	sold := hot()
	s.log.ledger("product:2", 1)
	s.deliver()
	if err := <-older; err == nil || !strings.Contains(err.Error(), "fenced") {
		t.Errorf("the older ends with %v", err)
	}
	s.want("product 1", s.product(1), 100+19-sold)
	s.want("product 11", s.product(11), 100+35)
	s.want("product 15", s.product(15), 100+39)
	s.want("applied of product 1", s.applied("product:1"), 19)
}

// A table of stock without transactions is refused by name, before anything is written, with the statement that converts it.
func testStockIsRefused(t *testing.T, s *testStock) {
	for _, table := range []string{"oc_product", "oc_product_option_value"} {
		s.log.ledger("product:1", -40)
		s.exec("ALTER TABLE " + table + " ENGINE=MyISAM")
		err := runTo(t, s.url, StockApplier, s.effect(), s.log, apply.Options{})
		s.exec("ALTER TABLE " + table + " ENGINE=InnoDB")
		if !errors.Is(err, mysql.ErrStopped) || !strings.Contains(err.Error(), table+" (MyISAM)") || !strings.Contains(err.Error(), "ALTER TABLE `"+table+"` ENGINE=InnoDB") {
			t.Errorf("%s without transactions: %v", table, err)
		}
		s.want("product 1 beside "+table+" without transactions", s.product(1), 100)
	}
	s.deliver()
	s.want("product 1 behind the conversion", s.product(1), 60)
}

// The shop is away while an hour of movements comes: then each row gets what it is owed, once, in a few transactions.
func testStockWhileTheShopIsAway(t *testing.T, s *testStock) {
	network, through := newCutter(t, s.url)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	e := s.effect()
	go func() {
		ended <- apply.Run(ctx, mysql.NewTarget(through, StockApplier, Log, "test"), e, s.log.open, apply.Options{Log: zerolog.Nop(), MaxWait: 50 * time.Millisecond})
	}()
	until := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(server.Patience); !holds(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s did not come", what)
			}
		}
	}
	s.log.ledger("product:1", 1)
	until("the first piece", func() bool { return s.product(1) == 101 })
	network.close(true)
	for i := range int64(3600) {
		s.log.ledger(fmt.Sprintf("product:%d", 1+i%9), i%70-35)
	}
	if s.log.ledger("product:1", -7); s.product(1) != 101 {
		t.Errorf("product 1 has %d pieces while the shop is away", s.product(1))
	}
	network.close(false)
	until("what came meanwhile", func() bool { return s.product(1) == 93 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for id := int64(2); id <= 9; id++ {
		last := (3600-9+id-1)%70 - 35 // of its entries
		s.want(fmt.Sprintf("product %d", id), s.product(id), 100+last)
		s.want(fmt.Sprintf("applied of product %d", id), s.applied(fmt.Sprintf("product:%d", id)), last)
	}
	if turns := s.number(`SELECT JSON_EXTRACT(note, '$.turn') FROM spola_marker WHERE name = 'place.stock.erp'`); turns > 12 {
		t.Errorf("an hour's entries took %d transactions", turns)
	}
}
