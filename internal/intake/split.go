package intake

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/schemas"
)

// splitter says where a batch must end, so that what is taken over and what consumes stock
// depends on the log alone. Deriving sees the mirror at the end of a batch, so no two states of
// an order that mean something different may stand in one batch, and no tick by which something
// settles may hide among other transactions. It answers from the log, before earlier batches are
// committed; a needless end costs time only.
//
// A batch ends before a transaction that changes the state of an order, or deletes or rewrites
// rows of it, when the batch has completed it or changed its state, or when it is unsettled;
// before a change of what decides whether a product consumes stock, when the batch has completed
// an order; on both sides of a tick, while an order or the shop's settings are unsettled; and
// before a new generation of the log, with which the shop may begin another life.
type splitter struct {
	rules rules

	unsettled map[int64]open // orders whose state may yet turn out to be none
	settings  int64          // tick of the last change of a look-up table; -1: none that is unsettled
	ticks     int64          // seen since Start

	asked   *facts // of the transaction that begins with record askedAt: it is asked about, then added
	askedAt change.Place
}

// open is an order that is not settled.
type open struct {
	state string // as its row says it
	tick  int64  // of its last change
}

// batchFacts is what the splitter remembers of the batch that is being cut.
type batchFacts struct {
	touched map[int64]bool // orders completed, or whose state was changed
	alone   bool           // it ends with the transaction it has: a tick by which something may settle
	meaning bool           // something changed by which orders are read, beside their own rows
	any     bool
}

// rules is the profile, by table name with prefix.
type rules struct {
	order    map[string]string // table → its column with the order's id
	state    string            // table and column of the state
	column   string
	complete string
	consumes map[string][]string
	others   map[string]bool // the rest of the catalogue, of which every column counts
	lookup   map[string]bool
	ignored  map[string]bool // states that are a cart's for every payment method
	cancels  map[string]bool // states that may be a cancellation
}

func newRules(prefix string, profile *schemas.Profile, file *ShopFile) rules {
	r := rules{
		order: map[string]string{}, consumes: map[string][]string{}, others: map[string]bool{}, lookup: map[string]bool{}, ignored: map[string]bool{}, cancels: map[string]bool{},
		state: prefix + profile.State.Table, column: profile.State.Name, complete: prefix + profile.Complete,
	}
	for _, t := range profile.Tables {
		switch t.Kind {
		case schemas.KindOrder:
			r.order[prefix+t.Name] = t.Order
		case schemas.KindLookup:
			r.lookup[prefix+t.Name] = true
		case schemas.KindCatalogue:
			r.others[prefix+t.Name] = true
		}
	}
	for _, c := range profile.Consumes {
		r.consumes[prefix+c.Table] = append(r.consumes[prefix+c.Table], c.Name)
	}
	for _, s := range file.States {
		r.ignored[s.State] = r.ignored[s.State] || s.Class == "ignored" && s.Method == ""
		r.cancels[s.State] = r.cancels[s.State] || s.Class == "cancelled"
	}
	return r
}

// start takes the orders that wait in the database for their settling.
func (s *splitter) start(ctx context.Context, tx pgx.Tx, shop string, settingsPending bool) error {
	s.unsettled = map[int64]open{}
	s.ticks = 0
	s.asked = nil
	s.settings = -1
	if settingsPending {
		s.settings = 0
	}
	rows, err := tx.Query(ctx, "select order_id from spola.due where shop = $1 and settling", shop)
	if err != nil {
		return fmt.Errorf("read unsettled orders of %s: %w", shop, err)
	}
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		s.unsettled[id] = open{}
		return nil
	})
	return err
}

// read reads the facts of a transaction, once.
func (s *splitter) read(records []change.Record) (*facts, error) {
	at := change.Place{Gen: records[0].Gen, Seq: records[0].Seq}
	if s.asked != nil && s.askedAt == at {
		return s.asked, nil
	}
	f, err := s.rules.read(records)
	if err != nil {
		return nil, err
	}
	s.asked, s.askedAt = f, at
	return f, nil
}

// splits tells whether the batch must end before the transaction.
func (s *splitter) splits(b *batchFacts, f *facts) bool {
	if !b.any {
		return false
	}
	if b.alone || f.begins || f.tick && s.settling() {
		return true
	}
	if f.consumes && len(b.touched) > 0 {
		return true
	}
	for _, c := range f.changes {
		if !c.disturbs() {
			continue
		}
		if _, unsettled := s.unsettled[c.order]; unsettled || b.touched[c.order] {
			return true
		}
	}
	return false
}

func (s *splitter) settling() bool { return len(s.unsettled) > 0 || s.settings >= 0 }

// add takes note of a transaction that is in the batch now.
func (s *splitter) add(b *batchFacts, f *facts) {
	b.any = true
	if f.tick {
		b.alone = s.settling()
		s.tick()
	}
	if f.lookup {
		s.settings = s.ticks
	}
	b.meaning = b.meaning || f.begins || f.lookup || f.consumes || f.catalogue
	for _, c := range f.changes {
		s.follow(b, c)
	}
}

func (s *splitter) tick() {
	s.ticks++
	for id, o := range s.unsettled {
		if s.ticks-o.tick > Settle {
			delete(s.unsettled, id)
		}
	}
	if s.settings >= 0 && s.ticks-s.settings > Settle {
		s.settings = -1
	}
}

