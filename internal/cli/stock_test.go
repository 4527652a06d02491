package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/deploy"
	"github.com/spola-cdc/spola/internal/lab/clerk"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/schemas"
)

// law is what the law says of all rows: empty when it holds, nothing is on its way, and each row shows what there is.
const law = `select coalesce(string_agg(format('%s shows %s of %s - %s in flight, unpublished %s, undelivered %s, drift %s', stock_row, shown, available, in_flight, unpublished, undelivered, drift), e'\n'), '')
	from canonical_shop.law where drift <> 0 or unpublished <> 0 or undelivered <> 0 or shown <> available - in_flight`

// reconcilesOften is a merchant's who has stock reconciled each two seconds.
func (p *pipeline) reconcilesOften() {
	p.write("shop.yaml", bytes.Replace(deploy.ShopExample, []byte("reconcile: 15m"), []byte("reconcile: 2s"), 1))
}

// keepsStock has the programs of the return path running: the ERP's log is read, the ledger kept, stock delivered.
func (p *pipeline) keepsStock() (running []*program) {
	p.t.Helper()
	p.readsERP()
	p.writesShop()
	p.run(0, "cdc", "preflight", "erp", "--make", "postgres")
	return p.startReturn()
}

// stockAtRest waits until every row of the shop's stock has an account and shows what there is.
func (p *pipeline) stockAtRest(what string, running []*program) {
	p.t.Helper()
	rows := p.number("select count(*) from canonical_shop.stock_article where why_not is null")
	p.until(what, running, func() bool {
		p.wake()
		return rows > 0 && p.number("select count(*) from spola.stock_account where published is not null") == rows && p.reads(law) == ""
	})
}

func (p *pipeline) startReturn() []*program {
	p.t.Helper()
	return []*program{p.start("cdc", "run", "erp"), p.start("applier", "run", "ledger"), p.start("applier", "run", "stock")}
}

// Customers buy and change their minds, a clerk works, somebody edits the shop's stock by hand, hidden from the binary log too,
// and every program is killed again and again: in the end each row of the shop shows what there is, and the ledger has one
// entry for each deed of the ERP alone.
func TestStockFollowsTheERP(t *testing.T) {
	for _, one := range []struct {
		name string
		url  func(testing.TB) string
	}{{"MySQL", server.MySQL}, {"MariaDB", server.MariaDB}} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, one.url(t), server.Kafka(t), shop.Options{})
			p.reconcilesOften()
			running := []*program{p.start("cdc", "run"), p.start("applier", "run")}
			p.live(running...)
			running = append(running, p.keepsStock()...)
			rows := p.number("select count(*) from canonical_shop.stock_article where why_not is null")
			p.until("every row has an account", running, func() bool {
				p.wake()
				return rows > 0 && p.number("select count(*) from spola.stock_account where published is not null") == rows
			})
			p.until("and shows what there is", running, func() bool { p.wake(); return p.reads(law) == "" })

			p.run(0, "applier", "pause", "ledger", "--reason", "inventory")
			p.run(0, "applier", "resume", "ledger")
			p.behind(running)

			conn, err := pgx.Connect(t.Context(), p.cfg.ERP.URL())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			erp, err := clerk.New(conn, clerk.Options{Seed: 3, Deeds: map[string]int{"receive": 4, "count": 2, "move": 2, "sell": 4, "ship": 8, "ship part": 4, "close short": 3, "take back": 2}})
			if err != nil {
				t.Fatal(err)
			}
			saboteur := p.shop.Saboteur(5)
			random := rand.New(rand.NewPCG(7, 7))
			came, stop := p.customers()
			for range 8 {
				came(10)
				for range 10 {
					if _, err := erp.Step(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := saboteur.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
				at := random.IntN(len(running))
				running[at].kill()
				running[at] = p.start(strings.Fields(running[at].name)...)
			}
			stop()
			ended := time.Now()
			p.settled(running...)
			p.until("in the end each row shows what there is", running, func() bool {
				p.wake()
				return p.reads(law) == "" && p.number("select count(*) from spola.reconciliation where compared and unequal = 0 and waiting = 0 and orders ->> 'left' = '0' and began > $1", ended) > 0
			})
			p.proved()
			p.shows()
			if n := p.number("select count(*) from spola.ledger where cause = 'repair'"); n == 0 {
				t.Error("nothing of the sabotage was repaired")
			}
			if one.name == "MySQL" {
				p.comparesOverRuns(running)
				p.losesTheERPsLog(running[:2], running[2:])
			} else {
				p.editedUnseen(running)
			}
			t.Logf("%d entries, %d repairs", p.number("select count(*) from spola.ledger"), p.number("select count(*) from spola.ledger where cause = 'repair'"))
		})
	}
}

