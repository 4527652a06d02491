package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spola-cdc/spola/internal/apply"
)

// How rows go to PostgreSQL depends on how many there are. A COPY costs some round trips, a
// staged one some more, a statement a row only its own work; measured on one machine they meet
// about here (BenchmarkWays).
const (
	FewNew   = 24  // new rows of a table in a segment
	fewOther = 120 // rows that may be there

	pipelined = 256 // statements between two synchronizations of a pipeline
)

// ways says up to how many rows of a table go by statements, and not by COPY.
type ways struct {
	fresh, other int
}

// session is what is known of the database since Start. It belongs to whom Apply does.
type session struct {
	shapes       map[string]*table            // as the tables are
	puts         map[*table]*[together]string // by the number of rows less one: statements that put rows
	conns        map[*pgconn.PgConn]*connection
	sizes        map[string]*size
	ticks        int64
	life         int64
	snapshotDone bool
}

func newSession() session {
	return session{puts: map[*table]*[together]string{}, shapes: map[string]*table{}, conns: map[*pgconn.PgConn]*connection{}, sizes: map[string]*size{}}
}

// connection is what one connection to PostgreSQL has.
type connection struct {
	prepared map[string]string // statement → its name
	staged   map[string]bool   // tables with a staging table
}

func (s *session) on(conn *pgconn.PgConn) *connection {
	c := s.conns[conn]
	if c == nil {
		c = &connection{prepared: map[string]string{}, staged: map[string]bool{}}
		s.conns[conn] = c
	}
	return c
}

// forget drops what depends on a table's shape.
func (s *session) forget(name string) {
	for _, c := range s.conns {
		delete(c.staged, name)
	}
}

// put is the table's statement of so many rows, built once.
func (s *session) put(t *table, rows int) string {
	if s.puts[t] == nil {
		s.puts[t] = &[together]string{}
	}
	statement := &s.puts[t][rows-1]
	if *statement == "" {
		*statement = t.put(rows)
	}
	return *statement
}

// Apply writes the part inside tx.
func (p *Part) Apply(ctx context.Context, tx pgx.Tx) (*Changed, error) {
	m := p.m
	c := &Changed{Tables: map[string]bool{}, RunDone: p.runDone, Restored: p.restored, Marks: p.marks}
	for _, s := range p.segments {
		if err := p.applySegment(ctx, tx, s, c); err != nil {
			return nil, err
		}
	}
	whole := m.db.snapshotDone
	if err := p.keepState(ctx, tx); err != nil {
		return nil, err
	}
	c.Orders = slices.Sorted(maps.Keys(p.owners[ofOrder]))
	c.Accounts = slices.Sorted(maps.Keys(p.owners[ofAccount]))
	c.SnapshotDone = m.db.snapshotDone
	c.Ticks = m.db.ticks
	return c, m.analyze(ctx, tx, p.runDone > 0 && !whole)
}

func (p *Part) applySegment(ctx context.Context, tx pgx.Tx, s *segment, c *Changed) error {
	m := p.m
	for _, t := range s.shapes {
		if err := m.reshape(ctx, tx, t); err != nil {
			return err
		}
		c.Shapes = append(c.Shapes, t.shape.Name)
	}
	pipe := &pipeline{m: m, conn: tx.Conn().PgConn()}
	slices.Sort(s.names)
	for _, name := range s.names {
		if len(s.rows[name].entries) == 0 {
			continue
		}
		wrote, err := p.writeTable(ctx, tx, pipe, s.rows[name])
		if err != nil {
			return err
		}
		if wrote {
			c.Tables[name] = true
		}
	}
	if err := pipe.flush(ctx); err != nil {
		return err
	}
	for i := range s.chunks {
		changed, err := p.endChunk(ctx, tx, &s.chunks[i])
		if err != nil {
			return err
		}
		if changed {
			c.Tables[s.chunks[i].t.shape.Name] = true
		}
	}
	return nil
}

