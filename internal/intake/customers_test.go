package intake

import (
	"fmt"
	"strings"
	"testing"
)

// account makes an account with a default address.
func (s *testOpenCart) account(id int64, set row) {
	r := row{"customer_id": id, "customer_group_id": 1, "language_id": 1, "firstname": "Anna", "lastname": "Rossi", "email": "anna@example.com", "telephone": "06 1", "custom_field": "[]", "status": 1}
	for k, v := range set {
		r[k] = v
	}
	s.insert("customer", r)
	s.insert("address", row{"customer_id": id, "firstname": "Anna", "lastname": "Rossi", "company": "", "address_1": fmt.Sprintf("Via %d", id), "city": "Roma", "postcode": "00100",
		"country_id": 105, "zone_id": 3924, "custom_field": "[]", "default": 1})
}

const customersAre = "select string_agg(reference || ' ' || email, ', ' order by reference) from erp.customer"

// A customer is made with its first order. What changes in the account afterwards reaches him without an order, but for
// what somebody edited in the ERP and what is emptied; the order stays as placed.
func TestAccountChangesReachTheERP(t *testing.T) {
	shop, erp := bothLive(t)
	shop.insert("language", row{"language_id": 1, "code": "it-it"})
	shop.account(7, nil)
	shop.account(8, row{"email": "nobody@example.com"})
	erp.catchUp(shop.testLog, 1)
	erp.want("customers before an order", "0", "select count(*) from erp.customer")
	id := shop.place(testOrder{lines: twoLines, customer: 7, custom: `{"2":"rssmra80a01 h501u"}`}, 1)
	erp.catchUp(shop.testLog, 1)
	const customer = "select concat_ws('|', reference, first_name, email, phone, language, tax_code, (address).street, (address).province) from erp.customer"
	erp.want("customer", "shop:account:7|Anna|anna@example.com|06 1|it-it|RSSMRA80A01H501U|Via 7|RM", customer)

	erp.exec("update erp.customer set phone = '333'")
	shop.update("customer", 7, row{"firstname": "Anna Maria", "email": "Anna.Maria@Example.com ", "telephone": "06 2"})
	erp.catchUp(shop.testLog, 1)
	erp.want("after a change of the account", "shop:account:7|Anna Maria|anna.maria@example.com|333|it-it|RSSMRA80A01H501U|Via 7|RM", customer)
	shop.update("address", 1, row{"address_1": "Via Nuova 1"})
	erp.catchUp(shop.testLog, 1)
	erp.want("after a change of the address", "shop:account:7|Anna Maria|anna.maria@example.com|333|it-it|RSSMRA80A01H501U|Via Nuova 1|RM", customer)
	shop.insert("address", row{"customer_id": 7, "address_1": "Via Altra 1", "country_id": 105, "custom_field": "[]", "default": 0})
	shop.update("customer", 7, row{"firstname": "", "telephone": "06 3"})
	erp.catchUp(shop.testLog, 1)
	erp.want("after an address that is not the default one, and an empty name", "shop:account:7|Anna Maria|anna.maria@example.com|333|it-it|RSSMRA80A01H501U|Via Nuova 1|RM", customer)
	erp.want("order", "Anna|anna@example.com|Via Roma & Co. 1", "select concat_ws('|', (shipping).first_name, email, (shipping).street) from erp.sales_order")

	// The account goes; what was taken and what comes yet does not need it.
	shop.delete("address", 1)
	shop.delete("customer", 7)
	shop.setState(id, 2)
	shop.place(testOrder{lines: twoLines, customer: 7}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "2", "select count(*) from erp.sales_order where state = 'open'")
	erp.want("customers", "1", "select count(*) from erp.customer")
	erp.want("parked", "0", "select count(*) from spola.parked")
}

