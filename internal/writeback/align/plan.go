package align

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// variant is a product of the shop in the options that make it an article of the ERP.
type variant struct {
	text    string // "17,20"; empty: the product itself
	values  []int64
	article *article
}

// write is a named statement with what it is given.
type write struct {
	statement string
	args      []any
}

// plan is what brings one product of the shop in line: nothing is written that is not shown.
type plan struct {
	differences []Difference
	refusals    []Refusal
	writes      []write
}

// planner works a plan out. Prices come first, for a special price stands on their options.
type planner struct {
	plan
	shop     *shop
	product  *product
	variants []variant
	price    func(variant) decimal.Decimal // net, as it will be: what the options add, without the product's own price
}

// planOf compares a product with its articles, field by field.
func planOf(s *shop, p *product, variants []variant, fields []Field) plan {
	w := &planner{shop: s, product: p, variants: variants}
	w.price = w.adds(func(v value) decimal.Decimal { return v.price })
	for _, field := range fields {
		switch field {
		case Price:
			w.prices()
		case Special:
			w.specials()
		case Weight:
			w.weights()
		case Width:
			w.size(field, p.width, func(a *article) decimal.Decimal { return a.width })
		case Height:
			w.size(field, p.height, func(a *article) decimal.Decimal { return a.height })
		case Depth:
			w.size(field, p.length, func(a *article) decimal.Decimal { return a.depth })
		}
	}
	return w.plan
}

// adds sums up what a variant's options add to the product.
func (w *planner) adds(of func(value) decimal.Decimal) func(variant) decimal.Decimal {
	return func(v variant) (sum decimal.Decimal) {
		for _, id := range v.values {
			sum = sum.Add(of(w.product.values[id]))
		}
		return sum
	}
}

func (w *planner) differ(v variant, field Field, shop, erp string) {
	w.differences = append(w.differences, Difference{SKU: v.article.sku, Product: w.product.id, Variant: v.text, Field: field, Shop: shop, ERP: erp})
}

// refuse refuses a field of the whole product: what its other articles have stands on the same row.
func (w *planner) refuse(v variant, field Field, why string, args ...any) {
	w.refusals = append(w.refusals, Refusal{SKU: v.article.sku, Product: w.product.id, Variant: v.text, Field: field, Why: fmt.Sprintf(why, args...)})
}

// taxed is the rate that the shop puts on the product, if it is the ERP's for all its articles.
func (w *planner) taxed(field Field) (rate decimal.Decimal, ok bool) {
	class := w.product.taxClass
	rate, ok = w.shop.rates[class], true
	for _, v := range w.variants {
		switch {
		case w.shop.amounts[class]:
			w.refuse(v, field, "tax class %d of the shop has a fixed amount", class)
			ok = false
		case !rate.Equal(v.article.rate):
			w.refuse(v, field, "VAT %s %% in the ERP, %s %% in the shop (tax class %d)", v.article.rate, rate, class)
			ok = false
		case v.article.gross == 0:
			w.refuse(v, field, "the ERP has no price for it")
			ok = false
		}
	}
	return rate, ok
}

// writable tells whether each variant is one option value, which alone can be written as a difference to its product.
func (w *planner) writable(field Field) bool {
	for _, v := range w.variants {
		switch {
		case len(v.values) > 1:
			w.refuse(v, field, "it is %d options at once, and a shop adds them up: what each adds is for a person to say", len(v.values))
			return false
		case len(v.values) == 1 && w.product.values[v.values[0]].odd != "":
			w.refuse(v, field, "its option has the prefix %q", w.product.values[v.values[0]].odd)
			return false
		}
	}
	return true
}

// anchor is the variant that is the product itself: the first whose option adds nothing. Without one (-1), what stands
// in the product is the merchant's base for all options, and stays.
func (w *planner) anchor(adds func(variant) decimal.Decimal) int {
	return slices.IndexFunc(w.variants, func(v variant) bool { return adds(v).IsZero() })
}

