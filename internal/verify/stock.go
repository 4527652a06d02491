package verify

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	sure     = 3           // looks in a row that see the same, before a row of stock or a note of an order is called different
	halfway  = time.Minute // how long ago an order may have been touched that the shop is still in the middle of writing
	rowsShop = 500         // of the shop that are looked at with one statement
)

// StockReport is what was found of a shop's stock.
type StockReport struct {
	Rows        int64             `json:"rows"`               // of the shop's stock, with an account
	Changing    int64             `json:"changing,omitempty"` // that changed, or whose orders settled, as long as they were looked at: not compared
	Differences int64             `json:"differences"`
	Details     []StockDifference `json:"details,omitempty"` // the first 100
}

// StockDifference is something that is not as it should be.
type StockDifference struct {
	Row    string `json:"row,omitempty"` // of the shop's stock: product:31, option:17
	SKU    string `json:"sku,omitempty"`
	Kind   string `json:"kind"`             // shown: the shop shows something else than there is; in flight, consumed, entry, account: Spola's books do not add up
	Order  int64  `json:"order,omitempty"`  // in flight: of the shop
	Pieces int64  `json:"pieces,omitempty"` // shown: too many; too few below zero
	What   string `json:"what"`
}

// String is a line for a person.
func (d StockDifference) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s: %s: %s", d.Row, d.SKU, d.Kind, d.What))
}

// Stock compares what the shop's rows of stock show with what the ERP has, and Spola's books of it with each other, while all of them go on. settled returns
// when everything that the ERP had committed by the time of the call is in the accounts.
//
// A row shows what there is if what it says, with what is on its way there, is what the ERP has free less what is held back and what the shop has sold that the ERP does
// not count yet. The shop is read before and after the ERP, and in between all that each of them had committed has come to the other; a row, or an order's note,
// is called different if it looked the same over several such looks, while no order of it was settling or half-written.
// The ledger and the sums in the ERP's database are one transaction's at each moment: one look is enough.
func Stock(ctx context.Context, c Config, matched, settled Matched) (*StockReport, error) {
	p, err := c.proof()
	if err != nil {
		return nil, err
	}
	if err := p.shop.openSettings(ctx); err != nil {
		return nil, err
	}
	s := &stockProof{Config: c, shop: p.shop, sql: p.erp.statements, both: func(ctx context.Context) error {
		if err := matched(ctx); err != nil {
			return err
		}
		return settled(ctx)
	}}
	var kept bool
	if err := c.ERP.QueryRow(ctx, s.sql["stock is kept"], c.Name).Scan(&kept); err != nil || !kept {
		return &s.report, err
	}
	return &s.report, s.run(ctx)
}

type stockProof struct {
	Config
	shop   *shopSide
	sql    statements // of the ERP
	both   Matched
	report StockReport
}

// shopRow is a row of the shop's stock.
type shopRow struct {
	pieces  int64
	applied int64 // of the pieces that Spola was to bring there
	entry   int64 // the last one's number
}

// account is what the ERP's database says of a row.
type account struct {
	sku                             string
	free, buffer, inFlight, entered int64
}

// there is what the row has to show.
func (a account) there() int64 { return a.free - a.buffer - a.inFlight }

// rowSeen is a row of stock as it was seen on both sides.
type rowSeen struct {
	shopRow
	account
}

// off is by how many pieces a row shows more than there is, when it has taken what is on its way.
func (r rowSeen) off() int64 { return r.pieces + r.entered - r.applied - r.there() }

// note is an order's pieces in flight or closed short, of a row.
type note struct {
	order int64
	row   string
}

// noteSeen is what is noted, and what it should be.
type noteSeen struct{ flying, dueFlying, short, dueShort int64 }

// look is what was seen at a matched position.
type look struct {
	rows      map[string]rowSeen
	notes     map[note]noteSeen // those that are not as they should be
	unsettled map[string]bool   // rows that say nothing now
	changed   map[string]bool   // rows that changed meanwhile
	due       map[int64]bool    // orders that say nothing now
}

