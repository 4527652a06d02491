package mirror

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
)

// maxIdentifier is PostgreSQL's bound for names, in bytes. A longer one would be cut in silence.
const maxIdentifier = 63

// table is a captured table in one shape, with all that does not change from row to row.
type table struct {
	shape   change.Table
	columns []column       // in the shape's order
	index   map[string]int // name → place in columns
	key     []int          // places of the key's columns
	owner   int            // place of the column that names whom a row belongs to, -1 if there is none
	ownedBy ownerKind
	ranged  bool // the key sorts in PostgreSQL as in the shop
	sql     statements
}

// ownerKind says what a table's rows belong to.
type ownerKind string

const (
	ofOrder   ownerKind = "order"
	ofAccount ownerKind = "account"
)

// owner is the column that names it.
type owner struct {
	column string // empty: the rows belong to nothing
	kind   ownerKind
}

func newOwner(s TableSpec) owner {
	if s.Account != "" {
		return owner{s.Account, ofAccount}
	}
	return owner{s.Order, ofOrder}
}

type column struct {
	name   string
	pgType string
	put    transcoder
}

// statements are the table's, built once.
type statements struct {
	name     string // schema and table, quoted
	columns  string // all of them, Spola's two last
	copy     string // COPY into the mirror
	set      string // so many rows, put in the places of what may be there: see put
	conflict string // … the end of it
	unset    string // one row, deleted by key
	analyze  string // statistics of the key, and of whose rows they are

	stage       string // makes the staging table
	copyStage   string
	changed     string // owners of staged rows that are not in the mirror as they are; empty: rows have none
	staged      string // a staged row with the key of m
	unstageSame string // drops staged rows that are in the mirror as they are
	merge       string // staging into the mirror
	unstage     string // empties it

	differing string // keys of rows that are not the same in a second mirror
}

func newTable(schema string, shape change.Table, by owner) (*table, error) {
	t := &table{shape: shape, index: map[string]int{}, owner: -1, ranged: true}
	for i, c := range shape.Columns {
		pgType, err := columnType(c)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", shape.Name, err)
		}
		if c.Name == "spola_at" || c.Name == "spola_flaw" || len(c.Name) > maxIdentifier {
			return nil, fmt.Errorf("table %s: a column can't be called %q in the mirror", shape.Name, c.Name)
		}
		t.columns = append(t.columns, column{name: c.Name, pgType: pgType, put: transcoderOf(c.Type)})
		t.index[c.Name] = i
	}
	if len(shape.Key) == 0 || len(shape.Name) > maxIdentifier {
		return nil, fmt.Errorf("table %q can't be mirrored: it needs a primary key, and a name of at most %d bytes", shape.Name, maxIdentifier)
	}
	for _, name := range shape.Key {
		at, ok := t.index[name]
		if !ok {
			return nil, fmt.Errorf("table %s: key column %s is not captured", shape.Name, name)
		}
		t.key = append(t.key, at)
		t.ranged = t.ranged && ordered(shape.Columns[at].Type)
	}
	if by.column != "" {
		at, ok := t.index[by.column]
		if !ok {
			return nil, fmt.Errorf("table %s: column %s, which names the %s, is not captured", shape.Name, by.column, by.kind)
		}
		t.owner, t.ownedBy = at, by.kind
	}
	t.sql = t.build(schema)
	return t, nil
}