// comparesOverRuns compares a table that is too long for one run: the next goes on where that ended, and behind the last it begins anew.
func (p *pipeline) comparesOverRuns(running []*program) {
	p.t.Helper()
	p.shopExec("INSERT INTO oc_order (firstname, total, date_added, date_modified) SELECT 'cart', 1, NOW(), NOW() FROM information_schema.columns LIMIT 1100")
	p.until("the carts are mirrored", running, func() bool {
		p.wake()
		return p.number("select count(*) from mirror_shop.oc_order where firstname = 'cart'") == 1100
	})
	ledger := &running[3]
	(*ledger).kill() // nobody else compares
	hidden, err := p.shop.DB().Conn(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, statement := range []string{"SET sql_log_bin = 0", "UPDATE oc_order SET total = 2 ORDER BY order_id DESC LIMIT 1", "SET sql_log_bin = 1"} {
		if _, err := hidden.ExecContext(p.t.Context(), statement); err != nil {
			p.t.Fatalf("%s: %v", statement, err)
		}
	}
	hidden.Close()
	profile, _, err := schemas.Platform("opencart")
	if err != nil {
		p.t.Fatal(err)
	}
	conn, err := pgx.Connect(p.t.Context(), p.cfg.ERP.URL())
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var asked []string
	compared := &stock.Shop{DB: p.shop.DB(), Prefix: "oc_", Mirror: "mirror_shop", Tables: profile.Compare, For: 1,
		Request: func(_ context.Context, request mysql.SnapshotRequest) error {
			asked = append(asked, request.Ranges[0].Table)
			return nil
		}}
	orders := p.number("select count(*) from mirror_shop.oc_order")
	above := func() int64 { return p.number("select coalesce(max(above), -1) from spola.comparison") }
	tick := func(ctx context.Context) error { p.wake(); return stock.AwaitTick(ctx, conn, "shop") }
	for runs, last := int64(1), int64(-1); ; runs++ {
		if _, err := stock.Reconcile(p.t.Context(), conn, "shop", "canonical_shop", stock.Options{Why: "command", Shop: compared, Tick: tick}); err != nil {
			p.t.Fatal(err)
		}
		at := above()
		if at < 0 {
			if want := orders/1000 + 1; runs < want || !slices.Equal(asked, []string{"oc_order"}) {
				p.t.Errorf("%d orders were compared in %d runs (at least %d), and of %v ranges were read again: the newest order was changed", orders, runs, want, asked)
			}
			break
		}
		if at <= last || len(asked) > 0 || runs > orders/400 {
			p.t.Fatalf("run %d has compared up to %d, the one before up to %d; asked for %v", runs, at, last, asked)
		}
		last = at
	}
	*ledger = p.start("applier", "run", "ledger")
}

// editedUnseen has each row of the shop's stock edited behind the binary log's back: verify names them, and two runs of reconciliation at most see and repair each.
func (p *pipeline) editedUnseen(running []*program) {
	p.t.Helper()
	ledger := &running[3]
	(*ledger).kill() // nobody else compares
	p.busyRows()
	unseen, err := p.shop.DB().Conn(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	var rows int64
	for _, statement := range []string{"SET sql_log_bin = 0", "UPDATE oc_product SET quantity = quantity + 1", "UPDATE oc_product_option_value SET quantity = quantity + 2", "SET sql_log_bin = 1"} {
		done, err := unseen.ExecContext(p.t.Context(), statement)
		if err != nil {
			p.t.Fatal(err)
		}
		n, _ := done.RowsAffected()
		rows += n
	}
	_ = unseen.Close()
	running = slices.Delete(slices.Clone(running), 3, 4)
	verified := func(status int) string {
		one := p.start("applier", "verify", "--stock")
		p.until("what verify says", running, func() bool { p.wake(); return one.ended() })
		return one.ends(status)
	}
	looked := func() (said string) {
		for {
			one := p.start("applier", "reconcile", "--dry-run")
			p.until("what a dry run says", running, func() bool { p.wake(); return one.ended() })
			if said = one.ends(0); !strings.Contains(said, "NOT COMPARED") { // the mirror was not behind
				return said
			}
		}
	}
	if said := looked(); strings.Count(said, "CHANGED UNSEEN: oc_product ") != 20 || !strings.Contains(said, " (quantity, subtract, status) is ") || !strings.Contains(said, "more rows\n") {
		p.t.Errorf("a dry run over %d rows that were changed unseen: %s", rows, said)
	}
	accounts := p.number("select count(*) from spola.stock_account where published is not null")
	*ledger = p.start("applier", "run", "ledger")                                                               // without it nobody knows whether the ERP has more to say
	p.shopExec("UPDATE oc_order SET date_modified = date_modified - INTERVAL 1 HOUR WHERE order_status_id = 0") // nobody is in the middle of writing them
	// The shop's clock goes on by product 1, whose whole row stands in the log then: it is repaired.
	if said := verified(5); !strings.Contains(said, fmt.Sprintf("%d rows of the shop have an account", accounts)) || int64(strings.Count(said, "  shown  ")) < accounts-1 {
		p.t.Errorf("verify of %d accounts whose rows were changed unseen: %s", accounts, said)
	}
	(*ledger).kill()
	var compared int64
	for range 2 {
		var run stock.Run
		for !run.Compared { // while the mirror is behind, it is not
			one := p.start("applier", "reconcile", "--allow", "inventory", "--json")
			p.until("a run of reconciliation", running, func() bool { p.wake(); return one.ended() })
			lines := strings.Split(strings.TrimSpace(one.ends(0)), "\n")
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &run); err != nil { // the log comes before it
				p.t.Fatal(err)
			}
		}
		compared += run.CompareRows
	}
	if compared < rows {
		p.t.Errorf("two runs compared %d rows, %d have been edited", compared, rows)
	}
	p.until("each edit is seen, and repaired", running, func() bool { p.wake(); return p.unlike() == "" && p.reads(law) == "" })
	if said := looked(); strings.Contains(said, "CHANGED UNSEEN") {
		p.t.Errorf("a dry run behind the repair: %s", said)
	}
	*ledger = p.start("applier", "run", "ledger")
	if said := verified(0); !strings.Contains(said, "Nothing of the stock differs") {
		p.t.Errorf("verify behind the repair: %s", said)
	}
}

// busyRows looks at rows of the shop's stock that change all the time: whatever both databases show at a moment, none was changed unseen.
func (p *pipeline) busyRows() {
	p.t.Helper()
	var looked atomic.Bool
	group, ctx := errgroup.WithContext(p.t.Context())
	group.Go(func() (err error) {
		more := 0
		for ; err == nil && !looked.Load(); more++ {
			_, err = p.shop.DB().ExecContext(ctx, "UPDATE oc_product SET quantity = quantity + 1 WHERE product_id <= 3")
		}
		if err == nil {
			_, err = p.shop.DB().ExecContext(ctx, "UPDATE oc_product SET quantity = quantity - ? WHERE product_id <= 3", more)
		}
		return err
	})
	said := p.run(0, "applier", "reconcile", "--dry-run")
	looked.Store(true)
	if err := group.Wait(); err != nil {
		p.t.Fatal(err)
	}
	if strings.Contains(said, "CHANGED UNSEEN") {
		p.t.Errorf("rows that change all the time: %s", said)
	}
}

// losesTheERPsLog deletes it while nobody reads it: what the ERP does meanwhile reaches the shop by the snapshot of the log's new generation,
// into which a person takes each of its appliers.
func (p *pipeline) losesTheERPsLog(of, back []*program) {
	p.t.Helper()
	streams := []string{"ledger", "stock", "orders"}
	tells := func(what string, status int, words string, verbs ...string) {
		p.t.Helper()
		if text := p.run(status, verbs...); !strings.Contains(text, words) {
			p.t.Errorf("%s: want %q in\n%s", what, words, text)
		}
	}
	back = append(back, p.start("applier", "run", "orders"))
	order := p.place("shipped@example.com")
	p.arrived(of, order)
	p.until("orders are followed", append(back, of...), func() bool { return p.committed("orders", p.cfg.ERPTopic()) > 0 && p.reads(law) == "" })
	for _, one := range back {
		one.kill()
	}
	p.deleteTopicOf(p.cfg.ERPTopic())
	p.erpExec("select erp.receive_goods(1::smallint, array(select row(id, 50)::erp.goods_in from erp.article where stocked))")
	p.erpExec("select erp.ship_order(erp_order, carrier => 'BRT', tracking => '123456789012') from spola.link where order_id = $1", order)
	for _, name := range streams {
		tells("without a log", 3, "cdc run erp --new-generation", "applier", "run", name)
	}
	back = []*program{p.start("cdc", "run", "erp", "--new-generation")}
	p.until("the new generation", back, func() bool {
		tail, err := stream.ReadTail(p.t.Context(), p.cfg.ERPStream(zerolog.Nop()))
		return err == nil && tail.Place.Gen == 2
	})
	for _, name := range streams {
		tells("before a new generation", 3, "`applier cross "+name+"`", "applier", "run", name)
		tells("to be crossed", 0, "Nothing was changed.", "applier", "cross", name, "--dry-run")
		tells("a dry run has moved nothing", 3, "`applier cross "+name+"`", "applier", "run", name)
		tells("crossed", 0, "`applier run "+name+"` goes on", "applier", "cross", name, "--reason", "disk lost")
		tells("crossed again", 0, "Nothing to cross", "applier", "cross", name)
		back = append(back, p.start("applier", "run", name))
	}
	p.want("decisions", "ledger into generation 2, stock into generation 2, orders into generation 2", "select string_agg(decision, ', ' order by id) from spola.audit where verb = 'cross' and reason = 'disk lost'")
	p.until("what came meanwhile is in the shop", append(back, of...), func() bool {
		p.wake()
		return p.reads(law) == "" && strings.Contains(p.history(order), "123456789012")
	})
}

// wake lets the shop's clock go on, which stands for a minute where nothing happens.
func (p *pipeline) wake() {
	p.t.Helper()
	p.shopExec("UPDATE oc_product SET date_modified = NOW() WHERE product_id = 1")
}

// shows holds the mirror's stock against the shop's own rows: what was edited behind the binary log's back, too.
func (p *pipeline) shows() {
	p.t.Helper()
	if unlike := p.unlike(); unlike != "" {
		p.t.Error(unlike)
	}
}

// unlike tells which rows of stock the mirror has otherwise than the shop.
func (p *pipeline) unlike() (text string) {
	p.t.Helper()
	rows, err := p.erp.Query(p.t.Context(), "select stock_row, shown from canonical_shop.law")
	if err != nil {
		p.t.Fatal(err)
	}
	var row string
	var shown int64
	_, err = pgx.ForEachRow(rows, []any{&row, &shown}, func() error {
		kind, id, _ := strings.Cut(row, ":")
		query := map[string]string{"product": "SELECT quantity FROM oc_product WHERE product_id = ?", "option": "SELECT quantity FROM oc_product_option_value WHERE product_option_value_id = ?"}[kind]
		var quantity int64
		if err := p.shop.DB().QueryRowContext(p.t.Context(), query, id).Scan(&quantity); err != nil {
			return err
		}
		if quantity != shown {
			text += fmt.Sprintf("%s shows %d, the mirror has %d\n", row, quantity, shown)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// reads asks the ERP's database for a text.
func (p *pipeline) reads(query string) (text string) {
	p.t.Helper()
	if err := p.erp.QueryRow(p.t.Context(), query).Scan(&text); err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
	return text
}

// behind has a mirror that is behind compared with its shop: they differ by that alone, so nothing is read again.
func (p *pipeline) behind(running []*program) {
	p.t.Helper()
	p.run(0, "applier", "pause", "intake", "--reason", "inventory")
	p.shopExec("UPDATE oc_product SET quantity = quantity + 1 WHERE product_id = 1")
	text := p.run(0, "applier", "reconcile", "--json")
	if !strings.Contains(text, `"compared":false`) || !strings.Contains(text, "behind the shop") || !strings.Contains(text, `"unequal":0,`) {
		p.t.Errorf("a mirror that is behind was compared: %s", text)
	}
	p.run(0, "applier", "resume", "intake")
	p.until("it has caught up, and the edit is repaired", running, func() bool { p.wake(); return p.reads(law) == "" })
}
