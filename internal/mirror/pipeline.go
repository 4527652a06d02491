package mirror

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// together is how many rows of a table one statement takes at most: half of a statement's cost is its
// own, whatever it holds.
const together = 4

// pipeline sends statements of a few rows each without waiting for their results in between. Their
// parameters go as text: what stands in a line of COPY, without its escapes.
type pipeline struct {
	m      *Mirror
	conn   *pgconn.PgConn
	queued []request
}

type request struct {
	statement string
	values    [][]byte
}

func (p *pipeline) queue(ctx context.Context, statement string, fields []string) error {
	values := make([][]byte, len(fields))
	for i, field := range fields {
		values[i] = unescape([]byte(field))
	}
	return p.push(ctx, request{statement, values})
}

// queueRows queues a table's rows: the new ones, those that may be there, or both.
func (p *pipeline) queueRows(ctx context.Context, f *folded, fresh, other bool) error {
	var values [][]byte
	rows := 0
	for i := range f.entries {
		e := &f.entries[i]
		if e.gone || e.compared || e.fresh && !fresh || !e.fresh && !other {
			continue
		}
		for _, field := range bytes.Split(f.lines[e.start:e.end-1], []byte{'\t'}) {
			values = append(values, unescape(field))
		}
		if rows++; rows == together {
			if err := p.push(ctx, request{p.m.db.put(f.t, rows), values}); err != nil {
				return err
			}
			values, rows = nil, 0
		}
	}
	if rows == 0 {
		return nil
	}
	return p.push(ctx, request{p.m.db.put(f.t, rows), values})
}

func (p *pipeline) push(ctx context.Context, r request) error {
	p.queued = append(p.queued, r)
	if len(p.queued) >= pipelined {
		return p.flush(ctx)
	}
	return nil
}

// flush sends what is queued and waits for all results.
func (p *pipeline) flush(ctx context.Context) error {
	if len(p.queued) == 0 {
		return nil
	}
	pipe := p.conn.StartPipeline(ctx)
	expected := 0
	for _, r := range p.queued {
		prepared := p.m.db.on(p.conn).prepared
		name, known := prepared[r.statement]
		if !known {
			name = fmt.Sprintf("spola_%d", len(prepared)+1)
			prepared[r.statement] = name
			pipe.SendPrepare(name, r.statement, nil)
			expected++
		}
		pipe.SendQueryPrepared(name, r.values, nil, nil)
		expected++
	}
	p.queued = p.queued[:0]
	err := results(pipe, expected)
	if closed := pipe.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return p.m.failed("write rows", err)
	}
	return nil
}

// results reads the results of so many requests; their rows are of no interest.
func results(pipe *pgconn.Pipeline, expected int) error {
	if err := pipe.Sync(); err != nil {
		return err
	}
	for range expected {
		result, err := pipe.GetResults()
		if err != nil {
			return err
		}
		if reader, ok := result.(*pgconn.ResultReader); ok {
			if _, err := reader.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}
