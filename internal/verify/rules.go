package verify

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/spola-cdc/spola/schemas"
)

// Class says what a shop's order state means to the ERP.
type Class string

// The classes of order states.
const (
	Ignored   Class = "ignored"
	Placed    Class = "placed"
	Taken     Class = "taken"
	Cancelled Class = "cancelled"
	Final     Class = "final"
	Unclassed Class = "" // the shop file does not know the state
)

// taken tells whether an order of this class has to be in the ERP.
func (c Class) taken() bool { return c == Taken || c == Final }

// TotalKind says what a row of an order's totals is.
type TotalKind string

// The kinds of rows.
const (
	KindCharge   TotalKind = "charge"
	KindDiscount TotalKind = "discount"
	KindPayment  TotalKind = "payment"
	KindTax      TotalKind = "tax"
	KindNothing  TotalKind = "ignored" // says what other rows say
)

// Rules are what a platform's profile and a merchant's shop file say of his orders.
type Rules struct {
	classes map[stateMethod]Class
	totals  map[string]totalRule
	fixed   map[string]ratio // a tax of a fixed amount, by its title → the rate of the VAT in it
}

// stateMethod is a state with a payment method, or with none: for any.
type stateMethod struct {
	state  int
	method string
}

type totalRule struct {
	kind     TotalKind
	rate     *ratio // of a charge, in percent; nil: by its tax class
	taxClass string // of a charge; empty: as the shop's setting says
}

// ReadRules reads a shop file for its states and totals. Whether the rest of it is sound is not
// looked at: the programs that take it have done so.
func ReadRules(platform string, shopFile []byte) (Rules, error) {
	r := Rules{classes: map[stateMethod]Class{}, totals: map[string]totalRule{}, fixed: map[string]ratio{}}
	profile, _, err := schemas.Platform(platform)
	if err != nil {
		return r, err
	}
	for code, kind := range profile.Totals {
		r.totals[code] = totalRule{kind: TotalKind(kind)}
	}
	var file struct {
		States []struct{ State, Method, Class string }
		Totals []struct {
			Code, Kind string
			Rate       any
			TaxClass   any `yaml:"tax_class"`
		}
		FixedTaxes []struct {
			Title string
			Rate  any
		} `yaml:"fixed_taxes"`
	}
	if err := yaml.Unmarshal(shopFile, &file); err != nil {
		return r, fmt.Errorf("read the shop file: %w", err)
	}
	for _, s := range file.States {
		state, err := strconv.Atoi(s.State)
		if err != nil {
			return r, fmt.Errorf("read the shop file: state %q is no number", s.State)
		}
		r.classes[stateMethod{state, s.Method}] = Class(s.Class)
	}
	for _, t := range file.FixedTaxes {
		r.fixed[t.Title] = number(fmt.Sprint(t.Rate))
	}
	for _, t := range file.Totals {
		rule := totalRule{kind: TotalKind(t.Kind)}
		if t.Rate != nil {
			rate := number(fmt.Sprint(t.Rate))
			rule.rate = &rate
		}
		if t.TaxClass != nil {
			rule.taxClass = fmt.Sprint(t.TaxClass)
		}
		r.totals[t.Code] = rule
	}
	return r, nil
}

// Takes tells whether the ERP takes over an order in this state.
func (r Rules) Takes(state int, method string) bool { return r.class(state, method).taken() }

// class looks for the payment method, then for its first part ("cod" of "cod.cod"), then for any.
func (r Rules) class(state int, method string) Class {
	first, _, _ := strings.Cut(method, ".")
	for _, m := range []string{method, first, ""} {
		if class, ok := r.classes[stateMethod{state, m}]; ok {
			return class
		}
	}
	return Unclassed
}