func (w *planner) prices() {
	rate, ok := w.taxed(Price)
	if !ok {
		return
	}
	base, adds := w.product.price, w.price
	found := len(w.differences)
	for _, v := range w.variants {
		if cents := shown(base.Add(adds(v)), rate); cents != v.article.gross {
			w.differ(v, Price, euros(cents), euros(v.article.gross))
		}
	}
	if len(w.differences) == found {
		return
	}
	if !w.writable(Price) {
		w.differences = w.differences[:found]
		return
	}
	anchor := w.anchor(adds)
	if anchor >= 0 && shown(base, rate) != w.variants[anchor].article.gross {
		base = netOf(w.variants[anchor].article.gross, rate)
		w.writes = append(w.writes, write{"price", []any{base.StringFixed(4), w.product.id}})
	}
	will := map[string]decimal.Decimal{}
	for i, v := range w.variants {
		add := adds(v)
		if i != anchor && shown(base.Add(add), rate) != v.article.gross {
			add = netOf(v.article.gross, rate).Sub(base)
		}
		if !add.Equal(adds(v)) {
			w.writes = append(w.writes, write{"option price", signed(add, 4, v.values[0])})
		}
		will[v.text] = add
	}
	w.price = func(v variant) decimal.Decimal { return will[v.text] }
}

func signed(amount decimal.Decimal, places int32, option int64) []any {
	if amount.IsNegative() {
		return []any{amount.Neg().StringFixed(places), "-", option}
	}
	return []any{amount.StringFixed(places), "+", option}
}

// specials compares the special price, of which a product has one: its options add to it as to its price. One that is over shows
// nowhere: neither the shop's nor the ERP's counts.
func (w *planner) specials() {
	old := slices.DeleteFunc(slices.Clone(w.product.specials), func(x special) bool { return w.over(x.after) || x.first == never || x.after == never })
	if len(old) == 0 && !slices.ContainsFunc(w.variants, w.hasSpecial) {
		return
	}
	rate, ok := w.taxed(Special)
	if !ok {
		return
	}
	main := w.variants[max(0, w.anchor(w.price))]
	now, then, want := w.shownSpecials(old, main, rate), "none", main.article
	if w.hasSpecial(main) {
		then = euros(*want.special) + days(orNone(want.first), orNone(want.after))
	}
	net, ok := w.special(old, main, rate)
	if !ok || now == then {
		return
	}
	w.differ(main, Special, now, then)
	for _, x := range old {
		w.writes = append(w.writes, write{"special off", []any{x.id}})
	}
	if w.hasSpecial(main) {
		w.writes = append(w.writes, write{"special on", []any{w.product.id, w.shop.group, net.StringFixed(4), orNone(want.first), orNone(want.after)}})
	}
}

// over tells whether a day is past, by any clock. A day more or less does not matter: nothing of it shows.
func (w *planner) over(after string) bool {
	return after != "" && after != noDay && after <= w.shop.ended
}

func (w *planner) hasSpecial(v variant) bool {
	return v.article.special != nil && !w.over(v.article.after)
}

// special is the net special price of the product, by which all its articles show theirs; false: there is none such.
func (w *planner) special(old []special, main variant, rate decimal.Decimal) (net decimal.Decimal, ok bool) {
	want := main.article
	for _, v := range w.variants {
		if a := v.article; w.hasSpecial(v) != w.hasSpecial(main) || w.hasSpecial(v) && (a.first != want.first || a.after != want.after) {
			w.refuse(v, Special, "its special price, or its days, are not those of %s, and the shop has one for all of product %d", want.sku, w.product.id)
			return net, false
		}
	}
	if !w.hasSpecial(main) {
		return net, true
	}
	net = netOf(*want.special, rate).Sub(w.price(main))
	if len(old) > 0 && old[0].kind == "F" && shown(old[0].net.Add(w.price(main)), rate) == *want.special {
		net = old[0].net
	}
	if net.Sign() <= 0 {
		w.refuse(main, Special, "the shop adds what the option costs to the special price of product %d, which would have to be %s net", w.product.id, net)
		return net, false
	}
	for _, v := range w.variants {
		if cents := shown(net.Add(w.price(v)), rate); cents != *v.article.special {
			w.refuse(v, Special, "%s would show as %s, for the shop takes the same off all of product %d", euros(*v.article.special), euros(cents), w.product.id)
			return net, false
		}
	}
	return net, true
}

