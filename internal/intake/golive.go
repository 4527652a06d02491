package intake

import (
	"context"
	_ "embed" // the statements stand in golive.sql
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones of shops, where the machine has none

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

// ErrNotReady says that a shop can't go live yet, for a reason that passes by itself: its first
// snapshot is not in the mirror, or its settings are not complete there.
var ErrNotReady = errors.New("the shop is not ready to go live")

// Going says how a shop goes live.
type Going struct {
	From  time.Time // the cut: orders complete at it or later are taken, those before by decision; its zone is that of all times told
	Said  io.Reader // decisions of people, as CSV; nil: none
	File  string    // what that is called, for errors
	By    By
	Log   func(done, total int) // progress over the orders; may be nil
	Table io.Writer             // of CheckLive: gets the decisions as CSV, for people to edit; may be nil
	Stock io.Writer             // of CheckLive: gets what becomes of each row of the shop's stock, as CSV; may be nil
}

// Readiness is what stands against going live, and what it does, or would do.
type Readiness struct {
	Shop         string    `json:"shop"`
	From         time.Time `json:"from"`
	Live         bool      `json:"live"`         // it was already: nothing was done
	ERP          string    `json:"erp"`          // why the ERP takes no order at all, and what mends it; empty: it does
	Unclassified []string  `json:"unclassified"` // order states that the shop file has no class for, "17 (Backorder)"
	Orders       int       `json:"orders"`       // that are more than a cart, not cancelled, and not in the ERP
	Import       int       `json:"import"`       // of these: into the ERP
	Adopt        int       `json:"adopt"`        //   linked to an order that was entered by hand
	Close        int       `json:"close"`        //   neither
	Open         int       `json:"open"`         //   a person must say
	Asked        int       `json:"asked"`        // of all, those that a person must have seen
	Parked       int       `json:"parked"`       // of those to be imported: will be parked, see `applier parked`
	Again        int       `json:"again"`        // of those to be imported: are parked, and being looked at again, for what they waited for is there
	Differing    Names     `json:"differing"`    // of those to be adopted: with another total in the ERP
	Passed       int       `json:"passed_over"`  // lines of the file about orders cancelled or deleted since

	Customers Buyers `json:"customers"` // of the orders to be imported

	Missing Names `json:"missing"` // what the shop sells without an article of the ERP
	Unsold  Names `json:"unsold"`  // articles that the ERP stocks and the shop does not sell

	Stock   *StockPlan `json:"stock,omitempty"` // of a dry run
	Seconds float64    `json:"seconds"`         // that the look has taken
}

// StockPlan is what the rows of the shop's stock show, and what they are to show once the shop is live and its orders have settled.
type StockPlan struct {
	Same    int        `json:"same"`    // rows that show already what they are to
	More    int        `json:"more"`    // are to show more
	Less    int        `json:"less"`    // are to show less
	Emptied int        `json:"emptied"` // of these, have pieces now and are to have none
	Left    int        `json:"left"`    // are left as they are: they get no account
	Rows    []StockRow `json:"rows"`    // all of them, those that change most first
}

// StockRow is a row of the shop's stock.
type StockRow struct {
	StockRow string `json:"stock_row"` // product:31, option:17
	SKU      string `json:"sku"`       // of the ERP's article; empty: it is none
	Now      int64  `json:"now"`       // pieces that the shop shows
	After    int64  `json:"after"`     // and is to show
	WhyNot   string `json:"why_not"`   // why it gets no account, as canonical_<shop>.stock_article says it; empty: it gets one
}

// Buyers tells whom orders to be imported belong to. Which customers of the ERP are looked for
// says "customers: match" in the shop file.
type Buyers struct {
	Count   int      `json:"count"`
	Known   int      `json:"known"`   // one of the ERP's fits
	Several int      `json:"several"` // of the ERP's fit: their orders will be parked
	First   []string `json:"first"`   // ten of these
	Doubles Names    `json:"doubles"` // e-mail addresses of several accounts
}

// Names is a number of things and the first ten by name.
type Names struct {
	Count int64    `json:"count"`
	First []string `json:"first"`
}

// GoLive lets a shop's orders into the ERP. Those complete before the cut, and those that a
// clerk may have entered by hand, become what the file says: imported, adopted or closed; what
// nobody need decide is closed before the cut and imported behind it. It is one transaction: done
// whole or not at all, and done again it changes nothing. Imports follow with the applier's next
// batches.
//
// It refuses while an order state of the shop has no class, or an order that a person must have
// seen is not in the file, and is ErrNotReady before the first snapshot.
func GoLive(ctx context.Context, conn *pgx.Conn, shop string, g Going) (Readiness, error) {
	defer forget(ctx, conn)
	began := time.Now()
	r, err := plan(ctx, conn, shop, g)
	r.Seconds = time.Since(began).Seconds()
	if err != nil || r.Live {
		return r, err
	}
	if r.ERP != "" {
		return r, fmt.Errorf("shop %s can't go live: %s", shop, r.ERP)
	}
	if len(r.Unclassified) > 0 {
		return r, fmt.Errorf("shop %s can't go live: give these order states a class in the shop file and start the applier with it: %s", shop, strings.Join(r.Unclassified, ", "))
	}
	if err := unsaid(ctx, conn, shop, g.File); err != nil {
		return r, err
	}
	err = postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error { return letIn(ctx, tx, shop, g, r) })
	return r, err
}

