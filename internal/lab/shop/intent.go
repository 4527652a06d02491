package shop

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// intent is everything that shopper n will do, a function of seed and n alone.
type intent struct {
	n      int64
	order  Order
	friend *intent // uses the order's coupon up while this shopper looks at the overview
	follow []followUp
}

// followUp is what the administrator does with the order afterwards.
type followUp struct {
	after  time.Duration
	status int    // a change of state, unless one of the others
	edit   *Order // the order page, saved
	delete bool
	api    bool // the change of state comes from another program
}

// plantEvery: one in so many orders is planted until there are as many as were asked for.
const plantEvery = 7

func (s *Shop) intent(seed uint64, n int64, planted int) intent {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	in := intent{n: n}
	in.order = s.drawOrder(r, n)
	in.order.Token = fmt.Sprintf("spola-lab/1 (seed %d; shopper %d)", seed, n)
	if n%plantEvery == 3 && int(n/plantEvery) < planted {
		kinds := [...]Plant{PlantTotal, PlantArticle, PlantCode}
		in.order.Plant = kinds[int(n/plantEvery)%len(kinds)]
		in.order.Abandon, in.order.Payment = false, CashOnDelivery
		in.order.Lines = []Line{{Product: Hot, Quantity: 1}}
		return in
	}
	switch {
	case n%friendEvery == 4:
		s.addFriend(r, &in)
	case !in.order.Abandon:
		in.follow = s.drawFollowUps(r, in.order)
	}
	return in
}

// friendEvery: one in so many shoppers shares a coupon, good for one order, with a friend who is
// faster.
const friendEvery = 23

func (s *Shop) addFriend(r *rand.Rand, in *intent) {
	code := fmt.Sprintf("UNICO%d", in.n)
	in.order.Abandon, in.order.Confirms, in.order.Coupon = false, 1, code
	friend := s.drawOrder(r, -in.n)
	friend.Abandon, friend.Coupon = false, code
	friend.Token = fmt.Sprintf("%s (friend)", in.order.Token)
	in.friend = &intent{n: -in.n, order: friend}
	if chance(r, 50) { // denied; cancelled then, it gives nothing back
		in.follow = []followUp{{after: 500 * time.Millisecond, status: Cancelled}}
	}
}

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

func (s *Shop) drawOrder(r *rand.Rand, n int64) Order {
	o := Order{Customer: s.drawCustomer(r, n)}
	for range 1 + r.IntN(3) {
		o.Lines = append(o.Lines, s.drawLine(r))
	}
	if chance(r, 5) {
		o.Lines = []Line{{Product: Virtual, Quantity: 1}}
		o.Customer.EUBusiness, o.Customer.VATNumber = false, ""
		if chance(r, 30) { // billed to Germany; the shop taxes at home what it ships nowhere
			o.Customer = Customer{First: "Jörg", Last: "Weiß", Email: fmt.Sprintf("shopper%d@mail.example", n), German: true, Address: Address{Country: Germany}}
		}
	}
	o.Payment = CashOnDelivery
	if chance(r, 40) {
		o.Payment = BankTransfer
	}
	o.Fee = (o.Payment == CashOnDelivery || s.virtual(o)) && chance(r, 40)
	o.Pounds = chance(r, 5)
	if chance(r, 18) {
		o.Coupon = [...]string{"ESTATE10", "MENO5", "SPEDIZIONE"}[r.IntN(3)]
	}
	if o.Customer.Register && chance(r, 25) {
		o.Customer.Credit = "25.00"
	}
	s.drawManner(r, &o)
	return o
}

// drawManner decides how the shopper goes through the checkout.
func (s *Shop) drawManner(r *rand.Rand, o *Order) {
	if chance(r, 20) && !o.Customer.EUBusiness {
		o.ShipTo = &Address{Street: "Corso Como 10", City: "Milano", Postcode: "20154", Country: o.Customer.Address.Country}
	}
	o.NoPaymentAddress = chance(r, 25) && !s.virtual(*o)
	if chance(r, 30) {
		comments := [...]string{"Suonare a \"Rossi & Figli\"", "Prima delle 12:00, grazie 🙏", "<urgente>", "Lasciare dal portiere all'ingresso"}
		o.Comment = comments[r.IntN(len(comments))]
		o.LateComment = chance(r, 50)
	}
	if chance(r, 10) {
		o.Reviews = 1 + r.IntN(2)
	}
	if chance(r, 4) {
		o.Confirms = 2
	}
	o.Abandon = chance(r, 8)
}

func (s *Shop) drawLine(r *rand.Rand) Line {
	l := Line{Product: 1 + r.IntN(s.options.Products), Quantity: 1 + r.IntN(3)}
	if chance(r, 15) {
		l.Product = Hot
	}
	if values := s.byID[l.Product].Values; len(values) > 0 {
		l.Value = values[r.IntN(len(values))].ID
	}
	for _, o := range s.byID[l.Product].Options {
		l.Choices = append(l.Choices, drawChoices(r, o)...)
	}
	return l
}

