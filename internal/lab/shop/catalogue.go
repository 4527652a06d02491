package shop

import (
	"fmt"
	"strconv"

	"github.com/shopspring/decimal"
)

// Tax classes of the shop.
const (
	Standard = 9  // 22 % in Italy, 19 % in Germany
	Reduced  = 10 // 10 % and 7 %
	Minimum  = 11 // 4 % and 7 %
)

// Product is something the shop sells. Texts are as a person reads them; the shop stores them
// HTML-escaped.
type Product struct {
	ID       int
	Model    string // SP-0001: the default key to the ERP's article
	SKU      string // in product_code
	Name     string
	Net      decimal.Decimal // price without VAT, four decimals
	TaxClass int
	Virtual  bool          // nothing to ship
	Untraced bool          // subtract = 0: the shop keeps no stock of it
	Values   []OptionValue // sizes, each with a stock of its own
	Options  []Option      // others, in the order of its page
	Strange  bool          // no ERP knows it: for orders that can't be taken over
}

// Option is what a customer may choose or type besides the size. The shop keeps no stock of it.
type Option struct {
	ID     int    // product_option_id
	Kind   string // radio, checkbox, text, textarea, file, date, datetime, time
	Name   string
	Values []OptionValue // of radio and checkbox
}

// OptionValue is one value to choose of an option.
type OptionValue struct {
	ID       int // product_option_value_id
	OptionID int // product_option_id
	ValueID  int // option_value_id: 1 S, 2 M, 3 L, then those of the other options
	Name     string
	Extra    decimal.Decimal // on top of the product's net price
}

// The option of products with sizes.
const (
	sizeOption = 1
	sizeName   = "Taglia"
	sizeType   = "select"
)

var sizes = [...]string{"S", "M", "L"}

// otherOptions are the other kinds of options that the shop knows; with the size they are nine.
var otherOptions = [...]struct {
	kind, name, german string
	values             []string
}{
	{kind: "radio", name: "Colore", german: "Farbe", values: []string{"Rosso", `Blu "notte"`}},
	{kind: "checkbox", name: "Aggiunte", german: "Extras", values: []string{"Tasca & zip", "Fibbia <ottone>", "Rinforzo"}},
	{kind: "text", name: "Iniziali", german: "Initialen"},
	{kind: "textarea", name: "Dedica", german: "Widmung"},
	{kind: "file", name: "Logo", german: "Logo"},
	{kind: "date", name: "Consegna il", german: "Lieferung am"},
	{kind: "datetime", name: "Ritiro", german: "Abholung"},
	{kind: "time", name: "Ora della chiamata", german: "Uhrzeit des Anrufs"},
}

// Special products of every catalogue.
const (
	Hot     = 1 // what concurrent checkouts all want
	Sized   = 5 // the first product with sizes
	Virtual = 7 // the first that is not shipped

	// Of a catalogue of at least 20: the first with options of all nine kinds, and the first with
	// one that is typed and none that keeps stock.
	Personal = 18
	Engraved = 19
)

// makeCatalogue is a pure function of the options: product n is the same in every shop.
func makeCatalogue(o Options) []Product {
	names := [...]string{"Lampada da tavolo", `Monitor 27"`, "Olio & aceto", "Romanzo <giallo>", "Maglia",
		"Caffettiera", "Buono d'acconto", "Borraccia 🧊", "Zaino", "Penna"}
	all := make([]Product, 0, o.Products+1)
	for id := 1; id <= o.Products; id++ {
		p := Product{
			ID:       id,
			Model:    fmt.Sprintf("SP-%04d", id),
			SKU:      fmt.Sprintf("SKU%06d", id),
			Name:     names[(id-1)%len(names)] + " " + strconv.Itoa(id),
			TaxClass: Standard,
		}
		switch id % 10 {
		case 3:
			p.TaxClass = Reduced
		case 4:
			p.TaxClass = Minimum
		case 5:
			p.Values = sizesOf(id)
		case 7:
			p.Virtual = true
		case 0:
			p.Untraced = true
		}
		switch id % 20 {
		case 18:
			p.Values, p.Options = sizesOf(id), optionsOf(id)
		case 19:
			p.Options = optionsOf(id)[2:3]
		}
		p.Net = netPrice(id, p.TaxClass)
		all = append(all, p)
	}
	id := o.Products + 1
	return append(all, Product{ID: id, Model: "EXTRA-01", SKU: "", Name: "Fuori catalogo", TaxClass: Standard,
		Net: netPrice(id, Standard), Strange: true})
}

