// Package mirror keeps the shop's captured tables in PostgreSQL: the same names and columns, in
// schema mirror_<source>, made and widened from the log's own schema records.
//
// Two columns of Spola's stand behind the shop's: spola_at, the number of the record that wrote
// the row last (counted over all generations of the log), and spola_flaw, null or what of the
// row could not be stored as it was.
//
// A Part decodes records off the writing goroutine, straight from their JSON into the text form
// of COPY, and folds them by key: the last one counts. Apply then writes what is new by COPY,
// what may be there by a merge, and few rows by pipelined statements.
//
//	part.go       records → folded rows          shape.go   tables, made and widened
//	transcode.go  JSON → COPY text               chunk.go   rows that no snapshot chunk found
//	write.go      folded rows → PostgreSQL       stats.go   ANALYZE when a table has grown
//	second.go     a second mirror, held against the first
package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Marker is the name of Spola's own table in the shop, mirrored like any other.
const Marker = "spola_marker"

// TableSpec is what the mirror must know of a table beyond its shape.
type TableSpec struct {
	Name    string // as the shop calls it, prefix included
	Order   string // integer column that names the order a row belongs to; empty: none
	Account string // integer column that names the customer's account a row belongs to; empty: none
}

// Changed is what a part has changed.
type Changed struct {
	Orders       []int64          // orders of which a row was written or deleted, ascending
	Accounts     []int64          // customers' accounts of which a row was written or deleted, ascending
	Tables       map[string]bool  // tables of which a row was written or deleted, prefix included
	Shapes       []string         // tables that were made or got another shape: views over them may be new
	Ticks        int64            // ticks of the source applied so far, this part included
	SnapshotDone bool             // the mirror is whole: orders may be derived
	Restored     bool             // the source's database is another one than before: it has a new incarnation
	Marks        map[string]int64 // by row of the shop's stock: number of the ledger's entry that it was delivered by last
	RunDone      int64            // snapshot run that ended in this part; 0: none
}

// Mirror is the mirror of one source. Start, Part and Part.Add are called on the reading
// goroutine, Part.Apply on the writing one.
type Mirror struct {
	source string
	schema string           // where its tables are
	owners map[string]owner // by table
	ways   ways

	// Of the reading goroutine: what holds behind the last record added.
	tables map[string]*table
	low    lowMark
	ticks  int64
	life   int64 // incarnation of the source that the last claim named; 0: none yet

	db session // of the writing goroutine

	mu       sync.Mutex
	cautious map[string]int64 // table → record up to which no row is taken for new
}

// lowMark is the low watermark seen last: the chunk it opens, and the number of its record.
type lowMark struct {
	run, chunk, at int64
}

// New makes the mirror of a source. Tables without a spec belong to no order and no account.
func New(source string, specs []TableSpec) *Mirror {
	m := &Mirror{source: source, schema: Schema(source), owners: map[string]owner{}, cautious: map[string]int64{}, ways: ways{FewNew, fewOther}}
	for _, s := range specs {
		m.owners[s.Name] = newOwner(s)
	}
	return m
}

// Schema is the name of the mirror's schema.
func Schema(source string) string { return "mirror_" + source }

// Start reads anew what the database knows of this mirror, and makes its schema if need be.
func (m *Mirror) Start(ctx context.Context, tx pgx.Tx) error {
	m.db = newSession()
	if m.schema != temporary {
		if err := makeSchema(ctx, tx, m.schema); err != nil {
			return err
		}
	}
	if err := m.readState(ctx, tx); err != nil {
		return err
	}
	if err := m.readShapes(ctx, tx); err != nil {
		return err
	}
	return m.readLowMark(ctx, tx)
}

func (m *Mirror) readState(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "insert into spola.mirror (source) values ($1) on conflict do nothing", m.source); err != nil {
		return m.failed("make state", err)
	}
	err := tx.QueryRow(ctx, "select ticks, snapshot_done, incarnation from spola.mirror where source = $1", m.source).
		Scan(&m.ticks, &m.db.snapshotDone, &m.life)
	if err != nil {
		return m.failed("read state", err)
	}
	m.db.ticks, m.db.life = m.ticks, m.life
	return nil
}

func (m *Mirror) readShapes(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, "select name, shape from spola.mirror_table where source = $1", m.source)
	if err != nil {
		return m.failed("read shapes", err)
	}
	m.tables = map[string]*table{}
	var name string
	var shape []byte
	_, err = pgx.ForEachRow(rows, []any{&name, &shape}, func() error {
		var t change.Table
		if err := json.Unmarshal(shape, &t); err != nil {
			return fmt.Errorf("shape of table %s: %w", name, err)
		}
		made, err := newTable(m.schema, t, m.owners[name])
		if err != nil {
			return err
		}
		m.tables[name] = made
		m.db.shapes[name] = made
		return nil
	})
	if err != nil {
		return m.failed("read shapes", err)
	}
	return nil
}

func (m *Mirror) readLowMark(ctx context.Context, tx pgx.Tx) error {
	m.low = lowMark{}
	if m.tables[Marker] == nil {
		return nil
	}
	query := "select generation, number, spola_at from " + m.tables[Marker].sql.name + " where name = 'low'"
	err := tx.QueryRow(ctx, query).Scan(&m.low.run, &m.low.chunk, &m.low.at)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return m.failed("read the low watermark", err)
	}
	return nil
}

func (m *Mirror) failed(operation string, err error) error {
	return postgres.Explain(fmt.Errorf("mirror of %s: %s: %w", m.source, operation, err))
}

// makeSchema makes the mirror's schema where it is not there, which needs a right on the
// database that a running applier may lack.
func makeSchema(ctx context.Context, tx pgx.Tx, name string) error {
	var there bool
	if err := tx.QueryRow(ctx, "select exists (select from pg_namespace where nspname = $1)", name).Scan(&there); err != nil {
		return postgres.Explain(fmt.Errorf("look for schema %s: %w", name, err))
	}
	if there {
		return nil
	}
	if _, err := tx.Exec(ctx, "create schema "+pgx.Identifier{name}.Sanitize()); err != nil {
		return postgres.Explain(fmt.Errorf("create schema %s: %w", name, err))
	}
	return nil
}

// Install makes the mirror's schema, for an administrator who prepares a database.
func Install(ctx context.Context, tx pgx.Tx, source string) error {
	return makeSchema(ctx, tx, Schema(source))
}
