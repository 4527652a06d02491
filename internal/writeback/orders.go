package writeback

import (
	"context"
	_ "embed" // the statements stand in .sql files
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

var (
	//go:embed orders.postgres.sql
	ordersQuery string
	//go:embed settings.postgres.sql
	settingsQuery string
)

// OrdersApplier is the applier by the name of its place.
const OrdersApplier = "orders"

// look is how many orders are looked at at once; most records name orders of which there is nothing
// to tell.
const look = 500

// mostAgain is how many waiting orders are tried again at once.
const mostAgain = 200

// errUnready says that the shop's settings have not been read yet: its first snapshot goes on.
var errUnready = errors.New("the shop's settings are not in the ERP's database yet: its first snapshot is not complete")

// Orders is the effect of `applier run orders`: parcels and states of the ERP's orders stand in the
// shop. The log says which orders to look at; what they are is read from the ERP's views.
type Orders struct {
	shop, prefix string
	erp          string // URL of the ERP's database
	sql          statements
	rules        rules
	log          zerolog.Logger
	life         life
	order        map[string]string // table of the ERP → its column that names the order

	// Of the writing goroutine.
	conn     *pgx.Conn
	settings string // as last checked
	zone     *time.Location
	pending  map[int64]bool      // orders of the ERP of parts that are not a whole source transaction yet
	changed  map[int64]bool      // and the ERP's transactions that changed them
	waiting  map[int64]time.Time // orders of the ERP whose status waits, and when they are looked at again
}

// NewOrders makes the effect for a shop. erp is the URL of the ERP's database.
func NewOrders(shop, prefix, erp string, file *intake.ShopFile, log zerolog.Logger) (*Orders, error) {
	sql, err := load(file.Platform, prefix)
	if err != nil {
		return nil, err
	}
	profile, _, err := schemas.Platform(file.Platform)
	if err != nil {
		return nil, err
	}
	tracking, err := regexp.Compile(profile.Tracking)
	if err != nil {
		return nil, fmt.Errorf("profile of %s: tracking: %w", file.Platform, err)
	}
	contract, err := schemas.LoadContract()
	if err != nil {
		return nil, err
	}
	o := &Orders{shop: shop, prefix: prefix, erp: erp, sql: sql, rules: rules{file: file, tracking: tracking}, log: log,
		life: life{row: lifeRow(OrdersApplier)}, order: map[string]string{}}
	for _, p := range contract.Publish {
		if p.Order != "" {
			o.order[contract.Schema+"."+p.Table] = p.Order
		}
	}
	return o, nil
}

// Close ends the connection to the ERP's database.
func (o *Orders) Close() {
	if o.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = o.conn.Close(ctx) // it has only read
		o.conn = nil
	}
}

// Start reads the shop's settings, and refuses a map of statuses that does not fit them, tables that
// can't be written exactly once, and a user who may not write them.
func (o *Orders) Start(ctx context.Context, tx *mysql.Tx) (err error) {
	o.Close()
	o.pending, o.changed, o.waiting, o.settings = map[int64]bool{}, map[int64]bool{}, map[int64]time.Time{}, ""
	if err := o.sql.check(ctx, tx, "order engines"); err != nil {
		return err
	}
	if err := o.sql.checkRights(ctx, tx, o.prefix, "lock order", "order status", "order history of none"); err != nil {
		return err
	}
	if err := o.life.start(ctx, tx); err != nil {
		return err
	}
	if o.conn, err = postgres.Connect(ctx, o.erp, "spola "+OrdersApplier+" "+o.shop); err != nil {
		return o.passing(err)
	}
	if err := o.readSettings(ctx); err != nil {
		return o.passing(err)
	}
	return tx.Query(ctx, "SELECT note FROM "+mysql.Marker+` WHERE name LIKE 'order.%' AND note LIKE '%"why"%'`, nil, func(scan func(...any) error) error {
		var m mark
		err := scan(&m.Note)
		o.waiting[toldOf(m).ERPOrder] = time.Time{}
		return err
	})
}

// passing makes an error of the ERP's database that clears by itself one that the shop's target
// knows as such.
func (o *Orders) passing(err error) error {
	if err != nil && (postgres.Retryable(err) || errors.Is(err, errUnready) || o.conn != nil && o.conn.IsClosed() && !errors.Is(err, postgres.ErrStopped)) {
		return mysql.Passing(err)
	}
	return err
}

