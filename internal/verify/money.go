package verify

import (
	"math/big"
	"slices"
)

// part is a line, a charge or a share of the discounts.
type part struct {
	kind  TotalKind // KindNothing: a line
	code  string
	net   *big.Rat
	rate  *big.Rat  // percent
	line  *shopLine // of a line
	cents int64
}

// vatSum is what is sold at one rate.
type vatSum struct {
	rate            *big.Rat
	gross, net, vat int64
}

// money is an order worked out in cents.
type money struct {
	total   int64 // lines, charges and discounts
	credits int64 // store credit, vouchers
	parts   []part
	vat     []vatSum
}

// rateGroup is what of an order stands at one rate.
type rateGroup struct {
	rate    *big.Rat
	base    *big.Rat // net of lines and charges
	stated  *big.Rat // VAT by the shop's own row
	reduced *big.Rat // the discounts' share, net
	parts   []int    // indexes of parts
	cents   int64
}

// amounts are an order's rows as the shop stores them, in its own order.
type amounts struct {
	total     *big.Rat
	parts     []part // lines, then charges
	discounts *big.Rat
	discount  string // the codes of the discounts
	payments  []*big.Rat
	taxes     []taxRow
	fixed     []*big.Rat // of taxes that are an amount a piece
	contained []taxRow   // the VAT in such amounts
}

type taxRow struct{ rate, value *big.Rat }

var (
	one      = big.NewRat(1, 1)
	half     = big.NewRat(1, 2)
	halfCent = big.NewRat(1, 200)
	hundred  = big.NewRat(100, 1)
	zeroRate = new(big.Rat)
)

// work does the order's money: one rounding of the total, half up; this spread over the rates by
// largest remainder, and each rate's cents over its parts the same way. A discount lowers each
// rate by what is missing of the rate's VAT row; what is left of it falls on the goods without VAT,
// or else on the largest rate.
func (a amounts) work() money {
	m := money{total: centsOf(a.total)}
	for _, p := range a.payments {
		cents := centsOf(new(big.Rat).Neg(p))
		m.credits += cents
		m.total += cents
	}
	groups := a.groups()
	reduce(groups, a.discounts)
	m.parts = a.parts
	for _, g := range groups {
		// Less than half a cent is what the shop cut off its VAT rows.
		if new(big.Rat).Abs(g.reduced).Cmp(halfCent) >= 0 {
			g.parts = append(g.parts, len(m.parts))
			m.parts = append(m.parts, part{kind: KindDiscount, code: a.discount, net: new(big.Rat).Neg(g.reduced), rate: g.rate})
		}
	}
	gross := make([]*big.Rat, len(groups))
	for i, g := range groups {
		gross[i] = withVAT(new(big.Rat).Sub(g.base, g.reduced), g.rate)
	}
	for i, cents := range spread(m.total, gross) {
		groups[i].cents = cents
	}
	for _, g := range groups {
		exact := make([]*big.Rat, len(g.parts))
		for i, at := range g.parts {
			exact[i] = withVAT(m.parts[at].net, g.rate)
		}
		for i, cents := range spread(g.cents, exact) {
			m.parts[g.parts[i]].cents = cents
		}
		factor := new(big.Rat).Add(one, new(big.Rat).Quo(g.rate, hundred))
		net := halfUp(new(big.Rat).Quo(big.NewRat(g.cents, 1), factor))
		m.vat = append(m.vat, vatSum{rate: g.rate, gross: g.cents, net: net, vat: g.cents - net})
	}
	return m
}

// groups sorts what is sold by its rate, the lowest first.
func (a amounts) groups() []*rateGroup {
	var all []*rateGroup
	for i, p := range a.parts {
		at := slices.IndexFunc(all, func(g *rateGroup) bool { return g.rate.Cmp(p.rate) == 0 })
		if at < 0 {
			at = len(all)
			all = append(all, &rateGroup{rate: p.rate, base: new(big.Rat), stated: new(big.Rat), reduced: new(big.Rat)})
		}
		all[at].base.Add(all[at].base, p.net)
		all[at].parts = append(all[at].parts, i)
	}
	for _, t := range append(slices.Clone(a.taxes), a.contained...) {
		for _, g := range all {
			if g.rate.Cmp(t.rate) == 0 {
				g.stated.Add(g.stated, t.value)
			}
		}
	}
	slices.SortFunc(all, func(a, b *rateGroup) int { return a.rate.Cmp(b.rate) })
	return all
}

// reduce lays the discounts (negative) on the rates.
func reduce(groups []*rateGroup, discounts *big.Rat) {
	if discounts.Sign() == 0 || len(groups) == 0 {
		return
	}
	rest := new(big.Rat).Neg(discounts)
	bearer := groups[0]
	for _, g := range groups {
		if g.rate.Sign() > 0 {
			taxed := new(big.Rat).Quo(new(big.Rat).Mul(g.stated, hundred), g.rate)
			g.reduced.Sub(g.base, taxed)
			rest.Sub(rest, g.reduced)
		}
		if bearer.untaxed() {
			continue
		}
		if g.untaxed() || g.base.Cmp(bearer.base) > 0 {
			bearer = g
		}
	}
	bearer.reduced.Add(bearer.reduced, rest)
}

func (g *rateGroup) untaxed() bool { return g.rate.Sign() == 0 && g.base.Sign() > 0 }

// spread brings exact amounts to cents that add up to total, by largest remainder; of equal
// remainders the earlier comes first.
func spread(total int64, exact []*big.Rat) []int64 {
	if len(exact) == 0 {
		return nil
	}
	cents := make([]int64, len(exact))
	remainder := make([]*big.Rat, len(exact))
	order := make([]int, len(exact))
	over := total
	for i, e := range exact {
		scaled := new(big.Rat).Mul(e, hundred)
		cents[i] = floor(scaled)
		remainder[i] = scaled.Sub(scaled, big.NewRat(cents[i], 1))
		order[i] = i
		over -= cents[i]
	}
	slices.SortStableFunc(order, func(a, b int) int { return remainder[b].Cmp(remainder[a]) })
	n := int64(len(exact))
	each := floor(big.NewRat(over, n))
	for rank, i := range order {
		cents[i] += each
		if int64(rank) < over-each*n {
			cents[i]++
		}
	}
	return cents
}

func withVAT(net, rate *big.Rat) *big.Rat {
	return new(big.Rat).Mul(net, new(big.Rat).Add(one, new(big.Rat).Quo(rate, hundred)))
}

func centsOf(amount *big.Rat) int64 { return halfUp(new(big.Rat).Mul(amount, hundred)) }

func halfUp(r *big.Rat) int64 { return floor(new(big.Rat).Add(r, half)) }

func floor(r *big.Rat) int64 {
	quotient, modulus := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	_ = modulus // Euclidean: with a positive denominator this is the floor
	return quotient.Int64()
}
