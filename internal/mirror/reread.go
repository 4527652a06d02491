package mirror

import (
	"bytes"
	"context"
	"maps"

	"github.com/jackc/pgx/v5"
)

// What a snapshot reads is mostly as it stands in the mirror. Such rows are not written: a chunk whose rows all stand
// in one segment is held against the mirror's rows of its range, which PostgreSQL shows as the lines of COPY that the
// rows are here. What is not the same byte for byte is compared by PostgreSQL itself, which knows that 1.50 is 1.5.

// hold takes the chunk's rows out of what is written in any case, if all of them stand in the segment. Only then its
// ghosts can be told by its keys, for rows that are not written don't show that they were read. Of a table whose keys
// have no range here, the chunk must be all.
func (c *chunk) hold(f *folded, rows int64) {
	read := f.reading
	f.reading = nil
	owners := f.readOf
	f.readOf = map[int64]struct{}{}
	if int64(len(read)) != rows || !c.t.ranged && !(c.from == nil && c.to == nil && c.lastOfTable) {
		maps.Copy(f.read, owners)
		return
	}
	c.compared, c.rows, c.owners = f, read, owners
	for _, at := range read {
		f.entries[at].compared = true
	}
}

// held returns the entries of the chunk's rows that nothing has written since.
func (c *chunk) held() (entries []int) {
	for _, at := range c.rows {
		if c.compared.entries[at].compared {
			entries = append(entries, at)
		}
	}
	return entries
}

// endChunk deletes a chunk's ghosts, and writes those of its rows that are held back and differ. It tells whether
// that changed the table.
func (p *Part) endChunk(ctx context.Context, tx pgx.Tx, c *chunk) (changed bool, err error) {
	if err := p.m.noteChunk(ctx, tx, c); err != nil {
		return false, err
	}
	if c.compared == nil {
		swept, err := p.sweep(ctx, tx, c)
		return swept > 0, err
	}
	held := c.held()
	there, err := p.m.readRange(ctx, tx, c, held)
	switch {
	case err != nil:
		return false, err
	case there.rows == 0:
		return len(held) > 0, p.fill(ctx, tx, c, held)
	case there.others > 0:
		return p.replace(ctx, tx, c, held)
	}
	differ := held[:0]
	for _, at := range held {
		if !there.same[at] {
			differ = append(differ, at)
		}
	}
	if len(differ) == 0 {
		return false, nil
	}
	if err := p.stage(ctx, tx, c.compared, differ); err != nil {
		return false, err
	}
	written, err := p.mergeDifferent(ctx, tx, c.t, len(differ))
	return written > 0, err
}

// fill writes a chunk's rows where the mirror has none in its range.
func (p *Part) fill(ctx context.Context, tx pgx.Tx, c *chunk, held []int) error {
	maps.Copy(p.owners[c.t.ownedBy], c.owners)
	p.m.db.grew(c.t, len(held))
	if len(held) > p.m.ways.fresh && !p.careful(c.t.shape.Name) {
		return p.copyNew(ctx, tx, c.compared, held)
	}
	if err := p.stage(ctx, tx, c.compared, held); err != nil {
		return err
	}
	return p.unstage(ctx, tx, c.t)
}

// replace brings the mirror's rows of a chunk's range to what the chunk says: ghosts go, rows that differ are written.
func (p *Part) replace(ctx context.Context, tx pgx.Tx, c *chunk, held []int) (changed bool, err error) {
	if err := p.stage(ctx, tx, c.compared, held); err != nil {
		return false, err
	}
	swept, err := p.sweep(ctx, tx, c)
	if err != nil {
		return false, err
	}
	written, err := p.mergeDifferent(ctx, tx, c.t, len(held))
	return swept > 0 || written > 0, err
}

