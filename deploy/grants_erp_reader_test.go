package deploy_test

import (
	"database/sql"
	"errors"
	"os"
	"testing"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/source/postgres"
	target "github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// The reader of the ERP's log finds everything set up, reads the published tables and the
// write-ahead log, and may do nothing else.
func TestERPReaderGrants(t *testing.T) {
	s := server.PrivatePostgres(t, nil)
	run(t, openERP(t, s, "postgres", "postgres"), "CREATE DATABASE erp")
	admin := openERP(t, s, "postgres", "erp")
	for _, file := range []string{"grants/erp.postgres.sql", "", "grants/erp-reader.postgres.sql"} {
		if file == "" {
			if err := target.Migrate(t.Context(), address(s, "spola_migrator", "erp"), migrations(t, schemas.Spola, "spola"), migrations(t, schemas.ERP, "erp")); err != nil {
				t.Fatal(err)
			}
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		run(t, admin, string(text))
	}

	cfg, err := config.Load("spola.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	source, err := cdc.ERPSource(cfg, "", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	source.URL = address(s, cfg.ERP.Log.User, "erp")
	findings, err := postgres.Preflight(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Errorf("preflight: %+v", f)
	}

	reader := openERP(t, s, "spola_cdc", "erp")
	allow(t, reader,
		"SELECT * FROM erp.stock",
		"SELECT pg_logical_emit_message(true, 'spola.cdc', '{}')",
		"SELECT pg_create_logical_replication_slot('spola_erp', 'pgoutput')",
		"SELECT pg_drop_replication_slot('spola_erp')")
	refuse(t, reader,
		"SELECT * FROM erp.customer",
		"SELECT * FROM spola.place",
		"UPDATE erp.stock SET on_hand = 0",
		"INSERT INTO erp.warehouse VALUES (2, 'RM', 'Roma', 2)",
		"TRUNCATE erp.stock",
		"ALTER TABLE erp.stock REPLICA IDENTITY DEFAULT",
		"ALTER PUBLICATION spola_erp DROP TABLE erp.stock",
		"CREATE TABLE erp.another (id int)",
		"CREATE TABLE public.another (id int)",
		"CREATE SCHEMA another",
		"SELECT erp.import_customers(array[]::erp.customer_in[])")

	exactRights(t, admin)

	// The owner of the tables adds one that a later version brings.
	run(t, openERP(t, s, "spola_migrator", "erp"),
		"CREATE TABLE erp.later (id bigint PRIMARY KEY); ALTER PUBLICATION spola_erp ADD TABLE erp.later")
}

// exactRights looks through the whole catalogue: whatever a migration makes, each role can do no more with it than its file says.
func exactRights(t *testing.T, admin *sql.DB) {
	t.Helper()
	const relations = "from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as r (what) where n.nspname in ('erp', 'spola') and c.relkind in ('r', 'v', 'm', 'p') and "
	for _, c := range []struct{ what, query string }{
		{"spola_cdc reads what is not published, or writes", "select c.oid::regclass || ' ' || r.what " + relations + `has_table_privilege('spola_cdc', c.oid, r.what)
			and not (r.what = 'SELECT' and exists (select from pg_publication_rel p where p.prrelid = c.oid))`},
		{"spola_reader writes", "select c.oid::regclass || ' ' || r.what " + relations + "r.what <> 'SELECT' and has_table_privilege('spola_reader', c.oid, r.what)"},
		{"spola_applier writes the ERP past the contract", "select c.oid::regclass || ' ' || r.what " + relations + `r.what <> 'SELECT' and has_table_privilege('spola_applier', c.oid, r.what)
			and not (n.nspname = 'spola' and r.what in ('INSERT', 'UPDATE', 'DELETE'))`},
		{"runs with its owner's rights, for who needs it not", `select p.oid::regprocedure || ' ' || r.name from pg_proc p cross join unnest(array['spola_cdc', 'spola_reader', 'public']) as r (name)
			where p.prosecdef and p.pronamespace in ('erp'::regnamespace, 'spola'::regnamespace) and has_function_privilege(r.name, p.oid, 'EXECUTE')`},
		{"runs with its owner's rights, and by its caller's search_path", `select p.oid::regprocedure::text from pg_proc p
			where p.prosecdef and p.pronamespace in ('erp'::regnamespace, 'spola'::regnamespace) and not coalesce(p.proconfig, '{}') @> array['search_path=""']`},
		{"is a superuser, makes roles or databases, or reads past what rows are shown", `select rolname || '' from pg_roles where rolname like 'spola%' and (rolsuper or rolcreaterole or rolcreatedb or rolbypassrls)`},
		{"may read the write-ahead log", "select rolname || '' from pg_roles where rolname like 'spola%' and rolname <> 'spola_cdc' and rolreplication"},
		{"is a member of another role", "select m.member::regrole || ' ' || m.roleid::regrole from pg_auth_members m where m.member::regrole::text like 'spola%'"},
	} {
		rows, err := admin.Query(c.query)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		for rows.Next() {
			var found string
			if err := rows.Scan(&found); err != nil {
				t.Fatal(err)
			}
			t.Errorf("%s: %s", c.what, found)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, role := range []string{"spola_applier", "spola_reader"} { // the questions find something at all
		var n int
		if err := admin.QueryRow("select count(*) "+relations+"has_table_privilege($1, c.oid, r.what)", role).Scan(&n); err != nil || n < 20 {
			t.Errorf("%s has %d rights on tables, %v", role, n, err)
		}
	}
}
