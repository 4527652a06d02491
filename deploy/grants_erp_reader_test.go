package deploy_test

import (
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

	// The owner of the tables adds one that a later version brings.
	run(t, openERP(t, s, "spola_migrator", "erp"),
		"CREATE TABLE erp.later (id bigint PRIMARY KEY); ALTER PUBLICATION spola_erp ADD TABLE erp.later")
}
