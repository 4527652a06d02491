package mysql

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/spola-cdc/spola/internal/change"
)

// A snapshot is read in chunks beside the stream (Netflix's DBLog): a low watermark is written
// into the marker table, then the chunk is read, then a high watermark. What the stream names
// between the two is newer or the same; the other rows of the chunk are as of the high one.

// chunkTask is a chunk to be read, given to the reading goroutine by the one of the stream.
type chunkTask struct {
	token string // by which the stream knows the watermarks of this task
	run   int64
	chunk int64
	table *table
	above []json.RawMessage // read rows whose key is above this, nil: from the first on
	to    []json.RawMessage // and up to this, nil: to the last

	mu    sync.Mutex
	found *chunk
}

// chunk is what was read.
type chunk struct {
	shape *change.Table
	rows  []chunkRow
	last  []json.RawMessage // key of the last row read; nil if the end was reached
	taken time.Duration
	large bool // it ended because of its bytes
}

type chunkRow struct {
	key    []byte // the record's
	object []byte
	stub   string // what is to stand behind the envelope of a row that can't be shown
}

func (t *chunkTask) put(c *chunk) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.found = c
}

func (t *chunkTask) take() *chunk {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.found
}

// window is open between a chunk's low and high watermark.
type window struct {
	open  bool
	task  *chunkTask
	table *table
	keys  map[string]struct{} // of rows that the stream named
	dirty bool                // the table was altered meanwhile
}

func (w *window) begin(t *chunkTask) {
	*w = window{}
	if t != nil {
		*w = window{open: true, task: t, table: t.table, keys: map[string]struct{}{}}
	}
}

// snapshots hands tasks to the goroutine that reads chunks. Its methods are called by the
// stream's goroutine.
type snapshots struct {
	tasks   chan *chunkTask // holds one
	current *chunkTask      // given and not ended
}

func newSnapshots() *snapshots { return &snapshots{tasks: make(chan *chunkTask, 1)} }

// next gives out the next chunk, if there is one and none is being read.
func (s *snapshots) next(state *State, tables map[string]*table) {
	snap := &state.Snapshot
	if s.current != nil || len(snap.Queue) == 0 {
		return
	}
	first := snap.Queue[0]
	above := snap.Above
	if above == nil {
		above = first.From
	}
	s.current = &chunkTask{
		token: rand.Text(), run: snap.Run, chunk: snap.Chunk + 1,
		table: tables[first.Table], above: above, to: first.To,
	}
	select {
	case <-s.tasks: // one that was given up
	default:
	}
	s.tasks <- s.current
}

// waiting returns the task whose watermark this is, nil if it is somebody else's or an old one.
func (s *snapshots) waiting(m *markerRow) *chunkTask {
	if s.current == nil || m.Note == nil || *m.Note != s.current.token {
		return nil
	}
	return s.current
}

// again gives up the chunk that is being read: its window was torn.
func (s *snapshots) again(w *window) {
	s.current = nil
	w.begin(nil)
}

// changed makes a chunk of an altered table be read again.
func (s *snapshots) changed(w *window, t *table) {
	if w.open && w.table == t {
		w.dirty = true
	}
}

// endChunk writes a chunk's rows behind the high watermark, and the record that ends it.
func (r *reader) endChunk(m *markerRow) error {
	task := r.snapshots.waiting(m)
	if task == nil {
		return nil
	}
	w := r.window
	r.window.begin(nil)
	r.snapshots.current = nil
	found := task.take()
	snap := &r.state.Snapshot
	stale := len(snap.Queue) == 0 || snap.Queue[0].Table != task.table.capture.Name || snap.Run != task.run || snap.Chunk+1 != task.chunk
	if w.task != task || w.dirty || stale || found == nil {
		return nil
	}
	if r.state.Tables[found.shape.Name].Hash != hashShape(found.shape) {
		begun := snap.Above != nil
		if err := r.announceAt(task.table, found.shape, r.state.at, true); err != nil {
			return err
		}
		if begun {
			return nil // the table begins again in its new shape
		}
	}
	rows, err := r.writeChunkRows(task, &w, found)
	if err != nil {
		return err
	}
	message := change.ChunkMessage{
		Kind: change.Chunk, Run: task.run, Chunk: task.chunk, Table: task.table.capture.Name,
		From: task.above, To: found.last, Rows: rows, LastOfTable: found.last == nil,
	}
	if message.LastOfTable {
		message.To = task.to
		message.LastOfRun = len(snap.Queue) == 1
	}
	record := change.Record{
		Op: change.Chunk, Table: message.Table, Schema: r.state.Tables[message.Table].Version, Last: true, Time: time.Now().UnixMilli(),
	}
	if err := r.own(record, r.state.at, r.state.Anchor, message); err != nil {
		return err
	}
	r.state.foldChunk(&message)
	if message.LastOfTable {
		r.log.Info().Str("table", message.Table).Int64("run", task.run).Bool("last", message.LastOfRun).Msg("snapshot of table done")
	}
	return nil
}