// readSettings reads the shop's settings as intake has copied them, and checks the map of statuses
// when they are others than before: an administrator may change them at any time.
func (o *Orders) readSettings(ctx context.Context) error {
	var zone string
	var consuming []string
	var names []byte
	err := o.conn.QueryRow(ctx, settingsQuery, o.shop).Scan(&zone, &consuming, &names)
	if errors.Is(err, pgx.ErrNoRows) {
		return errUnready
	}
	if err != nil {
		return postgres.Explain(fmt.Errorf("settings of shop %s: %w", o.shop, err))
	}
	now := zone + strings.Join(consuming, ",") + string(names)
	if now == o.settings {
		return nil
	}
	states := map[string]string{}
	if err := json.Unmarshal(names, &states); err != nil {
		return fmt.Errorf("order states of shop %s: %w", o.shop, err)
	}
	if err := CheckStatuses(o.rules.file, states, consuming); err != nil {
		return &mysql.StopError{What: "the shop file does not fit the shop", Mend: "correct statuses in the shop file, or the shop's settings, and start the applier again", Err: err}
	}
	if o.zone, err = time.LoadLocation(zone); err != nil {
		return &mysql.StopError{What: "the shop's time zone is unknown here", Mend: "install the time zones (package tzdata)", Err: err}
	}
	o.rules.consuming, o.settings = consuming, now
	return nil
}

// Part begins a part of a batch.
func (o *Orders) Part(int64) apply.Part[*mysql.Tx] {
	return &ordersPart{o: o, orders: map[int64]bool{}, changed: map[int64]bool{}, life: o.life.read}
}

// ordersPart holds the orders of the ERP that its records name, and the transactions that changed them.
type ordersPart struct {
	o       *Orders
	orders  map[int64]bool
	changed map[int64]bool
	life    int64
}

// Patient tells that no order is named.
func (p *ordersPart) Patient() bool { return len(p.orders) == 0 }

// Splits is always false: what counts is what the ERP says when the batch is applied.
func (p *ordersPart) Splits([]change.Record) bool { return false }

// Bytes is the memory that the part holds, roughly.
func (p *ordersPart) Bytes() int { return (len(p.orders) + len(p.changed)) * 64 }

// Add takes note of the orders that the records name.
func (p *ordersPart) Add(records []change.Record) error {
	for i := range records {
		r := &records[i]
		var err error
		switch column := p.o.order[r.Table]; {
		case r.Op == change.Claim:
			err = p.o.life.claimed(r)
		case column != "" && r.Op.IsRow():
			err = p.note(r, column)
		}
		if err != nil {
			return fmt.Errorf("orders of %s: record %d/%d, key %s: %w", p.o.shop, r.Gen, r.Seq, r.Key, err)
		}
	}
	p.life = p.o.life.read
	return nil
}

func (p *ordersPart) note(r *change.Record, column string) error {
	before, after, err := change.Rows(r.Value)
	if err != nil {
		return err
	}
	if after == nil {
		after = before
	}
	if after == nil {
		return nil
	}
	if id, ok := change.SourceTx(r.Value); ok {
		p.changed[id] = true
	}
	return change.IDs(after, func(name []byte) map[int64]bool {
		if string(name) == column {
			return p.orders
		}
		return nil
	})
}

// Apply looks at the orders when the batch ends. Each of which there is something to tell has a
// transaction of its own, ahead of the one in which the place moves: repeating it does no harm, for its
// mark says what was told.
func (p *ordersPart) Apply(ctx context.Context, tx *mysql.Tx, last bool) error {
	o := p.o
	maps.Copy(o.pending, p.orders)
	maps.Copy(o.changed, p.changed)
	if !last {
		return nil
	}
	ids := o.pending
	o.pending = map[int64]bool{}
	defer clear(o.changed)
	if err := postgres.AwaitVisible(ctx, o.conn, o.changed); err != nil {
		return o.passing(err)
	}
	if err := o.bring(ctx, tx, slices.Sorted(maps.Keys(ids))); err != nil {
		return err
	}
	return o.life.save(ctx, tx, p.life)
}

// Due tells whether an order that waits is to be looked at again.
func (o *Orders) Due(now time.Time) bool {
	for _, at := range o.waiting {
		if !at.After(now) {
			return true
		}
	}
	return false
}

