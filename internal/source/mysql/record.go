package mysql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/spola-cdc/spola/internal/change"
)

// readRows turns a row event into records, or passes over its rows and counts them.
func (r *reader) readRows(h *replication.EventHeader, body []byte) error {
	ev, err := parseRows(h.EventType, body, func(id uint64) *layout { return r.layouts[id] })
	if err != nil {
		return r.stop(ErrEvent, "", fmt.Sprintf("at %s: %v", r.where(h), err), "this version of cdc can't read this server's binary log")
	}
	t, l := &r.tx, ev.layout
	t.add([]byte{byte(ev.op)}, []byte(l.schema), []byte(l.name), ev.rest)
	if !t.rows {
		t.rows = true
		t.echo = l.table != nil && l.name == Marker
	}
	ready := false
	for len(ev.rest) > 0 {
		if l.table == nil || t.row+images(ev.op) <= t.skip {
			err = r.skipRow(&ev)
		} else {
			if !ready {
				if err := r.prepare(h, l); err != nil {
					return err
				}
				ready = true
			}
			err = r.readRow(&ev)
		}
		if err != nil {
			return r.badRow(l, h, err)
		}
	}
	return nil
}

// prepare is for the first row of an event that leaves the shop.
func (r *reader) prepare(h *replication.EventHeader, l *layout) error {
	if err := r.readable(l, h); err != nil {
		return err
	}
	r.writeSource(h, l)
	if !r.tx.echo {
		r.activity.seen()
	}
	return nil
}

// images is how many row images a row of an event has.
func images(op rowOp) int64 {
	if op == rowUpdate {
		return 2
	}
	return 1
}

// count counts a row, whether it leaves the shop or not.
func (r *reader) count(ev *rowsEvent) {
	r.tx.row += images(ev.op)
	if t := ev.layout.table; t != nil {
		r.tx.collections[t] += images(ev.op)
	}
}

func (r *reader) skipRow(ev *rowsEvent) error {
	r.count(ev)
	if err := ev.skipImage(false); err != nil || ev.op != rowUpdate {
		return err
	}
	return ev.skipImage(true)
}

// readable stops for a captured table whose rows can't be read, and announces a shape that is new.
func (r *reader) readable(l *layout, h *replication.EventHeader) error {
	switch {
	case !l.named:
		return r.stop(ErrFormat, l.name, "the binary log has no column names at "+r.where(h), "SET GLOBAL binlog_row_metadata = FULL; "+beginAnew)
	case l.bad != nil:
		return r.stop(ErrShape, l.name, l.bad.Error(), "give the table the shape that the profile names, or mend the profile, and start again; if rows were written meanwhile: "+beginAnew)
	case r.tx.xa:
		return r.stop(ErrStatement, l.name, "rows were changed in an XA transaction, whose outcome the binary log tells later", "use no XA transactions in the shop; "+beginAnew)
	}
	if r.state.Tables[l.name].Hash != l.hash {
		return r.announce(l.table, l.shape)
	}
	if l.table.shape == nil {
		l.table.shape = l.shape
	}
	return nil
}

// badRow explains an error of decoding.
func (r *reader) badRow(l *layout, h *replication.EventHeader, err error) error {
	var stop *StopError
	switch {
	case errors.As(err, &stop):
		return err
	case errors.Is(err, errMissing):
		return r.stop(ErrFormat, l.name, err.Error()+", at "+r.where(h), "SET GLOBAL binlog_row_image = FULL, also in the sessions that are open; "+beginAnew)
	case errors.Is(err, errPartial):
		return r.stop(ErrFormat, l.name, err.Error()+", at "+r.where(h), "SET PERSIST binlog_row_value_options = '', also in the sessions that are open; "+beginAnew)
	}
	return r.stop(ErrEvent, l.name, fmt.Sprintf("row %d of %s: %v", r.tx.row+1, r.where(h), err), "this version of cdc can't read this server's binary log")
}

