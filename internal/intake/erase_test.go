package intake

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// holds lists the tables in which a row has a word, in any column: of Spola, of the ERP and of the mirror.
func (e *testERP) holds(word string) string {
	e.t.Helper()
	return e.text(`select coalesce(string_agg(distinct x.name, ', ' order by x.name), '')
		from (
			select c.oid::regclass::text as name, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %s t where lower(t::text) like %L', c.oid::regclass, '%' || lower($1) || '%'), false, true, '')))[1]::text::bigint as n
			from pg_class c join pg_namespace s on s.oid = c.relnamespace where s.nspname in ('spola', 'erp', 'mirror_shop') and c.relkind = 'r'
		) x where x.n > 0`, word)
}

func (e *testERP) erase(what Erasure) (Erased, error) {
	e.t.Helper()
	profile, _ := testProfile(e.t)
	what.By = By{Who: "anna@office", Reason: "a letter"}
	if what.Subject == "" {
		what.Subject = fmt.Sprintf("account %d", what.Account)
	}
	return Erase(e.t.Context(), e.conn, testShop, "oc_", profile, what)
}

// anonymise is what a shop does with a person: its rows stay, with nobody in them.
func (s *testOpenCart) anonymise(account int64, orders ...int64) {
	nobody := row{"firstname": "-", "lastname": "-", "email": fmt.Sprintf("deleted-%d@example.invalid", account), "telephone": "", "custom_field": ""}
	if account != 0 {
		s.update("customer", account, nobody)
		for id, r := range s.rows["address"] {
			if toInt(r["customer_id"]) == account {
				s.update("address", id, row{"firstname": "-", "lastname": "-", "address_1": "-", "postcode": ""})
			}
		}
	}
	for _, id := range orders {
		set := row{"comment": "", "shipping_firstname": "-", "shipping_lastname": "-", "shipping_address_1": "-", "payment_firstname": "-", "payment_lastname": "-", "payment_address_1": "-"}
		for k, v := range nobody {
			set[k] = v
		}
		s.update("order", id, set)
	}
	s.tick(5)
}

