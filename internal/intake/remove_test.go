package intake

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// remove runs every statement of the footprint, and returns what it was of and what stays.
func remove(t *testing.T, conn *pgx.Conn, shop string, named ...string) (went []string, stays string) {
	t.Helper()
	f, err := FootprintOf(t.Context(), conn, shop, named...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Removals {
		if _, err := conn.PgConn().Exec(t.Context(), r.Statement).ReadAll(); err != nil {
			t.Errorf("%s: %v", r.What, err)
		}
		went = append(went, r.What)
	}
	return went, strings.Join(f.Stays, "; ")
}

// An administrator takes away schemas, publication and roles; the reference ERP, which a role of
// Spola's owned, stays whole, and a later return finds it.
func TestRemovedByAnAdministrator(t *testing.T) {
	s := server.PrivatePostgres(t, nil)
	address := func(role, database string) string { return "postgres://" + role + "@" + s.Addr() + "/" + database }
	first, err := postgres.Connect(t.Context(), address("postgres", "postgres"), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close(t.Context())
	grants, err := os.ReadFile("../../deploy/grants/erp.postgres.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Exec(t.Context(), "create database erp"); err != nil {
		t.Fatal(err)
	}
	admin, err := postgres.Connect(t.Context(), address("postgres", "erp"), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	exec := func(sql string) {
		t.Helper()
		if _, err := admin.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	exec(string(grants))
	migrate := func(role string) error {
		return postgres.Migrate(t.Context(), address(role, "erp"), postgres.Migrations{Name: "spola", Files: sub(t, schemas.Spola, "spola")},
			postgres.Migrations{Name: "erp", Files: sub(t, schemas.ERP, "erp")})
	}
	if err := migrate("spola_migrator"); err != nil {
		t.Fatal(err)
	}
	erp := &testERP{t: t, name: testShop, url: address("spola_applier", "erp")}
	erp.connect()
	erp.reload(testShopFile)
	profile, _ := testProfile(t)
	erp.catchUp(newTestShop(profile).testLog, 1000)
	tables := "select count(*) from pg_class where relnamespace = 'erp'::regnamespace"
	before := erp.text(tables)
	_ = erp.conn.Close(t.Context())

	reader, err := os.ReadFile("../../deploy/grants/erp-reader.postgres.sql")
	if err != nil {
		t.Fatal(err)
	}
	exec(string(reader))
	exec("select pg_create_logical_replication_slot(n, 'pgoutput') from unnest('{of_its_own,spola_erp,somebody_elses}'::text[]) n")
	exec("create publication read_here for table erp.stock; create publication not_ours for table erp.stock")

	went, stays := remove(t, admin, testShop, "of_its_own", "read_here")
	want := "schema canonical_shop, schema mirror_shop, replication slot of_its_own, replication slot spola_erp, publication read_here, publication spola_erp, schema spola: links, settings, what is parked, role spola_applier, role spola_cdc, role spola_migrator, role spola_reader"
	if got := strings.Join(went, ", "); got != want {
		t.Errorf("it took away\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(stays, "0 orders and 0 customers") || !strings.Contains(stays, "spola.migrations_erp") ||
		!strings.Contains(stays, "alter table erp.stock replica identity default") || !strings.Contains(stays, "spola.audit") {
		t.Errorf("it says that this stays: %s", stays)
	}
	erp = &testERP{t: t, conn: admin}
	erp.want("roles, publications and slots", "0 not_ours somebody_elses", `select (select count(*) from pg_roles where rolname like 'spola%') || ' ' ||
		(select string_agg(pubname, ' ') from pg_publication) || ' ' || (select string_agg(slot_name, ' ') from pg_replication_slots)`)
	exec("select pg_drop_replication_slot('somebody_elses')")
	erp.want("the ERP", before, tables)
	if err := migrate("postgres"); err != nil {
		t.Errorf("coming back: %v", err)
	}
}

// Where two shops share an ERP, one goes with its own rows only.
func TestOneOfTwoShopsIsRemoved(t *testing.T) {
	shop, erp := bothLive(t)
	shop.place(testOrder{lines: twoLines}, 1)
	erp.catchUp(shop.testLog, 1000)
	erp.exec("insert into spola.shop (shop, platform, prefix) values ('second', 'opencart', 'oc_')")
	erp.exec("insert into spola.link (shop, order_id, incarnation, reference, fingerprint, status, state, method, revision, content, consuming) values ('second', 1, 1, 'r', 'f', 'seen', '1', 'cod', 1, '', false)")
	_, stays := remove(t, erp.conn, testShop)
	if !strings.Contains(stays, "1 other shops use them") {
		t.Errorf("it says that this stays: %s", stays)
	}
	erp.want("shops", "second second", "select (select string_agg(shop, ' ') from spola.shop) || ' ' || (select string_agg(shop, ' ') from spola.link)")
	erp.want("schemas", "0", "select count(*) from pg_namespace where nspname in ('mirror_shop', 'canonical_shop')")
	erp.want("orders", "1", "select count(*) from erp.sales_order")
}
