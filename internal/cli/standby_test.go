package cli_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/clerk"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// The ERP's server is lost and its standby takes over under the same address, without the last commits, while all programs
// run. Those that the ERP's past matters to stop by themselves and say so; recovered, each order is there once, no row of the shop was ever given more
// than there is, and no number of a document is used twice.
func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	lab := server.PrivateLab(t)
	primary, err := lab.Postgres(t.Context(), server.Config{})
	if err != nil {
		server.Skip(t, "PostgreSQL: "+err.Error())
	}
	standby, err := lab.Standby(t.Context(), primary)
	if err != nil {
		t.Fatal(err)
	}
	p := newPipelineAt(t, server.MySQL(t), primary.URL(), server.Kafka(t), shop.Options{Stock: 100})
	p.reconcilesOften()
	running := []*program{p.start("cdc", "run"), p.start("applier", "run")}
	p.live(running...)
	running = append(running, p.keepsStock()...)
	running = append(running, p.start("applier", "run", "orders"))
	atRest := func(what string) {
		t.Helper()
		p.stockAtRest(what, running)
	}
	atRest("every row has an account")
	erpOrder := func(order int64) int64 {
		return p.number("select erp_order from spola.link where order_id = $1", order)
	}
	kept := p.place("kept@example.com")
	p.arrived(running, kept)
	article := p.number("select article_id from spola.stock_account where stock_row = 'product:3'")
	p.until("the standby has all of it", running, func() bool {
		return p.number("select count(*) from pg_stat_replication where replay_lsn >= pg_current_wal_insert_lsn()") == 1
	})

	// From here on nothing reaches the standby: a receipt, an order and its parcel, of which shop and customer know.
	if err := standby.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.erpExec("select erp.receive_goods(1::smallint, array[row($1::bigint, 10)::erp.goods_in], '')", article)
	lost := p.place("lost@example.com")
	p.arrived(running, lost)
	p.erpExec("select erp.ship_order($1, carrier => 'BRT', tracking => 'BRT001')", erpOrder(lost))
	p.until("the customer knows of the parcel", running, func() bool { return strings.HasSuffix(p.history(lost), "31 BRT001") })
	atRest("before the server is lost")
	issued := p.reads("select string_agg(format('%s %s', series, last), ', ' order by series) from erp.counter")
	before := p.shown()
	p.erp.Close(context.Background())
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.TakeOver(t.Context(), primary); err != nil {
		t.Fatal(err)
	}
	intake, ledger := running[1], running[3]
	p.until("who would write into it waits", []*program{intake, ledger}, func() bool {
		return strings.Contains(intake.said.String(), "is a standby") && strings.Contains(ledger.said.String(), "is a standby")
	})
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.erp, err = pgx.Connect(t.Context(), p.cfg.ERP.URL()); err != nil {
		t.Fatal(err)
	}
	p.want("the standby lacks the order", "0", "select count(*) from erp.sales_order where shop_number = $1::bigint::text", lost)

	watched := p.most()
	for _, one := range running {
		switch want := olderERP[one.name]; {
		case want != "":
			if text := one.ends(3); !strings.Contains(text, want) {
				t.Errorf("%s says: %s", one.name, text)
			}
		case one.name != "cdc run":
			one.stop() // it has nothing to do with the ERP's past until its log goes on
		}
	}
	if _, err := p.erp.Exec(t.Context(), "select erp.ship_order($1, carrier => 'BRT', tracking => 'BRT9')", erpOrder(kept)); err == nil || !strings.Contains(err.Error(), "no document is issued now") {
		t.Errorf("a shipment while numbers are held: %v", err)
	}
	p.recoversERP(running, "server lost", "to be read again", "entries of the stock ledger are lost", "numbers DDT", "BRT BRT001")
	p.arrived(running, lost)
	atRest("behind the recovery")
	if now := p.neverAbove(watched, before); now["product:3"] != before["product:3"]-10 {
		t.Errorf("product:3 shows %d, %d before: ten pieces are lost", now["product:3"], before["product:3"])
	}
	p.shows()
	p.want("orders twice", "0", "select count(*) - count(distinct shop_number) from erp.sales_order where channel = 'web'")
	p.erpExec("select erp.ship_order($1, carrier => 'BRT', tracking => 'BRT002')", erpOrder(kept))
	p.until("a new parcel", running, func() bool { return strings.HasSuffix(p.history(kept), "31 BRT002") })
	p.want("numbers", "true", `select string_agg(distinct (d.number > s.last)::text, ',') from erp.document d join erp.skipped_number s using (series, year)
		where d.shipment_id in (select id from erp.shipment where tracking = 'BRT002')`)
	p.want("what was skipped", issued, `select string_agg(format('%s %s', k.series, coalesce(s.last, k.last)), ', ' order by k.series) from erp.counter k left join erp.skipped_number s using (series, year)`)
	p.want("broken in the ERP", "", "select coalesce(string_agg(b, e'\n'), '') from ("+clerk.Broken+") x(b)")
	atRest("in the end")
}
