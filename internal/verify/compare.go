package verify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// proof walks through both sides at once, in the order of the shop's order numbers.
type proof struct {
	shop    *shopSide
	erp     *erpSide
	journal map[int64]*Journaled // nil: there is none
	report  *Report
	seen    map[int64]int64 // ERP order -> shop order: no two may share one
	visited map[int64]bool  // orders of the journal that a side knows

	held struct{ shop, erp []sold } // of the order that is compared

	suspects *[]int64 // takes orders that differ, in place of the report: both sides go on while they are read
}

func (p *proof) differ(order int64, kind, format string, args ...any) {
	p.report.Differences++
	if len(p.report.Details) < detailsShown {
		p.report.Details = append(p.report.Details, Difference{Order: order, Kind: kind, What: fmt.Sprintf(format, args...)})
	}
}

func (p *proof) compareAll() error {
	p.visited = map[int64]bool{}
	for {
		next, ok, err := p.next()
		if err != nil || !ok {
			return err
		}
		o, err := p.shop.take(next)
		if err != nil {
			return err
		}
		l, err := p.erp.take(next)
		if err != nil {
			return err
		}
		parked, err := p.erp.parked.take(next)
		if err != nil {
			return err
		}
		if p.journal != nil {
			p.visited[next] = true
		}
		p.look(pair{id: next, order: o, link: l, parked: parked, journal: p.journal[next]})
	}
}

// look compares an order; while both sides go on, one that differs is only suspected.
func (p *proof) look(x pair) {
	before := *p.report
	p.compare(x)
	if p.suspects != nil && p.report.Differences > before.Differences {
		*p.report = before
		*p.suspects = append(*p.suspects, x.id)
	}
}

// next is the lowest order number that either side has left.
func (p *proof) next() (int64, bool, error) {
	a, inShop, err := p.shop.orders.peek()
	if err != nil {
		return 0, false, err
	}
	b, inERP, err := p.erp.links.peek()
	switch {
	case err != nil:
		return 0, false, err
	case inShop && (!inERP || a <= b):
		return a, true, nil
	}
	return b, inERP, nil
}

// pair is an order on both sides. order is nil when the shop has it no longer, link when the
// bridge does not know it, journal when the test shop did not make it.
type pair struct {
	id      int64
	order   *shopOrder
	link    *link
	parked  []string
	journal *Journaled
}

func (x pair) inERP() bool { return x.link != nil && x.link.erpOrder != nil }

// waits tells whether the shop has changed the order when the ERP could not follow any more: its goods
// had left, or a clerk had cancelled it. Then it is parked, and the two need not be equal.
func (x pair) waits() bool {
	switch {
	case !x.inERP() || x.link.id == nil || len(x.parked) == 0:
		return false
	case x.parked[0] == "shipped":
		return slices.Contains([]string{"part_shipped", "shipped", "closed_short"}, *x.link.erpState)
	}
	return x.parked[0] == "cancelled" && x.link.clerkCancelled()
}

// calledOff tells whether a clerk cancelled the order and the shop followed. What the shop had changed of
// it in between reached no order any more, and there is nothing left for a person to say.
func (p *proof) calledOff(x pair) bool {
	return x.order != nil && x.inERP() && x.link.id != nil && x.link.clerkCancelled() && x.link.class == string(Cancelled) &&
		p.shop.rules.class(x.order.state, x.order.method) == Cancelled
}

func (l *link) clerkCancelled() bool { return *l.erpState == "cancelled" && l.cancelledBy == "clerk" }

// decided tells whether a person has said what becomes of the order, so that it need not be what
// the shop has.
func (x pair) decided() bool { return x.link != nil && x.link.decided != nil && *x.link.decided }

func (p *proof) compare(x pair) {
	p.count(x)
	if x.order == nil && x.link != nil && x.journal == nil && p.journal == nil {
		if !x.link.deleted {
			p.differ(x.id, "gone", "the shop has it no longer, and nobody has noticed")
		}
		return
	}
	scope := p.inScope(x)
	if x.inERP() {
		p.compareLink(x)
		if x.link.id != nil && *x.link.erpState == "shipped" {
			p.report.OrdersShipped++
		}
	}
	if x.decided() {
		p.report.OrdersDecided++
		return
	}
	switch {
	case scope && x.inERP():
		p.report.OrdersInScope++
		p.report.OrdersInERP++
	case scope:
		p.report.OrdersInScope++
		p.compareParked(x)
	case x.inERP():
		p.differ(x.id, "extra", "the ERP has it (order %d), but it never was in a class that is taken over", *x.link.erpOrder)
	}
	switch {
	case x.waits():
		p.report.OrdersWaiting++
	case p.calledOff(x):
	case x.order != nil && x.inERP() && x.link.id != nil:
		p.compareOrder(x)
	}
}

