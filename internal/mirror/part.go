package mirror

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/spola-cdc/spola/internal/change"
)

// Part is a batch of records, or a piece of one, decoded and folded by key.
type Part struct {
	m        *Mirror
	from     int64 // number of the record before the first
	at       int64 // number of the last record added
	segments []*segment
	owners   map[ownerKind]map[int64]struct{} // orders and accounts of which a row changed
	older    map[ownerKind]map[int64]struct{} // those of which one changed that is not new here
	bytes    int
	ticked   bool
	ticks    int64
	life     int64 // incarnation of the last claim added; 0: none
	restored bool  // it is a new one
	runDone  int64
	marks    map[string]int64 // of rows of the shop's stock
	writer   lineWriter
}

// segment is a stretch of records in which no table changes its shape.
type segment struct {
	shapes []*table
	rows   map[string]*folded
	names  []string // of rows, in order of appearance, so that all batches lock in one order
	chunks []chunk
}

// folded holds a table's rows as lines of COPY text; of each key the last one counts.
type folded struct {
	t       *table
	lines   []byte
	entries []entry
	byKey   map[string]int
	judged  bool               // which rows count as new is settled
	copied  bool               // the new ones are in the mirror already
	read    map[int64]struct{} // owners of rows that a snapshot read and that are written in any case

	// Of the chunk that has not ended yet.
	reading []int              // its rows, as entries
	readOf  map[int64]struct{} // owners of them
}

type entry struct {
	key        string // the key's fields of COPY text, with tabs between
	start, end int    // of the line
	gone       bool   // deleted
	fresh      bool   // the first of the key's changes here was an insert
	compared   bool   // read by a chunk that is whole in this segment, and by nothing since: written if it differs
}

// Part begins a part; its first record is number applied+1.
func (m *Mirror) Part(applied int64) *Part {
	return &Part{m: m, from: applied, marks: map[string]int64{}, at: applied, owners: byOwner(), older: byOwner()}
}

func byOwner() map[ownerKind]map[int64]struct{} {
	return map[ownerKind]map[int64]struct{}{ofOrder: {}, ofAccount: {}}
}

// Bytes is the memory that the part holds, roughly.
func (p *Part) Bytes() int { return p.bytes }

// Orders are those of which a row changes.
func (p *Part) Orders() map[int64]struct{} { return p.owners[ofOrder] }

// Accounts are the customers' accounts of which a row changes.
func (p *Part) Accounts() map[int64]struct{} { return p.owners[ofAccount] }

// Add decodes records, in the order of the log.
func (p *Part) Add(records []change.Record) error {
	for i := range records {
		p.at++
		if err := p.add(&records[i]); err != nil {
			r := &records[i]
			return fmt.Errorf("mirror of %s: record %d/%d, offset %d, key %s: %w", p.m.source, r.Gen, r.Seq, r.Offset, r.Key, err)
		}
	}
	return nil
}

func (p *Part) add(r *change.Record) error {
	switch r.Op {
	case change.Create, change.Update, change.Delete, change.Read:
		return p.addRow(r)
	case change.Schema:
		return p.addShape(r)
	case change.Chunk:
		return p.addChunk(r)
	case change.Claim:
		return p.claimed(r)
	case change.Heartbeat, change.Probe:
		return nil // they tell about the log, not about the shop
	}
	return fmt.Errorf("op %q is not one that the mirror knows", r.Op)
}

// segment returns the one that takes the next record.
func (p *Part) segment() *segment {
	if len(p.segments) == 0 {
		p.segments = append(p.segments, &segment{rows: map[string]*folded{}})
	}
	return p.segments[len(p.segments)-1]
}

func (p *Part) addShape(r *change.Record) error {
	var message change.SchemaMessage
	if err := change.Message(r.Value, &message); err != nil {
		return err
	}
	t, err := newTable(p.m.schema, message.Table, p.m.owners[message.Name])
	if err != nil {
		return err
	}
	if len(p.segment().names) > 0 || len(p.segment().chunks) > 0 {
		p.segments = append(p.segments, &segment{rows: map[string]*folded{}})
	}
	p.segment().shapes = append(p.segment().shapes, t)
	p.m.tables[message.Name] = t
	p.bytes += len(r.Value)
	return nil
}

