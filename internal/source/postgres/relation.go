package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"

	"github.com/spola-cdc/spola/internal/change"
)

// identityFull says that old tuples come whole.
const identityFull = 'f'

// layout is how a table's tuples lie, as the stream's relation messages tell it.
type layout struct {
	name    string // schema.table
	columns []column
	full    bool   // old tuples come whole, not only their key
	table   *table // nil if the table is not captured
	shape   *change.Table
	hash    string
	bad     error // why its rows can't be read

	keyHead []byte // of records' keys
	names   []byte // "schema":"erp","table":"stock
	key     []int
	kept    []int // columns that a stub carries
}

// bind finds out what leaves the ERP of a table's rows. What does not fit is an error of the
// first row, not of the layout.
func (r *reader) bind(m *pglogrepl.RelationMessage) *layout {
	l := &layout{name: m.Namespace + "." + m.RelationName, full: m.ReplicaIdentity == identityFull}
	if l.table = r.tables[l.name]; l.table == nil {
		return l
	}
	if m.ReplicaIdentity != 'd' && !l.full {
		l.bad = fmt.Errorf("its replica identity is %q: old rows come without their primary key", m.ReplicaIdentity)
		return l
	}
	for _, c := range m.Columns {
		described, ok := r.types.describe(c.Name, c.DataType, c.TypeModifier)
		if !ok {
			l.bad = fmt.Errorf("column %s has type %d, which is not there any more", c.Name, c.DataType)
			return l
		}
		l.columns = append(l.columns, described)
	}
	l.shape, l.bad = shapeOf(l.name, l.columns, l.table.key)
	if l.bad != nil {
		return l
	}
	l.hash = hashShape(l.shape)
	l.keyHead = append(appendQuoted([]byte(`{"table":`), []byte(l.name)), `,"key":{`...)
	l.names = append(appendQuoted([]byte(`"schema":`), []byte(m.Namespace)), `,"table":`...)
	l.names = appendQuoted(l.names, []byte(m.RelationName))
	l.key = l.indexes(l.table.key)
	l.kept = append(l.indexes(l.table.key), l.indexes(l.table.capture.Needed)...)
	return l
}

// shapeOf is the shape that is announced of a table with these columns. Key columns are never
// null; of the others the stream does not tell.
func shapeOf(name string, columns []column, key []string) (*change.Table, error) {
	shape := &change.Table{Name: name, Key: key}
	found := 0
	for i := range columns {
		if contains(key, columns[i].Name) {
			columns[i].Nullable = false
			found++
		}
		shape.Columns = append(shape.Columns, columns[i].Column)
	}
	if found != len(key) || found == 0 {
		return nil, fmt.Errorf("its primary key (%s) is not among its published columns", strings.Join(key, ", "))
	}
	return shape, nil
}

func (l *layout) indexes(names []string) []int {
	var at []int
	for _, name := range names {
		for i := range l.columns {
			if l.columns[i].Name == name {
				at = append(at, i)
			}
		}
	}
	return at
}

func contains(names []string, name string) bool {
	for _, one := range names {
		if one == name {
			return true
		}
	}
	return false
}
