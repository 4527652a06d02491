package stock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

// settling is over how many ticks of the source's clock a row must say the same before anything is done about it: as
// many as a cancellation in the shop needs to settle.
const settling = 3

const (
	atOnce  = 5000 // rows that one transaction opens, closes or repairs
	settles = 500  // articles, or orders, that one settles, whose accounts nobody else can move meanwhile
	restERP = 9    // parts of time that the ERP's server is left alone, for one in which it works through all that there is
)

// Why a run reconciles.
const (
	Schedule = "schedule"
	Command  = "command" // a person has asked for it
)

// Options say how a run reconciles.
type Options struct {
	Tick   func(context.Context) error // waits until the source's clock has gone on
	Why    string                      // Schedule or Command
	DryRun bool                        // only look
	Only   []string                    // SKUs; empty: all
	Shop   *Shop                       // to compare its rows with the mirror; nil: not compared
	AtOnce int                         // rows that one transaction opens, closes, settles or repairs; 0: as many as usual
}

// Run is what a run of reconciliation has seen and done.
type Run struct {
	Shop        string    `json:"shop"`
	Why         string    `json:"why"`
	DryRun      bool      `json:"dry_run"`
	Began       time.Time `json:"began"`
	Ended       time.Time `json:"ended"`
	Ticks       int64     `json:"ticks"`                  // of the source's clock, that it watched
	Rows        int64     `json:"rows"`                   // with an account
	Recounted   int64     `json:"recounted"`              // sums of what the shop has subtracted that were wrong; they are counted anew once a day, and whenever a person asks
	Opened      int64     `json:"opened"`                 // accounts
	Closed      int64     `json:"closed"`                 // accounts
	Drifting    int64     `json:"drifting"`               // rows, at first sight
	Explained   int64     `json:"explained"`              // of these, stayed so and have a known cause
	Repaired    int64     `json:"repaired"`               // rows
	Compared    bool      `json:"compared"`               // the shop's rows with the mirror
	NotCompared string    `json:"not_compared,omitempty"` // why
	Unequal     int64     `json:"unequal"`                // ranges of rows that were read again, for shop and mirror differed
	Unlike      []Unlike  `json:"unlike,omitempty"`       // of a dry run, which has nothing read again: rows that shop and mirror have otherwise
	CompareRows int64     `json:"compared_rows"`          // of the shop
	CompareTook float64   `json:"compared_seconds"`       // nearly all of it the shop was left alone
	Orders      Orders    `json:"orders"`                 // of the shop, held against the ERP's
	Waiting     int64     `json:"waiting"`                // rows left: unsettled, not the same all the time, or held by the guard
	Held        string    `json:"held,omitempty"`
	Found       []Finding `json:"found"` // the first of them
}

// Finding is what is to be done with a row of the shop's stock.
type Finding struct {
	StockRow string `json:"stock_row"`
	What     string `json:"what"`   // open, remap, close, repair
	Pieces   int64  `json:"pieces"` // repair: the drift; open and remap: what the row shows, with what the shop has subtracted for orders
	Article  int64  `json:"article_id"`
	SKU      string `json:"sku"`
	Why      string `json:"why"`
}

// named is how many findings a run names.
const named = 100

// heldCode is the error of spola.hold: a person must look.
const heldCode = "SPH01"

// Reconcile holds what the shop's rows show against their accounts. conn is the run's own; schema is the shop's canonical
// one. What it does about a row it does only if the row said the same for several ticks of the source's clock, with no
// order at it unsettled: no ticks, no repair. Two runs at once do no harm, for each looks again under the row's lock.
func Reconcile(ctx context.Context, conn *pgx.Conn, shop, schema string, o Options) (Run, error) {
	r := &run{Run: Run{Shop: shop, Why: o.Why, DryRun: o.DryRun, Began: time.Now(), Found: []Finding{}}, drifting: map[string]bool{}, conn: conn, schema: pgx.Identifier{schema}.Sanitize(), o: o}
	err := r.all(ctx)
	r.Ended = time.Now()
	if err != nil {
		return r.Run, postgres.Explain(fmt.Errorf("reconcile the stock of shop %s: %w", shop, err))
	}
	return r.Run, r.keep(ctx)
}

type run struct {
	Run
	conn     *pgx.Conn
	schema   string
	o        Options
	drifting map[string]bool // rows that were seen to drift → whether their cause is known
}

