package survey

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"html"
	"slices"
	"strings"
	"sync"

	"github.com/spola-cdc/spola/internal/source/mysql"
)

// reading runs a platform's statements. It is safe for concurrent use.
type reading struct {
	db         *sql.DB
	statements map[string]string

	mu      sync.Mutex
	refused []string
}

// scan takes the columns of a row.
type scan = func(into ...any) error

// statements are those of a file by the name in the line above each.
func statements(text, prefix string) map[string]string {
	all, name := map[string]string{}, ""
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "{prefix}", prefix), "\n") {
		if found, ok := strings.CutPrefix(line, "-- name: "); ok {
			name = found
		} else if name != "" && !strings.HasPrefix(line, "-- ") {
			all[name] += line + "\n"
		}
	}
	return all
}

// from bounds all statements to orders placed on a day or later.
func (r *reading) from(ctx context.Context, since string) error {
	first := "0"
	if since != "" {
		if err := r.db.QueryRowContext(ctx, r.statements["first order"], since).Scan(&first); err != nil {
			return fmt.Errorf("look for the first order since %s: %w", since, err)
		}
	}
	for name, text := range r.statements {
		r.statements[name] = strings.ReplaceAll(text, "{first}", first)
	}
	return nil
}

// each gives the rows of a statement to do. A refused statement has no rows, and is remembered.
func (r *reading) each(ctx context.Context, name string, do func(scan) error) error {
	text, ok := r.statements[name]
	if !ok {
		return fmt.Errorf("the platform has no statement %q", name)
	}
	rows, err := r.db.QueryContext(ctx, text)
	if mysql.IsRefused(err) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.refused = append(r.refused, fmt.Sprintf("%s: %v", name, err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the shop's %s: %w", name, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return fmt.Errorf("read the shop's %s: %w", name, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the shop's %s: %w", name, err)
	}
	return nil
}

// one reads a statement's rows into a slice.
func one[T any](r *reading, name string, into *[]T, columns func(*T) []any) func(context.Context) error {
	return func(ctx context.Context) error {
		return r.each(ctx, name, func(scan scan) error {
			var x T
			err := scan(columns(&x)...)
			*into = append(*into, x)
			return err
		})
	}
}

// server names the shop's server and its version.
func (r *reading) server(ctx context.Context, into *string) error {
	var version string
	if err := r.db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return fmt.Errorf("ask the shop's server for its version: %w", err)
	}
	number, _, _ := strings.Cut(version, "-")
	product := "MySQL"
	if strings.Contains(version, "MariaDB") {
		product = "MariaDB"
	}
	*into = product + " " + number
	return nil
}

// unread lists what was refused.
func (r *reading) unread() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.refused)
	return r.refused
}

// list is a column of several texts, a line each.
type list []string

// Scan splits.
func (l *list) Scan(value any) error {
	text, err := textOf(value)
	if text != "" {
		*l = strings.Split(html.UnescapeString(text), "\n") // a shop stores texts as HTML has them
	}
	return err
}

// escaped is a text cut out of JSON, with its escapes.
type escaped string

// Scan undoes the escapes; what is no JSON stays as it is.
func (e *escaped) Scan(value any) error {
	text, err := textOf(value)
	var plain string
	if json.Unmarshal([]byte(`"`+text+`"`), &plain) != nil {
		plain = text
	}
	*e = escaped(html.UnescapeString(plain))
	return err
}

func textOf(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case []byte:
		return string(v), nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%T is no text", value)
}
