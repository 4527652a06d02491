package bench

import (
	"context"
	_ "embed" // the statements stand in back.sql
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/lab/watch"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/schemas"
)

//go:embed back.sql
var backSQL string

const (
	shelf        = 100_001 // the first product that no customer is offered
	movementRate = 100     // movements a second, while latencies are measured
	checkoutRate = 20      // checkouts a second, beside a comparison
	clerks       = 4       // who work at once
	rounds       = 4       // of checkouts alone and beside
	roundSeconds = 5       // each, where a pace is measured for 20
)

// askEvery is how often the shop is asked for the pieces of all articles.
const askEvery = 100 * time.Millisecond

// RunBack measures the way back: what changes in the ERP until the shop's rows show it. Its servers are gone afterwards.
func RunBack(ctx context.Context, o Options) (_ BackReport, err error) {
	o.setBackDefaults()
	if err := o.setDefaults(); err != nil {
		return BackReport{}, err
	}
	st, err := build(ctx, o, true)
	if err != nil {
		return BackReport{}, fmt.Errorf("build the benchmark's stage: %w", err)
	}
	defer func() { err = errors.Join(err, st.close()) }()
	r := BackReport{Orders: o.Orders, Articles: o.Articles, Machine: machine(st)}
	for _, step := range []struct {
		what string
		do   func(context.Context, *stage, *BackReport) error
	}{
		{"take the shop's orders over", takeOrders},
		{"open the accounts", measureOpening},
		{"move stock, one piece at a time", measureMovements},
		{"deliver an hour's movements", measureHour},
		{"compare shop and mirror beside checkouts", measureComparison},
		{"check the law", measureLaw},
	} {
		began := time.Now()
		if err := step.do(ctx, st, &r); err != nil {
			return r, fmt.Errorf("%s: %w", step.what, err)
		}
		st.tell("%-40s %6.1f s", step.what, time.Since(began).Seconds())
	}
	return r, nil
}

func (o *Options) setBackDefaults() {
	if o.Orders == 0 {
		o.Orders = 20_000
	}
	if o.Articles == 0 {
		o.Articles = 10_000
	}
	if o.Movements == 0 {
		o.Movements = 100_000
	}
	if o.SKUs == nil {
		o.SKUs = []int{10_000, 100_000, 1_000_000}
	}
	if o.Old == nil {
		o.Old = []int{10_000, 5_000_000}
	}
}

// back is one of the statements.
func back(name string) string {
	_, text, _ := strings.Cut(backSQL, "-- name: "+name+"\n")
	text, _, _ = strings.Cut(text, "\n-- name: ")
	return text
}

// takeOrders gives the shop orders to be compared, and articles whose stock moves.
func takeOrders(ctx context.Context, st *stage, _ *BackReport) error {
	models := make([]string, st.options.Articles)
	for i := range models {
		models[i] = "BACK-" + strconv.Itoa(i+1)
	}
	if err := st.shop.Shelve(ctx, shelf, models...); err != nil {
		return err
	}
	if _, err := st.erp.Exec(ctx, back("articles"), st.options.Articles); err != nil {
		return fmt.Errorf("give the ERP articles: %w", err)
	}
	if err := st.command(ctx, st.options.CDC, "preflight", "erp", "--make", "postgres"); err != nil {
		return err
	}
	if _, _, err := st.shop.Bench(ctx, shop.BenchLoad{Orders: st.options.Orders, Relaxed: true}); err != nil {
		return err
	}
	before, err := st.logEnd(ctx)
	if err != nil {
		return err
	}
	if err := st.start(ctx, st.cdc, st.applier); err != nil {
		return err
	}
	const fenceAndClaim = 2
	end := before + fenceAndClaim + int64(st.options.Orders*rowsPerOrder+st.options.Articles)
	if err := st.logReaches(ctx, end); err != nil {
		return err
	}
	return st.applied(ctx, end)
}

// measureOpening measures how long it takes from the start of the way back until each article has its account and the
// shop shows it.
func measureOpening(ctx context.Context, st *stage, r *BackReport) error {
	began := time.Now()
	if err := st.start(ctx, st.erpCDC, st.ledger, st.stock); err != nil {
		return err
	}
	waking, enough := context.WithCancel(ctx)
	defer enough()
	go st.wake(waking)
	err := st.until(ctx, func() (bool, error) {
		var opened int
		err := st.erp.QueryRow(ctx, back("opened")).Scan(&opened)
		return opened == st.options.Articles, err
	})
	if err != nil {
		return err
	}
	r.AccountSeconds = time.Since(began).Seconds()
	if err := st.delivered(ctx); err != nil {
		return err
	}
	r.OpenSeconds = time.Since(began).Seconds()
	return nil
}

