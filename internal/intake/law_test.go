package intake

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/clerk"
	"github.com/spola-cdc/spola/internal/stock"
)

// lawWorld is a shop, an ERP with a clerk, and the bridge between them, each at its own pace.
type lawWorld struct {
	*testERP
	r     *rapid.T
	shop  *testOpenCart
	clerk *clerk.Clerk
	ends  []int            // transactions behind which nobody is halfway through anything
	marks map[string]int64 // applied, by row of the marker in the shop
	ours  map[int64]int64  // orders that we have cancelled: how often
	floor bool             // the shop's columns can't go below zero

	numbers   map[string]int64 // of the entry that it was delivered by, by row of the marker
	warehouse int              // the one that the shop sells from; 0: all
}

// lawDeeds is what the clerk does, and how often.
var lawDeeds = map[string]int{"receive": 4, "count": 2, "sell": 3, "ship": 6, "ship part": 6, "cancel": 4, "close short": 4, "take back": 3}

// lawRows are the rows of the shop's stock that have an account.
var lawRows = []string{"product:31", "product:41", "product:42", "product:43", "option:17", "option:18"}

func newLawWorld(r *rapid.T, erp *testERP) *lawWorld {
	if erp.kept == nil {
		erp.exec("delete from erp.stock")
		for _, sku := range []string{"SHIRT-S", "SHIRT-M", "SHIRT-L"} {
			erp.exec("with p as (insert into erp.product (code, name) values ($1, $1) returning id) insert into erp.article (product_id, sku, name, vat_rate) select id, $1, $1, 22 from p", sku)
		}
		erp.exec("select erp.receive_goods(1::smallint, array(select row(a.id, 20 + a.id % 30)::erp.goods_in from erp.article a), '')")
	}
	conn, err := pgx.Connect(erp.t.Context(), erp.url)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = conn.Close(context.Background()) })
	c, err := clerk.New(conn, clerk.Options{Seed: uint64(rapid.IntRange(1, 1000).Draw(r, "clerk")), Deeds: lawDeeds})
	if err != nil {
		r.Fatal(err)
	}
	w := &lawWorld{testERP: erp, r: r, clerk: c}
	w.open()
	w.liveBehind(w.shop.txs)
	w.begin()
	return w
}

func (w *lawWorld) open() {
	profile, _ := testProfile(w.t)
	w.shop, w.marks, w.numbers, w.ours = newTestShop(profile), map[string]int64{}, map[string]int64{}, map[int64]int64{}
}

// begin maps what has sizes, for the shop is live.
func (w *lawWorld) begin() {
	for option, sku := range map[int]string{17: "SHIRT-S", 18: "SHIRT-L"} {
		w.exec("insert into spola.article (shop, product, variant, article, by) select $3, '50', $1::text, id, 'import' from erp.article where sku = $2", fmt.Sprint(option), sku, w.name)
	}
	w.end()
}

// another is a second shop on the same ERP, which sells from one warehouse and holds pieces back; its intake has a connection of its own.
func (w *lawWorld) another(name string, buffer int) *lawWorld {
	erp := &testERP{t: w.t, name: name, url: w.url}
	erp.connect()
	erp.reload(strings.Replace(testShopFile, "states:", fmt.Sprintf("stock: {buffer: %d, warehouses: [X]}\nstates:", buffer), 1))
	other := &lawWorld{testERP: erp, r: w.r, clerk: w.clerk, warehouse: 2}
	other.open()
	other.catchUp(other.shop.testLog, 1000)
	other.live()
	other.begin()
	return other
}

// asks is a question about this shop: {canonical} is its schema.
func (w *lawWorld) asks(query string, args ...any) string {
	w.t.Helper()
	return w.text(strings.ReplaceAll(query, "{canonical}", Schema(w.name)), args...)
}

// end notes that nobody is halfway through anything.
func (w *lawWorld) end() { w.ends = append(w.ends, len(w.shop.txs)) }

// shown is what a row of the shop's stock says.
func (w *lawWorld) shown(stockRow string) int64 {
	table, id := tableOf(stockRow)
	return toInt(w.shop.rows[table][id]["quantity"])
}

func tableOf(stockRow string) (table string, id int64) {
	kind, number, _ := strings.Cut(stockRow, ":")
	_, _ = fmt.Sscan(number, &id)
	if kind == "option" {
		return "product_option_value", id
	}
	return "product", id
}

// add adds pieces to a row as we do: an option's to its product too.
func (w *lawWorld) add(stockRow string, pieces int64) {
	table, id := tableOf(stockRow)
	w.shop.update(table, id, row{"quantity": w.shown(stockRow) + pieces})
	if table == "product_option_value" {
		w.add("product:50", pieces)
	}
}

