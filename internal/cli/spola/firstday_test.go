package spola_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/deploy"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/all"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/demo"
	"github.com/spola-cdc/spola/internal/cli/spola"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/lab/erp"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// merchant is a shop and an ERP with the two files that a merchant writes, and his command line.
type merchant struct {
	t    *testing.T
	dir  string
	shop *shop.Shop
	erp  *pgx.Conn
	cfg  config.Config
	stop func() // ends `spola run`
}

func newMerchant(t *testing.T) *merchant { return newMerchantSince(t, "") }

// newMerchantSince has orders from before a day stay in the shop.
func newMerchantSince(t *testing.T, since string) *merchant {
	m := &merchant{t: t, dir: t.TempDir()}
	shopURL := strings.TrimRight(server.PrivateMySQL(t, nil).URL(), "/") + "/shop"
	erpURL := erp.Database(t, "spola", "erp")
	m.write("shop.yaml", string(deploy.ShopExample))
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a free port for the embedded broker
	m.must(err)
	m.must(listener.Close())
	m.write("spola.yaml", fmt.Sprintf("shop: {name: shop1, platform: opencart, prefix: oc_, database: %q, file: shop.yaml, orders_since: %q}\nerp: {database: %q}\nbroker: {dir: broker, listen: %q}\n",
		shopURL, since, erpURL, listener.Addr()))
	m.cfg, err = config.Load(m.path("spola.yaml"))
	m.must(err)
	m.shop, err = shop.Open(t.Context(), shopURL, shop.Options{})
	m.must(err)
	t.Cleanup(func() { _ = m.shop.Close() })
	m.must(m.shop.Install(t.Context()))
	m.must(applier.MigrateDatabase(t.Context(), m.cfg))
	m.erp, err = pgx.Connect(t.Context(), erpURL)
	m.must(err)
	t.Cleanup(func() { _ = m.erp.Close(context.Background()) })
	m.must(demo.Furnish(t.Context(), m.erp, m.shop.Articles()))
	return m
}

func (m *merchant) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *merchant) path(name string) string { return filepath.Join(m.dir, name) }

func (m *merchant) write(name, text string) {
	m.t.Helper()
	m.must(os.WriteFile(m.path(name), []byte(text), 0o600))
}

// try runs a command line and returns what it printed.
func (m *merchant) try(words ...string) (string, error) {
	m.t.Helper()
	parser, err := all.Program().Parser()
	m.must(err)
	command, err := parser.Parse(words)
	m.must(err)
	var out bytes.Buffer
	err = command.Run(&cli.Env{Ctx: m.t.Context(), Out: &out, Log: zerolog.New(zerolog.NewTestWriter(m.t)).Level(zerolog.ErrorLevel), Config: m.path("spola.yaml")})
	return out.String(), err
}

// says runs a command whose answer has to have these words.
func (m *merchant) says(command []string, words ...string) {
	m.t.Helper()
	out, err := m.try(command...)
	m.must(err)
	for _, w := range words {
		if !strings.Contains(out, w) {
			m.t.Errorf("%v says\n%s\nwithout %q", command, out, w)
		}
	}
}

// refuses runs a command that has to say no with these words.
func (m *merchant) refuses(command []string, words string) {
	m.t.Helper()
	out, err := m.try(command...)
	if err == nil || !strings.Contains(err.Error(), words) {
		m.t.Errorf("%v says %v, want %q\n%s", command, err, words, out)
	}
}

// spolaVerb and applierVerb are command lines.
func spolaVerb(words ...string) []string   { return words }
func applierVerb(words ...string) []string { return append([]string{"applier"}, words...) }

// run starts `spola run`.
func (m *merchant) run() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(m.t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- spola.Run{}.Run(&cli.Env{Ctx: ctx, Log: zerolog.New(zerolog.NewTestWriter(m.t)).Level(zerolog.ErrorLevel), Config: m.path("spola.yaml")})
	}()
	m.stop = func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			m.t.Errorf("spola run ended: %v", err)
		}
		m.stop = func() {}
	}
	m.t.Cleanup(func() { m.stop() })
}

// status is `applier status --json`.
func (m *merchant) status() (o intake.Overview) {
	out, err := m.try("applier", "status", "--json")
	if err == nil {
		m.must(json.Unmarshal([]byte(out), &o))
	}
	return o
}

// until waits for what comes by itself.
func (m *merchant) until(what string, holds func() bool) {
	m.t.Helper()
	for end := time.Now().Add(server.Patience); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("not until now: %s; %+v", what, m.status())
		}
	}
}