func (r *run) all(ctx context.Context) error {
	var live bool
	if err := r.conn.QueryRow(ctx, "select s.mode = 'live' from spola.shop s where s.shop = $1", r.Shop).Scan(&live); err != nil {
		return err
	}
	if !live {
		r.Held = "the shop is observed: its stock is not touched"
		return nil
	}
	var read bool
	if err := r.conn.QueryRow(ctx, "select spola.read_again($1)", r.Shop).Scan(&read); err != nil {
		return err
	}
	if !read {
		r.Held = "the ERP's database was restored, and the shop's log is still being read again"
		return nil
	}
	if !r.o.DryRun {
		if err := r.recount(ctx); err != nil {
			return err
		}
		if err := r.settle(ctx); err != nil {
			return err
		}
	}
	if err := r.rows(ctx); err != nil {
		return err
	}
	if err := r.compare(ctx); err != nil {
		return err
	}
	if err := r.orders(ctx); err != nil {
		return err
	}
	if r.Unequal > 0 || len(r.Orders.Asked) > 0 { // what was read again may be drift that the mirror did not know of
		if err := r.rows(ctx); err != nil {
			return err
		}
	}
	return r.conn.QueryRow(ctx, "select count(*) from spola.stock_account where shop = $1 and article_id is not null", r.Shop).Scan(&r.Rows)
}

// rows watches the shop's rows of stock as the mirror has them, names causes, and mends what stays.
func (r *run) rows(ctx context.Context) error {
	seen, err := r.watch(ctx)
	if err != nil {
		return err
	}
	if err := r.causes(ctx, seen); err != nil {
		return err
	}
	for _, f := range seen {
		if len(r.Found) < named && !slices.Contains(r.Found, f) { // what waits is seen twice
			r.Found = append(r.Found, f)
		}
	}
	if r.o.DryRun {
		return nil
	}
	return r.mend(ctx, seen)
}

// compare has the shop's rows compared with the mirror, and gives what is read again a tick to arrive. What comes later
// is the next run's. A dry run has nothing read again: it names the rows.
func (r *run) compare(ctx context.Context) (err error) {
	if r.o.Shop == nil {
		return nil
	}
	began := time.Now()
	if r.DryRun {
		r.Unlike, r.CompareRows, err = r.o.Shop.unlike(ctx, r.conn, r.Shop)
	} else {
		r.Unequal, r.CompareRows, err = r.o.Shop.compare(ctx, r.conn, r.Shop)
	}
	r.CompareTook = time.Since(began).Seconds()
	if err != nil {
		r.NotCompared = err.Error() // what the mirror has is reconciled all the same
		return ctx.Err()
	}
	r.Compared = true
	if r.Unequal == 0 {
		return nil
	}
	return r.o.Tick(ctx)
}

// recount counts anew, once a day and whenever a person asks, what is kept as sums beside what they are sums of: what the shop has subtracted for its
// orders, and what of it the ERP does not count. Transactions keep both together; it is for who wrote into the tables by himself.
func (r *run) recount(ctx context.Context) error {
	var due bool
	err := r.conn.QueryRow(ctx, "select coalesce(h.recounted_at < now() - interval '1 day', true) from spola.stock_head h where h.shop = $1", r.Shop).Scan(&due)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // there are no accounts yet
	}
	if err != nil || !due && r.Why != Command {
		return err
	}
	if err := r.guarded(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "select "+r.schema+".recount_totals()").Scan(&r.Recounted)
	}); err != nil {
		return err
	}
	var orders []int64
	if err := r.conn.QueryRow(ctx, "select "+r.schema+".uncounted_orders()").Scan(&orders); err != nil {
		return err
	}
	if err := r.settleSome(ctx, settleOrders, orders); err != nil {
		return err
	}
	_, err = r.conn.Exec(ctx, "update spola.stock_head set recounted_at = now() where shop = $1", r.Shop)
	return err
}

// settle brings the accounts up to date of the ERP that are not, for what its log does not tell (a warehouse that is linked to the shop,
// a setting), and takes changed buffers over. The guard looks at all of them together, before they are settled some at a time.
func (r *run) settle(ctx context.Context) error {
	if err := r.guarded(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "select "+r.schema+".follow_buffers()")
		return err
	}); err != nil {
		return err
	}
	var articles []int64
	err := r.guarded(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "select "+r.schema+".unpublished()").Scan(&articles)
	})
	if err != nil {
		return err
	}
	return r.settleSome(ctx, settleArticles, articles)
}

// What settleSome calls, for articles and for orders of the shop.
const (
	settleArticles = "select spola.settle($1, $2, '{}', true)"
	settleOrders   = "select spola.settle($1, '{}', $2, true)"
)

// settleSome settles articles or orders of the shop, some at a time.
func (r *run) settleSome(ctx context.Context, call string, ids []int64) error {
	for some := range slices.Chunk(ids, cmp.Or(r.o.AtOnce, settles)) {
		began := time.Now()
		err := r.guarded(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, call, r.Shop, some)
			return err
		})
		if err != nil {
			return err
		}
		if len(some) == settles {
			if err := wait(ctx, time.Since(began)); err != nil { // whoever waits for these accounts comes first
				return err
			}
		}
	}
	return nil
}