// mark writes a row of our marker in the shop.
func (w *lawWorld) mark(name string, number, applied, owed int64) {
	note := "null"
	if owed != 0 {
		note = fmt.Sprintf("%q", fmt.Sprintf(`{"owed":%d,"why":"floor"}`, owed))
	}
	w.shop.record(change.Record{Op: change.Update, Table: "spola_marker", Schema: 1, Key: change.RowKey(nil, "spola_marker", []byte(fmt.Sprintf(`"name":%q`, name))),
		Value: []byte(fmt.Sprintf(`{"before":null,"after":{"name":%q,"generation":1,"number":%d,"applied":%d,"note":%s},"source":{},"op":"u","ts_ms":0,"ts_us":0,"transaction":null}`, name, number, applied, note))})
}

// apply has the bridge read on, all or up to any position of the log, in batches of some size.
func (w *lawWorld) apply(all bool) {
	to := len(w.shop.txs)
	if !all {
		to = rapid.IntRange(w.done, to).Draw(w.r, "up to")
	}
	part := *w.shop.testLog
	part.txs = w.shop.txs[:to]
	w.catchUp(&part, rapid.SampledFrom([]int{1, 7, 1000}).Draw(w.r, "batch"))
}

// settle is the reader of the ERP's log, which has seen everything.
func (w *lawWorld) settle() {
	w.exec(`select spola.settle($1, array(select article_id from spola.stock_account where shop = $1 and article_id is not null),
		array(select order_id from spola.link where shop = $1 and erp_order is not null), false)`, w.name)
}

// deliver brings what rows are owed into the shop: one transaction, with the marker.
func (w *lawWorld) deliver() {
	rows, err := w.conn.Query(w.t.Context(), "select a.stock_row, a.target, (select coalesce(max(l.no), 0) from spola.ledger l where l.shop = a.shop and l.stock_row = a.stock_row) from spola.stock_account a where a.shop = $1", w.name)
	if err != nil {
		w.r.Fatal(err)
	}
	type account struct {
		StockRow string
		Target   int64
		No       int64
	}
	accounts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[account])
	if err != nil {
		w.r.Fatal(err)
	}
	for _, a := range accounts {
		due := a.Target - w.marks[a.StockRow]
		d := due
		if w.floor {
			d = max(d, -w.shown(a.StockRow))
		}
		if due == 0 || rapid.IntRange(0, 3).Draw(w.r, "late") == 0 {
			continue
		}
		w.marks[a.StockRow] += d
		w.numbers[a.StockRow] = a.No
		w.shop.together(func() {
			w.mark(a.StockRow, a.No, w.marks[a.StockRow], due-d)
			w.add(a.StockRow, d)
		})
		w.end()
	}
}

// writeCancelled cancels in the shop what the ERP has cancelled: state, history and marker, and no pieces.
func (w *lawWorld) writeCancelled() {
	rows, err := w.conn.Query(w.t.Context(), "select l.order_id from spola.link l join erp.sales_order o on o.id = l.erp_order where l.shop = $1 and not l.deleted and o.state = 'cancelled' and o.cancelled_by = 'clerk' order by 1", w.name)
	if err != nil {
		w.r.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		w.r.Fatal(err)
	}
	for _, id := range ids {
		if w.shop.rows["order"][id] == nil || !slices.Contains(testConsuming, toInt(w.shop.rows["order"][id]["order_status_id"])) {
			continue
		}
		w.ours[id]++
		w.shop.together(func() {
			w.mark(fmt.Sprintf("order.%d", id), w.ours[id], 0, 0)
			w.shop.update("order", id, row{"order_status_id": 7})
			w.shop.insert("order_history", row{"order_id": id, "order_status_id": 7, "notify": 1, "comment": "", "date_added": w.shop.now()})
		})
		w.end()
	}
}

// watch is a run of reconciliation, with the shop at work meanwhile or not.
func (w *lawWorld) watch(meanwhile func()) stock.Run {
	run, err := stock.Reconcile(w.t.Context(), w.conn, w.name, Schema(w.name), stock.Options{Tick: func(context.Context) error {
		meanwhile()
		w.shop.tick(1)
		w.end()
		w.apply(true)
		return nil
	}})
	if err != nil {
		w.r.Fatal(err)
	}
	return run
}

