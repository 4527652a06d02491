package writeback

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spola-cdc/spola/internal/target/mysql"
)

// Why a stock row did not take all.
const (
	whyFloor     = "floor"     // the column can't go lower (or higher)
	whyMissing   = "missing"   // there is no such row in the shop
	whyUntracked = "untracked" // the shop does not keep its stock
)

// column is a column of pieces in the shop: the one of a kind of stock rows.
type column struct {
	kind        string
	least, most int64
}

// columns asks the shop what its columns of pieces can hold, in the order of their locks.
func (s statements) columns(ctx context.Context, tx *mysql.Tx) (all []column, err error) {
	err = tx.Query(ctx, s["stock columns"], nil, func(scan func(...any) error) error {
		var kind, of string
		if err := scan(&kind, &of); err != nil {
			return err
		}
		least, most, err := bounds(of)
		all = append(all, column{kind, least, most})
		return err
	})
	if err == nil && len(all) == 0 {
		return nil, &mysql.StopError{What: "the shop has no columns of stock", Mend: "correct shop.prefix in the configuration"}
	}
	return all, err
}

// bounds are the least and the most that a column of integers can hold.
func bounds(columnType string) (least, most int64, err error) {
	name, _, _ := strings.Cut(columnType, "(")
	name, _, _ = strings.Cut(name, " ")
	bits, ok := map[string]uint{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}[strings.ToLower(name)]
	if !ok {
		return 0, 0, &mysql.StopError{What: "a column of pieces has the type " + columnType, Mend: "give it an integer type"}
	}
	most = math.MaxInt64
	if strings.Contains(columnType, "unsigned") {
		if bits < 64 {
			most = 1<<bits - 1
		}
		return 0, most, nil
	}
	return -1 << (bits - 1), 1<<(bits-1) - 1, nil
}

// takes is what a column that holds quantity takes of d pieces.
func (c column) takes(quantity, d int64) int64 {
	return min(max(quantity+d, c.least), c.most) - quantity
}

// shortfall is a stock row that could not take all.
type shortfall struct {
	row  string
	owed int64
	why  string
}

// debt is the note of a stock row's mark that is owed pieces.
type debt struct {
	Owed int64  `json:"owed"`
	Why  string `json:"why"`
}

// deliver is one transaction's delivery: lock the marks, then the shop's rows in the order in which
// the shop itself locks them; add what the columns take, and write down exactly that. What was sold
// in between is already in the quantity and stays: nothing is ever written as an absolute number.
func (s *Stock) deliver(ctx context.Context, tx *mysql.Tx, rows []string, entries map[string]entry) ([]shortfall, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	marks, err := lockMarks(ctx, tx, rows)
	if err != nil {
		return nil, err
	}
	d := delivery{s: s, tx: tx, stock: map[string]stocked{}}
	var due []owing
	for _, row := range rows {
		o, ok := owes(entries[row], marks[row])
		if !ok {
			if entries[row].again {
				delete(s.owed, row) // somebody else has settled it
			}
			continue
		}
		o.mark.Name = row
		due = append(due, o)
	}
	if err := d.lock(ctx, due); err != nil {
		return nil, err
	}
	return d.add(ctx, due)
}

// owing is a stock row whose mark changes: what it is owed, and the mark as it will be.
type owing struct {
	mark mark
	d    int64
	had  string // why it was owed something before
}

// owes tells what an entry owes to a row with this mark; false if the mark is as new.
func owes(e entry, m mark) (o owing, ok bool) {
	old := debtOf(m)
	o = owing{mark: m, had: old.Why}
	if e.again {
		o.d = old.Owed
		return o, old.Owed != 0
	}
	if !e.newer(m.Generation, m.Number) {
		return o, false
	}
	o.mark.Generation, o.mark.Number = max(m.Generation, e.life), e.no
	o.d = e.target - m.Applied
	return o, true
}

func debtOf(m mark) (d debt) {
	if m.Note != nil {
		_ = json.Unmarshal([]byte(*m.Note), &d) // another note is no debt
	}
	return d
}

// stocked is a row of the shop's stock as it was locked.
type stocked struct {
	quantity int64
	tracked  bool
	sum      string // the row that sums it up; empty: none
}

type delivery struct {
	s     *Stock
	tx    *mysql.Tx
	stock map[string]stocked
}

// split takes a stock row's name apart: option:17.
func split(row string) (kind string, id int64, err error) {
	kind, number, _ := strings.Cut(row, ":")
	id, err = strconv.ParseInt(number, 10, 64)
	if err != nil || id < 0 {
		return "", 0, fmt.Errorf("stock row %q is not of the form product:31", row)
	}
	return kind, id, nil
}

