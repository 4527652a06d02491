package verify

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Entry is a line of the journal that a test shop keeps: one before each operation, with what it
// is about to do, and one after it, with what became of it.
type Entry struct {
	Shopper int64     `json:"n"`    // the number from which everything the shopper does is derived
	Step    int       `json:"step"` // 0 the checkout, then what the administrator does with it
	Action  Action    `json:"action"`
	Outcome Outcome   `json:"outcome,omitempty"` // empty: this is the intent
	At      time.Time `json:"at"`                // intent: when written; outcome: when the last commit returned
	Order   int64     `json:"order,omitempty"`   // as far as it is known
	Token   string    `json:"token,omitempty"`   // of a checkout: in the order's user_agent
	Status  int       `json:"status,omitempty"`  // of a change of state: the new one
	Error   string    `json:"error,omitempty"`
	Taken   bool      `json:"taken,omitempty"` // outcome: the state reached is one that the ERP takes over
	Facts   *Facts    `json:"facts,omitempty"` // intent of a checkout or edit: what the order shall be

	Product int              `json:"product,omitempty"` // of a product's page
	Stock   map[string]int64 `json:"stock,omitempty"`   // intent of a product's page: pieces that it writes, by row of the shop's stock
}

// Action is what an operation does.
type Action string

// The operations of a test shop.
const (
	Place   Action = "place"   // a checkout up to the button
	Abandon Action = "abandon" // a checkout that ends at the overview
	Change  Action = "edit"
	State   Action = "status"
	Remove  Action = "delete"
	Form    Action = "product" // the page of a product is saved: no order's
)

// Outcome is what became of an operation.
type Outcome string

// The outcomes. Unknown means that the connection broke: the statement may have had its effect.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"
	Unknown Outcome = "unknown"
)

// Taken tells whether the order was, by the journal alone, ever in a class that the ERP takes over:
// of orders that the shop has deleted nothing else tells.
func (o *Journaled) Taken(rules Rules) bool {
	if !o.Intended || o.Placed != OK {
		return false
	}
	return rules.Takes(o.Facts.State, o.Facts.Method) || slices.ContainsFunc(o.Reached, func(state int) bool {
		return rules.Takes(state, o.Facts.Method)
	})
}

// Facts is what an order has to come to in the ERP, worked out by the shop itself from prices and
// rates, without rounding on the way.
type Facts struct {
	Cents   int64      `json:"cents"`  // lines, charges and discounts, VAT included
	ToPay   int64      `json:"to_pay"` // the same less store credit
	Lines   []FactLine `json:"lines"`
	VAT     []FactVAT  `json:"vat"`
	State   int        `json:"state"`             // in which the button leaves it
	Method  string     `json:"method"`            // of payment
	Planted bool       `json:"planted,omitempty"` // made so that nobody can take it over
}

// FactLine is a line of an order. Gross is rounded for itself, so lines need not add up.
type FactLine struct {
	SKU      string `json:"sku"`               // of the article: model, or model and size
	Options  string `json:"options,omitempty"` // as a clerk reads them: "Taglia: L, Iniziali: M"
	Quantity int64  `json:"quantity"`
	Gross    int64  `json:"gross"` // cents
}

// FactVAT is what is sold at a rate. Cents are rounded for each rate by itself.
type FactVAT struct {
	Rate  string `json:"rate"` // percent: "22"
	Gross int64  `json:"gross"`
	VAT   int64  `json:"vat"`
}

// Journal is what a test shop did.
type Journal struct {
	Orders []*Journaled
}

// Journaled is what the journal knows of one order.
type Journaled struct {
	ID         int64 // 0: never learnt, to be found by its token
	Token      string
	Intended   bool    // the button was to be pressed
	Placed     Outcome // of the checkout; Unknown also when the journal ends before
	PlacedAt   time.Time
	Facts      Facts
	Reached    []int // states that the administrator set
	Deleted    bool
	Unfinished bool // an edit, change of state or deletion whose outcome nobody knows
}

// ReadJournal reads a journal, also one whose writer was killed: a last line without an end is
// none.
func ReadJournal(r io.Reader) (*Journal, error) {
	j := &Journal{}
	shoppers := map[int64]*Journaled{}
	open := map[[2]int64]Entry{} // intents without outcome
	lines := bufio.NewReaderSize(r, 1<<16)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("journal line %d: %w", number, err)
		}
		at := [2]int64{e.Shopper, int64(e.Step)}
		if e.Outcome == "" {
			open[at] = e
			if e.Step == 0 {
				shoppers[e.Shopper] = &Journaled{Token: e.Token, Placed: Unknown, Intended: e.Action == Place}
				j.Orders = append(j.Orders, shoppers[e.Shopper])
			}
			continue
		}
		intent, ok := open[at]
		if !ok {
			return nil, fmt.Errorf("journal line %d: outcome without intent", number)
		}
		delete(open, at)
		shoppers[e.Shopper].record(intent, e)
	}
	for at, intent := range open {
		shoppers[at[0]].record(intent, Entry{Outcome: Unknown, Order: intent.Order})
	}
	return j, nil
}

func (o *Journaled) record(intent, outcome Entry) {
	switch intent.Action {
	case Place, Abandon:
		o.ID, o.Placed, o.PlacedAt = outcome.Order, outcome.Outcome, outcome.At
		if intent.Facts != nil {
			o.Facts = *intent.Facts
		}
		return
	case Change:
		if outcome.Outcome == OK && intent.Facts != nil {
			o.Facts = *intent.Facts
		}
	case State:
		if outcome.Outcome == OK {
			o.Reached = append(o.Reached, intent.Status)
		}
	case Remove:
		o.Deleted = o.Deleted || outcome.Outcome == OK
	case Form:
		return
	}
	o.Unfinished = o.Unfinished || outcome.Outcome == Unknown
}