func (r *reader) writeChunkRows(task *chunkTask, w *window, found *chunk) (int64, error) {
	var item int64
	var last *pendingRecord
	now := time.Now().UnixMilli()
	for i := range found.rows {
		row := &found.rows[i]
		if _, named := w.keys[string(row.key)]; named {
			continue
		}
		item++
		value, stub := r.chunkValue(task, row, item, now), row.stub
		if size := len(value) + len(row.key) + len(r.tx.origin) + recordOverhead; size > r.out.log.MaxRecord() && stub == "" {
			if err := row.cripple(task.table, fmt.Sprintf("the row's record has %d bytes, the log takes %d", size, r.out.log.MaxRecord())); err != nil {
				return 0, err
			}
			value = r.chunkValue(task, row, item, now)
		}
		record := change.Record{Op: change.Read, Time: now, Table: task.table.capture.Name, Schema: task.table.shape.Version}
		origin := change.Origin{Kind: change.Read, Run: task.run, Chunk: task.chunk, Item: item, Tx: r.state.at}.String()
		r.out.add(record, row.key, value, origin)
		last = r.out.last()
	}
	if last != nil {
		last.record.Last = true
	}
	r.sinceState += int(item)
	return item, nil
}

func (r *reader) chunkValue(task *chunkTask, row *chunkRow, item, now int64) []byte {
	b := append(make([]byte, 0, len(row.object)+400), `{"before":null,"after":`...)
	b = append(append(b, row.object...), `,"source":{"version":"1","connector":"mysql","name":"`...)
	b = append(append(b, r.cfg.Source...), `","ts_ms":`...)
	b = strconv.AppendInt(b, now, 10)
	b = strconv.AppendInt(append(b, `,"ts_us":`...), now*1000, 10)
	b = appendQuoted(append(b, `,"snapshot":"incremental","db":`...), []byte(r.database))
	b = appendQuoted(append(b, `,"table":`...), []byte(task.table.capture.Name))
	b = strconv.AppendUint(append(b, `,"server_id":`...), uint64(r.tx.serverID), 10)
	b = append(append(b, `,"gtid":null,"file":"`...), r.file...)
	b = strconv.AppendInt(append(b, `","pos":0,"row":`...), item, 10)
	b = strconv.AppendInt(append(b, `},"op":"r","ts_ms":`...), now, 10)
	b = strconv.AppendInt(append(b, `,"ts_us":`...), now*1000, 10)
	b = append(append(b, `,"transaction":null`...), row.stub...)
	return append(b, '}')
}

// cripple leaves of a row what a stub keeps.
func (row *chunkRow) cripple(t *table, why string) error {
	out := []byte{'{'}
	err := change.Fields(row.object, func(name, value []byte) error {
		if text := string(name); !contains(t.capture.Key, text) && text != t.capture.Order {
			return nil
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), name...), `":`...)
		out = append(out, value...)
		return nil
	})
	if err != nil {
		return err
	}
	stub, err := json.Marshal(stubMessage{len(row.object), why})
	if err != nil {
		return fmt.Errorf("stub: %w", err)
	}
	row.object, row.stub = append(out, '}'), `,"stub":`+string(stub)
	return nil
}

func contains(names []string, name string) bool {
	for _, one := range names {
		if one == name {
			return true
		}
	}
	return false
}

// chunker reads chunks on a connection of its own.
type chunker struct {
	db    *sql.DB
	rows  int // of the next chunk; adapts
	bound int // rows of a chunk at most
}

// Bounds of a chunk. A chunk's SELECT holds no lock, but its rows are in memory until the high
// watermark comes, and the rows that the stream names meanwhile wait behind none of it.
const (
	defaultChunkRows = 2000
	maxChunkRows     = 20000
	minChunkRows     = 100
	maxChunkBytes    = 4 << 20
	slowChunk        = 500 * time.Millisecond
	fastChunk        = 100 * time.Millisecond
)

