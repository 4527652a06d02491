package intake

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/shopspring/decimal"

	"github.com/spola-cdc/spola/schemas"
)

const testShopFile = `
platform: opencart
states:
  - {state: "0", class: ignored}
  - {state: "1", class: placed}
  - {state: "1", method: cod, class: taken}
  - {state: "2", class: taken}
  - {state: "3", class: final}
  - {state: "5", class: final}
  - {state: "7", class: cancelled}
  - {state: "8", class: cancelled}
  - {state: "16", class: cancelled}
totals:
  - {code: payment_fee, kind: charge, tax_class: 9}
fixed_taxes:
  - {title: "Eco Tax (-2.00)", rate: 22}
payments: {cod: to_collect}
custom_fields: {"1": vat_number, "2": tax_code, "3": pec, "4": sdi}
customer_groups: {"2": company}
natures:
  - {country: EU, kind: company, nature: N3.2}
`

// testOpenCart is a small shop that writes into a testLog, in the order of a genuine checkout.
type testOpenCart struct {
	*testLog
	lines map[int64][]testLine // of confirmed orders, for giving stock back
	clock int
}

type testLine struct {
	product  int64
	option   int64 // product_option_value_id; 0: none
	quantity int64
}

type testOrder struct {
	lines    []testLine
	method   string // cod.cod if empty
	country  int64  // 105 if 0
	group    int64  // 1 if 0
	customer int64
	email    string
	first    string
	coupon   decimal.Decimal // fraction
	credit   decimal.Decimal
	fee      decimal.Decimal
	noShip   bool
	freeShip bool // a coupon takes the shipping off, and the shop its VAT
	custom   string
	noPay    bool // no payment address
	currency string
	factor   string
	extra    row   // another row of the totals
	options  []row // more rows of order_option, of each line
	addTotal decimal.Decimal
	eco      bool // the shop's classes bear a fixed amount of 2.00 a piece, and so does the shipping
}

type testProduct struct {
	model string
	price string
	class int64
}

const ecoTax = "Eco Tax (-2.00)"

var testProducts = map[int64]testProduct{
	31: {"SP-31", "12.2869", 9}, 41: {"SP-41", "100.0000", 10}, 42: {"SP-42", "18.0310", 9}, 43: {"SP-43", "0.0333", 11}, 50: {"SP-50", "40.0000", 9},
}

func d(text string) decimal.Decimal { return decimal.RequireFromString(text) }

