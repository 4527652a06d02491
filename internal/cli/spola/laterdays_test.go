package spola_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spola-cdc/spola/deploy"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// live has the shop observed, and lets its orders in from now on.
func (m *merchant) live() {
	m.t.Helper()
	m.run()
	m.until("the shop is observed", func() bool { return m.status().Derived })
	cut := time.Now().Add(time.Second).Truncate(time.Second)
	m.says(applierVerb("golive", "--from", cut.Format(time.RFC3339)), "The shop is live")
	time.Sleep(time.Until(cut)) // an order placed sooner would be one of before
}

// A plug-in's order state appears when the shop has long been live: its orders wait, by the state's name, the others go
// on, and one line in the shop file has them follow.
func TestStateOfAPluginAppearsLater(t *testing.T) {
	m := newMerchant(t)
	m.live()
	_, err := m.shop.DB().Exec("INSERT INTO oc_order_status (order_status_id, language_id, name) VALUES (31, 1, 'Ready for pickup')")
	m.must(err)
	pickup := m.order("pickup@mail.example", shop.BankTransfer, 31)
	m.order("plain@mail.example", shop.CashOnDelivery, 0)
	m.until("the plain order is taken and the other parked", func() bool {
		o := m.status()
		return o.Orders["imported"].Count == 1 && o.Orders["parked"].Count == 1
	})
	m.says(applierVerb("status"), "unknown_state", "State 31", `to mend: Add the state to "states" in the shop file`)
	m.until("the state's name is known", func() bool {
		out, err := m.try(applierVerb("parked", "show", fmt.Sprint(pickup))...)
		return err == nil && strings.Contains(out, "State 31 (Ready for pickup)")
	})
	m.says(applierVerb("parked", "show", fmt.Sprint(pickup)), "Goes on by itself when this appears: state")
	if out, err := m.try("doctor"); err == nil || !strings.Contains(out, "Ready for pickup") {
		t.Errorf("doctor says %v\n%s\nwithout the state", err, out)
	}
	m.stop()
	m.write("shop.yaml", strings.Replace(string(deploy.ShopExample), "states:\n", "states:\n  - {state: \"31\", class: taken}\n", 1))
	m.run()
	m.until("the order of the new state is taken", func() bool { return m.status().Orders["imported"].Count == 2 })
	if n := m.count("select count(*) from spola.parked"); n != 0 {
		t.Errorf("%d orders are parked still", n)
	}
}

// What somebody decides stands in the record with his reason, and a status that was worked out before it says so. The
// record outlives Spola's removal, and its return.
func TestDecisionsAreOnRecord(t *testing.T) {
	m := newMerchant(t)
	_, err := m.erp.Exec(t.Context(), "update erp.article set sku = sku || '-OLD' where sku = (select sku from erp.article order by id limit 1)")
	m.must(err)
	m.live()
	id := m.order("waits@mail.example", shop.CashOnDelivery, 0)
	m.until("the order waits for its article", func() bool { return m.status().Orders["parked"].Count == 1 })

	m.says(applierVerb("parked", "retry", fmt.Sprint(id), "--reason", "try once more"), "1 orders are derived again")
	m.says(applierVerb("parked", "show", fmt.Sprint(id)), "retry", "try once more", "\n    \"action\": \"take\"")
	m.says(applierVerb("pause"), "Orders wait")
	var product, old string
	m.must(m.erp.QueryRow(t.Context(), "select left(sku, -4), sku from erp.article where sku like '%-OLD'").Scan(&product, &old))
	var number int
	m.must(m.shop.DB().QueryRow("SELECT product_id FROM oc_product WHERE model = ?", product).Scan(&number))
	m.write("articles.csv", fmt.Sprintf("product,sku\n%d,%s\n", number, old))
	m.says(applierVerb("articles", "--import", m.path("articles.csv"), "--reason", "renamed in the ERP"), "1 mappings read")
	m.says(applierVerb("status"), "behind these figures: what follows from it comes within a minute")
	m.says(applierVerb("resume"), "goes on")
	m.until("the order is taken, and the status knows", func() bool {
		o := m.status()
		return o.Orders["imported"].Count == 1 && o.Decided == nil
	})
	m.says(applierVerb("audit", "--order", fmt.Sprint(id)), "retry", "try once more")

	m.stop()
	m.says(spolaVerb("remove", "--dry-run"), "stays  table spola.audit", "stays  the shop's own tables: Spola never wrote into them")
	text, err := os.ReadFile(m.path("spola.yaml"))
	m.must(err)
	m.write("spola.yaml", strings.Replace(string(text), "shop: {", "shop: {write_as: spola_writer, ", 1))
	m.says(spolaVerb("remove", "--dry-run"), "goes   shop: account 'spola_writer'@'%'", "stays  the shop's own tables, with the pieces, states")
	m.write("spola.yaml", string(text))
	m.says(spolaVerb("remove", "--yes", "--reason", "end of the trial"), "stays  table spola.audit")
	want := "golive retry pause articles resume remove"
	var verbs string
	record := "select string_agg(verb, ' ' order by id) from spola.audit"
	m.must(m.erp.QueryRow(t.Context(), record).Scan(&verbs))
	if verbs != want {
		t.Errorf("on record are %q, want %q", verbs, want)
	}
	m.must(applier.MigrateDatabase(t.Context(), m.cfg)) // and it may come back
	m.must(m.erp.QueryRow(t.Context(), record+" where reason in ('try once more', 'end of the trial')").Scan(&verbs))
	if verbs != "retry remove" {
		t.Errorf("on record behind the return are %q, want retry and remove with their reasons", verbs)
	}
}