// watch looks at all rows at each tick of the settling time, and returns what was the same each time.
func (r *run) watch(ctx context.Context) ([]Finding, error) {
	first, err := r.ticks(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := r.look(ctx)
	if err != nil {
		return nil, err
	}
	for row, f := range seen {
		if _, known := r.drifting[row]; f.What == "repair" && !known {
			r.drifting[row] = false
			r.Drifting++
		}
	}
	all, watched := int64(len(seen)), r.Ticks
	for last := first; last < first+settling && len(seen) > 0; {
		if err := r.o.Tick(ctx); err != nil {
			return nil, err
		}
		if last, err = r.ticks(ctx); err != nil {
			return nil, err
		}
		r.Ticks = watched + last - first
		again, err := r.look(ctx)
		if err != nil {
			return nil, err
		}
		for row, f := range seen {
			if again[row] != f {
				delete(seen, row)
			}
		}
	}
	r.Waiting = all - int64(len(seen))
	list := make([]Finding, 0, len(seen))
	for _, f := range seen {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b Finding) int { return strings.Compare(a.What+a.StockRow, b.What+b.StockRow) })
	return list, nil
}

func (r *run) ticks(ctx context.Context) (n int64, err error) {
	err = r.conn.QueryRow(ctx, "select ticks from spola.mirror where source = $1", r.Shop).Scan(&n)
	return n, err
}

// look lists what is to be done as it looks now, by row.
func (r *run) look(ctx context.Context) (map[string]Finding, error) {
	rows, err := r.conn.Query(ctx, "select stock_row, what, value, article, coalesce(sku, ''), why from "+r.schema+".todo() where $1::text[] is null or sku = any ($1)", r.o.Only)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Finding])
	seen := make(map[string]Finding, len(list))
	for _, f := range list {
		seen[f.StockRow] = f
	}
	return seen, err
}

// unknownCause is what is said of drift where neither orders nor products tell.
const unknownCause = "changed in the shop, by hand or by another program"

// causes names what is known to have led to drift.
func (r *run) causes(ctx context.Context, seen []Finding) error {
	var rows []string
	var drifts []int64
	for _, f := range seen {
		if f.What == "repair" {
			rows, drifts = append(rows, f.StockRow), append(drifts, f.Pieces)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	found := map[string]string{}
	list, err := r.conn.Query(ctx, "select stock_row, cause from "+r.schema+".causes($1, $2)", rows, drifts)
	if err != nil {
		return err
	}
	var row, cause string
	if _, err := pgx.ForEachRow(list, []any{&row, &cause}, func() error { found[row] = cause; return nil }); err != nil {
		return err
	}
	for i, f := range seen {
		if f.What == "repair" {
			seen[i].Why = cmp.Or(found[f.StockRow], unknownCause)
			if seen[i].Why != unknownCause && !r.drifting[f.StockRow] { // what waits is looked at twice
				r.drifting[f.StockRow] = true
				r.Explained++
			}
		}
	}
	return nil
}

// mend closes, opens and repairs what was seen.
func (r *run) mend(ctx context.Context, seen []Finding) error {
	by := map[string][]Finding{}
	for _, f := range seen {
		by[f.What] = append(by[f.What], f)
	}
	closed, err := r.each(ctx, by["close"], "close_accounts($1)", 1)
	r.Closed += closed
	if err != nil {
		return err
	}
	opened, err := r.unlessHeld(ctx, append(by["open"], by["remap"]...), "hold_openings($1)", 1, "open_accounts($1, $2)", 2)
	r.Opened += opened
	if err != nil {
		return err
	}
	repaired, err := r.unlessHeld(ctx, by["repair"], "hold_repairs($1, $2)", 2, "repair($1, $2, $3)", 3)
	r.Repaired += repaired
	if err != nil {
		return err
	}
	r.Waiting += int64(len(seen)) - closed - opened - repaired
	// What happened in the ERP while they were opened was settled by nobody.
	var articles []int64
	for _, f := range append(by["open"], by["remap"]...) {
		articles = append(articles, f.Article)
	}
	return r.settleSome(ctx, settleArticles, articles)
}

// unlessHeld calls a function for the rows, some at a time, unless the guard, which looks at all of them, holds it.
func (r *run) unlessHeld(ctx context.Context, list []Finding, look string, looks int, call string, takes int) (int64, error) {
	if len(list) == 0 {
		return 0, nil
	}
	held := true
	err := r.guarded(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "select "+r.schema+"."+look, arguments(list)[:looks]...)
		held = err != nil
		return err
	})
	if err != nil || held {
		return 0, err
	}
	return r.each(ctx, list, call, takes)
}

