package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
)

// chunk is the end of a snapshot chunk. A row in its range that was written before the chunk's
// low watermark, and by nothing since, is a ghost: it is in the mirror, but no longer in the
// shop, and the binlog did not say so (a cascade, sql_log_bin=0).
type chunk struct {
	t           *table
	run         int64
	low         int64    // number of the record with the chunk's low watermark
	from, to    []string // key values in PostgreSQL's text form; nil: unbounded
	ordersFrom  int64    // rows of orders below it were not read; 0: all were
	lastOfTable bool

	// If all its rows stand in the segment, and are to be compared:
	compared *folded            // where they stand; else nil
	rows     []int              // which entries they are
	owners   map[int64]struct{} // whom they belong to
}

func (p *Part) addChunk(r *change.Record) error {
	var message change.ChunkMessage
	if err := change.Message(r.Value, &message); err != nil {
		return err
	}
	t := p.m.tables[message.Table]
	if t == nil {
		return fmt.Errorf("chunk of table %s, which has no shape yet in this log", message.Table)
	}
	if low := p.m.low; low.run != message.Run || low.chunk != message.Chunk {
		return fmt.Errorf("chunk %d of run %d ends, but the low watermark is that of chunk %d of run %d",
			message.Chunk, message.Run, low.chunk, low.run)
	}
	c := chunk{t: t, run: message.Run, low: p.m.low.at, ordersFrom: message.OrdersFrom, lastOfTable: message.LastOfTable}
	var err error
	if c.from, err = t.keyValues(message.From); err != nil {
		return err
	}
	if c.to, err = t.keyValues(message.To); err != nil {
		return err
	}
	s := p.segment()
	c.hold(s.folded(t), message.Rows)
	s.chunks = append(s.chunks, c)
	if message.LastOfRun {
		p.runDone = message.Run
	}
	return nil
}

// keyValues brings a chunk's bound into the form of PostgreSQL's texts.
func (t *table) keyValues(raw []json.RawMessage) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	if len(raw) != len(t.key) {
		return nil, fmt.Errorf("bound of a chunk has %d values, the key of %s has %d columns", len(raw), t.shape.Name, len(t.key))
	}
	var values []string
	for i, at := range t.key {
		field, _, err := t.columns[at].put(nil, raw[i])
		if err != nil {
			return nil, fmt.Errorf("bound of a chunk, column %s: %w", t.columns[at].name, err)
		}
		values = append(values, string(unescape(field)))
	}
	return values, nil
}

// sweep deletes the ghosts of a chunk, and returns the orders or accounts they belonged to.
//
// Where the key sorts differently in the shop (texts), the range of one chunk can't be told in
// PostgreSQL. There the ghosts of the whole table go with its last chunk: whatever the run, from
// the table's beginning to its end, has not named since its first low watermark.
func (m *Mirror) sweep(ctx context.Context, tx pgx.Tx, c *chunk) (owners []int64, swept int64, err error) {
	if !c.t.ranged && c.low == 0 {
		return nil, 0, nil
	}
	query := "delete from " + c.t.sql.name + " m where " + c.older()
	if c.compared != nil {
		query += " and not exists (" + c.t.sql.staged + ")"
	}
	if c.t.owner < 0 {
		tag, err := tx.Exec(ctx, query)
		if err != nil {
			return nil, 0, m.failed("delete ghosts of "+c.t.shape.Name, err)
		}
		return nil, tag.RowsAffected(), nil
	}
	rows, err := tx.Query(ctx, query+" returning coalesce("+pgx.Identifier{c.t.columns[c.t.owner].name}.Sanitize()+", 0)::bigint")
	if err != nil {
		return nil, 0, m.failed("delete ghosts of "+c.t.shape.Name, err)
	}
	owners, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, 0, m.failed("delete ghosts of "+c.t.shape.Name, err)
	}
	swept = int64(len(owners))
	slices.Sort(owners)
	return slices.Compact(owners), swept, nil
}

// older is the condition that tells the rows of the chunk's range that were there before its low watermark and that
// nothing has written since.
func (c *chunk) older() string {
	conditions := []string{"spola_at < " + strconv.FormatInt(c.low, 10)}
	if c.t.ranged {
		if c.from != nil {
			conditions = append(conditions, c.t.bounded(">", c.from))
		}
		if c.to != nil {
			conditions = append(conditions, c.t.bounded("<=", c.to))
		}
	}
	if c.ordersFrom > 0 && c.t.owner >= 0 {
		conditions = append(conditions, pgx.Identifier{c.t.columns[c.t.owner].name}.Sanitize()+" >= "+strconv.FormatInt(c.ordersFrom, 10))
	}
	return strings.Join(conditions, " and ")
}

// bounded compares the key with values, which are numbers and dates: where the key has a range it is made of those.
func (t *table) bounded(operator string, values []string) string {
	var literals []string
	for i, at := range t.key {
		literals = append(literals, literal(values[i])+"::"+t.columns[at].pgType)
	}
	return "(" + t.keyList() + ") " + operator + " (" + strings.Join(literals, ", ") + ")"
}

// noteChunk keeps where a run began a table, and that it ended it. For a key that has no order
// it turns the chunk's low watermark into that of the whole table: 0 unless the table is through.
func (m *Mirror) noteChunk(ctx context.Context, tx pgx.Tx, c *chunk) error {
	if c.from == nil {
		if _, err := tx.Exec(ctx, "update spola.mirror_table set first_run = $3, first_low = $4 where source = $1 and name = $2",
			m.source, c.t.shape.Name, c.run, c.low); err != nil {
			return m.failed("note the beginning of "+c.t.shape.Name, err)
		}
	}
	var whole int64
	if c.lastOfTable {
		err := tx.QueryRow(ctx, endTable, m.source, c.t.shape.Name, c.run, c.to == nil).Scan(&whole)
		if err != nil {
			return m.failed("note the end of "+c.t.shape.Name, err)
		}
	}
	if !c.t.ranged {
		c.low = whole
	}
	return nil
}

// endTable returns the first low watermark of the run in the table, if the run has read it from
// its beginning to its end, else 0.
const endTable = `update spola.mirror_table set complete_run = $3
 where source = $1 and name = $2
returning case when first_run = $3 and $4 then first_low else 0 end`
