package verify

import (
	"cmp"
	"math"
	"math/big"
	"math/bits"
	"strings"
)

// ratio is an exact rational number, 0 by itself. What an order comes to before it is rounded fits into two words nearly
// always; where it does not it is a big.Rat, a hundred times slower. Ratios are equal by cmp, not by ==.
type ratio struct {
	num  int64
	less int64 // the denominator less one, so that ratio{} is 0
	long *big.Rat
}

// whole is n.
func whole(n int64) ratio { return ratio{num: n} }

// fraction is num/den; den is positive.
func fraction(num, den int64) ratio { return ratio{num: num, less: den - 1} }

func (a ratio) den() int64 { return a.less + 1 }

// rat is the number as a big.Rat, which the caller does not change.
func (a ratio) rat() *big.Rat {
	if a.long != nil {
		return a.long
	}
	return big.NewRat(a.num, a.den())
}

// short is a number in its lowest terms: in two words if it can be.
func short(r *big.Rat) ratio {
	if r.Num().IsInt64() && r.Denom().IsInt64() && r.Num().Int64() != math.MinInt64 {
		return fraction(r.Num().Int64(), r.Denom().Int64())
	}
	return ratio{long: r}
}

// lowest is the number in its lowest terms.
func (a ratio) lowest() ratio {
	if a.long != nil {
		return short(a.long)
	}
	if g := gcd(a.num, a.den()); g > 1 {
		return fraction(a.num/g, a.den()/g)
	}
	return a
}

func (a ratio) add(b ratio) ratio {
	if a.long == nil && b.long == nil {
		if sum, ok := addWords(a, b); ok {
			return sum
		}
		if sum, ok := addWords(a.lowest(), b.lowest()); ok {
			return sum
		}
	}
	return short(new(big.Rat).Add(a.rat(), b.rat()))
}

func addWords(a, b ratio) (ratio, bool) {
	if a.less == b.less {
		num, ok := sum(a.num, b.num)
		return fraction(num, a.den()), ok
	}
	g := gcd(a.den(), b.den())
	left, ok1 := product(a.num, b.den()/g)
	right, ok2 := product(b.num, a.den()/g)
	den, ok3 := product(a.den()/g, b.den())
	num, ok4 := sum(left, right)
	return fraction(num, den), ok1 && ok2 && ok3 && ok4
}

func (a ratio) mul(b ratio) ratio {
	if a.long == nil && b.long == nil {
		if p, ok := mulWords(a, b); ok {
			return p
		}
		// (a/b)·(c/d) is (a/d)·(c/b): with each of these in its lowest terms nothing is left to strike.
		if p, ok := mulWords(fraction(a.num, b.den()).lowest(), fraction(b.num, a.den()).lowest()); ok {
			return p
		}
	}
	return short(new(big.Rat).Mul(a.rat(), b.rat()))
}

func mulWords(a, b ratio) (ratio, bool) {
	num, ok1 := product(a.num, b.num)
	den, ok2 := product(a.den(), b.den())
	return fraction(num, den), ok1 && ok2
}

// quo is a divided by b, which is not 0.
func (a ratio) quo(b ratio) ratio {
	if b.long == nil && b.num > 0 {
		return a.mul(fraction(b.den(), b.num))
	}
	return short(new(big.Rat).Quo(a.rat(), b.rat()))
}

func (a ratio) sub(b ratio) ratio { return a.add(b.neg()) }

func (a ratio) neg() ratio {
	if a.long != nil {
		return short(new(big.Rat).Neg(a.long))
	}
	return fraction(-a.num, a.den())
}

func (a ratio) abs() ratio {
	if a.sign() < 0 {
		return a.neg()
	}
	return a
}

func (a ratio) sign() int {
	if a.long != nil {
		return a.long.Sign()
	}
	return cmp.Compare(a.num, 0)
}

func (a ratio) cmp(b ratio) int {
	switch {
	case a.long != nil || b.long != nil:
		return a.rat().Cmp(b.rat())
	case a.less == b.less || a.sign() != b.sign():
		return cmp.Compare(a.num, b.num)
	}
	high1, low1 := bits.Mul64(size(a.num), uint64(b.den()))
	high2, low2 := bits.Mul64(size(b.num), uint64(a.den()))
	order := cmp.Compare(high1, high2)
	if order == 0 {
		order = cmp.Compare(low1, low2)
	}
	return order * a.sign()
}

// floor is the greatest whole number that is not above.
func (a ratio) floor() int64 {
	if a.long != nil {
		quotient, modulus := new(big.Int).DivMod(a.long.Num(), a.long.Denom(), new(big.Int))
		_ = modulus // Euclidean: with a positive denominator this is the floor
		return quotient.Int64()
	}
	quotient := a.num / a.den()
	if a.num%a.den() < 0 {
		quotient--
	}
	return quotient
}

// String is the number in its lowest terms: 22, 5/2.
func (a ratio) String() string { return a.lowest().rat().RatString() }

// number reads a decimal of the database; 0 for what is none.
func number(text string) ratio {
	if a, ok := decimal(text); ok {
		return a
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return ratio{}
	}
	return short(r)
}

// decimal reads digits with at most one point and a sign, at most 18 of them.
func decimal(text string) (ratio, bool) {
	digits, negative := strings.CutPrefix(text, "-")
	if strings.Contains(digits, ".") {
		digits = strings.TrimRight(digits, "0") // 22.0000 is 22
	}
	if len(digits) == 0 || len(digits) > 18 {
		return ratio{}, false
	}
	var num, den int64 = 0, 1
	behind, some := false, false
	for _, c := range []byte(digits) {
		switch {
		case c >= '0' && c <= '9':
			num, some = num*10+int64(c-'0'), true
			if behind {
				den *= 10
			}
		case c == '.' && !behind:
			behind = true
		default:
			return ratio{}, false
		}
	}
	if negative {
		num = -num
	}
	return fraction(num, den), some
}

func sum(a, b int64) (int64, bool) {
	c := a + b
	return c, (c > a) == (b > 0) && c != math.MinInt64
}

func product(a, b int64) (int64, bool) {
	high, low := bits.Mul64(size(a), size(b))
	if high != 0 || low > math.MaxInt64 {
		return 0, false
	}
	return a * b, true
}

func size(a int64) uint64 {
	if a < 0 {
		a = -a
	}
	return uint64(a)
}

// gcd is the greatest common divisor; the lowest terms of 0 are 0/1.
func gcd(a, b int64) int64 {
	x, y := size(a), size(b)
	for y != 0 {
		x, y = y, x%y
	}
	return int64(x) //nolint:gosec // not above either
}
