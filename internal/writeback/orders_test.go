package writeback

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/deploy"
	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/target/mysql"
)

// standIn has what the write-back reads of an ERP and of schema spola, as tables.
const standIn = `
create schema erp; create schema spola;
create table erp.statuses (order_id bigint primary key, state text, cancelled_by text);
create table erp.shipments (shipment_id bigint primary key, order_id bigint, carrier text, carrier_name text, tracking text, link text);
create table spola.shop (shop text, incarnation bigint, mode text);
create table spola.link (shop text, order_id bigint, incarnation bigint, erp_order bigint, method text, deleted boolean not null default false);
create table spola.shop_settings (shop text, timezone text, consuming text[]);
create table spola.shop_state (shop text, state text, name text);
insert into spola.shop values ('shop', 1, 'live');
insert into spola.shop_settings values ('shop', 'Europe/Rome', '{5,1,2,12,3}');
insert into spola.shop_state values ('shop', '1', 'Pending'), ('shop', '2', 'Processing'), ('shop', '3', 'Shipped'), ('shop', '5', 'Complete'),
	('shop', '7', 'Canceled'), ('shop', '12', 'Reversed'), ('shop', '14', 'Expired'), ('shop', '15', 'Processed'), ('shop', '16', 'Voided')`

// testOrders is a test shop and what the ERP says of its orders.
type testOrders struct {
	*testStock
	erp    *pgx.Conn
	erpURL string
	file   *intake.ShopFile
	parcel int64
}

// What holds for orders, each on the same shop, as it was in the morning.
var orderTests = []struct {
	name string
	test func(*testing.T, *testOrders)
}{
	{"are told", testOrdersAreTold},
	{"in parts", testOrdersInParts},
	{"before they can be read", testOrdersBeforeTheyCanBeRead},
	{"wait", testOrdersWait},
	{"are cancelled", testOrdersAreCancelled},
	{"of an observed shop", testOrdersOfAnObservedShop},
	{"while connections break", testOrdersWhileConnectionsBreak},
	{"by two appliers", testOrdersByTwoAppliers},
	{"are refused", testOrdersAreRefused},
	{"while the shop is away", testOrdersWhileTheShopIsAway},
}

func TestOrders(t *testing.T) {
	onBoth(t, shop.Options{Products: 20}, func(t *testing.T, s *testStock) {
		o := &testOrders{testStock: s, erpURL: server.Postgres(t)}
		var err error
		if o.erp, err = pgx.Connect(t.Context(), o.erpURL); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = o.erp.Close(context.Background()) })
		for _, c := range orderTests {
			t.Run(c.name, func(t *testing.T) {
				s.reset(t)
				o.inERP("drop schema if exists erp, spola cascade; " + standIn)
				if o.file, err = intake.ParseShopFile(deploy.ShopExample); err != nil {
					t.Fatal(err)
				}
				o.file.Statuses = map[string]string{"shipped": "3", "cancelled": "7"}
				c.test(t, o)
			})
		}
	})
}

func (o *testOrders) inERP(query string, args ...any) {
	o.t.Helper()
	if len(args) == 0 {
		if _, err := o.erp.PgConn().Exec(context.Background(), query).ReadAll(); err != nil {
			o.t.Fatalf("%s: %v", query, err)
		}
		return
	}
	if _, err := o.erp.Exec(context.Background(), query, args...); err != nil {
		o.t.Fatalf("%s: %v", query, err)
	}
}

// order places an order in the shop, which the ERP takes; its number there is 1000 more.
func (o *testOrders) order() int64 {
	o.t.Helper()
	id, err := o.PlaceOrder(context.Background(), shop.Order{Lines: []shop.Line{{Product: 1, Quantity: 2}}})
	if err != nil {
		o.t.Fatal(err)
	}
	o.inERP("insert into spola.link values ('shop', $1::bigint, 1, $1::bigint + 1000, 'cod.cod')", id)
	o.inERP("insert into erp.statuses values ($1::bigint + 1000, 'open', null)", id)
	o.touch(id)
	return id
}

