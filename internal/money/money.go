// Package money is the arithmetic of prices with VAT in them, as schemas/erp/00030_money.sql has it in
// SQL: gross is the truth, in whole cents; of each rate net and VAT are worked out once and add up to it.
//
// It holds what Go itself needs: documents are summed in SQL, e-invoices are written and checked in Go.
package money

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// Rate is a VAT rate in thousandths of a percent: 22 % is 22000.
type Rate int64

// ParseRate reads a rate in percent with at most three decimals.
func ParseRate(percent string) (Rate, error) {
	d, err := decimal.NewFromString(percent)
	if err != nil {
		return 0, fmt.Errorf("VAT rate %q: %w", percent, err)
	}
	thousandths := d.Shift(3)
	if !thousandths.IsInteger() || d.IsNegative() || d.GreaterThan(decimal.NewFromInt(100)) {
		return 0, fmt.Errorf("VAT rate %q: from 0 to 100 percent with three decimals", percent)
	}
	return Rate(thousandths.IntPart()), nil
}

// Percent is the rate in percent.
func (r Rate) Percent() decimal.Decimal { return decimal.New(int64(r), -3) }

// whole is what a price with VAT consists of, in thousandths of a percent: 122000 at 22 %.
func (r Rate) whole() int64 { return 100_000 + int64(r) }

// Net is the net of a gross: gross / (1 + rate), half up to the cent (of a negative one half down, so that
// what is taken back is what was given). VAT is gross less net.
func Net(gross int64, r Rate) int64 {
	if gross < 0 {
		return -Net(-gross, r)
	}
	return (2*gross*100_000 + r.whole()) / (2 * r.whole())
}

// NetExact is the net of a gross in cents, in the currency (not in cents), with so many decimals:
// an e-invoice has up to eight.
func NetExact(grossCents decimal.Decimal, r Rate, decimals int32) decimal.Decimal {
	return grossCents.Shift(3).DivRound(decimal.NewFromInt(r.whole()), decimals)
}

// Cents is an amount in cents in the currency.
func Cents(cents int64) decimal.Decimal { return decimal.New(cents, -2) }
