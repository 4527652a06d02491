package erp_test

import (
	"fmt"
	"sort"
	"strings"
)

// model is the stock of the ERP as one would do it by hand: piece by piece, order by order.
// The functions, which do a whole call at once, have to arrive at the same commitments.
type model struct {
	onHand map[place]int64
	orders map[int64]*modelOrder
}

type place struct{ article, warehouse int64 }

type modelOrder struct {
	state string
	lines []*modelLine // in order of position
}

type modelLine struct {
	line, article, quantity, shipped, returned int64
	held                                       map[int64]*held // by warehouse
}

type held struct{ quantity, backorder int64 }

var webRank = []int64{1, 2} // warehouses linked to the web, first to be asked first

func newModel() *model { return &model{onHand: map[place]int64{}, orders: map[int64]*modelOrder{}} }

func (m *model) committed(p place) (committed, backorder int64) {
	for _, o := range m.orders {
		for _, l := range o.lines {
			if h := l.held[p.warehouse]; h != nil && l.article == p.article {
				committed, backorder = committed+h.quantity, backorder+h.backorder
			}
		}
	}
	return committed, backorder
}

func (m *model) free(p place) int64 {
	committed, _ := m.committed(p)
	return m.onHand[p] - committed
}

func (l *modelLine) at(warehouse int64) *held {
	if l.held[warehouse] == nil {
		l.held[warehouse] = &held{}
	}
	return l.held[warehouse]
}

// commit takes one piece where there is one, else from the first warehouse as backorder.
func (m *model) commit(l *modelLine) {
	for _, w := range webRank {
		if m.free(place{l.article, w}) > 0 {
			l.at(w).quantity++
			return
		}
	}
	h := l.at(webRank[0])
	h.quantity, h.backorder = h.quantity+1, h.backorder+1
}

// release gives one piece back: backorder first, then from the last warehouse.
func (m *model) release(l *modelLine) {
	for _, h := range l.held {
		if h.backorder > 0 {
			h.quantity, h.backorder = h.quantity-1, h.backorder-1
			return
		}
	}
	for i := len(webRank) - 1; i >= 0; i-- {
		if h := l.held[webRank[i]]; h != nil && h.quantity > 0 {
			h.quantity--
			return
		}
	}
}

// settle takes the mark off backorders that are on hand by now, oldest order first.
func (m *model) settle() {
	for _, id := range m.ids() {
		for _, l := range m.orders[id].byLine() {
			for w, h := range l.held {
				p := place{l.article, w}
				for h.backorder > 0 {
					committed, backorder := m.committed(p)
					if backorder <= max(0, committed-m.onHand[p]) {
						break
					}
					h.backorder--
				}
			}
		}
	}
}

