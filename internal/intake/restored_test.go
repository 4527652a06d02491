package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// markRow writes the mark of a row of stock in the shop.
func (s *testOpenCart) markRow(stockRow string, number, applied int64) {
	s.record(change.Record{Op: change.Update, Table: "spola_marker", Schema: 1, Key: change.RowKey(nil, "spola_marker", fmt.Appendf(nil, `"name":%q`, stockRow)),
		Value: fmt.Appendf(nil, `{"before":null,"after":{"name":%q,"generation":1,"number":%d,"applied":%d,"note":null},"source":{},"op":"u","ts_ms":0,"ts_us":0,"transaction":null}`, stockRow, number, applied)})
}

// A database that lacks what was committed in it once is known by what has come of that: what the shop was delivered, and what its own log says.
// Then nothing is entered into any account, and no document is issued.
func TestOlderERPIsKnown(t *testing.T) {
	had := postgres.SeenWithin
	postgres.SeenWithin = 100 * time.Millisecond
	t.Cleanup(func() { postgres.SeenWithin = had })
	shop, erp := newAccounts(t)
	restored := func(what string, err error, says string) {
		t.Helper()
		if !errors.Is(err, postgres.ErrRestored) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "applier recover erp") {
			t.Errorf("%s: %v", what, err)
		}
	}
	last := erp.text("select max(no) from spola.ledger")
	row := erp.text("select stock_row from spola.ledger where no = 1")
	shop.markRow(row, 1, 0)
	erp.catchUp(shop.testLog, 1)
	for number, what := range map[int64]string{99: "an entry beyond the last", 2: "an entry of another row"} {
		txs := shop.txs
		shop.markRow(row, number, 7)
		restored(what, erp.tryCatchUp(shop.testLog, 1), fmt.Sprintf("entry %d of the stock ledger, for %s", number, row))
		erp.want("nothing of it is kept", "1", "select number from mirror_shop.spola_marker where name = $1", row)
		shop.txs = txs
	}

	contract, err := schemas.LoadContract()
	if err != nil {
		t.Fatal(err)
	}
	year := erp.text("select extract(year from now())::int")
	erp.exec("insert into erp.counter (series, year, last) values ('DDT', $1::int, 3)", year)
	ledger := stock.NewLedger(testShop, contract)
	read := func(seq int64, op change.Op, table, after string) error {
		return erp.inTx(func(tx pgx.Tx) error {
			if err := ledger.Start(t.Context(), tx); err != nil {
				return err
			}
			part := ledger.Part(0)
			if err := part.Add([]change.Record{{Gen: 1, Seq: seq, Op: op, Table: table, Value: []byte(`{"before":null,"after":` + after + `,"source":{},"op":"` + string(op) + `","ts_ms":0,"ts_us":0,"transaction":null}`)}}); err != nil {
				return err
			}
			return part.Apply(t.Context(), tx, true)
		})
	}
	entry := func(shop, row, no string) string {
		return `{"shop":"` + shop + `","no":` + no + `,"stock_row":"` + row + `","target":4}`
	}
	counter := func(last string) string { return `{"series":"DDT","year":` + year + `,"last":` + last + `}` }
	restored("an entry in the log", read(50, change.Create, "spola.ledger", entry(testShop, row, "99")), "entry 99 of the stock ledger, for "+row)
	restored("a number in the log", read(50, change.Update, "erp.counter", counter("4")), "number 4 of series DDT in "+year)
	for what, err := range map[string]error{
		"an entry that is there":  read(50, change.Create, "spola.ledger", entry(testShop, row, "1")),
		"another shop's":          read(50, change.Create, "spola.ledger", entry("another", row, "99")),
		"read by a snapshot":      read(50, change.Read, "spola.ledger", entry(testShop, row, "99")),
		"a number that was known": read(50, change.Update, "erp.counter", counter("3")),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	id := shop.place(testOrder{lines: []testLine{{41, 0, 1}}}, 1)
	erp.catchUp(shop.testLog, 1)

	// Nobody has looked yet.
	if err := postgres.NoteRestored(t.Context(), erp.conn, "the disk was lost"); err != nil {
		t.Fatal(err)
	}
	if a, err := stock.Look(t.Context(), erp.conn, testShop, Schema(testShop)); err != nil || a.Restored != "the disk was lost" {
		t.Errorf("status tells of the accounts: %+v, %v", a, err)
	}
	erp.exec("insert into erp.seller (name, street, postcode, city, vat_number) values ('Spola', 'Via della Seta 12', '22100', 'Como', '12345670017')")
	erp.exec("update erp.stock set on_hand = on_hand + 5")
	settle := func() error {
		_, err := erp.conn.Exec(t.Context(), "select spola.settle('shop', array(select id from erp.article), '{}', true)")
		return err
	}
	if err := settle(); err == nil || !strings.Contains(postgres.Explain(err).Error(), "the disk was lost") || !strings.Contains(postgres.Explain(err).Error(), `run "applier recover erp"`) {
		t.Errorf("settled: %v", err)
	}
	number := "select erp.ship_order(id, carrier => 'BRT', tracking => 'X') from erp.sales_order where shop_number = $1"
	if _, err := erp.conn.Exec(t.Context(), number, fmt.Sprint(id)); err == nil || !strings.Contains(err.Error(), "no document is issued now: the disk was lost") {
		t.Errorf("shipped: %v", err)
	}

	// A person has: the shop has taken more, less or as much as the accounts say, or is a row that they do not know.
	rows := strings.Fields(erp.text("select string_agg(stock_row, ' ' order by stock_row) from spola.stock_account"))
	erp.exec("update spola.stock_account set target = 10")
	erp.exec("update spola.stock_account set article_id = null, published = null where stock_row = $1", rows[3])
	erp.exec("insert into spola.stock_head (shop) values ('another')")
	var taken []stock.Delivered
	for i, applied := range []int64{14, 7, 10, 12} {
		taken = append(taken, stock.Delivered{StockRow: rows[i], Number: 20 + int64(i), Applied: applied})
	}
	taken = append(taken, stock.Delivered{StockRow: "product:999", Number: 30, Applied: 3})
	seen := stock.NewSeen()
	seen.Entries[row] = 99
	err = erp.inTx(func(tx pgx.Tx) error {
		lost, err := stock.CompareWithShop(t.Context(), tx, testShop, contract, taken, seen)
		if err != nil {
			return err
		}
		if got := fmt.Sprint(lost.Rows); got != fmt.Sprintf("[{%s 10 14} {%s 10 7} {%s 10 12} {product:999 0 3}]", rows[0], rows[1], rows[3]) || fmt.Sprint(99-lost.Entries) != last {
			t.Errorf("lost are %d entries, rows %s", lost.Entries, got)
		}
		return stock.Recover(t.Context(), tx, stock.Recovery{Shop: testShop, Who: "anna", LogEnd: change.Place{Gen: 1, Seq: 60}, Taken: taken, Seen: seen, Tick: int64(shop.ticks),
			Numbers: []stock.Gap{{Series: stock.Series{Name: "DDT", Year: int16(time.Now().In(rome(t)).Year())}, First: 4, Last: 6}}, Found: lost})
	})
	if err != nil {
		t.Fatal(err)
	}
	erp.want("an account comes down to what was taken, or stays below", fmt.Sprintf("100 %s 0 10, 101 %s -3 7", rows[0], rows[1]),
		"select string_agg(concat_ws(' ', no, stock_row, pieces, target), ', ' order by no) from spola.ledger where no > 90")
	erp.want("rows without an account", "12 3", "select string_agg(target::text, ' ' order by stock_row = 'product:999') from spola.stock_account where article_id is null")
	erp.want("numbers go on behind those that were given out", "DDT 4 6 7", `select (select concat_ws(' ', series, first, last) from erp.skipped_number) || ' ' || doc_number from erp.next_number('DDT')`)
	for what, err := range map[string]error{"settled": settle(), "an entry in the log that is known to be lost": read(60, change.Create, "spola.ledger", entry(testShop, row, "99"))} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	restored("an entry behind that", read(61, change.Create, "spola.ledger", entry(testShop, row, "199")), "entry 199")
	shop.markRow(row, 99, 14)
	erp.catchUp(shop.testLog, 1)

	// One that is gone from among the others is let go of, too: no higher number tells where what was lost begins.
	var gone int64
	if err := erp.conn.QueryRow(t.Context(), "select no from spola.ledger where stock_row = $1 order by no desc limit 1", row).Scan(&gone); err != nil {
		t.Fatal(err)
	}
	shop.markRow(row, gone, 10)
	erp.catchUp(shop.testLog, 1)
	erp.exec("delete from spola.ledger where no = $1", gone)
	txs := shop.txs
	shop.markRow(row, gone, 10)
	restored("an entry that was deleted", erp.tryCatchUp(shop.testLog, 1), fmt.Sprintf("entry %d", gone))
	shop.txs = txs
	err = erp.inTx(func(tx pgx.Tx) error {
		return stock.Recover(t.Context(), tx, stock.Recovery{Shop: testShop, Who: "anna", LogEnd: change.Place{Gen: 1, Seq: 61}, Tick: int64(shop.ticks), Found: []stock.Lost{},
			Taken: []stock.Delivered{{StockRow: row, Number: gone, Applied: 10}}, Seen: stock.NewSeen()})
	})
	if err != nil {
		t.Fatal(err)
	}
	shop.markRow(row, gone, 10)
	erp.catchUp(shop.testLog, 1)

	// Until the shop's log was read again nothing of it is drift.
	erp.exec("update mirror_shop.oc_product set quantity = 50 where product_id = 31")
	looked := func() stock.Run {
		t.Helper()
		run, err := stock.Reconcile(t.Context(), erp.conn, testShop, Schema(testShop), stock.Options{Tick: func(context.Context) error {
			shop.tick(1)
			erp.catchUp(shop.testLog, 1)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	due := func() string { return erp.text("select spola.read_again('shop')") }
	if run := looked(); due() != "false" || run.Held == "" || run.Repaired+run.Drifting > 0 {
		t.Errorf("reconciled before the shop's log was read again: %+v", run)
	}
	shop.tick(1)
	erp.catchUp(shop.testLog, 1)
	if run := looked(); due() != "true" || run.Held != "" || run.Drifting == 0 {
		t.Errorf("reconciled: %+v", run)
	}
}

func rome(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}