func (p *Part) addRow(r *change.Record) error {
	t := p.m.tables[r.Table]
	if t == nil {
		return fmt.Errorf("table %s has no shape yet in this log", r.Table)
	}
	if t.shape.Version != r.Schema {
		return fmt.Errorf("table %s: the row is of version %d, the shape known is of %d", r.Table, r.Schema, t.shape.Version)
	}
	before, after, err := change.Rows(r.Value)
	if err != nil {
		return err
	}
	if (after == nil) != (r.Op == change.Delete) {
		return fmt.Errorf("op %s does not fit its rows", r.Op)
	}
	f := p.segment().folded(t)
	held := len(f.lines)
	oldKey, err := p.oldKey(f, before)
	if err != nil {
		return err
	}
	if after != nil {
		newKey, err := p.line(f, r, after)
		if err != nil {
			return err
		}
		at := f.put(newKey, held, r.Op == change.Create)
		if p.writer.owned && !f.entries[at].fresh {
			p.older[t.ownedBy][p.writer.owner] = struct{}{}
		}
		if r.Op == change.Read {
			f.reading = append(f.reading, at)
		}
		if bytes.Equal(oldKey, newKey) {
			oldKey = nil
		}
	}
	if oldKey != nil {
		f.remove(oldKey)
	}
	p.bytes += len(f.lines) - held + 64
	if t.shape.Name == Marker && after != nil {
		return p.marked(r.Op, after)
	}
	return nil
}

func (s *segment) folded(t *table) *folded {
	f := s.rows[t.shape.Name]
	if f == nil {
		f = &folded{t: t, byKey: map[string]int{}, read: map[int64]struct{}{}, readOf: map[int64]struct{}{}}
		s.rows[t.shape.Name] = f
		s.names = append(s.names, t.shape.Name)
	}
	return f
}

// put makes the line that begins at start the one of its key.
func (f *folded) put(key []byte, start int, fresh bool) (at int) {
	i, known := f.byKey[string(key)]
	if !known {
		i = len(f.entries)
		f.entries = append(f.entries, entry{key: string(key), fresh: fresh})
		f.byKey[f.entries[i].key] = i
	}
	e := &f.entries[i]
	e.start, e.end, e.gone, e.compared = start, len(f.lines), false, false
	return i
}

func (f *folded) remove(key []byte) {
	i, known := f.byKey[string(key)]
	if !known {
		i = len(f.entries)
		f.entries = append(f.entries, entry{key: string(key)})
		f.byKey[f.entries[i].key] = i
	}
	f.entries[i].gone, f.entries[i].compared = true, false
}

// oldKey returns the key of the row before, nil if there was none, and notes its order or account.
func (p *Part) oldKey(f *folded, before []byte) ([]byte, error) {
	if before == nil {
		return nil, nil
	}
	t := f.t
	fields := make([][]byte, len(t.columns))
	err := change.Fields(before, func(name, value []byte) error {
		if at, ok := t.index[string(name)]; ok {
			fields[at] = value
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var key []byte
	for i, at := range t.key {
		if fields[at] == nil {
			return nil, fmt.Errorf("the row before lacks key column %s", t.columns[at].name)
		}
		if i > 0 {
			key = append(key, '\t')
		}
		if key, _, err = t.columns[at].put(key, fields[at]); err != nil {
			return nil, fmt.Errorf("column %s: %w", t.columns[at].name, err)
		}
	}
	if t.owner < 0 || fields[t.owner] == nil {
		return key, nil
	}
	owner, owned, err := t.whose(fields[t.owner])
	if owned {
		p.owners[t.ownedBy][owner] = struct{}{}
		if i, known := f.byKey[string(key)]; !known || !f.entries[i].fresh {
			p.older[t.ownedBy][owner] = struct{}{}
		}
	}
	return key, err
}

// whose tells whom a row belongs to, by the value of the column that names it.
func (t *table) whose(value []byte) (owner int64, owned bool, err error) {
	if string(value) == "null" {
		return 0, false, nil
	}
	owner, err = strconv.ParseInt(string(bytes.Trim(value, `"`)), 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("column %s, which names the %s: %w", t.columns[t.owner].name, t.ownedBy, err)
	}
	return owner, true, nil
}

// line appends the row's line of COPY text, and returns its key, good until the next call.
func (p *Part) line(f *folded, r *change.Record, after []byte) (key []byte, err error) {
	w := &p.writer
	owners := p.owners[f.t.ownedBy]
	if r.Op == change.Read {
		owners = f.readOf
	}
	w.begin(p, f, owners)
	if err := change.Fields(after, w.field); err != nil {
		return nil, err
	}
	if err := w.end(r); err != nil {
		return nil, err
	}
	f.lines = w.line
	return w.keyText(), nil
}