// touch has the ERP's log name an order.
func (o *testOrders) touch(id int64) {
	o.log.add(rowRecord(change.Update, "erp.sales_order", fmt.Sprintf(`"id":%d`, id+1000), map[string]any{"id": id + 1000}))
}

func (o *testOrders) state(id int64, state string) {
	o.inERP("update erp.statuses set state = $2 where order_id = $1::bigint + 1000", id, state)
	o.touch(id)
}

// ship sends a parcel, with which the order is in this state.
func (o *testOrders) ship(id int64, tracking, state string) {
	o.parcel++
	o.inERP(`with parcel as (
		insert into erp.shipments (shipment_id, order_id, carrier, carrier_name, tracking) values ($2::bigint, $1::bigint + 1000, 'BRT', 'Bartolini', $3)
	) update erp.statuses set state = $4 where order_id = $1::bigint + 1000`, id, o.parcel, tracking, state)
	o.touch(id)
}

func (o *testOrders) orders() *Orders {
	o.t.Helper()
	e, err := NewOrders(testShop, "oc_", o.erpURL, o.file, zerolog.Nop())
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(e.Close)
	return e
}

// bring applies the log to its end.
func (o *testOrders) bring() {
	o.t.Helper()
	e := o.orders()
	defer e.Close()
	if err := runTo(o.t, o.url, OrdersApplier, e, o.log, apply.Options{}); err != nil {
		o.t.Fatal(err)
	}
}

// stops wants the applier to stop with these words.
func (o *testOrders) stops(words ...string) {
	o.t.Helper()
	e := o.orders()
	defer e.Close()
	err := runTo(o.t, o.url, OrdersApplier, e, o.log, apply.Options{})
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			o.t.Errorf("it does not stop with %q: %v", word, err)
		}
	}
}

// shows wants the state of an order in the shop, and its history behind the checkout's own rows.
func (o *testOrders) shows(id int64, state int64, history ...string) {
	o.t.Helper()
	o.want(fmt.Sprintf("state of order %d", id), o.number("SELECT order_status_id FROM oc_order WHERE order_id = ?", id), state)
	rows, err := o.DB().Query("SELECT CONCAT(order_status_id, ' ', notify, ' ', comment) FROM oc_order_history WHERE order_id = ? ORDER BY order_history_id", id)
	if err != nil {
		o.t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			o.t.Fatal(err)
		}
		got = append(got, row)
	}
	if got = got[min(1, len(got)):]; !slices.Equal(got, history) {
		o.t.Errorf("history of order %d:\n%s\nwant:\n%s", id, strings.Join(got, "\n"), strings.Join(history, "\n"))
	}
}

func (o *testOrders) told(id int64) told {
	note := o.note(orderMark(id))
	return toldOf(mark{Note: &note})
}

func (o *testOrders) again() {
	o.exec("DELETE FROM spola_marker WHERE name LIKE 'place.%'")
	o.bring()
}

const firstParcel, secondParcel = "Pacco affidato a Bartolini, numero di spedizione BRT1", "Pacco affidato a Bartolini, numero di spedizione BRT2"

