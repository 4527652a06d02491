package shop

import (
	"context"
	"fmt"

	"github.com/shopspring/decimal"
)

// cart is an order as the shop calculates it at the overview, before anything is written. Amounts
// carry all their digits; the server cuts them to four decimals when it stores them.
type cart struct {
	lines  []cartLine
	totals []totalRow
	total  decimal.Decimal
}

type cartLine struct {
	Line
	product Product
	chosen  []chosen
	price   decimal.Decimal // of one piece, without VAT
	tax     decimal.Decimal // of one piece
}

type totalRow struct {
	code, title string
	value       decimal.Decimal
	sort        int
}

// taxes collects the VAT of each rate, in the order in which the rates were met.
type taxes struct {
	country Country
	none    bool // reverse charge
	rates   []taxRate
	amounts map[int]decimal.Decimal
}

// enough tells whether the shop shows as many pieces as the order wants, as its cart's page does where
// config_stock_checkout is 0: of each product, and where a size is chosen of the size too.
func (s *Shop) enough(ctx context.Context, o Order) (bool, error) {
	type goods struct{ product, value int }
	wanted := map[goods]int{}
	for _, l := range o.Lines {
		wanted[goods{l.Product, l.Value}] += l.Quantity
	}
	for of, pieces := range wanted {
		shown, err := s.pieces(ctx, of.product, of.value)
		if err != nil || shown < pieces {
			return false, err
		}
	}
	return true, nil
}

// pieces are what the shop shows of a product, or of one of its sizes.
func (s *Shop) pieces(ctx context.Context, product, value int) (shown int, err error) {
	rows, err := s.query(ctx, "read pieces", value, value, product)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := rows.Scan(&shown); err != nil {
			return 0, fmt.Errorf("read pieces of product %d: %w", product, err)
		}
	}
	return shown, rows.Err()
}

var hundred = decimal.New(100, 0)

// of is the VAT of a net amount.
func (t *taxes) of(net decimal.Decimal, class int) (taxRate, decimal.Decimal) {
	rate, ok := rateOf(class, t.country)
	if !ok || t.none {
		return taxRate{}, decimal.Zero
	}
	return rate, net.Mul(rate.percent).Div(hundred)
}

func (t *taxes) add(net decimal.Decimal, class int) {
	rate, amount := t.of(net, class)
	if rate.id == 0 {
		return
	}
	if _, met := t.amounts[rate.id]; !met {
		t.rates = append(t.rates, rate)
	}
	t.amounts[rate.id] = t.amounts[rate.id].Add(amount)
}

// flatCost and feeAmount are settings of data.sql, without VAT, of class Standard.
var (
	flatCost  = decimal.RequireFromString("5.00")
	feeAmount = decimal.RequireFromString("2.0500")
)

// fill calculates an order whose defaults are filled in. coupon tells whether its coupon is
// still good, balance is the account's store credit.
func (s *Shop) fill(o Order, coupon bool, balance decimal.Decimal) cart {
	var c cart
	t := &taxes{country: s.destination(o), none: o.Customer.EUBusiness, amounts: map[int]decimal.Decimal{}}
	subTotal := decimal.Zero
	for _, line := range o.Lines {
		p, options, _ := s.find(line) // withDefaults has found it
		l := cartLine{Line: line, product: p, chosen: options, price: p.Net}
		for _, c := range options {
			l.price = l.price.Add(c.extra)
		}
		_, l.tax = t.of(l.price, p.TaxClass)
		t.add(l.net(), p.TaxClass)
		subTotal = subTotal.Add(l.net())
		c.lines = append(c.lines, l)
	}
	c.row("sub_total", "Totale parziale", subTotal, 1)
	if o.Fee {
		c.row("payment_fee", "Spese di contrassegno", feeAmount, 2)
		t.add(feeAmount, Standard)
	}
	if !s.virtual(o) {
		c.row("shipping", "Spedizione standard", flatCost, 3)
		t.add(flatCost, Standard)
	}
	if coupon && o.Coupon != "" && (o.Coupon != "SPEDIZIONE" || !s.virtual(o)) {
		c.discount(o.Coupon, subTotal, t)
	}
	for _, rate := range t.rates {
		if t.amounts[rate.id].IsPositive() {
			c.row("tax", rate.name, t.amounts[rate.id], 5)
		}
	}
	if balance.IsPositive() {
		c.row("credit", "Credito negozio", decimal.Min(balance, c.total).Neg(), 7)
	}
	c.plant(o.Plant)
	c.totals = append(c.totals, totalRow{"total", "Totale", c.total, 9})
	return c
}

func (l cartLine) net() decimal.Decimal { return l.price.Mul(decimal.New(int64(l.Quantity), 0)) }

func (c *cart) row(code, title string, value decimal.Decimal, sort int) {
	c.totals = append(c.totals, totalRow{code, title, value, sort})
	c.total = c.total.Add(value)
}

// discount is the coupon's row, and takes its VAT out of the rates of the goods.
func (c *cart) discount(code string, subTotal decimal.Decimal, t *taxes) {
	sum := decimal.Zero
	if code == "SPEDIZIONE" { // takes the shipping off, and its VAT
		t.add(flatCost.Neg(), Standard)
		c.row("coupon", "Coupon ("+code+")", flatCost.Neg(), 4)
		return
	}
	for _, l := range c.lines {
		off := l.net().Div(decimal.New(10, 0)) // all others: 10 %
		if code == "MENO5" {
			off = decimal.Min(decimal.New(5, 0), subTotal).Mul(l.net()).DivRound(subTotal, 14)
		}
		sum = sum.Add(off)
		t.add(off.Neg(), l.product.TaxClass)
	}
	c.row("coupon", "Coupon ("+code+")", sum.Neg(), 4)
}

// plant spoils the order's totals.
func (c *cart) plant(kind Plant) {
	switch kind {
	case PlantTotal:
		c.total = c.total.Add(decimal.New(1, 0))
	case PlantCode:
		c.row("gift_wrap", "Confezione regalo", decimal.New(3, 0), 8)
	}
}