// CheckLive tells what GoLive would do, and changes nothing.
func CheckLive(ctx context.Context, conn *pgx.Conn, shop string, g Going) (Readiness, error) {
	defer forget(ctx, conn)
	began := time.Now()
	r, err := plan(ctx, conn, shop, g)
	if err != nil || r.Live {
		return r, err
	}
	if r.Stock, err = newGoing(shop).stock(ctx, conn); err != nil {
		return r, err
	}
	r.Seconds = time.Since(began).Seconds()
	if g.Table != nil {
		if err := writeDecisions(ctx, conn, shop, g.From.Location(), g.Table); err != nil {
			return r, err
		}
	}
	if g.Stock != nil {
		return r, r.Stock.write(g.Stock)
	}
	return r, nil
}

// Clock is the time zone of a shop's own clock; this machine's while the shop's settings are not in the mirror.
func Clock(ctx context.Context, conn *pgx.Conn, shop string) (*time.Location, error) {
	var name string
	err := conn.QueryRow(ctx, "select timezone from spola.shop_settings where shop = $1", shop).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Local, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the time zone of shop %s: %w", shop, err)
	}
	clock, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("the time zone of shop %s: %w", shop, err)
	}
	return clock, nil
}

// plan looks at all orders and puts what is to become of each into temporary tables of conn.
func plan(ctx context.Context, conn *pgx.Conn, shop string, g Going) (Readiness, error) {
	r := Readiness{Shop: shop, From: g.From}
	if g.From.After(time.Now().Add(time.Minute)) {
		return r, fmt.Errorf("shop %s can't go live from %s: that is not yet; name a day that has begun", shop, g.From.Format(time.RFC3339))
	}
	if err := readiness(ctx, conn, &r); err != nil || r.Live {
		return r, err
	}
	s := newGoing(shop)
	forget(ctx, conn)
	for _, name := range []string{"orders", "fits", "owns", "said"} {
		if err := s.run(ctx, conn, s.text[name]); err != nil {
			return r, err
		}
	}
	if err := s.run(ctx, conn, s.text["fill"], shop); err != nil {
		return r, err
	}
	if err := s.look(ctx, conn, g); err != nil {
		return r, err
	}
	if err := s.run(ctx, conn, s.text["propose"]); err != nil {
		return r, err
	}
	if g.Said != nil {
		if err := s.obey(ctx, conn, g); err != nil {
			return r, err
		}
	}
	whose, err := s.ids(ctx, conn, "select g.order_id from golive g where g.decision in ('import', 'adopt') and not exists (select from golive_own o where o.order_id = g.order_id)")
	if err != nil {
		return r, err
	}
	if err := s.know(ctx, conn, whose, func(int) {}); err != nil {
		return r, err
	}
	return r, s.count(ctx, conn, &r)
}

// forget leaves the connection as it was. Where that fails the connection is lost, and the plan with it.
func forget(ctx context.Context, conn *pgx.Conn) {
	_, _ = conn.Exec(context.WithoutCancel(ctx), "reset enable_nestloop; drop table if exists pg_temp.golive, pg_temp.golive_erp, pg_temp.golive_fit, pg_temp.golive_own, pg_temp.golive_said")
}

