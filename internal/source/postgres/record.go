package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/spola-cdc/spola/internal/change"
)

// rowChange is a row of the stream.
type rowChange struct {
	relation uint32
	op       change.Op
	before   *pglogrepl.TupleData // nil if it does not come
	after    *pglogrepl.TupleData
	keyOnly  bool   // of before
	raw      []byte // the message
}

// images is how many row images the row counts for.
func (c *rowChange) images() int64 {
	if c.op == change.Update {
		return 2
	}
	return 1
}

// readRow turns a row into a record, two if an update changed its key, or passes over it.
func (r *reader) readRow(c rowChange) error {
	t, l := &r.tx, r.layouts[c.relation]
	if l == nil || !t.open {
		return r.stop(ErrEvent, "", fmt.Sprintf("a row of relation %d, which was not announced, or of no transaction", c.relation), "report this")
	}
	t.begun = true
	t.add(c.raw[:1], []byte(l.name), c.raw[5:])
	if l.table == nil || t.row+c.images() <= t.skip {
		t.count(l.table, c.images())
		return nil
	}
	if err := r.readable(l); err != nil {
		return err
	}
	t.count(l.table, c.images())
	if r.out.held {
		r.closeRow(false)
		if err := r.beat(true); err != nil {
			return err
		}
	}
	r.writeSource(l)
	if err := r.writeRow(l, &c); err != nil {
		return r.badRow(l, err)
	}
	return nil
}

// readable stops for a captured table whose rows can't be read, and announces a shape that is new.
func (r *reader) readable(l *layout) error {
	if l.bad != nil {
		return r.stop(ErrShape, l.name, l.bad.Error(), "mend the table as `cdc preflight erp` says; "+beginAnew)
	}
	if r.state.Tables[l.name].Hash != l.hash {
		return r.announce(l.table, l.shape)
	}
	if l.table.shape == nil {
		l.table.shape = l.shape
	}
	return nil
}

// writeRow writes the row's record, two if its key has changed.
func (r *reader) writeRow(l *layout, c *rowChange) error {
	o := &r.out
	start := len(o.bytes)
	o.bytes = append(o.bytes, `{"before":`...)
	before := extent{len(o.bytes), 0}
	var err error
	if c.before == nil {
		o.bytes = append(o.bytes, "null"...)
		r.before.flaw = nil
	} else if o.bytes, err = r.before.appendTuple(o.bytes, l, c.before, nil, c.keyOnly); err != nil {
		o.bytes = o.bytes[:start]
		return err
	}
	before.to = len(o.bytes)
	o.bytes = append(o.bytes, `,"after":`...)
	after := extent{len(o.bytes), 0}
	old := c.before
	if c.keyOnly {
		old = nil
	}
	if c.after == nil {
		o.bytes = append(o.bytes, "null"...)
		r.after.flaw = nil
	} else if o.bytes, err = r.after.appendTuple(o.bytes, l, c.after, old, false); err != nil {
		o.bytes = o.bytes[:start]
		return err
	}
	after.to = len(o.bytes)
	if c.op == change.Update && c.before != nil && !r.sameKey(l) {
		return r.moveRow(l, start, before, after)
	}
	image := &r.after
	if c.op == change.Delete {
		image = &r.before
	}
	return r.hold(l, c.op, image, start, r.tx.row)
}

func (r *reader) sameKey(l *layout) bool {
	for _, i := range l.key {
		if !bytes.Equal(r.before.value(r.out.bytes, i), r.after.value(r.out.bytes, i)) {
			return false
		}
	}
	return true
}

// moveRow makes two records of an update that changed the row's key, so that consumers which
// know a row by its key lose none: the first image is deleted, the second created.
func (r *reader) moveRow(l *layout, start int, before, after extent) error {
	o := &r.out
	gone := bytes.Clone(o.bytes[before.from:before.to])
	come := bytes.Clone(o.bytes[after.from:after.to])
	o.bytes = o.bytes[:start]
	if r.tx.row-1 > r.tx.skip {
		o.bytes = append(append(o.bytes, `{"before":`...), gone...)
		o.bytes = append(o.bytes, `,"after":null`...)
		r.before.shift(start + len(`{"before":`) - before.from)
		if err := r.hold(l, change.Delete, &r.before, start, r.tx.row-1); err != nil {
			return err
		}
		r.closeRow(false)
	}
	start = len(o.bytes)
	o.bytes = append(append(o.bytes, `{"before":null,"after":`...), come...)
	r.after.shift(start + len(`{"before":null,"after":`) - after.from)
	return r.hold(l, change.Create, &r.after, start, r.tx.row)
}

