package align

import (
	"fmt"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// Invariant: whatever a shop has and whatever the ERP wants, what a plan writes leaves no difference of what it
// has shown, and where nothing was refused the shop shows what the ERP has.
func TestPlanLeavesNoDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, p, variants := drawProduct(t)
		before := planOf(s, p, variants, Fields)
		carryOut(t, p, before.writes)
		after := planOf(s, p, variants, Fields)
		if len(after.differences) > 0 || len(after.writes) > 0 {
			t.Fatalf("written %v\nstill differ %v\nby %v", before.writes, after.differences, after.writes)
		}
		if (len(before.differences) == 0) != (len(before.writes) == 0) {
			t.Fatalf("differences %v, but writes %v", before.differences, before.writes)
		}
		for _, v := range variants {
			checkShown(t, s, p, v, after.refusals)
		}
	})
}

// checkShown works out what the shop shows of a variant by arithmetic of its own.
func checkShown(t *rapid.T, s *shop, p *product, v variant, refusals []Refusal) {
	refused := map[Field]bool{}
	for _, r := range refusals {
		refused[r.Field] = true
	}
	price, weight := p.price, p.weight
	for _, id := range v.values {
		price, weight = price.Add(p.values[id].price), weight.Add(p.values[id].weight)
	}
	rate := s.rates[p.taxClass]
	gross := price.Add(price.Mul(rate).Div(hundred)).Round(2)
	if want := decimal.New(v.article.gross, -2); !refused[Price] && !gross.Equal(want) {
		t.Fatalf("%s shows %s, the ERP has %s", v.article.sku, gross, want)
	}
	if grams := weight.Mul(decimal.NewFromInt(1000)).Div(s.weights.per[p.weightClass]).Round(0); !refused[Weight] && !v.article.weight.IsZero() &&
		!grams.Equal(v.article.weight.Mul(decimal.NewFromInt(1000))) {
		t.Fatalf("%s weighs %s g, in the ERP %s kg", v.article.sku, grams, v.article.weight)
	}
	if refused[Special] {
		return
	}
	if (v.article.special == nil) != (len(p.specials) == 0) || len(p.specials) > 1 {
		t.Fatalf("%s: %d special prices, the ERP has %v", v.article.sku, len(p.specials), v.article.special)
	}
	if v.article.special != nil {
		net := p.specials[0].net.Add(price).Sub(p.price)
		gross := net.Add(net.Mul(rate).Div(hundred)).Round(2)
		if want := decimal.New(*v.article.special, -2); !gross.Equal(want) || p.specials[0].kind != "F" {
			t.Fatalf("%s shows the special price %s, the ERP has %s", v.article.sku, gross, want)
		}
	}
}

