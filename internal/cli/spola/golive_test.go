package spola_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/all"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/verify"
)

// TestMain makes this test binary spola itself when its first argument is a verb, so that a command line can be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		os.Exit(cli.Main(all.Program()))
	}
	os.Exit(m.Run())
}

// process starts a command line as a process of its own.
func (m *merchant) process(words ...string) *exec.Cmd {
	m.t.Helper()
	self, err := os.Executable()
	m.must(err)
	cmd := exec.Command(self, append(words, "-c", m.path("spola.yaml"))...)
	cmd.Dir = m.dir
	m.must(cmd.Start())
	return cmd
}

// administrator works in the shop until his context ends: edits, deletes and enters orders anew, changes their states,
// saves products and settings.
type administrator struct {
	m      *merchant
	random *rand.Rand
	orders []int64
	deeds  map[string]int
}

func (a *administrator) order(quantity int) shop.Order {
	return shop.Order{Customer: shop.Customer{First: "Anna", Last: "Verdi", Email: fmt.Sprintf("c%d@mail.example", a.random.IntN(20)),
		Address: shop.Address{Street: "Via Roma 1", City: "Roma", Postcode: "00100", Country: shop.Italy}},
		Lines: []shop.Line{{Product: 1 + a.random.IntN(4), Quantity: quantity}}}
}

func (a *administrator) place(ctx context.Context) error {
	id, err := a.m.shop.PlaceOrder(ctx, a.order(1))
	a.orders = append(a.orders, id)
	return err
}

func (a *administrator) work(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := a.deed(context.WithoutCancel(ctx)); err != nil { // what he has begun he ends
			return err
		}
		time.Sleep(30 * time.Millisecond)
	}
	return nil
}

func (a *administrator) deed(ctx context.Context) error {
	i := a.random.IntN(len(a.orders))
	id := a.orders[i]
	what := []string{"edit", "edit", "state", "state", "cancel", "anew", "new", "settings", "product"}[a.random.IntN(9)]
	a.deeds[what]++
	switch what {
	case "edit":
		return a.m.shop.Edit(ctx, id, a.order(1+a.random.IntN(3)))
	case "state":
		return a.m.shop.SetStatus(ctx, id, []int{shop.Processing, shop.Complete}[a.random.IntN(2)])
	case "cancel":
		return a.m.shop.Cancel(ctx, id)
	case "anew":
		a.orders = append(a.orders[:i], a.orders[i+1:]...)
		if err := a.m.shop.Delete(ctx, id); err != nil {
			return err
		}
		return a.place(ctx)
	case "new":
		return a.place(ctx)
	case "settings":
		return a.m.shop.SaveSettings(ctx, "config")
	}
	page, err := a.m.shop.OpenProduct(ctx, 1+a.random.IntN(4))
	if err != nil {
		return err
	}
	return page.Save(ctx)
}