// run reads the chunks that it is given until the context ends.
func (c *chunker) run(ctx context.Context, tasks <-chan *chunkTask) error {
	for {
		select {
		case task := <-tasks:
			again := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0), backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second))
			err := backoff.Retry(func() error { return c.attempt(ctx, task) }, backoff.WithContext(again, ctx))
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// attempt reads a chunk between its watermarks. An attempt that fails is repeated with a new
// low watermark, which opens the window anew.
func (c *chunker) attempt(ctx context.Context, task *chunkTask) error {
	begun := time.Now()
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return c.judge(ctx, task, err)
	}
	defer conn.Close()
	// A SELECT by itself is consistent unless the server's default lets it read what is not committed.
	if _, err := conn.ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return c.judge(ctx, task, err)
	}
	if err := watermark(ctx, conn, lowRow, task); err != nil {
		return c.judge(ctx, task, err)
	}
	found, err := c.read(ctx, conn, task)
	if err != nil {
		return c.judge(ctx, task, err)
	}
	found.taken = time.Since(begun)
	c.adapt(found)
	task.put(found)
	if err := watermark(ctx, conn, highRow, task); err != nil {
		return c.judge(ctx, task, err)
	}
	return nil
}

// judge tells errors that go away from those that don't.
func (c *chunker) judge(ctx context.Context, task *chunkTask, err error) error {
	var stop *StopError
	if ctx.Err() != nil || errors.As(err, &stop) {
		return backoff.Permanent(err)
	}
	if isRefused(err) {
		return backoff.Permanent(&StopError{Kind: ErrPreflight, Table: task.table.capture.Name, What: err.Error(), Mend: "run `cdc preflight`, which writes the GRANT out"})
	}
	return fmt.Errorf("snapshot of %s, chunk %d: %w", task.table.capture.Name, task.chunk, err)
}

func watermark(ctx context.Context, conn *sql.Conn, name string, task *chunkTask) error {
	_, err := conn.ExecContext(ctx, "UPDATE spola_marker SET generation = ?, number = ?, applied = applied + 1, note = ? WHERE name = ?",
		task.run, task.chunk, task.token, name)
	if err != nil {
		return fmt.Errorf("write watermark %s: %w", name, err)
	}
	return nil
}

// adapt makes the next chunk larger or smaller.
func (c *chunker) adapt(found *chunk) {
	switch {
	case found.taken > slowChunk || found.large:
		c.rows = max(c.rows/2, minChunkRows)
	case found.taken < fastChunk:
		c.rows = min(c.rows*2, c.bound)
	}
}

// read selects a chunk.
func (c *chunker) read(ctx context.Context, conn *sql.Conn, task *chunkTask) (*chunk, error) {
	shape, err := readShape(ctx, conn, &task.table.capture)
	if err != nil {
		return nil, err
	}
	query, args, err := chunkQuery(shape, task, c.rows)
	if err != nil {
		return nil, err
	}
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("select: %w", err)
	}
	defer rows.Close()
	reading := newChunkReading(shape, task.table)
	for rows.Next() {
		if err := rows.Scan(reading.targets...); err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		if err := reading.add(); err != nil {
			return nil, err
		}
		if reading.bytes >= maxChunkBytes {
			break
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("select: %w", err)
	}
	found := &chunk{shape: shape, rows: reading.rows, large: reading.bytes >= maxChunkBytes}
	if reading.read == c.rows || found.large {
		found.last = reading.key
	}
	return found, nil
}

// chunkQuery is the SELECT of a chunk: a range of the primary key, in its order.
func chunkQuery(shape *change.Table, task *chunkTask, limit int) (string, []any, error) {
	var names []string
	for _, c := range shape.Columns {
		names = append(names, selected(c))
	}
	var key []string
	for _, name := range shape.Key {
		key = append(key, quoteName(name))
	}
	var where []string
	var args []any
	for _, bound := range []struct {
		values []json.RawMessage
		strict string
		equal  string
	}{{task.above, ">", ">"}, {task.to, "<", "<="}} {
		if bound.values == nil {
			continue
		}
		text, values, err := keyCondition(shape, bound.values, bound.strict, bound.equal)
		if err != nil {
			return "", nil, err
		}
		where, args = append(where, text), append(args, values...)
	}
	query := "SELECT " + strings.Join(names, ", ") + " FROM " + quoteName(shape.Name)
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return query + " ORDER BY " + strings.Join(key, ", ") + " LIMIT " + strconv.Itoa(limit), args, nil
}