// An account or an order whose person was made unknown changes nothing that was taken.
func TestForgottenCustomers(t *testing.T) {
	shop, erp := bothLive(t)
	shop.account(7, nil)
	id := shop.place(testOrder{lines: twoLines, customer: 7, email: "anna@example.com"}, 1)
	erp.catchUp(shop.testLog, 1)
	shop.update("customer", 7, row{"firstname": "Anonymous", "lastname": "Anonymous", "email": "deleted-7@example.invalid"})
	shop.update("order", id, row{"firstname": "Anonymous", "email": "deleted-7@example.invalid", "shipping_address_1": "-", "telephone": ""})
	shop.tick(5)
	erp.catchUp(shop.testLog, 1)
	const order = "select string_agg(concat_ws('|', email, phone, (shipping).street, state), ', ') from erp.sales_order"
	erp.want("order", "anna@example.com|06 1|Via Roma & Co. 1|open", order)
	erp.want("customer: what nobody edited follows", "shop:account:7 deleted-7@example.invalid", customersAre)
	erp.want("parked", "0", "select count(*) from spola.parked")
	shop.setState(id, 2)
	shop.tick(5)
	erp.catchUp(shop.testLog, 1)
	erp.want("order, after another state", "anna@example.com|06 1|Via Roma & Co. 1|open", order)
	shop.setState(id, 7)
	shop.tick(5)
	erp.catchUp(shop.testLog, 1)
	erp.want("order, cancelled", "anna@example.com|06 1|Via Roma & Co. 1|cancelled", order)

	// An administrator who corrects the e-mail of an order is no such case: he leaves a row of the history.
	typo := shop.place(testOrder{lines: twoLines, email: "ana@example.com"}, 1)
	erp.catchUp(shop.testLog, 1)
	shop.edit(typo, testOrder{lines: twoLines, email: "anna@example.com"})
	shop.tick(5)
	erp.catchUp(shop.testLog, 1)
	erp.want("corrected", "anna@example.com", "select email from erp.sales_order where shop_number = $1", fmt.Sprint(typo))
	shop.update("order", typo, row{"email": "x@example.invalid"})
	shop.tick(5)
	erp.catchUp(shop.testLog, 1)
	erp.want("forgotten later", "anna@example.com", "select email from erp.sales_order where shop_number = $1", fmt.Sprint(typo))
	// In another life of the shop, from a backup with an older e-mail, it is the same order.
	erp.exec("update spola.shop set incarnation = 2")
	shop.update("order", typo, row{"email": "ana@example.com"})
	shop.tick(5)
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "2", "select count(*) from erp.sales_order")
	erp.want("parked", "0", "select count(*) from spola.parked")
}

// One customer for each account and each guest's e-mail, whatever its case and spaces.
func TestWhoIsOneCustomer(t *testing.T) {
	shop, erp := bothLive(t)
	shop.account(7, nil)
	shop.account(8, nil) // the same e-mail
	for _, o := range []testOrder{{email: "Anna@Example.com"}, {email: " anna@example.COM\t"}, {email: "anna@example.com", customer: 7}, {email: "anna@example.com", customer: 8}, {email: "\u00a0"}, {email: " "}} {
		o.lines = twoLines
		shop.place(o, 1)
	}
	erp.catchUp(shop.testLog, 1000)
	erp.want("customers", "shop:account:7 anna@example.com, shop:account:8 anna@example.com, shop:guest:anna@example.com anna@example.com, shop:guest:order 5 , shop:guest:order 6 ", customersAre)
}

func matching(rules string) string {
	return testShopFile + "\ncustomers: {match: [" + rules + "]}\n"
}