// A parcel is a history row that the customer sees, the last one carries the state; whatever is read
// again, nothing is told twice.
func testOrdersAreTold(t *testing.T, o *testOrders) {
	whole, parts, quiet, one := o.order(), o.order(), o.order(), o.order()
	o.bring()
	o.shows(whole, 1)
	o.want("marks of orders of which there is nothing to tell", o.number("SELECT COUNT(*) FROM spola_marker WHERE name LIKE 'order.%'"), 0)

	o.ship(whole, "BRT1", "shipped")
	o.ship(parts, "BRT1", "part_shipped")
	o.state(quiet, "shipped") // without a parcel
	o.bring()
	o.shows(whole, 3, "3 1 "+firstParcel)
	o.shows(parts, 1, "1 1 "+firstParcel)
	o.shows(quiet, 3, "3 0 ")
	o.shows(one, 1)
	o.again()
	o.shows(whole, 3, "3 1 "+firstParcel)
	o.shows(quiet, 3, "3 0 ")

	o.ship(parts, "BRT2", "shipped")
	o.ship(one, "BRT1", "part_shipped") // two parcels, seen at once
	o.ship(one, "BRT2", "shipped")
	o.bring()
	o.shows(parts, 3, "1 1 "+firstParcel, "3 1 "+secondParcel)
	o.shows(one, 3, "1 1 "+firstParcel, "3 1 "+secondParcel)

	// The same parcel under another number of the ERP's: from two warehouses, or entered again behind a restore.
	o.ship(one, "BRT2", "shipped")
	o.inERP("update erp.shipments set shipment_id = shipment_id + 100")
	o.again()
	o.shows(parts, 3, "1 1 "+firstParcel, "3 1 "+secondParcel)
	o.shows(one, 3, "1 1 "+firstParcel, "3 1 "+secondParcel)

	// The customer reads a corrected number, once.
	o.inERP("update erp.shipments set tracking = 'BRT9' where order_id = $1::bigint + 1000", whole)
	o.touch(whole)
	o.bring()
	o.again()
	o.shows(whole, 3, "3 1 "+firstParcel, "3 1 Pacco affidato a Bartolini, numero di spedizione BRT9")

	if when := o.number("SELECT ABS(TIMESTAMPDIFF(MINUTE, MAX(date_added), ?)) FROM oc_order_history", time.Now().In(rome(t)).Format(time.DateTime)); when > 5 {
		t.Errorf("the newest history row is %d minutes off the shop's clock", when)
	}
}

