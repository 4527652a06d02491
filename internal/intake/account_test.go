package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/shopspring/decimal"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/schemas"
)

// newAccounts is a live shop of which each article has an account, with stock in the ERP as in the shop: 100 pieces.
func newAccounts(t *testing.T) (*testOpenCart, *testERP) {
	t.Helper()
	profile, _ := testProfile(t)
	shop, erp := newTestShop(profile), newTestERP(t)
	erp.exec("update erp.stock set on_hand = 100")
	erp.catchUp(shop.testLog, 1000)
	erp.live()
	erp.reconcile(shop, stock.Options{})
	erp.want("entries", "start 0, start 0, start 0, start 0", "select string_agg(cause || ' ' || pieces, ', ') from spola.ledger")
	return shop, erp
}

// reconcile is a run while the shop's clock goes on.
func (e *testERP) reconcile(shop *testOpenCart, o stock.Options) stock.Run {
	e.t.Helper()
	o.Tick = func(context.Context) error { shop.tick(1); e.catchUp(shop.testLog, 1000); return nil }
	run, err := stock.Reconcile(e.t.Context(), e.conn, testShop, Schema(testShop), o)
	if err != nil {
		e.t.Fatal(err)
	}
	return run
}

// settled is what the reader of the ERP's log does about an article.
func (e *testERP) settled(sku string) {
	e.t.Helper()
	e.exec("select spola.settle('shop', array(select id from erp.article where sku = $1), array(select order_id from spola.link where erp_order is not null), true)", sku)
}

const entriesSinceStart = "select coalesce(string_agg(concat_ws(' ', stock_row, cause, pieces, nullif(detail, '')), ', ' order by no), '') from spola.ledger where cause <> 'start'"

// An order in the normal course moves no stock account: the shop has subtracted its pieces itself.
func TestOrderMovesNoAccount(t *testing.T) {
	shop, erp := newAccounts(t)
	for range 5 {
		id := shop.place(testOrder{lines: []testLine{{31, 0, 2}, {41, 0, 1}}}, 1)
		erp.catchUp(shop.testLog, 1)
		erp.exec("select erp.ship_order(id, carrier => 'BRT', tracking => 'X' || id) from erp.sales_order where shop_number = $1", fmt.Sprint(id))
		erp.settled("SP-31")
		shop.setState(id, 3)
		shop.tick(4)
		erp.catchUp(shop.testLog, 1)
	}
	erp.want("entries", "", entriesSinceStart)
	erp.want("the law", "product:31 90 = 90, product:41 95 = 95, product:42 100 = 100, product:43 100 = 100",
		"select string_agg(format('%s %s = %s', stock_row, shown, available), ', ' order by stock_row) from canonical_shop.law where drift = 0 and unpublished = 0")
}

// What the ERP does alone is one entry, and what it does about an order of the shop is none until the shop must know.
func TestEachCauseOfAnEntry(t *testing.T) {
	shop, erp := newAccounts(t)
	erp.exec("select erp.sell_at_counter(1::smallint, array[row(id, 3)]::erp.goods_in[]) from erp.article where sku = 'SP-31'")
	erp.settled("SP-31")
	erp.want("counter", "product:31 delta -3", entriesSinceStart)

	short := shop.place(testOrder{lines: []testLine{{41, 0, 4}}}, 1)
	cancelled := shop.place(testOrder{lines: []testLine{{42, 0, 2}}}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.exec("select erp.ship_order(id, '{\"1\": 1}', carrier => 'BRT', tracking => 'X') from erp.sales_order where shop_number = $1", fmt.Sprint(short))
	erp.exec("select erp.close_short(id, 'sold out') from erp.sales_order where shop_number = $1", fmt.Sprint(short))
	erp.exec("select erp.cancel_order(id, 'sold out') from erp.sales_order where shop_number = $1", fmt.Sprint(cancelled))
	erp.settled("SP-41")
	erp.settled("SP-42")
	erp.want("closed short, and cancelled in the ERP", fmt.Sprintf("product:31 delta -3, product:41 closed_short 3 order %d", short), entriesSinceStart)
	erp.want("in flight", "product:42 2", "select string_agg(stock_row || ' ' || pieces, ', ') from spola.in_flight")

	// Spola writes the status into the shop; the pieces follow once that has settled, and once only.
	shop.together(func() {
		shop.record(change.Record{Op: change.Update, Table: "spola_marker", Schema: 1, Key: change.RowKey(nil, "spola_marker", fmt.Appendf(nil, `"name":"order.%d"`, cancelled)),
			Value: fmt.Appendf(nil, `{"before":null,"after":{"name":"order.%d","generation":1,"number":1,"applied":0,"note":null},"source":{},"op":"u","ts_ms":0,"ts_us":0,"transaction":null}`, cancelled)})
		shop.update("order", cancelled, row{"order_status_id": 7})
		shop.insert("order_history", row{"order_id": cancelled, "order_status_id": 7, "date_added": shop.now()})
	})
	erp.catchUp(shop.testLog, 1)
	erp.want("not settled", fmt.Sprintf("product:31 delta -3, product:41 closed_short 3 order %d", short), entriesSinceStart)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1)
	shop.setState(cancelled, 16)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1)
	erp.want("restock", fmt.Sprintf("product:31 delta -3, product:41 closed_short 3 order %d, product:42 restock 2 order %d", short, cancelled), entriesSinceStart)
	erp.want("drift", "0", "select sum(abs(drift)) from canonical_shop.law")

	// An order that is deleted in the shop and cancelled in the ERP gives its pieces back as the ERP's own.
	gone := shop.place(testOrder{lines: []testLine{{43, 0, 5}}}, 1)
	erp.catchUp(shop.testLog, 1)
	shop.remove(gone)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1)
	erp.exec("select erp.cancel_order(id, 'nobody wants it') from erp.sales_order where shop_number = $1", fmt.Sprint(gone))
	erp.settled("SP-43")
	erp.want("deleted and cancelled", "product:43 delta 5", "select stock_row || ' ' || cause || ' ' || pieces from spola.ledger order by no desc limit 1")
}

