package cli_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spola-cdc/spola/deploy"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/all"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/demo"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/lab/erp"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/verify"
)

// TestMain is the program spola too: these tests run its verbs as processes, which can be killed
// and which end with an exit status.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"run", "broker", "cdc", "applier", "metrics", "notices"}, os.Args[1]) {
		os.Exit(cli.Main(all.Program()))
	}
	os.Exit(m.Run())
}

// pipeline is a shop, a log and an ERP on real servers, with the programs between them.
type pipeline struct {
	t       *testing.T
	dir     string
	cfg     config.Config
	shop    *shop.Shop
	journal *shop.Journal
	erp     *pgx.Conn
	server  uint32 // the reader's id among the shop's replicas
	began   []*program
}

const (
	testShop = "shop"
	patience = server.Patience
)

// newPipeline makes shop and ERP, both with their goods, and starts nothing.
func newPipeline(t *testing.T, shopURL string, brokers []string, options shop.Options) *pipeline {
	t.Helper()
	return newPipelineAt(t, shopURL, erp.Database(t, "spola", "erp"), brokers, options)
}

func newPipelineAt(t *testing.T, shopURL, erpURL string, brokers []string, options shop.Options) *pipeline {
	t.Helper()
	p := &pipeline{t: t, dir: t.TempDir(), server: rand.Uint32()&0x3fffffff | 1<<30}
	ctx := t.Context()
	p.write("shop.yaml", deploy.ShopExample)
	p.configure("spola.yaml", shopURL, erpURL, brokers)
	p.cfg = p.load("spola.yaml")
	var err error
	if p.shop, err = shop.Open(ctx, shopURL, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.shop.Close() })
	if err := p.shop.Install(ctx); err != nil {
		t.Fatal(err)
	}
	if p.journal, err = shop.OpenJournal(filepath.Join(p.dir, "journal")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.journal.Close() })
	if err := applier.MigrateDatabase(ctx, p.cfg); err != nil {
		t.Fatal(err)
	}
	if p.erp, err = pgx.Connect(ctx, p.cfg.ERP.URL()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.erp.Close(context.Background()) })
	if err := demo.Furnish(ctx, p.erp, p.shop.Articles()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, one := range p.began {
			one.kill()
			if t.Failed() {
				t.Logf("%s said:\n%s", one.name, one.tail())
			}
		}
	})
	return p
}

func (p *pipeline) write(name string, text []byte) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), text, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// configure writes a configuration file; the log has a topic of its own.
func (p *pipeline) configure(name, shopURL, erpURL string, brokers []string) {
	p.t.Helper()
	p.write(name, fmt.Appendf(nil, `shop:
  name: %s
  platform: opencart
  prefix: oc_
  database: %s
  file: shop.yaml
  server_id: %d
erp:
  database: %s
kafka:
  brokers: [%s]
  prefix: t%d
`, testShop, shopURL, p.server, erpURL, strings.Join(brokers, ", "), p.server))
}

// append adds keys to a configuration file.
func (p *pipeline) append(name, text string) {
	p.t.Helper()
	had, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(name, append(had, text...))
}

func (p *pipeline) load(name string) config.Config {
	p.t.Helper()
	cfg, err := config.Load(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return cfg
}

// log is the shop's log, for a test that looks into it.
func (p *pipeline) log() stream.Config { return p.cfg.Stream(zerolog.Nop()) }

// program is a process of ours.
type program struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	said *said
	done chan struct{}
}

// said is what a process writes, read while it runs.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// start starts a verb with the configuration spola.yaml.
func (p *pipeline) start(verbs ...string) *program { return p.startWith("spola.yaml", verbs...) }

func (p *pipeline) startWith(file string, verbs ...string) *program {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	one := &program{t: p.t, name: strings.Join(verbs, " "), said: &said{}, done: make(chan struct{})}
	one.cmd = exec.Command(self, append(verbs, "--config", filepath.Join(p.dir, file))...)
	one.cmd.Stdout, one.cmd.Stderr = one.said, one.said
	if err := one.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		_ = one.cmd.Wait() // its state tells how it ended
		close(one.done)
	}()
	p.began = append(p.began, one)
	return one
}

// run runs a verb to its end and wants a status; it returns what it said.
func (p *pipeline) run(want int, verbs ...string) string {
	p.t.Helper()
	return p.start(verbs...).ends(want)
}

// ends waits until the process has ended by itself, and wants its status.
func (o *program) ends(want int) string {
	o.t.Helper()
	select {
	case <-o.done:
	case <-time.After(patience):
		o.t.Fatalf("%s has not ended:\n%s", o.name, o.tail())
	}
	if got := o.cmd.ProcessState.ExitCode(); got != want {
		o.t.Fatalf("%s ended with status %d, want %d:\n%s", o.name, got, want, o.tail())
	}
	return o.said.String()
}