// hold finishes a row's record up to its transaction block and holds it back. The value begins
// at start with its two rows.
func (r *reader) hold(l *layout, op change.Op, image *decoder, start int, row int64) error {
	o, t := &r.out, &r.tx
	if flaw := r.flaw(op); flaw != nil {
		if err := r.cripple(l, op, image, start, flaw.Error()); err != nil {
			return err
		}
	}
	key := r.appendKey(r.scratch[:0], l, image)
	r.scratch = key
	r.window.name(l.table, key)
	size := len(o.bytes) - start + len(key) + len(t.origin) + len(r.source) + len(r.middle) + recordOverhead
	if size > o.log.MaxRecord() {
		if o.stub != "" {
			return fmt.Errorf("key %s: even its key is too big for the log", key)
		}
		why := fmt.Sprintf("the row's record has %d bytes, the log takes %d", size, o.log.MaxRecord())
		if err := r.cripple(l, op, image, start, why); err != nil {
			return err
		}
	}
	r.finish(l, op, row)
	record := change.Record{Time: t.micros / 1000, Table: l.name, Op: op, Schema: r.state.Tables[l.name].Version}
	o.begin(record, key, start, func(b []byte) []byte {
		return strconv.AppendInt(append(b, t.origin...), row, 10)
	})
	o.held, r.heldRow = true, row
	return nil
}

// flaw is why a row can't be shown as it is.
func (r *reader) flaw(op change.Op) error {
	if op != change.Create && r.before.flaw != nil {
		return r.before.flaw
	}
	if op != change.Delete && r.after.flaw != nil {
		return r.after.flaw
	}
	return nil
}

// appendKey writes the record's key from the members of an image.
func (r *reader) appendKey(dst []byte, l *layout, image *decoder) []byte {
	dst = append(dst, l.keyHead...)
	for i, column := range l.key {
		if i > 0 {
			dst = append(dst, ',')
		}
		s := image.spans[column]
		dst = append(dst, r.out.bytes[s.from:s.to]...)
	}
	return append(dst, "}}"...)
}

// finish writes the envelope behind the rows, up to the transaction block's end.
func (r *reader) finish(l *layout, op change.Op, row int64) {
	t, o := &r.tx, &r.out
	t.records++
	b := append(o.bytes, r.source...)
	b = strconv.AppendInt(b, row, 10)
	if t.echo {
		b = append(b, `,"echo":true`...)
	}
	b = append(append(b, `},"op":"`...), op...)
	b = append(b, r.middle...)
	b = strconv.AppendInt(b, row, 10)
	b = append(b, `,"data_collection_order":`...)
	o.bytes = strconv.AppendInt(b, t.collections[l.table]-(t.row-row), 10)
}

// stubMessage says what a stub stands for.
type stubMessage struct {
	Bytes  int    `json:"bytes"` // of the rows
	Reason string `json:"reason"`
}

// cripple puts a stub in the place of rows that can't stand in the log: the key, and the columns
// that say which article or order the row belongs to.
func (r *reader) cripple(l *layout, op change.Op, image *decoder, start int, why string) error {
	for _, i := range l.key {
		if string(image.value(r.out.bytes, i)) == "null" {
			return fmt.Errorf("its key can't be read: %s", why)
		}
	}
	bytesBefore := len(r.out.bytes) - start
	row := []byte{'{'}
	kept := map[int]bool{}
	for _, i := range l.kept {
		s := image.spans[i]
		if kept[i] || s.to == 0 {
			continue
		}
		kept[i] = true
		if len(row) > 1 {
			row = append(row, ',')
		}
		from := len(row)
		row = append(row, r.out.bytes[s.from:s.to]...)
		image.spans[i] = span{from, from + s.value - s.from, len(row)}
	}
	row = append(row, '}')
	stub, err := json.Marshal(stubMessage{bytesBefore, why})
	if err != nil {
		return fmt.Errorf("stub: %w", err)
	}
	b := append(r.out.bytes[:start], `{"before":`...)
	at := len(b)
	if op == change.Delete {
		b = append(append(b, row...), `,"after":null`...)
	} else {
		b = append(b, `null,"after":`...)
		at = len(b)
		b = append(b, row...)
	}
	for i := range kept {
		image.spans[i].from += at
		image.spans[i].value += at
		image.spans[i].to += at
	}
	r.out.bytes, r.out.stub = b, `,"stub":`+string(stub)
	return nil
}

// writeSource builds the parts of the envelope that a row's records have in common.
func (r *reader) writeSource(l *layout) {
	t := &r.tx
	b := append(r.source[:0], `,"source":{"version":"1","connector":"postgresql","name":"`...)
	b = append(append(b, r.cfg.Source...), `","ts_ms":`...)
	b = strconv.AppendInt(b, t.micros/1000, 10)
	b = strconv.AppendInt(append(b, `,"ts_us":`...), t.micros, 10)
	b = appendQuoted(append(b, `,"snapshot":"false","db":`...), []byte(r.database))
	b = append(append(append(b, ','), l.names...), `,"txId":`...)
	b = strconv.AppendUint(b, uint64(t.xid), 10)
	b = strconv.AppendUint(append(b, `,"lsn":`...), uint64(t.lsn), 10)
	r.source = append(b, `,"row":`...)
	b = append(r.middle[:0], `","ts_ms":`...)
	b = strconv.AppendInt(b, t.micros/1000, 10)
	b = strconv.AppendInt(append(b, `,"ts_us":`...), t.micros, 10)
	b = append(append(b, `,"transaction":{"id":"`...), t.gtid...)
	r.middle = append(b, `","total_order":`...)
}

