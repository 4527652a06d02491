package intake

import (
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// Everything that the applier and its commands do is done by a role with the rights of
// deploy/grants and no others: it makes no schema, and changes the ERP by the contract only.
func TestGrantedRightsAreEnough(t *testing.T) {
	s := server.PrivatePostgres(t, nil)
	address := func(role, database string) string { return "postgres://" + role + "@" + s.Addr() + "/" + database }
	as := func(role, database string, statements ...string) {
		t.Helper()
		conn, err := postgres.Connect(t.Context(), address(role, database), "test")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		for _, sql := range statements {
			if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
				t.Fatalf("as %s: %v", role, err)
			}
		}
	}
	grants, err := os.ReadFile("../../deploy/grants/erp.postgres.sql")
	if err != nil {
		t.Fatal(err)
	}
	as("postgres", "postgres", "create database erp")
	as("postgres", "erp", string(grants))
	err = postgres.Migrate(t.Context(), address("spola_migrator", "erp"), postgres.Migrations{Name: "spola", Files: sub(t, schemas.Spola, "spola")},
		postgres.Migrations{Name: "erp", Files: sub(t, schemas.ERP, "erp")})
	if err != nil {
		t.Fatal(err)
	}
	as("postgres", "erp", `insert into erp.warehouse (id, code, name, web_rank) values (1, 'W', 'Web', 1);
		with p as (insert into erp.product (code, name) values ('SP-31', 'SP-31') returning id)
		insert into erp.article (product_id, sku, name, vat_rate) select id, 'SP-31', 'SP-31', 22 from p;
		insert into erp.stock (article_id, warehouse_id, on_hand) select id, 1, 1000 from erp.article`)

	erp := &testERP{t: t, name: testShop, url: address("spola_applier", "erp")}
	erp.connect()
	erp.reload(testShopFile)
	profile, _ := testProfile(t)
	shop := newTestShop(profile)
	parked := shop.place(testOrder{lines: []testLine{{50, 17, 1}}}, 1)
	erp.catchUp(shop.testLog, 1000)
	if _, err := GoLive(t.Context(), erp.conn, testShop, Going{From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
		t.Fatal(err)
	}
	erp.inSchemaAnew()
	kept := shop.place(testOrder{lines: []testLine{{31, 0, 2}}}, 1)
	cancelled := shop.place(testOrder{lines: []testLine{{31, 0, 1}}, email: "b@example.com"}, 1)
	shop.tick(1) // with which the orders of before come
	erp.catchUp(shop.testLog, 1000)
	shop.edit(kept, testOrder{lines: []testLine{{31, 0, 3}}})
	shop.setState(cancelled, 7)
	shop.remove(shop.begin(testOrder{lines: []testLine{{31, 0, 1}}}))
	shop.tick(Settle + 1)
	if _, err := RetryParked(t.Context(), erp.conn, testShop, By{Who: "anna@office"}, parked); err != nil {
		t.Fatal(err)
	}
	erp.catchUp(shop.testLog, 1000)
	erp.want("pieces committed", "3", "select sum(committed) from erp.availability")
	erp.want("parked", "unknown_article", "select string_agg(reason, ' ') from spola.parked")
	if _, err := ResolveParked(t.Context(), erp.conn, testShop, parked, Drop, By{Who: "anna", Reason: "no such size"}); err != nil {
		t.Fatal(err)
	}
	shop.anonymise(0, cancelled)
	erp.catchUp(shop.testLog, 1000)
	for _, dry := range []bool{true, false} {
		if done, err := erp.erase(Erasure{Email: "b@example.com", Subject: "e-mail x", DryRun: dry}); err != nil || done.Orders != 1 || !done.ERP {
			t.Fatalf("erase, dry %v: %+v, %v", dry, done, err)
		}
	}
	erp.want("the ERP's orders of an erased customer", "0", "select count(*) from erp.sales_order where email = 'b@example.com'")
	as("spola_reader", "erp", "select * from canonical_shop.stock", "select * from mirror_shop.oc_order")
}

// inSchemaAnew installs the canonical schema once more, as a new version of the program does.
func (e *testERP) inSchemaAnew() {
	e.t.Helper()
	if err := e.inTx(func(tx pgx.Tx) error { return e.effect.intake.install(e.t.Context(), tx, true) }); err != nil {
		e.t.Fatal(err)
	}
}
