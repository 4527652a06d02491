// Package demo holds the verbs that show Spola at work on a shop and an ERP of their own:
// `spola demo` for people, `spola chaos` for doubters, `spola bench` for figures.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/cli/spola"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/verify"
)

// Demo is `spola demo`.
type Demo struct {
	For            time.Duration `help:"How long customers order, and on a slow machine until there is a parcel to see; until ctrl-C if not given." placeholder:"30s"`
	Shops          int           `help:"Shops on the ERP, 1 or 2: the second one has tables, settings, log and ledger of its own, and sells the same goods." default:"1" enum:"1,2"`
	Rate           float64       `help:"Orders a second, in each shop." default:"20"`
	Clerk          float64       `help:"Deeds of the ERP's clerk a second; 0: he stays at home." default:"5"`
	Saboteur       float64       `help:"Edits of the shop's stock by hand, a second, some of them hidden from its binary log; 0: none." default:"0.2"`
	ReconcileEvery time.Duration `help:"How often the shop's stock is reconciled." default:"5s"`
	Seed           uint64        `help:"Decides what the customers do; drawn and printed if not given."`
	Shop           string        `help:"The shop's database: mysql or mariadb." default:"mysql" enum:"mysql,mariadb"`
	Brokers        []string      `help:"A Kafka cluster in place of the embedded broker, as host:port[,…]." placeholder:"HOST:PORT"`
	Dir            string        `help:"Keep the data in this directory." type:"path"`
	Page           string        `help:"Show the page of spola metrics at this address, of the first shop." placeholder:"HOST:PORT"`
	JSON           bool          `help:"End with the proof as one line of JSON." name:"json"`

	Existing int `help:"Begin with a shop that has so many orders already, half of them entered in the ERP by hand; go live with them." placeholder:"5000"`

	spoil func(ctx context.Context, erp string) error // a test's: called before the proof, which is to find it
	files string                                      // a test's: where one order's files go
}

// settleWithin bounds how long a shop may take to go live under kills, and at the end each thing that is still on its way: on a machine that may be busy with
// other things, programs are slow long before anything is wrong.
const settleWithin = 5 * time.Minute

// Run plays the demo: a stage is built, the pipeline starts, customers order, and when they
// have gone home shop and ERP are compared.
func (d Demo) Run(env *cli.Env) error {
	if d.ReconcileEvery == 0 {
		d.ReconcileEvery = 5 * time.Second
	}
	if d.Seed == 0 {
		d.Seed = rand.Uint64N(1_000_000) + 1
	}
	if d.Shops > 1 && d.Existing > 0 {
		return cli.Usage("--existing goes with one shop")
	}
	// What the demo shows goes to standard error when standard output is for a program.
	show := os.Stdout
	if d.JSON {
		show = os.Stderr
	}
	fmt.Fprintf(show, "Spola demo, seed %d. Starting %s on %s and an ERP on PostgreSQL …\n", d.Seed, d.shops(), product(d.Shop))
	log := env.Log.Level(max(env.Log.GetLevel(), zerolog.WarnLevel)) // the screen shows the rest
	started := time.Now()
	st, err := build(env.Ctx, setting{shop: d.Shop, brokers: d.Brokers, dir: d.Dir, log: log, shops: d.Shops, writer: "root", every: d.ReconcileEvery,
		tell: func(line string) { fmt.Fprintln(show, "  "+line) }})
	if err != nil {
		return fmt.Errorf("build the demo's stage: %w", err)
	}
	fmt.Fprintf(show, "  ready in %.1f s: %s %s, PostgreSQL %s, %s\n\n", time.Since(started).Seconds(),
		product(d.Shop), st.shopDB.Version(), st.erpDB.Version(), brokerName(d.Brokers))
	var before past
	if d.Existing > 0 {
		if before, err = st.makePast(env.Ctx, d.Existing); err != nil {
			return errors.Join(err, st.Close())
		}
		fmt.Fprintf(show, "The shop has %d orders of three months, the ERP knows half of them, entered by hand.\n", d.Existing)
	}
	proof, err := d.play(env, log, st, show)
	if err == nil && d.Existing > 0 {
		proof.Existing, err = st.became(context.WithoutCancel(env.Ctx), before)
	}
	if err = errors.Join(err, st.Close()); err != nil {
		return err
	}
	if d.JSON {
		if err := json.NewEncoder(env.Out).Encode(proof); err != nil {
			return err
		}
	} else {
		proof.Print(env.Out)
		proof.Mails.tell(env.Out)
	}
	switch {
	case proof.Differences > 0:
		return cli.Differ("%s and ERP differ in %d orders", d.shops(), proof.Differences)
	case proof.Violations > 0:
		return cli.Differ("%d of %d SKUs do not show what there is", proof.Violations, proof.SKUs)
	case len(proof.Broken) > 0:
		return cli.Differ("%d totals of the ERP are broken", len(proof.Broken))
	case proof.Mails.amiss():
		return cli.Differ("mails to customers: %s", proof.Mails.text())
	}
	return nil
}