// Sums that somebody has changed by hand are counted anew when a person asks, or a day after the last time: what each row shows is what there is again.
func TestSumsAreCountedAnew(t *testing.T) {
	shop, erp := newAccounts(t)
	place := func(product, pieces int64) (id int64) {
		id = shop.place(testOrder{lines: []testLine{{product, 0, pieces}}}, 1)
		erp.catchUp(shop.testLog, 1)
		return id
	}
	short, cancelled, open := place(31, 4), place(41, 3), place(42, 2)
	erp.exec("select erp.ship_order(id, '{\"1\": 1}', carrier => 'BRT', tracking => 'X') from erp.sales_order where shop_number = $1", fmt.Sprint(short))
	erp.exec("select erp.close_short(id, 'sold out') from erp.sales_order where shop_number = $1", fmt.Sprint(short))
	erp.exec("select erp.cancel_order(id, 'sold out') from erp.sales_order where shop_number = $1", fmt.Sprint(cancelled))
	for _, sku := range []string{"SP-31", "SP-41"} {
		erp.settled(sku)
	}
	const books = `select concat_ws('; ', (select string_agg(stock_row || ' ' || k, ', ' order by stock_row) from spola.stock_total where k <> 0),
		(select string_agg(concat_ws(' ', stock_row, order_id, pieces), ', ' order by stock_row) from spola.in_flight),
		(select string_agg(concat_ws(' ', stock_row, order_id, pieces), ', ' order by stock_row) from spola.closed_short))`
	want := fmt.Sprintf("product:31 4, product:41 3, product:42 2; product:41 %d 3; product:31 %d 3", cancelled, short)
	erp.reconcile(shop, stock.Options{}) // the first of a day
	erp.want("the books", want, books)
	spoiled := func() {
		for _, statement := range []string{"update spola.stock_total set k = k + 5 where stock_row = 'product:41'", "delete from spola.stock_total where stock_row = 'product:42'",
			"delete from spola.in_flight", "update spola.closed_short set pieces = 1"} {
			erp.exec(statement)
		}
		erp.exec("insert into spola.in_flight (shop, stock_row, order_id, incarnation, pieces) values ('shop', 'product:42', $1, 1, 1)", open)
	}
	spoiled()
	if run := erp.reconcile(shop, stock.Options{Why: stock.Schedule, DryRun: true}); run.Recounted != 0 {
		t.Errorf("a dry run: %+v", run)
	}
	erp.want("the books, looked at only", strings.Join([]string{"product:31 4, product:41 8", fmt.Sprintf("product:42 %d 1", open), fmt.Sprintf("product:31 %d 1", short)}, "; "), books)
	if run := erp.reconcile(shop, stock.Options{Why: stock.Command}); run.Recounted != 2 {
		t.Errorf("asked: %+v", run)
	}
	erp.want("the books, counted anew", want, books)
	const shows = `select string_agg(format('%s %s+%s=%s-%s', stock_row, shown, undelivered, available, in_flight), ', ' order by stock_row)
		from canonical_shop.law where unpublished <> 0 or drift <> 0 or shown + undelivered <> available - in_flight`
	erp.want("rows that do not show what there is", "", "select coalesce(("+shows+"), '')")

	spoiled()
	if run := erp.reconcile(shop, stock.Options{Why: stock.Schedule}); run.Recounted != 0 {
		t.Errorf("the second of a day: %+v", run)
	}
	erp.exec("update spola.stock_head set recounted_at = now() - interval '25 hours'")
	if run := erp.reconcile(shop, stock.Options{Why: stock.Schedule}); run.Recounted != 2 {
		t.Errorf("a day later: %+v", run)
	}
	erp.want("the books a day later", want, books)
	erp.want("rows that do not show what there is, a day later", "", "select coalesce(("+shows+"), '')")
}