// written are rows of stock that are written by what is halfway where the bridge has read to: of an order that the shop still places, edits or cancels.
func (w *lawWorld) written() []string {
	end := slices.IndexFunc(w.ends, func(end int) bool { return end >= w.done })
	if end <= 0 || w.ends[end] == w.done {
		return []string{}
	}
	rows := []string{}
	for _, tx := range w.shop.txs[w.ends[end-1]:w.ends[end]] {
		for _, r := range tx {
			if table, ok := strings.CutPrefix(r.Table, testPrefix); ok && (table == "product" || table == "product_option_value") {
				_, id, _ := strings.Cut(string(r.Key), `_id":`)
				rows = append(rows, map[string]string{"product": "product:", "product_option_value": "option:"}[table]+strings.TrimRight(id, "}]"))
			}
		}
	}
	return rows
}

// law tells which rows break the law where nothing is unsettled.
func (w *lawWorld) law() string {
	return w.asks(`select string_agg(format('%s shows %s + consumed %s - released %s, published %s - undelivered %s: drift %s', stock_row, shown, consumed, released, published, undelivered, drift), e'\n')
		from {canonical}.law l where drift <> 0 and stock_row <> all ($1) and stock_row not in (select stock_row from {canonical}.unsettled)`, w.written())
}

// act lets somebody do something. strays: also what leaves drift behind.
func (w *lawWorld) act(strays bool) (what string) {
	acts := []string{"place", "place", "place", "place", "apply", "apply", "apply", "apply", "apply", "deliver", "deliver", "settle", "settle",
		"clerk", "clerk", "clerk", "clerk", "cancel", "state", "edit", "tick", "tick", "our status"}
	if strays {
		acts = append(acts, "deny", "delete", "by hand", "reconcile", "reconcile", "setting")
	}
	what = rapid.SampledFrom(acts).Draw(w.r, "act")
	var open []int64
	for _, id := range slices.Sorted(maps.Keys(w.shop.rows["order"])) {
		if slices.Contains(testConsuming, toInt(w.shop.rows["order"][id]["order_status_id"])) {
			open = append(open, id)
		}
	}
	some := func() int64 { return rapid.SampledFrom(open).Draw(w.r, "order") }
	if len(open) == 0 && slices.Contains([]string{"cancel", "state", "edit", "deny", "delete"}, what) {
		what = "place"
	}
	switch what {
	case "place":
		w.place(rapid.SampledFrom([]int64{1, 1, 2}).Draw(w.r, "state"))
	case "cancel":
		w.shop.setState(some(), 7)
	case "state":
		w.shop.setState(some(), rapid.SampledFrom([]int64{1, 2, 3}).Draw(w.r, "state"))
	case "edit":
		if !w.floor {
			w.shop.edit(some(), w.order())
		}
	case "deny":
		id := some()
		w.shop.update("order", id, row{"order_status_id": 8})
		w.shop.insert("order_history", row{"order_id": id, "order_status_id": 8, "notify": 0, "comment": "", "date_added": w.shop.now()})
	case "delete":
		w.shop.remove(some())
	case "by hand":
		on := rapid.SampledFrom(lawRows).Draw(w.r, "row")
		table, id := tableOf(on)
		w.shop.update(table, id, row{"quantity": max(0, w.shown(on)+int64(rapid.IntRange(-4, 4).Draw(w.r, "pieces")))})
	case "tick":
		w.shop.tick(rapid.IntRange(1, 4).Draw(w.r, "ticks"))
	case "apply":
		w.apply(false)
	case "settle":
		w.settle()
	case "deliver":
		w.deliver()
	case "our status":
		w.writeCancelled()
	case "setting":
		w.setting()
	case "reconcile":
		w.watch(func() {
			if rapid.Bool().Draw(w.r, "busy") {
				w.place(1)
			}
		})
	case "clerk":
		if _, err := w.clerk.Step(w.t.Context()); err != nil {
			w.r.Fatal(err)
		}
	}
	w.end()
	return what
}

// setting changes what decides about a row's account.
func (w *lawWorld) setting() {
	switch rapid.IntRange(0, 3).Draw(w.r, "setting") {
	case 0:
		w.shop.update("product", 42, row{"subtract": rapid.IntRange(0, 1).Draw(w.r, "subtract")})
	case 1:
		w.exec(`insert into spola.stock_setting (shop, sku, buffer, left_out) values ($3, 'SP-31', $1, $2)
			on conflict (shop, sku) do update set buffer = excluded.buffer, left_out = excluded.left_out`, rapid.IntRange(0, 5).Draw(w.r, "buffer"), rapid.Bool().Draw(w.r, "left out"), w.name)
	default:
		w.exec("update spola.article set article = (select id from erp.article where sku = $2) where shop = $3 and product = '50' and variant = $1",
			rapid.SampledFrom([]string{"17", "18"}).Draw(w.r, "option"), rapid.SampledFrom([]string{"SHIRT-S", "SHIRT-M", "SHIRT-L"}).Draw(w.r, "sku"), w.name)
	}
}