func rome(t *testing.T) *time.Location {
	zone, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// The log has a transaction as soon as its commit is on the disk, others see it a moment later: an order is looked at when what
// the log tells of it can be read.
func testOrdersBeforeTheyCanBeRead(t *testing.T, o *testOrders) {
	id := o.order()
	o.bring()
	clerk, err := pgx.Connect(t.Context(), o.erpURL)
	if err != nil {
		t.Fatal(err)
	}
	defer clerk.Close(context.Background())
	tx, err := clerk.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var number int64
	err = tx.QueryRow(t.Context(), "update erp.statuses set state = 'shipped' where order_id = $1::bigint + 1000 returning pg_current_xact_id()::xid::text::bigint", id).Scan(&number)
	if err != nil {
		t.Fatal(err)
	}
	record := rowRecord(change.Update, "erp.sales_order", fmt.Sprintf(`"id":%d`, id+1000), map[string]any{"id": id + 1000})
	record.Value = bytes.Replace(record.Value, []byte(`"source":{}`), fmt.Appendf(nil, `"source":{"txId":%d}`, number), 1)
	o.log.add(record)
	committed := make(chan error, 1)
	time.AfterFunc(300*time.Millisecond, func() { committed <- tx.Commit(context.Background()) })
	o.bring()
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	o.shows(id, 3, "3 0 ")
}

// A shop with a state for it says that a part has left.
func testOrdersInParts(t *testing.T, o *testOrders) {
	o.file.Statuses["part_shipped"] = "2"
	id, short := o.order(), o.order()
	o.ship(id, "BRT1", "part_shipped")
	o.ship(short, "BRT1", "part_shipped")
	o.bring()
	o.shows(id, 2, "2 1 "+firstParcel)
	o.ship(id, "BRT2", "shipped")
	o.state(short, "closed_short")
	o.bring()
	o.shows(id, 3, "2 1 "+firstParcel, "3 1 "+secondParcel)
	o.shows(short, 3, "2 1 "+firstParcel, "3 0 ")
}

// What a person does in the shop is never undone: what can't be brought waits, by name, and goes on by
// itself when it can.
func testOrdersWait(t *testing.T, o *testOrders) {
	defer func(was, again time.Duration) { settle, retryEvery = was, again }(settle, retryEvery)
	settle, retryEvery = 5*time.Second, time.Minute
	var ids []int64
	for range 9 {
		ids = append(ids, o.order())
	}
	back, denied, gone, ahead, bad, strange, final, unsubtracted, done := ids[0], ids[1], ids[2], ids[3], ids[4], ids[5], ids[6], ids[7], ids[8]
	o.ship(back, "BRT1", "shipped")
	o.bring()
	set := func(id int64, state int) {
		t.Helper()
		o.exec("UPDATE oc_order SET order_status_id = ? WHERE order_id = ?", state, id)
	}
	set(back, 2)
	set(denied, 8)
	set(ahead, 5)
	set(strange, 99)
	set(final, 5)
	set(unsubtracted, 12)
	set(done, 7)
	o.exec("DELETE FROM oc_order WHERE order_id = ?", gone)
	o.inERP("update spola.shop_settings set consuming = '{5,1,2,3}'") // 12 is taken, but moves no stock
	o.touch(back)
	for i, id := range []int64{denied, gone, ahead, strange, unsubtracted} {
		o.ship(id, fmt.Sprint("BRT", 30+i), "shipped")
	}
	o.ship(bad, "<b>1</b>", "shipped")
	o.state(final, "cancelled")
	o.state(done, "cancelled")
	o.bring()
	why := func(when string, want map[int64]string) {
		t.Helper()
		for id, w := range want {
			if got := o.number("SELECT COUNT(*) FROM spola_marker WHERE name = ?", orderMark(id)); got == 0 && w != "" {
				t.Errorf("%s: order %d has no mark, want %s", when, id, w)
			} else if got > 0 && o.told(id).Why != w {
				t.Errorf("%s: order %d waits for %q, want %q", when, id, o.told(id).Why, w)
			}
			if w != "" && w != whySettling && Mends[w] == "" {
				t.Errorf("nobody knows what mends %s", w)
			}
		}
	}
	why("at once", map[int64]string{back: whyBackwards, denied: whySettling, gone: whyDeleted, ahead: "", bad: whyTracking, strange: whyUnknown,
		final: whyFinal, unsubtracted: whyUnsubtracted, done: whySettling})
	o.shows(back, 2, "3 1 "+firstParcel)
	o.shows(denied, 8)
	o.shows(ahead, 5)
	o.shows(bad, 1)
	o.shows(strange, 99)
	o.shows(final, 5)
	o.shows(unsubtracted, 12)
	if d := o.told(bad).Detail; d != "<b>1</b>" {
		t.Errorf("the tracking number that is refused is said to be %q", d)
	}

	settle, retryEvery = 0, 0
	o.idle(func() bool { return o.told(denied).Why == whyCancelled && o.told(done).Why == "" })
	o.shows(done, 7)

	// Each is mended by a person.
	set(back, 3)
	set(denied, 2)
	set(strange, 2)
	set(final, 2)
	set(unsubtracted, 2)
	o.inERP("update erp.shipments set tracking = 'BRT77' where order_id = $1::bigint + 1000", bad)
	o.idle(func() bool {
		for _, id := range []int64{back, denied, bad, strange, final, unsubtracted} {
			if o.told(id).Why != "" {
				return false
			}
		}
		return true
	})
	why("mended", map[int64]string{gone: whyDeleted, ahead: ""})
	o.shows(back, 3, "3 1 "+firstParcel)
	o.shows(denied, 3, "3 1 Pacco affidato a Bartolini, numero di spedizione BRT30")
	o.shows(bad, 3, "3 1 Pacco affidato a Bartolini, numero di spedizione BRT77")
	o.shows(final, 7, "7 0 ")
	o.shows(unsubtracted, 3, "3 1 Pacco affidato a Bartolini, numero di spedizione BRT34")
	o.again()
	o.shows(denied, 3, "3 1 Pacco affidato a Bartolini, numero di spedizione BRT30")
}

// idle runs the applier behind the end of the log until something holds.
func (o *testOrders) idle(holds func() bool) {
	o.t.Helper()
	e := o.orders()
	defer e.Close()
	ctx, cancel := context.WithCancel(o.t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- apply.Run(ctx, mysql.NewTarget(o.url, OrdersApplier, Log, "test"), e, o.log.open, apply.Options{Log: zerolog.Nop()})
	}()
	for deadline := time.Now().Add(server.Patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Error("what waits was not looked at again")
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		o.t.Fatal(err)
	}
}

// A cancellation writes state, history and mark, and moves no stock; the mark counts that the pieces have
// left what the shop's own code gives back, once, and not where the shop has done it.
func testOrdersAreCancelled(t *testing.T, o *testOrders) {
	id, byShop, both := o.order(), o.order(), o.order()
	stock := o.product(1)
	o.state(id, "cancelled")
	o.inERP("update erp.statuses set cancelled_by = 'shop' where order_id = $1::bigint + 1000", byShop)
	o.state(byShop, "cancelled")
	if err := o.Cancel(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	o.state(both, "cancelled")
	o.bring()
	o.again()
	o.shows(id, 7, "7 0 ")
	o.shows(byShop, 1)
	o.shows(both, 7, "7 0 ") // its own
	o.want("product 1, but for what the shop gave back itself", o.product(1), stock+2)
	for order, want := range map[int64]int64{id: 1, byShop: 0, both: 0} {
		o.want(fmt.Sprintf("number of the mark of order %d", order), o.number("SELECT number FROM spola_marker WHERE name = ?", orderMark(order)), want)
	}
	o.want("applied of the mark", o.applied(orderMark(id)), 0)

	// Taken up again in the shop, and cancelled in the ERP once more: that is told, not done.
	o.exec("UPDATE oc_order SET order_status_id = 2 WHERE order_id = ?", id)
	o.touch(id)
	o.bring()
	o.shows(id, 2, "7 0 ")
	if why := o.told(id).Why; why != whyBackwards {
		t.Errorf("an order that was taken up again waits for %q", why)
	}
}

// Nothing is written while the shop is only observed, nor of an order that it has lost in a restore; what the backup had is told on.
func testOrdersOfAnObservedShop(t *testing.T, o *testOrders) {
	id := o.order()
	o.inERP("update spola.shop set mode = 'observe'")
	o.ship(id, "BRT1", "shipped")
	o.bring()
	o.shows(id, 1)
	o.inERP("update spola.shop set mode = 'live', incarnation = 2")
	o.inERP("update spola.link set deleted = true")
	o.again()
	o.shows(id, 1)
	o.inERP("update spola.link set deleted = false")
	o.again()
	o.shows(id, 3, "3 1 "+firstParcel)
}

// The connection to the shop breaks at each statement, before and behind it, COMMIT among them: what the
// customer reads stands there once.
func testOrdersWhileConnectionsBreak(t *testing.T, o *testOrders) {
	network, through := newCutter(t, o.url)
	defer func(direct string) { o.url = direct }(o.url)
	o.url = through
	whole, parts, off := o.order(), o.order(), o.order()
	for _, behind := range []bool{false, true} {
		steps := 0
		for n := 1; ; n++ {
			o.exec("DELETE FROM spola_marker")
			for _, id := range []int64{whole, parts, off} {
				o.exec("UPDATE oc_order SET order_status_id = 1 WHERE order_id = ?", id)
				o.exec("DELETE FROM oc_order_history WHERE order_id = ? AND order_history_id > (SELECT MIN(h.order_history_id) FROM (SELECT * FROM oc_order_history) h WHERE h.order_id = ?)", id, id)
			}
			o.inERP("delete from erp.shipments")
			o.log = newTestLog(1000)
			o.ship(whole, "BRT1", "shipped")
			o.ship(parts, "BRT1", "part_shipped")
			o.ship(parts, "BRT2", "shipped")
			o.state(off, "cancelled")
			network.arm(n, behind)
			o.bring()
			broke := network.broke()
			network.arm(0, false)
			o.shows(whole, 3, "3 1 "+firstParcel)
			o.shows(parts, 3, "1 1 "+firstParcel, "3 1 "+secondParcel)
			o.shows(off, 7, "7 0 ")
			o.want("number of the cancellation's mark", o.number("SELECT number FROM spola_marker WHERE name = ?", orderMark(off)), 1)
			if t.Failed() {
				t.Fatalf("broken at statement %d, behind it: %v", n, behind)
			}
			if !broke {
				break
			}
			steps++
		}
		if steps < 25 {
			t.Errorf("it broke at %d statements only", steps)
		}
	}
}

// Of two appliers at once the older is fenced: nothing is told twice.
func testOrdersByTwoAppliers(t *testing.T, o *testOrders) {
	var ids []int64
	for range 12 {
		ids = append(ids, o.order())
	}
	older := make(chan error, 1)
	e := o.orders()
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	go func() {
		older <- apply.Run(ctx, mysql.NewTarget(o.url, OrdersApplier, Log, "older"), e, o.log.open, apply.Options{Log: zerolog.Nop()})
	}()
	for i, id := range ids {
		o.ship(id, fmt.Sprint("BRT", i), "shipped")
		if i == 6 {
			o.bring()
		}
	}
	o.bring()
	o.touch(ids[0])
	o.bring()
	if err := <-older; err == nil || !strings.Contains(err.Error(), "fenced") {
		t.Errorf("the older ends with %v", err)
	}
	for i, id := range ids {
		o.shows(id, 3, fmt.Sprintf("3 1 Pacco affidato a Bartolini, numero di spedizione BRT%d", i))
	}
}

// What can't be written exactly once, or by this user, or would move stock twice, is refused before the
// first write, with what mends it.
func testOrdersAreRefused(t *testing.T, o *testOrders) {
	id := o.order()
	o.ship(id, "BRT1", "shipped")
	o.exec("ALTER TABLE oc_order_history ENGINE=MyISAM")
	o.stops("oc_order_history (MyISAM)", "ALTER TABLE `oc_order_history` ENGINE=InnoDB")
	o.exec("ALTER TABLE oc_order_history ENGINE=InnoDB")

	o.file.Statuses["shipped"] = "14"
	o.stops(`statuses: shipped: state 14 (Expired) has the class "cancelled"`, `shipped: "3" # Shipped`, `shipped: "5" # Complete`)
	o.file.Statuses["shipped"] = "44"
	o.stops("the shop has no order state 44")
	o.file.Statuses["shipped"] = "12"
	o.inERP("update spola.shop_settings set consuming = '{5,1,2,3}'")
	o.stops("statuses: shipped: the shop's own code gives an order's pieces back in state 12 (Reversed), and takes them again behind it")
	o.file.Statuses["shipped"] = "3"
	o.file.Statuses["part_shipped"] = "3"
	o.stops("would tell the customer that all has left")
	delete(o.file.Statuses, "part_shipped")
	o.inERP("update spola.shop_settings set consuming = '{5,1,2,3,7}'")
	o.stops("statuses: cancelled: the shop keeps an order's pieces in state 7 (Canceled)", `cancelled: "16" # Voided`)
	o.inERP("update spola.shop_settings set consuming = '{5,1,2,3}'")
	o.shows(id, 1)
	o.bring()
	o.shows(id, 3, "3 1 "+firstParcel)

	// An administrator changes the settings under way.
	next := o.order()
	o.inERP("update spola.shop_settings set consuming = '{5,1,2}'")
	o.ship(next, "BRT1", "shipped")
	o.stops("in state 3 (Shipped)")
	o.shows(next, 1)
}

// A merchant's own words, in the customer's language; without a number the words leave it out.
func TestParcelTexts(t *testing.T) {
	file := &intake.ShopFile{Parcels: map[string]string{"fr": "Suivi: {tracking} chez {carrier}", "de": "{carrier} {tracking} ({link})"}}
	for _, c := range []struct {
		language string
		parcel   parcel
		want     string
	}{
		{"it-it", parcel{Carrier: "BRT", Tracking: "1"}, "Pacco affidato a BRT, numero di spedizione 1"},
		{"fr-fr", parcel{Carrier: "Chronopost", Tracking: "2"}, "Suivi: 2 chez Chronopost"},
		{"ja", parcel{Carrier: "L'Espresso & Co", Tracking: "3"}, "Parcel with L'Espresso &amp; Co, tracking number 3"},
		{"en-gb", parcel{Carrier: "BRT"}, "Parcel with BRT"},
		{"en-gb", parcel{Tracking: "4"}, "Tracking number 4"},
		{"en-gb", parcel{}, ""},
		{"it-it", parcel{Carrier: "BRT", Tracking: "1", Link: "https://brt.example/?a=1&b=2"}, "Pacco affidato a BRT, numero di spedizione 1: https://brt.example/?a=1&amp;b=2"},
		{"de", parcel{Carrier: "DHL", Tracking: "1", Link: "https://dhl.example/1"}, "DHL 1 (https://dhl.example/1)"},
		{"de", parcel{Carrier: "DHL", Tracking: "X"}, "DHL X"},
	} {
		if got := (rules{file: file}).comment(c.parcel, c.language); got != c.want {
			t.Errorf("%s %+v: %q, want %q", c.language, c.parcel, got, c.want)
		}
	}
}

// Who lacks a right on a column is told before anything is written, with the grant that mends it.
func TestMissingRights(t *testing.T) {
	for product, start := range map[string]func(testing.TB, map[string]string) *server.Server{"mysql": server.PrivateMySQL, "mariadb": server.PrivateMariaDB} {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			s := openStock(t, start(t, nil).URL()+"shop", shop.Options{})
			grants, err := os.ReadFile(filepath.Join("../../deploy/grants", "shop-writer.opencart."+product+".sql"))
			if err != nil {
				t.Fatal(err)
			}
			for statement := range strings.SplitSeq(string(grants), ";\n") {
				if strings.Contains(statement, "GRANT") || strings.Contains(statement, "CREATE USER") {
					s.exec(statement[max(strings.Index(statement, "GRANT "), strings.Index(statement, "CREATE USER ")):])
				}
			}
			root := s.url
			s.url = strings.Replace(root, "root@", "spola_writer:change-me-writer@", 1)
			s.log.ledger("product:1", -40)
			s.deliver()
			s.want("product 1, with the grants as they are", s.product(1), 60)
			s.exec("REVOKE UPDATE (`quantity`) ON `shop`.`oc_product` FROM 'spola_writer'@'%'")
			s.log.ledger("product:1", -30)
			err = runTo(t, s.url, StockApplier, s.effect(), s.log, apply.Options{})
			want := "GRANT SELECT (`product_id`, `quantity`, `subtract`), UPDATE (`quantity`) ON `oc_product` TO 'spola_writer'@'%';"
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("without the right it says %v, want %s", err, want)
			}
			s.want("product 1", s.product(1), 60)
			s.exec("USE shop")
			s.exec(want)
			s.deliver()
			s.want("product 1, with what it was told to grant", s.product(1), 70)
		})
	}
}

