package align

import "github.com/shopspring/decimal"

var hundred = decimal.NewFromInt(100)

// shown is what a shop shows of a net price at a rate in percent: cents, rounded half up.
func shown(net, rate decimal.Decimal) int64 {
	return net.Mul(hundred.Add(rate)).Round(0).IntPart()
}

// netOf is the net price, of the four decimals that a shop keeps, that shows as these cents. It
// differs by at most 0.00005 from the exact one, so the shown price does by 0.0001, and the cent is
// met whatever the arithmetic of the shop.
func netOf(cents int64, rate decimal.Decimal) decimal.Decimal {
	return decimal.NewFromInt(cents).DivRound(hundred.Add(rate), 4)
}

func euros(cents int64) string { return decimal.New(cents, -2).StringFixed(2) }