// readiness tells whether the shop is ready at all.
func readiness(ctx context.Context, conn *pgx.Conn, r *Readiness) error {
	var mode string
	var cut *time.Time
	var derived bool
	err := conn.QueryRow(ctx, "select mode, cut, derived from spola.shop where shop = $1", r.Shop).Scan(&mode, &cut, &derived)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%w: no applier has run for shop %s", ErrNotReady, r.Shop)
	}
	if err != nil {
		return fmt.Errorf("read shop %s: %w", r.Shop, err)
	}
	if mode == "live" {
		r.Live = true
		if cut != nil {
			r.From = cut.In(r.From.Location())
		}
		return nil
	}
	if !derived {
		return fmt.Errorf("%w: the first snapshot of shop %s, or its settings, are not complete in the mirror", ErrNotReady, r.Shop)
	}
	if err := cutIsSeen(ctx, conn, r); err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `select format('%s (%s)', t.state, t.name) from spola.shop_state t
		where t.shop = $1 and not exists (select from spola.state_class c where c.shop = t.shop and c.state = t.state)
		order by length(t.state), t.state`, r.Shop)
	if err != nil {
		return fmt.Errorf("look for states without a class in shop %s: %w", r.Shop, err)
	}
	if r.Unclassified, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return fmt.Errorf("look for states without a class in shop %s: %w", r.Shop, err)
	}
	what, mend, err := RefusesOrders(ctx, conn)
	if what != "" {
		r.ERP = what + ": " + mend
	}
	return err
}

// unseen is how much of the shop's log the mirror may lack. An idle shop's clock ticks once a minute.
const unseen = 90 * time.Second

// cutIsSeen refuses while the mirror is not at the cut: orders from before it would come to light when nobody is asked about them any more.
func cutIsSeen(ctx context.Context, conn *pgx.Conn, r *Readiness) error {
	var at time.Time
	var paused, behind bool
	err := conn.QueryRow(ctx, `select to_timestamp(p.record_time / 1000.0), p.paused_at is not null, to_timestamp(p.record_time / 1000.0) < least($2::timestamptz, now() - $3::interval)
		from spola.place p where p.applier = 'intake' and p.source = $1`, r.Shop, r.From, unseen).Scan(&at, &paused, &behind)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read how far the mirror of shop %s is: %w", r.Shop, err)
	case !behind:
		return nil
	}
	what := "see that cdc and the applier run (applier status), and wait until they have caught up"
	if paused {
		what = "it is paused: applier resume"
	}
	return fmt.Errorf("%w: what happened in shop %s since %s is not known yet, and orders from before %s must be: %s",
		ErrNotReady, r.Shop, at.In(r.From.Location()).Format(time.DateTime), r.From.Format(time.DateTime), what)
}

// RefusesOrders tells why the ERP takes no order, whatever is in it, and what mends that; empty: it
// takes them. It asks as the contract allows: by a call without orders, of which nothing stays.
func RefusesOrders(ctx context.Context, conn *pgx.Conn) (what, mend string, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return "", "", fmt.Errorf("ask the ERP whether it takes orders: %w", err)
	}
	_, refused := tx.Exec(ctx, "select from erp.import_orders('{}', '{}', '{}', '{}', '{}')")
	if err := tx.Rollback(ctx); err != nil {
		return "", "", fmt.Errorf("ask the ERP whether it takes orders: %w", err)
	}
	state, ok := errors.AsType[*pgconn.PgError](refused)
	switch {
	case refused == nil:
		return "", "", nil
	case !ok || postgres.Retryable(refused):
		return "", "", fmt.Errorf("ask the ERP whether it takes orders: %w", refused)
	case state.Hint == "":
		return "the ERP takes no orders: " + state.Message, "erp.import_orders has to take a call without orders (schemas/erp/contract.md)", nil
	}
	return "the ERP takes no orders: " + state.Message, state.Hint, nil
}

//go:embed golive.sql
var goliveSQL string

// going holds the statements of one shop.
type going struct {
	shop string
	text map[string]string
}

func newGoing(shop string) going {
	text := strings.ReplaceAll(goliveSQL, "{canonical}", pgx.Identifier{Schema(shop)}.Sanitize())
	return going{shop: shop, text: namedStatements(text)}
}

func (s going) run(ctx context.Context, conn interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}, sql string, args ...any) error {
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		return s.failed(err)
	}
	return nil
}

