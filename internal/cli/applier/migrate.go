package applier

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// MigrateDatabase brings the bridge's own tables and the reference ERP to this program's version.
func MigrateDatabase(ctx context.Context, cfg config.Config) error {
	sets, err := Migrations()
	if err != nil {
		return err
	}
	err = postgres.Migrate(ctx, cfg.ERP.URL(), sets...)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == pgerrcode.InsufficientPrivilege {
		return &postgres.StopError{What: "migrate the ERP's database", Err: refused,
			Mend: "run `applier migrate --user spola_migrator` with that role's password in SPOLA_ERP_PASSWORD (deploy/grants/erp.postgres.sql makes it), then start again"}
	}
	return err
}

// versions are those of the ERP's database and of this program, by set.
func versions(ctx context.Context, cfg config.Config) (m migrated, err error) {
	sets, err := Migrations()
	if err != nil {
		return m, err
	}
	conn, err := postgres.Connect(ctx, cfg.ERP.URL(), "spola command")
	if err != nil {
		return m, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	m = migrated{Versions: map[string]int64{}, Newest: map[string]int64{}}
	for _, set := range sets {
		if m.Versions[set.Name], m.Newest[set.Name], err = set.Version(ctx, conn); err != nil {
			return m, err
		}
	}
	return m, nil
}

// upToDate refuses a database that was migrated in part, or by another version: what a verb asks may not be there.
func upToDate(ctx context.Context, conn *pgx.Conn) error {
	sets, err := Migrations()
	if err != nil {
		return err
	}
	for _, set := range sets {
		switch applied, newest, err := set.Version(ctx, conn); {
		case err != nil:
			return err
		case applied < newest:
			return fmt.Errorf("schema %s of the ERP's database is at version %d, this program needs %d: run `applier migrate`", set.Name, applied, newest)
		case applied > newest:
			return fmt.Errorf("schema %s of the ERP's database is at version %d, this program knows %d: run the newer program", set.Name, applied, newest)
		}
	}
	return nil
}

// Migrations are this program's sets of migrations, in the order in which they are applied.
func Migrations() ([]postgres.Migrations, error) {
	var sets []postgres.Migrations
	for _, s := range []struct {
		name   string
		files  fs.FS
		yields string // an ERP of one's own offers the contract itself
	}{{name: "spola", files: schemas.Spola}, {name: "erp", files: schemas.ERP, yields: "erp.import_orders"}} {
		files, err := fs.Sub(s.files, s.name)
		if err != nil {
			return nil, fmt.Errorf("migrations of schema %s: %w", s.name, err)
		}
		sets = append(sets, postgres.Migrations{Name: s.name, Files: files, Yields: s.yields})
	}
	return sets, nil
}