// Idle looks at them, the longest waiting first.
func (o *Orders) Idle(ctx context.Context, tx *mysql.Tx) error {
	now := time.Now()
	var due []int64
	for id, at := range o.waiting {
		if !at.After(now) {
			due = append(due, id)
		}
	}
	slices.SortFunc(due, func(a, b int64) int { return o.waiting[a].Compare(o.waiting[b]) })
	due = due[:min(len(due), mostAgain)]
	for _, id := range due {
		o.waiting[id] = now.Add(retryEvery)
	}
	slices.Sort(due)
	return o.bring(ctx, tx, due)
}

// bring brings what the ERP has of some orders into the shop.
func (o *Orders) bring(ctx context.Context, tx *mysql.Tx, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	if err := o.readSettings(ctx); err != nil {
		return o.passing(err)
	}
	for some := range slices.Chunk(ids, look) {
		orders, err := o.read(ctx, some)
		if err != nil {
			return o.passing(err)
		}
		if orders, err = o.sift(ctx, tx, orders); err != nil {
			return err
		}
		for _, w := range orders {
			if err := tx.Ahead(ctx, func(tx *mysql.Tx) error { return o.tell(ctx, tx, w) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// read asks the ERP for orders of this shop of which there may be something to tell.
func (o *Orders) read(ctx context.Context, ids []int64) (all []wanted, err error) {
	rows, err := o.conn.Query(ctx, ordersQuery, o.shop, ids)
	if err != nil {
		return nil, postgres.Explain(fmt.Errorf("orders of the ERP: %w", err))
	}
	var w wanted
	var parcels []byte
	_, err = pgx.ForEachRow(rows, []any{&w.order, &w.method, &w.erpOrder, &w.state, &w.byShop, &parcels}, func() error {
		one := w
		one.parcels = nil
		if err := json.Unmarshal(parcels, &one.parcels); err != nil {
			return err
		}
		delete(o.waiting, one.erpOrder)
		if progress(one.state) > 0 || len(one.parcels) > 0 {
			all = append(all, one)
		}
		return nil
	})
	if err != nil {
		return nil, postgres.Explain(fmt.Errorf("orders of the ERP: %w", err))
	}
	return all, nil
}

// sift leaves the orders of which there is something to tell. It only looks; tell decides, behind locks.
func (o *Orders) sift(ctx context.Context, tx *mysql.Tx, orders []wanted) ([]wanted, error) {
	if len(orders) == 0 {
		return nil, nil
	}
	var names []string
	var ids []int64
	for _, w := range orders {
		names, ids = append(names, orderMark(w.order)), append(ids, w.order)
	}
	marks, err := readMarks(ctx, tx, names, "")
	if err != nil {
		return nil, err
	}
	query, err := o.sql.of("show orders", ids, nil)
	if err != nil {
		return nil, err
	}
	shows := map[int64]shown{}
	err = tx.Query(ctx, query, nil, func(scan func(...any) error) error {
		var id int64
		s := shown{there: true}
		err := scan(&id, &s.state, &s.language)
		shows[id] = s
		return err
	})
	return slices.DeleteFunc(orders, func(w wanted) bool {
		p := o.plan(w, shows[w.order], marks[orderMark(w.order)], time.Now())
		o.wait(p)
		return p.nothing()
	}), err
}

// plan is what is written of an order.
type plan struct {
	rows   []historyRow
	status string // the state to be written; empty: none
	mark   *mark  // as it will be; nil: it stays
	now    told
	first  bool // what waits is news
}

type historyRow struct{ state, comment string }

func (p plan) nothing() bool { return p.status == "" && p.mark == nil && len(p.rows) == 0 }

// plan compares an order of the ERP with what the shop shows and what the customer was told: parcels
// first, then the state that announces them; the last parcel's row carries it.
func (o *Orders) plan(w wanted, s shown, m mark, at time.Time) (p plan) {
	before := toldOf(m)
	v := o.rules.decide(w, s, before, at)
	p.now = told{ERPOrder: w.erpOrder, State: before.State, ERP: before.ERP, Parcels: slices.Clone(before.Parcels)}
	number, refused := o.rules.refused(w, before)
	if refused && (v.why == "" || v.why == whyUnmapped) {
		v, p.now.Detail = verdict{why: whyTracking}, number
	}
	if s.there && (v.why == "" || v.why == whyUnmapped || v.why == whyTracking) && (before.ERPOrder != 0 || o.rules.file.Class(s.state, w.method) != "final") {
		o.planParcels(w, s, &p)
	}
	if v.write != "" {
		p.status, p.now.State, p.now.ERP = v.write, v.write, w.state
		if n := len(p.rows); n > 0 {
			p.rows[n-1].state = v.write
		} else {
			p.rows = append(p.rows, historyRow{state: v.write})
		}
	}
	if v.why != "" {
		p.now.Why, p.now.Wants, p.now.Shows, p.now.Since = v.why, w.state, s.state, before.Since
		if p.first = before.Why != v.why || before.Shows != s.state; p.first {
			p.now.Since = at.Unix()
		}
	} else if before.ERPOrder != 0 && v.write == "" && progress(w.state) > progress(before.ERP) && o.asFar(w, s) {
		p.now.ERP, p.now.State = w.state, s.state
	}
	o.planMark(w, s, m, &p)
	return p
}

// asFar tells whether the shop shows by itself what the ERP says.
func (o *Orders) asFar(w wanted, s shown) bool {
	return s.there && s.state == o.rules.target(w.state) || w.state == "cancelled" && o.rules.file.Class(s.state, w.method) == "cancelled"
}

// planParcels plans a history row for each parcel that the customer has not read of.
func (o *Orders) planParcels(w wanted, s shown, p *plan) {
	for _, one := range w.parcels {
		if p.now.has(one) || one.Tracking != "" && !o.rules.tracking.MatchString(one.Tracking) {
			continue
		}
		kept := one
		kept.Link = "" // it may change, and what was told stays told
		p.now.Parcels = append(p.now.Parcels, kept)
		if comment := o.rules.comment(one, s.language); comment != "" {
			p.rows = append(p.rows, historyRow{state: s.state, comment: comment})
		}
	}
}

// planMark plans the order's mark: its number counts the writes by which the order's pieces left what the
// shop's own code will ever give back.
func (o *Orders) planMark(w wanted, s shown, m mark, p *plan) {
	number := m.Number
	if p.status != "" && o.rules.leaves(s.state, p.status) {
		number++
	}
	note := noteOf(p.now)
	if m.Note == nil && *note == *noteOf(told{ERPOrder: w.erpOrder}) || m.Note != nil && *m.Note == *note && number == m.Number {
		return
	}
	p.mark = &mark{Name: orderMark(w.order), Generation: max(o.life.saved, m.Generation), Number: number, Note: note}
}

// wait takes note of an order that waits, for another look.
func (o *Orders) wait(p plan) {
	switch p.now.Why {
	case "":
	case whySettling:
		o.waiting[p.now.ERPOrder] = time.Now().Add(settle)
	default:
		o.waiting[p.now.ERPOrder] = time.Now().Add(retryEvery)
	}
}

// tell is one order's transaction: its mark and its row are locked, and what is planned then is written.
func (o *Orders) tell(ctx context.Context, tx *mysql.Tx, w wanted) error {
	name := orderMark(w.order)
	marks, err := lockMarks(ctx, tx, []string{name})
	if err != nil {
		return err
	}
	s, err := o.show(ctx, tx, w.order)
	if err != nil {
		return err
	}
	p := o.plan(w, s, marks[name], time.Now())
	delete(o.waiting, w.erpOrder)
	o.wait(p)
	if p.mark == nil {
		return nil // what a look without locks has seen is over
	}
	if err := put(ctx, tx, []mark{*p.mark}); err != nil {
		return err
	}
	if p.status != "" {
		if changed, err := tx.Exec(ctx, o.sql["order status"], p.status, w.order); err != nil || changed != 1 {
			return errors.Join(err, fmt.Errorf("order %d: %d rows took state %s, one was locked", w.order, changed, p.status))
		}
	}
	for _, row := range p.rows {
		_, err := tx.Exec(ctx, o.sql["order history"], w.order, row.state, row.comment != "", row.comment, time.Now().In(o.zone).Format(time.DateTime))
		if err != nil {
			return err
		}
	}
	if p.first && p.now.Why != whySettling {
		o.log.Warn().Int64("order", w.order).Str("erp", w.state).Str("shop", s.state).Str("why", p.now.Why).Str("detail", p.now.Detail).
			Str("to_mend", Mends[p.now.Why]).Msg("an order's status was not brought to the shop")
	}
	return nil
}

func (o *Orders) show(ctx context.Context, tx *mysql.Tx, order int64) (s shown, err error) {
	query, err := o.sql.of("lock order", []int64{order}, nil)
	if err != nil {
		return s, err
	}
	err = tx.Query(ctx, query, nil, func(scan func(...any) error) error {
		s.there = true
		return scan(&s.state, &s.language)
	})
	return s, err
}

func orderMark(order int64) string { return "order." + strconv.FormatInt(order, 10) }