func drawProduct(t *rapid.T) (*shop, *product, []variant) {
	places := func(name string, most int64, exponent int32) decimal.Decimal {
		return decimal.New(rapid.Int64Range(0, most).Draw(t, name), exponent)
	}
	s := &shop{group: 1, rates: map[int64]decimal.Decimal{}, weights: units{exact: 3, name: map[int64]string{1: "kg", 2: "g", 3: "lb"},
		per: map[int64]decimal.Decimal{1: decimal.New(1, 0), 2: decimal.New(1000, 0), 3: decimal.New(22046, -4)}},
		lengths: units{exact: 2, name: map[int64]string{1: "cm", 3: "in"}, per: map[int64]decimal.Decimal{1: decimal.New(1, 0), 3: decimal.New(3937, -4)}}}
	rate := decimal.NewFromInt(rapid.SampledFrom([]int64{4, 5, 10, 17, 19, 22, 27}).Draw(t, "rate"))
	s.rates[9] = rate
	p := &product{id: 5, taxClass: 9, price: places("price", 10_000_000, -4), weight: places("weight", 10_000_000, -5), weightClass: rapid.Int64Range(1, 3).Draw(t, "unit"),
		length: places("length", 10_000, -2), width: places("width", 10_000, -2), height: places("height", 10_000, -2),
		lengthClass: rapid.SampledFrom([]int64{1, 3}).Draw(t, "length unit"), values: map[int64]value{}}
	for i := range rapid.IntRange(0, 2).Draw(t, "specials") {
		p.specials = append(p.specials, special{id: int64(i), net: places("special", 1_000_000, -4), kind: rapid.SampledFrom([]string{"F", "P", "S"}).Draw(t, "kind"),
			first: rapid.SampledFrom([]string{noDay, "2026-12-01"}).Draw(t, "first"), after: noDay})
	}
	erpRate := decimal.NewFromInt(rapid.SampledFrom([]int64{rate.IntPart(), rate.IntPart(), rate.IntPart(), 3}).Draw(t, "ERP's rate"))
	off, with, width := rapid.Int64Range(1, 300).Draw(t, "off"), rapid.IntRange(0, 2).Draw(t, "with special"), places("ERP's width", 5000, -2)
	inLine, first := rapid.IntRange(0, 2).Draw(t, "in line"), rapid.SampledFrom([]string{"", "2026-12-01"}).Draw(t, "from")
	var variants []variant
	for i := range rapid.IntRange(0, 4).Draw(t, "sizes") {
		id := int64(50 + i)
		p.values[id] = value{price: places("adds", 40_000, -4).Sub(decimal.New(20_000, -4)), weight: places("adds weight", 400_000, -5)}
		if rapid.Bool().Draw(t, "adds nothing") {
			p.values[id] = value{}
		}
		variants = append(variants, variant{text: fmt.Sprint(id), values: []int64{id}})
	}
	if variants == nil {
		variants = []variant{{}}
	}
	for i := range variants {
		a := &article{sku: fmt.Sprint("S", i), rate: erpRate, gross: rapid.Int64Range(301, 100_000).Draw(t, "gross"), weight: places("kg", 50_000, -3), width: width}
		if v := p.values[int64(50+i)]; inLine == 2 || inLine == 1 && rapid.Bool().Draw(t, "this one") {
			a.gross = max(301, shown(p.price.Add(v.price), rate))
			a.weight, _ = s.weights.toERP(p.weight.Add(v.weight), p.weightClass)
		}
		if with == 1 || with == 2 && i > 0 {
			special := a.gross - off
			a.special, a.first = &special, first
		}
		variants[i].article = a
	}
	return s, p, variants
}

// carryOut does to a product what the statements would do to its rows.
func carryOut(t *rapid.T, p *product, writes []write) {
	number := func(x any) decimal.Decimal { return decimal.RequireFromString(x.(string)) }
	option := func(w write, set func(*value, decimal.Decimal)) {
		amount := number(w.args[0])
		if w.args[1] == "-" {
			amount = amount.Neg()
		}
		v := p.values[w.args[2].(int64)]
		set(&v, amount)
		p.values[w.args[2].(int64)] = v
	}
	for _, w := range writes {
		switch w.statement {
		case "price":
			p.price = number(w.args[0])
		case "weight":
			p.weight = number(w.args[0])
		case "width":
			p.width = number(w.args[0])
		case "height":
			p.height = number(w.args[0])
		case "depth":
			p.length = number(w.args[0])
		case "option price":
			option(w, func(v *value, amount decimal.Decimal) { v.price = amount })
		case "option weight":
			option(w, func(v *value, amount decimal.Decimal) { v.weight = amount })
		case "special off":
			var left []special
			for _, x := range p.specials {
				if x.id != w.args[0] {
					left = append(left, x)
				}
			}
			p.specials = left
		case "special on":
			p.specials = append(p.specials, special{id: 99, net: number(w.args[2]), kind: "F", first: w.args[3].(string), after: w.args[4].(string)})
		default:
			t.Fatalf("unknown statement %q", w.statement)
		}
	}
}