// newTestShop makes a shop with settings, taxes and a catalogue, and ends its first snapshot.
func newTestShop(profile *schemas.Profile) *testOpenCart {
	s := &testOpenCart{testLog: newTestLog(profile), lines: map[int64][]testLine{}}
	s.settings()
	s.insert("country", row{"country_id": 105, "iso_code_2": "IT", "iso_code_3": "ITA"})
	s.insert("country", row{"country_id": 81, "iso_code_2": "DE", "iso_code_3": "DEU"})
	s.insert("country", row{"country_id": 204, "iso_code_2": "CH", "iso_code_3": "CHE"})
	s.insert("zone", row{"zone_id": 3924, "country_id": 105, "code": "RM"})
	for i, z := range []int64{105, 81} {
		s.insert("geo_zone", row{"geo_zone_id": 5 + i, "name": "zone"})
		s.insert("zone_to_geo_zone", row{"geo_zone_id": 5 + i, "country_id": z, "zone_id": 0})
	}
	for i, r := range []struct {
		name, rate string
		zone       int
		class      int64
	}{{"IVA 22%", "22.0000", 5, 9}, {"IVA 10%", "10.0000", 5, 10}, {"IVA 4%", "4.0000", 5, 11}, {"MwSt. 19%", "19.0000", 6, 9}, {"MwSt. 7%", "7.0000", 6, 10}} {
		s.insert("tax_rate", row{"tax_rate_id": 101 + i, "geo_zone_id": r.zone, "name": r.name, "rate": r.rate, "type": "P"})
		s.insert("tax_rule", row{"tax_class_id": r.class, "tax_rate_id": 101 + i, "based": "shipping"})
		s.insert("tax_rate_to_customer_group", row{"tax_rate_id": 101 + i, "customer_group_id": 1})
	}
	s.insert("tax_rate", row{"tax_rate_id": 120, "geo_zone_id": 5, "name": "Eco Tax (-2.00)", "rate": "2.0000", "type": "F"})
	s.insert("tax_rate", row{"tax_rate_id": 121, "geo_zone_id": 5, "name": "RAEE", "rate": "2.0000", "type": "F"}) // not in the shop file
	for _, id := range []int{1, 2, 3, 5, 7, 8, 16} {
		s.insert("order_status", row{"order_status_id": id, "language_id": 1, "name": fmt.Sprintf("state %d", id)})
	}
	for _, id := range []int64{31, 41, 42, 43, 50} {
		s.insert("product", row{"product_id": id, "model": testProducts[id].model, "quantity": 100, "subtract": 1, "status": 1, "master_id": 0, "price": testProducts[id].price})
	}
	s.insert("product_option_value", row{"product_option_value_id": 17, "product_id": 50, "product_option_id": 1, "quantity": 10, "subtract": 1})
	s.insert("product_option_value", row{"product_option_value_id": 18, "product_id": 50, "product_option_id": 1, "quantity": 10, "subtract": 1})
	s.insert("product_option_value", row{"product_option_value_id": 19, "product_id": 50, "product_option_id": 2, "quantity": 10, "subtract": 1})
	s.snapshotDone()
	return s
}

var testSettings = [][2]string{{"config_timezone", "Europe/Rome"}, {"config_currency", "EUR"}, {"config_country_id", "105"},
	{"config_processing_status", `["5","1","2","12","3"]`}, {"config_complete_status", `["5","3"]`}}

func (s *testOpenCart) settings() {
	for _, kv := range testSettings {
		s.insert("setting", row{"store_id": 0, "code": "config", "key": kv[0], "value": kv[1], "serialized": 0})
	}
}

func (s *testOpenCart) now() string {
	s.clock++
	return time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC).Add(time.Duration(s.clock) * time.Second).Format("2006-01-02T15:04:05")
}

// rateOf is the rate of a tax class at the order's address, with its title.
func rateOf(class int64, o testOrder) (decimal.Decimal, string) {
	if o.group == 2 {
		return decimal.Zero, ""
	}
	if o.noShip {
		o.country = 105 // the shop taxes by its own country what it ships nowhere
	}
	switch o.country {
	case 81:
		if class == 9 {
			return d("19"), "MwSt. 19%"
		}
		return d("7"), "MwSt. 7%"
	case 204:
		return decimal.Zero, ""
	}
	switch class {
	case 9:
		return d("22"), "IVA 22%"
	case 10:
		return d("10"), "IVA 10%"
	}
	return d("4"), "IVA 4%"
}

func (o testOrder) withDefaults() testOrder {
	if o.country == 0 {
		o.country = 105
	}
	if o.group == 0 {
		o.group = 1
	}
	if o.method == "" {
		o.method = "cod.cod"
	}
	if o.email == "" {
		o.email = "Anna@Example.com"
	}
	if o.first == "" {
		o.first = "Anna"
	}
	if o.currency == "" {
		o.currency, o.factor = "EUR", "1.00000000"
	}
	if o.custom == "" {
		o.custom = "[]"
	}
	return o
}

// begin writes an order up to the overview: state 0.
func (s *testOpenCart) begin(o testOrder) int64 {
	o = o.withDefaults()
	head := s.head(o)
	head["date_added"] = s.now()
	head["date_modified"] = head["date_added"]
	head["order_status_id"] = 0
	head["invoice_prefix"] = "INV-2026-00"
	id := s.insert("order", head)
	s.parts(id, o)
	s.lines[id] = o.lines
	return id
}

