package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// enter enters an order by hand in the ERP: total in cents, when, for whom. It returns its number.
func (e *testERP) enter(total int64, at time.Time, email, name, shopNumber string) string {
	e.t.Helper()
	e.exec("insert into erp.customer (kind, first_name, last_name, email) values ('private', split_part($2, ' ', 1), split_part($2, ' ', 2), $1)", email, name)
	e.exec(`insert into erp.sales_order (series, year, number, channel, placed_at, customer_id, kind, billing, shipping, currency, total,
			customer_currency, customer_factor, customer_total, shop_number)
		select 'T', 2026, coalesce((select max(number) from erp.sales_order), 0) + 1, 'traditional', $2, (select max(id) from erp.customer), 'private',
			row('', '', '', '', '', '', '', '', '')::erp.address, row('', '', '', '', '', '', '', '', '')::erp.address, 'EUR', $1::bigint, 'EUR', 1, $1::bigint / 100.0, $3`,
		total, at, shopNumber)
	return e.text("select number from erp.orders order by order_id desc limit 1")
}

// cutDay is the morning on which the tests go live: their shop's orders of clock below 100 are before.
var cutDay = shopTime("2026-11-24T08:01:40")

// past is a shop with orders from before it meets the ERP, which knows some of them.
func past(t *testing.T) (*testOpenCart, *testERP) {
	profile, _ := testProfile(t)
	return newTestShop(profile), newTestERP(t)
}

func (e *testERP) check(from time.Time) (Readiness, string) {
	e.t.Helper()
	var table bytes.Buffer
	r, err := CheckLive(e.t.Context(), e.conn, testShop, Going{From: from, Table: &table})
	if err != nil {
		e.t.Fatal(err)
	}
	return r, table.String()
}