// play runs the pipeline, the customers and the screen, and proves the result.
func (d Demo) play(env *cli.Env, log zerolog.Logger, st *stage, show *os.File) (*Proof, error) {
	box, err := st.postbox()
	if err != nil {
		return nil, err
	}
	defer box.Close()
	// The pipeline outlives ctrl-C: what was ordered must arrive before it is compared.
	running, stop := context.WithCancel(context.WithoutCancel(env.Ctx))
	defer stop()
	pipeline, ctx := errgroup.WithContext(running)
	progress := make(lags, len(st.all()))
	pipeline.Go(func() error { return cdc.Read(ctx, st.cfg, cdc.ReadOptions{Log: log, Source: cdc.ERP}) })
	for i, s := range st.all() {
		pipeline.Go(func() error { return cdc.Read(ctx, s.cfg, cdc.ReadOptions{Log: log}) })
		pipeline.Go(func() error {
			return applier.Intake(ctx, s.cfg, applier.Options{Log: log, OnCommit: func(p apply.Progress) { progress[i].Store(&p) }})
		})
	}
	// What comes back into a shop begins when it is live. That the ledger repairs what the saboteur does is no warning here.
	back := func() {
		for _, s := range st.all() {
			options := applier.Options{Log: log, File: s.configFile}
			pipeline.Go(func() error { return applier.Stock(ctx, s.cfg, options) })
			pipeline.Go(func() error { return applier.Orders(ctx, s.cfg, options) })
			pipeline.Go(func() error { return applier.Mails(ctx, s.cfg, options) })
			quiet := applier.Options{Log: log.Level(max(log.GetLevel(), zerolog.ErrorLevel)), File: s.configFile}
			pipeline.Go(func() error { return applier.Ledger(ctx, s.cfg, quiet) })
		}
	}
	if d.Page != "" {
		watch, err := spola.PrepareWatch(&cli.Env{Ctx: ctx, Config: st.configFile, Log: log}, st.cfg, d.Page)
		if err != nil {
			stop()
			return nil, errors.Join(err, pipeline.Wait())
		}
		fmt.Fprintf(show, "The page: http://%s/\n", d.Page)
		pipeline.Go(func() error { return watch.Run(ctx) })
	}
	proof, err := d.order(ctx, env, st, show, progress, back)
	if err == nil {
		files := d.files // a program opens none
		if !d.JSON {
			files, err = st.files(d.Dir != "")
		}
		if err == nil {
			proof.Mails, err = st.mails(context.WithoutCancel(ctx), box, files)
		}
	}
	stop()
	if ended := pipeline.Wait(); ended != nil && !errors.Is(ended, context.Canceled) {
		err = errors.Join(ended, err) // what ended the pipeline comes first: the rest follows from it
	}
	return proof, err
}