func (s *testOpenCart) head(o testOrder) row {
	shipping := `{"name":"Corriere","code":"flat.flat","cost":"5.00","tax_class_id":"9","text":"€6,10"}`
	if o.noShip {
		shipping = ""
	}
	h := row{
		"store_id": 0, "customer_id": o.customer, "customer_group_id": o.group, "firstname": o.first, "lastname": "Rossi", "email": o.email,
		"telephone": "06 1", "custom_field": o.custom, "payment_method": `{"name":"Contanti","code":"` + o.method + `"}`, "shipping_method": shipping,
		"shipping_firstname": o.first, "shipping_lastname": "Rossi", "shipping_address_1": "Via Roma &amp; Co. 1", "shipping_city": "Roma", "shipping_postcode": "00100",
		"shipping_country": "Italia", "shipping_country_id": o.country, "shipping_zone": "Roma", "shipping_zone_id": 3924,
		"payment_country_id": o.country, "payment_zone_id": 3924, "payment_firstname": o.first, "payment_lastname": "Rossi", "payment_address_1": "Via Milano 2", "payment_city": "Roma",
		"comment": "", "language_code": "it-it", "currency_code": o.currency, "currency_value": o.factor, "total": o.total().StringFixed(4),
	}
	if o.noShip {
		h["shipping_country_id"], h["shipping_zone_id"] = 0, 0
	}
	if o.noPay {
		h["payment_country_id"], h["payment_zone_id"] = 0, 0
	}
	return h
}

// amounts is the order's money as the shop computes it, unrounded: rows of the totals.
func (o testOrder) amounts() (rows []row, total decimal.Decimal) {
	o = o.withDefaults()
	vat := map[string]decimal.Decimal{}
	sub := decimal.Zero
	for _, l := range o.lines {
		p := testProducts[l.product]
		net := d(p.price).Mul(decimal.NewFromInt(l.quantity))
		sub = sub.Add(net)
		r, title := rateOf(p.class, o)
		if o.eco {
			vat[ecoTax] = vat[ecoTax].Add(d("2").Mul(decimal.NewFromInt(l.quantity)))
		}
		if title != "" {
			vat[title] = vat[title].Add(net.Mul(decimal.NewFromInt(1).Sub(o.coupon)).Mul(r).Div(d("100")))
		}
	}
	add := func(code, title string, value decimal.Decimal, sort int) {
		rows = append(rows, row{"code": code, "title": title, "value": value.Truncate(6).Round(4).StringFixed(4), "sort_order": sort, "extension": "opencart"})
		if code != "sub_total" {
			total = total.Add(value)
		}
	}
	add("sub_total", "Sub-Total", sub, 1)
	total = sub
	charge := func(code, title string, value decimal.Decimal, sort int) {
		add(code, title, value, sort)
		if o.eco {
			vat[ecoTax] = vat[ecoTax].Add(d("2"))
		}
		if r, name := rateOf(9, o); name != "" {
			vat[name] = vat[name].Add(value.Mul(r).Div(d("100")))
		}
	}
	if !o.fee.IsZero() {
		charge("payment_fee", "Contrassegno", o.fee, 2)
	}
	switch {
	case o.freeShip:
		add("shipping", "Corriere", d("5"), 3)
		add("coupon", "Coupon (SPEDIZIONE)", d("-5"), 4)
	case !o.noShip:
		charge("shipping", "Corriere", d("5"), 3)
	}
	if !o.coupon.IsZero() {
		add("coupon", "Coupon (ESTATE10)", sub.Mul(o.coupon).Neg(), 4)
	}
	titles := make([]string, 0, len(vat))
	for title := range vat {
		titles = append(titles, title)
	}
	sort.Strings(titles)
	for _, title := range titles {
		add("tax", title, vat[title], 5)
	}
	if o.extra != nil {
		rows = append(rows, o.extra)
		total = total.Add(d(o.extra["value"].(string)))
	}
	if !o.credit.IsZero() {
		add("credit", "Credito", o.credit.Neg(), 7)
	}
	total = total.Add(o.addTotal)
	return append(rows, row{"code": "total", "title": "Totale", "value": total.StringFixed(4), "sort_order": 9, "extension": "opencart"}), total
}

