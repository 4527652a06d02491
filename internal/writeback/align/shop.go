package align

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"html"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// querier is a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// shop is what the shop's platform says of its catalogue, by named statements.
type shop struct {
	ended   string // days up to this one are over in any time zone, 2026-12-01
	text    map[string]string
	group   int64
	rates   map[int64]decimal.Decimal // percent by tax class
	amounts map[int64]bool            // tax classes with a fixed amount in them
	weights units
	lengths units
}

// units are the shop's classes of weight or length.
type units struct {
	name  map[int64]string
	per   map[int64]decimal.Decimal // units of the class in one of the ERP's: kg, cm
	exact int32                     // decimals of the ERP
}

// toERP is an amount of a class in the ERP's unit and precision; false: the shop has no such class.
func (u units) toERP(amount decimal.Decimal, class int64) (decimal.Decimal, bool) {
	per, ok := u.per[class]
	if !ok {
		return amount, false
	}
	return amount.DivRound(per, u.exact), true
}

// toShop is an amount of the ERP in a class that there is.
func (u units) toShop(amount decimal.Decimal, class int64) decimal.Decimal {
	return amount.Mul(u.per[class]).Round(8)
}

func (u units) format(amount decimal.Decimal, class int64) string {
	return strings.TrimSpace(amount.Round(4).String() + " " + u.name[class])
}

// product is one of the shop's with its option values and the special prices that are the ERP's.
type product struct {
	id                                   int64
	price, weight, length, width, height decimal.Decimal
	taxClass, weightClass, lengthClass   int64
	values                               map[int64]value
	specials                             []special
}

// value is what an option's value adds to price and weight.
type value struct {
	price, weight decimal.Decimal
	odd           string // a prefix that nobody knows; empty: none
}

// has tells whether the product still has the options of a variant.
func (p *product) has(v variant) bool {
	return !slices.ContainsFunc(v.values, func(id int64) bool { _, ok := p.values[id]; return !ok })
}

// same tells whether a product, nil if it is gone, still is what it was, in the options of these variants.
func (p *product) same(now *product, variants []variant) bool {
	if now == nil {
		return false
	}
	before, after := *p, *now
	before.values, after.values = map[int64]value{}, map[int64]value{}
	for _, v := range variants {
		for _, id := range v.values {
			before.values[id], after.values[id] = p.values[id], now.values[id]
		}
		if !now.has(v) {
			return false
		}
	}
	return reflect.DeepEqual(before, after)
}

type special struct {
	id           int64
	net          decimal.Decimal
	kind         string // F: a price, P: percent, S: an amount off
	first, after string // 0000-00-00: no bound; after is the day after the last
}

// Days of a special price that are no bound, and those of one that the shop never shows.
const (
	noDay = "0000-00-00"
	never = "never"
)

// openShop reads the settings that prices and measures are shown by.
func openShop(ctx context.Context, q querier, text map[string]string) (*shop, error) {
	// A day is over everywhere when the one behind it is over here.
	s := &shop{ended: time.Now().UTC().AddDate(0, 0, -2).Format(time.DateOnly), text: text, rates: map[int64]decimal.Decimal{}, amounts: map[int64]bool{}}
	set := map[string]string{}
	err := s.each(ctx, q, "settings", nil, func(scan func(...any) error) error {
		var key, value string
		err := scan(&key, &value)
		set[key] = value
		return err
	})
	if err != nil {
		return nil, err
	}
	if s.group, err = strconv.ParseInt(set["config_customer_group_id"], 10, 64); err != nil {
		return nil, errors.New("the shop's settings name no default customer group (config_customer_group_id)")
	}
	var decimals int
	if err := q.QueryRowContext(ctx, text["decimals"], set["config_currency"]).Scan(&decimals); err != nil {
		return nil, fmt.Errorf("read the shop's default currency %q: %w", set["config_currency"], err)
	}
	if decimals != 2 {
		return nil, fmt.Errorf("the shop shows %s with %d decimals: only two can be aligned with the ERP's cents", set["config_currency"], decimals)
	}
	err = s.each(ctx, q, "taxes", []any{s.group, set["config_country_id"], set["config_zone_id"], set["config_tax_default"]}, func(scan func(...any) error) error {
		var class, id int64
		var rate, kind string
		if err := scan(&class, &id, &rate, &kind); err != nil {
			return err
		}
		percent, err := decimal.NewFromString(rate)
		s.amounts[class] = s.amounts[class] || kind != "P"
		s.rates[class] = s.rates[class].Add(percent)
		return err
	})
	if err != nil {
		return nil, err
	}
	if s.weights, err = s.units(ctx, q, "weight units", 3, map[string]string{"kg": "1", "g": "0.001", "t": "1000"}); err != nil {
		return nil, err
	}
	s.lengths, err = s.units(ctx, q, "length units", 2, map[string]string{"cm": "1", "mm": "0.1", "m": "100"})
	return s, err
}

