package verify

import (
	"fmt"
	"slices"
	"strings"
)

// amounts reads the order's rows as amounts of money. An error says why nobody could take this
// order over: it has to be parked.
func (s *shopSide) amounts(o *shopOrder) (amounts, error) {
	a := amounts{total: number(o.total)}
	if len(o.lines) == 0 {
		return a, fmt.Errorf("no lines")
	}
	for _, t := range o.totals {
		if s.rules.totals[t.code].kind == KindTax {
			rate, ok := s.rates[t.title]
			if amount, fixed := s.fixed[t.title]; !ok && fixed {
				a.fixed = append(a.fixed, amount)
				continue
			}
			if !ok {
				return a, fmt.Errorf("VAT row %q is no tax rate", t.title)
			}
			a.taxes = append(a.taxes, taxRow{rate: rate, value: number(t.value)})
		}
	}
	for i := range o.lines {
		l := &o.lines[i]
		a.parts = append(a.parts, part{kind: KindNothing, net: number(l.net), rate: a.rateOf(l), line: l})
	}
	if err := s.addTotals(o, &a); err != nil {
		return a, err
	}
	return a, a.closes()
}

func (s *shopSide) addTotals(o *shopOrder, a *amounts) error {
	var codes []string
	for _, t := range o.totals {
		rule, known := s.rules.totals[t.code]
		kind := rule.kind
		if !known {
			return fmt.Errorf("total code %q is not known", t.code)
		}
		value := number(t.value)
		_, percent := s.rates[t.title]
		switch {
		case kind == KindPayment:
			a.payments = append(a.payments, value)
		case kind == KindTax && !percent:
			if err := a.addFixed(t, value, s.rules.fixed); err != nil {
				return err
			}
		case (kind == KindCharge || kind == KindDiscount) && value.sign() < 0:
			a.discounts = a.discounts.add(value)
			codes = append(codes, t.code)
		case kind == KindCharge || kind == KindDiscount:
			a.parts = append(a.parts, part{kind: KindCharge, code: t.code, net: value, rate: s.chargeRate(o, t, rule, a)})
		}
	}
	slices.Sort(codes)
	a.discount = strings.Join(slices.Compact(codes), "+")
	return nil
}

// addFixed takes a tax that is a fixed amount a piece: a charge that contains VAT, where the order
// bears any.
func (a *amounts) addFixed(t shopTotal, value ratio, rates map[string]ratio) error {
	rate, known := rates[t.title]
	switch {
	case !known:
		return fmt.Errorf("the shop file does not say which VAT is in %q", t.title)
	case len(a.taxes) == 0:
		rate = zeroRate
	}
	net := value.quo(withVAT(one, rate))
	a.parts = append(a.parts, part{kind: KindCharge, code: t.code, net: net, rate: rate})
	a.contained = append(a.contained, taxRow{rate: rate, value: value.sub(net)})
	return nil
}

// rateOf is the rate among the order's own at which a piece of the line bears the VAT that it
// states; the higher of two that fit alike.
func (a amounts) rateOf(l *shopLine) ratio {
	price, tax := number(l.price), number(l.tax)
	sums := sumsOf(a.fixed)
	miss := func(rate ratio) (least ratio) {
		vat := price.mul(rate).quo(hundred)
		for i, fixed := range sums {
			if off := vat.add(fixed).sub(tax).abs(); i == 0 || off.cmp(least) < 0 {
				least = off
			}
		}
		return least
	}
	best := zeroRate
	for _, t := range a.taxes {
		if c := miss(t.rate).cmp(miss(best)); c < 0 || c == 0 && t.rate.cmp(best) > 0 {
			best = t.rate
		}
	}
	return best
}

// sumsOf are the sums of any of the amounts, of none too.
func sumsOf(amounts []ratio) []ratio {
	sums := []ratio{{}}
	for _, amount := range amounts {
		for _, sum := range sums {
			sums = append(sums, sum.add(amount))
		}
	}
	return sums
}

// chargeRate is the rate that the shop file gives the charge; else that of its tax class where the
// order goes, if the order has it or a discount takes the whole charge off; else that of the shop's
// own country, by which the shop taxes what is not shipped.
func (s *shopSide) chargeRate(o *shopOrder, t shopTotal, rule totalRule, a *amounts) ratio {
	if rule.rate != nil {
		return *rule.rate
	}
	class := s.classes[t.code]
	switch {
	case rule.taxClass != "":
		class = rule.taxClass
	case t.code == "shipping":
		class = s.members.of(o.shipping, "tax_class_id")
	}
	best, other := zeroRate, zeroRate // other: of a rate whose VAT row the discount took away
	for _, country := range []int64{o.shippingCountry, o.paymentCountry, s.country} {
		elsewhere := other.sign() > 0
		for _, rate := range s.classRates[classKey{class: class, group: o.group, country: country}] {
			if a.has(rate) && rate.cmp(best) > 0 {
				best = rate
			}
			if !elsewhere && len(a.taxes) > 0 && s.takenOff(o, t) && rate.cmp(other) > 0 {
				other = rate
			}
		}
		if best.sign() > 0 {
			return best
		}
	}
	return other
}

// takenOff tells whether one of the order's discounts is as large as the charge.
func (s *shopSide) takenOff(o *shopOrder, charge shopTotal) bool {
	return slices.ContainsFunc(o.totals, func(t shopTotal) bool {
		return s.rules.totals[t.code].kind == KindDiscount && number(t.value).cmp(number(charge.value).neg()) <= 0
	})
}

// has tells whether one of the order's VAT rows is of this rate.
func (a amounts) has(rate ratio) bool {
	return slices.ContainsFunc(a.taxes, func(t taxRow) bool { return t.rate.cmp(rate) == 0 })
}

// closes holds the order's rows against its total: they are cut to four decimals each.
func (a amounts) closes() error {
	sum := a.discounts
	for _, p := range a.parts {
		sum = sum.add(p.net)
	}
	for _, p := range a.payments {
		sum = sum.add(p)
	}
	for _, taxes := range [][]taxRow{a.taxes, a.contained} {
		for _, t := range taxes {
			sum = sum.add(t.value)
		}
	}
	rowsRead := int64(len(a.parts) + len(a.payments) + len(a.taxes) + 2)
	if sum.sub(a.total).abs().cmp(fraction(2*rowsRead, 10000)) > 0 {
		return fmt.Errorf("the rows add up to %s, the order says %s", sum.rat().FloatString(4), a.total.rat().FloatString(4))
	}
	return nil
}
