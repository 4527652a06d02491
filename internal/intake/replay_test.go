package intake

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

// replayed derives orders again, all that are known if none is named.
func (e *testERP) replayed(how Replaying, orders ...int64) Replayed {
	e.t.Helper()
	r, err := e.tryReplay(e.t.Context(), how, orders...)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

func (e *testERP) tryReplay(ctx context.Context, how Replaying, orders ...int64) (Replayed, error) {
	// As a verb does: on its own connection, and with an intake of its own.
	conn, err := postgres.Connect(ctx, e.url, "replay")
	if err != nil {
		return Replayed{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	is := e.effect.intake // which may be at work: only what it was made of is read
	own := Intake{shop: is.shop, prefix: is.prefix, file: is.file, profile: is.profile, platform: is.platform, derive: is.derive, awake: is.awake, bring: is.bring, stock: is.stock}
	if len(orders) == 0 {
		if orders, err = own.KnownOrders(ctx, conn, 1, 1e9); err != nil {
			return Replayed{}, err
		}
	}
	how.By = By{Who: "dana@office", Reason: "a test"}
	return own.Replay(ctx, conn, orders, how)
}

// outcomes lists what a replay found: order and outcome, with its reason.
func (r Replayed) outcomes() string {
	var all []string
	for _, f := range r.Found {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%d %s %s", f.Order, f.Outcome, f.Reason)))
	}
	return strings.Join(all, ", ")
}

// everything is all that a replay must not touch where nothing differs: the mirror to the last column, what has left and what was issued,
// who was mailed, and all of the ERP's orders.
const everything = `select md5(concat_ws('|',
	(select string_agg(md5(x::text), '' order by x::text) from mirror_shop.oc_order x),
	(select string_agg(md5(x::text), '' order by x::text) from mirror_shop.oc_order_product x),
	(select string_agg(md5(x::text), '' order by x::text) from mirror_shop.oc_order_total x),
	(select string_agg(md5(x::text), '' order by x::text) from mirror_shop.oc_order_history x),
	(select string_agg(md5(x::text), '' order by x::text) from mirror_shop.oc_product x),
	(select string_agg(md5(x::text), '' order by x::text) from mirror_shop.spola_marker x),
	(select string_agg(x::text, '' order by x::text) from erp.shipment x), (select string_agg(x::text, '' order by x::text) from erp.document x),
	(select string_agg(x::text, '' order by x::text) from erp.counter x), (select string_agg(x::text, '' order by x::text) from spola.mail x),
	(select string_agg(x::text, '' order by x::text) from erp.sales_order x), (select string_agg(x::text, '' order by x::text) from erp.order_line x),
	(select string_agg(x::text, '' order by x::text) from erp.order_charge x), (select string_agg(x::text, '' order by x::text) from erp.order_vat x),
	(select string_agg(x::text, '' order by x::text) from erp.order_payment x), (select string_agg(x::text, '' order by x::text) from erp.commitment x),
	(select string_agg(x::text, '' order by x::text) from erp.stock x), (select string_agg(x::text, '' order by x::text) from erp.customer x),
	(select string_agg(concat_ws(' ', order_id, incarnation, reference, status, erp_order, state, class, revision, content, consuming, deleted, decision, adopted), '' order by order_id, incarnation) from spola.link),
	(select string_agg(x::text, '' order by x::text) from spola.consumption x), (select string_agg(x::text, '' order by x::text) from spola.stock_total x)))`

// damaged is a live shop of which some orders are not in the ERP as they are derived, one for each way in which that can be.
func damaged(t *testing.T) (*testOpenCart, *testERP) {
	shop, erp := bothLive(t)
	erp.hasPlace()
	o := testOrder{lines: twoLines}
	for range 17 {
		shop.place(o, 1)
	}
	shop.edit(15, testOrder{lines: []testLine{{31, 0, 3}}})
	shop.setState(16, 7)
	erp.catchUp(shop.testLog, 1000)
	erp.exec("select erp.ship_order(erp_order) from spola.link where order_id in (4, 5, 6)")
	erp.exec("select erp.cancel_order(erp_order, 'no longer made') from spola.link where order_id = 14")
	shop.edit(5, testOrder{lines: []testLine{{31, 0, 3}}})          // behind the shipment: parked
	shop.edit(6, testOrder{lines: []testLine{{31, 0, 3}}})          // likewise, and a person decides
	shop.setState(8, 7)                                             // cancelled
	parked := shop.begin(testOrder{lines: []testLine{{50, 17, 1}}}) // 18: has no article
	shop.setState(parked, 1)
	shop.remove(12)
	shop.tick(8)
	erp.catchUp(shop.testLog, 1000)
	if said := erp.decide(6, KeepERP); said != "" {
		t.Fatal(said)
	}
	damage := func(sql string, orders ...int64) {
		t.Helper()
		for _, order := range orders {
			erp.exec(sql, order)
		}
	}
	const ofLink = "(select erp_order from spola.link where order_id = $1)"
	damage("update erp.sales_order set shipping.street = 'Via Nuova 7', note = 'ring at the gate' where id = "+ofLink, 2)                                // a person's edit
	damage("update erp.order_line set name = 'as agreed' where order_id = "+ofLink, 4)                                                                   // likewise, of one that has left
	damage("update erp.order_line set name = 'wrong' where line = 1 and order_id = "+ofLink, 7)                                                          // an edit that never came:
	damage("update spola.link set content = 'another', revision = 0 where order_id = $1", 7)                                                             //   the link knows nothing of it
	damage("update erp.sales_order set state = 'open', cancelled_by = null where id = "+ofLink, 8)                                                       // a cancellation that never came
	damage("update spola.link set status = 'imported', state = '1', class = 'taken' where order_id = $1", 8)                                             //   neither here
	damage("with o as (delete from erp.sales_order where id = "+ofLink+" returning id) delete from erp.order_line l using o where l.order_id = o.id", 9) // lost in the ERP
	damage("delete from erp.commitment where not exists (select from erp.sales_order o where o.id = order_id) and $1 > 0", 9)
	damage("with o as (delete from erp.sales_order where id = "+ofLink+" returning id) delete from erp.order_line l using o where l.order_id = o.id", 10) // lost in both
	damage("delete from erp.commitment where not exists (select from erp.sales_order o where o.id = order_id) and $1 > 0", 10)
	damage("delete from spola.link where order_id = $1", 10, 11) // 11: only the link is lost
	damage("delete from spola.consumption where order_id = $1", 10, 11)
	erp.exec("update spola.stock_total t set k = (select coalesce(sum(c.pieces), 0) from spola.consumption c where c.stock_row = t.stock_row)")
	damage("update spola.link set deleted = false where order_id = $1", 12)
	damage("update spola.link set adopted = true where order_id = $1", 13) // entered by hand: other words
	damage("update erp.order_line set name = 'by hand' where order_id = "+ofLink, 13)
	shop.setState(17, 16) // in the middle of an edit
	erp.catchUp(shop.testLog, 1000)
	return shop, erp
}

// hasPlace gives the tests' intake the place that a replay takes turns by.
func (e *testERP) hasPlace() {
	e.t.Helper()
	e.exec("insert into spola.place (applier, source) values ('intake', $1) on conflict do nothing", testShop)
}

const damagedOutcomes = "2 differs edited, 4 differs edited, 5 parked shipped, 6 decided, 7 edit, 8 cancel, 9 differs edited, 10 import, 11 link, 12 deleted, 13 decided, 17 changing, 18 parked unknown_article"

// What an order took from the shop's stock is shown where it would be counted otherwise, and counted by the replay as the dry run has shown; the ERP's
// order, which is right, is not touched.
func TestReplayCountsStock(t *testing.T) {
	shop, erp := bothLive(t)
	erp.hasPlace()
	for range 3 {
		shop.place(testOrder{lines: twoLines}, 1)
	}
	shop.place(testOrder{lines: []testLine{{31, 0, 5}}}, 1)
	shop.setState(4, 7)
	shop.tick(8)
	erp.catchUp(shop.testLog, 1000)
	right, orders := erp.text(consumed), erp.text("select string_agg(x::text, '' order by x::text) from erp.sales_order x")
	erp.exec("update spola.consumption set pieces = pieces + 4 where order_id = 1 and stock_row = 'product:31'")
	erp.exec("delete from spola.consumption where order_id = 2")
	erp.exec("update spola.stock_total t set k = (select coalesce(sum(c.pieces), 0) from spola.consumption c where c.stock_row = t.stock_row)")
	wrong := erp.text(consumed)

	dry := erp.replayed(Replaying{DryRun: true})
	if dry.outcomes() != "1 recount, 2 recount" || dry.Differs() != 2 || erp.text(consumed) != wrong {
		t.Fatalf("the dry run finds %s", dry.outcomes())
	}
	words := func(f Found) string {
		var all []string
		for _, w := range f.Differences {
			all = append(all, fmt.Sprintf("%s: %s -> %s", w.Field, textOf(w.ERP), textOf(w.Derived)))
		}
		return strings.Join(all, "; ")
	}
	if got, want := words(dry.Found[0]), "taken from the shop's stock, product:31: 6 -> 2"; got != want {
		t.Errorf("order 1: %q, want %q", got, want)
	}
	if got := words(dry.Found[1]); !strings.Contains(got, "taken from the shop's stock, product:31: nothing -> 2") {
		t.Errorf("order 2: %q", got)
	}
	done := erp.replayed(Replaying{})
	if done.outcomes() != dry.outcomes() {
		t.Errorf("done is %s, shown was %s", done.outcomes(), dry.outcomes())
	}
	if got := erp.text(consumed); got != right {
		t.Errorf("counted is\n%s\nwant\n%s", got, right)
	}
	if got := erp.text("select string_agg(x::text, '' order by x::text) from erp.sales_order x"); got != orders {
		t.Errorf("the ERP's orders are\n%s\nwere\n%s", got, orders)
	}
	if again := erp.replayed(Replaying{}); len(again.Found) > 0 {
		t.Errorf("a second replay finds %s", again.outcomes())
	}
	if got := erp.text("select string_agg(format('%s %s', order_id, decision), ', ' order by order_id) from spola.audit where verb = 'replay'"); got != "1 recount, 2 recount" {
		t.Errorf("on record is %q", got)
	}
}

// consumed is all that orders took from the shop's stock, and its sums.
const consumed = `select concat_ws(' | ', (select string_agg(format('%s %s %s', order_id, stock_row, pieces), ', ' order by order_id, line, stock_row) from spola.consumption),
	(select string_agg(format('%s %s', stock_row, k), ', ' order by stock_row) from spola.stock_total where k <> 0))`

// A dry run shows what differs and changes nothing; a replay does what the dry run has shown, the way intake does it: a person's edit in the
// ERP stands and is asked about, nothing that has left is touched, and a second replay finds nothing to do.
func TestReplayBringsWhatDiffers(t *testing.T) {
	_, erp := damaged(t)
	before := erp.text(everything)
	dry := erp.replayed(Replaying{DryRun: true, AtOnce: 3}) // over two connections
	if got := dry.outcomes(); got != damagedOutcomes {
		t.Errorf("found  %s\nwanted %s", got, damagedOutcomes)
	}
	if dry.Orders != 18 || dry.Same != 5 || dry.Differs() != 7 {
		t.Errorf("%d orders, %d the same, %d differ", dry.Orders, dry.Same, dry.Differs())
	}
	words := map[int64]string{}
	for _, f := range dry.Found {
		for _, w := range f.Differences {
			words[f.Order] += fmt.Sprintf("%s: %s → %s; ", w.Field, textOf(w.ERP), textOf(w.Derived))
		}
	}
	for order, want := range map[int64]string{
		2: "note: ring at the gate → ; shipping street: Via Nuova 7 → Via Roma & Co. 1; ",
		7: `line 1 name: wrong → Schermo 30" & più; `,
	} {
		if words[order] != want {
			t.Errorf("order %d: %s, want %s", order, words[order], want)
		}
	}
	if after := erp.text(everything); after != before {
		t.Fatal("a dry run has changed something")
	}
	mirror := erp.text("select string_agg(md5(x::text), '' order by x::text) from mirror_shop.oc_order x")
	done := erp.replayed(Replaying{})
	if got := done.outcomes(); got != damagedOutcomes {
		t.Errorf("done   %s\nwanted %s", got, damagedOutcomes)
	}
	const ofLink = "(select erp_order from spola.link where order_id = %d)"
	erp.want("a person's edit", "Via Nuova 7 ring at the gate", "select (shipping).street || ' ' || note from erp.sales_order where id = "+fmt.Sprintf(ofLink, 2))
	erp.want("what has left", "as agreed", "select min(name) from erp.order_line where order_id = "+fmt.Sprintf(ofLink, 4))
	erp.want("the edit that never came", `Schermo 30" & più`, "select min(name) from erp.order_line where order_id = "+fmt.Sprintf(ofLink, 7))
	erp.want("the cancellation that never came", "cancelled", "select state from erp.sales_order where id = "+fmt.Sprintf(ofLink, 8))
	erp.want("what was lost", "14608 2", "select o.total || ' ' || count(*) from erp.sales_order o join erp.order_line l on l.order_id = o.id where o.shop_number = '10' group by o.total")
	erp.want("what was linked", "true", "select erp_order is not null from spola.link where order_id = 11")
	erp.want("parked", "2 edited, 4 edited, 5 shipped, 9 edited, 18 unknown_article", parkedList)
	erp.want("what a person is told", "It differs in note, shipping street.", "select what from spola.parked where order_id = 2")
	erp.want("who has done it", "2 parked: edited, 4 parked: edited, 7 edit, 8 cancel, 9 parked: edited, 10 import, 11 link",
		"select string_agg(order_id || ' ' || decision, ', ' order by order_id) from spola.audit where verb = 'replay' and who = 'dana@office' and reason = 'a test'")
	erp.want("no word of a customer is kept with it", "", "select min(detail::text) from spola.audit where detail::text like '%Nuova%'")
	erp.want("the mirror", mirror, "select string_agg(md5(x::text), '' order by x::text) from mirror_shop.oc_order x")
	erp.want("twice in the ERP", "", "select string_agg(n, ', ') from (select shop_number as n from erp.sales_order group by shop_number having count(*) > 1) x")
	erp.recounted()

	// Again: nothing is done, nobody is asked twice.
	before = erp.text(everything)
	again := erp.replayed(Replaying{})
	const left = "2 asked edited, 4 asked shipped, 5 parked shipped, 6 decided, 9 asked unknown, 13 decided, 17 changing, 18 parked unknown_article"
	if got := again.outcomes(); got != left {
		t.Errorf("again  %s\nwanted %s", got, left)
	}
	if after := erp.text(everything); after != before {
		t.Error("a second replay has changed something")
	}
	erp.want("asked once", "1", "select max(attempts) from spola.parked where reason = 'edited'")
	erp.want("decisions", "7", "select count(*) from spola.audit where verb = 'replay'")

	// A person decides; that holds.
	if said := erp.decide(2, KeepERP); said != "" {
		t.Fatal(said)
	}
	if got := erp.replayed(Replaying{}, 2).outcomes(); got != "2 decided" {
		t.Errorf("decided: %s", got)
	}
	erp.want("a person's edit", "Via Nuova 7", "select (shipping).street from erp.sales_order where id = "+fmt.Sprintf(ofLink, 2))
}

func textOf(text *string) string {
	if text == nil {
		return "nothing"
	}
	return *text
}

// recounted holds the sums of consumption and of commitments against what they are sums of.
func (e *testERP) recounted() {
	e.t.Helper()
	e.want("totals that are not the sum of their consumption", "", `select string_agg(stock_row, ', ') from (
		select stock_row, sum(pieces) as k from spola.consumption where stock_row <> '' group by stock_row) c
		full join spola.stock_total t using (stock_row) where coalesce(c.k, 0) <> coalesce(t.k, 0)`)
}

// With --take-shop what differs is brought, but for what has left or was cancelled in the ERP: a person is asked about that.
func TestReplayTakesTheShopsVersion(t *testing.T) {
	_, erp := damaged(t)
	erp.replayed(Replaying{}) // some are asked about already
	done := erp.replayed(Replaying{TakeShop: true}, 2, 4, 9, 13, 6)
	if got := done.outcomes(); got != "2 taken, 4 asked shipped, 6 decided, 9 asked unknown, 13 decided" {
		t.Errorf("taken: %s", got)
	}
	erp.want("taken", "Via Roma & Co. 1", "select (shipping).street from erp.sales_order where id = (select erp_order from spola.link where order_id = 2)")
	erp.want("parked", "4 edited, 5 shipped, 9 edited, 18 unknown_article", parkedList)
	erp.want("who has taken it", "taken", "select decision from spola.audit where order_id = 2 order by id desc limit 1")
	erp.exec("update erp.order_line set name = 'another' where order_id = (select erp_order from spola.link where order_id = 1)")
	erp.exec("select erp.ship_order(erp_order) from spola.link where order_id = 1")
	if got := erp.replayed(Replaying{TakeShop: true}, 1).outcomes(); got != "1 differs shipped" {
		t.Errorf("one that has left: %s", got)
	}
	erp.want("one that has left", "another", "select min(name) from erp.order_line where order_id = (select erp_order from spola.link where order_id = 1)")
	erp.want("parked", "1 shipped, 4 edited, 5 shipped, 9 edited, 18 unknown_article", parkedList)
}

// What the shop file says now is what orders are derived by: they differ, and nothing of it comes into the ERP unless a person says so. Of many
// that wait for a person none counts among those for which the stream stops.
func TestReplayBehindAnotherShopFile(t *testing.T) {
	shop, erp := bothLive(t)
	erp.hasPlace()
	for range 30 {
		shop.place(testOrder{lines: twoLines, group: 2, country: 81}, 1)
	}
	erp.catchUp(shop.testLog, 1000)
	const natures = "select string_agg(distinct vat_nature, ' ') from erp.order_vat"
	erp.want("natures", "N3.2", natures)
	changed := strings.Replace(testShopFile, "nature: N3.2", "nature: N3.1", 1)
	file, err := ParseShopFile([]byte(changed))
	if err != nil {
		t.Fatal(err)
	}
	erp.effect.intake.file = file
	if _, err := erp.tryReplay(t.Context(), Replaying{DryRun: true}); !errors.Is(err, ErrNoReplay) || !strings.Contains(err.Error(), "shop file has changed") {
		t.Errorf("by a shop file that no applier has read: %v", err)
	}
	erp.reload(changed)
	shop.tick(1)
	erp.catchUp(shop.testLog, 1000)
	if r := erp.replayed(Replaying{DryRun: true}); r.Outcomes["differs"] != 30 || r.Orders != 30 {
		t.Errorf("dry run: %+v", r.Outcomes)
	}
	erp.replayed(Replaying{})
	erp.want("natures", "N3.2", natures)
	erp.want("parked", "30", "select count(*) from spola.parked where reason = 'edited'")
	shop.place(testOrder{lines: []testLine{{50, 17, 1}}}, 1) // an order that is parked, live: 31 would stop the stream
	erp.catchUp(shop.testLog, 1000)
	if r := erp.replayed(Replaying{TakeShop: true}); r.Outcomes["taken"] != 30 {
		t.Errorf("taken: %+v", r.Outcomes)
	}
	erp.want("natures", "N3.1", natures)
	erp.want("parked", "31 unknown_article", parkedList)
	if r := erp.replayed(Replaying{DryRun: true}); r.Differs() != 0 || r.Same != 30 {
		t.Errorf("behind it: %+v", r.Outcomes)
	}
}

// One that is ended halfway and begun again gives the same as one that went through.
func TestReplayIsEndedHalfway(t *testing.T) {
	_, through := damaged(t)
	through.replayed(Replaying{})
	want := through.text(outcome)
	_, erp := damaged(t)
	for end := range 18 {
		ctx, cancel := context.WithCancel(t.Context())
		behind := int64(0)
		_, err := erp.tryReplay(ctx, Replaying{AtOnce: 1, Behind: func(order int64) {
			if behind = order; order > int64(end) {
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) && behind != 18 {
			t.Fatalf("ended behind order %d: %v", behind, err)
		}
	}
	if got := erp.text(outcome); got != want {
		t.Errorf("begun again and again\n%s\nwent through\n%s", got, want)
	}
	erp.want("decisions", through.text("select count(*) from spola.audit"), "select count(*) from spola.audit")
	erp.recounted()
}

// Where orders can't be derived again a replay says so and does nothing.
func TestReplayIsRefused(t *testing.T) {
	profile, _ := testProfile(t)
	shop, erp := newTestShop(profile), newTestERP(t)
	refused := func(how Replaying, words string) {
		t.Helper()
		if _, err := erp.tryReplay(t.Context(), how, 1); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
	refused(Replaying{}, "is not known")
	erp.hasPlace()
	erp.catchUp(shop.testLog, 1000)
	shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1000)
	refused(Replaying{DryRun: true}, "only observed")
	erp.live()
	erp.exec("update spola.place set paused_at = now()")
	refused(Replaying{}, "paused")
	erp.replayed(Replaying{DryRun: true}, 1)
	erp.exec("update spola.place set paused_at = null; update spola.mirror set snapshot_done = false")
	refused(Replaying{DryRun: true}, "not whole yet")
	erp.exec("update spola.mirror set snapshot_done = true; update spola.shop set installed = 'another'")
	refused(Replaying{DryRun: true}, "another version of Spola")
	erp.want("orders", "0", "select count(*) from erp.sales_order")
}

// Whatever happens in the shop, and wherever replays of all its orders come in between, the ERP has what it has without them.
func TestReplaysBetweenBatches(t *testing.T) {
	profile, _ := testProfile(t)
	alone, between := newTestERP(t), newTestERP(t)
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == "40" { // a history costs a second and more
		_ = checks.Value.Set("8") // it is a number
		defer func() { _ = checks.Value.Set("40") }()
	}
	rapid.Check(t, func(r *rapid.T) {
		shop := newTestShop(profile)
		base := len(shop.txs)
		playHistory(r, shop)
		size := rapid.SampledFrom([]int{7, 60}).Draw(r, "batch")
		history := shop.txs
		for _, erp := range []*testERP{alone, between} {
			erp.liveBehind(history[:base])
			erp.hasPlace()
		}
		alone.catchUp(shop.testLog, size)
		for range 3 {
			shop.txs = history[:rapid.IntRange(max(base, between.done), len(history)).Draw(r, "replay behind")]
			between.catchUp(shop.testLog, size)
			between.replayed(Replaying{})
		}
		shop.txs = history
		between.catchUp(shop.testLog, size)
		between.replayed(Replaying{})
		if one, other := alone.text(outcome), between.text(outcome); one != other {
			r.Fatalf("%s", differences(shop.testLog, one, other, size))
		}
		between.recount(r)
		if found := between.replayed(Replaying{DryRun: true}); found.Differs() != 0 {
			r.Fatalf("behind it all: %s", found.outcomes())
		}
	})
}

// A replay takes its turn between batches of intake that is at work: none sees half of the other.
func TestReplayBesideLiveOrders(t *testing.T) {
	profile, _ := testProfile(t)
	shop, alone, beside := newTestShop(profile), newTestERP(t), newTestERP(t)
	for _, erp := range []*testERP{alone, beside} {
		erp.hasPlace()
		erp.catchUp(shop.testLog, 1000)
		erp.live()
	}
	for n := range int64(40) {
		id := shop.place(testOrder{lines: twoLines}, 1)
		switch n % 4 {
		case 1:
			shop.edit(id, testOrder{lines: []testLine{{31, 0, n}}, email: fmt.Sprintf("c%d@example.com", n)})
		case 2:
			shop.setState(id, 7)
		case 3:
			shop.setState(id, 2)
		}
		shop.tick(1)
	}
	shop.tick(4)
	alone.catchUp(shop.testLog, 1)
	ctx, end := context.WithCancel(t.Context())
	replays := 0
	var failed error
	var wait sync.WaitGroup
	wait.Go(func() {
		for ctx.Err() == nil && failed == nil {
			_, failed = beside.tryReplay(t.Context(), Replaying{AtOnce: 10})
			replays++
		}
	})
	err := beside.tryCatchUp(shop.testLog, 1)
	end()
	wait.Wait()
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	if one, other := alone.text(outcome), beside.text(outcome); one != other || replays < 2 {
		t.Errorf("%d replays: %s", replays, differences(shop.testLog, one, other, 1))
	}
	beside.recounted()
}

// An edit that is parked is that edit still when it is tried again, whatever else it has changed.
func TestParkedEditIsTriedAgain(t *testing.T) {
	shop, erp := bothLive(t)
	erp.hasPlace()
	id := shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1000)
	shop.edit(id, testOrder{lines: []testLine{{50, 0, 1}}, email: "bea@example.com"}) // neither an article nor the same e-mail
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "1 unknown_article", parkedList)
	erp.replayed(Replaying{})
	erp.want("parked", "1 unknown_article", parkedList)
	erp.article("SP-50")
	shop.tick(2)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "", parkedList)
	erp.want("the edit", "bea@example.com SP-50", "select string_agg(o.email || ' ' || a.sku, ', ') from erp.sales_order o join erp.order_line l on l.order_id = o.id join erp.article a on a.id = l.article_id")
}

// An order that was to be taken, was parked, and is done in the shop by the time its article appears, is taken then.
func TestParkedOrderIsDoneInTheShop(t *testing.T) {
	shop, erp := bothLive(t)
	erp.hasPlace()
	shop.setState(shop.place(testOrder{lines: []testLine{{50, 0, 1}}}, 1), 5)
	erp.catchUp(shop.testLog, 1)
	erp.want("parked", "1 unknown_article", parkedList)
	erp.replayed(Replaying{})
	erp.want("parked", "1 unknown_article", parkedList)
	erp.article("SP-50")
	shop.tick(2)
	erp.catchUp(shop.testLog, 1000)
	erp.want("orders", "1", "select count(*) from erp.sales_order")
}

// A rate is held.
func TestReplayRate(t *testing.T) {
	shop, erp := bothLive(t)
	erp.hasPlace()
	for range 6 {
		shop.place(testOrder{lines: twoLines}, 1)
	}
	erp.catchUp(shop.testLog, 1000)
	begin, steps := time.Now(), 0
	erp.replayed(Replaying{Rate: 10, Log: func(int, int) { steps++ }})
	if took := time.Since(begin); took < 350*time.Millisecond || steps != 3 {
		t.Errorf("6 orders at 10 a second in %v, in %d steps", took, steps)
	}
}

// Which orders a part of the log touches: those of rows before and behind a change, of the tables that are meant.
func TestTouchedOrders(t *testing.T) {
	profile, dir := testProfile(t)
	shop := newTestShop(profile)
	a, b := shop.place(testOrder{lines: twoLines}, 1), shop.place(testOrder{lines: twoLines}, 1)
	from := len(shop.txs)
	shop.setState(a, 2)
	shop.update("order_total", 1, row{"order_id": b}) // a's becomes b's
	c := shop.begin(testOrder{lines: twoLines})
	shop.remove(b)
	shop.tick(2)
	file, err := ParseShopFile([]byte(testShopFile))
	if err != nil {
		t.Fatal(err)
	}
	in, err := New(testShop, testPrefix, file, profile, dir)
	if err != nil {
		t.Fatal(err)
	}
	for tables, want := range map[string][]int64{"": {a, b, c}, "order_history": {a, b}, "oc_order_total": {a, b, c}, "order_option": {}} {
		var named []string
		if tables != "" {
			named = []string{tables}
		}
		touched, err := in.Touched(named)
		if err != nil {
			t.Fatal(err)
		}
		for _, tx := range shop.txs[from:] {
			if err := touched.Add(tx); err != nil {
				t.Fatal(err)
			}
		}
		if got := slices.Sorted(maps.Keys(touched.Orders)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", tables, got, want)
		}
	}
	if _, err := in.Touched([]string{"product"}); err == nil || !strings.Contains(err.Error(), "oc_order_total") {
		t.Errorf("a table of no order: %v", err)
	}
}
