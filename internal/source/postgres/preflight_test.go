package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/server"
)

func has(findings []Finding, code string) bool {
	for _, f := range findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

// Each thing that keeps a server from being read is found, with what mends it; and once that is
// done it is found no more.
func TestPreflight(t *testing.T) {
	e := newERP(t, server.OwnPostgres(t), stock, Capture{Name: "public.ledger", AppendOnly: true, Optional: true})
	find := func(code, mend string) {
		t.Helper()
		findings, err := Preflight(t.Context(), e.cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.Code == code {
				if f.Severity != Blocking || !strings.Contains(f.Mend, mend) {
					t.Errorf("%s: %+v, want %s", code, f, mend)
				}
				return
			}
		}
		t.Errorf("%s is not found in %+v", code, findings)
	}
	clean := func() {
		t.Helper()
		findings, err := Preflight(t.Context(), e.cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.Severity == Blocking {
				t.Errorf("%+v", f)
			}
		}
	}
	find("table", "GRANT SELECT")
	e.exec("CREATE TABLE stock (id bigint, article_id bigint, note text)")
	find("key", "PRIMARY KEY")
	e.exec("ALTER TABLE stock ADD PRIMARY KEY (id)")
	find("publication", `CREATE PUBLICATION "spola_erp" FOR TABLE "public"."stock"`)
	find("replica_identity", `ALTER TABLE "public"."stock" REPLICA IDENTITY FULL`)
	e.publish()
	clean()
	e.exec("CREATE TABLE ledger (no bigint PRIMARY KEY, note text)") // it appears: it must be published, its old rows need not come
	find("publication_tables", `ADD TABLE "public"."ledger"`)
	e.publish()
	clean()
	e.exec("ALTER PUBLICATION spola_erp SET (publish = 'insert')")
	find("publication_changes", "truncate")
	e.publish()
	e.exec("ALTER PUBLICATION spola_erp SET TABLE stock WHERE (id > 5), ledger")
	find("publication_where", "DROP TABLE")
	e.exec("ALTER PUBLICATION spola_erp SET TABLE stock (id), ledger")
	find("shape", "carry it")
	e.exec("ALTER PUBLICATION spola_erp SET TABLE stock (id, article_id), ledger") // the text is not asked for
	clean()
	e.exec("ALTER PUBLICATION spola_erp SET TABLE stock, ledger")
	e.exec("SELECT pg_create_logical_replication_slot($1, 'test_decoding')", e.cfg.Slot)
	find("slot", "erp.log.slot")
	e.dropSlot()
	e.exec("ALTER TABLE stock REPLICA IDENTITY DEFAULT")
	find("replica_identity", "FULL")
	e.publish()
	clean()
}

// A role without rights learns each of them.
func TestPreflightOfRights(t *testing.T) {
	e, s := privateERP(t, nil)
	e.exec(stockTable)
	e.exec("CREATE ROLE reader LOGIN; CREATE SCHEMA hidden; ALTER TABLE stock SET SCHEMA hidden; ALTER TABLE hidden.stock ENABLE ROW LEVEL SECURITY")
	e.cfg.Tables[0].Name = "hidden.stock"
	admin := e.cfg.URL
	e.cfg.URL = "postgres://reader@" + s.Addr() + "/postgres"
	findings, err := Preflight(t.Context(), e.cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"grant_replication", "grant_select", "row_security", "publication", "replica_identity"} {
		if !has(findings, code) {
			t.Errorf("%s is not found in %+v", code, findings)
		}
	}
	e.start()
	e.stops(ErrPreflight, "REPLICATION")
	known := e.cfg.URL
	e.cfg.URL = "postgres://nobody_knows@" + s.Addr() + "/postgres"
	e.start()
	e.stops(ErrLogin, "erp.log.password_file")
	e.cfg.URL = "postgres://reader@" + s.Addr() + "/not_there"
	e.start()
	e.stops(ErrLogin, "erp.database")
	e.cfg.URL = known
	e.exec("ALTER ROLE reader REPLICATION BYPASSRLS")
	left, err := Make(t.Context(), e.cfg, admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		t.Errorf("still: %+v", f)
	}
	e.start()
	e.snapshotDone(1)
	e.end()
}

// Servers that are not set up.
func TestPreflightOfSettings(t *testing.T) {
	for _, c := range []struct {
		setting, value string
		want           []string
	}{
		{"wal_level", "replica", []string{"wal_level"}},
		{"max_slot_wal_keep_size", "-1", []string{"max_slot_wal_keep_size"}},
		{"max_replication_slots", "0", []string{"max_replication_slots"}},
	} {
		settings := map[string]string{c.setting: c.value}
		s := server.PrivatePostgres(t, settings)
		e := newERP(t, s.URL(), stock)
		findings, err := Preflight(t.Context(), e.cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range c.want {
			if !has(findings, code) {
				t.Errorf("%s = %s: %s is not found in %+v", c.setting, c.value, code, findings)
			}
		}
	}
}

// A slot whose server holds it for a database of another name is not taken for this source's.
func TestSlotOfAnotherDatabase(t *testing.T) {
	e := newERP(t, server.OwnPostgres(t), stock)
	other := server.OwnPostgres(t)
	conn, err := pgx.Connect(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", e.cfg.Slot); err != nil {
		t.Fatal(err)
	}
	findings, err := Preflight(t.Context(), e.cfg)
	if err != nil || !has(findings, "slot") {
		t.Errorf("%+v, %v", findings, err)
	}
}
