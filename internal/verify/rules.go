package verify

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

// ClassRule gives the class of a state and payment method ("cod", "*" for any). The first rule
// that fits counts.
type ClassRule struct {
	State  int
	Method string
	Class  Class
}

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

// Rules are the merchant's decisions about his shop: what stands in his shop file.
type Rules struct {
	Classes []ClassRule
	Totals  map[string]TotalKind
}

// OpenCartRules are those of the example shop file and of the test shop.
func OpenCartRules() Rules {
	r := Rules{Totals: map[string]TotalKind{
		"sub_total": KindNothing, "total": KindNothing, "tax": KindTax,
		"shipping": KindCharge, "payment_fee": KindCharge, "handling": KindCharge, "low_order_fee": KindCharge,
		"coupon": KindDiscount, "reward": KindDiscount,
		"credit": KindPayment, "voucher": KindPayment,
	}}
	add := func(class Class, method string, states ...int) {
		for _, state := range states {
			r.Classes = append(r.Classes, ClassRule{State: state, Method: method, Class: class})
		}
	}
	add(Ignored, "*", 0)
	add(Placed, "bank_transfer", 1)
	add(Taken, "*", 1, 2, 3, 12)
	add(Final, "*", 5)
	add(Cancelled, "*", 7, 8, 9, 10, 11, 13, 14, 15, 16)
	return r
}

// Takes tells whether the ERP takes over an order in this state.
func (r Rules) Takes(state int, method string) bool { return r.class(state, method).taken() }

func (r Rules) class(state int, method string) Class {
	for _, rule := range r.Classes {
		if rule.State == state && (rule.Method == "*" || rule.Method == method) {
			return rule.Class
		}
	}
	return Unclassed
}