// place places an order, unless a shop that can't go below zero has too few.
func (w *lawWorld) place(state int64) {
	o := w.order()
	for _, l := range o.lines {
		on := fmt.Sprintf("product:%d", l.product)
		if l.option > 0 {
			on = fmt.Sprintf("option:%d", l.option)
		}
		if w.floor && w.shown(on) < 2*l.quantity { // another line may ask for it too
			return
		}
	}
	w.shop.place(o, state)
}

func (w *lawWorld) order() testOrder {
	o := testOrder{method: rapid.SampledFrom([]string{"cod.cod", "bank_transfer.bank_transfer"}).Draw(w.r, "method")}
	for range rapid.IntRange(1, 2).Draw(w.r, "lines") {
		l := testLine{product: rapid.SampledFrom([]int64{31, 41, 42, 50}).Draw(w.r, "product"), quantity: int64(rapid.IntRange(1, 4).Draw(w.r, "pieces"))}
		if l.product == 50 {
			l.option = rapid.SampledFrom([]int64{17, 18}).Draw(w.r, "option")
		}
		o.lines = append(o.lines, l)
	}
	return o
}

// rest lets everybody finish: in the end each row shows what the ERP can promise less what is in flight.
func (w *lawWorld) rest(strays bool) {
	for range 4 {
		w.shop.tick(4)
		w.end()
		w.apply(true)
		w.writeCancelled()
		w.shop.tick(4)
		w.end()
		w.apply(true)
		w.settle()
		w.watch(func() {})
		for range 8 {
			w.deliver()
		}
		w.apply(true)
	}
	wrong := w.asks(`select string_agg(to_jsonb(l)::text, e'\n') from {canonical}.law l
		where drift <> 0 or unpublished <> 0 or shown <> case when $1 then greatest(0, available - in_flight) else available - in_flight end or undelivered <> case when $1 then least(0, available - in_flight) else 0 end`, w.floor)
	if wrong != "" {
		w.r.Fatalf("at rest:\n%s\n%s", wrong, w.text("select string_agg(concat_ws(' ', no, stock_row, cause, pieces, target, detail), e'\n' order by no) from spola.ledger"))
	}
	w.compare(strays)
	for _, stockRow := range lawRows {
		why := w.asks("select coalesce(x.why_not, case when l.article_id is distinct from x.article then 'has another account' else 'account' end) from {canonical}.stock_article x left join {canonical}.law l using (stock_row) where stock_row = $1", stockRow)
		if !slices.Contains([]string{"account", "untracked", "left_out", "shared"}, why) || !strays && why != "account" {
			w.r.Fatalf("%s: %s\n%s\n%s", stockRow, why, w.asks("select string_agg(to_jsonb(l)::text, e'\\n') from {canonical}.law l"), w.asks("select string_agg(to_jsonb(l)::text, e'\\n') from {canonical}.stock_article l"))
		}
	}
	if broken := w.text("select string_agg(b, e'\n') from (" + clerk.Broken + ") x(b)"); broken != "" {
		w.r.Fatalf("the ERP: %s", broken)
	}
}

// compare works out from the shop's orders and the ERP's tables alone what each product ought to show, and tells which does not:
// what is on hand, less what is committed and held back, less what the shop has sold and the ERP does not count.
func (w *lawWorld) compare(strays bool) {
	for _, product := range []int64{31, 41, 42, 43} {
		on := fmt.Sprintf("product:%d", product)
		if w.asks("select coalesce(why_not, '') from {canonical}.stock_article where stock_row = $1", on) != "" || strays && product == 42 {
			continue // not written, or was not for a while
		}
		var free int64
		_, _ = fmt.Sscan(w.text(`select coalesce(sum(s.on_hand - s.committed), 0) - coalesce((select x.buffer from spola.stock_setting x where x.shop = $2 and x.sku = $1), (select x.stock_buffer from spola.shop x where x.shop = $2))
			from erp.stock s join erp.article a on a.id = s.article_id where a.sku = $1 and ($3 = 0 or s.warehouse_id = $3)`, testProducts[product].model, w.name, w.warehouse), &free)
		for id, o := range w.shop.rows["order"] {
			if !slices.Contains(testConsuming, toInt(o["order_status_id"])) {
				continue
			}
			var sold, counted int64
			for _, l := range w.shop.lines[id] {
				if l.product == product {
					sold += l.quantity
				}
			}
			state := w.text("select state from erp.sales_order where shop = $2 and shop_number = $1", fmt.Sprint(id), w.name)
			_, _ = fmt.Sscan(w.text(`select coalesce(sum(l.shipped + coalesce((select sum(c.quantity) from erp.commitment c where c.order_id = l.order_id and c.line = l.line), 0)), 0)
				from erp.order_line l join erp.sales_order o on o.id = l.order_id join erp.article a on a.id = l.article_id
				where o.shop = $3 and o.shop_number = $1 and a.sku = $2`, fmt.Sprint(id), testProducts[product].model, w.name), &counted)
			if state != "closed_short" {
				free -= max(0, sold-counted)
			}
		}
		if w.floor {
			free = max(0, free)
		}
		if w.shown(on) != free {
			w.r.Fatalf("%s shows %d, there are %d", on, w.shown(on), free)
		}
	}
}

