package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/lab/clerk"
	"github.com/spola-cdc/spola/internal/lab/mailbox"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/mail"
	"github.com/spola-cdc/spola/internal/stream"
)

// backupERP is a copy of the ERP's database, as of now: no program may run meanwhile. restore puts it in its place; the slot goes
// with the old one.
func (p *pipeline) backupERP() (restore func()) {
	p.t.Helper()
	ctx := context.Background()
	at, err := url.Parse(p.cfg.ERP.URL())
	if err != nil {
		p.t.Fatal(err)
	}
	name := strings.TrimPrefix(at.Path, "/")
	server := *at
	server.Path = "/postgres"
	admin, err := pgx.Connect(ctx, server.String())
	if err != nil {
		p.t.Fatal(err)
	}
	backup := name + "_backup"
	exec := func(statement string) {
		p.t.Helper()
		if _, err := admin.Exec(ctx, statement); err != nil {
			p.t.Fatalf("%s: %v", statement, err)
		}
	}
	p.t.Cleanup(func() {
		exec("drop database if exists " + backup)
		_ = admin.Close(ctx)
	})
	alone := func(do func()) {
		p.t.Helper()
		_ = p.erp.Close(ctx)
		do()
		if p.erp, err = pgx.Connect(ctx, p.cfg.ERP.URL()); err != nil {
			p.t.Fatal(err)
		}
	}
	away := "select count(pg_terminate_backend(pid, 60000)) from pg_stat_activity where datname = '" + name + "'"
	alone(func() { exec(away); exec("create database " + backup + " template " + name) })
	return func() {
		p.t.Helper()
		alone(func() {
			exec(away)
			exec("select count(pg_drop_replication_slot(slot_name)) from pg_replication_slots where database = '" + name + "'")
			exec("drop database " + name + " with (force)")
			exec("alter database " + backup + " rename to " + name)
		})
	}
}

