package intake

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"
	"text/template"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/schemas"
)

var (
	//go:embed empty.postgres.sql
	emptySQL string
	//go:embed derive.postgres.sql
	deriveSQL string
	//go:embed customers.postgres.sql
	customersSQL string
	//go:embed articles.postgres.sql
	articlesInSQL string
	//go:embed resolve.postgres.sql
	resolveSQL string
	//go:embed replay.postgres.sql
	replaySQL string
)

// Settle is how many ticks of the source's clock a cancellation must stand before it counts.
const Settle = 3

// Schema is the name of a shop's canonical schema.
func Schema(shop string) string { return "canonical_" + shop }

// render makes the SQL of a shop's canonical schema: it is emptied, then filled with the platform's
// file and the functions that are the same for all.
func render(shop, prefix string, dir fs.FS) (string, error) {
	empty, err := fill(shop, Schema(shop), emptySQL, nil)
	if err != nil {
		return "", err
	}
	all, err := renderOver(shop, Schema(shop), dir, func(name string) string { return pgx.Identifier{mirror.Schema(shop), prefix + name}.Sanitize() })
	return empty + all, err
}

// renderOver makes the SQL of an empty schema, over tables of a mirror.
func renderOver(shop, schema string, dir fs.FS, table func(name string) string) (string, error) {
	platform := map[string]string{}
	for _, name := range []string{schemas.CanonicalFile, schemas.CatalogueFile, schemas.AccountsFile} {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return "", fmt.Errorf("canonical schema of %s: %w", shop, err)
		}
		platform[name] = string(text)
	}
	var sql strings.Builder
	for _, text := range []string{platform[schemas.CanonicalFile], platform[schemas.CatalogueFile], platform[schemas.AccountsFile], stock.LawSQL, deriveSQL, customersSQL, resolveSQL, articlesInSQL, replaySQL} {
		filled, err := fill(shop, schema, text, table)
		if err != nil {
			return "", err
		}
		sql.WriteString(filled)
	}
	return sql.String(), nil
}

// fill fills a template of SQL.
func fill(shop, schema, text string, table func(name string) string) (string, error) {
	functions := template.FuncMap{
		"table":  table,
		"marker": func() string { return pgx.Identifier{mirror.Schema(shop), mirror.Marker}.Sanitize() },
	}
	if table == nil {
		functions["table"] = func(name string) (string, error) { return "", fmt.Errorf("table %s: no mirror is meant", name) }
	}
	var sql strings.Builder
	t, err := template.New(schemas.CanonicalFile).Funcs(functions).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", fmt.Errorf("canonical schema of %s: %w", shop, err)
	}
	if err := t.Execute(&sql, map[string]any{"Shop": shop, "Schema": schema, "Settle": Settle}); err != nil {
		return "", fmt.Errorf("canonical schema of %s: %w", shop, err)
	}
	sql.WriteString("\n")
	return sql.String(), nil
}

// canonical is the SQL of the shop's canonical schema, and its checksum.
func (in *Intake) canonical() (sql, digest string, err error) {
	if sql, err = render(in.shop, in.prefix, in.platform); err != nil {
		return "", "", err
	}
	sum := sha256.Sum256([]byte(sql))
	return sql, hex.EncodeToString(sum[:]), nil
}

// install makes the canonical schema anew unless it stands there as this program and the shape
// of the mirror want it. Nothing of a merchant's own belongs into it: all that it holds is dropped.
func (in *Intake) install(ctx context.Context, tx pgx.Tx, force bool) error {
	sql, want, err := in.canonical()
	if err != nil {
		return err
	}
	var stands bool
	err = tx.QueryRow(ctx, `select s.installed = $2 and exists (select from pg_namespace where nspname = $3)
		from spola.shop s where s.shop = $1 for update`, in.shop, want, Schema(in.shop)).Scan(&stands)
	if err != nil {
		return in.failed("look for the canonical schema", err)
	}
	if stands && !force {
		return nil
	}
	if _, err := tx.Conn().PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return in.failed("install the canonical schema", err)
	}
	if _, err := tx.Exec(ctx, "update spola.shop set installed = $2 where shop = $1", in.shop, want); err != nil {
		return in.failed("note the canonical schema", err)
	}
	return nil
}