// wake lets the shop's clock go on until ctx ends: accounts are opened by it.
func (st *stage) wake(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		_, _ = st.shop.DB().ExecContext(ctx, "UPDATE oc_product SET date_modified = date_modified + INTERVAL 1 SECOND WHERE product_id = 1") // the next one does
		_ = pause(ctx, time.Second)
	}
}

// delivered waits until the shop shows the ERP's pieces of all articles that move.
func (st *stage) delivered(ctx context.Context) error {
	var free int64
	if err := st.erp.QueryRow(ctx, back("free")).Scan(&free); err != nil {
		return fmt.Errorf("count the ERP's pieces: %w", err)
	}
	return st.until(ctx, func() (bool, error) {
		if err := pause(ctx, askEvery); err != nil { // it is an expensive question
			return false, err
		}
		var shown int64
		err := st.shop.DB().QueryRowContext(ctx, "SELECT SUM(quantity) FROM oc_product WHERE product_id >= ?", shelf).Scan(&shown)
		return shown == free, err
	})
}

// measureMovements lets pieces come in one by one, and measures when the shop shows each.
func measureMovements(ctx context.Context, st *stage, r *BackReport) error {
	var ids []int64
	if err := st.erp.QueryRow(ctx, back("ids")).Scan(&ids); err != nil {
		return fmt.Errorf("list the articles: %w", err)
	}
	config, err := pgxpool.ParseConfig(st.databaseURL("erp"))
	if err != nil {
		return err
	}
	config.MaxConns = clerks
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect the clerks: %w", err)
	}
	defer pool.Close()
	m := &mover{pool: pool, ids: ids, had: map[int]int64{}, back: watch.NewBack(st.shop.DB(), "oc_")}
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	watched := make(chan error, 1)
	go func() { watched <- m.back.Run(watching) }()
	if err := m.move(ctx, st, time.Second); err != nil { // connections stand, plans are made
		return err
	}
	warm := len(m.back.Latencies(0))
	meter, err := newMeter(st.pids())
	if err != nil {
		return err
	}
	if err := m.move(ctx, st, st.options.For); err != nil {
		return err
	}
	if r.CPU, err = meter.cores(); err != nil {
		return err
	}
	unwatch()
	if err := <-watched; err != nil {
		return err
	}
	times := m.back.Latencies(0)[warm:]
	r.Movements, r.Latency = len(times), percentiles(times)
	st.tell("  %d movements a second: %s ms", movementRate, r.Latency)
	return nil
}

// mover moves stock at a pace: each movement another article, so that each is seen by itself.
type mover struct {
	pool *pgxpool.Pool
	ids  []int64
	back *watch.Back

	mu   sync.Mutex
	next int
	had  map[int]int64 // pieces received so far, by article
}

func (m *mover) move(ctx context.Context, st *stage, during time.Duration) error {
	group, ctx := errgroup.WithContext(ctx)
	_, err := paced(ctx, movementRate, during, func(int) (time.Duration, error) {
		m.mu.Lock()
		at := m.next % len(m.ids)
		m.next++
		m.had[at]++
		quantity := 20 + m.had[at]
		m.mu.Unlock()
		group.Go(func() error {
			if _, err := m.pool.Exec(ctx, back("receive"), m.ids[at]); err != nil {
				return fmt.Errorf("receive a piece: %w", err)
			}
			m.back.Moved(int64(shelf+at), quantity, time.Now())
			return nil
		})
		return 0, nil
	})
	if failed := group.Wait(); failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainWithin)
	defer cancel()
	return st.until(draining, func() (bool, error) { n, _ := m.back.OnTheWay(); return n == 0, nil })
}