// Where the shop file says so, a new account or guest is looked for first, in batches of any size as if one came
// after the other.
func TestCustomersAreMatched(t *testing.T) {
	for _, size := range []int{1, 1000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			shop, erp := bothLive(t)
			erp.reload(matching("vat_number, tax_code, email"))
			erp.exec(`insert into erp.customer (kind, company, email, vat_number) values
				('company', 'By hand', 'Info@Example.com', 'IT 12345678903'), ('company', 'Other', 'other@example.com', '00000000000')`)
			shop.account(7, nil)
			shop.account(8, nil)
			orders := []testOrder{
				{email: "new@example.com", custom: `{"1":"IT12345678903"}`},                        // 1: by VAT number
				{email: "info@example.com"},                                                        // 2: by e-mail
				{email: "anna@example.com", customer: 7, custom: `{"2":"RSSMRA80A01H501U"}`},       // 3: made
				{email: "anna@example.com", customer: 8},                                           // 4: by e-mail, of who was made just now
				{email: "anna@example.com"},                                                        // 5: the same as a guest
				{email: "maria@example.com", custom: `{"2":"RSSMRA80A01H501U","1":"07643520567"}`}, // 6: by tax code
				{email: "b@example.com", custom: `{"1":"00743110157"}`},                            // 7: made
				{email: "c@example.com", custom: `{"1":"00743110157"}`},                            // 8: by VAT number
				{email: "d@example.com", custom: `{"1":"00743110158"}`},                            // 9: malformed, finds nobody: made
				{email: "info@example.com", customer: 10, custom: `{"1":"00743110157"}`},           // 10: VAT number before e-mail
			}
			for _, o := range orders {
				o.lines = []testLine{{41, 0, 1}}
				shop.place(o, 1)
			}
			erp.catchUp(shop.testLog, size)
			erp.want("who ordered", "1:By hand, 2:By hand, 3:shop:account:7, 4:shop:account:7, 5:shop:account:7, 6:shop:account:7, 7:shop:guest:b@example.com, 8:shop:guest:b@example.com, 9:shop:guest:d@example.com, 10:shop:guest:b@example.com",
				"select string_agg(o.shop_number || ':' || coalesce(c.reference, c.company), ', ' order by o.shop_number::int) from erp.sales_order o join erp.customer c on c.id = o.customer_id")
			erp.want("what was entered by hand stays", "Info@Example.com IT 12345678903", "select email || ' ' || vat_number from erp.customer where company = 'By hand'")
			erp.exec("update erp.customer set email = 'moved@example.com' where company = 'By hand'")
			shop.place(testOrder{email: "info@example.com", lines: twoLines}, 1)
			erp.catchUp(shop.testLog, size)
			erp.want("a match holds", "By hand", "select c.company from erp.sales_order o join erp.customer c on c.id = o.customer_id where o.shop_number = '11'")
		})
	}
}

// Of several who fit nobody is guessed: the order names them, and follows when one of them is left.
func TestSeveralCustomersFit(t *testing.T) {
	shop, erp := bothLive(t)
	erp.reload(matching("tax_code, email"))
	erp.exec(`insert into erp.customer (kind, company, email, tax_code) values ('private', 'A', 'anna@example.com', ''), ('private', 'B', 'anna@example.com', ''),
		('private', 'C', 'c@example.com', 'RSSMRA80A01H501U'), ('private', 'D', 'anna@example.com', 'rssmra80a01 h501u')`)
	shop.place(testOrder{lines: twoLines, email: "anna@example.com"}, 1)
	shop.place(testOrder{lines: twoLines, email: "anna@example.com", customer: 7, custom: `{"2":"RSSMRA80A01H501U"}`}, 1)
	shop.place(testOrder{lines: twoLines, email: "x@example.com"}, 1)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "1 customer_ambiguous anna@example.com fits the ERP's customers 1, 2, 4 by email.", "select string_agg(concat_ws(' ', order_id, reason, what), '; ') from spola.parked")
	erp.want("by both keys", "D", "select c.company from erp.sales_order o join erp.customer c on c.id = o.customer_id where o.shop_number = '2'")
	shop.tick(3)
	erp.catchUp(shop.testLog, 1)
	erp.want("tried", "1", "select attempts from spola.parked")
	erp.exec("delete from erp.customer where company = 'A'; update erp.customer set email = '' where company = 'D'")
	shop.tick(1)
	erp.catchUp(shop.testLog, 1)
	erp.want("once one is left", "B", "select c.company from erp.sales_order o join erp.customer c on c.id = o.customer_id where o.shop_number = '1'")
}