// A list of pieces is numbers for a spreadsheet, below zero too; an SKU is none, whatever it begins with.
func TestStockListIsNumbers(t *testing.T) {
	var out strings.Builder
	p := StockPlan{Rows: []StockRow{{"product:7", "=cmd", 3, -2, ""}, {"option:4", "", 5, 5, "unmapped"}}}
	if err := p.write(&out); err != nil {
		t.Fatal(err)
	}
	want := byteOrderMark + "sku;stock_row;now;after;change;left_as_it_is\n'=cmd;product:7;3;-2;-5;\n;option:4;5;5;0;unmapped\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// number is what a query counts.
func (e *testERP) number(sql string) int64 {
	e.t.Helper()
	n, err := strconv.ParseInt(e.text(sql), 10, 64)
	if err != nil {
		e.t.Fatal(err)
	}
	return n
}

func (e *testERP) goLive(from time.Time, file string) error {
	e.t.Helper()
	g := Going{From: from, By: By{Who: "anna@office", Reason: "first day"}}
	if file != "" {
		g.Said, g.File = strings.NewReader(file), "golive.csv"
	}
	_, err := GoLive(e.t.Context(), e.conn, testShop, g)
	return err
}

const links = "select string_agg(concat_ws(' ', order_id, status, case when adopted then 'adopted' end), ', ' order by order_id) from spola.link"

// A shop that was restored while it was observed has the orders of its backup still: a person is asked about them as about any.
func TestGoingLiveBehindARestore(t *testing.T) {
	shop, erp := past(t)
	done := shop.place(testOrder{lines: twoLines, email: "done@example.com"}, 5)
	open := shop.place(testOrder{lines: twoLines, email: "open@example.com"}, 2)
	shop.clock = 100
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.exec("update spola.shop set incarnation = 2")
	r, file := erp.check(cutDay)
	if r.Orders != 2 || r.Import != 1 || r.Close != 1 {
		t.Errorf("%+v", r)
	}
	if err := erp.goLive(cutDay, file); err != nil {
		t.Fatal(err)
	}
	shop.tick(2)
	erp.catchUp(shop.testLog, 1000)
	erp.want("links", fmt.Sprintf("%d closed, %d imported", done, open), links)
	erp.want("parked", "", parkedList)
}

// What was ordered before the cut is closed, adopted or imported as a person confirms it; what comes
// behind is taken. Going live twice changes nothing.
func TestGoingLive(t *testing.T) {
	shop, erp := past(t)
	if err := erp.goLive(cutDay, ""); err == nil {
		t.Error("a shop without an applier went live")
	}
	done := shop.place(testOrder{lines: twoLines, email: "done@example.com"}, 5)
	known := shop.place(testOrder{lines: twoLines, email: "Known@Example.com "}, 2)
	named := shop.place(testOrder{lines: []testLine{{41, 0, 1}}, email: "web@example.com", first: "Carla"}, 5)
	open := shop.place(testOrder{lines: twoLines, email: "open@example.com"}, 2)
	unpaid := shop.place(testOrder{lines: twoLines, email: "unpaid@example.com", method: "bank_transfer.bank_transfer"}, 1)
	shop.setState(shop.place(testOrder{lines: twoLines}, 1), 7) // nobody's
	shop.begin(testOrder{lines: twoLines})                      // a cart
	late := shop.begin(testOrder{lines: []testLine{{42, 0, 1}}})
	shop.clock = 100
	today := shop.place(testOrder{lines: []testLine{{41, 0, 2}}, email: "today@example.com"}, 1)
	counter := shop.place(testOrder{lines: []testLine{{31, 0, 1}}, email: "counter@example.com"}, 5) // done today, without the ERP
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("the ERP", "0 0 0", untouched)

	a := erp.enter(14608, cutDay.Add(2*time.Hour), "known@example.com", "X Y", "")
	b := erp.enter(11610, cutDay, "", "Carla Rossi", "")
	erp.enter(14608, cutDay.AddDate(0, 0, 30), "open@example.com", "", "") // too late to be that one
	erp.enter(9999, cutDay, "open@example.com", "", "")                    // another total
	erp.enter(14608, cutDay, "stranger@example.com", "Some Body", "")      // another customer
	orders := "select string_agg(concat_ws(' ', reference, total), ', ' order by id) from erp.sales_order"
	before := erp.text(orders)

	r, file := erp.check(cutDay)
	if r.Orders != 7 || r.Import != 3 || r.Adopt != 2 || r.Close != 2 || r.Open != 0 || r.Asked != 5 || r.Unsold.Count != 0 ||
		fmt.Sprint(r.Missing.First) != "[50 (17+19) SP-50 50 (18+19) SP-50]" {
		t.Errorf("%+v", r)
	}
	for _, line := range []string{
		fmt.Sprintf("adopt;%d;%s;2026-11-24 ", known, a), fmt.Sprintf("adopt;%d;%s;", named, b), fmt.Sprintf("import;%d;;", open), fmt.Sprintf("import;%d;;", unpaid),
		fmt.Sprintf("close;%d;;", done), fmt.Sprintf("close;%d;;", counter), "116.10;Carla Rossi, web@example.com;5 state 5;same total, date and customer",
	} {
		if !strings.Contains(file, line) {
			t.Errorf("the file has no %q:\n%s", line, file)
		}
	}
	if strings.Contains(file, fmt.Sprintf(";%d;", today)) || erp.text(orders) != before || erp.text("select mode from spola.shop") != "observe" {
		t.Errorf("a dry run changed something, or asks about today's order:\n%s", file)
	}
	if err := erp.goLive(cutDay, ""); err == nil || !strings.Contains(err.Error(), "of 5 orders a person must say") {
		t.Errorf("without a file: %v", err)
	}
	erp.want("refused", "observe", "select mode from spola.shop")

	for range 2 {
		if err := erp.goLive(cutDay, file); err != nil {
			t.Fatal(err)
		}
		shop.tick(2)
		erp.catchUp(shop.testLog, 1000)
		erp.want("links", fmt.Sprintf("%d closed, %d imported adopted, %d imported adopted, %d imported, %d seen, 6 seen, %d imported, %d closed",
			done, known, named, open, unpaid, today, counter), links)
		erp.want("parked", "", parkedList)
		erp.want("from the shop", "4", "select count(*) from erp.sales_order where reference is not null")
		erp.want("orders", "7", "select count(*) from erp.sales_order")
	}
	erp.want("the planner knows that orders of the shop and of the ERP belong together", "true true", `select string_agg((null_frac < 1)::text, ' ') from pg_stats
		where (schemaname, tablename, attname) in (('spola', 'link', 'erp_order'), ('erp', 'sales_order', 'reference'))`)
	erp.want("decided", "1 adopt 2 adopt 3", `select count(*) filter (where order_id is null) || ' ' || string_agg(decision || ' ' || order_id, ' ' order by id) filter (where decision = 'adopt')
		from spola.audit where verb = 'golive' and who = 'anna@office' and reason = 'first day'`)

	shop.setState(late, 1)   // begun before the cut, complete behind it
	shop.setState(unpaid, 2) // paid
	shop.setState(known, 7)  // an adopted order is one like any other
	shop.tick(5)
	erp.catchUp(shop.testLog, 1000)
	erp.want("the adopted order", "cancelled", "select state from erp.sales_order where shop_number = $1", fmt.Sprint(known))
	erp.want("from the shop", "6", "select count(*) from erp.sales_order where reference is not null")
	erp.want("late", "imported", "select status from spola.link where order_id = $1", late)
}

// What a dry run foretells of the shop's stock is what its accounts then want, whatever becomes of each order; and nobody is told
// that orders will be parked of whose product something has just been mapped.
func TestStockIsForetold(t *testing.T) {
	shop, erp := past(t)
	mapped := testLine{50, 17, 3}
	shop.place(testOrder{lines: []testLine{{31, 0, 3}, {43, 0, 1}}}, 5)
	shop.place(testOrder{lines: twoLines, email: "known@example.com"}, 2)
	shop.place(testOrder{lines: []testLine{{41, 0, 1}}, email: "bare@example.com"}, 2)
	shop.place(testOrder{lines: []testLine{{42, 0, 5}}, email: "open@example.com"}, 2)
	shop.place(testOrder{lines: []testLine{{31, 0, 7}}, method: "bank_transfer.bank_transfer"}, 1)
	shop.setState(shop.place(testOrder{lines: []testLine{{42, 0, 4}}}, 1), 7)
	shop.begin(testOrder{lines: twoLines})
	shop.place(testOrder{lines: []testLine{mapped, {43, 0, 2}}}, 2)
	shop.clock = 100
	shop.place(testOrder{lines: []testLine{{43, 0, 2}}}, 1)
	shop.place(testOrder{lines: []testLine{{50, 19, 1}, {43, 0, 3}}}, 1) // no article even then
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.enter(14608, cutDay.Add(2*time.Hour), "known@example.com", "X Y", "")
	erp.exec(`insert into erp.order_line (order_id, line, position, article_id, name, quantity, shipped, unit_gross, gross, vat_rate, vat_country)
		select (select max(id) from erp.sales_order), row_number() over (order by a.sku), 1, a.id, a.sku, 2, case a.sku when 'SP-31' then 2 else 1 end, 0, 0, 22, 'IT'
		from erp.article a where a.sku in ('SP-31', 'SP-41')`) // both of SP-31 have left, and one of SP-41 too many
	erp.enter(11610, cutDay, "bare@example.com", "", "") // its lines nobody has typed
	erp.exec("update erp.stock set on_hand = 90 + article_id")
	if r, _ := erp.check(cutDay); r.Parked != 2 || r.Again != 0 {
		t.Errorf("%d parked, %d looked at again", r.Parked, r.Again)
	}
	mapSizes(t, shop, erp)

	r, file := erp.check(cutDay)
	if r.Parked != 0 || r.Again != 2 || r.Stock.Left == 0 || r.Stock.More == 0 || r.Stock.Less == 0 || r.Stock.More+r.Stock.Less+r.Stock.Same+r.Stock.Left != len(r.Stock.Rows) {
		t.Errorf("%d parked, %d looked at again; stock %+v", r.Parked, r.Again, r.Stock)
	}
	if err := erp.goLive(cutDay, file); err != nil {
		t.Fatal(err)
	}
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("the past", "2 adopted, 3 imported, 1 parked", `select count(*) filter (where l.adopted) || ' adopted, ' || count(*) filter (where l.erp_order is not null and not l.adopted) || ' imported, '
		|| (select count(*) from spola.parked) || ' parked' from spola.link l`)
	erp.reconcile(shop, stock.Options{})
	var foretold []string
	for _, s := range r.Stock.Rows {
		if s.WhyNot == "" {
			foretold = append(foretold, fmt.Sprintf("%s %s %d", s.StockRow, s.SKU, s.After))
		}
	}
	slices.Sort(foretold)
	erp.want("what the shop is to show", strings.Join(foretold, ", "), `select string_agg(concat_ws(' ', l.stock_row, e.sku, l.shown + l.undelivered), ', ' order by l.stock_row collate "C")
		from canonical_shop.law l join erp.articles e using (article_id)`)
	erp.want("which is what there is", "0", "select count(*) from canonical_shop.law where shown + undelivered <> available - in_flight")
}

// The clock of a shop where nothing happens ticks once a minute: orders that are spread over its ticks do not wait for them, but for a
// pause and for another owner.
func TestImportsGoOnInAnIdleShop(t *testing.T) {
	shop, erp := past(t)
	shop.place(testOrder{lines: twoLines, email: "a@example.com"}, 2)
	shop.place(testOrder{lines: twoLines, email: "b@example.com"}, 2)
	shop.clock = 100
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	_, file := erp.check(cutDay)
	if err := erp.goLive(cutDay, file); err != nil {
		t.Fatal(err)
	}
	erp.exec("update spola.due set tick = tick + 50")
	erp.exec("insert into spola.place (applier, source, owner_epoch) values ('intake', 'shop', 7)")
	erp.started = false
	if erp.effect.Due(time.Now()) {
		t.Error("before it has begun it has something to do")
	}
	shop.tick(1)
	erp.catchUp(shop.testLog, 1000)
	idle := func(want string) {
		t.Helper()
		if !erp.effect.Due(time.Now()) {
			t.Error("it has nothing to do")
		}
		if err := erp.inTx(func(tx pgx.Tx) error { return erp.effect.Idle(t.Context(), tx) }); err != nil {
			t.Fatal(err)
		}
		erp.want("imported", want, "select count(*) from erp.sales_order")
	}
	erp.want("before", "0", "select count(*) from erp.sales_order")
	erp.exec("update spola.place set paused_at = now()")
	idle("0")
	erp.exec("update spola.place set paused_at = null, owner_epoch = 8")
	idle("0")
	erp.exec("update spola.place set owner_epoch = 7")
	idle("2")
	idle("2")
	if erp.effect.Due(time.Now()) {
		t.Error("there is nothing left to do")
	}
	shop.tick(60)
	erp.catchUp(shop.testLog, 1000)
	erp.want("imported", "2 2", "select count(*) || ' ' || count(distinct reference) from erp.sales_order")
}

// Orders of the past are taken over in portions: one with each tick, and further ones in the gaps between batches. A portion reads the
// rows of its own orders; an order of today comes alone.
func TestImportsComeInPortions(t *testing.T) {
	shop, erp := past(t)
	const n = 10*portion + 7
	for i := range n {
		shop.place(testOrder{lines: twoLines, email: fmt.Sprintf("c%d@example.com", i)}, 2)
	}
	shop.clock += 100
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	_, file := erp.check(cutDay)
	if err := erp.goLive(cutDay, file); err != nil {
		t.Fatal(err)
	}
	erp.exec("insert into spola.place (applier, source, owner_epoch) values ('intake', 'shop', 7)")
	erp.started = false
	taken := func() int64 { return erp.number("select count(*) from erp.sales_order") }
	shop.tick(1)
	erp.catchUp(shop.testLog, 1)
	if got := taken(); got != portion {
		t.Fatalf("with a tick come %d orders, want %d", got, portion)
	}
	shop.place(testOrder{lines: twoLines, email: "today@example.com"}, 2)
	erp.catchUp(shop.testLog, 1)
	if got := taken(); got != portion+1 {
		t.Fatalf("with an order of today come %d others", got-portion-1)
	}
	for left := int64(n - portion); left > 0; left -= portion {
		if !erp.effect.Due(time.Now()) || left < n-portion && !erp.effect.More() {
			t.Fatalf("%d are left, and there is nothing to do", left)
		}
		before := taken()
		erp.exec("select pg_stat_force_next_flush()")
		erp.exec("select pg_stat_reset()")
		if err := erp.inTx(func(tx pgx.Tx) error { return erp.effect.Idle(t.Context(), tx) }); err != nil {
			t.Fatal(err)
		}
		if got := taken() - before; got != min(portion, left) {
			t.Fatalf("a portion of %d of %d", got, left)
		}
		erp.exec("select pg_stat_force_next_flush()")
		erp.exec("select 1")
		read := erp.text(`select string_agg(format('%s.%s: %s rows', schemaname, relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), e'\n')
			from pg_stat_user_tables where relname in ('due', 'link') and coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) > $1`, 7*portion)
		if read != "" {
			t.Errorf("for a portion of %d orders, with %d left, were read\n%s", portion, left, read)
		}
	}
	if erp.effect.More() {
		t.Error("there is nothing left, and it would go on")
	}
}

// Orders that have nothing in common but a total and a day are no pairs to be weighed, nor namesakes whose e-mail address fits: where most orders
// cost the same that would be each with each.
func TestOnlyLikelyPairsAreCompared(t *testing.T) {
	shop, erp := past(t)
	const n = 40
	for i := range n {
		shop.place(testOrder{lines: twoLines, email: fmt.Sprintf("c%d@example.com", i)}, 5)
	}
	erp.catchUp(shop.testLog, 1000)
	for i := range n / 2 {
		erp.enter(14608, cutDay.Add(-time.Hour), fmt.Sprintf("c%d@example.com", i), "Anna Rossi", "")
	}
	defer forget(t.Context(), erp.conn)
	r, err := plan(t.Context(), erp.conn, testShop, Going{From: cutDay})
	if err != nil {
		t.Fatal(err)
	}
	erp.exec("select pg_stat_force_next_flush()")
	erp.exec("select 1")
	pairs := erp.number("select n_tup_ins from pg_stat_user_tables where relname = 'golive_fit'")
	if r.Adopt != n/2 || pairs != n/2 {
		t.Errorf("%d pairs were compared to adopt %d of %d orders, want %d pairs", pairs, r.Adopt, r.Orders, n/2)
	}
}

// What is mapped is sold, also a combination that the catalogue does not list: several values of a checkbox.
func TestMappedCombinationIsSold(t *testing.T) {
	shop, erp := past(t)
	shop.place(testOrder{lines: twoLines}, 5)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.article("SET")
	for _, c := range []struct{ product, unsold string }{{"", "[SET]"}, {"999", "[SET]"}, {"50", "[]"}} {
		if c.product != "" {
			erp.exec("insert into spola.article (shop, product, variant, article, by) select 'shop', $1, '17,18,19', id, 'import' from erp.article where sku = 'SET'", c.product)
		}
		if r, _ := erp.check(cutDay); fmt.Sprint(r.Unsold.First) != c.unsold {
			t.Errorf("with the combination mapped for product %q the shop does not sell %v, want %s", c.product, r.Unsold.First, c.unsold)
		}
	}
}

// An order that was parked and is adopted waits for nobody: it is in the ERP.
func TestParkedOrderIsAdopted(t *testing.T) {
	shop, erp := past(t)
	shop.place(testOrder{lines: twoLines, country: 204, email: "known@example.com"}, 2) // no reason for 0 %: parked
	shop.place(testOrder{lines: twoLines, country: 204, email: "open@example.com"}, 2)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("observed", "1 unknown_nature, 2 unknown_nature", "select string_agg(order_id || ' ' || reason, ', ' order by order_id) from spola.parked")
	total, err := strconv.ParseInt(erp.text("select total from canonical_shop.glance(array[1]::bigint[])"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	erp.enter(total, cutDay, "known@example.com", "", "")
	_, file := erp.check(cutDay)
	if err := erp.goLive(cutDay, file); err != nil {
		t.Fatal(err)
	}
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("links", "1 imported adopted, 2 parked", links)
	erp.want("parked", "2 unknown_nature", "select string_agg(order_id || ' ' || reason, ', ' order by order_id) from spola.parked")
}

// Of two orders of namesakes an order of the ERP is that one whose e-mail it has; a name ties where nothing else does.
func TestStrongerTieCounts(t *testing.T) {
	shop, erp := past(t)
	mail := shop.place(testOrder{lines: twoLines, email: "anna@example.com"}, 5)
	name := shop.place(testOrder{lines: twoLines, email: "other@example.com"}, 5)
	alone := shop.place(testOrder{lines: []testLine{{41, 0, 1}}, email: "third@example.com"}, 5)
	shop.clock = 100
	erp.catchUp(shop.testLog, 1000)
	a := erp.enter(14608, cutDay, "anna@example.com", "Anna Rossi", "")
	b := erp.enter(11610, cutDay, "", "ANNA Rossi", "")
	_, file := erp.check(cutDay)
	for _, line := range []string{fmt.Sprintf("adopt;%d;%s;", mail, a), fmt.Sprintf("close;%d;;", name), fmt.Sprintf("adopt;%d;%s;", alone, b)} {
		if !strings.Contains(file, line) {
			t.Errorf("the file has no %q:\n%s", line, file)
		}
	}
}

// What fits twice is a person's to say, and so is what he says twice or wrong; nothing is half done.
func TestGoingLiveIsAskedAbout(t *testing.T) {
	shop, erp := past(t)
	for range 2 {
		shop.place(testOrder{lines: twoLines, email: "twice@example.com"}, 5) // 1, 2
	}
	shop.place(testOrder{lines: []testLine{{41, 0, 1}}, email: "three@example.com"}, 2) // 3
	shop.place(testOrder{lines: []testLine{{41, 0, 2}}, email: "four@example.com"}, 2)  // 4
	shop.clock = 100
	erp.catchUp(shop.testLog, 1000)
	one := erp.enter(14608, cutDay, "twice@example.com", "", "")
	two := erp.enter(11610, cutDay, "three@example.com", "", "")
	three := erp.enter(11610, cutDay, "three@example.com", "", "")
	cheaper := erp.enter(22000, cutDay, "", "", "")                // a clerk's mistake
	four := erp.enter(22610, cutDay.AddDate(0, 3, 0), "", "", "4") // the clerk wrote the shop's number down
	r, file := erp.check(cutDay)
	if r.Open != 3 || r.Adopt != 1 || !strings.Contains(file, "adopt;4;"+four) ||
		!strings.Contains(file, "the ERP's order "+one+" fits the shop's orders 1, 2") || !strings.Contains(file, "the ERP's orders "+two+", "+three+" all fit") {
		t.Errorf("%+v\n%s", r, file)
	}
	if err := erp.goLive(cutDay, file); err == nil || !strings.Contains(err.Error(), "of 3 orders a person must say") || !strings.Contains(err.Error(), "1 (the ERP's order "+one) {
		t.Errorf("undecided: %v", err)
	}
	const head = "order,decision,erp_order\n"
	rest := "2,close,\n3,close,\n4,close,\n"
	for name, c := range map[string]struct{ file, want string }{
		"wrong columns":      {"order,what\n1,close\n", "line 1: the columns are"},
		"wrong word":         {head + "1,delete,\n", `line 2: order 1: "delete" is none of import, adopt, close`},
		"double line":        {head + rest + "2,import,\n", "line 5: order 2 stands in line 2 already"},
		"no number":          {head + "one,close,\n", `line 2: order "one" is no number`},
		"adopt what":         {head + "1,adopt,\n", "line 2: order 1: adopt needs the number"},
		"wrong encoding":     {head + "1,adopt,T2026/\xe0\n", "line 2: it is not UTF-8"},
		"unknown order":      {head + rest + "77,close,\n", "line 5: refused: the shop has no order 77"},
		"unknown ERP order":  {head + rest + "1,adopt,T2026/77\n", "line 5: refused: the ERP has no order 'T2026/77' that no shop has"},
		"adopted twice":      {head + "1,adopt," + one + "\n2,adopt," + one + "\n3,close,\n4,close,\n", "line 3: refused: the ERP's order " + one + " is adopted for order 1 in line 2 already"},
		"another total":      {head + rest + "1,adopt," + two + "\n", "line 5: refused: order 1 costs 146.08 in the shop, the ERP's " + two + " costs 116.10: if it is the same"},
		"one is not decided": {head + rest, "first; add lines with their decision and order to golive.csv"},
	} {
		if err := erp.goLive(cutDay, c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	erp.want("nothing half done", "observe 0 0", `select mode || ' ' || (select count(*) from spola.audit) || ' ' || (select count(*) from erp.sales_order where reference is not null) from spola.shop`)
	shop.remove(2) // while the person thinks
	erp.catchUp(shop.testLog, 1000)
	if err := erp.goLive(cutDay, "\xef\xbb\xbforder;erp_order;decision;note\n1;"+one+";Adopt;yes\n2;;CLOSED;\n3;"+three+";adopt;\n4;"+cheaper+";Adopt anyway;\n"); err != nil {
		t.Fatal(err)
	}
	shop.tick(2)
	erp.catchUp(shop.testLog, 1000)
	erp.want("links", "1 imported adopted, 3 imported adopted, 4 imported adopted", "select string_agg(concat_ws(' ', order_id, status, case when adopted then 'adopted' end), ', ' order by order_id) from spola.link where not deleted")
}

// held runs GoLive on a connection of its own while a batch of the applier holds the shop, until
// during says that it has seen enough; then the batch ends.
func (e *testERP) held(during func(backend string)) error {
	e.t.Helper()
	conn, err := postgres.Connect(e.t.Context(), e.url, "golive")
	if err != nil {
		e.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, file := e.check(cutDay)
	ended := make(chan error, 1)
	err = e.inTx(func(tx pgx.Tx) error {
		if _, err := tx.Exec(e.t.Context(), "select from spola.shop where shop = $1 for update", testShop); err != nil {
			return err
		}
		go func() {
			_, err := GoLive(e.t.Context(), conn, testShop, Going{From: cutDay, Said: strings.NewReader(file), By: By{Who: "anna"}})
			ended <- err
		}()
		const waiting = "select pid from pg_stat_activity where application_name = 'golive' and datname = current_database() and wait_event_type = 'Lock'"
		for e.text("select count(*) from ("+waiting+") w") == "0" {
			time.Sleep(10 * time.Millisecond)
		}
		during(e.text(waiting))
		return nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return <-ended
}

// Killed where it carries out what it has planned, going live has done nothing; the next time it does all.
func TestGoingLiveIsKilled(t *testing.T) {
	shop, erp := past(t)
	shop.place(testOrder{lines: twoLines, email: "anna@example.com"}, 2)
	shop.place(testOrder{lines: twoLines, email: "open@example.com"}, 2)
	shop.clock = 100
	erp.catchUp(shop.testLog, 1000)
	erp.enter(14608, cutDay, "anna@example.com", "", "")
	if err := erp.held(func(pid string) { erp.text("select pg_terminate_backend($1::int)", pid) }); err == nil {
		t.Error("it was not killed")
	}
	erp.want("nothing half done", "observe 0 0 0", `select mode || ' ' || (select count(*) from spola.audit) || ' ' || (select count(*) from erp.sales_order where reference is not null)
		|| ' ' || (select count(*) from spola.link where erp_order is not null or decision is not null) from spola.shop`)
	_, file := erp.check(cutDay)
	if err := erp.goLive(cutDay, file); err != nil {
		t.Fatal(err)
	}
	shop.tick(2)
	erp.catchUp(shop.testLog, 1000)
	erp.want("links", "1 imported adopted, 2 imported", links)
}

// What is cancelled or deleted in the shop while it is planned, is neither adopted nor taken.
func TestShopChangesWhileItGoesLive(t *testing.T) {
	shop, erp := past(t)
	for _, email := range []string{"adopted", "cancelled", "deleted", "open"} {
		shop.place(testOrder{lines: twoLines, email: email + "@example.com"}, 2)
	}
	shop.clock = 100
	erp.catchUp(shop.testLog, 1000)
	for _, email := range []string{"adopted", "cancelled", "deleted"} {
		erp.enter(14608, cutDay, email+"@example.com", "", "")
	}
	err := erp.held(func(string) {
		erp.exec("update spola.link set class = 'cancelled', state = '7' where order_id = 2")
		erp.exec("update spola.link set deleted = true where order_id in (3)")
	})
	if err != nil {
		t.Fatal(err)
	}
	erp.want("links", "1 imported adopted, 2 seen, 3 seen, 4 seen", links)
	erp.want("the shop's orders in the ERP", "1", "select string_agg(shop_number, ' ') from erp.sales_order where reference is not null")
}

// An order that is edited while it is planned is adopted as it was looked at, and the ERP gets the edit behind that.
func TestOrderIsEditedWhileItGoesLive(t *testing.T) {
	shop, erp := past(t)
	edited := shop.place(testOrder{lines: twoLines, email: "edited@example.com"}, 2)
	left := shop.place(testOrder{lines: twoLines, email: "left@example.com"}, 2)
	shop.clock = 100
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.enter(14608, cutDay, "edited@example.com", "", "")
	erp.enter(14608, cutDay, "left@example.com", "", "")
	_, file := erp.check(cutDay)

	conn, err := postgres.Connect(t.Context(), erp.url, "golive")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	g := Going{From: cutDay, Said: strings.NewReader(file), By: By{Who: "anna"}}
	r, err := plan(t.Context(), conn, testShop, g)
	if err != nil {
		t.Fatal(err)
	}
	shop.edit(edited, testOrder{lines: []testLine{{41, 0, 1}}, email: "edited@example.com"})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	if err := postgres.InTransaction(t.Context(), conn, func(tx pgx.Tx) error { return letIn(t.Context(), tx, testShop, g, r) }); err != nil {
		t.Fatal(err)
	}
	erp.want("links", fmt.Sprintf("%d imported adopted, %d imported adopted", edited, left), links)
	shop.tick(2)
	erp.catchUp(shop.testLog, 1000)
	erp.want("links", fmt.Sprintf("%d imported, %d imported adopted", edited, left), links)
	erp.want("totals", "11610 14608", "select string_agg(total::text, ' ' order by id) from erp.sales_order where reference is not null")
}

// Who was of no account when the shop went live, or not known yet, is an order later: that is a person's to say, and not forgotten.
// What is done long ago stays out, as it would have then.
func TestOrdersFromBeforeTheCutComeToLight(t *testing.T) {
	shop, erp := past(t)
	called := shop.place(testOrder{lines: twoLines, email: "called@example.com"}, 1)
	shop.setState(called, 7)
	never := shop.place(testOrder{lines: twoLines, email: "never@example.com"}, 8)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	late := shop.place(testOrder{lines: twoLines, email: "late@example.com"}, 2) // not in the mirror yet
	done := shop.place(testOrder{lines: twoLines, email: "done@example.com"}, 5)
	shop.clock = 100
	if err := erp.goLive(cutDay, ""); err != nil {
		t.Fatal(err)
	}
	shop.setState(called, 2)
	shop.setState(never, 2)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", fmt.Sprintf("%d before_cut, %d before_cut, %d before_cut", called, never, late), parkedList)
	erp.want("done", "closed", "select status from spola.link where order_id = $1", done)
	erp.want("orders", "0", "select count(*) from erp.sales_order")
	if _, payload, err := ShowParked(t.Context(), erp.conn, testShop, late); err != nil || !strings.Contains(string(payload), "late@example.com") {
		t.Errorf("what was derived of it: %s, %v", payload, err)
	}

	shop.setState(late, 5) // nobody has said anything: it still waits
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", fmt.Sprintf("%d before_cut, %d before_cut, %d before_cut", called, never, late), parkedList)
	if said := erp.decide(called, KeepERP); !strings.Contains(said, "--take-shop or --drop") {
		t.Errorf("keeping what the ERP has not: %q", said)
	}
	if said := erp.decide(called, TakeShop) + erp.decide(never, Drop) + erp.decide(late, TakeShop); said != "" {
		t.Fatal(said)
	}
	shop.tick(1)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "", parkedList)
	erp.want("orders", fmt.Sprintf("%d %d", called, late), "select string_agg(shop_number, ' ' order by id) from erp.sales_order")
	shop.setState(never, 3)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("dropped", "closed", "select status from spola.link where order_id = $1", never)
}

// A shop does not go live before the mirror is at the cut: of orders that are not known yet nobody would be asked.
func TestGoingLiveWaitsForTheMirror(t *testing.T) {
	shop, erp := past(t)
	shop.place(testOrder{lines: twoLines}, 5)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.exec("insert into spola.place (applier, source) values ('intake', 'shop')")
	stands := func(at time.Time) { erp.exec("update spola.place set record_time = $1", at.UnixMilli()) }
	stands(cutDay.Add(-time.Second))
	for _, dry := range []bool{true, false} {
		var err error
		if dry {
			_, err = CheckLive(t.Context(), erp.conn, testShop, Going{From: cutDay})
		} else {
			err = erp.goLive(cutDay, "")
		}
		if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "since 2026-11-24 07:01:39 is not known yet, and orders from before 2026-11-24 07:01:40 must be: see that cdc") {
			t.Errorf("a second before the cut: %v", err)
		}
	}
	erp.exec("update spola.place set paused_at = now()")
	if err := erp.goLive(cutDay, ""); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "it is paused: applier resume") {
		t.Errorf("paused: %v", err)
	}
	now := time.Now()
	stands(now.Add(-2 * time.Minute))
	if _, err := CheckLive(t.Context(), erp.conn, testShop, Going{From: now}); !errors.Is(err, ErrNotReady) {
		t.Errorf("two minutes behind this moment: %v", err)
	}
	stands(now.Add(-time.Minute)) // an idle shop's clock ticks once a minute
	if _, err := CheckLive(t.Context(), erp.conn, testShop, Going{From: now}); err != nil {
		t.Errorf("an idle shop: %v", err)
	}
	stands(cutDay)
	if err := erp.goLive(cutDay, ""); err != nil {
		t.Errorf("at the cut: %v", err)
	}
}

// Customers of orders to be imported are looked for as the shop file says, doubles are named; an adopted order
// tells whose the next ones are.
func TestGoingLiveKnowsCustomers(t *testing.T) {
	shop, erp := past(t)
	erp.reload(testShopFile + "customers: {match: [email]}\n")
	for _, id := range []int64{7, 8} {
		shop.insert("customer", row{"customer_id": id, "firstname": "Anna", "lastname": "Rossi", "email": "shared@example.com", "customer_group_id": 1})
		shop.place(testOrder{lines: twoLines, customer: id, email: "shared@example.com"}, 2)
	}
	shop.place(testOrder{lines: twoLines, email: "known@example.com"}, 2)
	shop.place(testOrder{lines: twoLines, email: "double@example.com"}, 2)
	shop.place(testOrder{lines: []testLine{{42, 0, 1}}, email: "adopted@example.com"}, 2)
	shop.clock = 100
	erp.catchUp(shop.testLog, 1000)
	erp.enter(1, cutDay, "Known@example.com", "", "")
	erp.enter(2, cutDay, "double@example.com", "", "")
	erp.enter(3, cutDay, "double@example.com", "", "")
	erp.enter(2810, cutDay, "adopted@example.com", "", "")
	r, file := erp.check(cutDay)
	c := r.Customers
	if r.Adopt != 1 || c.Count != 4 || c.Known != 1 || c.Several != 1 || len(c.First) != 1 || !strings.Contains(c.First[0], "guest double@example.com fits the ERP's customers 2, 3 by email") ||
		c.Doubles.Count != 1 || c.Doubles.First[0] != "shared@example.com: accounts 7, 8" {
		t.Errorf("%+v", r)
	}
	if err := erp.goLive(cutDay, file); err != nil {
		t.Fatal(err)
	}
	shop.place(testOrder{lines: twoLines, email: "adopted@example.com"}, 2)
	shop.tick(2)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "4 customer_ambiguous", parkedList)
	erp.want("the next order is the same customer's", "4", "select o.customer_id from erp.sales_order o join spola.link l on l.erp_order = o.id order by l.order_id desc limit 1")
}

// An adopted order stays its customer's, and so are his next ones, also where the shop file matches nobody.
func TestAdoptedOrderKeepsItsCustomer(t *testing.T) {
	shop, erp := past(t)
	id := shop.place(testOrder{lines: []testLine{{42, 0, 1}}, email: "adopted@example.com"}, 2)
	shop.clock = 100
	erp.catchUp(shop.testLog, 1000)
	erp.enter(2810, cutDay, "adopted@example.com", "", "")
	_, file := erp.check(cutDay)
	if err := erp.goLive(cutDay, file); err != nil {
		t.Fatal(err)
	}
	shop.update("order", id, row{"email": "deleted@example.invalid"})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1)
	erp.want("made unknown in the shop: still adopted", "true", "select adopted from spola.link where order_id = $1", id)
	shop.edit(id, testOrder{lines: twoLines, email: "adopted@example.com"})
	shop.place(testOrder{lines: twoLines, email: "adopted@example.com"}, 2)
	shop.place(testOrder{lines: twoLines, email: "new@example.com"}, 2)
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("customers and totals", "1 14608, 1 14608, 2 14608", "select string_agg(customer_id || ' ' || total, ', ' order by id) from erp.sales_order")
	erp.want("adopted no more: it is what the shop has", "false", "select adopted from spola.link where order_id = $1", id)
}