// count counts the order as placed, and holds the shop against the journal.
func (p *proof) count(x pair) {
	begun := x.order != nil && (x.order.state != 0 || len(x.order.histories) > 0)
	j := x.journal
	switch {
	case p.journal == nil:
		if begun {
			p.report.OrdersPlaced++
		}
		return
	case j == nil || !j.Intended:
		return
	case j.Unfinished:
		p.report.Unfinished++
	case j.Placed == OK && x.order == nil && !j.Deleted:
		p.differ(x.id, "shop", "its checkout was acknowledged, the shop does not have it")
	case j.Deleted && x.order != nil:
		p.differ(x.id, "shop", "its deletion was acknowledged, the shop still has it")
	}
	if j.Placed == OK || begun {
		p.report.OrdersPlaced++
	}
}

// inScope tells whether the ERP has to have the order, or has to say why not.
func (p *proof) inScope(x pair) bool {
	if x.order == nil {
		return x.journal != nil && x.journal.Taken(p.shop.rules)
	}
	if !x.inERP() {
		began := p.shop.began(x.order)
		if !p.erp.cut.IsZero() && began.Before(p.erp.cut) {
			return false // closed
		}
		if began.Before(p.erp.live) && p.shop.rules.class(x.order.state, x.order.method) == Cancelled {
			return false // only observed, and called off before anybody was to have it
		}
		return p.shop.due(x.order)
	}
	return p.shop.everTaken(x.order)
}

func (p *proof) compareLink(x pair) {
	order := *x.link.erpOrder
	if first, twice := p.seen[order]; twice && first != x.id {
		p.differ(x.id, "extra", "it is linked to ERP order %d, as order %d is", order, first)
	}
	p.seen[order] = x.id
	if x.link.id == nil {
		p.differ(x.id, "missing", "it is linked to ERP order %d, which the ERP does not have", order)
	}
}

// compareParked is for orders in scope that the ERP does not have.
func (p *proof) compareParked(x pair) {
	if len(x.parked) == 0 {
		p.differ(x.id, "missing", "it is neither in the ERP nor parked")
		return
	}
	p.report.OrdersParked++
	if x.journal != nil && x.journal.Facts.Planted {
		p.report.ParkedPlanted++
	}
}

// compareOrder compares an order that both sides have.
func (p *proof) compareOrder(x pair) {
	if x.journal != nil && x.journal.Unfinished {
		return // its cents too are what nobody knows
	}
	a, err := p.shop.amounts(x.order)
	if err != nil {
		if len(x.parked) == 0 { // an edit may have made it so; then it waits for a person
			p.differ(x.id, "cents", "the ERP has taken it over, but %v", err)
		}
		return
	}
	m := a.work()
	class := p.shop.rules.class(x.order.state, x.order.method)
	cancelled := *x.link.erpState == "cancelled"
	if p.journal == nil && cancelled && class == Cancelled && x.link.class == string(class) {
		return // what is edited of an order that was called off reaches nobody; an administrator's edit calls it off on its way
	}
	p.report.CentsShop += m.total
	p.report.CentsERP += *x.link.total
	switch {
	case cancelled != (class == Cancelled) && !x.link.clerkCancelled():
		p.differ(x.id, "state", "the shop's state %d is of class %s, in the ERP it is %s", x.order.state, class, *x.link.erpState)
	case x.link.class != string(class):
		p.differ(x.id, "state", "the shop's state %d is of class %s, the bridge says %s", x.order.state, class, x.link.class)
	}
	if m.total != *x.link.total {
		p.differ(x.id, "cents", "%d by the shop, %d in the ERP", m.total, *x.link.total)
	}
	if m.credits != x.link.credits {
		p.differ(x.id, "cents", "store credit of %d by the shop, %d in the ERP", m.credits, x.link.credits)
	}
	compareItems(p, x.id, "lines", p.soldByShop(m, x.link.lines), p.soldInERP(x.link), sold.is)
	compareItems(p, x.id, "vat", m.vat, x.link.vat, vatSum.is)
	p.compareFacts(x, m)
}