// drawChoices answers an option, or leaves it open.
func drawChoices(r *rand.Rand, o Option) []Choice {
	switch {
	case chance(r, 30):
		return nil
	case o.Kind == "checkbox":
		all := []Choice{{Option: o.ID, Value: o.Values[0].ID}, {Option: o.ID, Value: o.Values[1].ID}, {Option: o.ID, Value: o.Values[2].ID}}
		return all[:1+r.IntN(3)]
	case len(o.Values) > 0:
		return []Choice{{Option: o.ID, Value: o.Values[r.IntN(len(o.Values))].ID}}
	case o.Kind == "file":
		return []Choice{{Option: o.ID, Text: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())}}
	}
	texts := map[string][]string{
		"text":     {"A & B", `"M"`, "D'A <3", "李 🙏"},
		"textarea": {"A te,\r\ncon affetto: \"R\", <G> & family", "Auguri"},
		"date":     {"2026-12-24"}, "datetime": {"2026-12-24 18:30"}, "time": {"18:30"},
	}[o.Kind]
	return []Choice{{Option: o.ID, Text: texts[r.IntN(len(texts))]}}
}

func (s *Shop) drawCustomer(r *rand.Rand, n int64) Customer {
	firsts := [...]string{"Giulia", "Zoë", "Niccolò", "Anna & Luca", "Søren", "李"}
	lasts := [...]string{"Rossi", "D'Amico", "Esposito", "O'Brien <jr>", "Müller", "Conti"}
	c := Customer{First: firsts[r.IntN(len(firsts))], Last: lasts[r.IntN(len(lasts))],
		Email: fmt.Sprintf("Shopper%d@Mail.example", n), Address: Address{Country: Italy}}
	switch kind := r.IntN(100); {
	case kind < 35:
		return Customer{Account: int64(1 + r.IntN(s.options.Accounts))}
	case kind < 50:
		c.Register = true
	case kind < 58:
		c.German, c.Address.Country = true, Germany
	case kind < 62: // a company elsewhere in the EU
		c.German, c.EUBusiness, c.VATNumber = true, true, fmt.Sprintf("DE%09d", 100000000+n)
		c.Address = Address{Company: "Nähmaschinen & Söhne GmbH", Street: "Hauptstraße 3", City: "Berlin", Postcode: "10115", Country: Germany}
	case kind < 67: // an Italian company
		c.Address = Address{Company: "Tessitura \"La Spola\" S.r.l.", Street: "Via del Telaio 7", City: "Prato", Postcode: "59100", Country: Italy}
		c.VATNumber, c.SDI, c.PEC = partitaIVA(100_000_000+n), "M5UXCR1", "azienda@pec.example"
	default:
		c.TaxCode = "RSSMRA80A01H501U"
	}
	return c
}

// partitaIVA is an Italian VAT number of ten digits and the one that checks them: every second digit counts twice, less 9 above 9.
func partitaIVA(n int64) string {
	text, sum := fmt.Sprintf("%010d", n), 0
	for i, c := range text {
		d := int(c-'0') * (1 + i%2)
		sum += d - d/10*9
	}
	return fmt.Sprintf("%s%d", text, (10-sum%10)%10)
}

func (s *Shop) drawFollowUps(r *rand.Rand, o Order) []followUp {
	delay := func() time.Duration { return time.Duration(200+r.IntN(1800)) * time.Millisecond }
	var all []followUp
	if o.Payment == BankTransfer || s.virtual(o) {
		switch p := r.IntN(100); {
		case p < 50:
			all = append(all, followUp{after: delay(), status: Processing, api: p < 20})
		case p < 60:
			return append(all, followUp{after: delay(), status: Cancelled})
		default:
			return nil // never paid
		}
	}
	switch p := r.IntN(100); {
	case p < 12:
		edited := s.drawEdit(r, o)
		all = append(all, followUp{after: delay(), edit: &edited})
	case p < 20:
		all = append(all, followUp{after: delay(), status: Cancelled})
	case p < 22:
		all = append(all, followUp{after: delay(), delete: true})
	case p < 40:
		all = append(all, followUp{after: delay(), status: Processing}, followUp{after: delay(), status: Shipped})
		if chance(r, 50) {
			all = append(all, followUp{after: delay(), status: Complete})
		}
	}
	return all
}

// drawEdit changes a quantity, the lines, or only the address.
func (s *Shop) drawEdit(r *rand.Rand, o Order) Order {
	o.Lines = append([]Line(nil), o.Lines...)
	o.Reviews, o.Confirms, o.LateComment = 0, 0, false
	switch r.IntN(3) {
	case 0:
		o.Lines[0].Quantity = o.Lines[0].Quantity%3 + 1
	case 1:
		if !s.virtual(o) {
			o.Lines = append(o.Lines, s.drawLine(r))
		}
	default:
		if o.ShipTo == nil && !o.Customer.EUBusiness && !s.virtual(o) {
			o.ShipTo = &Address{Street: "Piazza Duomo 1", City: "Milano", Postcode: "20121", Country: o.withCountry()}
		}
	}
	return o
}

func (o Order) withCountry() Country { return o.Customer.withDefaults().Address.Country }