func (s going) failed(err error) error {
	return postgres.Explain(fmt.Errorf("plan the going live of shop %s: %w", s.shop, err))
}

// lookAt is how many orders are looked at by one statement.
const lookAt = 5000

// look reads when and for how much each order was placed, and which of the ERP's it may be.
func (s going) look(ctx context.Context, conn *pgx.Conn, g Going) error {
	ids, err := s.ids(ctx, conn, "select order_id from golive order by order_id")
	if err != nil {
		return err
	}
	half := func(first int) func(int) {
		return func(done int) {
			if g.Log != nil {
				g.Log((first+done)/2, len(ids))
			}
		}
	}
	if err := each(ids, half(0), func(ids []int64) error { return s.run(ctx, conn, s.text["look"], ids, g.From) }); err != nil {
		return err
	}
	if err := s.readERP(ctx, conn); err != nil {
		return err
	}
	near, err := s.ids(ctx, conn, s.text["near"])
	if err != nil {
		return err
	}
	told := func(done int) { half(len(ids))(len(ids) * done / max(len(near), 1)) }
	if err := s.know(ctx, conn, near, told); err != nil {
		return err
	}
	half(len(ids))(len(ids))
	if err := s.run(ctx, conn, s.text["numbered"]); err != nil {
		return err
	}
	for _, strength := range []int{2, 1} {
		if err := s.run(ctx, conn, s.text["same"], strength); err != nil {
			return err
		}
	}
	return s.run(ctx, conn, "analyze golive_fit")
}

// know reads whose orders these are. The canonical views find what belongs to an order by index, one after the other; all
// else here joins sets.
func (s going) know(ctx context.Context, conn *pgx.Conn, ids []int64, done func(int)) error {
	if err := s.run(ctx, conn, "set enable_nestloop = on"); err != nil {
		return err
	}
	if err := each(ids, done, func(ids []int64) error { return s.run(ctx, conn, s.text["own"], ids) }); err != nil {
		return err
	}
	for _, sql := range []string{"set enable_nestloop = off", "analyze golive_own"} {
		if err := s.run(ctx, conn, sql); err != nil {
			return err
		}
	}
	return nil
}

func (s going) ids(ctx context.Context, conn *pgx.Conn, sql string) ([]int64, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, s.failed(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, s.failed(err)
	}
	return ids, nil
}

// each does something with so many orders at a time, and tells how many are done.
func each(ids []int64, done func(int), do func([]int64) error) error {
	n := 0
	for some := range slices.Chunk(ids, lookAt) {
		if err := do(some); err != nil {
			return err
		}
		n += len(some)
		done(n)
	}
	return nil
}

// readERP copies the orders of the ERP that may be the shop's.
func (s going) readERP(ctx context.Context, conn *pgx.Conn) error {
	// An order that was deleted in the shop meanwhile is nobody's.
	if err := s.run(ctx, conn, "delete from golive where before is null"); err != nil {
		return err
	}
	var first *time.Time
	if err := conn.QueryRow(ctx, "select min(placed_at) from golive").Scan(&first); err != nil {
		return s.failed(err)
	}
	if first == nil {
		never := time.Now().AddDate(1000, 0, 0)
		first = &never
	}
	if _, err := conn.Exec(ctx, s.text["erp"], pgx.QueryExecModeSimpleProtocol, *first); err != nil { // DDL takes no parameters otherwise
		return s.failed(err)
	}
	// From here on sets are joined with sets, and what was grouped has no statistics: hashing is never far off.
	for _, sql := range []string{s.text["index"], "analyze golive", "analyze golive_erp", "set enable_nestloop = off"} {
		if err := s.run(ctx, conn, sql); err != nil {
			return err
		}
	}
	return nil
}

func (s going) count(ctx context.Context, conn *pgx.Conn, r *Readiness) error {
	err := conn.QueryRow(ctx, s.text["counts"], s.shop).Scan(&r.Orders, &r.Import, &r.Adopt, &r.Close, &r.Open, &r.Asked, &r.Parked, &r.Again, &r.Passed)
	if err != nil {
		return s.failed(err)
	}
	c := &r.Customers
	if err := conn.QueryRow(ctx, s.text["customers"], s.shop).Scan(&c.Count, &c.Known, &c.Several, &c.First); err != nil {
		return s.failed(err)
	}
	if c.Doubles, err = s.names(ctx, conn, "doubles"); err != nil {
		return err
	}
	if r.Differing, err = s.names(ctx, conn, "differing"); err != nil {
		return err
	}
	if r.Missing, err = s.names(ctx, conn, "missing"); err != nil {
		return err
	}
	r.Unsold, err = s.names(ctx, conn, "unsold", s.shop)
	return err
}