func TestTaxDataForms(t *testing.T) {
	erp := newTestERP(t)
	for function, cases := range map[string]map[string]string{
		"tax_code_flaw": {
			"RSSMRA80A01H501U": "", "RSSMRA80A41H501Y": "", "RSSMRA80A01H501V": "last letter", "RSSMRA80A01H50MM": "", "RSSMRAULALMHRLMD": "", // with letters for digits
			"RSSMRA80A00H501V": "day of birth", "RSSMRA80A32H501C": "day of birth", "RSSMRA80F01H501U": "other places",
			"12345678903": "", "12345678904": "last digit", "RSSMRA80A01H501": "has 15", "00000000000": "all zeros",
		},
		"vat_number_flaw": {
			"12345678903": "", "00743110157": "", "00743110158": "last digit", "IT0074311015": "11 digits", "1234567890": "11 digits in Italy",
			"DE123456789": "", "ATU12345678": "", "D123": "two letters",
		},
		"pec_flaw": {"a@pec.it": "", "a@pec": "no e-mail", "a pec.it": "no e-mail", "a@b@pec.it": "no e-mail", "a@pec.it,b@pec.it": "no e-mail"},
	} {
		for text, want := range cases {
			got := erp.text("select coalesce(spola."+function+"($1), '')", text)
			if (want == "") != (got == "") || !strings.Contains(got, want) {
				t.Errorf("%s(%s) = %q, want %q", function, text, got, want)
			}
		}
	}
	for text, want := range map[string]string{"ABC1234 company": "", "UFABCD public": "", "UFABCD company": "only a public body's", "ABC1234 public": "has 6", "ABC12 company": "7 letters"} {
		code, kind, _ := strings.Cut(text, " ")
		if got := erp.text("select coalesce(spola.sdi_flaw($1, $2), '')", code, kind); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("sdi %s = %q, want %q", text, got, want)
		}
	}
	for call, want := range map[string]string{
		"vat_number(' it 00743110157 ')": "00743110157", "vat_number('de 123.456-789')": "DE123456789", "code(' rss mra 80a01 h501u')": "RSSMRA80A01H501U",
		"email(e' Anna@PEC.it\\u00a0')": "anna@pec.it",
	} {
		erp.want(call, want, "select spola."+call)
	}
}

