package intake

import (
	"context"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/erp"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// bench is an ERP's database with an intake over it.
type testERP struct {
	t       testing.TB
	name    string // of the shop whose intake it is
	url     string
	conn    *pgx.Conn
	effect  *Effect
	applied int64
	done    int // transactions of the log applied
	sum     Taken
	started bool
	turns   *turns // nil: one batch behind the other
	kept    *keptERP
}

// keptERP is an ERP's database as it stood when a shop with nothing but its catalogue and settings went live.
type keptERP struct {
	txs     [][]change.Record // that had been applied
	applied int64
	restore string // the statement that brings all tables back
}

func testProfile(t testing.TB) (*schemas.Profile, fs.FS) {
	t.Helper()
	profile, dir, err := schemas.Platform("opencart")
	if err != nil {
		t.Fatal(err)
	}
	return profile, dir
}

func sub(t testing.TB, fsys fs.FS, dir string) fs.FS {
	t.Helper()
	s, err := fs.Sub(fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newTestERP(t testing.TB) *testERP {
	t.Helper()
	e := &testERP{t: t, name: testShop, url: erp.Database(t, "spola", "erp")}
	e.connect()
	e.exec(`insert into erp.warehouse (id, code, name, web_rank) values (1, 'W', 'Web', 1)`)
	for _, id := range []int64{31, 41, 42, 43} {
		e.article(testProducts[id].model)
	}
	e.reload(testShopFile)
	return e
}

// connect opens a new connection, as an applier does whenever it starts.
func (e *testERP) connect() {
	e.t.Helper()
	if e.conn != nil {
		_ = e.conn.Close(context.Background())
	}
	conn, err := postgres.Connect(e.t.Context(), e.url, "test")
	if err != nil {
		e.t.Fatal(err)
	}
	e.conn = conn
	e.t.Cleanup(func() { _ = conn.Close(context.Background()) })
}

func (e *testERP) article(sku string) {
	e.t.Helper()
	e.exec(`with p as (insert into erp.product (code, name) values ($1, $1) returning id)
		insert into erp.article (product_id, sku, name, vat_rate) select id, $1, $1, 22 from p`, sku)
	e.exec(`insert into erp.stock (article_id, warehouse_id, on_hand) select id, 1, 1000 from erp.article where sku = $1`, sku)
}

// reload starts the applier anew, with this shop file.
func (e *testERP) reload(file string) {
	e.t.Helper()
	f, err := ParseShopFile([]byte(file))
	if err != nil {
		e.t.Fatal(err)
	}
	profile, dir := testProfile(e.t)
	in, err := New(e.name, "oc_", f, profile, dir)
	if err != nil {
		e.t.Fatal(err)
	}
	e.effect = NewEffect(in, func(t Taken) {
		e.sum.Orders += t.Orders
		e.sum.Articles = append(e.sum.Articles, t.Articles...)
		if e.turns != nil {
			e.turns.early += t.early
		}
	})
	if e.turns != nil {
		e.effect.few = few{}
	}
	e.started = false
}

// catchUp applies what the log has beyond what was applied, in batches of at most n transactions.
func (e *testERP) catchUp(l *testLog, n int) {
	e.t.Helper()
	if err := e.tryCatchUp(l, n); err != nil {
		e.t.Fatal(err)
	}
}

func (e *testERP) tryCatchUp(l *testLog, n int) error {
	ctx := e.t.Context()
	if !e.started {
		e.connect()
		if err := e.inTx(func(tx pgx.Tx) error { return e.effect.Start(ctx, tx) }); err != nil {
			return err
		}
		e.started = true
	}
	for e.done < len(l.txs) {
		part := e.effect.Part(e.applied)
		count, records := 0, 0
		for e.done+count < len(l.txs) && count < n {
			tx := l.txs[e.done+count]
			if count > 0 && part.Splits(tx) {
				break
			}
			if err := part.Add(tx); err != nil {
				return err
			}
			records += len(tx)
			count++
		}
		work := func(tx pgx.Tx) error {
			// As an applier does first of all: whoever wants its turn waits.
			if _, err := tx.Exec(ctx, "update spola.place set moved_at = now() where applier = 'intake' and source = $1", e.name); err != nil {
				return err
			}
			return part.Apply(ctx, tx, true)
		}
		var err error
		if e.turns != nil {
			err = e.turn(part.(apply.Early[pgx.Tx]), work, e.done+count == len(l.txs))
		} else {
			err = e.inTx(work)
		}
		if err != nil {
			e.started = false
			return err
		}
		e.applied += int64(records)
		e.done += count
	}
	return nil
}

func (e *testERP) inTx(do func(pgx.Tx) error) error {
	return postgres.InTransaction(e.t.Context(), e.conn, do)
}

func (e *testERP) exec(sql string, args ...any) {
	e.t.Helper()
	if _, err := e.conn.Exec(e.t.Context(), sql, args...); err != nil {
		e.t.Fatalf("%s: %v", sql, err)
	}
}

// text runs a query for one text.
func (e *testERP) text(sql string, args ...any) string {
	e.t.Helper()
	var text *string
	err := e.conn.QueryRow(e.t.Context(), "select ("+sql+")::text", args...).Scan(&text)
	if err != nil {
		e.t.Fatalf("%s: %v", sql, err)
	}
	if text == nil {
		return ""
	}
	return *text
}

func (e *testERP) live() {
	e.t.Helper()
	e.exec("update spola.shop set mode = 'live', cut = '2026-01-01'")
}

// liveBehind brings the ERP to where the log's first transactions are applied and the shop is live, whatever has happened to it. They
// are applied once; from then on all tables get back what they held then, over the same connection, so that a
// history costs its own orders, and no schema and no plans.
func (e *testERP) liveBehind(txs [][]change.Record) {
	e.t.Helper()
	e.reload(testShopFile)
	if e.kept == nil {
		e.catchUp(&testLog{txs: txs}, 1000)
		e.live()
		e.keep(txs)
		return
	}
	if !reflect.DeepEqual(e.kept.txs, txs) {
		e.t.Fatal("a log that begins otherwise than the one that was kept")
	}
	e.exec("drop schema if exists mirror_outlet cascade") // a second shop's
	e.exec(e.kept.restore)
	conns := []*pgx.Conn{e.conn}
	if e.turns != nil {
		conns = e.turns.conns[:]
	}
	for _, conn := range conns { // a mirror that starts prepares its own
		if _, err := conn.Exec(e.t.Context(), `do $$ declare name text; begin
			for name in select p.name from pg_prepared_statements p where p.name like 'spola\_%' loop
				execute 'deallocate ' || name;
			end loop;
		end $$`); err != nil {
			e.t.Fatal(err)
		}
	}
	e.applied, e.done = e.kept.applied, len(txs)
	if err := e.inTx(func(tx pgx.Tx) error { return e.effect.Start(e.t.Context(), tx) }); err != nil {
		e.t.Fatal(err)
	}
	e.started = true
}

// keep copies all tables of the database.
func (e *testERP) keep(txs [][]change.Record) {
	e.t.Helper()
	const tables = `from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind = 'r' and (n.nspname in ('erp', 'spola') or n.nspname like 'mirror\_%')`
	e.exec(e.text(`select 'create schema kept; ' || string_agg(format('create table kept.%I as table %I.%I;', n.nspname || '.' || c.relname, n.nspname, c.relname), ' ') ` + tables))
	e.kept = &keptERP{txs: slices.Clone(txs), applied: e.applied}
	// Neither keys nor triggers look at it: it is what stood there before.
	e.kept.restore = e.text(`select 'do $$ begin set local session_replication_role = replica; ' || string_agg(format(
		'delete from %1$I.%2$I; insert into %1$I.%2$I overriding system value table kept.%3$I;', n.nspname, c.relname, n.nspname || '.' || c.relname), ' ') || ' end $$' ` + tables)
}

func (e *testERP) want(what, want, sql string, args ...any) {
	e.t.Helper()
	if got := e.text(sql, args...); got != want {
		e.t.Errorf("%s: %s, want %s%s", what, got, want, e.parkedNote())
	}
}

func (e *testERP) parkedNote() string {
	note := e.text("select string_agg(format('order %s: %s: %s', order_id, reason, what), '; ') from spola.parked")
	if note == "" {
		return ""
	}
	return fmt.Sprintf(" (parked: %s)", note)
}

func TestGuestOrder(t *testing.T) {
	profile, _ := testProfile(t)
	shop, erp := newTestShop(profile), newTestERP(t)
	erp.catchUp(shop.testLog, 1000)
	erp.live()
	id := shop.place(testOrder{lines: []testLine{{31, 0, 2}, {41, 0, 1}}}, 1)
	erp.catchUp(shop.testLog, 1)
	// 146.080036: goods and shipping at 22 %: 36.0800, at 10 %: 110.
	erp.want("orders", "1", "select count(*) from erp.sales_order")
	erp.want("total", "14608", "select total from erp.sales_order where shop_number = $1", fmt.Sprint(id))
	erp.want("VAT", "10.000/11000/10000/1000 22.000/3608/2957/651",
		"select string_agg(concat_ws('/', vat_rate, gross, net, vat), ' ' order by vat_rate) from erp.order_vat")
	erp.want("text", `Schermo 30" & più`, "select min(name) from erp.order_line")
	erp.want("street", "Via Roma & Co. 1", "select (shipping).street from erp.sales_order")
	erp.want("placed at", "2026-11-24 07:00:01+00", "select placed_at from erp.sales_order")
	erp.want("to collect", "to_collect/14608", "select string_agg(concat_ws('/', kind, amount), ' ') from erp.order_payment")
	erp.want("consumption", "product:31=2 product:41=1", "select string_agg(stock_row || '=' || k, ' ' order by stock_row) from spola.stock_total")
	erp.want("committed", "3", "select sum(quantity) from erp.commitment")
	erp.want("parked", "0", "select count(*) from spola.parked")
}
