package mirror

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
)

// temporary is the schema of a second mirror: PostgreSQL drops it with its connection, however that ends, and nobody else sees it.
const temporary = "pg_temp"

// Second makes a second mirror of a source, in temporary tables of the one connection by which it is used. It is built from a part of the log
// that has a whole snapshot, and held against the live one at the same place.
func Second(source string, specs []TableSpec) *Mirror {
	m := New(source, specs)
	m.schema = temporary
	m.source = source + " (second)" // no shop can be called so
	return m
}

// Table is the name of a table in the mirror, quoted.
func (m *Mirror) Table(name string) string { return pgx.Identifier{m.schema, name}.Sanitize() }

// Seed empties what is known of a second mirror, whatever has become of one before, and makes its tables in these shapes.
func (m *Mirror) Seed(ctx context.Context, tx pgx.Tx, shapes []change.Table) error {
	if err := m.Forget(ctx, tx); err != nil {
		return err
	}
	if err := m.Start(ctx, tx); err != nil {
		return err
	}
	for _, shape := range shapes {
		t, err := newTable(m.schema, shape, m.owners[shape.Name])
		if err != nil {
			return err
		}
		if err := m.reshape(ctx, tx, t); err != nil {
			return err
		}
		m.tables[shape.Name] = t
	}
	return nil
}

// Forget drops what the database knows of a second mirror beside its tables.
func (m *Mirror) Forget(ctx context.Context, tx pgx.Tx) error {
	for _, table := range []string{"mirror", "mirror_table"} {
		if _, err := tx.Exec(ctx, "delete from spola."+table+" where source = $1", m.source); err != nil {
			return m.failed("forget a second mirror", err)
		}
	}
	return nil
}

// Shapes reads the shapes of a source's mirrored tables.
func Shapes(ctx context.Context, tx pgx.Tx, source string) (map[string]change.Table, error) {
	m := New(source, nil)
	m.db = newSession()
	if err := m.readShapes(ctx, tx); err != nil {
		return nil, err
	}
	shapes := map[string]change.Table{}
	for name, t := range m.tables {
		shapes[name] = t.shape
	}
	return shapes, nil
}

// Unequal is what differs of a table between a live mirror and a second one.
type Unequal struct {
	Table    string  `json:"table"`
	Missing  int64   `json:"missing"` // rows that the live mirror lacks
	Extra    int64   `json:"extra"`   // rows that it has and the shop has not
	Other    int64   `json:"other"`   // rows that are not the same
	Orders   []int64 `json:"-"`       // whose rows they are
	Accounts []int64 `json:"-"`
}

// Differing looks through tables of the live mirror for rows that are not the same in this second one, both at the same place, and keeps their
// keys. from is the number from which on orders' rows were read; 0: all were. What one log brings both of them afterwards leaves all other rows the same, so
// that only these need be looked at again.
func (m *Mirror) Differing(ctx context.Context, tx pgx.Tx, live string, tables []string, from int64) error {
	for _, name := range tables {
		t := m.db.shapes[name]
		if t == nil {
			return fmt.Errorf("mirror of %s: table %s was not read", m.source, name)
		}
		key, same := t.sameness()
		first := t.quoted()[t.key[0]]
		var keys []string
		for _, k := range t.key {
			c := t.quoted()[k]
			keys = append(keys, fmt.Sprintf("coalesce(s.%[1]s, m.%[1]s) as %[1]s", c))
		}
		for _, statement := range []string{
			"drop table if exists " + t.sql.differing,
			fmt.Sprintf("create temp table %[1]s as select %[2]s from %[3]s s full join %[4]s m on %[5]s where (m.%[6]s is null or s.%[6]s is null or not %[7]s)%[8]s",
				t.sql.differing, strings.Join(keys, ", "), t.sql.name, pgx.Identifier{Schema(live), name}.Sanitize(), key, first, same, t.since(from)),
			"analyze " + t.sql.differing,
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return m.failed("compare "+name, err)
			}
		}
	}
	return nil
}

// Compare says which of the rows that Differing has kept are still not the same, both mirrors at the same place.
func (m *Mirror) Compare(ctx context.Context, tx pgx.Tx, live string, tables []string) (unequal []Unequal, err error) {
	for _, name := range tables {
		t := m.db.shapes[name]
		_, same := t.sameness()
		first := t.quoted()[t.key[0]]
		owners := "null::bigint[], null::bigint[]"
		if t.owner >= 0 {
			owner := t.quoted()[t.owner]
			owners = "array_agg(distinct s." + owner + "::bigint), array_agg(distinct m." + owner + "::bigint)"
		}
		u := Unequal{Table: name}
		var here, there []*int64
		err := tx.QueryRow(ctx, fmt.Sprintf(`select count(*) filter (where m.%[1]s is null), count(*) filter (where s.%[1]s is null), count(*) filter (where m.%[1]s is not null and s.%[1]s is not null), %[2]s
 from %[3]s d left join %[4]s s using (%[5]s) left join %[6]s m using (%[5]s) where (m.%[1]s is null) <> (s.%[1]s is null) or m.%[1]s is not null and s.%[1]s is not null and not %[7]s`,
			first, owners, t.sql.differing, t.sql.name, t.keyList(), pgx.Identifier{Schema(live), name}.Sanitize(), same)).Scan(&u.Missing, &u.Extra, &u.Other, &here, &there)
		if err != nil {
			return nil, m.failed("compare "+name, err)
		}
		if u.Missing+u.Extra+u.Other == 0 {
			continue
		}
		var all []int64
		for _, id := range append(here, there...) {
			if id != nil && *id != 0 {
				all = append(all, *id)
			}
		}
		slices.Sort(all)
		all = slices.Compact(all)
		if t.ownedBy == ofOrder {
			u.Orders = all
		} else if t.owner >= 0 {
			u.Accounts = all
		}
		unequal = append(unequal, u)
	}
	return unequal, nil
}

// since bounds the rows s and m to those of orders from a number on.
func (t *table) since(from int64) string {
	if from == 0 || t.owner < 0 || t.ownedBy != ofOrder {
		return ""
	}
	owner := t.quoted()[t.owner]
	return " and coalesce(s." + owner + ", m." + owner + ") >= " + strconv.FormatInt(from, 10)
}

// Swap brings the rows of tables that Differing has kept to what this second mirror has, in the transaction that holds the live one's place; at is the
// number of the last record applied to that.
func (m *Mirror) Swap(ctx context.Context, tx pgx.Tx, live string, tables []string, at int64) error {
	for _, name := range tables {
		t := m.db.shapes[name]
		key, same := t.sameness()
		there := pgx.Identifier{Schema(live), name}.Sanitize()
		columns, values := t.sql.columns, ""
		for i, c := range t.quoted() {
			if i > 0 {
				values += ", "
			}
			if c == "spola_at" {
				values += strconv.FormatInt(at, 10)
				continue
			}
			values += "s." + c
		}
		for _, statement := range []string{
			"delete from " + there + " m using " + t.sql.differing + " d where " + t.oneKey("m", "d") + " and not exists (select from " + t.sql.name + " s where " + key + ")",
			"insert into " + there + " (" + columns + ") select " + values + " from " + t.sql.differing + " d join " + t.sql.name + " s using (" + t.keyList() + ") left join " + there + " m on " + key +
				" where m." + t.quoted()[t.key[0]] + " is null or not " + same + t.sql.conflict,
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return m.failed("bring "+name+" to what it is to be", err)
			}
		}
	}
	return nil
}