func (s *stockProof) run(ctx context.Context) error {
	first, err := s.look(ctx, nil, nil, true)
	if err != nil {
		return err
	}
	s.report.Rows = int64(len(first.rows))
	rows, notes := newSuspects(map[string]rowSeen{}), newSuspects(first.notes)
	for row, seen := range first.rows {
		if seen.off() != 0 {
			rows.seen[row] = seen
		}
	}
	for n := 0; n < looks && len(rows.seen)+len(notes.seen) > 0; n++ {
		if n > 0 {
			if err := wait(ctx, lookEvery); err != nil {
				return err
			}
		}
		now, err := s.look(ctx, slices.Sorted(maps.Keys(rows.seen)), notes.seen, false)
		if err != nil {
			return err
		}
		rows.judge(func(row string) (seen rowSeen, wrong, says bool) {
			seen, there := now.rows[row] // not there: its account was closed
			return seen, there && seen.off() != 0, !now.unsettled[row] && !now.changed[row]
		}, s.shown)
		notes.judge(func(of note) (seen noteSeen, wrong, says bool) {
			seen, wrong = now.notes[of]
			return seen, wrong, !now.due[of.order]
		}, s.noted)
	}
	changing := map[string]bool{}
	for row := range rows.seen {
		changing[row] = true
	}
	for of := range notes.seen {
		changing[of.row] = true
	}
	s.report.Changing = int64(len(changing))
	slices.SortStableFunc(s.report.Details, func(a, b StockDifference) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), cmp.Compare(len(a.Row), len(b.Row)), strings.Compare(a.Row, b.Row))
	})
	return nil
}

// suspects are what was not as it should be: how each was seen last, and in how many looks in a row it was seen so.
type suspects[K, V comparable] struct {
	seen map[K]V
	same map[K]int
}

func newSuspects[K, V comparable](seen map[K]V) suspects[K, V] {
	return suspects[K, V]{seen, map[K]int{}}
}

// judge takes a look at each: how it is seen now, whether that is wrong, and whether it says anything, for what is changing says nothing. Who is right
// is a suspect no more; neither is who has been wrong in the same way so often that it is sure, which is called.
func (s suspects[K, V]) judge(now func(K) (seen V, wrong, says bool), call func(K, V)) {
	for one, before := range s.seen {
		seen, wrong, says := now(one)
		switch {
		case !wrong:
			delete(s.seen, one)
			continue
		case !says:
			s.same[one] = 0
		case seen == before:
			s.same[one]++
		default:
			s.same[one] = 1
		}
		s.seen[one] = seen
		if s.same[one] >= sure {
			delete(s.seen, one)
			call(one, seen)
		}
	}
}

func (s *stockProof) differ(d StockDifference, what string, args ...any) {
	s.report.Differences++
	if d.What = fmt.Sprintf(what, args...); len(s.report.Details) < detailsShown {
		s.report.Details = append(s.report.Details, d)
	}
}

func (s *stockProof) shown(row string, r rowSeen) {
	coming := ""
	if n := r.entered - r.applied; n != 0 {
		coming = fmt.Sprintf(" (%+d on their way)", n)
	}
	s.differ(StockDifference{Row: row, SKU: r.sku, Kind: "shown", Pieces: r.off()}, "the shop shows %d%s, there are %d: %d free in the ERP, %d held back, %d sold in the shop and not counted by the ERP",
		r.pieces, coming, r.there(), r.free, r.buffer, r.inFlight)
}

func (s *stockProof) noted(of note, n noteSeen) {
	if n.flying != n.dueFlying {
		s.differ(StockDifference{Row: of.row, Order: of.order, Kind: "in flight"}, "order %d: %d pieces are noted as not counted by the ERP, it does not count %d", of.order, n.flying, n.dueFlying)
	}
	if n.short != n.dueShort {
		s.differ(StockDifference{Row: of.row, Order: of.order, Kind: "in flight"}, "order %d: %d pieces are noted as closed short, there are %d", of.order, n.short, n.dueShort)
	}
}