// announce writes the shape of a table before its first row in that shape.
func (r *reader) announce(t *table, shape *change.Table) error {
	r.closeRow(false)
	at := r.state.at
	if r.tx.open {
		at = r.tx.position(at.Incarnation, r.tx.row, false)
	}
	return r.announceAt(t, shape, at, !r.tx.open || r.tx.records == 0)
}

func (r *reader) announceAt(t *table, shape *change.Table, at change.Position, last bool) error {
	announced := *shape
	announced.Version = r.state.Version + 1
	t.shape = &announced
	when := r.state.Time
	if r.tx.open {
		when = r.tx.micros / 1000
	}
	record := change.Record{Op: change.Schema, Table: shape.Name, Schema: announced.Version, Last: last, Time: when}
	anchor := r.state.Anchor
	if at.GTID == r.tx.gtid && !at.End {
		anchor = ""
	}
	if err := r.own(record, at, anchor, change.SchemaMessage{Kind: change.Schema, Table: announced}); err != nil {
		return err
	}
	r.state.at, r.state.Time, r.state.Anchor = at, when, anchor
	r.state.announce(&announced)
	r.snapshots.changed(&r.window, t)
	return nil
}

// own writes one of Spola's own records.
func (r *reader) own(record change.Record, at change.Position, anchor string, message any) error {
	payload, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("%s record: %w", record.Op, err)
	}
	origin := change.Origin{Kind: record.Op, Tx: at}.String()
	if m, ok := message.(change.ChunkMessage); ok {
		origin = change.Origin{Kind: change.Read, Run: m.Run, Chunk: m.Chunk, Item: m.Rows + 1, Tx: at}.String()
	}
	value, err := r.ownValue(&record, at, anchor, payload)
	if err != nil {
		return err
	}
	r.out.add(record, change.OwnKey(record.Op), value, origin)
	if r.recorded, err = commitOf(at); err != nil {
		return err
	}
	r.sinceState++
	return nil
}

func (r *reader) ownValue(record *change.Record, at change.Position, anchor string, payload []byte) ([]byte, error) {
	type source struct {
		Version   string  `json:"version"`
		Connector string  `json:"connector"`
		Name      string  `json:"name"`
		Millis    int64   `json:"ts_ms"`
		Micros    int64   `json:"ts_us"`
		Snapshot  string  `json:"snapshot"`
		Database  string  `json:"db"`
		Schema    *string `json:"schema"`
		Table     string  `json:"table"`
		LSN       uint64  `json:"lsn"`
		Row       int64   `json:"row"`
	}
	snapshot := "false"
	if record.Op == change.Chunk {
		snapshot = "incremental"
	}
	lsn, err := commitOf(at)
	if err != nil {
		return nil, err
	}
	s := source{"1", "postgresql", r.cfg.Source, record.Time, record.Time * 1000, snapshot, r.database, nil, "", uint64(lsn), at.Row}
	if record.Table != "" {
		schema, table := splitTable(record.Table)
		s.Schema, s.Table = &schema, table
	}
	transaction := "null"
	if at.GTID != "" {
		transaction = `{"id":"` + at.GTID + `","total_order":0,"data_collection_order":0`
		if anchor != "" {
			transaction += `,"anchor":"` + anchor + `"`
		}
		transaction += "}"
	}
	block, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("%s record: %w", record.Op, err)
	}
	return fmt.Appendf(nil, `{"before":null,"after":null,"source":%s,"op":"m","ts_ms":%d,"ts_us":%d,"transaction":%s,"message":%s}`,
		block, record.Time, record.Time*1000, transaction, payload), nil
}

// stateEvery is how many records a new owner must read at most to find the state.
const stateEvery = 20000

// beat writes a heartbeat with the state when enough was recorded or an hour is over, so that
// the tail of the log stays short. inside tells that a transaction goes on behind it.
func (r *reader) beat(inside bool) error {
	if r.sinceState < stateEvery && time.Since(r.stateAt) < time.Hour {
		return nil
	}
	return r.tellState(!inside)
}

// tellState writes a heartbeat with the state.
func (r *reader) tellState(last bool) error {
	state, err := r.state.encode()
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	record := change.Record{Op: change.Heartbeat, Time: time.Now().UnixMilli(), Last: last}
	err = r.own(record, r.state.at, r.state.Anchor, change.HeartbeatMessage{Kind: change.Heartbeat, State: state})
	r.sinceState, r.stateAt = 0, time.Now()
	return err
}