// shown is what each row of the shop's stock says that Spola writes.
func (p *pipeline) shown() map[string]int64 {
	p.t.Helper()
	rows, err := p.shop.DB().QueryContext(context.Background(), `SELECT CONCAT('product:', product_id), quantity FROM oc_product
		UNION ALL SELECT CONCAT('option:', product_option_value_id), quantity FROM oc_product_option_value`)
	if err != nil {
		p.t.Fatal(err)
	}
	defer rows.Close()
	shown := map[string]int64{}
	for rows.Next() {
		var row string
		var pieces int64
		if err := rows.Scan(&row, &pieces); err != nil {
			p.t.Fatal(err)
		}
		shown[row] = pieces
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
	return shown
}

// most follows the most that each row shows until stop is called, which returns it.
func (p *pipeline) most() (stop func() map[string]int64) {
	most := p.shown()
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil {
			for row, pieces := range p.shown() {
				most[row] = max(most[row], pieces)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	end := func() { cancel(); watching.Wait() }
	p.t.Cleanup(end)
	return func() map[string]int64 { end(); return most }
}

func (p *pipeline) erpExec(statement string, args ...any) {
	p.t.Helper()
	if _, err := p.erp.Exec(p.t.Context(), statement, args...); err != nil {
		p.t.Fatalf("%s: %v", statement, err)
	}
}

// mails has the shop's customers mailed through a server that keeps what it gets.
func (p *pipeline) mails() *mailbox.Server {
	p.t.Helper()
	box, err := mailbox.Start(mailbox.Options{Plain: true})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(box.Close)
	p.append("spola.yaml", fmt.Sprintf("smtp: {server: %q, tls: none, from: Bottega <ordini@example.com>}\n", box.Addr))
	return box
}

// hasRead has the journal of mails say that a customer may have read of the number of a document of this year.
func (p *pipeline) hasRead(series string, number int64) {
	p.t.Helper()
	ctx := p.t.Context()
	journal, err := stream.FindJournal(ctx, p.cfg.Journal(zerolog.Nop()))
	if err != nil || journal == nil {
		p.t.Fatalf("the journal of mails: %v", err)
	}
	defer journal.Close()
	entry, err := json.Marshal(mail.Entry{Key: "read", Shop: testShop, Kind: mail.Invoice, State: "sending", Attempt: 1, MessageID: "read@example.com", At: time.Now(),
		Documents: []string{p.reads("select format('"+series+"%s/', extract(year from now() at time zone 'Europe/Rome'))") + fmt.Sprint(number)}})
	if err == nil {
		err = journal.Append(ctx, "read", entry)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// olderERP is what each program says that meets an ERP which is older than its log knows it.
var olderERP = map[string]string{"applier run": "applier recover erp", "applier run ledger": "applier recover erp", "applier run mail": "applier recover erp", "cdc run erp": "cdc run erp --new-incarnation"}

// recoversERP lets the ERP's log go on in its next life, recovers the ERP and starts all programs again. Nothing goes on before that, and the dry run
// names what is lost.
func (p *pipeline) recoversERP(running []*program, reason string, lost ...string) {
	t := p.t
	t.Helper()
	if text := p.run(3, "applier", "recover", "erp"); !strings.Contains(text, "cdc run erp --new-incarnation") {
		t.Errorf("recovered before its log goes on: %s", text)
	}
	p.run(0, "cdc", "preflight", "erp", "--make", "postgres")
	logs := p.start("cdc", "run", "erp", "--new-incarnation")
	p.until("the slot of the next life", []*program{logs}, func() bool {
		return p.number("select count(*) from pg_replication_slots where slot_name = $1 and active", p.cfg.ERP.Log.Slot) == 1
	})
	for _, verbs := range []string{"applier run stock", "applier run orders"} {
		if text := p.run(3, strings.Fields(verbs)...); !strings.Contains(text, "another life") || !strings.Contains(text, "applier recover erp") {
			t.Errorf("%s says: %s", verbs, text)
		}
	}
	text := p.run(0, "applier", "recover", "erp", "--dry-run")
	for _, want := range append(lost, "Nothing was changed") {
		if !strings.Contains(text, want) {
			t.Errorf("dry run, without %q:\n%s", want, text)
		}
	}
	p.run(3, "applier", "run")
	if text := p.run(0, "applier", "recover", "erp", "--json", "--reason", reason); !strings.Contains(text, `"recovered":true`) {
		t.Errorf("recover: %s", text)
	}
	for i, one := range running {
		if one.name == "cdc run erp" {
			running[i] = logs
			continue
		}
		if one.ended() {
			running[i] = p.start(strings.Fields(one.name)...)
		}
	}
}

// neverAbove ends a watch over the shop's stock: no row was given more than it showed before or shows now, which is returned.
func (p *pipeline) neverAbove(watched func() map[string]int64, before map[string]int64) map[string]int64 {
	p.t.Helper()
	most, now := watched(), p.shown()
	for _, row := range slices.Sorted(maps.Keys(most)) {
		if most[row] > max(before[row], now[row]) {
			p.t.Errorf("%s showed %d, %d when the other side was restored, and in the end %d", row, most[row], before[row], now[row])
		}
	}
	return now
}

// The ERP's database is restored from a backup while shop and logs are of today. Everything stops and says so, no document is issued; recover
// shows what is lost, and then: each order is there once, no row of the shop was ever given more than there is, the law holds, no number of a
// document is used twice, whether the ERP's log or only a customer has seen it, and nobody is mailed twice.
func TestRestoredERP(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{Stock: 100})
	p.reconcilesOften()
	running := []*program{p.start("cdc", "run"), p.start("applier", "run")}
	p.live(running...)
	running = append(running, p.keepsStock()...)
	box := p.mails()
	running = append(running, p.start("applier", "run", "orders"), p.start("applier", "run", "mail"))
	atRest := func(what string) {
		t.Helper()
		p.stockAtRest(what, running)
	}
	p.until("mails are sent from now on", running, func() bool { return p.number("select count(*) from spola.mail_shop") == 1 })
	atRest("every row has an account")
	old := []int64{p.place("old1@example.com"), p.place("old2@example.com"), p.place("old3@example.com"), p.place("old4@example.com")}
	p.arrived(running, old...)
	erpOrder := func(order int64) int64 {
		return p.number("select erp_order from spola.link where order_id = $1 order by incarnation desc limit 1", order)
	}
	ship := func(order int64, tracking string) {
		t.Helper()
		p.erpExec("select erp.ship_order($1, carrier => 'BRT', tracking => $2)", erpOrder(order), tracking)
	}
	ship(old[0], "BRT000")
	atRest("at the backup")
	told := func(order int64, want string) bool { return strings.HasSuffix(p.history(order), want) }
	mailed := func(n int64) bool { return p.number("select count(*) from spola.mail where state = 'sent'") == n }
	p.until("the first parcel is told", running, func() bool { return told(old[0], "31 BRT000") && mailed(1) })
	// The rows of the next deeds: each has an article of its own.
	var rows []string
	var articles []int64
	list, err := p.erp.Query(t.Context(), "select stock_row, article_id from spola.stock_account where published is not null and stock_row like 'product:%' and stock_row <> all ($1) order by length(stock_row), stock_row limit 4", []string{"product:1", "product:2"})
	if err != nil {
		t.Fatal(err)
	}
	var row string
	var article int64
	if _, err := pgx.ForEachRow(list, []any{&row, &article}, func() error { rows, articles = append(rows, row), append(articles, article); return nil }); err != nil {
		t.Fatal(err)
	}
	by := func(row string, pieces int) {
		p.shopExec("UPDATE oc_product SET quantity = quantity + ? WHERE CONCAT('product:', product_id) = ?", pieces, row)
	}
	for _, one := range running {
		one.stop()
	}
	restore := p.backupERP()

	// The day goes on: receipts, sales at the counter, edits by hand that are repaired, orders, parcels, a cancellation.
	again := func() []*program {
		var all []*program
		for _, one := range running {
			all = append(all, p.start(strings.Fields(one.name)...))
		}
		return all
	}
	running = again()
	p.erpExec("select erp.receive_goods(1::smallint, array[row($1, 10)::erp.goods_in], '')", articles[0])
	p.erpExec("select erp.sell_at_counter(1::smallint, array[row($1, 4)::erp.goods_in], '')", articles[1])
	by(rows[2], 3)
	by(rows[3], -2)
	lost := []int64{p.place("new1@example.com"), p.place("new2@example.com"), p.place("new3@example.com")}
	p.arrived(running, lost...)
	ship(old[1], "BRT001")
	ship(lost[0], "BRT002")
	p.erpExec("select erp.cancel_order($1, 'broken')", erpOrder(lost[1]))
	p.until("parcels and the cancellation are in the shop", running, func() bool {
		return told(old[1], "31 BRT001") && told(lost[0], "31 BRT002") && p.number("select count(*) from spola.restock where entered") > 0 && mailed(3)
	})
	p.until("the edits are repaired", running, func() bool {
		p.wake()
		return p.number("select count(distinct stock_row) from spola.ledger where cause = 'repair' and stock_row = any ($1)", rows) == 2
	})
	atRest("before the restore")
	for _, one := range running {
		one.stop()
	}
	// A customer has read of an invoice that no log tells of.
	p.hasRead("F", 40)
	p.erpExec("insert into erp.counter (series, year, last) values ('F', extract(year from now() at time zone 'Europe/Rome'), 40)")
	issued := p.reads("select string_agg(format('%s %s', series, last), ', ' order by series) from erp.counter")
	before := p.shown()
	restore()

	for verbs, want := range olderERP {
		if text := p.run(3, strings.Fields(verbs)...); !strings.Contains(text, want) {
			t.Errorf("%s says: %s", verbs, text)
		}
	}
	if _, err := p.erp.Exec(t.Context(), "select erp.ship_order($1, carrier => 'BRT', tracking => 'BRT9')", erpOrder(old[2])); err == nil || !strings.Contains(err.Error(), "no document is issued now") {
		t.Errorf("a shipment while numbers are held: %v", err)
	}
	watched := p.most()
	p.recoversERP(running, "disk lost", "to be read again", "entries of the stock ledger are lost", "numbers DDT", "40 numbers F, 1 to 40", "parcels that customers were told of",
		"BRT BRT001", "BRT BRT002")
	p.arrived(running, lost[0], lost[2])
	p.until("the cancellation", running, func() bool {
		p.wake()
		return p.number("select count(*) from spola.link l join erp.sales_order o on o.id = l.erp_order where l.order_id = $1 and o.state = 'cancelled'", lost[1]) == 1
	})
	atRest("behind the recovery")
	now := p.neverAbove(watched, before)
	for i, want := range []int64{-10, 4, 0, 0} { // what the ERP has lost the shop gives back
		if got := now[rows[i]] - before[rows[i]]; got != want {
			t.Errorf("%s changed by %d, want %d", rows[i], got, want)
		}
	}
	p.shows()
	p.want("orders twice", "0", "select count(*) - count(distinct shop_number) from erp.sales_order where channel = 'web'")
	// The clerk enters again what left: the customers are told once.
	ship(old[1], "BRT001")
	ship(lost[0], "BRT002")
	ship(old[2], "BRT003")
	p.until("a new parcel", running, func() bool {
		return told(old[2], "31 BRT003") && mailed(4)
	})
	for order, want := range map[int64]string{old[1]: "BRT001", lost[0]: "BRT002"} {
		if text := p.history(order); strings.Count(text, want) != 1 {
			t.Errorf("order %d: %s", order, text)
		}
	}
	p.want("numbers", "true", `select string_agg(distinct (d.number > s.last)::text, ',') from erp.document d join erp.skipped_number s using (series, year)
		where d.shipment_id in (select id from erp.shipment where tracking in ('BRT001', 'BRT002', 'BRT003'))`)
	p.want("what was skipped", issued, `select string_agg(format('%s %s', k.series, coalesce(s.last, k.last)), ', ' order by k.series) from erp.counter k left join erp.skipped_number s using (series, year)`)
	p.want("mails", "4 sent, 1 unknown", `select string_agg(n || ' ' || state, ', ' order by state) from (select state, count(*) n from spola.mail group by state) m`)
	came := map[string]int{}
	for _, m := range box.Mails() {
		came[m.To]++
	}
	if want := map[string]int{"old1@example.com": 1, "old2@example.com": 1, "new1@example.com": 1, "old3@example.com": 1}; !maps.Equal(came, want) {
		t.Errorf("mailed: %v, want %v", came, want)
	}
	p.want("broken in the ERP", "", "select coalesce(string_agg(b, e'\n'), '') from ("+clerk.Broken+") x(b)")
	p.want("decided", "recover erp: disk lost", "select verb || ' ' || decision || ': ' || reason from spola.audit order by id desc limit 1")
	atRest("in the end")
	if text := p.run(0, "applier", "recover", "erp"); !strings.Contains(text, "lacks nothing") {
		t.Errorf("recover once more: %s", text)
	}
	// Who has nothing to write meets nobody who has taken over: goods come in.
	p.erpExec("select erp.receive_goods(1::smallint, array[row($1::bigint, 1)::erp.goods_in], '')", articles[0])
	for i, one := range running {
		if strings.HasPrefix(one.name, "applier run stock") || strings.HasPrefix(one.name, "applier run orders") {
			one.ends(4) // a recovery is sure that nobody writes into the shop
			running[i] = p.start(strings.Fields(one.name)...)
		}
	}
	p.restoredShop(running, articles[0], atRest)
}

// restoredShop restores the shop's database in turn. It shows pieces of orders that only the ERP has, and is owed a receipt of since: nothing goes on
// sale before the one was held against the other.
func (p *pipeline) restoredShop(running []*program, article int64, atRest func(string)) {
	t := p.t
	t.Helper()
	told, later := p.place("told@example.com"), p.place("later@example.com")
	p.arrived(running, told, later)
	ship := func(order int64, tracking string) {
		t.Helper()
		p.erpExec("select erp.ship_order(erp_order, carrier => 'BRT', tracking => $2) from spola.link where order_id = $1 and not deleted", order, tracking)
		p.until("a parcel", running, func() bool {
			return strings.HasSuffix(p.history(order), "31 "+tracking) && p.number("select count(*) from spola.mail where kind = 'shipment' and state = 'sent' and shop_number = $1::bigint::text", order) == 1
		})
	}
	restore := p.backup()
	ship(told, "BRT011")
	lost := []int64{p.place("lost1@example.com"), p.place("lost2@example.com"), p.place("lost3@example.com")}
	p.arrived(running, lost...)
	owed := p.reads("select string_agg(article_id::text, ',') from spola.stock_account where stock_row in ('product:1', 'product:2')")
	p.erpExec("select erp.receive_goods(1::smallint, array(select row(a, 5)::erp.goods_in from unnest(string_to_array($1, ',')::bigint[] || $2::bigint) as a), '')", owed, article)
	atRest("before the shop is restored")
	for _, one := range running {
		one.stop()
	}
	restore()
	restored := p.shown()
	if text := p.run(3, "applier", "run", "stock"); !strings.Contains(text, "applier recover stock") {
		t.Errorf("in a restored shop stock says: %s", text)
	}
	if text := p.run(3, "applier", "recover", "stock"); !strings.Contains(text, "was not read yet") {
		t.Errorf("recovered before the shop was read again: %s", text)
	}
	watched := p.most()
	for i, one := range running {
		switch words := strings.Fields(one.name); {
		case one.name == "cdc run":
			running[i] = p.start("cdc", "run", "--new-incarnation")
		case words[0] == "cdc":
			running[i] = p.start("cdc", "run", "erp")
		case one.name == "applier run" || one.name == "applier run ledger":
			running[i] = p.start(words...)
		}
	}
	alive := slices.DeleteFunc(slices.Clone(running), (*program).ended)
	p.until("the restored shop is read", alive, func() bool {
		p.wake()
		return p.number("select count(*) from spola.shop where derived and incarnation = 2") == 1
	})
	// A reconciliation that sees the same at the same moment, and mends some of it, holds up nothing.
	recovery, beside := p.start("applier", "recover", "stock", "--json", "--reason", "backup of Tuesday"), p.start("applier", "reconcile")
	p.until("the shop is held against its accounts", alive, func() bool { p.wake(); return recovery.ended() })
	if text := recovery.ends(0); !strings.Contains(text, `"recovered":true`) {
		t.Errorf("recover stock: %s", text)
	}
	p.until("the reconciliation beside it", alive, func() bool { p.wake(); return beside.ended() })
	beside.ends(0)
	p.run(0, "applier", "recover", "orders")
	for i, one := range running {
		if one.ended() {
			running[i] = p.start(strings.Fields(one.name)...)
		}
	}
	// The orders of the backup are the shop's still: it is told again of what left meanwhile, and on.
	p.until("the restored shop shows the parcel", running, func() bool { return strings.HasSuffix(p.history(told), "31 BRT011") })
	ship(later, "BRT012")
	atRest("behind the shop's recovery")
	p.neverAbove(watched, restored)
	p.want("entries of the recovery", "repair -3 restored, repair -3 restored", `select coalesce(string_agg(case when pieces < 0 then format('repair %s restored', pieces) end, ', '), '') from spola.ledger
		where no > (select max(lost_to) from spola.recovery) and cause = 'repair' and stock_row in ('product:1', 'product:2')`)
	p.shows()
}
