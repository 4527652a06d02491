package survey_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/broker"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/survey"
)

// sound is a place with its files written and filled in, about which there is nothing to be done.
func sound(t *testing.T, url string) *place {
	t.Helper()
	p := newPlace(t, url)
	p.sql("UPDATE oc_product SET status = 0 WHERE model = 'EXTRA-01'") // nobody can buy what no ERP knows
	p.write()
	p.answer()
	return p
}

func TestSoundInstallationHasNothingToMend(t *testing.T) {
	dialects(t, func(t *testing.T, url string) {
		p := sound(t, url)
		r := p.examine()
		if bad := worst(r); len(bad) > 0 {
			t.Errorf("found %+v", bad)
		}
		if !strings.HasSuffix(r.String(), "Nothing keeps Spola from running, and nothing that is known parks orders.\n") {
			t.Errorf("it is said so:\n%s", r)
		}
		for _, f := range r.Findings {
			if f.Mend == "" || f.What == "" || f.Code == "" || f.Part == "" {
				t.Errorf("%+v lacks a text", f)
			}
		}
	})
}

// Each fault that a merchant's shop, file or ERP may have is found, with its severity, and with the
// line where that is in the shop file; what mends it is named.
func TestEachFaultIsFound(t *testing.T) {
	dialects(t, func(t *testing.T, url string) {
		p := sound(t, url)
		var before []survey.Finding
		for _, f := range p.examine().Findings {
			f.Line = 0 // faults may add lines
			before = append(before, f)
		}
		shopFile, err := os.ReadFile(p.path("shop.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name     string
			do, undo string    // in the shop
			old, new string    // in the shop file
			erp      [2]string // do and undo in the ERP
			code     string
			severity survey.Severity
			at       string // what stands in the line that is named
			what     string
			mend     string
			alone    bool // nothing else is new
		}{
			{name: "open question", old: `{state: "2", class: taken}`, new: `{state: "2", class: "?"}`,
				code: "open", severity: survey.Blocking, at: `state: "2"`, what: `is still to be filled in: {state: "2", class: "?"}`, mend: "your answer"},
			{name: "open rate", old: `fixed_taxes: []`, new: "fixed_taxes:\n  - {title: \"Eco Tax\", rate: \"?\"}",
				code: "open", severity: survey.Blocking, at: "Eco Tax", what: `is still to be filled in: {title: "Eco Tax", rate: "?"}`, mend: "your answer", alone: true},
			{name: "class that there is not", old: `{state: "2", class: taken}`, new: `{state: "2", class: takn}`,
				code: "shop_file", severity: survey.Blocking, what: `"takn" is none of`},
			{name: "unknown key", old: `platform: opencart`, new: "colour: red\nplatform: opencart",
				code: "shop_file", severity: survey.Blocking, at: "colour", what: `unknown key "colour"`},
			{name: "prefix", old: `platform: opencart`, new: "prefix: oc_\nplatform: opencart", code: "shop_file", severity: survey.Blocking, what: "stands in spola.yaml, as shop.prefix; take the line out here"},
			{name: "platform", old: `platform: opencart`, new: "platform: magento", code: "platform", severity: survey.Blocking, at: "platform: magento", what: `platform is "magento"`},
			{name: "new state", do: "INSERT INTO oc_order_status VALUES (17, 1, 'In stampa')", undo: "DELETE FROM oc_order_status WHERE order_status_id = 17",
				code: "state", severity: survey.Blocking, at: "states:", what: "order state 17 In stampa has no class", mend: `- {state: "17", class: …}`},
			{name: "state of orders alone", do: "UPDATE oc_order SET order_status_id = 44 WHERE order_id = 1", undo: "UPDATE oc_order SET order_status_id = 1 WHERE order_id = 1",
				code: "state", severity: survey.Parking, at: "states:", what: "order state 44 (1 order: cod 1), which the shop no longer has"},
			{name: "state without a class for a method", old: `  - {state: "1", class: placed}`, new: `  # - {state: "1", class: placed}`,
				code: "state", severity: survey.Parking, at: "states:", what: `no class for payment method "bank_transfer": 1 order`, mend: "method: bank_transfer"},
			{name: "state that is gone", old: `  - {state: "2", class: taken}`, new: "  - {state: \"99\", class: taken}\n  - {state: \"2\", class: taken}",
				code: "state_gone", severity: survey.Warning, at: `"99"`, what: "state 99 is not in the shop"},
			{name: "taken, but given back", old: `{state: "7", class: cancelled}`, new: `{state: "7", class: taken}`,
				code: "state_stock", severity: survey.Warning, at: `state: "7"`, what: "takes its pieces back"},
			{name: "cancelled, but kept", old: `{state: "5", class: final}`, new: `{state: "5", class: cancelled}`,
				code: "state_stock", severity: survey.Warning, at: `state: "5"`, what: "keeps its pieces"},
			{name: "status that gives pieces back", old: `shipped: "3"`, new: `shipped: "14"`,
				code: "statuses", severity: survey.Blocking, at: "statuses:", what: "statuses: shipped: state 14 (Scaduto) has the class \"cancelled\"", mend: `shipped: "3" # Spedito`},
			{name: "status that is not there", old: `cancelled: "7" `, new: `cancelled: "77"`,
				code: "statuses", severity: survey.Blocking, at: "statuses:", what: "the shop has no order state 77", mend: `cancelled: "7" # Annullato`},
			{name: "unknown total code", do: "INSERT INTO oc_order_total (order_id, extension, code, title, value, sort_order) VALUES (1, 'x', 'gift_wrap', 'Confezione', 3, 5)",
				undo: "DELETE FROM oc_order_total WHERE code = 'gift_wrap'",
				code: "total", severity: survey.Parking, at: "totals:", what: "the code gift_wrap", mend: "- {code: gift_wrap, kind: …}"},
			{name: "module of the totals switched on", do: "INSERT INTO oc_setting (store_id, code, `key`, value, serialized) VALUES (0, 'total_handling', 'total_handling_status', '1', 0), (0, 'total_handling', 'total_handling_tax_class_id', '9', 0)",
				undo: "DELETE FROM oc_setting WHERE code = 'total_handling'",
				code: "total", severity: survey.Parking, at: "totals:", what: "no order has it yet", mend: "- {code: handling, kind: charge, tax_class: 9}"},
			{name: "tax class that is gone", old: "tax_class: 9}", new: "tax_class: 77}",
				code: "tax_class", severity: survey.Parking, at: "tax_class: 77", what: "names tax class 77", mend: "9 (Ordinaria)"},
			{name: "tax rate renamed", do: "UPDATE oc_tax_rate SET name = 'IVA ordinaria' WHERE tax_rate_id = 101", undo: "UPDATE oc_tax_rate SET name = 'IVA 22%' WHERE tax_rate_id = 101",
				code: "tax_title", severity: survey.Warning, what: `VAT rows called "IVA 22%"`},
			{name: "tax rate of a fixed amount", do: "UPDATE oc_tax_rate SET type = 'F' WHERE tax_rate_id = 101", undo: "UPDATE oc_tax_rate SET type = 'P' WHERE tax_rate_id = 101",
				code: "tax_title", severity: survey.Warning, what: "is a fixed amount", mend: `- {title: "IVA 22%", rate: …}`},
			{name: "two rates of one name", do: "UPDATE oc_tax_rate SET name = 'IVA 22%' WHERE tax_rate_id = 102", undo: "UPDATE oc_tax_rate SET name = 'IVA 10%' WHERE tax_rate_id = 102",
				code: "tax_title", severity: survey.Parking, what: "tax rates 101 and 102 are both called"},
			{name: "geo zone without countries", do: "UPDATE oc_zone_to_geo_zone SET geo_zone_id = 60 WHERE geo_zone_id = 6", undo: "UPDATE oc_zone_to_geo_zone SET geo_zone_id = 6 WHERE geo_zone_id = 60",
				code: "tax_rate", severity: survey.Blocking, what: "tax rate 104 (MwSt. 19%)"},
			{name: "rule without rate", do: "INSERT INTO oc_tax_rule VALUES (70, 9, 700, 'shipping', 1)", undo: "DELETE FROM oc_tax_rule WHERE tax_rule_id = 70",
				code: "tax_rule", severity: survey.Blocking, what: "tax class 9 has a rule for tax rate 700, which is not there: orders wait until it is mended; its products: SP-0001 (product 1), "},
			{name: "product of a tax class that is gone", do: "UPDATE oc_product SET tax_class_id = 77 WHERE product_id = 2", undo: "UPDATE oc_product SET tax_class_id = 9 WHERE product_id = 2",
				code: "tax_class", severity: survey.Warning, what: "tax class 77 is not in the shop, so what names it is sold without VAT; its products: SP-0002 (product 2)", mend: "9 (Ordinaria)"},
			{name: "no time zone", do: "UPDATE oc_setting SET value = '' WHERE `key` = 'config_timezone'", undo: "UPDATE oc_setting SET value = 'Europe/Rome' WHERE `key` = 'config_timezone'",
				code: "setting", severity: survey.Blocking, what: "time zone"},
			{name: "bad time zone", do: "UPDATE oc_setting SET value = 'Europe/Roma' WHERE `key` = 'config_timezone'", undo: "UPDATE oc_setting SET value = 'Europe/Rome' WHERE `key` = 'config_timezone'",
				code: "timezone", severity: survey.Blocking, what: "Europe/Roma"},
			{name: "no list of states", do: "UPDATE oc_setting SET value = '5 and 3' WHERE `key` = 'config_complete_status'", undo: "UPDATE oc_setting SET value = '[\"5\",\"3\"]' WHERE `key` = 'config_complete_status'",
				code: "setting", severity: survey.Blocking, what: "is no list of order states"},
			{name: "payment method without a kind", old: "  cod: to_collect", new: "  # cod: to_collect",
				code: "payment", severity: survey.Warning, at: "payments:", what: "payment method cod is not named", mend: "cod: to_collect"},
			{name: "payment method that nobody has", old: "  cod: to_collect", new: "  barter: paid\n  cod: to_collect",
				code: "payment_gone", severity: survey.Note, at: "barter", what: "barter"},
			{name: "field that vanished", do: "DELETE FROM oc_custom_field WHERE custom_field_id = 3", undo: "INSERT INTO oc_custom_field VALUES (3, 'text', '', '', 'account', 1, 3)",
				code: "field_gone", severity: survey.Warning, at: `"3": pec`, what: "custom field 3 (pec)"},
			{name: "field switched off", do: "UPDATE oc_custom_field SET status = 0 WHERE custom_field_id = 3", undo: "UPDATE oc_custom_field SET status = 1 WHERE custom_field_id = 3",
				code: "field_off", severity: survey.Note, at: `"3": pec`, what: "custom field 3"},
			{name: "field that nobody named", old: `  "3": pec`, new: `  # "3": pec`,
				code: "field", severity: survey.Warning, at: "custom_fields:", what: "custom field 3 is not used", mend: `"3": pec`},
			{name: "group that is gone", old: `  "2": company`, new: "  \"8\": company\n  \"2\": company",
				code: "group_gone", severity: survey.Warning, at: `"8": company`, what: "customer group 8"},
			{name: "no VAT and no reason", old: "{country: EU, kind: company, nature: N3.2}", new: `{country: FR, nature: N3.2}`,
				code: "nature", severity: survey.Parking, at: "natures:", what: "1 order to DE without VAT, such as 3", mend: "- {country: DE, nature: …}"},
			{name: "SKU of two products", do: "UPDATE oc_product SET model = 'SP-0001' WHERE product_id = 2", undo: "UPDATE oc_product SET model = 'SP-0002' WHERE product_id = 2",
				code: "double_sku", severity: survey.Warning, what: `products 1, 2 share the model "SP-0001"`},
			{name: "product without a model", do: "UPDATE oc_product SET status = 1, model = '' WHERE product_id = 11", undo: "UPDATE oc_product SET status = 0, model = 'EXTRA-01' WHERE product_id = 11",
				code: "article", severity: survey.Parking, what: "without a model (product 11)"},
			{name: "product without article", do: "UPDATE oc_product SET status = 1 WHERE model = 'EXTRA-01'", undo: "UPDATE oc_product SET status = 0 WHERE model = 'EXTRA-01'",
				code: "article", severity: survey.Parking, what: "1 product without an article of the ERP, by SKU or by hand: EXTRA-01 (product 11)"},
			{name: "size without article", erp: [2]string{"update spola.article set shop = 'other' where variant = '53'", "update spola.article set shop = 'shop1' where variant = '53'"},
				code: "variant", severity: survey.Parking, what: "SP-0005 (product 5: 53)", mend: "applier articles --suggest > articles.csv"},
			{name: "contract", erp: [2]string{"alter function erp.cancel_orders rename to gone", "alter function erp.gone rename to cancel_orders"},
				code: "contract", severity: survey.Blocking, what: "function erp.cancel_orders must be erp.order_cancel_in[] -> setof erp.result"},
			{name: "no warehouse for the web", erp: [2]string{"update erp.warehouse set web_rank = null", "update erp.warehouse set web_rank = 1 where id = 1"},
				code: "erp_refuses", severity: survey.Blocking, what: "no warehouse is linked to the web shops", mend: "UPDATE erp.warehouse SET web_rank = 1 WHERE code = '"},
			{name: "no warehouse at all", erp: [2]string{"delete from erp.warehouse", "insert into erp.warehouse (id, code, name, web_rank) values (1, 'MAIN', 'Main warehouse', 1)"},
				code: "erp_refuses", severity: survey.Blocking, what: "no warehouse is linked to the web shops", mend: "INSERT INTO erp.warehouse"},
			{name: "ERP of an older version", erp: [2]string{"update spola.migrations_erp set is_applied = false where version_id = (select max(version_id) from spola.migrations_erp)", "update spola.migrations_erp set is_applied = true"},
				code: "migrations", severity: survey.Note, what: "the applier brings it there", mend: "applier migrate"},
			{name: "newer ERP", erp: [2]string{"insert into spola.migrations_erp (version_id, is_applied) values (999, true)", "delete from spola.migrations_erp where version_id = 999"},
				code: "migrations", severity: survey.Blocking, what: "schema erp is at version 999", mend: "newer program"},
			{name: "table without transactions", do: "ALTER TABLE oc_currency ENGINE=MyISAM", undo: "ALTER TABLE oc_currency ENGINE=InnoDB",
				code: "engine", severity: survey.Blocking, what: "table oc_currency: its engine is MyISAM", mend: "ALTER TABLE `oc_currency` ENGINE=InnoDB"},
		} {
			t.Run(c.name, func(t *testing.T) {
				p.t = t
				if c.do != "" {
					p.sql(c.do)
					defer p.sql(c.undo)
				}
				if c.erp[0] != "" {
					p.erp(c.erp[0])
					defer p.erp(c.erp[1])
				}
				if c.old != "" {
					p.edit("shop.yaml", c.old, c.new)
					defer func() {
						if err := os.WriteFile(p.path("shop.yaml"), shopFile, 0o644); err != nil {
							t.Fatal(err)
						}
					}()
				}
				text, err := os.ReadFile(p.path("shop.yaml"))
				if err != nil {
					t.Fatal(err)
				}
				var fresh []survey.Finding
				for _, f := range p.examine().Findings {
					plain := f
					plain.Line = 0
					if !slices.Contains(before, plain) {
						fresh = append(fresh, f)
					}
				}
				at := slices.IndexFunc(fresh, func(f survey.Finding) bool { return f.Code == c.code && strings.Contains(f.What, c.what) })
				if at < 0 {
					t.Fatalf("not found; found %+v", fresh)
				}
				f := fresh[at]
				if c.alone && len(fresh) > 1 {
					t.Errorf("beside it: %+v", slices.Delete(slices.Clone(fresh), at, at+1))
				}
				if f.Severity != c.severity || f.Mend == "" || !strings.Contains(f.Mend, c.mend) {
					t.Errorf("found %+v", f)
				}
				if c.at != "" {
					if line := line(string(text), f.Line); !strings.Contains(line, c.at) || f.File != p.path("shop.yaml") {
						t.Errorf("%s names line %d of %s, which is %q", c.code, f.Line, f.File, line)
					}
				}
			})
		}
	})
}

func line(text string, number int) string {
	lines := strings.Split(text, "\n")
	if number < 1 || number > len(lines) {
		return fmt.Sprintf("none of %d", len(lines))
	}
	return lines[number-1]
}

// Orders that never leave the shop are no reason to be told of them.
func TestOrdersThatStayInTheShop(t *testing.T) {
	p := sound(t, server.MySQL(t))
	p.sql("UPDATE oc_order SET order_status_id = 44, date_added = '2020-05-04 10:00:00' WHERE order_id = 1",
		"UPDATE oc_order_total SET code = 'gift_wrap' WHERE order_id = 1 AND code = 'shipping'")
	codes := func() (all []string) {
		for _, f := range worst(p.examine()) {
			all = append(all, f.Code)
		}
		return all
	}
	if s, _ := p.survey(); s.Oldest() != "2020-05-04" {
		t.Errorf("the oldest order is of %q", s.Oldest())
	}
	if got := codes(); !slices.Equal(got, []string{"state", "total"}) {
		t.Errorf("with all orders: %v", got)
	}
	p.edit("spola.yaml", `orders_since: ""`, "orders_since: 2020-05-05")
	if got := codes(); len(got) > 0 {
		t.Errorf("without the old one: %v", got)
	}
}

// A log that is not there is no first start if the shop was read before: somebody has to say what
// became of it.
func TestLogThatIsGone(t *testing.T) {
	p := sound(t, server.MySQL(t))
	p.edit("spola.yaml", "brokers: []", "brokers: ["+strings.Join(server.Kafka(t), ", ")+"]")
	p.edit("spola.yaml", "prefix: spola", "prefix: gone-"+database(p.shopURL))
	code := func() survey.Finding {
		r := p.examine()
		at := slices.IndexFunc(r.Findings, func(f survey.Finding) bool { return f.Part == survey.InLog && f.Code != "one_broker" })
		if at < 0 {
			t.Fatalf("nothing about the log:\n%s", r)
		}
		return r.Findings[at]
	}
	if f := code(); f.Code != "topic" || f.Severity != survey.Note {
		t.Errorf("before the first start: %+v", f)
	}
	p.sql("CREATE TABLE spola_marker (name varchar(191) NOT NULL PRIMARY KEY, number bigint NOT NULL DEFAULT 0)", "INSERT INTO spola_marker VALUES ('tick', 7)")
	if f := code(); f.Code != "log_gone" || f.Severity != survey.Blocking || !strings.Contains(f.Mend, "--new-generation") || strings.Contains(f.Mend, "--moved-from") {
		t.Errorf("after it: %+v", f)
	}
	b, err := broker.Start(t.Context(), broker.Config{Dir: p.path("broker"), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if f := code(); f.Code != "log_gone" || !strings.Contains(f.Mend, "cdc run --moved-from 127.0.0.1:9392") || !strings.Contains(f.Mend, p.path("broker")) {
		t.Errorf("behind an embedded broker: %+v", f)
	}
}

// The ERP's log: slot, publication, what its tables log of old rows, and its topic; each with the statement that mends it.
func TestERPLogIsExamined(t *testing.T) {
	p := sound(t, server.MySQL(t))
	slot := "doctor_" + database(p.erpURL)
	found := func() map[string]survey.Finding {
		all := map[string]survey.Finding{}
		for _, f := range p.examine().Findings {
			if strings.HasPrefix(f.Code, "log_") || strings.HasPrefix(f.Code, "erp_log") || f.Code == "erp_topic" {
				all[f.Code] = f
			}
		}
		return all
	}
	if f := found()["erp_log"]; f.Severity != survey.Note || !strings.Contains(f.Mend, "spola_cdc") {
		t.Errorf("not read: %+v", f)
	}
	p.edit("spola.yaml", "  # log:\n", "  log: {user: postgres, slot: "+slot+"}\n  # log:\n")
	p.edit("spola.yaml", "brokers: []", "brokers: ["+strings.Join(server.Kafka(t), ", ")+"]")
	p.edit("spola.yaml", "prefix: spola", "prefix: doctor-"+database(p.erpURL))
	all := found()
	for code, mend := range map[string]string{"log_publication": `CREATE PUBLICATION "spola_erp" FOR TABLE "erp"."stock"`, "log_replica_identity": "REPLICA IDENTITY FULL"} {
		f := all[code]
		if f.Severity != survey.Blocking || !strings.Contains(f.Mend, mend) {
			t.Fatalf("%s: %+v of %+v", code, f, all)
		}
		p.erp(f.Mend)
	}
	for code, f := range found() {
		if f.Severity == survey.Blocking {
			t.Errorf("mended, and still %s: %+v", code, f)
		}
	}
	if f := found()["erp_topic"]; f.Severity != survey.Note {
		t.Errorf("before the first start: %+v", f)
	}
	p.erp("select pg_create_logical_replication_slot($1, 'pgoutput')", slot)
	t.Cleanup(func() { p.erp("select pg_drop_replication_slot($1)", slot) })
	if f := found()["erp_log_gone"]; f.Severity != survey.Blocking || !strings.Contains(f.Mend, "cdc run erp --new-generation") || !strings.Contains(f.What, slot) {
		t.Errorf("slot without log: %+v", f)
	}
	p.edit("spola.yaml", "user: postgres, slot", "user: nobody_here, slot")
	if f := found()["log_away"]; f.Severity != survey.Blocking || !strings.Contains(f.Mend, "erp.log.user") {
		t.Errorf("another user: %+v", f)
	}
	p.edit("spola.yaml", "{user: nobody_here, slot: "+slot+"}", "{elsewhere: true}")
	if all := found(); all["erp_topic"].Severity != survey.Warning || !strings.Contains(all["erp_topic"].Mend, "erp.log.user") || len(all) != 1 {
		t.Errorf("read from another shop's file: %+v", all)
	}
}
