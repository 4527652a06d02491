package survey

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/shopspring/decimal"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/schemas"
)

// SurveyFile holds a platform's statements, in its directory under schemas/shop.
const SurveyFile = "survey.mysql.sql"

// Shop is what a live shop says of itself.
type Shop struct {
	Found

	Server     string             // "MySQL 9.7.0"
	Settings   map[string]Setting // name, timezone, currency, country, language, new, void, fraud, processing, complete
	Stores     []Store            // beside the shop's first
	Languages  []Language
	Currencies []Currency
	States     []State
	Methods    []Method
	Orders     []OrderCount
	Totals     []Total
	Modules    []Module
	Own        map[string]string // totals that every shop of the platform has
	Classes    []TaxClass
	Rates      []Rate
	Broken     []BrokenRule
	Titles     []TaxTitle
	Fields     []Field
	Groups     []Group
	Untaxed    []Untaxed
	Products   []Product
	Variants   []Variant

	// Unread names what this user may not look at, with the table: what it would have told is missing above.
	Unread []string
}

// Setting is a setting of the shop, empty where it has none.
type Setting struct{ Value, Key string }

// Store is another front of the same shop.
type Store struct {
	ID   int64
	Name string
}

// Language is one in which the shop can be used.
type Language struct {
	Code, Name string
	Active     bool
}

// Currency is one in which customers may pay; Value is the factor from the shop's own.
type Currency struct {
	Code   string
	Value  float64
	Active bool
}

// State is an order state.
type State struct {
	ID       string
	Names    []string // in the shop's languages
	Consumes bool     // the shop subtracts an order's pieces in it
}

// Method is a payment method that is switched on, with the state of orders that it confirms.
type Method struct{ Code, State string }

// OrderCount is how many orders are in a state with a payment method.
type OrderCount struct {
	State, Method, Title string
	N, Last              int64  // Last is the newest order's number
	Since                string // day of the oldest
}

// Total is a kind of row in the totals of orders.
type Total struct {
	Code, Title string
	N           int64
	Min, Max    decimal.Decimal
	Last        int64
}

// Module adds a row to the totals of orders.
type Module struct {
	Code     string
	Active   bool
	TaxClass string // empty, or "0": none
}

// TaxClass is what VAT is worked out by.
type TaxClass struct {
	ID    int64
	Title string
}

// Rate is a tax rate.
type Rate struct {
	ID        int64
	Title     string
	Rate      decimal.Decimal
	Percent   bool // else a fixed amount
	Countries []string
	Used      bool // by a tax class
}

// BrokenRule is a rule of a tax class whose rate is not there.
type BrokenRule struct{ Class, Rate int64 }

// TaxTitle is the title of VAT rows in orders.
type TaxTitle struct {
	Title   string
	N, Last int64
}

// Field is a field that the merchant added for his customers.
type Field struct {
	ID       string
	Names    []string
	Type     string
	Location string
	Active   bool
	Values   []string // what customers wrote into it in the newest orders, some of them
}

// Group is a group of customers.
type Group struct {
	ID    string
	Names []string
}

// Untaxed is a country of delivery to which something was sold without VAT.
type Untaxed struct {
	Country string
	N, Last int64
}

// Product is a product of the shop.
type Product struct {
	ID       int64
	Model    string
	Active   bool
	TaxClass int64 // 0: none
}

// String is what its merchant knows a product by.
func (p Product) String() string {
	return fmt.Sprintf("%s (product %d)", cmp.Or(oneLine(p.Model), "without a model"), p.ID)
}

// Variant is an option value of a product that keeps stock of its own.
type Variant struct {
	Product int64
	Value   string
}

// valuesKept bounds the values that are remembered of a field.
const valuesKept = 200

