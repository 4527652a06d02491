package shop

import "github.com/shopspring/decimal"

const addressFormat = "{firstname} {lastname}\r\n{company}\r\n{address_1}\r\n{address_2}\r\n{postcode} {city} {zone}\r\n{country}"

// columns are the values of the order's row, in the order of "order columns" in checkout.sql.
func (c *Checkout) columns() []any {
	o, p := c.order, c.order.Customer
	all := []any{c.customer, p.group(), escape(p.First), escape(p.Last), p.Email, p.Phone, p.fields()}
	if o.NoPaymentAddress {
		all = append(all, noAddress()...)
	} else {
		all = append(all, c.addressColumns(p.Address, c.address)...)
	}
	all = append(all, o.paymentMethod())
	switch {
	case c.shop.virtual(o):
		all = append(all, noAddress()...)
	case o.ShipTo != nil:
		all = append(all, c.addressColumns(*o.ShipTo, 0)...)
	default:
		all = append(all, c.addressColumns(p.Address, c.shippingAddress())...)
	}
	comment := escape(o.Comment)
	if o.LateComment {
		comment = ""
	}
	language, code, accept := p.language()
	all = append(all, c.shippingMethod(), comment, c.cart.total.String(), language, code)
	if o.Pounds {
		all = append(all, 1, "GBP", "0.87310000")
	} else {
		all = append(all, 3, "EUR", "1.00000000")
	}
	return append(all, clientIP, o.agent(), accept)
}

// shippingAddress is the id of the account's address; the shop writes 0 for one just opened
// whose addresses are the same.
func (c *Checkout) shippingAddress() int64 {
	if c.order.Customer.Register {
		return 0
	}
	return c.address
}

func (c *Checkout) addressColumns(a Address, id int64) []any {
	country, zone := a.Country.names()
	p := c.order.Customer
	return []any{id, escape(p.First), escape(p.Last), escape(a.Company), escape(a.Street), "", escape(a.City), a.Postcode,
		country, int(a.Country), zone, a.Country.zone(), addressFormat, "[]"}
}

func noAddress() []any {
	return []any{0, "", "", "", "", "", "", "", "", 0, "", 0, "", "[]"}
}

func (o Order) agent() string {
	if o.Token == "" {
		return "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/145.0"
	}
	return o.Token
}

// method keeps the members in the order in which the shop writes them.
type method struct {
	Code       string `json:"code"`
	Name       string `json:"name"`
	Cost       string `json:"cost,omitempty"`
	TaxClassID string `json:"tax_class_id,omitempty"`
	Text       string `json:"text,omitempty"`
}

func (o Order) paymentMethod() string {
	if o.Payment == BankTransfer {
		return toJSON(method{Code: "bank_transfer.bank_transfer", Name: "Bonifico bancario"})
	}
	return toJSON(method{Code: o.Payment + "." + o.Payment, Name: "Pagamento alla consegna"})
}

// shippingMethod is ” (not JSON) when nothing is shipped. Its text is what the page shows.
func (c *Checkout) shippingMethod() string {
	if c.shop.virtual(c.order) {
		return ""
	}
	t := &taxes{country: c.shop.destination(c.order), none: c.order.Customer.EUBusiness}
	_, tax := t.of(flatCost, Standard)
	shown := flatCost.Add(tax)
	text := shown.StringFixed(2) + "€"
	if c.order.Pounds {
		text = "£" + shown.Mul(decimal.RequireFromString("0.8731")).StringFixed(2)
	}
	return toJSON(method{Code: "flat.flat", Name: "Spedizione standard", Cost: "5.00", TaxClassID: "9", Text: text})
}