// keyCondition compares the key with values: (a > ? OR (a = ? AND (b > ?))), which the servers
// read by range where they would not read (a, b) > (?, ?).
func keyCondition(shape *change.Table, values []json.RawMessage, strict, equal string) (string, []any, error) {
	if len(values) != len(shape.Key) {
		return "", nil, fmt.Errorf("key of %s has %d columns, %d values are given", shape.Name, len(shape.Key), len(values))
	}
	var text string
	var args []any
	for i := len(values) - 1; i >= 0; i-- {
		column, ok := columnOf(shape, shape.Key[i])
		if !ok {
			return "", nil, fmt.Errorf("key column %s of %s is not there", shape.Key[i], shape.Name)
		}
		value, err := keyValue(column, values[i])
		if err != nil {
			return "", nil, fmt.Errorf("key of %s: %w", shape.Name, err)
		}
		name := quoteName(column.Name)
		if i == len(values)-1 {
			text, args = name+" "+equal+" ?", []any{value}
			continue
		}
		text = "(" + name + " " + strict + " ? OR (" + name + " = ? AND " + text + "))"
		args = append([]any{value, value}, args...)
	}
	return text, args, nil
}

func columnOf(shape *change.Table, name string) (change.Column, bool) {
	for _, c := range shape.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return change.Column{}, false
}

// keyValue turns a key's value as rows carry it into what SQL compares with.
func keyValue(c change.Column, raw json.RawMessage) (any, error) {
	text := string(raw)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, fmt.Errorf("value %s: %w", raw, err)
		}
	}
	switch c.Type {
	case change.Binary, change.VarBinary, change.Blob:
		return base64.StdEncoding.DecodeString(text)
	case change.Bit, change.BigInt:
		if c.Unsigned || c.Type == change.Bit {
			return strconv.ParseUint(text, 10, 64)
		}
		return strconv.ParseInt(text, 10, 64)
	case change.TinyInt, change.SmallInt, change.MediumInt, change.Int, change.Year:
		return strconv.ParseInt(text, 10, 64)
	case change.DateTime, change.Timestamp:
		return strings.TrimSuffix(strings.Replace(text, "T", " ", 1), "Z"), nil
	case change.Float, change.Double:
		return strconv.ParseFloat(text, 64)
	}
	return text, nil
}

// chunkReading turns selected rows into chunk rows.
type chunkReading struct {
	shape   *change.Table
	table   *table
	targets []any
	values  []sql.RawBytes
	rows    []chunkRow
	bytes   int
	read    int
	key     []json.RawMessage // of the last row read
}

func newChunkReading(shape *change.Table, t *table) *chunkReading {
	c := &chunkReading{shape: shape, table: t, values: make([]sql.RawBytes, len(shape.Columns))}
	for i := range c.values {
		c.targets = append(c.targets, &c.values[i])
	}
	return c
}

func (c *chunkReading) add() error {
	c.read++
	object := []byte{'{'}
	members := make([]extent, len(c.values))
	values := make([]int, len(c.values))
	var flaw error
	for i, column := range c.shape.Columns {
		if i > 0 {
			object = append(object, ',')
		}
		members[i].from = len(object)
		object = append(appendQuoted(object, []byte(column.Name)), ':')
		values[i] = len(object)
		var err error
		if object, err = appendSelected(object, column, c.values[i]); err != nil {
			object = append(object[:values[i]], "null"...)
			flaw = fmt.Errorf("column %s: %w", column.Name, err)
		}
		members[i].to = len(object)
	}
	object = append(object, '}')
	key := append(appendQuoted([]byte(`{"table":`), []byte(c.shape.Name)), `,"key":{`...)
	c.key = nil
	for n, name := range c.shape.Key {
		for i, column := range c.shape.Columns {
			if column.Name != name {
				continue
			}
			if n > 0 {
				key = append(key, ',')
			}
			key = append(key, object[members[i].from:members[i].to]...)
			c.key = append(c.key, json.RawMessage(append([]byte(nil), object[values[i]:members[i].to]...)))
		}
	}
	if c.table.capture.Only != nil {
		for i, column := range c.shape.Columns {
			if column.Name == c.table.capture.Only.Column && !c.table.allowed[string(object[values[i]:members[i].to])] {
				return nil
			}
		}
	}
	row := chunkRow{key: append(key, "}}"...), object: object}
	c.bytes += len(object) + len(row.key)
	if flaw != nil {
		if err := row.cripple(c.table, flaw.Error()); err != nil {
			return err
		}
	}
	c.rows = append(c.rows, row)
	return nil
}