// readRow turns the next row into a record, two if an update changed its key.
func (r *reader) readRow(ev *rowsEvent) error {
	if r.out.held {
		r.closeRow(false)
		if err := r.beat(true); err != nil {
			return err
		}
	}
	o, l := &r.out, ev.layout
	start := len(o.bytes)
	o.bytes = append(o.bytes, `{"before":`...)
	var err error
	before := extent{len(o.bytes), 0}
	if ev.op == rowInsert {
		o.bytes = append(o.bytes, "null"...)
	} else if o.bytes, err = r.before.appendImage(o.bytes, ev, nil); err != nil {
		o.bytes = o.bytes[:start]
		return err
	}
	before.to = len(o.bytes)
	o.bytes = append(o.bytes, `,"after":`...)
	after := extent{len(o.bytes), 0}
	var first *decoder
	if ev.op == rowUpdate {
		first = &r.before
	}
	if ev.op == rowDelete {
		o.bytes = append(o.bytes, "null"...)
	} else if o.bytes, err = r.after.appendImage(o.bytes, ev, first); err != nil {
		o.bytes = o.bytes[:start]
		return err
	}
	after.to = len(o.bytes)
	r.count(ev)
	image := &r.after
	if ev.op == rowDelete {
		image = &r.before
	}
	if !l.leaves(o.bytes, image) {
		o.bytes = o.bytes[:start]
		return nil
	}
	if ev.op == rowUpdate && !r.sameKey(l) {
		return r.moveRow(l, start, before, after)
	}
	op := [...]change.Op{rowInsert: change.Create, rowUpdate: change.Update, rowDelete: change.Delete}[ev.op]
	return r.hold(l, op, image, start, r.tx.row)
}

// leaves tells whether the row leaves the shop whose image was decoded last.
func (l *layout) leaves(buf []byte, image *decoder) bool {
	if l.only < 0 && l.table.from == 0 {
		return true
	}
	var only, order []byte
	if l.only >= 0 {
		only = image.value(buf, l.only)
	}
	if len(l.order) > 0 {
		order = image.value(buf, l.order[0])
	}
	return l.table.leaves(only, order)
}

