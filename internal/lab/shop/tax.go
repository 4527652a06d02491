package shop

import "github.com/shopspring/decimal"

// Country is a country's id in the shop.
type Country int

// The countries of the shop.
const (
	Germany Country = 81
	Italy   Country = 105
)

// taxRate is a row of tax_rate, which data.sql writes.
type taxRate struct {
	id      int
	name    string
	percent decimal.Decimal
}

// rateOf returns the rate of a tax class in a country: the tax_rule rows of data.sql.
func rateOf(class int, country Country) (taxRate, bool) {
	rate := func(id int, name string, percent int64) (taxRate, bool) {
		return taxRate{id: id, name: name, percent: decimal.New(percent, 0)}, true
	}
	switch {
	case country == Italy && class == Standard:
		return rate(101, "IVA 22%", 22)
	case country == Italy && class == Reduced:
		return rate(102, "IVA 10%", 10)
	case country == Italy && class == Minimum:
		return rate(103, "IVA 4%", 4)
	case country == Germany && class == Standard:
		return rate(104, "MwSt. 19%", 19)
	case country == Germany && (class == Reduced || class == Minimum):
		return rate(105, "MwSt. 7%", 7)
	}
	return taxRate{}, false
}