// writeTable writes a table's rows, or queues their statements in the pipeline, but for those that their chunk
// compares. It tells whether there were any.
func (p *Part) writeTable(ctx context.Context, tx pgx.Tx, pipe *pipeline, f *folded) (wrote bool, err error) {
	if f.t.known(p.m) == nil {
		return false, fmt.Errorf("mirror of %s: table %s was not made", p.m.source, f.t.shape.Name)
	}
	maps.Copy(f.read, f.readOf)
	fresh, other := 0, 0
	p.judge(f)
	for i := range f.entries {
		e := &f.entries[i]
		switch {
		case e.compared:
			continue
		case e.gone:
			if err := pipe.queue(ctx, f.t.sql.unset, strings.Split(e.key, "\t")); err != nil {
				return false, err
			}
		case e.fresh:
			fresh++
		default:
			other++
		}
		wrote = true
	}
	p.m.db.grew(f.t, fresh+other)
	if f.copied {
		fresh = 0
	}
	if fresh > p.m.ways.fresh || other > p.m.ways.other {
		// COPY can't go through the pipeline: what is queued goes first.
		if err := pipe.flush(ctx); err != nil {
			return false, err
		}
	}
	if fresh > p.m.ways.fresh {
		if err := p.copyNew(ctx, tx, f, f.pick(isFresh)); err != nil {
			return false, err
		}
		fresh = 0
	}
	if other > p.m.ways.other {
		if err := p.merge(ctx, tx, f); err != nil {
			return false, err
		}
		other = 0
	} else if other > 0 {
		maps.Copy(p.owners[f.t.ownedBy], f.read) // so few are sooner derived again than compared
	}
	return wrote, pipe.queueRows(ctx, f, fresh > 0, other > 0)
}

// judge settles which rows count as new: none where rows must not be taken for new (doubtful). Once for all.
func (p *Part) judge(f *folded) (doubtful bool) {
	if f.judged {
		return false
	}
	f.judged = true
	if !p.careful(f.t.shape.Name) {
		return false
	}
	for i := range f.entries {
		f.entries[i].fresh = false
	}
	return true
}

// Alone tells that the part does nothing but write changed rows into tables as they are.
func (p *Part) Alone() bool {
	if len(p.segments) != 1 || len(p.segments[0].shapes) > 0 || len(p.segments[0].chunks) > 0 || p.runDone != 0 || p.life != 0 || p.restored {
		return false
	}
	for _, f := range p.segments[0].rows {
		if len(f.read)+len(f.readOf)+len(f.reading) > 0 {
			return false
		}
	}
	return true
}

// Early copies the new rows of a part that is Alone, if there are more than few of any table: they are there whatever the batch
// before does. Apply then leaves them out. A batch that is taken again has other parts.
//
// whole are the orders, in no order, that have nothing but new rows here: unless the batch before changes them too, they
// stand in the mirror as they do behind this part.
func (p *Part) Early(ctx context.Context, tx pgx.Tx, few int) (whole []int64, err error) {
	s := p.segments[0]
	slices.Sort(s.names)
	most, doubtful := 0, false
	for _, name := range s.names {
		f := s.rows[name]
		doubtful = p.judge(f) || doubtful
		most = max(most, len(f.pick(isFresh)))
	}
	if most <= few {
		return nil, nil
	}
	for _, name := range s.names {
		f := s.rows[name]
		if fresh := f.pick(isFresh); len(fresh) > 0 {
			if err := p.copyNew(ctx, tx, f, fresh); err != nil {
				return nil, err
			}
			f.copied = true
		}
	}
	if doubtful {
		return nil, nil
	}
	for order := range p.owners[ofOrder] {
		if _, older := p.older[ofOrder][order]; !older {
			whole = append(whole, order)
		}
	}
	return whole, nil
}

func isFresh(e *entry) bool { return e.fresh }

// known returns the table as the database has it, nil if it has none.
func (t *table) known(m *Mirror) *table { return m.db.shapes[t.shape.Name] }

// careful tells whether rows of the table must not be taken for new, because shortly before, or
// in this very part when it was tried first, one was there.
func (p *Part) careful(name string) bool {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	until, ok := p.m.cautious[name]
	if ok && p.from > until+carefulFor {
		delete(p.m.cautious, name)
		return false
	}
	return ok
}

// carefulFor is how many records an unexpected row makes the mirror careful for: such rows (a
// restored shop, a table that lost deletions) come in company.
const carefulFor = 10_000

// copyNew copies rows that are taken for new straight into the mirror. If one of them is
// there after all, the batch is taken again, carefully.
func (p *Part) copyNew(ctx context.Context, tx pgx.Tx, f *folded, entries []int) error {
	err := copyLines(ctx, tx, f, f.t.sql.copy, entries)
	if state, ok := errors.AsType[*pgconn.PgError](err); ok && state.Code == pgerrcode.UniqueViolation {
		p.m.mu.Lock()
		p.m.cautious[f.t.shape.Name] = p.at
		p.m.mu.Unlock()
		return fmt.Errorf("%w: table %s: %s", apply.ErrAgain, f.t.shape.Name, state.Detail)
	}
	if err != nil {
		return p.m.failed("copy into "+f.t.shape.Name, err)
	}
	return nil
}