func (t *table) build(schema string) statements {
	name := pgx.Identifier{schema, t.shape.Name}.Sanitize()
	stage := temporaryTable("staged", t.shape.Name)
	columns := t.quoted()
	list := strings.Join(columns, ", ")
	var sets []string
	for i, c := range columns {
		if !slices.Contains(t.key, i) {
			sets = append(sets, c+" = excluded."+c)
		}
	}
	conflict := " on conflict (" + t.keyList() + ") do update set " + strings.Join(sets, ", ")
	var where []string
	for i, k := range t.key {
		where = append(where, fmt.Sprintf("%s = $%d", columns[k], i+1))
	}
	looked := t.keyList()
	if t.owner >= 0 && !slices.Contains(t.key, t.owner) {
		looked += ", " + columns[t.owner]
	}
	return statements{
		name:        name,
		columns:     list,
		analyze:     "analyze " + name + " (" + looked + ")",
		copy:        "copy " + name + " (" + list + ") from stdin",
		set:         "insert into " + name + " (" + list + ") values ",
		conflict:    conflict,
		unset:       "delete from " + name + " where " + strings.Join(where, " and "),
		stage:       "create temp table if not exists " + stage + " (like " + name + ")",
		copyStage:   "copy " + stage + " (" + list + ") from stdin",
		merge:       "insert into " + name + " (" + list + ") select " + list + " from " + stage + conflict,
		changed:     t.changed(name, stage),
		staged:      t.staged(stage),
		unstageSame: t.unstageSame(name, stage),
		unstage:     "truncate " + stage,

		differing: temporaryTable("differing", t.shape.Name),
	}
}

// temporaryTable names a table of one connection beside a mirrored one, quoted; by a checksum of its name where that is too long.
func temporaryTable(purpose, name string) string {
	own := "spola " + purpose + " " + name
	if len(own) > maxIdentifier {
		own = fmt.Sprintf("spola %s %.16x", purpose, sha256.Sum256([]byte(name)))
	}
	return pgx.Identifier{temporary, own}.Sanitize()
}

// changed is the statement that finds whose staged rows differ from those in the mirror.
func (t *table) changed(name, stage string) string {
	if t.owner < 0 {
		return ""
	}
	key, same := t.sameness()
	owner := t.quoted()[t.owner]
	return fmt.Sprintf(`select distinct o.owner::bigint
from %s s
left join %s m on %s
cross join lateral (values (s.%s), (m.%s)) o (owner)
where (m.%s is null or not %s) and o.owner is not null`,
		stage, name, key, owner, owner, t.quoted()[t.key[0]], same)
}

// unstageSame is the statement that drops what is staged and stands in the mirror as it is.
func (t *table) unstageSame(name, stage string) string {
	key, same := t.sameness()
	return fmt.Sprintf("delete from %s s using %s m where %s and %s", stage, name, key, same)
}

// staged is the query that finds a staged row with the key of the mirrored one.
func (t *table) staged(stage string) string {
	key, _ := t.sameness()
	return "select from " + stage + " s where " + key
}

// sameness writes the conditions under which a staged row s and a mirrored one m have one key, and are the same:
// all but spola_at, which tells where in the log a row was read.
func (t *table) sameness() (key, same string) {
	var here, there []string
	for i, c := range t.quoted() {
		if !slices.Contains(t.key, i) && c != "spola_at" {
			here, there = append(here, "m."+c), append(there, "s."+c)
		}
	}
	return t.oneKey("m", "s"), "(" + strings.Join(here, ", ") + ") is not distinct from (" + strings.Join(there, ", ") + ")"
}

// oneKey writes the condition under which rows of two tables have one key.
func (t *table) oneKey(a, b string) string {
	var keys []string
	for i, c := range t.quoted() {
		if slices.Contains(t.key, i) {
			keys = append(keys, a+"."+c+" = "+b+"."+c)
		}
	}
	return strings.Join(keys, " and ")
}

// quoted returns the names of all columns, Spola's two last, quoted.
func (t *table) quoted() []string {
	var names []string
	for _, c := range t.columns {
		names = append(names, pgx.Identifier{c.name}.Sanitize())
	}
	return append(names, "spola_at", "spola_flaw")
}

func (t *table) keyList() string {
	var names []string
	for _, k := range t.key {
		names = append(names, pgx.Identifier{t.columns[k].name}.Sanitize())
	}
	return strings.Join(names, ", ")
}

// put is the statement that puts so many rows in the places of what may be there.
func (t *table) put(rows int) string {
	var b strings.Builder
	b.WriteString(t.sql.set)
	width := len(t.columns) + 2
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(" + parameters(i*width, width) + ")")
	}
	b.WriteString(t.sql.conflict)
	return b.String()
}

// parameters lists n parameters behind so many others.
func parameters(behind, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", behind+i+1)
	}
	return b.String()
}
