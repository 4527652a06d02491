package postgres

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spola-cdc/spola/internal/change"
)

// chunker reads chunks on connections of its own.
type chunker struct {
	cfg   *Config
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
	envelopeBytes    = 400 // what a row's record has beside it, about
	slowChunk        = 500 * time.Millisecond
	fastChunk        = 100 * time.Millisecond
	chunkTime        = time.Minute // after which a chunk counts as lost
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
	select {
	case <-time.After(task.pause):
	case <-ctx.Done():
		return backoff.Permanent(ctx.Err())
	}
	bounded, cancel := context.WithTimeout(ctx, chunkTime)
	defer cancel()
	err := c.between(bounded, task)
	var stop *StopError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &stop):
		return backoff.Permanent(err)
	case ctx.Err() != nil:
		return backoff.Permanent(ctx.Err()) // whatever the driver calls a connection that was cut for it
	case isRefused(err):
		return backoff.Permanent(refusal(task.table.capture.Name, err))
	}
	return fmt.Errorf("snapshot of %s, chunk %d: %w", task.table.capture.Name, task.chunk, err)
}

func (c *chunker) between(ctx context.Context, task *chunkTask) error {
	begun := time.Now()
	conn, err := c.cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := emit(ctx, conn, message{Kind: lowMessage, Slot: c.cfg.Slot, Token: task.token}); err != nil {
		return err
	}
	found, err := c.read(ctx, conn, task)
	if err != nil {
		return err
	}
	found.taken = time.Since(begun)
	c.adapt(found)
	task.put(found)
	return emit(ctx, conn, message{Kind: highMessage, Slot: c.cfg.Slot, Token: task.token})
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

// read selects a chunk, in one view of the database with the table's shape.
func (c *chunker) read(ctx context.Context, conn *pgx.Conn, task *chunkTask) (*chunk, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing was written
	var view string
	if err := tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text").Scan(&view); err != nil {
		return nil, fmt.Errorf("view of the database: %w", err)
	}
	seen, err := parseVisible(view)
	if err != nil {
		return nil, err
	}
	known, err := readTypes(ctx, conn)
	if err != nil {
		return nil, err
	}
	stored, err := readTable(ctx, conn, c.cfg.Publication, task.table.capture.Name)
	if err != nil {
		return nil, err
	}
	shape, columns, err := stored.shape(task.table.capture.Name, known)
	if err != nil || stored.member == "" {
		return nil, fmt.Errorf("the table is not there, not published, or %w", err)
	}
	reading := &chunkReading{shape: shape, columns: columns, table: task.table}
	if err := c.selectRows(ctx, conn.PgConn(), task, reading); err != nil {
		return nil, err
	}
	found := &chunk{shape: shape, rows: reading.rows, seen: seen, large: reading.bytes >= maxChunkBytes}
	if reading.read == c.rows || found.large {
		found.last = reading.key
	}
	return found, nil
}

// selectRows reads rows as text: the form in which the stream has them.
func (c *chunker) selectRows(ctx context.Context, conn *pgconn.PgConn, task *chunkTask, reading *chunkReading) error {
	query, args, err := chunkQuery(reading.shape, task, c.rows)
	if err != nil {
		return err
	}
	rows := conn.ExecParams(ctx, query, args, nil, nil, nil)
	for rows.NextRow() {
		if reading.bytes >= maxChunkBytes {
			continue // the rest comes with the next chunk
		}
		if err := reading.add(rows.Values()); err != nil {
			_, _ = rows.Close() // the first error counts
			return err
		}
	}
	if _, err := rows.Close(); err != nil {
		return fmt.Errorf("select: %w", err)
	}
	return nil
}

// chunkQuery is the SELECT of a chunk: a range of the primary key, in its order.
func chunkQuery(shape *change.Table, task *chunkTask, limit int) (string, [][]byte, error) {
	var names, key []string
	for _, c := range shape.Columns {
		names = append(names, quoteName(c.Name))
	}
	for _, name := range shape.Key {
		key = append(key, quoteName(name))
	}
	var where []string
	var args [][]byte
	for _, bound := range []struct {
		values   []json.RawMessage
		operator string
	}{{task.above, ">"}, {task.to, "<="}} {
		if bound.values == nil {
			continue
		}
		values, err := keyValues(shape, bound.values)
		if err != nil {
			return "", nil, err
		}
		var places []string
		for i := range values {
			places = append(places, "$"+strconv.Itoa(len(args)+i+1))
		}
		args = append(args, values...)
		where = append(where, "("+strings.Join(key, ", ")+") "+bound.operator+" ("+strings.Join(places, ", ")+")")
	}
	query := "SELECT " + strings.Join(names, ", ") + " FROM ONLY " + quoteTable(shape.Name)
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return query + " ORDER BY " + strings.Join(key, ", ") + " LIMIT " + strconv.Itoa(limit), args, nil
}

// keyValues turns a key's values as rows carry them into the text of parameters.
func keyValues(shape *change.Table, values []json.RawMessage) ([][]byte, error) {
	if len(values) != len(shape.Key) {
		return nil, fmt.Errorf("key of %s has %d columns, %d values are given", shape.Name, len(shape.Key), len(values))
	}
	var out [][]byte
	for i, raw := range values {
		text := string(raw)
		if strings.HasPrefix(text, `"`) {
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, fmt.Errorf("key of %s: value %s: %w", shape.Name, raw, err)
			}
		}
		for _, c := range shape.Columns {
			if c.Name != shape.Key[i] || c.Type != change.Blob {
				continue
			}
			bytes, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return nil, fmt.Errorf("key of %s: value %s: %w", shape.Name, raw, err)
			}
			text = fmt.Sprintf(`\x%x`, bytes)
		}
		out = append(out, []byte(text))
	}
	return out, nil
}

// chunkReading turns selected rows into chunk rows.
type chunkReading struct {
	shape   *change.Table
	columns []column
	table   *table
	rows    []chunkRow
	bytes   int
	read    int
	key     []json.RawMessage // of the last row read
}

func (c *chunkReading) add(values [][]byte) error {
	c.read++
	object := []byte{'{'}
	spans := make([]span, len(values))
	var flaw error
	for i, value := range values {
		if i > 0 {
			object = append(object, ',')
		}
		spans[i].from = len(object)
		object = append(object, c.columns[i].member...)
		spans[i].value = len(object)
		if value == nil {
			object = append(object, "null"...)
		} else {
			var err error
			if object, err = c.columns[i].appendValue(object, value); err != nil {
				object = append(object[:spans[i].value], "null"...)
				flaw = fmt.Errorf("column %s: %w", c.columns[i].Name, err)
			}
		}
		spans[i].to = len(object)
	}
	object = append(object, '}')
	key := append(appendQuoted([]byte(`{"table":`), []byte(c.shape.Name)), `,"key":{`...)
	c.key = nil
	for n, name := range c.shape.Key {
		for i := range c.columns {
			if c.columns[i].Name != name {
				continue
			}
			if n > 0 {
				key = append(key, ',')
			}
			key = append(key, object[spans[i].from:spans[i].to]...)
			c.key = append(c.key, json.RawMessage(append([]byte(nil), object[spans[i].value:spans[i].to]...)))
		}
	}
	row := chunkRow{key: append(key, "}}"...), object: object}
	c.bytes += len(object) + len(row.key) + envelopeBytes
	if flaw != nil {
		if err := row.cripple(c.table, flaw.Error()); err != nil {
			return err
		}
	}
	c.rows = append(c.rows, row)
	return nil
}