// value is a column's value in the image decoded last.
func (d *decoder) value(buf []byte, column int) []byte {
	s := d.spans[column]
	return buf[s.value:s.to]
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

// shift moves what spans refer to.
func (d *decoder) shift(by int) {
	for i := range d.spans {
		d.spans[i].from += by
		d.spans[i].value += by
		d.spans[i].to += by
	}
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
	if r.window.open && r.window.table == l.table {
		r.window.keys[string(key)] = struct{}{}
	}
	if l.name == Marker && op != change.Delete {
		if err := r.markerRow(l, image); err != nil {
			return err
		}
	}
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

// cripple puts a stub in the place of rows that can't stand in the log: the key and the column
// that names the order, so that the order can be parked.
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
		if kept[i] {
			continue
		}
		kept[i] = true
		if len(row) > 1 {
			row = append(row, ',')
		}
		s := image.spans[i]
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

// writeSource builds the parts of the envelope that an event's rows have in common.
func (r *reader) writeSource(h *replication.EventHeader, l *layout) {
	t := &r.tx
	b := append(r.source[:0], `,"source":{"version":"1","connector":"mysql","name":"`...)
	b = append(append(b, r.cfg.Source...), `","ts_ms":`...)
	b = strconv.AppendInt(b, t.micros/1000, 10)
	b = strconv.AppendInt(append(b, `,"ts_us":`...), t.micros, 10)
	b = append(append(append(b, `,"snapshot":"false","db":`...), l.names...), `,"server_id":`...)
	b = strconv.AppendUint(b, uint64(t.serverID), 10)
	b = append(append(append(b, `,"gtid":"`...), t.gtid...), `","file":"`...)
	b = append(append(b, r.file...), `","pos":`...)
	b = strconv.AppendUint(b, uint64(h.LogPos), 10)
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
		row := r.tx.row
		at = r.tx.position(at.Incarnation, row, false)
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
	if at.GTID == r.tx.gtid {
		anchor = ""
		if at.End {
			anchor = r.tx.anchor()
		}
	}
	if err := r.own(record, at, anchor, change.SchemaMessage{Kind: change.Schema, Table: announced}); err != nil {
		return err
	}
	r.state.at, r.state.Time, r.state.Anchor = at, when, anchor
	r.state.announce(&announced)
	r.snapshots.changed(&r.window, t)
	return nil
}

// announceAltered writes the known shape of altered tables anew: their content may have changed
// with it, so a snapshot of them is due. The shape itself comes with the next row or chunk.
func (r *reader) announceAltered(names []string, end bool) error {
	for i, name := range names {
		t := r.tables[name]
		r.tx.row++
		if t == nil || t.shape == nil || r.tx.row <= r.tx.skip {
			if t != nil {
				r.snapshots.changed(&r.window, t)
			}
			continue
		}
		r.closeRow(false)
		at := r.tx.position(r.state.at.Incarnation, r.tx.row, end && i == len(names)-1)
		if err := r.announceAt(t, t.shape, at, end || r.tx.records == 0); err != nil {
			return err
		}
	}
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
	r.out.add(record, change.OwnKey(record.Op), r.ownValue(&record, at, anchor, payload), origin)
	r.sinceState++
	return nil
}

func (r *reader) ownValue(record *change.Record, at change.Position, anchor string, payload []byte) []byte {
	type source struct {
		Version   string  `json:"version"`
		Connector string  `json:"connector"`
		Name      string  `json:"name"`
		Millis    int64   `json:"ts_ms"`
		Micros    int64   `json:"ts_us"`
		Snapshot  string  `json:"snapshot"`
		Database  string  `json:"db"`
		Table     string  `json:"table"`
		ServerID  uint32  `json:"server_id"`
		GTID      *string `json:"gtid"`
		File      string  `json:"file"`
		Pos       uint32  `json:"pos"`
		Row       int64   `json:"row"`
	}
	snapshot := "false"
	if record.Op == change.Chunk {
		snapshot = "incremental"
	}
	s := source{"1", "mysql", r.cfg.Source, record.Time, record.Time * 1000, snapshot, r.database, record.Table, r.tx.serverID, nil, r.file, 0, at.Row}
	transaction := "null"
	if at.GTID != "" {
		s.GTID = &at.GTID
		transaction = `{"id":"` + at.GTID + `","total_order":0,"data_collection_order":0`
		if anchor != "" {
			transaction += `,"anchor":"` + anchor + `"`
		}
		transaction += "}"
	}
	block, err := json.Marshal(s)
	if err != nil {
		block = []byte("{}") // strings and numbers only: it can't be
	}
	return fmt.Appendf(nil, `{"before":null,"after":null,"source":%s,"op":"m","ts_ms":%d,"ts_us":%d,"transaction":%s,"message":%s}`,
		block, record.Time, record.Time*1000, transaction, payload)
}

// stateEvery is how many records a new owner must read at most to find the state.
const stateEvery = 20000

// beat writes a heartbeat with the state when enough was recorded or an hour is over, so that
// the tail of the log stays short. inside tells that a transaction goes on behind it.
func (r *reader) beat(inside bool) error {
	if r.sinceState < stateEvery && time.Since(r.stateAt) < time.Hour {
		return nil
	}
	state, err := r.state.encode()
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	record := change.Record{Op: change.Heartbeat, Time: time.Now().UnixMilli(), Last: !inside}
	err = r.own(record, r.state.at, r.state.Anchor, change.HeartbeatMessage{Kind: change.Heartbeat, State: state})
	r.sinceState, r.stateAt = 0, time.Now()
	return err
}
