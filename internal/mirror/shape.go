package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// reshape makes the table in PostgreSQL, or brings it from the shape it has to that of t: new
// columns are added, types changed, the key replaced. A column that the shop has dropped stays,
// and is null in rows written since.
func (m *Mirror) reshape(ctx context.Context, tx pgx.Tx, t *table) error {
	old := m.db.shapes[t.shape.Name]
	statements := createTable(t)
	if old != nil {
		statements = alterTable(old, t)
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return m.failed("shape table "+t.shape.Name, err)
		}
	}
	shape, err := json.Marshal(t.shape)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, keepShape, m.source, t.shape.Name, t.shape.Version, string(shape)); err != nil {
		return m.failed("keep the shape of "+t.shape.Name, err)
	}
	m.db.shapes[t.shape.Name] = t
	m.db.forget(t.shape.Name)
	return nil
}

const keepShape = `insert into spola.mirror_table (source, name, version, shape) values ($1, $2, $3, $4)
on conflict (source, name) do update set version = excluded.version, shape = excluded.shape`

// createTable leaves room on each page: an order's row is written several times within the
// seconds of a checkout, and an update that stays on its page touches no index.
func createTable(t *table) []string {
	var b strings.Builder
	b.WriteString("create table " + t.sql.name + " (\n")
	for i, c := range t.columns {
		b.WriteString("    " + pgx.Identifier{c.name}.Sanitize() + " " + c.pgType)
		if slices.Contains(t.key, i) {
			b.WriteString(" not null")
		}
		b.WriteString(",\n")
	}
	b.WriteString("    spola_at bigint not null,\n    spola_flaw text,\n")
	b.WriteString("    primary key (" + t.keyList() + ")\n) with (fillfactor = 90)")
	return append([]string{b.String()}, ownerIndex(t)...)
}

// ownerIndex is the index that finds an order's or an account's rows, unless the key does.
func ownerIndex(t *table) []string {
	if t.owner < 0 || t.key[0] == t.owner {
		return nil
	}
	return []string{"create index on " + t.sql.name + " (" + pgx.Identifier{t.columns[t.owner].name}.Sanitize() + ")"}
}

func alterTable(old, t *table) []string {
	var actions []string
	for i, c := range t.columns {
		name := pgx.Identifier{c.name}.Sanitize()
		at, known := old.index[c.name]
		switch {
		case !known:
			// A column dropped and added again stands in the mirror still.
			actions = append(actions, "add column if not exists "+name+" "+c.pgType)
		case old.columns[at].pgType != c.pgType:
			actions = append(actions, fmt.Sprintf("alter column %s type %s using %s::text::%s", name, c.pgType, name, c.pgType))
		}
		if known && slices.Contains(old.key, at) && !slices.Contains(t.key, i) {
			actions = append(actions, "alter column "+name+" drop not null")
		}
	}
	for _, c := range old.columns {
		if _, kept := t.index[c.name]; !kept && slices.Contains(old.shape.Key, c.name) {
			actions = append(actions, "alter column "+pgx.Identifier{c.name}.Sanitize()+" drop not null")
		}
	}
	var statements []string
	rekeyed := !slices.Equal(old.shape.Key, t.shape.Key)
	if rekeyed {
		statements = append(statements, dropKey(t))
		actions = append(actions, "add primary key ("+t.keyList()+")")
	}
	if len(actions) > 0 {
		statements = append(statements, "alter table "+t.sql.name+"\n    "+strings.Join(actions, ",\n    "))
	}
	if t.owner >= 0 && (old.owner < 0 || rekeyed) {
		statements = append(statements, ownerIndex(t)...)
	}
	return statements
}

// dropKey drops the primary key, whatever PostgreSQL has called it.
func dropKey(t *table) string {
	return fmt.Sprintf(`do $do$
begin
    execute (select format('alter table %%s drop constraint %%I', conrelid::regclass, conname)
               from pg_constraint where contype = 'p' and conrelid = %s::regclass);
end
$do$`, literal(t.sql.name))
}

// literal quotes a text for a statement that takes no parameters.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