// How the accounts stand is what has happened: pieces that the ERP alone has moved, pieces on their way, a row that drifts.
func TestHowAccountsStand(t *testing.T) {
	look := func(erp *testERP) stock.Accounts {
		t.Helper()
		a, err := stock.Look(t.Context(), erp.conn, testShop, Schema(testShop))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := look(newTestERP(t)); a.Begun || a.Rows != 0 {
		t.Errorf("before there are any: %+v", a)
	}
	shop, erp := newAccounts(t)
	erp.exec("select erp.sell_at_counter(1::smallint, array[row(id, 3)]::erp.goods_in[]) from erp.article where sku = 'SP-31'")
	erp.exec("select erp.receive_goods(1::smallint, array[row(id, 7)]::erp.goods_in[], '') from erp.article where sku = 'SP-41'")
	erp.settled("SP-41")
	shop.update("product", 42, row{"quantity": 98})
	erp.catchUp(shop.testLog, 1000)
	a := look(erp)
	if !a.Begun || a.Rows != 4 || a.Drifting != 1 || a.Unpublished != 3 || a.UnpublishedRows != 1 || a.Undelivered != 7 || a.UndeliveredRows != 1 || a.Repairs != 0 {
		t.Errorf("%+v", a)
	}
	if a.Last == nil || a.Last.Repaired != 0 || a.Last.Held != "" || time.Since(a.Last.Ended) > time.Hour {
		t.Errorf("the last run: %+v", a.Last)
	}
	if fmt.Sprint(a.Without) != "[{unmapped 4 [option:17 option:18 option:19]}]" {
		t.Errorf("rows without an account: %+v", a.Without)
	}
	erp.reconcile(shop, stock.Options{})
	if a := look(erp); a.Drifting != 0 || a.Repairs != 1 || a.Last.Repaired != 1 {
		t.Errorf("behind a repair: %+v", a)
	}
	// An SKU that the shop has twice: neither row is written, both are named.
	shop.insert("product", row{"product_id": 44, "model": "SP-43", "quantity": 9, "subtract": 1, "status": 1, "master_id": 0, "price": "1.0000"})
	erp.catchUp(shop.testLog, 1000)
	erp.reconcile(shop, stock.Options{})
	if a := look(erp); a.Rows != 3 || fmt.Sprint(a.Without) != "[{unmapped 4 [option:17 option:18 option:19]} {shared 2 [SP-43 SP-43]}]" {
		t.Errorf("an SKU that the shop has twice: %+v", a)
	}
	// What the ERP stocks and the shop does not have, and a variant that is deleted in the shop while it is owed pieces: named, beside rows that go on.
	for option, sku := range map[int]string{17: "SHIRT-S", 18: "SHIRT-L"} {
		erp.exec("insert into erp.product (code, name) values ($1, $1)", sku)
		erp.exec("insert into erp.article (product_id, sku, name, vat_rate) select id, $1, $1, 22 from erp.product where code = $1", sku)
		erp.exec("insert into spola.article (shop, product, variant, article, by) select 'shop', '50', $1::text, id, 'import' from erp.article where sku = $2", fmt.Sprint(option), sku)
	}
	erp.exec("select erp.receive_goods(1::smallint, array(select row(id, 3)::erp.goods_in from erp.article where sku like 'SHIRT%'), '')")
	shop.tick(1)
	erp.catchUp(shop.testLog, 1000)
	erp.reconcile(shop, stock.Options{})
	unsold := look(erp).Unsold
	if a := look(erp); a.Rows != 5 {
		t.Errorf("with two variants: %+v", a)
	}
	erp.exec("insert into erp.product (code, name) values ('NEW', 'NEW')")
	erp.exec("insert into erp.article (product_id, sku, name, vat_rate) select id, code, code, 22 from erp.product where code = 'NEW'")
	shop.delete("product_option_value", 17)
	erp.catchUp(shop.testLog, 1000)
	if a := look(erp); a.Unsold.Articles != unsold.Articles+2 || !strings.Contains(fmt.Sprint(a.Unsold.Examples), "NEW SHIRT-S") {
		t.Errorf("beside %+v an article that the shop never had, and a deleted variant: %+v", unsold, a)
	}
	run := erp.reconcile(shop, stock.Options{})
	if a := look(erp); run.Closed != 1 || a.Rows != 4 || !strings.Contains(fmt.Sprint(run.Found), "option:17 close") || a.Unsold.Articles != unsold.Articles+2 {
		t.Errorf("when its account is closed: %+v, %+v", run, a)
	}
	erp.settled("SHIRT-L")
	erp.want("the other variant", "0", "select count(*) from canonical_shop.law where stock_row = 'option:18' and unpublished <> 0")
}

// Of two that settle one article at once, the second counts after the first has committed.
func TestSettlingWaitsItsTurn(t *testing.T) {
	_, erp := newAccounts(t)
	other, err := pgx.Connect(t.Context(), erp.url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	tx, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"select erp.receive_goods(1::smallint, array[row(id, 7)]::erp.goods_in[], '') from erp.article where sku = 'SP-31'",
		"select spola.settle('shop', array(select id from erp.article where sku = 'SP-31'), '{}', false)",
	} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := erp.conn.Exec(t.Context(), "select spola.settle('shop', array(select id from erp.article where sku = 'SP-31'), '{}', false)")
		done <- err
	}()
	waits := "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
	for n := 0; n == 0; {
		if err := tx.QueryRow(t.Context(), waits).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "select pg_stat_clear_snapshot()"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	erp.want("entries", "product:31 delta 7", entriesSinceStart)

	err = pgx.BeginTxFunc(t.Context(), erp.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "select spola.settle('shop', '{}', '{}', false)")
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "repeatable read") {
		t.Errorf("settled on an old snapshot: %v", err)
	}
}