// look sees both sides at a matched position: these rows and notes, or all and the books too.
func (s *stockProof) look(ctx context.Context, rows []string, notes map[note]noteSeen, all bool) (l look, err error) {
	l = look{rows: map[string]rowSeen{}, changed: map[string]bool{}}
	before, err := s.shopRows(ctx, rows, all)
	if err != nil {
		return l, err
	}
	if err := s.both(ctx); err != nil {
		return l, err
	}
	accounts, err := s.lookAtBooks(ctx, &l, rows, notes, all)
	if err != nil {
		return l, err
	}
	after := before
	if !all {
		if after, err = s.shopRows(ctx, rows, false); err != nil {
			return l, err
		}
		if err := s.unsettledInShop(ctx, &l); err != nil {
			return l, err
		}
	}
	for row, a := range accounts {
		shown, there := after[row]
		if !there {
			continue // gone: reconciliation closes its account
		}
		l.rows[row] = rowSeen{shown, a}
		l.changed[row] = shown != before[row]
	}
	return l, nil
}

// lookAtBooks reads what the ERP's database says at one moment.
func (s *stockProof) lookAtBooks(ctx context.Context, l *look, rows []string, notes map[note]noteSeen, all bool) (accounts map[string]account, err error) {
	tx, err := s.ERP.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("read the ERP's stock: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }() // it has only read
	// Sums over all that the shop has ever sold: compiling them takes as long as some of them, and sorting them on disk longer.
	if _, err := tx.Exec(ctx, "set local jit = off; set local work_mem = '64MB'"); err != nil {
		return nil, fmt.Errorf("read the ERP's stock: %w", err)
	}
	if all {
		rows = nil
	} else if rows == nil {
		rows = []string{}
	}
	accounts = map[string]account{}
	var row string
	var a account
	if err := s.each(ctx, tx, "stock", []any{s.Name, rows}, []any{&row, &a.sku, &a.free, &a.buffer, &a.inFlight, &a.entered}, func() { accounts[row] = a }); err != nil {
		return nil, err
	}
	if err := s.lookAtNotes(ctx, tx, l, notes, all); err != nil {
		return nil, err
	}
	if all {
		return accounts, s.books(ctx, tx, accounts)
	}
	l.unsettled, l.due = map[string]bool{}, map[int64]bool{}
	if err := s.each(ctx, tx, "unsettled stock", []any{s.Name}, []any{&row}, func() { l.unsettled[row] = true }); err != nil {
		return nil, err
	}
	var order int64
	return accounts, s.eachOf(ctx, tx, scope{}.of(s.sql["unsettled"]), "unsettled orders", []any{s.Name}, []any{&order}, func() { l.due[order] = true })
}

// lookAtNotes reads what of orders' pieces is noted otherwise than it should be: of those orders, or of all.
func (s *stockProof) lookAtNotes(ctx context.Context, tx pgx.Tx, l *look, notes map[note]noteSeen, all bool) error {
	l.notes = map[note]noteSeen{}
	which := scope{}
	if !all {
		which.orders = []int64{}
		for of := range notes {
			which.orders = append(which.orders, of.order)
		}
		slices.Sort(which.orders)
		if which.orders = slices.Compact(which.orders); len(which.orders) == 0 {
			return nil
		}
	}
	var of note
	var n noteSeen
	return s.eachOf(ctx, tx, which.of(s.sql["in flight"]), "pieces in flight", []any{s.Name}, []any{&of.order, &of.row, &n.flying, &n.dueFlying, &n.short, &n.dueShort},
		func() { l.notes[of] = n })
}

// books holds the ledger and the sums against what they are sums of.
func (s *stockProof) books(ctx context.Context, tx pgx.Tx, accounts map[string]account) error {
	var row string
	var first, last, was, pieces, is int64
	if err := s.each(ctx, tx, "consumed", []any{s.Name}, []any{&row, &was, &is}, func() {
		s.differ(StockDifference{Row: row, SKU: accounts[row].sku, Kind: "consumed"}, "the shop's orders have taken %d pieces, the sum that is kept says %d", is, was)
	}); err != nil {
		return err
	}
	if err := s.each(ctx, tx, "entries", []any{s.Name}, []any{&row, &first, &last, &pieces, &is}, func() {
		switch {
		case row != "":
			s.differ(StockDifference{Row: row, SKU: accounts[row].sku, Kind: "entry"}, "entry %d of %d pieces makes %d of %d: it, or one before it, is not what was written", first, pieces, is, last)
		case first == last:
			s.differ(StockDifference{Kind: "entry"}, "the ledger has no entry %d", first)
		default:
			s.differ(StockDifference{Kind: "entry"}, "the ledger has no entries %d to %d", first, last)
		}
	}); err != nil {
		return err
	}
	return s.each(ctx, tx, "accounts", []any{s.Name}, []any{&row, &was, &is}, func() {
		s.differ(StockDifference{Row: row, SKU: accounts[row].sku, Kind: "account"}, "the account comes to %d pieces, its last entry says %d", was, is)
	})
}

func (s *stockProof) each(ctx context.Context, tx pgx.Tx, name string, args, into []any, do func()) error {
	return s.eachOf(ctx, tx, s.sql[name], name, args, into, do)
}

func (s *stockProof) eachOf(ctx context.Context, tx pgx.Tx, query, what string, args, into []any, do func()) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read the ERP's %s: %w", what, err)
	}
	if _, err := pgx.ForEachRow(rows, into, func() error { do(); return nil }); err != nil {
		return fmt.Errorf("read the ERP's %s: %w", what, err)
	}
	return nil
}