// kill is kill -9.
func (o *program) kill() {
	_ = o.cmd.Process.Kill() // one that has ended can't be killed
	<-o.done
}

// stop is what a service manager does first.
func (o *program) stop() {
	o.t.Helper()
	if err := o.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		o.t.Fatal(err)
	}
	o.ends(0)
}

func (o *program) ended() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

func (o *program) tail() string {
	text := o.said.String()
	return text[max(0, len(text)-3000):]
}

// until waits for a condition, and fails at once when a process ends by itself meanwhile.
func (p *pipeline) until(what string, running []*program, holds func() bool) {
	p.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		for _, one := range running {
			if one.ended() {
				p.t.Fatalf("%s: %s has ended with status %d:\n%s", what, one.name, one.cmd.ProcessState.ExitCode(), one.tail())
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("%s: not after %s", what, patience)
		}
	}
}

// number asks the ERP's database for a number; 0 where a table is not there yet.
func (p *pipeline) number(query string, args ...any) (n int64) {
	p.t.Helper()
	if err := p.erp.QueryRow(p.t.Context(), query, args...).Scan(&n); err != nil && !strings.Contains(err.Error(), "42P01") && !errors.Is(err, pgx.ErrNoRows) {
		p.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// text asks the ERP's database for a text and wants it.
func (p *pipeline) want(what, want, query string, args ...any) {
	p.t.Helper()
	var got string
	if err := p.erp.QueryRow(p.t.Context(), query, args...).Scan(&got); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	if got != want {
		p.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// shopExec runs a statement in the shop's database.
func (p *pipeline) shopExec(statement string, args ...any) {
	p.t.Helper()
	if _, err := p.shop.DB().ExecContext(p.t.Context(), statement, args...); err != nil {
		p.t.Fatalf("%s: %v", statement, err)
	}
}

// live goes live on the new shop.
func (p *pipeline) live(running ...*program) {
	p.t.Helper()
	going := intake.Going{From: time.Now().Add(-24 * time.Hour), By: intake.By{Who: "test", Reason: "its first day"}}
	p.until("ready to go live", running, func() bool {
		_, err := intake.CheckLive(p.t.Context(), p.erp, testShop, going)
		if err != nil && !errors.Is(err, intake.ErrNotReady) {
			p.t.Fatal(err)
		}
		return err == nil
	})
	var sizes bytes.Buffer
	w := csv.NewWriter(&sizes)
	_ = w.Write([]string{"product", "variant", "sku"}) // a buffer takes everything
	for _, a := range p.shop.Articles() {
		if a.Value != 0 {
			_ = w.Write([]string{strconv.Itoa(a.Product), strconv.Itoa(a.Value), a.SKU})
		}
	}
	w.Flush()
	if _, err := intake.ImportArticles(p.t.Context(), p.erp, testShop, &sizes, intake.By{Who: "anna@office"}); err != nil {
		p.t.Fatal(err)
	}
	if _, err := intake.GoLive(p.t.Context(), p.erp, testShop, going); err != nil {
		p.t.Fatal(err)
	}
}

// customers lets shoppers in, ten a second, until stop is called. came waits for so many more
// operations of theirs: orders, edits, cancellations, deletions.
func (p *pipeline) customers() (came func(n int64), stop func()) {
	var done atomic.Int64
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- p.shop.Run(ctx, shop.Load{Rate: 10, Seed: 1, Journal: p.journal, Done: func(verify.Entry) { done.Add(1) }})
	}()
	came = func(n int64) {
		p.t.Helper()
		want := done.Load() + n
		p.until("customers", nil, func() bool { return done.Load() >= want })
	}
	return came, func() {
		p.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			p.t.Fatal(err)
		}
	}
}

// place places a plain order of one piece.
func (p *pipeline) place(email string) int64 {
	p.t.Helper()
	id, err := p.shop.PlaceOrder(p.t.Context(), p.order(email))
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

// order is a plain order of two products without options.
func (p *pipeline) order(email string) shop.Order {
	o := shop.Order{Customer: shop.Customer{First: "Anna", Last: "Verdi", Email: email}}
	for _, product := range p.shop.Catalogue() {
		if len(product.Values) == 0 && len(product.Options) == 0 && !product.Virtual && !product.Strange && !product.Untraced && len(o.Lines) < 2 {
			o.Lines = append(o.Lines, shop.Line{Product: product.ID, Quantity: 1})
		}
	}
	return o
}

// arrived waits until the orders are in the ERP.
func (p *pipeline) arrived(running []*program, orders ...int64) {
	p.t.Helper()
	p.until(fmt.Sprintf("orders %v in the ERP", orders), running, func() bool {
		return p.number("select count(distinct order_id) from spola.link where shop = $1 and status = 'imported' and order_id = any ($2)", testShop, orders) == int64(len(orders))
	})
}

// cart is a cart that is left: the shop's clock goes on for a while behind whatever happens.
func (p *pipeline) cart() {
	p.t.Helper()
	cart := p.order("nobody@example.com")
	cart.Abandon = true
	if _, err := p.shop.PlaceOrder(p.t.Context(), cart); err != nil {
		p.t.Fatal(err)
	}
}

// settled waits until all that the shop has committed is applied and settled.
func (p *pipeline) settled(running ...*program) {
	p.t.Helper()
	p.cart()
	var last int64
	if err := p.shop.DB().QueryRowContext(p.t.Context(), "SELECT number FROM spola_marker WHERE name = 'tick'").Scan(&last); err != nil {
		p.t.Fatal(err)
	}
	// Three ticks for what settles, three for what waits behind a snapshot, two for what that brings.
	p.until("all settled", running, func() bool {
		return p.number("select number from mirror_"+testShop+".spola_marker where name = 'tick'") >= last+8 &&
			p.number("select count(*) from spola.shop where shop = $1 and derived", testShop) == 1
	})
}

// proved compares shop and ERP by code that shares nothing with reader and applier.
func (p *pipeline) proved() {
	p.t.Helper()
	report := p.compared()
	if report.Differences > 0 || report.CentsShop != report.CentsERP || report.OrdersInScope != report.OrdersInERP || report.OrdersInERP == 0 {
		p.t.Errorf("shop and ERP differ: %+v", *report)
	}
}

// provedBehindAGap is proved where the states between were not seen: what had come and gone when
// the snapshot was through, nobody in the ERP has ever heard of. Of orders placed by hand and deleted
// the journal knows nothing. What is shipped already without ever having been seen as taken waits for a person.
func (p *pipeline) provedBehindAGap(deleted ...int64) {
	p.t.Helper()
	report := p.compared()
	for _, d := range report.Details {
		if slices.Contains(deleted, d.Order) {
			continue
		}
		var state int
		err := p.shop.DB().QueryRowContext(p.t.Context(), "SELECT order_status_id FROM oc_order WHERE order_id = ?", d.Order).Scan(&state)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			p.t.Fatal(err)
		}
		gone := err != nil || state == shop.Cancelled
		if d.Kind != "missing" || !gone {
			p.t.Errorf("shop and ERP differ in order %d, of state %d: %s", d.Order, state, d)
		}
	}
	if report.CentsShop != report.CentsERP || report.OrdersInERP < report.OrdersInScope/2 {
		p.t.Errorf("shop and ERP differ: %+v", *report)
	}
	p.want("parked", "", "select coalesce(string_agg(format('%s: %s %s', order_id, reason, what), ', '), '') from spola.parked where reason <> 'never_taken'")
}

func (p *pipeline) compared() *verify.Report {
	p.t.Helper()
	file, err := os.Open(filepath.Join(p.dir, "journal"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer file.Close()
	journal, err := verify.ReadJournal(file)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(journal.Orders) == 0 {
		journal = nil // a test that places its orders by hand
	}
	many, err := pgxpool.ParseConfig(p.cfg.ERP.URL())
	if err != nil {
		p.t.Fatal(err)
	}
	many.MaxConns = 8
	pool, err := pgxpool.NewWithConfig(p.t.Context(), many)
	if err != nil {
		p.t.Fatal(err)
	}
	defer pool.Close()
	rules, err := verify.ReadRules(p.cfg.Shop.Platform, deploy.ShopExample)
	if err != nil {
		p.t.Fatal(err)
	}
	report, err := verify.Run(p.t.Context(), verify.Config{Shop: p.shop.DB(), ERP: pool, Name: testShop, Prefix: "oc_", Rules: rules, Journal: journal})
	if err != nil {
		p.t.Fatal(err)
	}
	return report
}

// records reads the whole log, checked.
func (p *pipeline) records() []change.Record {
	p.t.Helper()
	var all []change.Record
	err := stream.Scan(p.t.Context(), p.log(), func(records []change.Record) error {
		all = append(all, records...)
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// deleteTopic loses the shop's log.
func (p *pipeline) deleteTopic() { p.t.Helper(); p.deleteTopicOf(p.cfg.Topic()) }

func (p *pipeline) deleteTopicOf(log string) {
	p.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.cfg.Kafka.Brokers...))
	if err != nil {
		p.t.Fatal(err)
	}
	defer client.Close()
	request := kmsg.NewPtrDeleteTopicsRequest()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = kmsg.StringPtr(log)
	request.Topics, request.TopicNames = append(request.Topics, topic), []string{log}
	if _, err := request.RequestWith(p.t.Context(), client); err != nil {
		p.t.Fatal(err)
	}
}
