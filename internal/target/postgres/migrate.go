package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// migrationLock is the advisory lock that two starting programs queue at.
const migrationLock = 0x73706f6c61 // "spola"

// Migrations is a set of goose migrations for one schema of the ERP's database.
type Migrations struct {
	Name  string // spola, erp: names the version table, spola.migrations_<name>
	Files fs.FS  // numbered .sql files at its top

	// Yields is a routine, as schema.name. Where it is there and this set did not make it, the
	// schema is somebody else's, and the set stays away. Empty: the schema is ours.
	Yields string
}

// Migrate brings the sets to their newest version, in order. Where everything has been applied
// (by an administrator, with `applier migrate`) it only reads, and needs no right to create.
func Migrate(ctx context.Context, url string, sets ...Migrations) error {
	conn, err := Connect(ctx, url, "spola migrate")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, set := range sets {
		if err := set.apply(ctx, conn, url); err != nil {
			return fmt.Errorf("migrate schema %s: %w", set.Name, err)
		}
	}
	return nil
}

// Version tells how far a set has been applied, and the newest version that it has; 0 and 0 where
// it stays away.
func (m Migrations) Version(ctx context.Context, conn *pgx.Conn) (applied, newest int64, err error) {
	if newest, err = m.newest(); err != nil {
		return 0, 0, err
	}
	if applied, err = m.applied(ctx, conn); err != nil || applied > 0 {
		return applied, newest, err
	}
	if yields, err := m.yields(ctx, conn); err != nil || yields {
		return 0, 0, err
	}
	return 0, newest, nil
}

// yields tells whether somebody else offers what the set would make. It is asked before the set
// was applied.
func (m Migrations) yields(ctx context.Context, conn *pgx.Conn) (yields bool, err error) {
	if m.Yields == "" {
		return false, nil
	}
	schema, name, _ := strings.Cut(m.Yields, ".")
	err = conn.QueryRow(ctx, `select exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
		where n.nspname = $1 and p.proname = $2)`, schema, name).Scan(&yields)
	if err != nil {
		return false, explain("look for "+m.Yields, err)
	}
	return yields, nil
}

func (m Migrations) apply(ctx context.Context, conn *pgx.Conn, url string) error {
	applied, newest, err := m.Version(ctx, conn)
	if err != nil {
		return err
	}
	switch {
	case applied == newest:
		return nil
	case applied > newest:
		return &StopError{What: fmt.Sprintf("the database is at version %d, this program knows %d", applied, newest),
			Mend: "run the newer program"}
	}
	return m.up(ctx, conn, url)
}

// newest returns the highest number among the files.
func (m Migrations) newest() (int64, error) {
	names, err := fs.Glob(m.Files, "*.sql")
	if err != nil {
		return 0, err
	}
	var newest int64
	for _, name := range names {
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("migration %s: no number: %w", name, err)
		}
		newest = max(newest, version)
	}
	if newest == 0 {
		return 0, errors.New("no migrations")
	}
	return newest, nil
}

// applied returns the highest version applied, 0 if none.
func (m Migrations) applied(ctx context.Context, conn *pgx.Conn) (int64, error) {
	var version int64
	err := conn.QueryRow(ctx, "select coalesce(max(version_id), 0) from "+m.versions()+" where is_applied").Scan(&version)
	if state, ok := errors.AsType[*pgconn.PgError](err); ok &&
		(state.Code == pgerrcode.UndefinedTable || state.Code == pgerrcode.InvalidSchemaName) {
		return 0, nil
	}
	if err != nil {
		return 0, explain("read version", err)
	}
	return version, nil
}

func (m Migrations) versions() string { return "spola.migrations_" + m.Name }

func (m Migrations) up(ctx context.Context, conn *pgx.Conn, url string) error {
	if err := makeSchema(ctx, conn, "spola"); err != nil {
		return err
	}
	db, err := openSQL(url)
	if err != nil {
		return err
	}
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, m.Files,
		goose.WithTableName(m.versions()), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return explain("apply", err)
	}
	return nil
}

// makeSchema makes a schema that is not there. `if not exists` alone asks for the right to
// create even where nothing is to be created.
func makeSchema(ctx context.Context, conn *pgx.Conn, name string) error {
	var there bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_namespace where nspname = $1)", name).Scan(&there); err != nil {
		return explain("look for schema "+name, err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, "create schema if not exists "+pgx.Identifier{name}.Sanitize()); err != nil {
		// Two that start at once may both find none: the loser's is there then.
		if state, ok := errors.AsType[*pgconn.PgError](err); !ok || state.Code != pgerrcode.UniqueViolation {
			return explain("create schema "+name, err)
		}
	}
	return nil
}

func openSQL(url string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, &StopError{What: "the URL of the ERP's database can't be read", Mend: "write postgres://user:password@host:5432/database"}
	}
	return stdlib.OpenDB(*config), nil
}