// The law holds at every position of the log, whatever shop, clerk and bridge do, and nothing is left to repair.
func TestLaw(t *testing.T) {
	fewer(t, "10")
	erp := newTestERP(t)
	rapid.Check(t, func(r *rapid.T) {
		w := newLawWorld(r, erp)
		w.watch(func() {})
		for range rapid.IntRange(20, 60).Draw(r, "steps") {
			what := w.act(false)
			if broken := w.law(); broken != "" {
				r.Fatalf("behind %s:\n%s", what, broken)
			}
		}
		w.rest(false)
		if n := w.text("select count(*) from spola.ledger where cause = 'repair'"); n != "0" {
			r.Fatalf("%s repairs where nothing strayed", n)
		}
	})
}

// Two shops sell the same goods, one of them from one warehouse, and it holds pieces back. Each has its own log, ledger and law: what one sells reaches the other by
// the ERP's log alone, and in the end each shows what there is less what is in flight from itself.
func TestLawOfTwoShops(t *testing.T) {
	fewer(t, "5")
	erp := newTestERP(t)
	erp.exec("insert into erp.warehouse (id, code, name, web_rank) values (2, 'X', 'Second', 2)")
	rapid.Check(t, func(r *rapid.T) {
		shop := newLawWorld(r, erp)
		erp.exec("select erp.receive_goods(2::smallint, array(select row(a.id, 10 + a.id % 20)::erp.goods_in from erp.article a), '')")
		shops := []*lawWorld{shop, shop.another("outlet", 2)}
		for _, w := range shops {
			w.watch(func() {})
		}
		for range rapid.IntRange(20, 60).Draw(r, "steps") {
			at := rapid.IntRange(0, 1).Draw(r, "shop")
			had := ledgerOf(shops[1-at])
			what := shops[at].act(false)
			for _, w := range shops {
				if broken := w.law(); broken != "" {
					r.Fatalf("%s, behind %s at %s:\n%s", w.name, what, shops[at].name, broken)
				}
			}
			if has := ledgerOf(shops[1-at]); has != had {
				r.Fatalf("%s at %s made entries for %s: %s, then %s", what, shops[at].name, shops[1-at].name, had, has)
			}
		}
		for _, w := range shops {
			w.rest(false) // the first shows its sales to the second
		}
		for _, w := range shops {
			w.rest(false)
		}
		if n := shop.text("select count(*) from spola.ledger where cause = 'repair'"); n != "0" {
			r.Fatalf("%s repairs where nothing strayed", n)
		}
	})
}

// ledgerOf is how many entries a shop's ledger has, and the last one's number.
func ledgerOf(w *lawWorld) string {
	return w.text("select count(*) || ' to ' || coalesce(max(no), 0) from spola.ledger where shop = $1", w.name)
}

// What strays (edits by hand, denied orders that keep their pieces, orders deleted in the shop) is repaired; and in the end
// no row shows more than there is.
func TestDriftIsRepaired(t *testing.T) {
	fewer(t, "10")
	erp := newTestERP(t)
	rapid.Check(t, func(r *rapid.T) {
		w := newLawWorld(r, erp)
		w.floor = rapid.Bool().Draw(r, "floor")
		w.watch(func() {})
		for range rapid.IntRange(20, 60).Draw(r, "steps") {
			w.act(true)
		}
		w.rest(true)
	})
}

// fewer plays fewer histories than other properties have: one of these is long.
func fewer(t *testing.T, to string) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	had := checks.Value.String()
	if had != "40" {
		return // asked for on the command line
	}
	if err := checks.Value.Set(to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(had) })
}