// compareItems wants the same of both sides, in whatever order; it changes the ERP's.
func compareItems[T fmt.Stringer](p *proof, order int64, kind string, shop, erp []T, same func(a, b T) bool) {
	all := len(shop) == len(erp)
	for i := 0; all && i < len(shop); i++ {
		at := slices.IndexFunc(erp[i:], func(x T) bool { return same(shop[i], x) })
		if all = at >= 0; all {
			erp[i], erp[i+at] = erp[i+at], erp[i] // struck off
		}
	}
	if !all {
		p.differ(order, kind, "%s by the shop, %s in the ERP", strings.Join(texts(shop), "; "), strings.Join(texts(erp), "; "))
	}
}

func texts[T fmt.Stringer](items []T) []string {
	var all []string
	for _, x := range items {
		all = append(all, x.String())
	}
	slices.Sort(all)
	return all
}

// sold is a line, or a charge or discount, as one side has it.
type sold struct {
	line     bool
	name     string // SKU, or code
	quantity int64
	options  string
	cents    int64
	rate     ratio
}

func (x sold) is(y sold) bool {
	return x.line == y.line && x.name == y.name && x.quantity == y.quantity && x.options == y.options && x.cents == y.cents && x.rate.cmp(y.rate) == 0
}

func (x sold) String() string {
	if !x.line {
		return fmt.Sprintf("%s %d at %s %%", x.name, x.cents, x.rate)
	}
	return fmt.Sprintf("%d x %s %d at %s %%%s", x.quantity, x.name, x.cents, x.rate, withOptions(x.options))
}

func (v vatSum) is(w vatSum) bool {
	return v.gross == w.gross && v.net == w.net && v.vat == w.vat && v.rate.cmp(w.rate) == 0
}

func (v vatSum) String() string {
	return fmt.Sprintf("%s %%: %d = %d + %d", v.rate, v.gross, v.net, v.vat)
}

// soldByShop are lines and charges of an order; good until the next order's.
func (p *proof) soldByShop(m money, erp []erpLine) []sold {
	all := p.held.shop[:0]
	for _, x := range m.parts {
		switch {
		case x.kind == KindNothing:
			all = append(all, sold{line: true, name: p.articleOf(x.line, erp), quantity: x.line.quantity, options: x.line.options, cents: x.cents, rate: x.rate})
		case x.cents != 0:
			all = append(all, sold{name: x.code, cents: x.cents, rate: x.rate})
		}
	}
	p.held.shop = all
	return all
}

// soldInERP is the same of the ERP.
func (p *proof) soldInERP(l *link) []sold {
	all := p.held.erp[:0]
	for _, x := range l.lines {
		all = append(all, sold{line: true, name: x.sku, quantity: x.quantity, options: x.options, cents: x.gross, rate: x.rate})
	}
	for _, x := range l.charges {
		if x.gross != 0 { // else free, or a discount of less than a cent
			all = append(all, sold{name: x.code, cents: x.gross, rate: x.rate})
		}
	}
	p.held.erp = all
	return all
}

// articleOf is the SKU of the article that a line's product is mapped to with all its option
// values, or else with those that keep stock; or else the product's model.
func (p *proof) articleOf(line *shopLine, erp []erpLine) string {
	product := strconv.FormatInt(line.product, 10)
	for _, variant := range [...]string{line.variant, line.stocked} {
		id, mapped := p.erp.articles[mappedTo{product, variant}]
		at := slices.IndexFunc(erp, func(l erpLine) bool { return mapped && l.article == id })
		if at >= 0 {
			return erp[at].sku
		}
	}
	return line.model
}

func withOptions(options string) string {
	if options == "" {
		return ""
	}
	return " (" + options + ")"
}

// compareUnseen is for orders of the journal that neither side knows.
func (p *proof) compareUnseen() {
	for id, j := range p.journal {
		if !p.visited[id] {
			x := pair{id: id, journal: j}
			p.count(x)
			if p.inScope(x) {
				p.report.OrdersInScope++
				p.compareParked(x)
			}
		}
	}
}