// merge copies rows that may be there into a staging table, and puts them in their places.
func (p *Part) merge(ctx context.Context, tx pgx.Tx, f *folded) error {
	t := f.t
	if err := p.stage(ctx, tx, f, f.pick(func(e *entry) bool { return !e.fresh })); err != nil {
		return err
	}
	if len(f.read) > 0 {
		if err := p.compare(ctx, tx, t); err != nil {
			return err
		}
	}
	return p.unstage(ctx, tx, t)
}

// stage copies entries into the table's staging table.
func (p *Part) stage(ctx context.Context, tx pgx.Tx, f *folded, entries []int) error {
	t := f.t
	if staged := p.m.db.on(tx.Conn().PgConn()).staged; !staged[t.shape.Name] {
		// The shape may be another one than that of an earlier staging table.
		stage := strings.TrimPrefix(t.sql.unstage, "truncate ")
		if _, err := tx.Exec(ctx, "drop table if exists "+stage); err != nil {
			return p.m.failed("drop staging of "+t.shape.Name, err)
		}
		if _, err := tx.Exec(ctx, t.sql.stage); err != nil {
			return p.m.failed("make staging of "+t.shape.Name, err)
		}
		staged[t.shape.Name] = true
	}
	if err := copyLines(ctx, tx, f, t.sql.copyStage, entries); err != nil {
		return p.m.failed("copy into staging of "+t.shape.Name, err)
	}
	return nil
}

// unstage puts what is staged in its places.
func (p *Part) unstage(ctx context.Context, tx pgx.Tx, t *table) error {
	for _, statement := range []string{t.sql.merge, t.sql.unstage} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return p.m.failed("merge into "+t.shape.Name, err)
		}
	}
	return nil
}

// compare notes whose rows a snapshot has read other than they are in the mirror. Nobody else's orders
// are derived again: a snapshot of all tables would have every order of the shop's life derived.
func (p *Part) compare(ctx context.Context, tx pgx.Tx, t *table) error {
	rows, err := tx.Query(ctx, t.sql.changed)
	if err != nil {
		return p.m.failed("compare rows read of "+t.shape.Name, err)
	}
	var owner int64
	_, err = pgx.ForEachRow(rows, []any{&owner}, func() error {
		p.owners[t.ownedBy][owner] = struct{}{}
		return nil
	})
	if err != nil {
		return p.m.failed("compare rows read of "+t.shape.Name, err)
	}
	return nil
}

// pick returns the entries of which something holds, of those that are written in any case.
func (f *folded) pick(holds func(*entry) bool) (entries []int) {
	for i := range f.entries {
		if e := &f.entries[i]; !e.gone && !e.compared && holds(e) {
			entries = append(entries, i)
		}
	}
	return entries
}

func copyLines(ctx context.Context, tx pgx.Tx, f *folded, statement string, entries []int) error {
	_, err := tx.Conn().PgConn().CopyFrom(ctx, &lines{f: f, entries: entries}, statement)
	return err
}

// lines hands out the lines of entries, for COPY.
type lines struct {
	f       *folded
	entries []int // still to be handed out
	rest    []byte
}

// Read gives COPY the lines one after the other.
func (l *lines) Read(p []byte) (n int, err error) {
	for n < len(p) && (len(l.rest) > 0 || l.advance()) {
		copied := copy(p[n:], l.rest)
		l.rest = l.rest[copied:]
		n += copied
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (l *lines) advance() bool {
	if len(l.entries) == 0 {
		return false
	}
	e := &l.f.entries[l.entries[0]]
	l.entries = l.entries[1:]
	l.rest = l.f.lines[e.start:e.end]
	return true
}

// keepState keeps ticks, a new life and the end of a snapshot, in the rare parts that have any.
func (p *Part) keepState(ctx context.Context, tx pgx.Tx) error {
	db := &p.m.db
	if p.restored {
		db.snapshotDone = false
	}
	if p.runDone > 0 {
		db.snapshotDone = true
	}
	if p.life > 0 {
		db.life = p.life
	}
	if p.ticked {
		db.ticks = p.ticks
	}
	if !p.ticked && p.runDone == 0 && p.life == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `update spola.mirror set ticks = $2, snapshot_run = greatest(snapshot_run, $3), snapshot_done = $4, incarnation = $5
 where source = $1`, p.m.source, db.ticks, p.runDone, db.snapshotDone, db.life)
	if err != nil {
		return p.m.failed("keep state", err)
	}
	return nil
}