func (m *merchant) order(email string, payment string, status int) int64 {
	m.t.Helper()
	id, err := m.shop.PlaceOrder(m.t.Context(), shop.Order{Customer: shop.Customer{First: "Anna", Last: "Verdi", Email: email,
		Address: shop.Address{Street: "Via Roma 1", City: "Roma", Postcode: "00100", Country: shop.Italy}}, Lines: []shop.Line{{Product: 1, Quantity: 1}}, Payment: payment})
	m.must(err)
	if status != 0 {
		m.must(m.shop.SetStatus(m.t.Context(), id, status))
	}
	return id
}

func (m *merchant) count(sql string, args ...any) (n int) {
	m.t.Helper()
	m.must(m.erp.QueryRow(m.t.Context(), sql, args...).Scan(&n))
	return n
}

// A merchant's first days, by his command line alone: he observes, goes live with a past, pauses,
// and takes Spola away again.
func TestFirstDays(t *testing.T) {
	m := newMerchant(t)
	m.order("done@mail.example", shop.CashOnDelivery, shop.Complete)
	open := m.order("open@mail.example", shop.CashOnDelivery, 0)
	m.order("unpaid@mail.example", shop.BankTransfer, 0)
	m.run()

	m.until("the past is derived", func() bool { o := m.status(); return o.Derived && o.Orders["final"].Count == 1 })
	m.says(applierVerb("status"), "mode observe", "nothing is written to the ERP's orders", "1  would be imported", fmt.Sprintf("(%d)", open), "1  placed, not to be taken yet")
	if n := m.count("select count(*) from erp.sales_order"); n != 0 {
		t.Errorf("%d orders in the ERP while the shop is observed", n)
	}

	tomorrow := time.Now().Add(24 * time.Hour).Format(time.RFC3339)
	cut := time.Now().Add(time.Second).Truncate(time.Second) // behind the past: the shop dates to the second
	now := cut.Format(time.RFC3339)
	rome, err := time.LoadLocation("Europe/Rome") // the shop's clock, wherever Spola runs
	m.must(err)
	file := m.path("orders.csv")
	m.refuses(applierVerb("golive", "--from", tomorrow, "--dry-run", "--file", file), "that is not yet")
	m.says(applierVerb("golive", "--from", now, "--dry-run", "--file", file), "with "+cut.In(rome).Format(time.DateTime)+" as the cut", "2 import: into the ERP", "1 close: not into the ERP", "Nothing was changed")
	m.refuses(applierVerb("golive", "--from", now, "--dry-run", "--file", file), "somebody may have edited it")
	m.refuses(applierVerb("golive", "--from", now), "of 2 orders a person must say")
	m.says(applierVerb("golive", "--from", now, "--file", file), "The shop is live")
	m.says(applierVerb("golive", "--from", now, "--file", file), "Nothing was changed")
	m.until("the open order is taken", func() bool { return m.count("select count(*) from erp.sales_order") == 1 })
	m.says(applierVerb("audit"), "going live", fmt.Sprintf("order %d", open))

	m.says(applierVerb("pause", "--reason", "stock-taking"), "Orders wait in the log", "hours from now", "the shop keeps its binary log for 720.0 hours")
	time.Sleep(time.Until(cut)) // an order placed sooner would be one of before
	m.order("today@mail.example", shop.CashOnDelivery, 0)
	m.says(applierVerb("status"), "Paused by")
	m.says(applierVerb("resume"), "goes on within two seconds")
	m.until("today's order is taken", func() bool { return m.count("select count(*) from erp.sales_order") == 2 })

	m.refuses(spolaVerb("remove", "--yes"), "is running")
	m.says(spolaVerb("remove", "--dry-run"), "goes   shop: table spola_marker", "Before that, stop cdc and the applier")
	m.stop()
	m.refuses(spolaVerb("remove"), "add --yes")
	m.says(spolaVerb("remove", "--dry-run"), "goes   shop: table spola_marker", "goes   erp: schema mirror_shop1", "stays  2 orders and 2 customers", "topic spola.shop1")
	var marker int
	m.must(m.shop.DB().QueryRow("SELECT COUNT(*) FROM spola_marker").Scan(&marker))
	m.says(spolaVerb("remove", "--yes"), "gone   shop: table spola_marker", "gone   erp: schema spola")
	if err := m.shop.DB().QueryRow("SELECT COUNT(*) FROM spola_marker").Scan(&marker); err == nil {
		t.Error("the marker is still there")
	}
	if n := m.count("select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('mirror_shop1', 'canonical_shop1', 'spola') and c.relname !~ '^(migrations_erp|audit)'"); n != 0 {
		t.Errorf("%d things of Spola are still in the ERP's database", n)
	}
	if n := m.count("select count(*) from erp.sales_order"); n != 2 {
		t.Errorf("%d orders stayed, want 2", n)
	}
	m.says(spolaVerb("remove", "--yes"), "stays")       // twice does no harm
	m.must(applier.MigrateDatabase(t.Context(), m.cfg)) // and it may come back
}
