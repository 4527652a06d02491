package shop

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// Order states of the shop, with OpenCart's own ids.
const (
	Abandoned  = 0
	Pending    = 1
	Processing = 2
	Shipped    = 3
	Complete   = 5
	Cancelled  = 7
	Denied     = 8
	Reversed   = 12
	Voided     = 16
)

// Payment methods.
const (
	CashOnDelivery = "cod"
	BankTransfer   = "bank_transfer"
)

// Plant makes an order that no bridge can take over as it is.
type Plant string

// The kinds of planted orders.
const (
	PlantTotal   Plant = "total"   // the total row is a euro more than the others add up to
	PlantArticle Plant = "article" // a product that no ERP knows
	PlantCode    Plant = "code"    // a total row of a plug-in that nobody has described
)

// Order is what a shopper wants. The zero value of each field is the plainest choice: a guest in
// Rome who pays on delivery, in euro.
type Order struct {
	Customer Customer
	Lines    []Line
	Payment  string   // CashOnDelivery, unless nothing is shipped: then BankTransfer
	ShipTo   *Address // another address than the customer's
	Coupon   string   // ESTATE10, MENO5, SPEDIZIONE, ULTIMO
	Fee      bool     // the plug-in's payment fee, total code payment_fee
	Pounds   bool     // the customer sees and pays pounds
	Comment  string

	NoPaymentAddress bool // the installer's default: payment_* empty, shipping_* filled
	LateComment      bool // the comment is typed after the overview: an UPDATE of its own
	Reviews          int  // how often the overview is reached again
	Confirms         int  // how often the button is pressed; 0 means once
	Abandon          bool // the button is never pressed
	Plant            Plant

	Token string // stands in user_agent; tells the order apart when its number was never learnt
}

// Line is a product in the cart.
type Line struct {
	Product  int
	Value    int      // product_option_value_id of the size; 0 for products without
	Choices  []Choice // of the product's other options
	Quantity int
}

// Choice is an answer to one of a product's options.
type Choice struct {
	Option int    // product_option_id
	Value  int    // product_option_value_id, of radio and checkbox: a choice for each box
	Text   string // of the other kinds; of a file the code under which it was uploaded
}

// chosen is what an order_option row is made of.
type chosen struct {
	option, value    int
	name, text, kind string
	extra            decimal.Decimal // on top of the product's net price
}

// Customer is who orders: a guest, somebody who opens an account in the checkout, or an account
// that is there already.
type Customer struct {
	Account    int64  // customer_id, for one who logs in
	Register   bool   // opens an account in the checkout
	Credit     string // store credit granted to the account before the order, such as "25.00"
	First      string
	Last       string
	Email      string
	Phone      string
	Address    Address
	VATNumber  string // custom field 1
	TaxCode    string // custom field 2
	PEC        string // custom field 3
	SDI        string // custom field 4
	German     bool   // uses the shop in German
	EUBusiness bool   // customer group 2: no VAT, reverse charge
}

// Address is a postal address.
type Address struct {
	Company  string
	Street   string
	City     string
	Postcode string
	Country  Country
}

const passwordHash = "$2y$10$0123456789012345678901uQmWBRb0nQ0vX1Y5j6Jt0bqkzE8k5zO" // of nothing

// account is the customer with id n of every shop.
func account(n int) Customer {
	firsts := [...]string{"Giulia", "Marco", "Nicolò", "Anna", "Søren", "Lucia"}
	lasts := [...]string{"Rossi", "D'Amico", "Esposito & Figli", "Bianchi", "Müller", "Conti"}
	c := Customer{Account: int64(n), First: firsts[n%len(firsts)], Last: lasts[(n/2)%len(lasts)],
		Email: fmt.Sprintf("account%d@mail.example", n), Phone: fmt.Sprintf("+39 06 555%04d", n),
		Address: Address{Street: fmt.Sprintf("Via Appia %d", n), City: "Roma", Postcode: "00184", Country: Italy}}
	if n%4 == 0 {
		c.Address.Company, c.VATNumber, c.SDI = "Officina \"Due\" S.r.l.", "01234567897", "M5UXCR1"
	}
	return c
}

// withDefaults fills what the shopper left open.
func (s *Shop) withDefaults(o Order) (Order, error) {
	if len(o.Lines) == 0 {
		return o, fmt.Errorf("an order without lines")
	}
	o.Lines = append([]Line(nil), o.Lines...)
	if o.Plant == PlantArticle {
		o.Lines = append(o.Lines, Line{Product: s.options.Products + 1, Quantity: 1})
	}
	for i, line := range o.Lines {
		if _, _, err := s.find(line); err != nil {
			return o, err
		}
		o.Lines[i].Quantity = max(line.Quantity, 1)
	}
	if o.Payment == "" {
		o.Payment = CashOnDelivery
	}
	if s.virtual(o) {
		o.Payment = BankTransfer // cash on delivery is not offered
	}
	if o.Confirms == 0 {
		o.Confirms = 1
	}
	o.Customer = o.Customer.withDefaults()
	if o.ShipTo != nil && o.ShipTo.Country == 0 {
		to := *o.ShipTo
		to.Country = Italy
		o.ShipTo = &to
	}
	return o, nil
}

