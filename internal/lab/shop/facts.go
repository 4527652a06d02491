package shop

import (
	"strings"

	"github.com/shopspring/decimal"

	"github.com/spola-cdc/spola/internal/verify"
)

// Facts is what an order has to come to in the ERP, from prices and rates alone. The order's
// coupon is taken to be good.
func (s *Shop) Facts(order Order) (verify.Facts, error) {
	o, err := s.withDefaults(order)
	if err != nil {
		return verify.Facts{}, err
	}
	c := s.fill(o, true, o.credit())
	f := verify.Facts{State: Pending, Method: o.Payment, Planted: o.Plant != ""}
	f.ToPay = cents(c.total.Round(4)) // the server stores four decimals; the cent is taken of these
	f.Cents = f.ToPay
	for _, t := range c.totals {
		if t.code == "credit" {
			f.Cents += cents(t.value.Neg().Round(4))
		}
	}
	t := &taxes{country: s.destination(o), none: o.Customer.EUBusiness}
	for _, l := range c.lines {
		_, tax := t.of(l.net(), l.product.TaxClass)
		sku, options := l.product.Model, make([]string, len(l.chosen))
		for i, o := range l.chosen {
			options[i] = o.name + ": " + o.text
			if o.kind == sizeType {
				sku += "-" + o.text
			}
		}
		f.Lines = append(f.Lines, verify.FactLine{SKU: sku, Options: strings.Join(options, ", "),
			Quantity: int64(l.Quantity), Gross: cents(l.net().Add(tax))})
	}
	f.VAT = factVAT(c, t)
	return f, nil
}

// factVAT adds up what is sold at each rate: goods less coupon, shipping, fee. The total row of a
// rate is its VAT, so the net behind it is VAT / rate.
func factVAT(c cart, t *taxes) []verify.FactVAT {
	var all []verify.FactVAT
	for _, row := range c.totals {
		if row.code != "tax" {
			continue
		}
		rate := percentOf(row.title, t.country)
		net := row.value.Mul(hundred).DivRound(rate, 12)
		all = append(all, verify.FactVAT{Rate: rate.String(), Gross: cents(net.Add(row.value)), VAT: cents(row.value)})
	}
	return all
}

func percentOf(title string, country Country) decimal.Decimal {
	for _, class := range []int{Standard, Reduced, Minimum} {
		if rate, ok := rateOf(class, country); ok && rate.name == title {
			return rate.percent
		}
	}
	return decimal.Zero
}

// cents rounds an amount half up.
func cents(amount decimal.Decimal) int64 {
	return amount.Mul(hundred).Add(decimal.New(5, -1)).Floor().IntPart()
}