// sweep deletes a chunk's ghosts and notes whose they were.
func (p *Part) sweep(ctx context.Context, tx pgx.Tx, c *chunk) (swept int64, err error) {
	owners, swept, err := p.m.sweep(ctx, tx, c)
	for _, id := range owners {
		if id != 0 { // nobody's
			p.owners[c.t.ownedBy][id] = struct{}{}
		}
	}
	return swept, err
}

// mergeDifferent puts so many staged rows in their places, but for those that stand there as they are.
func (p *Part) mergeDifferent(ctx context.Context, tx pgx.Tx, t *table, staged int) (written int, err error) {
	tag, err := tx.Exec(ctx, t.sql.unstageSame)
	if err != nil {
		return 0, p.m.failed("compare rows read of "+t.shape.Name, err)
	}
	written = staged - int(tag.RowsAffected())
	if written == 0 {
		if _, err := tx.Exec(ctx, t.sql.unstage); err != nil {
			return 0, p.m.failed("empty staging of "+t.shape.Name, err)
		}
		return 0, nil
	}
	if t.owner >= 0 {
		if err := p.compare(ctx, tx, t); err != nil {
			return 0, err
		}
	}
	p.m.db.grew(t, written)
	return written, p.unstage(ctx, tx, t)
}

// rangeRows is what the mirror has in a chunk's range from before the chunk, beside the chunk's rows. It takes lines
// of COPY as they come.
type rangeRows struct {
	t      *table
	lines  *folded
	same   map[int]bool // the chunk's rows, as entries: whether they are there byte for byte
	rows   int          // of the mirror
	others int          // of the mirror, that are none of the chunk's: ghosts, or keys that are written otherwise
	rest   []byte
	key    []byte
}

func (m *Mirror) readRange(ctx context.Context, tx pgx.Tx, c *chunk, held []int) (*rangeRows, error) {
	r := &rangeRows{t: c.t, lines: c.compared, same: make(map[int]bool, len(held))}
	for _, at := range held {
		r.same[at] = false
	}
	if _, err := tx.Conn().PgConn().CopyTo(ctx, r, "copy (select "+c.t.sql.columns+" from "+c.t.sql.name+" where "+c.older()+") to stdout"); err != nil {
		return nil, m.failed("read the mirror's rows of "+c.t.shape.Name, err)
	}
	return r, nil
}

// Write takes some bytes of lines.
func (r *rangeRows) Write(b []byte) (int, error) {
	written := len(b)
	if len(r.rest) > 0 {
		b = append(r.rest, b...)
	}
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			r.rest = append(r.rest[:0], b...)
			return written, nil
		}
		r.line(b[:end])
		b = b[end+1:]
	}
}

func (r *rangeRows) line(line []byte) {
	r.rows++
	at, known := r.lines.byKey[string(r.keyOf(line))]
	if _, mine := r.same[at]; !known || !mine {
		r.others++
		return
	}
	e := &r.lines.entries[at]
	r.same[at] = sameLine(line, r.lines.lines[e.start:e.end-1])
}

// keyOf returns a line's key as entries have it, good until the next call.
func (r *rangeRows) keyOf(line []byte) []byte {
	r.key = r.key[:0]
	for i, column := range r.t.key {
		rest := line
		for range column {
			rest = rest[bytes.IndexByte(rest, '\t')+1:]
		}
		if i > 0 {
			r.key = append(r.key, '\t')
		}
		r.key = append(r.key, rest[:bytes.IndexByte(rest, '\t')]...)
	}
	return r.key
}

// sameLine tells whether two lines are the same but for spola_at, the last field but one.
func sameLine(a, b []byte) bool {
	flawA, flawB := bytes.LastIndexByte(a, '\t'), bytes.LastIndexByte(b, '\t')
	return bytes.Equal(a[flawA:], b[flawB:]) &&
		bytes.Equal(a[:bytes.LastIndexByte(a[:flawA], '\t')], b[:bytes.LastIndexByte(b[:flawB], '\t')])
}