// units reads classes. The shop keeps their factors relative to each other; one that is known by its
// unit ties them to the ERP's.
func (s *shop) units(ctx context.Context, q querier, statement string, exact int32, known map[string]string) (units, error) {
	u := units{name: map[int64]string{}, per: map[int64]decimal.Decimal{}, exact: exact}
	var tie *decimal.Decimal // units of factor 1 in one of the ERP's
	err := s.each(ctx, q, statement, nil, func(scan func(...any) error) error {
		var class int64
		var factor, unit string
		if err := scan(&class, &factor, &unit); err != nil {
			return err
		}
		per, err := decimal.NewFromString(factor)
		if err != nil || per.Sign() <= 0 {
			return err
		}
		u.name[class], u.per[class] = html.UnescapeString(unit), per
		if size, ok := known[strings.TrimSuffix(unit, ".")]; ok && (tie == nil || size == "1") {
			of := per.Mul(decimal.RequireFromString(size))
			tie = &of
		}
		return nil
	})
	if err != nil {
		return u, err
	}
	if tie == nil {
		u.per = nil // nothing says how large the units are
	}
	for class, per := range u.per {
		u.per[class] = per.DivRound(*tie, 12)
	}
	return u, nil
}

// products reads products by id, whole.
func (s *shop) products(ctx context.Context, q querier, ids []int64) (map[int64]*product, error) {
	r := reading{text: s.text, q: q, into: map[int64]*product{}}
	err := r.products(ctx, ids)
	if err == nil {
		err = r.options(ctx, "options", ids)
	}
	if err == nil {
		err = r.specials(ctx, ids, s.group)
	}
	return r.into, err
}

// lock reads products again, with the options of their variants, and keeps others from changing them until the transaction
// ends: those of tables that are to be written, which is all that he has the right to lock who may write some fields only. Rows are
// locked in the order in which a checkout and the delivery of stock lock them: products, options, each by key.
func (s *shop) lock(ctx context.Context, tx *sql.Tx, changes []change, fields []Field) (map[int64]*product, error) {
	r := reading{text: s.text, q: tx, into: map[int64]*product{}, lock: forUpdate}
	var ids, values []int64
	for _, x := range changes {
		ids = append(ids, x.product.id)
		for _, v := range x.variants {
			values = append(values, v.values...)
		}
	}
	err := r.products(ctx, ids)
	if err == nil {
		r.lockIf(slices.Contains(fields, Price) || slices.Contains(fields, Weight))
		err = r.options(ctx, "option rows", values)
	}
	if err == nil {
		r.lockIf(slices.Contains(fields, Special))
		err = r.specials(ctx, ids, s.group)
	}
	return r.into, err
}

// reading collects products of the shop.
type reading struct {
	text map[string]string
	q    querier
	into map[int64]*product
	lock string // behind each statement
}

// forUpdate stands behind a statement that is to lock what it reads.
const forUpdate = " FOR UPDATE"

func (r *reading) lockIf(written bool) {
	r.lock = ""
	if written {
		r.lock = forUpdate
	}
}

func (r *reading) eachOf(ctx context.Context, statement string, ids []int64, args []any, row func(scan func(...any) error) error) error {
	if len(ids) == 0 {
		return nil
	}
	return read(ctx, r.q, statement, withIDs(r.text[statement], ids)+r.lock, args, row)
}