func (c Customer) withDefaults() Customer {
	if c.Account != 0 && c.Email == "" {
		number, given := c.Account, c.Credit
		c = account(int(number))
		c.Credit = given
	}
	if c.First == "" && c.Last == "" {
		c.First, c.Last = "Mario", "Rossi"
	}
	if c.Email == "" {
		c.Email = "mario.rossi@mail.example"
	}
	if c.Phone == "" {
		c.Phone = "+39 333 1234567"
	}
	if c.Address.Street == "" {
		country := c.Address.Country
		c.Address = Address{Street: "Via Roma 1", City: "Roma", Postcode: "00100", Country: Italy}
		if country == Germany {
			c.Address = Address{Street: "Lindenstraße 5", City: "Berlin", Postcode: "10969", Country: Germany}
		}
	}
	if c.Address.Country == 0 {
		c.Address.Country = Italy
	}
	return c
}

// find returns what a line orders, the size first.
func (s *Shop) find(line Line) (Product, []chosen, error) {
	p, ok := s.byID[line.Product]
	if !ok {
		return p, nil, fmt.Errorf("product %d is not in the catalogue", line.Product)
	}
	var all []chosen
	if line.Value != 0 || len(p.Values) > 0 {
		v, ok := valueOf(p.Values, line.Value)
		if !ok {
			return p, nil, fmt.Errorf("product %d has no option value %d", line.Product, line.Value)
		}
		all = append(all, chosen{v.OptionID, v.ID, sizeName, v.Name, sizeType, v.Extra})
	}
	for _, c := range line.Choices {
		at := slices.IndexFunc(p.Options, func(o Option) bool { return o.ID == c.Option })
		if at < 0 {
			return p, nil, fmt.Errorf("product %d has no option %d", line.Product, c.Option)
		}
		o := p.Options[at]
		answer := chosen{o.ID, 0, o.Name, c.Text, o.Kind, decimal.Zero}
		if len(o.Values) > 0 {
			v, ok := valueOf(o.Values, c.Value)
			if !ok {
				return p, nil, fmt.Errorf("option %d of product %d has no value %d", o.ID, line.Product, c.Value)
			}
			answer.value, answer.text, answer.extra = v.ID, v.Name, v.Extra
		}
		all = append(all, answer)
	}
	return p, all, nil
}

func valueOf(values []OptionValue, id int) (OptionValue, bool) {
	at := slices.IndexFunc(values, func(v OptionValue) bool { return v.ID == id })
	if at < 0 {
		return OptionValue{}, false
	}
	return values[at], true
}

// virtual tells whether nothing of the order is shipped.
func (s *Shop) virtual(o Order) bool {
	for _, line := range o.Lines {
		if !s.byID[line.Product].Virtual {
			return false
		}
	}
	return true
}

// destination is the address that decides the VAT; the shop's own country for virtual goods.
func (s *Shop) destination(o Order) Country {
	switch {
	case s.virtual(o):
		return Italy
	case o.ShipTo != nil:
		return o.ShipTo.Country
	}
	return o.Customer.Address.Country
}

// fields is the custom_field column of customer and order.
func (c Customer) fields() string {
	if c.EUBusiness {
		return toJSON(map[string]string{"1": c.VATNumber})
	}
	return toJSON(map[string]string{"1": c.VATNumber, "2": c.TaxCode, "3": c.PEC, "4": c.SDI})
}

func (c Customer) group() int {
	if c.EUBusiness {
		return 2
	}
	return 1
}

func (c Customer) language() (id int, code, accept string) {
	if c.German {
		return 2, "de-de", "de-DE,de;q=0.9"
	}
	return 1, "it-it", "it-IT,it;q=0.8,en;q=0.5"
}

func (c Country) zone() int {
	if c == Germany {
		return 1255
	}
	return 3924
}

// names are the country's and the zone's as the shop writes them into an order.
func (c Country) names() (country, zone string) {
	if c == Germany {
		return "Germania", "Berlino"
	}
	return "Italia", "Roma"
}

// toJSON writes a value as PHP's json_encode does: only ASCII, the slash escaped.
func toJSON(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "[]" // strings, lists and maps of strings: cannot happen
	}
	var b strings.Builder
	for _, r := range strings.TrimSuffix(text.String(), "\n") {
		switch {
		case r == '/':
			b.WriteString(`\/`)
		case r < 0x80:
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		}
	}
	return b.String()
}