// shownSpecials says what stands in the shop; several rows, or one of another kind, are never the ERP's.
func (w *planner) shownSpecials(old []special, v variant, rate decimal.Decimal) string {
	var all []string
	for _, x := range old {
		text := euros(shown(x.net.Add(w.price(v)), rate))
		switch x.kind {
		case "F":
		case "P":
			text = x.net.String() + " % of the price"
		default:
			text = euros(shown(x.net, rate)) + " off"
		}
		all = append(all, text+days(x.first, x.after))
	}
	if all == nil {
		return "none"
	}
	return strings.Join(all, " and ")
}

func orNone(day string) string {
	if day == "" {
		return noDay
	}
	return day
}

// days says which day is the first and which the last.
func days(first, after string) string {
	text := ""
	if first != noDay {
		text += " from " + first
	}
	if day, err := time.Parse(time.DateOnly, after); err == nil {
		text += " to " + day.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return text
}

func (w *planner) weights() {
	known := slices.DeleteFunc(slices.Clone(w.variants), func(v variant) bool { return v.article.weight.IsZero() })
	class, units, base := w.product.weightClass, w.shop.weights, w.product.weight
	adds := w.adds(func(v value) decimal.Decimal { return v.weight })
	found := len(w.differences)
	for _, v := range known {
		is, ok := units.toERP(base.Add(adds(v)), class)
		if !ok {
			w.refuse(v, Weight, "the shop has no unit of weight %d that can be told in kg", class)
			return
		}
		if !is.Equal(v.article.weight) {
			w.differ(v, Weight, units.format(base.Add(adds(v)), class), units.format(units.toShop(v.article.weight, class), class))
		}
	}
	if len(w.differences) == found {
		return
	}
	if len(known) < len(w.variants) {
		w.differences = w.differences[:found]
		w.refuse(known[0], Weight, "the ERP has no weight for other articles of product %d", w.product.id)
		return
	}
	if !w.writable(Weight) {
		w.differences = w.differences[:found]
		return
	}
	w.writeWeights(adds)
}

func (w *planner) writeWeights(adds func(variant) decimal.Decimal) {
	class, units, base := w.product.weightClass, w.shop.weights, w.product.weight
	same := func(amount decimal.Decimal, a *article) bool {
		is, _ := units.toERP(amount, class) // the class is there
		return is.Equal(a.weight)
	}
	anchor := w.anchor(adds)
	if anchor >= 0 && !same(base, w.variants[anchor].article) {
		base = units.toShop(w.variants[anchor].article.weight, class)
		w.writes = append(w.writes, write{"weight", []any{base.StringFixed(8), w.product.id}})
	}
	for i, v := range w.variants {
		add := adds(v)
		if i != anchor && !same(base.Add(add), v.article) {
			add = units.toShop(v.article.weight, class).Sub(base)
		}
		if !add.Equal(adds(v)) {
			w.writes = append(w.writes, write{"option weight", signed(add, 8, v.values[0])})
		}
	}
}

// size compares a length, of which a product has one whatever its options.
func (w *planner) size(field Field, is decimal.Decimal, of func(*article) decimal.Decimal) {
	at := slices.IndexFunc(w.variants, func(v variant) bool { return !of(v.article).IsZero() })
	if at < 0 {
		return
	}
	first, class, units := w.variants[at], w.product.lengthClass, w.shop.lengths
	for _, v := range w.variants {
		if other := of(v.article); !other.IsZero() && !other.Equal(of(first.article)) {
			w.refuse(v, field, "%s cm here and %s cm for %s, and the shop has one %s for all of product %d", other, of(first.article), first.article.sku, field, w.product.id)
			return
		}
	}
	now, ok := units.toERP(is, class)
	if !ok {
		w.refuse(first, field, "the shop has no unit of length %d that can be told in cm", class)
		return
	}
	if !now.Equal(of(first.article)) {
		then := units.toShop(of(first.article), class)
		w.differ(first, field, units.format(is, class), units.format(then, class))
		w.writes = append(w.writes, write{string(field), []any{then.StringFixed(8), w.product.id}})
	}
}