// order goes live, lets customers order, waits until all is settled, and proves. ctx ends when
// the pipeline does.
func (d Demo) order(ctx context.Context, env *cli.Env, st *stage, show *os.File, progress lags, back func()) (*Proof, error) {
	for _, s := range st.all() {
		live := s.goLive
		if d.Existing > 0 {
			live = func(ctx context.Context) error { return s.firstDay(ctx, show) }
		}
		if err := live(ctx); err != nil {
			return nil, err
		}
	}
	back()
	seen, err := newWatcher(ctx, st.cfg.ERP.URL())
	if err != nil {
		return nil, err
	}
	ordering, home := context.WithCancel(ctx)
	defer home()
	context.AfterFunc(env.Ctx, home)
	shopping, shut := context.WithCancel(ordering)
	defer shut()
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	var count counters
	clerk := desk{erp: st.cfg.ERP.URL(), seed: d.Seed, rate: d.Clerk}
	group, watched := errgroup.WithContext(watching)
	timed := newStopwatch(st)
	group.Go(func() error { return seen.Run(watched) })
	group.Go(func() error { return timed.Run(watched) })
	group.Go(func() error { return timed.Work(watched, ordering) })
	group.Go(func() error {
		return d.paint(watched, newScreen(show, d.title(st)), &count, &clerk, seen, timed, progress)
	})
	if d.For > 0 {
		group.Go(func() error {
			defer home()
			return d.last(ordering, st, &count, &clerk, shut)
		})
	}
	began := time.Now()
	day, open := errgroup.WithContext(ordering)
	context.AfterFunc(open, shut)
	hands := make([]*saboteur, len(st.all()))
	for i, s := range st.all() {
		hands[i] = &saboteur{shop: s.shop, seed: d.Seed + uint64(i), rate: d.Saboteur}
		day.Go(func() error { return d.customers(shopping, s, d.Seed+uint64(i), &count, seen) })
		day.Go(func() error { return hands[i].Work(open) })
	}
	day.Go(func() error { return clerk.Work(open, false) })
	err = day.Wait()
	seconds := time.Since(began).Seconds()
	for _, s := range st.all() {
		if err == nil {
			settling, cancel := context.WithTimeout(ctx, settleWithin)
			err = s.settle(settling)
			cancel()
		}
	}
	for _, s := range st.all() {
		if err == nil {
			err = s.allowRepairs(ctx, 2*settleWithin)
		}
		if err == nil {
			err = s.settleStock(ctx, settleWithin+2*min(d.ReconcileEvery, 30*time.Second))
		}
	}
	if err == nil {
		timed.Wait(watched)
	}
	unwatch()
	if err = errors.Join(err, group.Wait()); err != nil {
		return nil, err
	}
	if d.spoil != nil {
		if err := d.spoil(ctx, st.cfg.ERP.URL()); err != nil {
			return nil, err
		}
	}
	proof, err := st.prove(context.WithoutCancel(ctx), seen.Latencies(), timed.Latencies(0), seconds)
	if err != nil {
		return nil, err
	}
	proof.Deeds = clerk.deeds.Load()
	for _, hand := range hands {
		proof.Planted += hand.planted.Load()
	}
	return proof, nil
}

// customers order in a shop until ctx ends.
func (d Demo) customers(ctx context.Context, st *stage, seed uint64, count *counters, seen *watcher) error {
	journal, err := shop.OpenJournal(st.journal)
	if err != nil {
		return err
	}
	defer func() { _ = journal.Close() }() // each entry is on the disk already
	return st.shop.Run(ctx, shop.Load{Rate: d.Rate, Seed: seed, Planted: planted, Settings: true, Journal: journal,
		Done: func(e verify.Entry) { count.done(st.name, e, seen) }})
}

// lags are how far the intake of each shop is.
type lags []atomic.Pointer[apply.Progress]

// sum is how many records are not applied, and the age of the oldest of them.
func (l lags) sum() (behind int64, delay time.Duration) {
	for i := range l {
		if p := l[i].Load(); p != nil && p.Behind > 0 {
			behind += p.Behind
			delay = max(delay, time.Since(time.UnixMilli(p.Time)))
		}
	}
	return behind, delay
}

// counters are what the shop itself says of its customers.
type counters struct{ placed, changed atomic.Int64 }

func (c *counters) done(shop string, e verify.Entry, w *watcher) {
	if e.Outcome == verify.Failed {
		return
	}
	switch e.Action {
	case verify.Place:
		c.placed.Add(1)
	case verify.Change, verify.State, verify.Remove:
		c.changed.Add(1)
	}
	if e.Taken && e.Outcome == verify.OK { // of others nobody knows when they were committed
		w.Placed(shop, e.Order, e.At)
	}
}

// paint shows what happens until ctx ends.
func (d Demo) paint(ctx context.Context, s *screen, count *counters, clerk *desk, seen *watcher, back *stopwatch, progress lags) error {
	began := time.Now()
	tick := time.NewTicker(paintEvery)
	defer tick.Stop()
	for {
		now := scene{elapsed: time.Since(began), placed: count.placed.Load(), working: count.changed.Load(), deeds: clerk.deeds.Load(), watch: seen.view(), back: back.Latencies(recent)}
		now.behind, now.delay = progress.sum()
		s.Paint(now)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (d Demo) title(st *stage) string {
	return fmt.Sprintf("Spola demo · seed %d · "+d.opencarts()+" on %s %s → %s → ERP on PostgreSQL %s",
		d.Seed, product(d.Shop), st.shopDB.Version(), brokerName(d.Brokers), st.erpDB.Version())
}

// shops names them to people.
func (d Demo) shops() string {
	if d.Shops > 1 {
		return fmt.Sprintf("%d shops", d.Shops)
	}
	return "shop"
}

func (d Demo) opencarts() string {
	if d.Shops > 1 {
		return fmt.Sprintf("%d OpenCarts", d.Shops)
	}
	return "OpenCart"
}

func product(shop string) string {
	if shop == "mariadb" {
		return "MariaDB"
	}
	return "MySQL"
}

func brokerName(brokers []string) string {
	if len(brokers) == 0 {
		return "embedded broker"
	}
	return "Kafka at " + strings.Join(brokers, ", ")
}