// The shop is away for a while: nothing is lost, nothing comes twice.
func testOrdersWhileTheShopIsAway(t *testing.T, o *testOrders) {
	network, through := newCutter(t, o.url)
	defer func(direct string) { o.url = direct }(o.url)
	o.url = through
	e := o.orders()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- apply.Run(ctx, mysql.NewTarget(o.url, OrdersApplier, Log, "test"), e, o.log.open, apply.Options{Log: zerolog.Nop(), MaxWait: 50 * time.Millisecond})
	}()
	id := o.order()
	network.close(true)
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		o.touch(id)
	}
	o.ship(id, "BRT1", "part_shipped")
	o.ship(id, "BRT2", "shipped")
	o.shows(id, 1)
	network.close(false)
	for deadline := time.Now().Add(server.Patience); o.number("SELECT order_status_id FROM oc_order WHERE order_id = ?", id) != 3 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	o.shows(id, 3, "1 1 "+firstParcel, "3 1 "+secondParcel)
}

// The note of a mark keeps what it must not forget.
func TestToldIsKept(t *testing.T) {
	was := told{ERPOrder: 7, State: "3", ERP: "shipped", Parcels: []parcel{{ID: 1, Carrier: "BRT", Tracking: "x"}}, Why: whyBackwards, Wants: "shipped", Shows: "2", Since: 5, Detail: "d"}
	note := noteOf(was)
	got, err := json.Marshal(toldOf(mark{Note: note}))
	if err != nil || string(got) != *note {
		t.Errorf("%s, want %s, %v", got, *note, err)
	}
	if len(slices.Collect(maps.Keys(Mends))) != 9 {
		t.Error("each reason has a way to mend it")
	}
}