// Drift is repaired when it was the same for three ticks, with what is known of its cause.
func TestDriftIsNamed(t *testing.T) {
	shop, erp := newAccounts(t)
	unpaid := shop.place(testOrder{lines: []testLine{{31, 0, 2}}, method: "bank_transfer.bank_transfer"}, 1)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	shop.remove(unpaid)
	shop.update("product", 41, row{"quantity": 90})
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	saved := time.Now().In(rome)
	shop.update("product", 42, row{"quantity": 105, "date_modified": saved.Format("2006-01-02T15:04:05")}) // its page, opened before five pieces were sold
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)

	moved := 100
	run, err := stock.Reconcile(t.Context(), erp.conn, testShop, Schema(testShop), stock.Options{Tick: func(context.Context) error {
		moved--
		shop.update("product", 43, row{"quantity": moved}) // somebody is at it
		shop.tick(1)
		erp.catchUp(shop.testLog, 1000)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if run.Drifting != 3 || run.Explained != 2 || run.Repaired != 3 || run.Ticks != 3 || run.Rows != 4 {
		t.Errorf("%+v", run)
	}
	erp.want("repairs", fmt.Sprintf("product:41 repair 10 changed in the shop, by hand or by another program, product:31 repair 2 order %d was deleted in the shop and kept its pieces, "+
		"product:42 repair -5 product 42 was saved in the shop's administration at %s, with the pieces that its page showed or somebody typed", unpaid, saved.Format("2006-01-02 15:04")),
		"select string_agg(concat_ws(' ', stock_row, cause, pieces, detail), ', ' order by pieces desc) from spola.ledger where cause = 'repair'")
	erp.want("what was kept", "4 3 2 3 0 3 t", "select concat_ws(' ', rows, drifting, explained, repaired, waiting, ticks, ended >= began) from spola.reconciliation order by id desc limit 1")

	dry := erp.reconcile(shop, stock.Options{DryRun: true})
	if len(dry.Found) != 1 || dry.Found[0].StockRow != "product:43" || dry.Repaired != 0 {
		t.Errorf("the dry run %+v", dry)
	}
	erp.want("repairs", "3", "select count(*) from spola.ledger where cause = 'repair'")
}

// A page that writes a product's pieces as a number read when it was opened undoes what was delivered and sold meanwhile: the row comes to show what there is again,
// and whose writing it was is said.
func TestPageWritesTheNumberThatItHadRead(t *testing.T) {
	shop, erp := newAccounts(t)
	read := shop.rows["product"][31]["quantity"]
	erp.exec("select erp.receive_goods(1::smallint, array[row(id, 7)]::erp.goods_in[], '') from erp.article where sku = 'SP-31'")
	erp.settled("SP-31")
	applied := int64(0)
	deliver := func() {
		t.Helper()
		due := decimal.RequireFromString(erp.text("select target from spola.stock_account where stock_row = 'product:31'")).IntPart() - applied
		applied += due
		shop.together(func() {
			shop.record(change.Record{Op: change.Update, Table: "spola_marker", Schema: 1, Key: change.RowKey(nil, "spola_marker", []byte(`"name":"product:31"`)),
				Value: fmt.Appendf(nil, `{"before":null,"after":{"name":"product:31","generation":1,"number":%s,"applied":%d,"note":null},"source":{},"op":"u","ts_ms":0,"ts_us":0,"transaction":null}`,
					erp.text("select max(no) from spola.ledger where stock_row = 'product:31'"), applied)})
			shop.update("product", 31, row{"quantity": toInt(shop.rows["product"][31]["quantity"]) + due})
		})
		erp.catchUp(shop.testLog, 1000)
	}
	deliver()
	shop.place(testOrder{lines: []testLine{{31, 0, 2}}}, 1)
	erp.catchUp(shop.testLog, 1000)
	erp.want("before the page is saved", "105 0", "select shown || ' ' || drift from canonical_shop.law where stock_row = 'product:31'")
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	shop.update("product", 31, row{"quantity": read, "date_modified": time.Now().In(rome).Format("2006-01-02T15:04:05")})
	erp.catchUp(shop.testLog, 1000)
	erp.want("behind it", "100 -5", "select shown || ' ' || drift from canonical_shop.law where stock_row = 'product:31'")
	erp.reconcile(shop, stock.Options{})
	deliver()
	erp.want("repaired", "105 105 0", "select shown || ' ' || available - in_flight || ' ' || drift from canonical_shop.law where stock_row = 'product:31'")
	erp.want("by name", "1", "select count(*) from spola.ledger where cause = 'repair' and pieces = 5 and detail like 'product 31 was saved in the shop''s administration%'")
	erp.reconcile(shop, stock.Options{})
	erp.want("repairs", "1", "select count(*) from spola.ledger where cause = 'repair'")
}

// However much time passes: while the shop's clock stands, nothing has settled, and no drift is repaired. A reader that stands still halfway through an order would
// have it look like one.
func TestNothingIsRepairedWhileTheClockStands(t *testing.T) {
	shop, erp := newAccounts(t)
	id := shop.begin(testOrder{lines: []testLine{{31, 0, 2}}})
	shop.stock(shop.lines[id], -1) // the state comes behind it
	erp.catchUp(shop.testLog, 1000)
	erp.want("drift", "-2", "select sum(drift) from canonical_shop.law")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waited := 0
	run, err := stock.Reconcile(ctx, erp.conn, testShop, Schema(testShop), stock.Options{Tick: func(context.Context) error {
		if waited++; waited == 20 {
			cancel()
		}
		return nil
	}})
	if !errors.Is(err, context.Canceled) || run.Repaired != 0 || run.Ticks != 0 {
		t.Errorf("behind %d looks at a clock that stands: %+v, %v", waited, run, err)
	}
	erp.connect()
	brief, end := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer end()
	if err := stock.AwaitTick(brief, erp.conn, testShop); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("time alone was a tick: %v", err)
	}
	erp.connect()
	shop.update("order", id, row{"order_status_id": 1})
	shop.insert("order_history", row{"order_id": id, "order_status_id": 1, "notify": 0, "comment": "", "date_added": shop.now()})
	erp.reconcile(shop, stock.Options{})
	erp.want("entries", "", entriesSinceStart)
	erp.want("the law", "0 98", "select sum(abs(drift)) || ' ' || min(shown) from canonical_shop.law")
}

// The log has a transaction as soon as its commit is in the write-ahead log, others see it a moment later: nothing is counted
// before what the records tell of can be read.
func TestLedgerWaitsUntilItCanRead(t *testing.T) {
	_, erp := newAccounts(t)
	contract, err := schemas.LoadContract()
	if err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(t.Context(), erp.url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	tx, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var article, id, last int64
	err = tx.QueryRow(t.Context(), "update erp.stock set on_hand = on_hand + 7 where article_id = (select id from erp.article where sku = 'SP-31') returning article_id, pg_current_xact_id()::xid::text::bigint").Scan(&article, &id)
	if err != nil {
		t.Fatal(err)
	}
	record := func(id int64) change.Record {
		return change.Record{Op: change.Update, Table: "erp.stock", Value: fmt.Appendf(nil, `{"before":null,"after":{"article_id":%d},"source":{"txId":%d},"op":"u","ts_ms":0,"ts_us":0,"transaction":null}`, article, id)}
	}
	ledger := stock.NewLedger(testShop, contract)
	read := func(r change.Record) error {
		return erp.inTx(func(tx pgx.Tx) error {
			if err := ledger.Start(t.Context(), tx); err != nil {
				return err
			}
			part := ledger.Part(0)
			if err := part.Add([]change.Record{r}); err != nil {
				return err
			}
			return part.Apply(t.Context(), tx, true)
		})
	}
	done := make(chan error, 1)
	go func() { done <- read(record(id)) }()
	select {
	case err := <-done:
		t.Fatalf("settled before it could be read: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	erp.want("entries", "product:31 delta 7", entriesSinceStart)

	// Numbers from another life of the database hold nobody up.
	if err := other.QueryRow(t.Context(), "select pg_current_xact_id()::xid::text::bigint").Scan(&last); err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{last + 1_000_000, (last + 1<<31) % (1 << 32), 1} {
		if err := read(record(id)); err != nil {
			t.Fatal(err)
		}
	}
}

// A shop shows what its own warehouses have, wherever the ERP commits its orders; a warehouse that serves no web shop is refused by name.
func TestWarehousesOfAShop(t *testing.T) {
	shop, erp := newAccounts(t)
	erp.exec("insert into erp.warehouse (id, code, name, web_rank) values (2, 'X', 'Second', 2), (3, 'NEG', 'Counter', null)")
	erp.exec("select erp.receive_goods(2::smallint, array(select row(id, 30)::erp.goods_in from erp.article where sku <> 'SP-43'), '')")
	erp.reconcile(shop, stock.Options{})
	available := func(want string) {
		t.Helper()
		erp.want("available", want, "select string_agg(stock_row || ' ' || available, ', ' order by stock_row) from canonical_shop.law where unpublished = 0 and drift = 0")
	}
	available("product:31 130, product:41 130, product:42 130, product:43 100")

	with := func(warehouses string) {
		erp.reload(strings.Replace(testShopFile, "states:", "stock: {warehouses: "+warehouses+"}\nstates:", 1))
		shop.tick(1)
	}
	with("[X, NEG]")
	if err := erp.tryCatchUp(shop.testLog, 1); err == nil || !strings.Contains(err.Error(), "no warehouse NEG for web shops") || !strings.Contains(err.Error(), "W, X") {
		t.Errorf("a warehouse of the counter: %v", err)
	}
	with("[X]")
	erp.catchUp(shop.testLog, 1)
	erp.reconcile(shop, stock.Options{})
	available("product:31 30, product:41 30, product:42 30, product:43 0")

	// The ERP commits in its first warehouse: this one keeps its pieces, and the shop gets back what it has subtracted.
	shop.place(testOrder{lines: []testLine{{31, 0, 4}}}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.settled("SP-31")
	available("product:31 30, product:41 30, product:42 30, product:43 0")
	erp.want("entry", "delta 4", "select cause || ' ' || pieces from spola.ledger order by no desc limit 1")
	erp.exec("select erp.sell_at_counter(2::smallint, array[row(id, 5)]::erp.goods_in[]) from erp.article where sku = 'SP-41'")
	erp.settled("SP-41")
	available("product:31 30, product:41 25, product:42 30, product:43 0")
}

// Each order of the last days is held against the ERP's, by number and cents, day by day. One that the ERP has lost is read and derived again;
// one that has other cents there, or that somebody has deleted there, is told.
func TestOrdersAreReconciled(t *testing.T) {
	shop, erp := newAccounts(t)
	var ids []int64
	for i := range 4 {
		// The last one is paid in part by store credit: in the shop it costs what is left to pay, in the ERP what it is.
		ids = append(ids, shop.place(testOrder{lines: []testLine{{31, 0, 1}}, credit: decimal.New(int64(i/3*250), -2)}, 1))
	}
	unpaid := shop.place(testOrder{lines: []testLine{{31, 0, 1}}, method: "bank_transfer.bank_transfer"}, 1)
	strange := shop.place(testOrder{lines: []testLine{{50, 17, 1}}}, 1) // no article
	half := shop.begin(testOrder{lines: []testLine{{31, 0, 1}}})
	shop.update("order", half, row{"order_status_id": 1}) // and no row of the history: the shop died there, or is about to go on
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	total := erp.text("select sum(total) from erp.sales_order")
	run := erp.reconcile(shop, stock.Options{})
	if o := run.Orders; o.Orders != 5 || o.InERP != 4 || o.Explained != 1 || len(o.Days) != 1 || fmt.Sprint(o.CentsERP) != total || len(o.Odd) != 0 {
		t.Errorf("%d unpaid, %d without an article, %d half-written, the rest in the ERP: %+v", unpaid, strange, half, o)
	}

	erp.exec("delete from erp.sales_order where shop_number = $1", fmt.Sprint(ids[0]))
	erp.exec("delete from spola.link where order_id = $1", ids[0])
	erp.exec("delete from spola.consumption where order_id = $1", ids[0])
	erp.exec("update spola.stock_total set k = k - 1 where stock_row = 'product:31'")
	dry := erp.reconcile(shop, stock.Options{DryRun: true})
	if o := dry.Orders; o.InERP != 3 || o.Left != 1 || len(o.Odd) != 1 || o.Odd[0] != ids[0] || len(o.Asked) != 0 {
		t.Errorf("the dry run: %+v", o)
	}
	run = erp.reconcile(shop, stock.Options{})
	if o := run.Orders; o.InERP != 4 || o.Left != 0 || len(o.Asked) != 1 || o.Asked[0] != ids[0] || fmt.Sprint(o.CentsERP) != total {
		t.Errorf("an order was lost: %+v", o)
	}

	erp.exec("update erp.sales_order set total = total + 1 where shop_number = $1", fmt.Sprint(ids[1]))
	run = erp.reconcile(shop, stock.Options{})
	if o := run.Orders; o.InERP != 3 || o.Left != 1 || o.Asked[0] != ids[1] || o.CentsERP != o.Days[0].CentsERP || o.Days[0].InERP != 3 {
		t.Errorf("an order has a cent more: %+v", o)
	}

	// What somebody has deleted in the ERP is told, and not brought there again behind his back.
	erp.exec("delete from erp.sales_order where shop_number = $1", fmt.Sprint(ids[2]))
	run = erp.reconcile(shop, stock.Options{})
	if o := run.Orders; o.InERP != 2 || o.Left != 2 || o.Explained != 1 || fmt.Sprint(o.Odd) != fmt.Sprint(ids[1:3]) || fmt.Sprint(o.Asked) != fmt.Sprint(ids[2:3]) {
		t.Errorf("an order was deleted in the ERP: %+v", o)
	}
	erp.want("orders", "3", "select count(*) from erp.sales_order")
	erp.want("what was kept", "2", "select orders->'left' from spola.reconciliation order by id desc limit 1")
}

// thirtyMore adds products 1000 to 1029, of which the shop shows 5 pieces each, and the ERP has so many.
func (e *testERP) thirtyMore(shop *testOpenCart, onHand int) {
	e.t.Helper()
	for n := range 30 {
		sku := fmt.Sprintf("MASS-%d", n)
		e.article(sku)
		shop.insert("product", row{"product_id": 1000 + n, "model": sku, "quantity": 5, "subtract": 1, "status": 1, "master_id": 0, "price": "1.0000"})
	}
	e.exec("update erp.stock set on_hand = $1 where article_id in (select id from erp.article where sku like 'MASS%')", onHand)
}

// A run that has rows read again looks at all of them once more. What had come to rest by then is mended in the same run; what waits over both looks, for it moves or
// the guard holds it, counts once, is named once, and is still said to wait.
func TestRowsThatWaitOverBothLooks(t *testing.T) {
	shop, erp := newAccounts(t)
	erp.thirtyMore(shop, 5)
	orders := []int64{shop.place(testOrder{lines: []testLine{{31, 0, 1}}}, 1), shop.place(testOrder{lines: []testLine{{31, 0, 1}}}, 1)}
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	if run := erp.reconcile(shop, stock.Options{}); run.Opened != 30 || run.Waiting != 0 {
		t.Fatalf("before: %+v", run)
	}

	// run reconciles with an order that is to be read again, so that it looks twice, while somebody changes a row at the first ticks.
	run := func(order int64, while int) stock.Run {
		t.Helper()
		erp.exec("update erp.sales_order set total = total + 1 where shop_number = $1", fmt.Sprint(order))
		run, err := stock.Reconcile(t.Context(), erp.conn, testShop, Schema(testShop), stock.Options{Tick: func(context.Context) error {
			if while--; while >= 0 {
				shop.update("product", 43, row{"quantity": toInt(shop.rows["product"][43]["quantity"]) - 1})
			}
			shop.tick(1)
			erp.catchUp(shop.testLog, 1000)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(run.Orders.Asked) != fmt.Sprint([]int64{order}) {
			t.Fatalf("order %d is to be read again: %+v", order, run)
		}
		return run
	}
	kept := "select concat_ws(' ', drifting, explained, repaired, waiting, jsonb_array_length(detail)) from spola.reconciliation order by id desc limit 1"
	shop.update("product", 43, row{"quantity": 90})
	erp.catchUp(shop.testLog, 1000)
	if r := run(orders[0], 2); r.Drifting != 1 || r.Repaired != 1 || r.Waiting != 0 || r.Ticks != 1+3 || len(r.Found) != 1 {
		t.Errorf("a row that has come to rest between the looks: %+v", r)
	}
	erp.want("what was kept", "1 0 1 0 1", kept)
	erp.want("its repair", "12", "select pieces from spola.ledger where cause = 'repair'")

	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 30 {
		shop.update("product", int64(1000+n), row{"quantity": 3, "date_modified": time.Now().In(rome).Format("2006-01-02T15:04:05")})
	}
	erp.catchUp(shop.testLog, 1000)
	if r := run(orders[1], 100); r.Drifting != 31 || r.Explained != 30 || r.Repaired != 0 || r.Waiting != 31 || r.Ticks != 3+3 || len(r.Found) != 30 || !strings.Contains(r.Held, "would be repaired at once") {
		t.Errorf("30 rows that the guard holds and one that moves, all through both looks: %+v", r)
	}
	erp.want("what was kept", "31 30 0 31 30", kept)
	erp.want("repairs", "1", "select count(*) from spola.ledger where cause = 'repair'")
}

// More than 20 rows and 5 in 100 to zero wait for a person, whoever would write them.
func TestGuardAgainstMassChanges(t *testing.T) {
	shop, erp := newAccounts(t)
	erp.thirtyMore(shop, 0)
	erp.catchUp(shop.testLog, 1000)
	few := stock.Options{AtOnce: 10} // the guard looks at what a run does, however it is cut
	for _, o := range []stock.Options{{}, few} {
		if run := erp.reconcile(shop, o); run.Opened != 0 || !strings.Contains(run.Held, "30 of 34 rows of stock would go to zero at once") || run.Waiting != 30 {
			t.Errorf("going live with an empty ERP, %d at once: %+v", o.AtOnce, run)
		}
	}
	erp.exec("update erp.stock set on_hand = 5 where article_id in (select id from erp.article where sku like 'MASS%')")
	if run := erp.reconcile(shop, stock.Options{}); run.Opened != 30 || run.Held != "" {
		t.Errorf("with stock: %+v", run)
	}

	erp.exec("select erp.count_stock(1::smallint, array(select row(id, 0)::erp.goods_in from erp.article where sku like 'MASS%'), 'a mistake')")
	settle := "select spola.settle('shop', array(select id from erp.article), '{}', true)"
	_, err := erp.conn.Exec(t.Context(), settle)
	held, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || held.Code != "SPH01" {
		t.Errorf("a count of everything to zero: %v", err)
	}
	if run := erp.reconcile(shop, few); !strings.Contains(run.Held, "30 of 34 rows of stock would go to zero at once") {
		t.Errorf("a count of everything to zero, in a run: %+v", run)
	}
	erp.want("entries", "", entriesSinceStart)
	if err := AllowMassChanges(t.Context(), erp.conn, testShop, time.Minute, By{Who: "me", Reason: "sold out"}); err != nil {
		t.Fatal(err)
	}
	erp.exec(settle)
	erp.want("entries", "30", "select count(*) from spola.ledger where cause = 'delta' and pieces = -5")
	erp.exec("update spola.stock_head set allowed_until = null")

	for n := range 30 {
		shop.update("product", int64(1000+n), row{"quantity": 3})
	}
	erp.catchUp(shop.testLog, 1000)
	for _, o := range []stock.Options{{}, few} {
		if run := erp.reconcile(shop, o); run.Repaired != 0 || !strings.Contains(run.Held, "would be repaired at once") {
			t.Errorf("a shop changed as a whole, %d at once: %+v", o.AtOnce, run)
		}
	}
}

// The reader of the ERP's log settles what its rows name, as they were and as they are.
func TestLedgerFollowsTheERPsLog(t *testing.T) {
	shop, erp := newAccounts(t)
	id := shop.place(testOrder{lines: []testLine{{41, 0, 4}}}, 1)
	erp.catchUp(shop.testLog, 1)
	contract, err := schemas.LoadContract()
	if err != nil {
		t.Fatal(err)
	}
	ledger := stock.NewLedger(testShop, contract)
	read := func(records ...change.Record) {
		t.Helper()
		err := erp.inTx(func(tx pgx.Tx) error {
			if err := ledger.Start(t.Context(), tx); err != nil {
				return err
			}
			part := ledger.Part(0)
			if err := part.Add(records); err != nil {
				return err
			}
			return part.Apply(t.Context(), tx, true)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	record := func(table, before, after string) change.Record {
		return change.Record{Op: change.Update, Table: table, Value: []byte(`{"before":` + before + `,"after":` + after + `,"source":{},"op":"u","ts_ms":0,"ts_us":0,"transaction":null}`)}
	}
	articleOf := func(sku string) string { return erp.text("select id from erp.article where sku = $1", sku) }
	erp.exec("update erp.stock set on_hand = on_hand + 1")
	read(record("erp.stock", `{"article_id":`+articleOf("SP-31")+`}`, `{"article_id":`+articleOf("SP-42")+`,"on_hand":3}`),
		record("erp.order_charge", `{"article_id":`+articleOf("SP-43")+`}`, "null"))
	erp.want("articles before and after, of published tables", "product:31 delta 1, product:42 delta 1", entriesSinceStart)

	erp.exec("select erp.ship_order(id, '{\"1\": 1}', carrier => 'BRT', tracking => 'X'), erp.close_short(id, '') from erp.sales_order where shop_number = $1", fmt.Sprint(id))
	read(record("erp.sales_order", "null", `{"id":`+erp.text("select id from erp.sales_order")+`,"state":"closed_short"}`))
	erp.want("an order", fmt.Sprintf("product:41 closed_short 3 order %d, product:41 delta 1", id),
		"select string_agg(concat_ws(' ', stock_row, cause, pieces, nullif(detail, '')), ', ' order by no) from spola.ledger where cause <> 'start' and stock_row = 'product:41'")
	if err := ledger.Part(0).Add([]change.Record{record("erp.stock", "null", `{"article_id":"many"}`)}); err == nil || !strings.Contains(err.Error(), "erp.stock") {
		t.Errorf("an id that is none: %v", err)
	}
}
