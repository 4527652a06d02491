package survey

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/spola-cdc/spola/schemas"
)

//go:embed recognise.sql
var recogniseQuery string

// Found is a shop that stands in a database.
type Found struct {
	Platform  string // opencart
	Title     string // OpenCart
	Version   string // as well as its tables tell
	Database  string
	Prefix    string // of its tables
	Supported bool   // Spola can read it
}

func (f Found) String() string {
	text := fmt.Sprintf("%s %s in database %s", f.Title, f.Version, f.Database)
	if f.Prefix != "" {
		return text + ", prefix " + f.Prefix
	}
	return text + ", no prefix"
}

// Recognise lists the shops in a database; in all that the user may read if database is empty.
func Recognise(ctx context.Context, db *sql.DB, database string) ([]Found, error) {
	known, err := schemas.KnownPlatforms()
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, recogniseQuery, database, database)
	if err != nil {
		return nil, fmt.Errorf("list the shop's tables: %w", err)
	}
	defer rows.Close()
	databases := map[string]tables{}
	for rows.Next() {
		var schema, table, column string
		if err := rows.Scan(&schema, &table, &column); err != nil {
			return nil, fmt.Errorf("list the shop's tables: %w", err)
		}
		if databases[schema] == nil {
			databases[schema] = tables{}
		}
		databases[schema][table] = append(databases[schema][table], column)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the shop's tables: %w", err)
	}
	var found []Found
	for schema, has := range databases {
		for _, platform := range known {
			for _, f := range has.recognise(platform) {
				f.Database = schema
				found = append(found, f)
			}
		}
	}
	slices.SortFunc(found, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Platform, b.Platform))
	})
	return found, nil
}

// tables are the tables of a database with their columns.
type tables map[string][]string

// recognise lists the shops of one platform: each prefix with which all its tables are there.
func (t tables) recognise(k schemas.KnownPlatform) (found []Found) {
	for table := range t {
		prefix, ok := strings.CutSuffix(table, k.Tables[0])
		if !ok || slices.ContainsFunc(k.Tables, func(name string) bool { return t[prefix+name] == nil }) {
			continue
		}
		f := Found{Platform: k.Platform, Title: k.Title, Prefix: prefix}
		for _, v := range k.Versions {
			if t.has(prefix, v.Columns) {
				f.Version, f.Supported = v.Version, v.Supported
				break
			}
		}
		found = append(found, f)
	}
	return found
}

// has tells whether all of these columns are there, each written table.column.
func (t tables) has(prefix string, columns []string) bool {
	for _, c := range columns {
		table, column, _ := strings.Cut(c, ".")
		if !slices.Contains(t[prefix+table], column) {
			return false
		}
	}
	return true
}

// Choose takes the shop that is meant from those that were found. prefix is what the user says of
// it, nil if nothing. The error names what was found, and how to choose.
func Choose(all []Found, database string, prefix *string) (Found, error) {
	var fit []Found
	for _, f := range all {
		if prefix == nil || f.Prefix == *prefix {
			fit = append(fit, f)
		}
	}
	where := "in any database that this user may read"
	if database != "" {
		where = "in database " + database
	}
	switch {
	case len(all) == 0:
		return Found{}, fmt.Errorf("no shop was recognised %s: name the database in --shop, and see that the user may read its tables (deploy/grants)", where)
	case len(fit) == 0:
		return Found{}, fmt.Errorf("no shop has tables with prefix %q; found were:%s", *prefix, listed(all))
	case len(fit) > 1:
		return Found{}, fmt.Errorf("there are several shops: name the database in --shop and say --prefix for the one that is meant:%s", listed(fit))
	case !fit[0].Supported:
		return Found{}, fmt.Errorf("%s: not yet supported; %s", fit[0], supported())
	}
	return fit[0], nil
}

func listed(all []Found) string {
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "\n  %s", f)
		if !f.Supported {
			b.WriteString(" (not yet supported)")
		}
	}
	return b.String()
}

// supported says what Spola can read.
func supported() string {
	known, err := schemas.KnownPlatforms()
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, k := range known {
		for _, v := range k.Versions {
			if v.Supported {
				all = append(all, k.Title+" "+v.Version)
			}
		}
	}
	return "Spola reads " + strings.Join(all, ", ")
}