// An order with a code that can't be right is taken with it as typed, and flagged; or parked, where the shop file says so.
func TestMalformedTaxData(t *testing.T) {
	shop, erp := bothLive(t)
	bad := testOrder{lines: twoLines, custom: `{"1":"IT00743110158","2":"rssmra80a01h501v","3":"pec.it","4":"abc12"}`}
	id := shop.place(bad, 1)
	shop.place(testOrder{lines: twoLines, custom: `{"1":"it 00743110157","4":"abc1234"}`}, 1)
	shop.place(testOrder{lines: twoLines, country: 81, custom: `{"2":"12/345","4":"x"}`}, 1) // Italy's rules are not theirs
	erp.catchUp(shop.testLog, 1000)
	erp.want("orders", "00743110158|RSSMRA80A01H501V|pec.it|ABC12, 00743110157|ABC1234, 12345|X",
		"select string_agg(concat_ws('|', nullif(vat_number, ''), nullif(tax_code, ''), nullif(pec, ''), nullif(sdi, '')), ', ' order by id) from erp.sales_order")
	flags, err := ListFlags(t.Context(), erp.conn, testShop)
	var fields []string
	for _, f := range flags {
		fields = append(fields, f.Subject+" "+f.Field+" "+f.Value)
		if f.What == "" {
			t.Errorf("%+v says nothing", f)
		}
	}
	if got := strings.Join(fields, ", "); err != nil || got != "order 1 pec pec.it, order 1 sdi ABC12, order 1 tax_code RSSMRA80A01H501V, order 1 vat_number 00743110158" {
		t.Errorf("flags: %s, %v", got, err)
	}
	if o, err := Look(t.Context(), erp.conn, testShop); err != nil || len(o.Flagged) != 4 || fmt.Sprint(o.Flagged[3]) != "{vat_number 1 [order 1]}" {
		t.Errorf("status: %+v, %v", o.Flagged, err)
	}
	shop.edit(id, testOrder{lines: twoLines, custom: `{"2":"RSSMRA80A01H501U"}`})
	shop.tick(4)
	erp.catchUp(shop.testLog, 1000)
	erp.want("flags once it is corrected", "0", "select count(*) from spola.flag")

	erp.reload(testShopFile + "\ncustomers: {malformed: park}\n")
	shop.place(bad, 1)
	erp.catchUp(shop.testLog, 1000)
	erp.want("parked", "malformed_tax_data|true", "select reason || '|' || (what like '%vat_number \"00743110158\": its last%') from spola.parked")
	erp.reload(testShopFile)
	shop.tick(1)
	erp.catchUp(shop.testLog, 1000)
	erp.want("taken by another setting", "4", "select count(*) from erp.sales_order")
	shop.account(9, row{"custom_field": `{"2":"RSSMRA80A01H501V"}`})
	shop.place(testOrder{lines: twoLines, customer: 9}, 1)
	shop.update("customer", 9, row{"telephone": "1"})
	erp.catchUp(shop.testLog, 1000)
	erp.want("an account's", "RSSMRA80A01H501V", "select value from spola.flag where subject = 'account 9' and field = 'tax_code'")
}

// Who ticks or fills in the shop's field for it wants an invoice; who leaves it does not, however the shop writes that down.
func TestInvoiceWanted(t *testing.T) {
	shop, erp := bothLive(t)
	erp.reload(strings.Replace(testShopFile, `"4": sdi}`, `"4": sdi, "5": invoice_wanted}`, 1))
	for _, custom := range []string{`{"5":["17"]}`, `{"5":"1"}`, `{"5":"Sì, grazie"}`, `{"5":[]}`, `{"5":""}`, `{"5":"0"}`, `{"5":"No"}`, `{"5":null}`, `{"2":"RSSMRA80A01H501U"}`, `[]`, ``} {
		shop.place(testOrder{lines: twoLines, custom: custom}, 1)
	}
	shop.place(testOrder{lines: twoLines, custom: `{"1":"IT00743110157"}`}, 1) // a company always does
	erp.catchUp(shop.testLog, 1000)
	erp.want("wanted", "true true true false false false false false false false false true", "select string_agg(invoice_wanted::text, ' ' order by id) from erp.sales_order")
}

// An order beyond stock is taken, committed to the first warehouse and marked.
func TestOrderBeyondStock(t *testing.T) {
	shop, erp := bothLive(t)
	erp.exec("insert into erp.warehouse (id, code, name, web_rank) values (2, 'X', 'Second', 2)")
	erp.exec("insert into erp.stock (article_id, warehouse_id, on_hand) select id, 2, 1 from erp.article where sku = 'SP-31'")
	erp.exec("update erp.stock set on_hand = 2 where warehouse_id = 1 and article_id = (select id from erp.article where sku = 'SP-31')")
	shop.place(testOrder{lines: []testLine{{31, 0, 7}}}, 1)
	shop.place(testOrder{lines: []testLine{{41, 0, 1}}}, 1)
	erp.catchUp(shop.testLog, 1)
	erp.want("orders", "true false", "select string_agg(backorder::text, ' ' order by order_id) from erp.orders")
	erp.want("commitments", "1:6/4 2:1/0", "select string_agg(warehouse_id || ':' || quantity || '/' || backorder, ' ' order by warehouse_id) from erp.commitment where order_id = 1")
}
