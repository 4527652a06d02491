package verify

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is worked out of numbers small and large, of denominators that fit and of ones that don't: it is what big.Rat comes to, and in
// two words where it can be.
func TestRatiosAreExact(t *testing.T) {
	edges := []int64{1, -1, 2, 22, 100, 10_000, 1_000_000_007, math.MaxInt64, -math.MaxInt64, math.MaxInt64 - 1, 1 << 31, 1<<62 + 1, 3_037_000_500}
	number := rapid.OneOf(rapid.Int64Range(-20_000, 20_000), rapid.Int64Range(-math.MaxInt64, math.MaxInt64), rapid.SampledFrom(edges))
	rapid.Check(t, func(t *rapid.T) {
		have, want := []ratio{{}}, []*big.Rat{new(big.Rat)}
		take := func(r ratio, exact *big.Rat, of string) {
			t.Helper()
			if r.rat().Cmp(exact) != 0 || r.String() != exact.RatString() {
				t.Fatalf("%s is %s, not %s", of, r, exact.RatString())
			}
			if fits := exact.Num().IsInt64() && exact.Num().Int64() != math.MinInt64 && exact.Denom().IsInt64(); fits && r.long != nil {
				t.Fatalf("%s, %s, fits and is long", of, r)
			}
			have, want = append(have, r), append(want, exact)
		}
		pick := func(name string) (ratio, *big.Rat) {
			at := rapid.IntRange(0, len(have)-1).Draw(t, name)
			return have[at], want[at]
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			num, den := number.Draw(t, "num"), number.Draw(t, "den")
			den = max(den, -den, 1)
			take(fraction(num, den), big.NewRat(num, den), "a fraction")
			a, exactA := pick("a")
			b, exactB := pick("b")
			take(a.add(b), new(big.Rat).Add(exactA, exactB), "a sum")
			take(a.sub(b), new(big.Rat).Sub(exactA, exactB), "a difference")
			take(a.mul(b), new(big.Rat).Mul(exactA, exactB), "a product")
			take(a.abs(), new(big.Rat).Abs(exactA), "a size")
			if b.sign() != 0 {
				take(a.quo(b), new(big.Rat).Quo(exactA, exactB), "a quotient")
			}
			if a.cmp(b) != exactA.Cmp(exactB) || a.sign() != exactA.Sign() {
				t.Fatalf("%s to %s: %d, sign %d", a, b, a.cmp(b), a.sign())
			}
			floor, _ := new(big.Int).DivMod(exactA.Num(), exactA.Denom(), new(big.Int))
			if floor.IsInt64() && a.floor() != floor.Int64() {
				t.Fatalf("floor of %s is %d", a, a.floor())
			}
		}
	})
}

// A decimal is read as the databases write it, and nothing else as anything but 0.
func TestDecimals(t *testing.T) {
	for text, want := range map[string]string{
		"22.0000": "22", "0.0000": "0", "-0.0050": "-1/200", "12": "12", "100": "100", "24.5738": "122869/5000", "123456789012345678.9": "1234567890123456789/10",
		"99999999999999999999": "99999999999999999999", "-7": "-7", "": "0", "-": "0", ".": "0", "twenty": "0", "1.2.3": "0", "5.": "5", "-.5": "-1/2",
	} {
		if got := number(text).String(); got != want {
			t.Errorf("%q is read as %s, want %s", text, got, want)
		}
	}
	if slices.ContainsFunc([]string{"22.0000", "99999999999.9999", "-24.5738"}, func(text string) bool { return number(text).long != nil }) {
		t.Error("a price of the shop needs more than two words")
	}
}