func (o testOrder) total() decimal.Decimal {
	_, total := o.amounts()
	return total
}

// parts writes lines, options and totals, each its own transaction.
func (s *testOpenCart) parts(id int64, o testOrder) {
	for _, l := range o.lines {
		p := testProducts[l.product]
		r, _ := rateOf(p.class, o)
		tax := d(p.price).Mul(r).Div(d("100"))
		if o.eco {
			tax = tax.Add(d("2"))
		}
		line := s.insert("order_product", row{"order_id": id, "product_id": l.product, "master_id": 0, "name": `Schermo 30&quot; &amp; più`, "model": p.model,
			"quantity": l.quantity, "price": p.price, "total": d(p.price).Mul(decimal.NewFromInt(l.quantity)).StringFixed(4), "tax": tax.StringFixed(4)})
		if l.option > 0 {
			s.insert("order_option", row{"order_id": id, "order_product_id": line, "product_option_id": 1, "product_option_value_id": l.option, "name": "Taglia", "value": "L", "type": "select"})
		}
		for _, extra := range o.options {
			option := row{"order_id": id, "order_product_id": line, "product_option_value_id": 0}
			maps.Copy(option, extra)
			s.insert("order_option", option)
		}
	}
	rows, _ := o.amounts()
	for _, r := range rows {
		r["order_id"] = id
		s.insert("order_total", r)
	}
}

func (s *testOpenCart) stock(lines []testLine, sign int64) {
	for _, l := range lines {
		if toInt(s.rows["product"][l.product]["subtract"]) == 1 {
			s.update("product", l.product, row{"quantity": toInt(s.rows["product"][l.product]["quantity"]) + sign*l.quantity})
		}
		if l.option > 0 {
			s.update("product_option_value", l.option, row{"quantity": toInt(s.rows["product_option_value"][l.option]["quantity"]) + sign*l.quantity})
		}
	}
}

var testConsuming = []int64{1, 2, 3, 5, 12}

// setState is the shop's addHistory: stock on crossing into or out of the consuming states, the state, the history.
func (s *testOpenCart) setState(id, state int64) {
	was := toInt(s.rows["order"][id]["order_status_id"])
	in, out := slices.Contains(testConsuming, state), slices.Contains(testConsuming, was)
	switch {
	case in && !out:
		s.stock(s.lines[id], -1)
	case out && !in:
		s.stock(s.lines[id], 1)
	}
	s.update("order", id, row{"order_status_id": state})
	s.insert("order_history", row{"order_id": id, "order_status_id": state, "notify": 0, "comment": "", "date_added": s.now()})
}

func (s *testOpenCart) place(o testOrder, state int64) int64 {
	id := s.begin(o)
	s.setState(id, state)
	return id
}

// edit is the administrator's Save: void, rewrite, state back.
func (s *testOpenCart) edit(id int64, o testOrder) {
	o = o.withDefaults()
	back := toInt(s.rows["order"][id]["order_status_id"])
	s.setState(id, 16)
	s.rewrite(id, o)
	s.lines[id] = o.lines
	s.setState(id, back)
}

func (s *testOpenCart) rewrite(id int64, o testOrder) {
	h := s.head(o)
	h["date_modified"] = s.now()
	s.update("order", id, h)
	s.deleteOrder("order_product", id)
	s.deleteOrder("order_option", id)
	s.deleteOrder("order_total", id)
	s.parts(id, o)
}

func (s *testOpenCart) remove(id int64) {
	for _, t := range []string{"order_product", "order_option", "order_total", "order_history"} {
		s.deleteOrder(t, id)
	}
	s.deleteOrder("order", id)
}