// An erased customer is in no table any more but on the documents that the law wants, whatever the shop's log brings later; nobody else is
// touched. While the shop shows him, or an order of his is not through, nothing is erased at all.
func TestErase(t *testing.T) {
	shop, erp := bothLive(t)
	erp.exec("insert into erp.seller (name, street, postcode, city, vat_number) values ('Bottega', 'Via Larga 1', '20100', 'Milano', '12345670017')")
	shop.account(7, row{"firstname": "Zelda", "email": "zelda@unica.example", "telephone": "06 777"})
	mine := testOrder{lines: twoLines, customer: 7, first: "Zelda", email: "zelda@unica.example", custom: `{"2":"ZLDUNC"}`} // a tax code that can't be right
	sent, removed := shop.place(mine, 1), shop.place(mine, 1)
	guest := shop.place(testOrder{lines: twoLines, first: "Zelda", email: " Zelda@Unica.example"}, 1)
	other := shop.place(testOrder{lines: twoLines, first: "Bruno", email: "bruno@example.com"}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.ship(sent)
	erp.ship(removed)
	erp.ship(other)
	more := mine
	more.lines = []testLine{{31, 0, 2}, {41, 0, 1}, {42, 0, 1}}
	shop.edit(sent, more) // parked: it has left
	shop.tick(5)
	erp.catchUp(shop.testLog, 1)
	erp.exec(`insert into spola.mail (key, shop, kind, order_id, recipient, state, message_id, reason)
		select 'mail ' || l.order_id || s.state, l.shop, 'shipment', l.erp_order, o.email, s.state, 'x', 'refused ' || o.email
		from spola.link l join erp.sales_order o on o.id = l.erp_order cross join (values ('sent'), ('queued')) as s(state)`)
	erp.exec("insert into spola.audit (who, shop, order_id, verb, decision, reason, detail) values ('anna@office', 'shop', $1, 'resolve', 'keep_erp', 'wrote to Zelda@unica.example', '{\"to\": \"zelda@unica.example\"}')", sent)
	erp.want("parked with its words", "1", "select count(*) from spola.parked where payload is not null")
	bruno := "select string_agg(o::text, '|') || (select string_agg(c::text, '|') from erp.customer c where c.email like 'bruno%') || (select string_agg(m::text, '|' order by m.id) from spola.mail m where m.recipient like 'bruno%') from erp.sales_order o where o.email like 'bruno%'"
	before := erp.text(bruno)

	if _, err := erp.erase(Erasure{Account: 7}); !errors.Is(err, ErrShopHasHim) || !strings.Contains(err.Error(), fmt.Sprintf("order %d", sent)) || !strings.Contains(err.Error(), "account 7") {
		t.Fatalf("while the shop has him: %v", err)
	}
	if _, err := erp.erase(Erasure{Email: "zelda@unica.example", Subject: "e-mail x"}); !errors.Is(err, ErrShopHasHim) || !strings.Contains(err.Error(), fmt.Sprintf("order %d", guest)) {
		t.Fatalf("while the shop has the guest: %v", err)
	}
	shop.remove(removed)
	shop.anonymise(7, sent)
	erp.catchUp(shop.testLog, 1)
	// What is parked follows the shop by itself; a row that did not is erased as well.
	erp.exec(`insert into spola.parked (shop, order_id, reason, what, payload, tick) values ('shop', $1, 'sum_open', 'Zelda''s', '{"order": {"email": "zelda@unica.example"}}', 0)`, removed)
	all := erp.holds("zelda")
	dry, err := erp.erase(Erasure{Account: 7, DryRun: true})
	if err != nil || !dry.Any() || erp.holds("zelda") != all {
		t.Fatalf("dry run: %+v, %v; %s", dry, err, erp.holds("zelda"))
	}
	done, err := erp.erase(Erasure{Account: 7})
	if dry.DryRun = false; err != nil || fmt.Sprint(done) != fmt.Sprint(dry) {
		t.Fatalf("erased %+v, %v; the dry run said %+v", done, err, dry)
	}
	if done.Customers != 1 || done.Orders != 2 || done.Documents != 2 || len(done.Known) != 2 || done.Parked != 1 || done.Mails != 4 {
		t.Errorf("erased %+v", done)
	}
	erp.want("the guest's is another customer's", fmt.Sprint(guest), "select string_agg(shop_number, ',') from erp.sales_order where email ilike 'zelda%'")

	// The guest's order is open: nothing of it is erased.
	shop.anonymise(0, guest)
	erp.catchUp(shop.testLog, 1)
	if _, err := erp.erase(Erasure{Email: "Zelda@unica.example", Subject: "e-mail x"}); err == nil || !strings.Contains(err.Error(), "it is not through") {
		t.Fatalf("an open order: %v", err)
	}
	erp.ship(guest)
	if _, err := erp.erase(Erasure{Email: "Zelda@unica.example", Subject: "e-mail x"}); err != nil {
		t.Fatal(err)
	}
	left := func(when string) {
		t.Helper()
		for _, word := range []string{"zelda", "unica.example", "06 777", "ZLDUNC"} {
			if found := erp.holds(word); found != "erp.document" && (word == "zelda" || found != "") {
				t.Errorf("%s %q is in: %s", when, word, found)
			}
		}
	}
	erp.want("documents stay", "3", "select count(*) from erp.document where buyer::text ilike '%zelda%'")
	left("erased,")
	again, err := erp.erase(Erasure{Account: 7})
	if err != nil || again.Any() {
		t.Errorf("once more: %+v, %v", again, err)
	}
	erp.want("decisions", "2", "select count(*) from spola.audit where verb = 'erase'")

	// What the shop writes later, and a snapshot, bring nobody back; what was taken stays.
	shop.setState(sent, 3)
	shop.setState(guest, 3)
	shop.tick(5)
	shop.snapshot(2, false)
	shop.tick(5)
	erp.catchUp(shop.testLog, 1)
	left("after more of the log")
	if after := erp.text(bruno); after != before {
		t.Errorf("somebody else is touched:\n%s\n%s", before, after)
	}
	erp.want("orders", "4", "select count(*) from erp.sales_order where state = 'shipped' and total > 0")
	back := shop.place(testOrder{lines: twoLines, email: "zelda@unica.example"}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.want("who comes back is a new customer", "shop:guest:zelda@unica.example", "select c.reference from erp.customer c join erp.sales_order o on o.customer_id = c.id where o.shop_number = $1", fmt.Sprint(back))
}