// ReadShop looks at a shop, and of its orders at those placed on a day or later (2025-01-01; empty:
// all). It reads some tables as a whole: with a million orders that takes the server a few seconds.
func ReadShop(ctx context.Context, db *sql.DB, found Found, since string) (*Shop, error) {
	profile, dir, err := schemas.Platform(found.Platform)
	if err != nil {
		return nil, err
	}
	text, err := fs.ReadFile(dir, SurveyFile)
	if err != nil {
		return nil, fmt.Errorf("survey of %s: %w", found.Title, err)
	}
	s := &Shop{Found: found, Settings: map[string]Setting{}, Own: profile.Totals}
	r := &reading{db: db, statements: statements(string(text), found.Prefix)}
	if err := r.from(ctx, since); err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, read := range s.reads(r) {
		group.Go(func() error { return read(ctx) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	s.Unread = r.unread()
	return s, nil
}

// reads lists what is read, each by a connection of its own; each fills another part of s.
func (s *Shop) reads(r *reading) []func(context.Context) error {
	var values [][3]string
	return []func(context.Context) error{
		func(ctx context.Context) error { return r.server(ctx, &s.Server) },
		func(ctx context.Context) error {
			return r.each(ctx, "settings", func(scan scan) error {
				var name, value, key string
				err := scan(&name, &value, &key)
				s.Settings[name] = Setting{value, key}
				return err
			})
		},
		one(r, "stores", &s.Stores, func(x *Store) []any { return []any{&x.ID, &x.Name} }),
		one(r, "languages", &s.Languages, func(x *Language) []any { return []any{&x.Code, &x.Name, &x.Active} }),
		one(r, "currencies", &s.Currencies, func(x *Currency) []any { return []any{&x.Code, &x.Value, &x.Active} }),
		one(r, "states", &s.States, func(x *State) []any { return []any{&x.ID, (*list)(&x.Names), &x.Consumes} }),
		one(r, "methods", &s.Methods, func(x *Method) []any { return []any{&x.Code, &x.State} }),
		one(r, "orders", &s.Orders, func(x *OrderCount) []any {
			return []any{&x.State, &x.Method, (*escaped)(&x.Title), &x.N, &x.Last, &x.Since}
		}),
		one(r, "totals", &s.Totals, func(x *Total) []any { return []any{&x.Code, &x.Title, &x.N, &x.Min, &x.Max, &x.Last} }),
		one(r, "total modules", &s.Modules, func(x *Module) []any { return []any{&x.Code, &x.Active, &x.TaxClass} }),
		one(r, "tax classes", &s.Classes, func(x *TaxClass) []any { return []any{&x.ID, &x.Title} }),
		one(r, "tax rates", &s.Rates, func(x *Rate) []any {
			return []any{&x.ID, &x.Title, &x.Rate, &x.Percent, (*list)(&x.Countries), &x.Used}
		}),
		one(r, "broken tax rules", &s.Broken, func(x *BrokenRule) []any { return []any{&x.Class, &x.Rate} }),
		one(r, "tax titles", &s.Titles, func(x *TaxTitle) []any { return []any{&x.Title, &x.N, &x.Last} }),
		one(r, "groups", &s.Groups, func(x *Group) []any { return []any{&x.ID, (*list)(&x.Names)} }),
		one(r, "untaxed", &s.Untaxed, func(x *Untaxed) []any { return []any{&x.Country, &x.N, &x.Last} }),
		one(r, "products", &s.Products, func(x *Product) []any { return []any{&x.ID, &x.Model, &x.Active, &x.TaxClass} }),
		one(r, "variants", &s.Variants, func(x *Variant) []any { return []any{&x.Product, &x.Value} }),
		func(ctx context.Context) error {
			err := one(r, "fields", &s.Fields, func(x *Field) []any {
				return []any{&x.ID, (*list)(&x.Names), &x.Type, &x.Location, &x.Active}
			})(ctx)
			if err != nil {
				return err
			}
			err = one(r, "field values", &values, func(x *[3]string) []any { return []any{&x[0], &x[1], &x[2]} })(ctx)
			s.fill(values)
			return err
		},
	}
}

// fill gives the fields what customers wrote into them.
func (s *Shop) fill(values [][3]string) {
	byID := map[string]*Field{}
	for i := range s.Fields {
		byID[s.Fields[i].ID] = &s.Fields[i]
	}
	for _, row := range values {
		for _, text := range row {
			var fields map[string]any
			if json.Unmarshal([]byte(text), &fields) != nil {
				continue // a list, or nothing
			}
			for id, value := range fields {
				f, known := byID[id]
				if word, ok := value.(string); ok && known && word != "" && len(f.Values) < valuesKept {
					f.Values = append(f.Values, strings.TrimSpace(word))
				}
			}
		}
	}
}

// OrdersIn is how many orders are in a state, by payment method.
func (s *Shop) OrdersIn(state string) (counts []OrderCount, n int64) {
	for _, o := range s.Orders {
		if o.State == state {
			counts, n = append(counts, o), n+o.N
		}
	}
	return counts, n
}

// Placed is how many orders are more than a cart.
func (s *Shop) Placed() (n int64) {
	for _, o := range s.Orders {
		if o.State != "0" {
			n += o.N
		}
	}
	return n
}

// Oldest is the day of the oldest order that is more than a cart; empty if there is none.
func (s *Shop) Oldest() (day string) {
	for _, o := range s.Orders {
		if o.State != "0" && (day == "" || o.Since < day) && o.Since != "" {
			day = o.Since
		}
	}
	return day
}