// arguments are rows, pieces and causes.
func arguments(list []Finding) []any {
	rows, values, whys := make([]string, len(list)), make([]int64, len(list)), make([]string, len(list))
	for i, f := range list {
		rows[i], values[i], whys[i] = f.StockRow, f.Pieces, f.Why
	}
	return []any{rows, values, whys}
}

// each calls a function for the rows, some at a time, and adds up what it has done. It takes the first so many of rows, pieces
// and causes.
func (r *run) each(ctx context.Context, list []Finding, call string, takes int) (done int64, err error) {
	for some := range slices.Chunk(list, cmp.Or(r.o.AtOnce, atOnce)) {
		err := r.guarded(ctx, func(tx pgx.Tx) error {
			var n int64
			if err := tx.QueryRow(ctx, "select "+r.schema+"."+call, arguments(some)[:takes]...).Scan(&n); err != nil {
				return err
			}
			done += n
			return nil
		})
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// guarded does something in a transaction; what the guard holds is undone and noted.
func (r *run) guarded(ctx context.Context, do func(pgx.Tx) error) error {
	err := again(ctx, func() error { return postgres.InTransaction(ctx, r.conn, do) })
	if held, ok := errors.AsType[*pgconn.PgError](err); ok && held.Code == heldCode {
		r.Held = held.Message
		return nil
	}
	return err
}

// again repeats what the database broke off for the sake of others: a deadlock.
func again(ctx context.Context, do func() error) error {
	for n := 0; ; n++ {
		err := do()
		deadlock, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || deadlock.Code != "40P01" || n == 10 || ctx.Err() != nil {
			return err
		}
	}
}

// keep writes down what the run has done.
func (r *run) keep(ctx context.Context) error {
	if r.DryRun {
		return nil
	}
	_, err := r.conn.Exec(ctx, `insert into spola.reconciliation (shop, why, began, ended, ticks, rows, opened, closed, drifting, explained, repaired, compared, unequal, waiting, held, detail, orders)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		r.Shop, r.Why, r.Began, r.Ended, r.Ticks, r.Rows, r.Opened, r.Closed, r.Drifting, r.Explained, r.Repaired, r.Compared, r.Unequal, r.Waiting, r.Held, r.Found, r.Orders)
	if err != nil {
		return postgres.Explain(fmt.Errorf("note the reconciliation of shop %s: %w", r.Shop, err))
	}
	return nil
}

func collect[T any](ctx context.Context, conn *pgx.Conn, query string, args ...any) ([]T, error) {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// Due tells whether the shop's last reconciliation on schedule began so long ago, or before the ERP was restored, and takes the lead until Yield or
// the connection's end. False too if somebody else leads.
func Due(ctx context.Context, conn *pgx.Conn, shop string, every time.Duration) (due bool, err error) {
	err = conn.QueryRow(ctx, `select s.mode = 'live' and s.derived
			and not exists (select from spola.reconciliation r where r.shop = s.shop and r.began > clock_timestamp() - $2::interval
				and r.began > coalesce((select max(x.at) from spola.recovery x where x.shop = s.shop), '-infinity'))
			and spola.read_again(s.shop)
			and pg_try_advisory_lock(hashtextextended('spola reconcile ' || s.shop, 0))
		from spola.shop s where s.shop = $1`, shop, every).Scan(&due)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil // its intake has not begun yet
	}
	if err != nil {
		return false, postgres.Explain(fmt.Errorf("look when the stock of shop %s was reconciled: %w", shop, err))
	}
	return due, nil
}

// Yield lets somebody else lead. The connection may be the next to lead again.
func Yield(ctx context.Context, conn *pgx.Conn, shop string) error {
	var led bool
	if err := conn.QueryRow(ctx, "select pg_advisory_unlock(hashtextextended('spola reconcile ' || $1, 0))", shop).Scan(&led); err != nil {
		return postgres.Explain(fmt.Errorf("let another reconcile the stock of shop %s: %w", shop, err))
	}
	if !led {
		return fmt.Errorf("let another reconcile the stock of shop %s: this one did not lead", shop)
	}
	return nil
}

// stillness is how long the source's clock may stand while somebody waits for it: it goes once a minute at least.
const stillness = 3 * time.Minute

// AwaitTick waits until the source's clock, as the mirror has it, has gone on.
func AwaitTick(ctx context.Context, conn *pgx.Conn, shop string) error {
	var before, now int64
	for began := time.Now(); ; {
		if err := conn.QueryRow(ctx, "select ticks from spola.mirror where source = $1", shop).Scan(&now); err != nil {
			return err
		}
		if before == 0 {
			before = now
		}
		switch {
		case now > before:
			return nil
		case time.Since(began) > stillness:
			return fmt.Errorf("the clock of shop %s has not gone on for %v: is its cdc running, and intake with it? Nothing is repaired without it", shop, stillness)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
