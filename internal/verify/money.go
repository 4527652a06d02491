package verify

import "slices"

// part is a line, a charge or a share of the discounts.
type part struct {
	kind  TotalKind // KindNothing: a line
	code  string
	net   ratio
	rate  ratio     // percent
	line  *shopLine // of a line
	cents int64
}

// vatSum is what is sold at one rate.
type vatSum struct {
	rate            ratio
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
	rate    ratio
	base    ratio // net of lines and charges
	stated  ratio // VAT by the shop's own row
	reduced ratio // the discounts' share, net
	parts   []int // indexes of parts
	cents   int64
}

// amounts are an order's rows as the shop stores them, in its own order.
type amounts struct {
	total     ratio
	parts     []part // lines, then charges
	discounts ratio
	discount  string // the codes of the discounts
	payments  []ratio
	taxes     []taxRow
	fixed     []ratio  // of taxes that are an amount a piece
	contained []taxRow // the VAT in such amounts
}

type taxRow struct{ rate, value ratio }

var (
	one      = whole(1)
	half     = fraction(1, 2)
	halfCent = fraction(1, 200)
	hundred  = whole(100)
	zeroRate = ratio{}
)

// work does the order's money: one rounding of the total, half up; this spread over the rates by
// largest remainder, and each rate's cents over its parts the same way. A discount lowers each
// rate by what is missing of the rate's VAT row; what is left of it falls on the goods without VAT,
// or else on the largest rate.
func (a amounts) work() money {
	m := money{total: centsOf(a.total)}
	for _, p := range a.payments {
		cents := centsOf(p.neg())
		m.credits += cents
		m.total += cents
	}
	groups := a.groups()
	reduce(groups, a.discounts)
	m.parts = a.parts
	for _, g := range groups {
		// Less than half a cent is what the shop cut off its VAT rows.
		if g.reduced.abs().cmp(halfCent) >= 0 {
			g.parts = append(g.parts, len(m.parts))
			m.parts = append(m.parts, part{kind: KindDiscount, code: a.discount, net: g.reduced.neg(), rate: g.rate})
		}
	}
	gross := make([]ratio, len(groups))
	for i, g := range groups {
		gross[i] = withVAT(g.base.sub(g.reduced), g.rate)
	}
	for i, cents := range spread(m.total, gross) {
		groups[i].cents = cents
	}
	for _, g := range groups {
		exact := make([]ratio, len(g.parts))
		for i, at := range g.parts {
			exact[i] = withVAT(m.parts[at].net, g.rate)
		}
		for i, cents := range spread(g.cents, exact) {
			m.parts[g.parts[i]].cents = cents
		}
		net := halfUp(whole(g.cents).quo(withVAT(one, g.rate)))
		m.vat = append(m.vat, vatSum{rate: g.rate, gross: g.cents, net: net, vat: g.cents - net})
	}
	return m
}

// groups sorts what is sold by its rate, the lowest first.
func (a amounts) groups() []*rateGroup {
	var all []*rateGroup
	for i, p := range a.parts {
		at := slices.IndexFunc(all, func(g *rateGroup) bool { return g.rate.cmp(p.rate) == 0 })
		if at < 0 {
			at = len(all)
			all = append(all, &rateGroup{rate: p.rate})
		}
		all[at].base = all[at].base.add(p.net)
		all[at].parts = append(all[at].parts, i)
	}
	for _, taxes := range [][]taxRow{a.taxes, a.contained} {
		for _, t := range taxes {
			for _, g := range all {
				if g.rate.cmp(t.rate) == 0 {
					g.stated = g.stated.add(t.value)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b *rateGroup) int { return a.rate.cmp(b.rate) })
	return all
}

// reduce lays the discounts (negative) on the rates.
func reduce(groups []*rateGroup, discounts ratio) {
	if discounts.sign() == 0 || len(groups) == 0 {
		return
	}
	rest := discounts.neg()
	bearer := groups[0]
	for _, g := range groups {
		if g.rate.sign() > 0 {
			taxed := g.stated.mul(hundred).quo(g.rate)
			g.reduced = g.base.sub(taxed)
			rest = rest.sub(g.reduced)
		}
		if bearer.untaxed() {
			continue
		}
		if g.untaxed() || g.base.cmp(bearer.base) > 0 {
			bearer = g
		}
	}
	bearer.reduced = bearer.reduced.add(rest)
}

func (g *rateGroup) untaxed() bool { return g.rate.sign() == 0 && g.base.sign() > 0 }

// spread brings exact amounts to cents that add up to total, by largest remainder; of equal
// remainders the earlier comes first.
func spread(total int64, exact []ratio) []int64 {
	if len(exact) == 0 {
		return nil
	}
	cents := make([]int64, len(exact))
	remainder := make([]ratio, len(exact))
	order := make([]int, len(exact))
	over := total
	for i, e := range exact {
		scaled := e.mul(hundred)
		cents[i] = scaled.floor()
		remainder[i] = scaled.sub(whole(cents[i]))
		order[i] = i
		over -= cents[i]
	}
	slices.SortStableFunc(order, func(a, b int) int { return remainder[b].cmp(remainder[a]) })
	n := int64(len(exact))
	each := fraction(over, n).floor()
	for rank, i := range order {
		cents[i] += each
		if int64(rank) < over-each*n {
			cents[i]++
		}
	}
	return cents
}

func withVAT(net, rate ratio) ratio { return net.mul(one.add(rate.quo(hundred))) }

func centsOf(amount ratio) int64 { return halfUp(amount.mul(hundred)) }

func halfUp(a ratio) int64 { return a.add(half).floor() }
