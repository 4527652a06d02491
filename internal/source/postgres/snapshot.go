package postgres

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/spola-cdc/spola/internal/change"
)

// A snapshot is read in chunks beside the stream (Netflix's DBLog): a low watermark is written
// as a message, then the chunk is read, then a high watermark. What the stream names between
// the two is newer or the same; the other rows of the chunk are as of the high one.
//
// PostgreSQL shows a transaction to others some time after its commit stands in the WAL: while a
// synchronous standby is waited for, that may be long. One that was committed below the low
// watermark and that the chunk's own view of the database (visible) did not have yet makes the
// chunk worthless: it is read again.

// chunkTask is a chunk to be read, given to the reading goroutine by the one of the stream.
type chunkTask struct {
	token string // by which the stream knows the watermarks of this task
	run   int64
	chunk int64
	table *table
	above []json.RawMessage // read rows whose key is above this, nil: from the first on
	to    []json.RawMessage // and up to this, nil: to the last
	pause time.Duration     // before it is read

	mu    sync.Mutex
	found *chunk
}

// chunk is what was read.
type chunk struct {
	shape *change.Table
	rows  []chunkRow
	last  []json.RawMessage // key of the last row read; nil if the end was reached
	seen  visible           // which transactions the chunk's rows are made of
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

// maxNamed bounds the keys of a window. A transaction may name any number of rows between two
// watermarks; the chunk is then read again behind it.
const maxNamed = 20000

// name notes that the stream names a row.
func (w *window) name(t *table, key []byte) {
	if !w.open || w.table != t || w.dirty {
		return
	}
	if len(w.keys) == maxNamed {
		w.dirty, w.keys = true, nil
		return
	}
	w.keys[string(key)] = struct{}{}
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
	pause   time.Duration   // before the next one is read
}

// lateChunk is how long a transaction that others can't see yet is left alone.
const lateChunk = 200 * time.Millisecond

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
		table: tables[first.Table], above: above, to: first.To, pause: s.pause,
	}
	s.pause = 0
	select {
	case <-s.tasks: // one that was given up
	default:
	}
	s.tasks <- s.current
}

// waiting returns the task whose watermark this is, nil if it is somebody else's or an old one.
func (s *snapshots) waiting(m *message) *chunkTask {
	if s.current == nil || m.Token != s.current.token {
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
func (r *reader) endChunk(m *message) error {
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
	late := r.recent.late(found.seen, r.windowAt)
	r.recent.forget(found.seen)
	if late {
		r.snapshots.pause = lateChunk
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
	if message.LastOfRun {
		r.log.Info().Int64("run", task.run).Msg("the snapshot is through")
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
	b = append(append(b, row.object...), `,"source":{"version":"1","connector":"postgresql","name":"`...)
	b = append(append(b, r.cfg.Source...), `","ts_ms":`...)
	b = strconv.AppendInt(b, now, 10)
	b = strconv.AppendInt(append(b, `,"ts_us":`...), now*1000, 10)
	b = appendQuoted(append(b, `,"snapshot":"incremental","db":`...), []byte(r.database))
	schema, table := splitTable(task.table.capture.Name)
	b = appendQuoted(append(b, `,"schema":`...), []byte(schema))
	b = appendQuoted(append(b, `,"table":`...), []byte(table))
	b = strconv.AppendInt(append(b, `,"row":`...), item, 10)
	b = strconv.AppendInt(append(b, `},"op":"r","ts_ms":`...), now, 10)
	b = strconv.AppendInt(append(b, `,"ts_us":`...), now*1000, 10)
	b = append(append(b, `,"transaction":null`...), row.stub...)
	return append(b, '}')
}

// cripple leaves of a row what a stub keeps.
func (row *chunkRow) cripple(t *table, why string) error {
	out := []byte{'{'}
	err := change.Fields(row.object, func(name, value []byte) error {
		if !contains(t.key, string(name)) && !contains(t.capture.Needed, string(name)) {
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
