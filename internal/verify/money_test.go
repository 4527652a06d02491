package verify

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func rat(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("no number: " + text)
	}
	return r
}

func (m money) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", m.total)
	for _, p := range m.parts {
		fmt.Fprintf(&b, " %d", p.cents)
	}
	for _, v := range m.vat {
		fmt.Fprintf(&b, ", %s%% %d=%d+%d", v.rate, v.gross, v.net, v.vat)
	}
	return b.String()
}

// The orders are those that a genuine shop was seen to write; the cents were worked out by hand.
func TestMoneyByHand(t *testing.T) {
	line := func(net, rate string) part { return part{kind: KindNothing, net: number(net), rate: number(rate)} }
	charge := func(net, rate string) part { return part{kind: KindCharge, net: number(net), rate: number(rate)} }
	taxes := func(pairs ...string) (all []taxRow) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, taxRow{rate: number(pairs[i]), value: number(pairs[i+1])})
		}
		return all
	}
	for name, c := range map[string]struct {
		amounts
		want string
	}{
		"two rates and shipping": {amounts{total: number("146.0800"), discounts: number("0"),
			parts: []part{line("24.5738", "22"), line("100", "10"), charge("5", "22")}, taxes: taxes("10", "10", "22", "6.5062")},
			"14608: 2998 11000 610, 10% 11000=10000+1000, 22% 3608=2957+651"},
		"coupon of a tenth": {amounts{total: number("132.0820"), discounts: number("-12.4574"),
			parts: []part{line("24.5738", "22"), line("100", "10"), charge("5", "22")}, taxes: taxes("10", "9", "22", "5.9656")},
			// The 22 % row leaves 2.4575 of the coupon to its rate, the rest of 9.9999 to the 10 % goods.
			"13208: 2998 11000 610 -1100 -300, 10% 9900=9000+900, 22% 3308=2711+597"},
		// 6.10 with VAT of 1.10 in it, of which no VAT row tells and the coupon takes nothing.
		"coupon beside a fixed amount": {amounts{total: number("138.1820"), discounts: number("-12.4574"), contained: taxes("22", "1.1"),
			parts: []part{line("24.5738", "22"), line("100", "10"), charge("5", "22"), charge("5", "22")}, taxes: taxes("10", "9", "22", "5.9656")},
			"13818: 2998 11000 610 610 -1100 -300, 10% 9900=9000+900, 22% 3918=3211+707"},
		"reverse charge": {amounts{total: number("29.5738"), discounts: number("0"),
			parts: []part{line("24.5738", "0"), charge("5", "0")}},
			"2957: 2457 500, 0% 2957=2957+0"},
		"store credit": {amounts{total: number("4.9800"), discounts: number("0"), payments: []ratio{number("-25")},
			parts: []part{line("24.5738", "22")}, taxes: taxes("22", "5.4062")},
			"2998: 2998, 22% 2998=2457+541"},
		"half a cent goes up": {amounts{total: number("0.0050"), discounts: number("0"), parts: []part{line("0.0050", "0")}},
			"1: 1, 0% 1=1+0"},
	} {
		if got := c.work().String(); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// Whatever an order holds: its parts and its rates add up to its total, none is a cent or more from
// its exact amount, and each rate's net and VAT are its gross.
func TestMoneyAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, total := amounts{}, new(big.Rat)
		rates := []*big.Rat{rat("0"), rat("4"), rat("10"), rat("22")}
		vat := map[string]*big.Rat{}
		for range rapid.IntRange(1, 8).Draw(t, "parts") {
			rate := rapid.SampledFrom(rates).Draw(t, "rate")
			net := big.NewRat(rapid.Int64Range(1, 5_000_000).Draw(t, "net"), 10000)
			a.parts = append(a.parts, part{net: short(net), rate: short(rate)})
			tax := new(big.Rat).Quo(new(big.Rat).Mul(net, rate), big.NewRat(100, 1))
			total.Add(total.Add(total, net), tax)
			key := rate.RatString()
			if vat[key] == nil {
				vat[key] = new(big.Rat)
			}
			vat[key].Add(vat[key], tax)
		}
		for rate, value := range vat {
			a.taxes = append(a.taxes, taxRow{rate: number(rate), value: short(value)})
		}
		a.total = short(total)
		m := a.work()
		var parts, gross int64
		for _, p := range m.parts {
			parts += p.cents
			if withVAT(p.net, p.rate).sub(fraction(p.cents, 100)).abs().cmp(fraction(2, 100)) >= 0 {
				t.Fatalf("part of %s is %d cents", withVAT(p.net, p.rate), p.cents)
			}
		}
		for _, v := range m.vat {
			gross += v.gross
			if v.net+v.vat != v.gross {
				t.Fatalf("%d + %d is not %d", v.net, v.vat, v.gross)
			}
		}
		if parts != m.total || gross != m.total || m.total != centsOf(a.total) {
			t.Fatalf("total %d, parts %d, rates %d", m.total, parts, gross)
		}
	})
}