func (m *model) ids() []int64 {
	var ids []int64
	for id := range m.orders {
		ids = append(ids, id)
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	return ids
}

func (o *modelOrder) byLine() []*modelLine {
	lines := append([]*modelLine(nil), o.lines...)
	sort.Slice(lines, func(i, j int) bool { return lines[i].line < lines[j].line })
	return lines
}

func (l *modelLine) pieces() (n int64) {
	for _, h := range l.held {
		n += h.quantity
	}
	return n
}

func (m *model) take(id int64, items []item) {
	o := &modelOrder{state: "open"}
	m.orders[id] = o
	for i, it := range items {
		o.lines = append(o.lines, &modelLine{line: int64(i + 1), article: it.article, quantity: it.quantity, held: map[int64]*held{}})
	}
	m.serve(o)
}

func (m *model) serve(o *modelOrder) {
	for _, l := range o.lines {
		for l.pieces() < l.quantity {
			m.commit(l)
		}
	}
}

// rewrite makes the lines of an order those of an edit and returns the lines that are gone.
func (o *modelOrder) rewrite(items []item) (gone []*modelLine) {
	old, highest := o.lines, int64(0)
	for _, l := range old {
		highest = max(highest, l.line)
	}
	o.lines, o.state = nil, "open"
	for _, it := range items {
		var same *modelLine
		for i, l := range old {
			if l.article == it.article {
				same, old = l, append(append([]*modelLine(nil), old[:i]...), old[i+1:]...)
				break
			}
		}
		if same == nil {
			highest++
			same = &modelLine{line: highest, article: it.article, held: map[int64]*held{}}
		}
		same.quantity = it.quantity
		o.lines = append(o.lines, same)
	}
	return old
}

// edit does a call's releases before its commitments.
func (m *model) edit(ids []int64, items [][]item) {
	for i, id := range ids {
		o := m.orders[id]
		for _, l := range o.rewrite(items[i]) {
			for w := range l.held {
				delete(l.held, w)
			}
		}
		for _, l := range o.lines {
			for l.pieces() > l.quantity {
				m.release(l)
			}
		}
	}
	m.settle()
	for _, id := range ids {
		m.serve(m.orders[id])
	}
}

func (m *model) cancel(id int64) {
	o := m.orders[id]
	if o.state != "open" {
		return
	}
	o.state = "cancelled"
	for _, l := range o.lines {
		l.held = map[int64]*held{}
	}
	m.settle()
}

// ship sends what is on hand, or the pieces asked by line, from all warehouses (0) or one, and reports whether
// it did: what was asked for leaves whole or not at all.
func (m *model) ship(id int64, asked map[int64]int64, warehouse int64) bool {
	o, leaving := m.orders[id], map[*held]int64{}
	for _, l := range o.lines {
		want, named := asked[l.line]
		if asked == nil {
			want = l.quantity
		} else if !named {
			continue
		}
		for _, w := range webRank {
			if h := l.held[w]; h != nil && (warehouse == 0 || warehouse == w) {
				if n := min(want, h.quantity-h.backorder); n > 0 {
					leaving[h], want = n, want-n
				}
			}
		}
		if asked != nil && want > 0 {
			return false
		}
	}
	if len(leaving) == 0 {
		return false
	}
	rest := false
	for _, l := range o.lines {
		for w, h := range l.held {
			n := leaving[h]
			m.onHand[place{l.article, w}] -= n
			l.shipped, h.quantity = l.shipped+n, h.quantity-n
		}
		rest = rest || l.shipped < l.quantity
	}
	if o.state = "shipped"; rest {
		o.state = "part_shipped"
	}
	return true
}

func (m *model) closeShort(id int64) bool {
	o := m.orders[id]
	if o.state != "part_shipped" {
		return false
	}
	o.state = "closed_short"
	for _, l := range o.lines {
		l.held = map[int64]*held{}
	}
	m.settle()
	return true
}

// count makes on hand what was found. Pieces that are committed and not there are taken from the youngest, and
// the oldest of those is served first from what other warehouses have.
func (m *model) count(p place, n int64) {
	m.onHand[p] = n
	var lost []*modelLine
	for _, id := range m.ids() {
		for _, l := range m.orders[id].byLine() {
			if h := l.held[p.warehouse]; h != nil && l.article == p.article {
				there := min(n, h.quantity-h.backorder)
				for n -= there; h.quantity-h.backorder > there; h.quantity-- {
					lost = append(lost, l)
				}
			}
		}
	}
	for _, l := range lost {
		m.commit(l)
	}
	m.settle()
}

// String lists stock and commitments as stateOf reads them from the database.
func (m *model) String() string {
	var out []string
	for p, n := range m.onHand {
		if n > 0 {
			out = append(out, fmt.Sprintf("article %d at %d: %d", p.article, p.warehouse, n))
		}
	}
	for id, o := range m.orders {
		short := false
		for position, l := range o.lines {
			out = append(out, fmt.Sprintf("order %d line %d position %d: %d of article %d, %d shipped, %d returned", id, l.line, position+1, l.quantity, l.article, l.shipped, l.returned))
			for w, h := range l.held {
				if h.quantity > 0 {
					out = append(out, fmt.Sprintf("order %d line %d at %d: %d (%d)", id, l.line, w, h.quantity, h.backorder))
				}
				short = short || h.backorder > 0
			}
		}
		out = append(out, fmt.Sprintf("order %d %s %v", id, o.state, short))
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

const stateOf = `
	select format('article %s at %s: %s', article_id, warehouse_id, on_hand) from erp.stock where on_hand > 0
	union all
	select format('order %s line %s position %s: %s of article %s, %s shipped, %s returned', order_id, line, position, quantity, article_id, shipped, returned) from erp.order_line
	union all
	select format('order %s line %s at %s: %s (%s)', order_id, line, warehouse_id, quantity, backorder) from erp.commitment
	union all
	select format('order %s %s %s', order_id, state, case when backorder then 'true' else 'false' end) from erp.orders`