// follow keeps the orders that are unsettled: half-written, or maybe cancelled.
func (s *splitter) follow(b *batchFacts, c orderChange) {
	switch {
	case c.completed:
		b.touched[c.order] = true
		if o, is := s.unsettled[c.order]; is && o.state == c.state && !s.rules.cancels[c.state] {
			delete(s.unsettled, c.order)
		} else if is {
			s.unsettled[c.order] = open{state: o.state, tick: s.ticks}
		}
	case c.state != "" && s.rules.ignored[c.state]:
		delete(s.unsettled, c.order)
	case c.changed:
		b.touched[c.order] = true
		s.unsettled[c.order] = open{state: c.state, tick: s.ticks}
	case c.gone:
		delete(s.unsettled, c.order)
	case c.deleted || c.rewritten:
		s.unsettled[c.order] = open{state: s.unsettled[c.order].state, tick: s.ticks}
	}
}

// facts is what the splitter reads of a transaction.
type facts struct {
	changes   []orderChange
	tick      bool
	lookup    bool
	consumes  bool
	catalogue bool // something of it beside stock and what decides about it
	begins    bool // a generation of the log
	awaited   bool // an order is complete behind it, a setting changed, or it is a tick or a probe: what prepares an order is none of these
}

// orderChange is what a row says about its order.
type orderChange struct {
	order     int64
	state     string // of the order's own row, or of the completeness row
	changed   bool   // its state is another
	completed bool   // the completeness row was written
	deleted   bool
	gone      bool // deleted is its own row
	rewritten bool // its row was written and its state is the same
}

// disturbs tells whether the order means something else behind the change, or nothing yet.
func (c orderChange) disturbs() bool { return c.changed || c.deleted }

// read reads the facts of a transaction. Rows of snapshots tell nothing of orders: they stand as
// they are in the log already. Behind a snapshot settings, or even all known orders, may settle.
func (r *rules) read(records []change.Record) (*facts, error) {
	f := &facts{}
	for i := range records {
		rec := &records[i]
		switch {
		case rec.Op == change.Claim:
			f.begins = f.begins || rec.Seq == 1
			continue
		case rec.Op == change.Chunk, rec.Op == change.Read:
			f.lookup = f.lookup || rec.Op == change.Chunk || r.lookup[rec.Table]
			continue
		case !rec.Op.IsRow():
			continue
		}
		if err := r.readRecord(f, rec); err != nil {
			return nil, fmt.Errorf("record %d of generation %d, table %s: %w", rec.Seq, rec.Gen, rec.Table, err)
		}
	}
	return f, nil
}

var tickName = []byte(`"name":"tick"`)

func (r *rules) readRecord(f *facts, rec *change.Record) error {
	switch {
	case rec.Table == mirror.Marker:
		f.awaited = true
		f.tick = f.tick || bytes.Contains(rec.Key, tickName)
	case r.lookup[rec.Table]:
		f.awaited = true
		f.lookup = true
	case r.order[rec.Table] != "":
		return r.readOrder(f, rec)
	case r.consumes[rec.Table] != nil:
		return r.readConsumes(f, rec)
	case r.others[rec.Table]:
		f.catalogue = true
	}
	return nil
}

func (r *rules) readOrder(f *facts, rec *change.Record) error {
	f.awaited = f.awaited || rec.Table == r.complete
	// Lines and totals that are inserted tell nothing; they are most rows.
	if rec.Op == change.Create && rec.Table != r.state && rec.Table != r.complete {
		return nil
	}
	before, after, err := change.Rows(rec.Value)
	if err != nil {
		return err
	}
	row := after
	if row == nil {
		row = before
	}
	var c orderChange
	var was string
	key := r.order[rec.Table]
	err = change.Fields(row, func(name, value []byte) (err error) {
		switch string(name) {
		case key:
			if !bytes.Equal(value, []byte("null")) {
				c.order, err = strconv.ParseInt(string(value), 10, 64)
			}
		case r.column:
			c.state = string(value)
		}
		return err
	})
	if err != nil {
		return err
	}
	switch {
	case rec.Op == change.Delete:
		c.deleted, c.gone, c.state = true, rec.Table == r.state, ""
	case rec.Table == r.complete:
		c.completed = rec.Op == change.Create
		c.rewritten = !c.completed
	case rec.Table == r.state && rec.Op == change.Create:
		c.changed = !r.ignored[c.state]
	case rec.Table == r.state:
		if was, err = field(before, r.column); err != nil {
			return err
		}
		c.changed = was != c.state
		c.rewritten = !c.changed
	default:
		c.rewritten, c.state = true, ""
	}
	f.changes = append(f.changes, c)
	return nil
}

// readConsumes looks whether a column changed by which the shop's code subtracts stock.
func (r *rules) readConsumes(f *facts, rec *change.Record) error {
	before, after, err := change.Rows(rec.Value)
	if err != nil {
		return err
	}
	if before == nil || after == nil {
		f.consumes = true
		return nil
	}
	for _, column := range r.consumes[rec.Table] {
		was, err := field(before, column)
		if err != nil {
			return err
		}
		is, err := field(after, column)
		if err != nil {
			return err
		}
		f.consumes = f.consumes || was != is
	}
	return nil
}

func field(row []byte, column string) (string, error) {
	var text string
	if row == nil {
		return text, nil
	}
	err := change.Fields(row, func(name, value []byte) error {
		if string(name) == column {
			text = string(value)
		}
		return nil
	})
	return text, err
}
