package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
)

// published is a captured table as the catalogue has it now.
type published struct {
	there     bool
	kind      string // of pg_class: r is a plain table
	identity  string // replica identity: d, n, f or i
	policies  bool   // row-level security hides rows
	readable  bool   // by this user
	owner     string
	key       []string
	columns   []storedColumn
	member    string // of the publication, empty if it is none
	condition bool   // the publication carries only some rows
}

// storedColumn is a column that the publication carries.
type storedColumn struct {
	name     string
	id       uint32 // type
	modifier int32
	outside  bool // long values lie outside of the row (TOAST)
}

//go:embed table.sql
var tableQuery string

//go:embed columns.sql
var columnsQuery string

// readTable looks a captured table up.
func readTable(ctx context.Context, conn *pgx.Conn, publication, name string) (*published, error) {
	schema, table := splitTable(name)
	p := &published{}
	err := conn.QueryRow(ctx, tableQuery, schema, table, publication).
		Scan(&p.there, &p.kind, &p.identity, &p.policies, &p.readable, &p.owner, &p.key, &p.member, &p.condition)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", name, err)
	}
	if !p.there {
		return p, nil
	}
	rows, err := conn.Query(ctx, columnsQuery, schema, table, publication)
	if err != nil {
		return nil, fmt.Errorf("columns of %s: %w", name, err)
	}
	var c storedColumn
	_, err = pgx.ForEachRow(rows, []any{&c.name, &c.id, &c.modifier, &c.outside}, func() error {
		p.columns = append(p.columns, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("columns of %s: %w", name, err)
	}
	return p, nil
}

// shape is what would be announced of the table: the same that the stream's relation messages give.
func (p *published) shape(name string, known types) (*change.Table, []column, error) {
	var columns []column
	for _, c := range p.columns {
		described, ok := known.describe(c.name, c.id, c.modifier)
		if !ok {
			return nil, nil, fmt.Errorf("column %s has type %d, which is not there any more", c.name, c.id)
		}
		columns = append(columns, described)
	}
	shape, err := shapeOf(name, columns, p.key)
	return shape, columns, err
}

// needsWhole tells why old rows must come whole, empty if their key is enough: a column that
// must be known of a deleted row is not in the key, or a long value that an update leaves alone
// would be missing.
func (p *published) needsWhole(c *Capture) string {
	if c.AppendOnly {
		return ""
	}
	for _, name := range c.Needed {
		if !slices.Contains(p.key, name) {
			return "a row that is changed or deleted must tell its " + name
		}
	}
	for _, column := range p.columns {
		if column.outside {
			return "an update that leaves a long value of " + column.name + " alone does not repeat it"
		}
	}
	return ""
}

func splitTable(name string) (schema, table string) {
	schema, table, _ = strings.Cut(name, ".")
	return schema, table
}

// quoteTable is a table's name in SQL.
func quoteTable(name string) string {
	schema, table := splitTable(name)
	return pgx.Identifier{schema, table}.Sanitize()
}

func quoteName(name string) string { return pgx.Identifier{name}.Sanitize() }
