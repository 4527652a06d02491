package deploy_test

import (
	"database/sql"
	"io/fs"
	"os"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// The migrator makes the tables, the applier works in them and makes tables in its shop's
// schemas only, the reader looks.
func TestERPGrants(t *testing.T) {
	s := server.PrivatePostgres(t, nil)
	admin := openERP(t, s, "postgres", "postgres")
	run(t, admin, "CREATE DATABASE erp")
	grants, err := os.ReadFile("grants/erp.postgres.sql")
	if err != nil {
		t.Fatal(err)
	}
	run(t, openERP(t, s, "postgres", "erp"), string(grants))
	sets := []postgres.Migrations{migrations(t, schemas.Spola, "spola"), migrations(t, schemas.ERP, "erp")}
	if err := postgres.Migrate(t.Context(), address(s, "spola_migrator", "erp"), sets...); err != nil {
		t.Fatalf("migrate as spola_migrator: %v", err)
	}
	if err := postgres.Migrate(t.Context(), address(s, "spola_applier", "erp"), sets...); err != nil {
		t.Errorf("the applier finds everything migrated and still fails: %v", err)
	}

	applier := openERP(t, s, "spola_applier", "erp")
	applier.SetMaxOpenConns(1)
	allow(t, applier,
		"INSERT INTO spola.place (applier, source) VALUES ('intake', 'shop')",
		"UPDATE spola.place SET seq = 1",
		"CREATE TABLE mirror_shop.oc_order (order_id int PRIMARY KEY)",
		"ALTER TABLE mirror_shop.oc_order ADD note text",
		"CREATE TEMPORARY TABLE staging (id int)",
		"CREATE VIEW canonical_shop.orders AS SELECT order_id FROM mirror_shop.oc_order",
		"SELECT erp.import_customers(array[row('c', 'private', '', '', '', '', '', '', '', '', '', '', null)]::erp.customer_in[])",
		"SELECT erp.cancel_orders(array[row('o', '')]::erp.order_cancel_in[])",
		"SELECT * FROM erp.customers")
	refuse(t, applier,
		"CREATE TABLE spola.another (id int)",
		"CREATE TABLE erp.another (id int)",
		"CREATE TABLE public.another (id int)",
		"CREATE SCHEMA another",
		"DROP TABLE spola.place",
		"TRUNCATE erp.warehouse",
		"INSERT INTO erp.warehouse VALUES (1, 'MI', 'Milano', 1)",
		"UPDATE erp.customer SET email = ''",
		"SELECT erp.put_articles(array[row('P', 'P', 'S', '', 'A', 22, 0, null, null, null, null, null, null, null)]::erp.article_in[])",
		"ALTER TABLE erp.warehouse ADD note text",
		"CREATE ROLE another")

	reader := openERP(t, s, "spola_reader", "erp")
	allow(t, reader,
		"SELECT * FROM spola.place",
		"SELECT * FROM erp.warehouse",
		"SELECT note FROM mirror_shop.oc_order",
		"SELECT * FROM canonical_shop.orders")
	refuse(t, reader,
		"DELETE FROM spola.place",
		"SELECT erp.import_customers(array[]::erp.customer_in[])",
		"INSERT INTO erp.warehouse VALUES (2, 'RM', 'Roma', 2)",
		"UPDATE mirror_shop.oc_order SET note = ''",
		"CREATE TABLE mirror_shop.another (id int)",
		"DROP VIEW canonical_shop.orders")

	refuse(t, openERP(t, s, "spola_migrator", "erp"),
		"SELECT note FROM mirror_shop.oc_order",
		"DROP SCHEMA mirror_shop CASCADE",
		"CREATE TABLE public.another (id int)",
		"CREATE ROLE another")
	for _, role := range []string{"spola_migrator", "spola_applier", "spola_reader"} { // nothing of the server's machine
		refuse(t, openERP(t, s, role, "erp"),
			"SELECT pg_read_file('/etc/passwd')",
			"COPY (SELECT 1) TO PROGRAM 'true'",
			"COPY (SELECT 1) TO '/tmp/spola'",
			"ALTER SYSTEM SET log_statement = 'all'",
			"SELECT pg_create_logical_replication_slot('another', 'pgoutput')")
	}
}

func migrations(t *testing.T, files fs.FS, name string) postgres.Migrations {
	t.Helper()
	sub, err := fs.Sub(files, name)
	if err != nil {
		t.Fatal(err)
	}
	return postgres.Migrations{Name: name, Files: sub}
}

func address(s *server.Server, role, database string) string {
	return "postgres://" + role + "@" + s.Addr() + "/" + database
}

func openERP(t *testing.T, s *server.Server, role, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", address(s, role, database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