// measureHour lets the clerks work while nobody reads, and measures how long it takes from the start of the way back until the
// shop shows it all.
func measureHour(ctx context.Context, st *stage, r *BackReport) error {
	if err := st.stop(ctx, st.stock, st.ledger, st.erpCDC); err != nil {
		return err
	}
	group, working := errgroup.WithContext(ctx)
	for part := range clerks {
		group.Go(func() error { return st.work(working, part) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	began := time.Now()
	if err := st.start(ctx, st.erpCDC, st.ledger, st.stock); err != nil {
		return err
	}
	meter, err := newMeter(st.pids())
	if err != nil {
		return err
	}
	if err := st.delivered(ctx); err != nil {
		return err
	}
	r.Hour.Movements, r.Hour.Seconds = st.options.Movements, time.Since(began).Seconds()
	used, err := meter.used()
	if err != nil {
		return err
	}
	r.Hour.CPU = map[string]float64{}
	for name, of := range used {
		r.Hour.CPU[name] = of.Seconds()
	}
	st.tell("  %d movements in %.1f s", r.Hour.Movements, r.Hour.Seconds)
	return nil
}

func (st *stage) work(ctx context.Context, part int) error {
	conn, err := pgx.Connect(ctx, st.databaseURL("erp"))
	if err != nil {
		return fmt.Errorf("connect a clerk: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	text := strings.NewReplacer("{movements}", strconv.Itoa(st.options.Movements/clerks), "{parts}", strconv.Itoa(clerks), "{part}", strconv.Itoa(part)).Replace(back("hour"))
	for _, statement := range strings.SplitN(text, ";\n", 2) {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("work for an hour: %w", err)
		}
	}
	return nil
}

// measureComparison compares the shop's tables with the mirror again and again while customers go through the checkout, and
// measures what a checkout takes beside it and alone.
func measureComparison(ctx context.Context, st *stage, r *BackReport) error {
	var alone, beside []time.Duration
	for range rounds {
		times, err := st.timeCheckouts(ctx, st.options.For*roundSeconds/20)
		if err != nil {
			return err
		}
		alone = append(alone, times...)
		comparing, enough := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- st.compareAgain(comparing, &r.Comparison) }()
		times, err = st.timeCheckouts(ctx, st.options.For*roundSeconds/20)
		enough()
		if err = errors.Join(err, <-done); err != nil {
			return err
		}
		beside = append(beside, times...)
	}
	r.Comparison.Alone, r.Comparison.Beside = percentiles(alone), percentiles(beside)
	return nil
}

// compareAgain has shop and mirror compared until ctx ends, once at least, as each reconciliation does it.
func (st *stage) compareAgain(ctx context.Context, c *Comparison) error {
	running := context.WithoutCancel(ctx)
	conn, err := pgx.Connect(running, st.databaseURL("erp"))
	if err != nil {
		return fmt.Errorf("connect the comparison: %w", err)
	}
	defer conn.Close(running)
	profile, _, err := schemas.Platform("opencart")
	if err != nil {
		return err
	}
	compared := &stock.Shop{DB: st.shop.DB(), Prefix: "oc_", Mirror: "mirror_" + shopName, Tables: profile.Compare,
		Request: func(context.Context, mysql.SnapshotRequest) error { return nil }} // what was behind thrice is counted, and not read again here
	for c.Runs == 0 || ctx.Err() == nil {
		run, err := stock.Reconcile(running, conn, shopName, "canonical_"+shopName, stock.Options{Why: stock.Command, Shop: compared,
			Tick: func(ctx context.Context) error { return stock.AwaitTick(ctx, conn, shopName) }})
		if err != nil {
			return err
		}
		if !run.Compared {
			return fmt.Errorf("shop and mirror were not compared: %s", run.NotCompared)
		}
		c.Runs++
		c.Rows += run.CompareRows
		c.Seconds += run.CompareTook
		c.Unequal += run.Unequal
	}
	return nil
}

// timeCheckouts lets customers go through the genuine checkout, and returns how long the shop took for each.
func (st *stage) timeCheckouts(ctx context.Context, during time.Duration) ([]time.Duration, error) {
	var mu sync.Mutex
	var times []time.Duration
	group, ordering := errgroup.WithContext(ctx)
	_, err := paced(ordering, checkoutRate, during, func(i int) (time.Duration, error) {
		group.Go(func() error {
			began := time.Now()
			if _, err := st.order(ordering, i); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Since(began))
			return nil
		})
		return 0, nil
	})
	if failed := group.Wait(); failed != nil {
		return nil, failed
	}
	return times, err
}

// measureLaw checks the law over many rows, with few old orders and with many. Our programs have ended.
func measureLaw(ctx context.Context, st *stage, r *BackReport) error {
	if err := st.stop(ctx, st.stock, st.ledger, st.erpCDC, st.applier, st.cdc); err != nil {
		return err
	}
	// What is made up here nobody reads: without the slot the server keeps none of it.
	for _, statement := range []string{ // the server may not have seen yet that the reader has ended
		"select pg_terminate_backend(active_pid, 60000) from pg_replication_slots where slot_name = 'spola_bench' and active",
		"select pg_drop_replication_slot('spola_bench')",
	} {
		if _, err := st.erp.Exec(ctx, statement); err != nil {
			return fmt.Errorf("drop the slot: %w", err)
		}
	}
	others, err := st.otherColumns(ctx)
	if err != nil {
		return err
	}
	few, many := st.options.Old[0], st.options.Old[1:]
	if err := st.fill(ctx, "old", 1, few, others, st.options.SKUs[0]); err != nil {
		return err
	}
	had := 0
	for _, skus := range st.options.SKUs {
		for _, what := range []string{"goods", "rows"} {
			if err := st.fill(ctx, what, had+1, skus, others); err != nil {
				return err
			}
		}
		had = skus
		if err := st.checkLaw(ctx, r, skus, few); err != nil {
			return err
		}
	}
	for _, orders := range many {
		if err := st.fill(ctx, "old", few+1, orders, others, had); err != nil {
			return err
		}
		few = orders
		if err := st.checkLaw(ctx, r, had, orders); err != nil {
			return err
		}
	}
	if len(many) == 0 {
		return nil
	}
	for _, skus := range slices.Backward(st.options.SKUs[:len(st.options.SKUs)-1]) { // to make fewer rows is quicker than to make the orders again
		if err := st.fewer(ctx, skus); err != nil {
			return err
		}
		if err := st.checkLaw(ctx, r, skus, few); err != nil {
			return err
		}
	}
	return nil
}

// checkLaw adds a check to the report.
func (st *stage) checkLaw(ctx context.Context, r *BackReport, skus, orders int) error {
	l, err := st.law(ctx, skus, orders)
	if err != nil {
		return err
	}
	r.Law = append(r.Law, l)
	st.tell("  %d rows, %d old orders: %.2f s, what stands beside it %.2f s, all that is to be done %.2f s", l.SKUs, l.Old, l.Seconds, l.LagSeconds, l.LookSeconds)
	return nil
}

// fewer takes the rows beyond so many out of the shop again. The ERP keeps the articles.
func (st *stage) fewer(ctx context.Context, skus int) error {
	for _, name := range []string{"fewer products", "fewer marks", "fewer totals", "fewer accounts"} {
		if _, err := st.erp.Exec(ctx, back(name), skus); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, err := st.erp.Exec(ctx, back("vacuum")); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	return nil
}

// fill makes data of a kind up, numbers from to to, some at a time.
func (st *stage) fill(ctx context.Context, name string, from, to int, others string, more ...any) error {
	const atOnce = 250_000
	text := strings.ReplaceAll(back(name), "{others}", others)
	for ; from <= to; from += atOnce {
		args := append([]any{from, min(to, from+atOnce-1)}, more...)
		if _, err := st.erp.Exec(ctx, text, args...); err != nil {
			return fmt.Errorf("make up %s: %w", name, err)
		}
	}
	return nil
}

// otherColumns are those of a product in the mirror that need no value of their own.
func (st *stage) otherColumns(ctx context.Context) (list string, err error) {
	err = st.erp.QueryRow(ctx, `select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
		where attrelid = 'mirror_shop.oc_product'::regclass and attnum > 0 and not attisdropped and attname not in ('product_id', 'model', 'quantity', 'subtract')`).Scan(&list)
	if err != nil {
		return "", fmt.Errorf("list the columns of a product: %w", err)
	}
	return list, nil
}

// law checks it as a person does, and as each look of a reconciliation. The first pass over new rows, which writes hint bits, is not counted.
func (st *stage) law(ctx context.Context, skus, orders int) (l Law, err error) {
	if _, err := st.erp.Exec(ctx, back("analyze")); err != nil {
		return l, fmt.Errorf("analyze: %w", err)
	}
	l = Law{SKUs: skus, Old: orders}
	for range 2 {
		began := time.Now()
		if err := st.erp.QueryRow(ctx, back("law")).Scan(&l.Rows, &l.Drifting); err != nil {
			return l, err
		}
		l.Seconds = time.Since(began).Seconds()
		began = time.Now()
		if err := st.erp.QueryRow(ctx, back("lag")).Scan(&l.Unpublished, &l.Undelivered); err != nil {
			return l, err
		}
		l.LagSeconds = time.Since(began).Seconds()
		began = time.Now()
		var todo int64
		if err := st.erp.QueryRow(ctx, back("todo")).Scan(&todo); err != nil {
			return l, err
		}
		l.LookSeconds = time.Since(began).Seconds()
	}
	if l.Drifting+l.Unpublished+l.Undelivered > 0 {
		return l, fmt.Errorf("the law does not hold of what was made up: %+v", l)
	}
	return l, nil
}
