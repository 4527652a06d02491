package cli_test

import (
	"context"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// backup is a copy of the shop's tables, as of now.
func (p *pipeline) backup() (restore func()) {
	p.t.Helper()
	ctx := context.Background()
	db := p.shop.DB()
	rows, err := db.QueryContext(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
	if err != nil {
		p.t.Fatal(err)
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			p.t.Fatal(err)
		}
		tables = append(tables, name)
	}
	var database string
	if err := db.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&database); err != nil {
		p.t.Fatal(err)
	}
	p.shopExec("CREATE DATABASE " + database + "_backup")
	p.t.Cleanup(func() {
		if _, err := db.ExecContext(ctx, "DROP DATABASE "+database+"_backup"); err != nil {
			p.t.Error(err)
		}
	})
	for _, name := range tables {
		p.shopExec("CREATE TABLE " + database + "_backup." + name + " LIKE " + name)
		p.shopExec("INSERT INTO " + database + "_backup." + name + " SELECT * FROM " + name)
	}
	return func() {
		p.t.Helper()
		for _, name := range tables {
			p.shopExec("DROP TABLE " + name)
			p.shopExec("RENAME TABLE " + database + "_backup." + name + " TO " + name)
		}
	}
}

// A shop that is restored from a backup uses order numbers again. Orders of the backup are those
// that the ERP has; those after it stay in the ERP; the new ones come besides, each once.
func TestRestoredShopUsesAnOrderNumberAgain(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	reader, taker := p.start("cdc", "run"), p.start("applier", "run")
	p.live(reader, taker)
	kept, revived := p.place("kept@example.com"), p.place("revived@example.com")
	p.arrived([]*program{reader, taker}, kept, revived)
	restore := p.backup()
	if err := p.shop.Cancel(t.Context(), revived); err != nil {
		t.Fatal(err)
	}
	lost := []int64{p.place("lost1@example.com"), p.place("lost2@example.com"), p.place("lost3@example.com")}
	p.arrived([]*program{reader, taker}, lost...)
	p.settled(reader, taker)
	p.want("before the restore", "cancelled", "select status from spola.link where order_id = $1", revived)

	restore()
	for _, text := range []string{reader.ends(3), p.run(3, "cdc", "run")} {
		if !strings.Contains(text, "--new-incarnation") {
			t.Errorf("cdc says: %s", text)
		}
	}
	again := p.place("again1@example.com") // before anybody reads the shop
	reader = p.start("cdc", "run", "--new-incarnation")
	beside := p.place("again2@example.com") // beside its snapshot
	if again != lost[0] || beside != lost[1] {
		t.Fatalf("orders %d and %d were to be used again, the shop gave %d and %d", lost[0], lost[1], again, beside)
	}
	p.until("the orders of the new life", []*program{reader, taker}, func() bool {
		return p.number("select count(*) from spola.link where incarnation = 2 and status = 'imported'") == 2
	})
	p.settled(reader, taker)
	p.want("orders in the ERP", "7", "select count(*) from erp.sales_order where channel = 'web'")
	p.want("orders of the backup", "1 imported open, 1 imported open", `select string_agg(format('%s %s %s', incarnation, l.status, o.state), ', ')
		from spola.link l join erp.sales_order o on o.id = l.erp_order where order_id = any ($1)`, []int64{kept, revived})
	p.want("orders that the shop has lost", "true true true", `select string_agg(deleted::text, ' ') from spola.link where incarnation = 1 and order_id = any ($1)`, lost)
	p.want("whose they are", "again1@example.com again2@example.com", `select string_agg(o.email, ' ' order by o.email)
		from spola.link l join erp.sales_order o on o.id = l.erp_order where incarnation = 2`)
	p.want("parked", "0", "select count(*) from spola.parked")
	p.want("ghosts", "0", "select count(*) from mirror_shop.oc_order where email like 'lost%'")
	p.proved()
	if err := p.shop.Cancel(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	p.settled(reader, taker)
	p.want("cancelled is the new one only", "imported cancelled", "select string_agg(status, ' ' order by incarnation) from spola.link where order_id = $1", again)
	reader.stop()
	taker.stop()
}