// shopRows reads rows of the shop's stock with their marks, each with the other as at one moment.
func (s *stockProof) shopRows(ctx context.Context, rows []string, all bool) (map[string]shopRow, error) {
	tx, err := s.Shop.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("read the shop's stock: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it has only read
	found := map[string]shopRow{}
	take := func(query string) error {
		var row string
		var pieces int64
		return each(ctx, tx, "stock", query, nil, []any{&row, &pieces}, func() { found[row] = shopRow{pieces: pieces} })
	}
	if all {
		err = take(strings.NewReplacer("{products}", "1 = 1", "{values}", "1 = 1").Replace(s.shop.statements["stock"]))
	}
	for some := range slices.Chunk(rows, rowsShop) {
		if err == nil {
			err = take(strings.NewReplacer("{products}", keyIn("product_id", some, "product:"), "{values}", keyIn("product_option_value_id", some, "option:")).Replace(s.shop.statements["stock"]))
		}
	}
	if err != nil {
		return nil, err
	}
	var name string
	var applied, entry int64
	err = each(ctx, tx, "marks", s.shop.statements["marks"], nil, []any{&name, &applied, &entry}, func() {
		if row, there := found[name]; there {
			row.applied, row.entry = applied, entry
			found[name] = row
		}
	})
	return found, err
}

// keyIn is the condition that a key is one of the rows of this kind.
func keyIn(key string, rows []string, kind string) string {
	keys := []string{"NULL"}
	for _, row := range rows {
		if id, is := strings.CutPrefix(row, kind); is {
			if _, err := strconv.ParseInt(id, 10, 64); err == nil {
				keys = append(keys, id)
			}
		}
	}
	return "`" + key + "` IN (" + strings.Join(keys, ", ") + ")"
}

// unsettledInShop adds the rows of orders that settle, or that the shop may be in the middle of.
func (s *stockProof) unsettledInShop(ctx context.Context, l *look) error {
	tx, err := s.Shop.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("read the shop's orders: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it has only read
	orders := slices.Collect(maps.Keys(l.due))
	var order int64
	since := time.Now().Add(-halfway).In(s.shop.zone).Format(time.DateTime)
	if err := each(ctx, tx, "orders", s.shop.statements["begun"], []any{since}, []any{&order}, func() { orders = append(orders, order) }); err != nil {
		return err
	}
	for some := range slices.Chunk(orders, rowsShop) {
		var row string
		if err := each(ctx, tx, "orders", scope{orders: some}.of(s.shop.statements["rows of orders"]), nil, []any{&row}, func() { l.unsettled[row] = true }); err != nil {
			return err
		}
	}
	return nil
}

func each(ctx context.Context, tx *sql.Tx, what, query string, args, into []any, do func()) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read the shop's %s: %w", what, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("read the shop's %s: %w", what, err)
		}
		do()
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the shop's %s: %w", what, err)
	}
	return nil
}