// stock foretells what the shop is to show.
func (s going) stock(ctx context.Context, conn *pgx.Conn) (*StockPlan, error) {
	rows, err := conn.Query(ctx, s.text["stock"], s.shop)
	if err != nil {
		return nil, s.failed(err)
	}
	p := StockPlan{}
	if p.Rows, err = pgx.CollectRows(rows, pgx.RowToStructByPos[StockRow]); err != nil {
		return nil, s.failed(err)
	}
	for _, r := range p.Rows {
		switch {
		case r.WhyNot != "":
			p.Left++
		case r.After == r.Now:
			p.Same++
		case r.After > r.Now:
			p.More++
		default:
			p.Less++
			if r.Now > 0 && r.After <= 0 {
				p.Emptied++
			}
		}
	}
	return &p, nil
}

func (s going) names(ctx context.Context, conn *pgx.Conn, statement string, args ...any) (n Names, err error) {
	rows, err := conn.Query(ctx, s.text[statement], args...)
	if err != nil {
		return n, s.failed(err)
	}
	var name string
	_, err = pgx.ForEachRow(rows, []any{&name, &n.Count}, func() error {
		n.First = append(n.First, name)
		return nil
	})
	if err != nil {
		return n, s.failed(err)
	}
	return n, nil
}

// unsaid refuses while an order that a person must have seen is not in the file; "": there is none.
func unsaid(ctx context.Context, conn *pgx.Conn, shop, file string) error {
	s := newGoing(shop)
	rows, err := conn.Query(ctx, s.text["unsaid"])
	if err != nil {
		return s.failed(err)
	}
	var order, n int64
	var why string
	var first []string
	_, err = pgx.ForEachRow(rows, []any{&order, &why, &n}, func() error {
		first = append(first, fmt.Sprintf("%d (%s)", order, why))
		return nil
	})
	if err != nil {
		return s.failed(err)
	}
	if n == 0 {
		return nil
	}
	mend := "a dry run writes the file for it, --file takes it"
	if file != "" {
		mend = "add lines with their decision and order to " + file + ", or have a dry run write another file"
	}
	return fmt.Errorf("shop %s can't go live: %w: of %d orders a person must say what becomes of them, order %s first; %s",
		shop, ErrRefused, n, strings.Join(first, ", "), mend)
}

// letIn carries out what is planned, under the shop's lock: no batch of the applier runs meanwhile.
func letIn(ctx context.Context, tx pgx.Tx, shop string, g Going, r Readiness) error {
	var mode string
	if err := tx.QueryRow(ctx, "select mode from spola.shop where shop = $1 for update", shop).Scan(&mode); err != nil {
		return fmt.Errorf("lock shop %s: %w", shop, err)
	}
	if mode == "live" {
		return fmt.Errorf("shop %s: %w: somebody else has just let it go live", shop, ErrRefused)
	}
	s := newGoing(shop)
	rows, err := tx.Query(ctx, s.text["adopt"], shop)
	if err != nil {
		return s.failed(err)
	}
	refused, err := pgx.CollectRows(rows, pgx.RowTo[*string])
	if err != nil {
		return s.failed(err)
	}
	if len(refused) > 0 {
		return fmt.Errorf("shop %s can't go live: %w: the ERP does not let an order be adopted: %s", shop, ErrRefused, deref(refused[0]))
	}
	for _, step := range []struct {
		name string
		args []any
	}{{"match", []any{shop}}, {"changed", []any{shop}}, {"link", []any{shop}}, {"unpark", []any{shop}}, {"seen", []any{shop}}, {"due", []any{shop, portion}}, {"known", nil}, {"note", []any{shop, g.By.Who, g.By.Reason}}} {
		if err := s.run(ctx, tx, s.text[step.name], step.args...); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, "update spola.shop set mode = 'live', cut = $2 where shop = $1", shop, g.From); err != nil {
		return fmt.Errorf("let shop %s go live: %w", shop, err)
	}
	return audit(ctx, tx, g.By, shop, 0, "golive", "from "+g.From.UTC().Format(time.RFC3339), r)
}