// A shop goes live while its administrator edits, deletes and enters orders anew, and saves products and settings, and
// `applier golive` itself is killed again and again. It is live whole or not at all, once; and when all has come to rest
// shop and ERP are the same by code that shares nothing with them.
func TestGoingLiveIsKilledBesideAnAdministrator(t *testing.T) {
	m := newMerchant(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	a := &administrator{m: m, random: rand.New(rand.NewPCG(seed, 1)), deeds: map[string]int{}}
	for i := range 30 {
		m.must(a.place(t.Context()))
		if i%3 == 0 {
			m.must(m.shop.SetStatus(t.Context(), a.orders[i], []int{shop.Complete, shop.Processing, shop.Cancelled}[i/3%3]))
		}
	}
	m.run()
	m.until("the past is derived", func() bool { o := m.status(); return o.Derived && o.Orders["final"].Count > 0 })
	cut := time.Now().Add(time.Second).Truncate(time.Second)
	time.Sleep(time.Until(cut))

	working, stop := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() { worked <- a.work(working) }()
	defer stop()

	k := &killer{m: m, random: rand.New(rand.NewPCG(seed, 2)), cut: cut, file: m.path("golive.csv")}
	k.goLive()
	m.until("an order placed since is taken", func() bool { return m.count("select count(*) from spola.link where status = 'imported'") > 5 })
	stop()
	m.must(<-worked)
	t.Logf("%d kills, a command takes %v, the administrator's deeds: %v", k.kills, k.span, a.deeds)

	m.says(applierVerb("golive", "--from", cut.Format(time.RFC3339)), "Nothing was changed")
	ended := time.Now().Add(4 * time.Second) // by then what the administrator did last has settled, by the shop's ticks
	m.until("all has come to rest", func() bool {
		o := m.status()
		return o.Waiting == 0 && o.Orders["takeable"].Count == 0 && time.UnixMilli(o.RecordTime).After(ended)
	})
	m.same()
}

// killer goes live by command lines that it kills.
type killer struct {
	m      *merchant
	random *rand.Rand
	cut    time.Time
	file   string        // of decisions
	span   time.Duration // that a dry run takes when it is left alone
	kills  int
}

// goLive kills some ten commands, then lets one come to its end.
func (k *killer) goLive() {
	began := time.Now()
	k.run(false, "--dry-run")
	k.span = time.Since(began)
	for k.kills == 0 {
		k.list(true)
	}
	for k.kills < 10 && !k.live() {
		k.list(k.kills%3 == 2)
		k.run(true)
	}
	for tries := 0; !k.live(); tries++ {
		if tries == 50 {
			k.m.t.Fatal("the shop does not go live")
		}
		k.list(false)
		k.run(false) // refused if the administrator has done what nobody has decided about
	}
}

// list has a fresh list of the orders written. Before, one is killed: it leaves the file whole, or none.
func (k *killer) list(kill bool) {
	if err := os.Remove(k.file); err != nil && !errors.Is(err, os.ErrNotExist) {
		k.m.t.Fatal(err)
	}
	k.run(kill, "--dry-run")
	if text, err := os.ReadFile(k.file); err == nil && !strings.HasSuffix(string(text), "\n") {
		k.m.t.Fatalf("half a file was left:\n%s", text)
	}
	if kill {
		k.list(false)
	}
}

// run runs a command line and kills it, at any moment that it may still be at work.
func (k *killer) run(kill bool, flags ...string) {
	cmd := k.m.process(append([]string{"applier", "golive", "--from", k.cut.Format(time.RFC3339), "--file", k.file}, flags...)...)
	if kill {
		time.Sleep(k.span/10 + time.Duration(k.random.Int64N(int64(k.span))))
		_ = cmd.Process.Kill() // it may have ended
	}
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Wait()); ok && exit.ExitCode() == -1 { // by a signal
		k.kills++
	}
}

// live tells whether the shop is live. If it is, that is on record once; if not, nothing is decided.
func (k *killer) live() bool {
	k.m.t.Helper()
	var live, said, decided int
	k.m.must(k.m.erp.QueryRow(k.m.t.Context(), `select (select count(*) from spola.shop where mode = 'live'), (select count(*) from spola.audit where verb = 'golive' and order_id is null),
		(select count(*) from spola.link where decision is not null or status in ('closed', 'imported'))`).Scan(&live, &said, &decided))
	if live != said || live == 0 && decided > 0 {
		k.m.t.Fatalf("half done: live %d, on record %d, %d orders decided", live, said, decided)
	}
	return live == 1
}

// same holds shop and ERP against each other.
func (m *merchant) same() {
	m.t.Helper()
	config, err := pgxpool.ParseConfig(m.cfg.ERP.URL())
	m.must(err)
	config.MaxConns = 8
	pool, err := pgxpool.NewWithConfig(m.t.Context(), config)
	m.must(err)
	defer pool.Close()
	text, err := os.ReadFile(m.path("shop.yaml"))
	m.must(err)
	rules, err := verify.ReadRules("opencart", text)
	m.must(err)
	report, err := verify.Run(m.t.Context(), verify.Config{Shop: m.shop.DB(), ERP: pool, Name: "shop1", Rules: rules})
	m.must(err)
	if report.Differences > 0 || report.OrdersInERP == 0 || report.OrdersInERP+report.OrdersParked != report.OrdersInScope {
		m.t.Errorf("shop and ERP differ: %+v", report)
		var links string
		m.must(m.erp.QueryRow(m.t.Context(), `select string_agg(format('%s %s %s %s %s %s', l.order_id, l.status, l.class, l.decision, l.erp_order, l.deleted), e'\n' order by l.order_id) from spola.link l`).Scan(&links))
		m.t.Log("links: order, status, class, decision, in the ERP, deleted\n" + links)
	}
	m.t.Logf("%+v", report)
}