func (r *reading) products(ctx context.Context, ids []int64) error {
	return r.eachOf(ctx, "products", ids, nil, func(scan func(...any) error) error {
		p, n := &product{values: map[int64]value{}}, [5]string{}
		if err := scan(&p.id, &n[0], &p.taxClass, &n[1], &p.weightClass, &n[2], &n[3], &n[4], &p.lengthClass); err != nil {
			return err
		}
		r.into[p.id] = p
		return numbers(n[:], &p.price, &p.weight, &p.length, &p.width, &p.height)
	})
}

func (r *reading) options(ctx context.Context, statement string, ids []int64) error {
	return r.eachOf(ctx, statement, ids, nil, func(scan func(...any) error) error {
		var of, id int64
		var v value
		n, sign := [2]string{}, [2]string{}
		if err := scan(&of, &id, &n[0], &sign[0], &n[1], &sign[1]); err != nil {
			return err
		}
		if err := numbers(n[:], &v.price, &v.weight); err != nil {
			return err
		}
		for i, amount := range []*decimal.Decimal{&v.price, &v.weight} {
			switch sign[i] {
			case "-":
				*amount = amount.Neg()
			case "+", "":
			default:
				v.odd = sign[i]
			}
		}
		if p := r.into[of]; p != nil {
			p.values[id] = v
		}
		return nil
	})
}

func (r *reading) specials(ctx context.Context, ids []int64, group int64) error {
	return r.eachOf(ctx, "specials", ids, []any{group}, func(scan func(...any) error) error {
		var of int64
		var net string
		var x special
		if err := scan(&of, &x.id, &net, &x.kind, &x.first, &x.after); err != nil {
			return err
		}
		if err := numbers([]string{net}, &x.net); err != nil {
			return err
		}
		if p := r.into[of]; p != nil {
			p.specials = append(p.specials, x)
		}
		return nil
	})
}

// models lists the shop's products by their own code: those that options that keep stock take apart are left out.
func (s *shop) models(ctx context.Context, q querier) (map[int64]string, error) {
	all := map[int64]string{}
	err := s.each(ctx, q, "models", nil, func(scan func(...any) error) error {
		var id int64
		var model string
		var parts bool
		if err := scan(&id, &model, &parts); err != nil || parts {
			return err
		}
		all[id] = html.UnescapeString(model)
		return nil
	})
	return all, err
}

// category lists the products of a category, by its number or name, and of those below it.
func (s *shop) category(ctx context.Context, q querier, category string) (map[int64]bool, error) {
	var ids []int64
	err := s.each(ctx, q, "categories", nil, func(scan func(...any) error) error {
		var id int64
		var name string
		err := scan(&id, &name)
		if strconv.FormatInt(id, 10) == category || strings.EqualFold(html.UnescapeString(name), category) {
			ids = append(ids, id)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if ids == nil {
		return nil, fmt.Errorf("the shop has no category %q", category)
	}
	all := map[int64]bool{}
	err = read(ctx, q, "category", withIDs(s.text["category"], ids), nil, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		all[id] = true
		return err
	})
	return all, err
}

func withIDs(statement string, ids []int64) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = strconv.FormatInt(id, 10)
	}
	return strings.ReplaceAll(statement, "{ids}", strings.Join(list, ", "))
}

func (s *shop) each(ctx context.Context, q querier, statement string, args []any, row func(scan func(...any) error) error) error {
	return read(ctx, q, statement, s.text[statement], args, row)
}

func read(ctx context.Context, q querier, name, query string, args []any, row func(scan func(...any) error) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read the shop's catalogue (%s): %w", name, err)
	}
	defer func() { _ = rows.Close() }() // Err has what went wrong
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return fmt.Errorf("read the shop's catalogue (%s): %w", name, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the shop's catalogue (%s): %w", name, err)
	}
	return nil
}

func numbers(texts []string, into ...*decimal.Decimal) (err error) {
	for i, text := range texts {
		if *into[i], err = decimal.NewFromString(text); err != nil {
			return fmt.Errorf("%q is no number: %w", text, err)
		}
	}
	return nil
}