func sizesOf(product int) []OptionValue {
	values := make([]OptionValue, len(sizes))
	for i, size := range sizes {
		values[i] = OptionValue{
			ID: product*10 + i + 1, OptionID: product, ValueID: i + 1, Name: size,
			Extra: decimal.New(int64(i)*8197, -4), // 0, 0.8197 and 1.6394: one and two euro with VAT
		}
	}
	return values
}

// optionsOf gives a product one option of each other kind. The ids of a product's values follow
// those of its sizes.
func optionsOf(product int) []Option {
	value, valueID := product*10+len(sizes), len(sizes)
	all := make([]Option, 0, len(otherOptions))
	for i, o := range otherOptions {
		option := Option{ID: 1_000_000 + product*10 + i, Kind: o.kind, Name: o.name}
		for j, name := range o.values {
			value, valueID = value+1, valueID+1
			option.Values = append(option.Values, OptionValue{ID: value, OptionID: option.ID, ValueID: valueID, Name: name,
				Extra: decimal.New(int64(j)*4098, -4)})
		}
		all = append(all, option)
	}
	return all
}

// netPrice is what a merchant types who thinks in prices with VAT: 9.90 becomes 8.1148.
func netPrice(id, class int) decimal.Decimal {
	gross := decimal.New(int64(490+(id*737)%9000)/10*10, -2)
	one := decimal.New(1, 0)
	return gross.DivRound(one.Add(italianRate(class).Div(decimal.New(100, 0))), 4)
}

func italianRate(class int) decimal.Decimal {
	rate, _ := rateOf(class, Italy)
	return rate.percent
}

// Catalogue lists what the shop sells, the product that no ERP knows last.
func (s *Shop) Catalogue() []Product { return append([]Product(nil), s.catalogue...) }

// Article is what the ERP calls a product, or a product in one size.
type Article struct {
	Product int
	Value   int // product_option_value_id; 0 for a product without sizes
	ValueID int // option_value_id
	Model   string
	SKU     string // of the article: the model, and for sizes the model and the size: SP-0005-L
	Name    string
	Size    string
	VATRate int             // percent, in Italy
	Gross   decimal.Decimal // price with Italian VAT, not rounded
	Stocked bool
}

// Articles lists the articles of an ERP that knows the whole catalogue but its strange product.
func (s *Shop) Articles() []Article {
	var all []Article
	for _, p := range s.catalogue {
		if p.Strange {
			continue
		}
		rate := italianRate(p.TaxClass)
		factor := rate.Div(decimal.New(100, 0)).Add(decimal.New(1, 0))
		a := Article{Product: p.ID, Model: p.Model, SKU: p.Model, Name: p.Name,
			VATRate: int(rate.IntPart()), Gross: p.Net.Mul(factor), Stocked: !p.Virtual && !p.Untraced}
		if len(p.Values) == 0 {
			all = append(all, a)
		}
		for _, v := range p.Values {
			b := a
			b.Value, b.ValueID, b.Size = v.ID, v.ValueID, v.Name
			b.SKU, b.Name = p.Model+"-"+v.Name, p.Name+" "+v.Name
			b.Gross = p.Net.Add(v.Extra).Mul(factor)
			all = append(all, b)
		}
	}
	return all
}
