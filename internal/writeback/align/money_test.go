package align

import (
	"math"
	"strconv"
	"testing"

	"github.com/shopspring/decimal"
)

// Invariant: for every cent to 1,000.00 and the rates that shops have, the net price that is stored
// shows as the ERP's cent: by exact arithmetic, and by the floating point of a shop in PHP.
func TestEveryCent(t *testing.T) {
	for _, percent := range []int64{4, 5, 10, 22, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27} {
		rate := decimal.NewFromInt(percent)
		for cents := int64(1); cents <= 100_000; cents++ {
			net := netOf(cents, rate)
			if net.Exponent() < -4 {
				t.Fatalf("%d cents at %d %%: %s has more than four decimals", cents, percent, net)
			}
			if got := shown(net, rate); got != cents {
				t.Fatalf("%d cents at %d %%: %s shows as %d", cents, percent, net, got)
			}
			if got := shownByPHP(net, percent); got != cents {
				t.Fatalf("%d cents at %d %%: %s shows as %d in the shop", cents, percent, net, got)
			}
		}
	}
}

// shownByPHP is value + value / 100 * rate, rounded to two places, in float64.
func shownByPHP(net decimal.Decimal, percent int64) int64 {
	value, err := strconv.ParseFloat(net.String(), 64)
	if err != nil {
		panic(err)
	}
	return int64(math.Round((value + value/100*float64(percent)) * 100))
}

// Two decimals, which a shop's administration shows, would not do.
func TestTwoDecimalsWouldNotDo(t *testing.T) {
	wrong, rate := 0, decimal.NewFromInt(22)
	for cents := int64(1); cents <= 10_000; cents++ {
		if shown(netOf(cents, rate).Round(2), rate) != cents {
			wrong++
		}
	}
	if wrong < 1000 {
		t.Errorf("%d of 10,000 cents would be missed", wrong)
	}
}
