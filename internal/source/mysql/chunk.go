package mysql

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/spola-cdc/spola/internal/change"
)

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

	// A calm snapshot is read no faster than an applier compares rows without being noticed, in chunks
	// that hold up an order by no more than some milliseconds.
	calmRows = 250
	calmRate = 5_000 // rows a second
)

// run reads the chunks that it is given until the context ends.
func (c *chunker) run(ctx context.Context, tasks <-chan *chunkTask) error {
	for {
		select {
		case task := <-tasks:
			again := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0), backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second))
			err := backoff.Retry(func() error { return c.attempt(ctx, task) }, backoff.WithContext(again, ctx))
			if err == nil && task.calm {
				err = c.rest(ctx, task)
			}
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rest waits until a calm snapshot may go on.
func (c *chunker) rest(ctx context.Context, task *chunkTask) error {
	due := time.Second*calmRows/calmRate - task.taken
	if due <= 0 {
		return nil
	}
	timer := time.NewTimer(due)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// limit is how many rows the task's chunk has at most.
func (c *chunker) limit(task *chunkTask) int {
	if task.calm {
		return min(c.rows, calmRows)
	}
	return c.rows
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
	task.taken = found.taken
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
	switch {
	case errors.As(err, &stop):
		return backoff.Permanent(err)
	case ctx.Err() != nil:
		return backoff.Permanent(ctx.Err()) // whatever the driver calls a connection that was cut for it
	}
	if isRefused(err) {
		return backoff.Permanent(refusal(task.table.capture.Name, err))
	}
	return fmt.Errorf("snapshot of %s, chunk %d: %w", task.table.capture.Name, task.chunk, err)
}

func watermark(ctx context.Context, conn *sql.Conn, name string, task *chunkTask) error {
	_, err := conn.ExecContext(ctx, `INSERT INTO spola_marker (name, generation, number, applied, note) VALUES (?, ?, ?, 1, ?)
		ON DUPLICATE KEY UPDATE generation = VALUES(generation), number = VALUES(number), applied = applied + 1, note = VALUES(note)`,
		name, task.run, task.chunk, task.token)
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
	limit := c.limit(task)
	query, args, err := chunkQuery(shape, task, limit)
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
	if reading.read == limit || found.large {
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
	if task.above == nil && task.table.from > 0 && shape.Key[0] == task.table.capture.Order {
		// Elsewhere rows that stay are read and passed over: a condition would make a chunk as long as it takes.
		where, args = append(where, key[0]+" >= ?"), append(args, task.table.from)
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
	var only, order []byte
	for i, column := range c.shape.Columns {
		value := object[values[i]:members[i].to]
		if o := c.table.capture.Only; o != nil && column.Name == o.Column {
			only = value
		}
		if column.Name == c.table.capture.Order {
			order = value
		}
	}
	if !c.table.leaves(only, order) {
		return nil
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