// lock locks the shop's rows, those that sum others up among them, kind by kind and by key.
func (d *delivery) lock(ctx context.Context, due []owing) error {
	ids := map[string][]int64{}
	for _, o := range due {
		if o.d == 0 {
			continue
		}
		kind, id, err := split(o.mark.Name)
		if err != nil {
			return &mysql.StopError{What: "the ledger names no row of this shop", Mend: "see who wrote the entry into spola.ledger", Err: err}
		}
		ids[kind] = append(ids[kind], id)
	}
	sums, err := d.sums(ctx, ids)
	if err != nil {
		return err
	}
	for _, sum := range sums {
		if kind, id, err := split(sum); err == nil {
			ids[kind] = append(ids[kind], id)
		}
	}
	for _, c := range d.s.columns {
		keys := ids[c.kind]
		slices.Sort(keys)
		if err := d.lockKind(ctx, c.kind, slices.Compact(keys), sums); err != nil {
			return err
		}
	}
	return nil
}

func (d *delivery) lockKind(ctx context.Context, kind string, ids []int64, sums map[string]string) error {
	if len(ids) == 0 {
		return nil
	}
	query, err := d.s.sql.of("lock "+kind, ids, nil)
	if err != nil {
		return err
	}
	return d.tx.Query(ctx, query, nil, func(scan func(...any) error) error {
		var id int64
		var row stocked
		if err := scan(&id, &row.quantity, &row.tracked); err != nil {
			return err
		}
		name := kind + ":" + strconv.FormatInt(id, 10)
		row.sum = sums[name]
		d.stock[name] = row
		return nil
	})
}

// sums asks which rows sum others up. One that has an account of its own does not: it is owed its
// own pieces.
func (d *delivery) sums(ctx context.Context, ids map[string][]int64) (map[string]string, error) {
	sums := map[string]string{}
	for _, c := range d.s.columns {
		if d.s.sql["sum rows "+c.kind] == "" || len(ids[c.kind]) == 0 {
			continue
		}
		query, err := d.s.sql.of("sum rows "+c.kind, ids[c.kind], nil)
		if err != nil {
			return nil, err
		}
		err = d.tx.Query(ctx, query, nil, func(scan func(...any) error) error {
			var id int64
			var sum string
			err := scan(&id, &sum)
			sums[c.kind+":"+strconv.FormatInt(id, 10)] = sum
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	own, err := readMarks(ctx, d.tx, slices.Compact(slices.Sorted(maps.Values(sums))), "")
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(sums, func(_, sum string) bool { _, has := own[sum]; return has })
	return sums, nil
}

// add adds to the shop's rows and writes the marks.
func (d *delivery) add(ctx context.Context, due []owing) (missed []shortfall, err error) {
	added := map[string]int64{}
	marks := make([]mark, 0, len(due))
	for _, o := range due {
		taken, why := d.take(o)
		if taken != 0 {
			added[o.mark.Name] += taken
			if sum, ok := d.stock[d.stock[o.mark.Name].sum]; ok && sum.tracked {
				added[d.stock[o.mark.Name].sum] += taken
			}
		}
		o.mark.Applied += taken
		o.mark.Note = nil
		delete(d.s.owed, o.mark.Name)
		if rest := o.d - taken; rest != 0 {
			o.mark.Note = noteOf(debt{Owed: rest, Why: why})
			d.s.owed[o.mark.Name] = time.Now()
			if why != o.had {
				missed = append(missed, shortfall{row: o.mark.Name, owed: rest, why: why})
			}
		}
		marks = append(marks, o.mark)
	}
	for _, c := range d.s.columns {
		if err := d.addKind(ctx, c, added); err != nil {
			return nil, err
		}
	}
	return missed, put(ctx, d.tx, marks)
}

// take tells what a row takes of what it is owed, and why not all.
func (d *delivery) take(o owing) (taken int64, why string) {
	row, there := d.stock[o.mark.Name]
	switch {
	case o.d == 0:
		return 0, ""
	case !there:
		return 0, whyMissing
	case !row.tracked:
		return 0, whyUntracked
	}
	kind, _, _ := strings.Cut(o.mark.Name, ":")
	at := slices.IndexFunc(d.s.columns, func(c column) bool { return c.kind == kind })
	return d.s.columns[at].takes(row.quantity, o.d), whyFloor
}

func (d *delivery) addKind(ctx context.Context, c column, added map[string]int64) error {
	pieces := map[int64]int64{}
	for row, n := range added {
		kind, id, _ := split(row)
		if kind != c.kind {
			continue
		}
		if n = c.takes(d.stock[row].quantity, n); n != 0 {
			pieces[id] = n
		}
	}
	if len(pieces) == 0 {
		return nil
	}
	query, err := d.s.sql.of("add "+c.kind, slices.Sorted(maps.Keys(pieces)), pieces)
	if err != nil {
		return err
	}
	changed, err := d.tx.Exec(ctx, query)
	if err == nil && changed != int64(len(pieces)) {
		return fmt.Errorf("%d stock rows of kind %s changed, %d were locked", changed, c.kind, len(pieces))
	}
	return err
}

func noteOf(what any) *string {
	text, err := json.Marshal(what)
	if err != nil {
		panic(err) // it holds nothing that can't be written
	}
	s := string(text)
	return &s
}
