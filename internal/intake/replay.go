package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Replaying says how orders are derived again.
type Replaying struct {
	DryRun   bool // only look
	TakeShop bool // where the ERP has something else than is derived, though the shop has not changed it, the ERP gets what is derived
	Rate     int  // orders a second at most; 0: as fast as it goes
	AtOnce   int  // orders a transaction at most; 0: the default
	By       By
	Log      func(done, total int) // progress over the orders; may be nil
	Behind   func(order int64)     // told behind each commit: orders up to this one are done; may be nil
}

// Replayed is what a replay has found and, unless it was a dry run, done.
type Replayed struct {
	Orders   int            `json:"orders"`   // looked at
	Same     int            `json:"same"`     // of these: the ERP has what is derived, or is to have nothing
	Outcomes map[string]int `json:"outcomes"` // of the others: import, link, edit, revive, cancel, differs, taken, recount, park; and where nothing is to be done: asked, parked, decided, unclear, changing, deleted
	Found    []Found        `json:"found"`    // each of them
}

// Found is an order that is not in the ERP as it is derived.
type Found struct {
	Order       int64  `json:"order"`
	Outcome     string `json:"outcome"` // as counted in outcomes
	Reason      string `json:"reason,omitempty"`
	What        string `json:"what,omitempty"`
	ERPOrder    *int64 `json:"erp_order,omitempty"`
	Differences []Word `json:"differences,omitempty"`
}

// Word is what differs of an order. Null: that side has no such thing.
type Word struct {
	Field   string  `json:"field"` // "line 1 quantity", "shipping street"
	ERP     *string `json:"erp"`
	Derived *string `json:"derived"`
}

// ReplayKinds are the outcomes of a replay: what they say of a dry run, and what of one that was applied. An order of
// which Differs is false is no difference: nothing is to be done about it.
var ReplayKinds = []struct {
	Outcome       string
	Would, Has    string
	Differs, Acts bool
}{
	{"import", "would be imported", "imported", true, true},
	{"link", "stand in the ERP and would be linked again", "linked again to the ERP's order", true, true},
	{"edit", "changed in the shop: the ERP would get the change", "changed in the shop: the ERP has the change now", true, true},
	{"revive", "taken up again in the shop: the ERP would take them up", "taken up again", true, true},
	{"cancel", "would be cancelled in the ERP", "cancelled in the ERP", true, true},
	{"differs", "other in the ERP, unchanged in the shop: a person would be asked (parked), or --take-shop", "other in the ERP, unchanged in the shop: a person is asked (parked)", true, true},
	{"taken", "other in the ERP: it would get what is derived (--take-shop)", "other in the ERP: it has what is derived now (--take-shop)", true, true},
	{"recount", "otherwise counted in the shop's stock: they would be counted anew", "otherwise counted in the shop's stock: counted anew", true, true},
	{"park", "would be parked", "parked", true, true},
	{"asked", "other in the ERP, and parked for a person already", "other in the ERP, and parked for a person already", false, false},
	{"parked", "parked already, and stay so", "parked before, and still", false, true},
	{"decided", "other in the ERP, as a person has decided", "other in the ERP, as a person has decided", false, false},
	{"unclear", "unchanged in the shop, but no longer to be derived: they stay in the ERP as they are", "unchanged in the shop, but no longer to be derived: they stay in the ERP as they are", false, false},
	{"changing", "being changed in the shop right now: intake's", "being changed in the shop right now: left to intake", false, false},
	{"deleted", "deleted in the shop: would be noted", "deleted in the shop: noted", false, true},
}

// Differs tells whether anything was found that is not as it is to be.
func (r Replayed) Differs() (n int) {
	for _, k := range ReplayKinds {
		if k.Differs {
			n += r.Outcomes[k.Outcome]
		}
	}
	return n
}

// Of a replay's transactions: looking holds up nobody; writing holds up intake.
const (
	lookAtOnce   = 500
	replayAtOnce = 200
)

// ErrNoReplay says that orders can't be derived again now, and why.
var ErrNoReplay = errors.New("no replay")

// Replay derives orders again from the mirror as it stands and brings them into the ERP the way intake does, in its place: in
// transactions that hold intake's place, so that no batch of it is at work meanwhile. Orders are done in ascending order; whatever ends it
// halfway, what was done is done, and doing it again changes nothing. A dry run without a rate looks over two connections: it holds up
// nobody, and who looks at all orders of a shop waits for the database's one core else.
func (in *Intake) Replay(ctx context.Context, conn *pgx.Conn, orders []int64, how Replaying) (Replayed, error) {
	orders = slices.Clone(orders)
	slices.Sort(orders)
	orders = slices.Compact(orders)
	all := Replayed{Outcomes: map[string]int{}, Found: []Found{}}
	most := replayAtOnce
	if how.DryRun {
		most = lookAtOnce
	}
	if how.AtOnce > 0 {
		most = how.AtOnce
	}
	if how.Rate > 0 {
		most = min(most, max(1, how.Rate/4))
	}
	conns := []*pgx.Conn{conn}
	if how.DryRun && how.Rate == 0 && len(orders) > most {
		other, err := pgx.ConnectConfig(ctx, conn.Config())
		if err != nil {
			return all, fmt.Errorf("connect once more to look at orders: %w", err)
		}
		defer other.Close(context.WithoutCancel(ctx))
		conns = append(conns, other)
	}
	begin := time.Now()
	for some := range slices.Chunk(orders, most*len(conns)) {
		found, err := in.replayOn(ctx, conns, some, most, how)
		if err != nil {
			return all, err
		}
		all.add(len(some), found)
		if how.Behind != nil {
			how.Behind(some[len(some)-1])
		}
		if how.Log != nil {
			how.Log(all.Orders, len(orders))
		}
		if how.Rate > 0 && all.Orders < len(orders) {
			if err := waitUntil(ctx, begin.Add(time.Duration(float64(all.Orders)/float64(how.Rate)*float64(time.Second)))); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// replayOn does so many orders a transaction, a transaction on each connection.
func (in *Intake) replayOn(ctx context.Context, conns []*pgx.Conn, orders []int64, most int, how Replaying) ([]Found, error) {
	var group errgroup.Group
	parts := make([][]Found, len(conns))
	for i, some := range slices.Collect(slices.Chunk(orders, most)) {
		group.Go(func() (err error) {
			parts[i], err = in.replaySome(ctx, conns[i], some, how)
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(parts...), err
}

func (r *Replayed) add(orders int, found []Found) {
	r.Orders += orders
	r.Same += orders - len(found)
	for _, f := range found {
		r.Outcomes[f.Outcome]++
	}
	r.Found = append(r.Found, found...)
}

func waitUntil(ctx context.Context, when time.Time) error {
	timer := time.NewTimer(time.Until(when))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replayTries is how often a transaction is tried that met others' locks or a restart of the server.
const replayTries = 5

func (in *Intake) replaySome(ctx context.Context, conn *pgx.Conn, orders []int64, how Replaying) (found []Found, err error) {
	for try := 1; ; try++ {
		if how.DryRun {
			found, err = in.lookAt(ctx, conn, orders, how)
		} else {
			err = postgres.InTransaction(ctx, conn, func(tx pgx.Tx) (err error) {
				found, err = in.replayNow(ctx, tx, orders, how)
				return err
			})
		}
		if err == nil || try == replayTries || conn.IsClosed() || !postgres.Retryable(err) {
			return found, err
		}
		if err := waitUntil(ctx, time.Now().Add(time.Duration(try)*200*time.Millisecond)); err != nil {
			return nil, err
		}
	}
}

// lookAt looks, in one snapshot of the database, and writes nothing.
func (in *Intake) lookAt(ctx context.Context, conn *pgx.Conn, orders []int64, how Replaying) (found []Found, err error) {
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := in.replayable(ctx, tx, false); err != nil {
			return err
		}
		if found, err = in.find(ctx, tx, orders); err != nil {
			return err
		}
		takes(found, how.TakeShop)
		return nil
	})
	return found, err
}

// find holds orders, derived again, against the ERP.
func (in *Intake) find(ctx context.Context, tx pgx.Tx, orders []int64) ([]Found, error) {
	return in.findIn(ctx, tx, pgx.Identifier{Schema(in.shop)}.Sanitize(), orders)
}

// findIn does it by the functions of a canonical schema.
func (in *Intake) findIn(ctx context.Context, tx pgx.Tx, schema string, orders []int64) ([]Found, error) {
	rows, err := tx.Query(ctx, "select order_id, outcome, coalesce(reason, ''), what, erp_order, differences from "+schema+".replay($1)", orders)
	if err != nil {
		return nil, in.failed(fmt.Sprintf("derive %d orders again%s", len(orders), firstOf(orders)), err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Found, err error) {
		var words []byte
		if err = row.Scan(&f.Order, &f.Outcome, &f.Reason, &f.What, &f.ERPOrder, &words); err != nil {
			return f, err
		}
		return f, json.Unmarshal(words, &f.Differences)
	})
	if err != nil {
		return nil, in.failed(fmt.Sprintf("derive %d orders again%s", len(orders), firstOf(orders)), err)
	}
	return found, nil
}

// refused are the reasons for which the ERP does not take an edit.
func refused(reason string) bool {
	return reason == "shipped" || reason == "cancelled" || reason == "unknown"
}

// takes makes *taken* of what differs and may be overwritten, if the shop's version is to be taken.
func takes(found []Found, takeShop bool) {
	for i := range found {
		f := &found[i]
		if f.Outcome != "differs" && f.Outcome != "asked" {
			continue
		}
		switch {
		case !takeShop && f.Outcome == "differs":
			f.Reason = "edited" // the ERP has refused nothing
		case takeShop && !refused(f.Reason):
			f.Outcome, f.Reason = "taken", ""
		}
	}
}

// replayNow derives orders again as a batch of intake's would, and takes its turn among them.
func (in *Intake) replayNow(ctx context.Context, tx pgx.Tx, orders []int64, how Replaying) ([]Found, error) {
	ticks, err := in.replayable(ctx, tx, true)
	if err != nil {
		return nil, err
	}
	found, err := in.find(ctx, tx, orders)
	if err != nil {
		return nil, err
	}
	takes(found, how.TakeShop)
	again, err := in.ask(ctx, tx, orders, found)
	if err != nil {
		return nil, err
	}
	if len(again) > 0 {
		if err := in.deriveAgain(ctx, tx, again, ticks); err != nil {
			return nil, err
		}
		if err := in.refusedNow(ctx, tx, found); err != nil {
			return nil, err
		}
	}
	for _, f := range found {
		if err := in.noteReplayed(ctx, tx, f, how.By); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// ask parks what differs, and returns the orders that are to be derived again.
func (in *Intake) ask(ctx context.Context, tx pgx.Tx, orders []int64, found []Found) ([]int64, error) {
	left := map[int64]bool{}
	var taken, ids []int64
	var reasons, whats []string
	for _, f := range found {
		switch f.Outcome {
		case "changing", "asked":
			left[f.Order] = true
		case "taken":
			taken = append(taken, f.Order)
		case "differs":
			left[f.Order] = true
			ids, reasons, whats = append(ids, f.Order), append(reasons, f.Reason), append(whats, f.differing())
		}
	}
	if len(ids) > 0 {
		schema := pgx.Identifier{Schema(in.shop)}.Sanitize()
		if _, err := tx.Exec(ctx, "select "+schema+".park_differing($1, $2, $3)", ids, reasons, whats); err != nil {
			return nil, in.failed("park what differs"+firstOf(ids), err)
		}
	}
	if len(taken) > 0 {
		// No content is known as taken: derived again, it is handed over.
		if _, err := tx.Exec(ctx, "update spola.link set content = '' where shop = $1 and order_id = any ($2) and erp_order is not null", in.shop, taken); err != nil {
			return nil, in.failed("have the ERP take what is derived"+firstOf(taken), err)
		}
	}
	return slices.DeleteFunc(slices.Clone(orders), func(id int64) bool { return left[id] }), nil
}

// differing says in which fields an order differs; never with what customers typed, since it is kept for good.
func (f Found) differing() string {
	if f.What != "" && len(f.Differences) == 0 {
		return f.What
	}
	text := "It differs in"
	for i, w := range f.Differences {
		if i == 8 {
			return text + fmt.Sprintf(" and %d more: applier replay --order %d --dry-run shows them.", len(f.Differences)-i, f.Order)
		}
		if i > 0 {
			text += ","
		}
		text += " " + w.Field
	}
	return text + "."
}

// deriveAgain has orders derived as if somebody had asked for them. Their tick is before all others': no other order is derived
// in their place. What is parked here is one person's doing and never counts among what stops intake.
func (in *Intake) deriveAgain(ctx context.Context, tx pgx.Tx, orders []int64, ticks int64) error {
	_, err := tx.Exec(ctx, `insert into spola.due as d (shop, order_id, tick, settling) select $1, o, -1, false from unnest($2::bigint[]) as o
		on conflict (shop, order_id) do update set tick = -1 where not d.settling`, in.shop, orders)
	if err != nil {
		return in.failed("ask for orders again"+firstOf(orders), err)
	}
	var sum Taken
	if _, err := in.deriveSome(ctx, tx, nil, ticks, len(orders), call{held: true}, &sum); err != nil {
		return err
	}
	if sum.Parked > 0 {
		if _, err := tx.Exec(ctx, "update spola.parked set tick = -60 where shop = $1 and order_id = any ($2)", in.shop, orders); err != nil {
			return in.failed("note what was parked", err)
		}
	}
	return in.settle(ctx, tx, sum)
}

// refusedNow corrects what was expected to be done by what the ERP has refused after all.
func (in *Intake) refusedNow(ctx context.Context, tx pgx.Tx, found []Found) error {
	expected := map[int64]*Found{}
	for i, f := range found {
		if slices.Contains([]string{"import", "link", "edit", "revive", "cancel", "taken"}, f.Outcome) {
			expected[f.Order] = &found[i]
		}
	}
	if len(expected) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, "select order_id, reason, what from spola.parked where shop = $1 and order_id = any ($2)", in.shop, slices.Collect(maps.Keys(expected)))
	if err != nil {
		return in.failed("look for what was refused", err)
	}
	var order int64
	var reason, what string
	_, err = pgx.ForEachRow(rows, []any{&order, &reason, &what}, func() error {
		f := expected[order]
		f.Outcome, f.Reason, f.What = "park", reason, what
		return nil
	})
	return err
}

// noteReplayed leaves who has done what to an order, by the names of what differed.
func (in *Intake) noteReplayed(ctx context.Context, tx pgx.Tx, f Found, by By) error {
	if !slices.Contains([]string{"import", "link", "edit", "revive", "cancel", "differs", "taken", "park", "recount"}, f.Outcome) {
		return nil
	}
	fields := make([]string, 0, len(f.Differences))
	for _, w := range f.Differences {
		fields = append(fields, w.Field)
	}
	decision := f.Outcome
	if f.Outcome == "differs" || f.Outcome == "park" {
		decision = "parked: " + f.Reason
	}
	return audit(ctx, tx, by, in.shop, f.Order, "replay", decision, map[string]any{"fields": fields})
}

// replayable refuses where orders can't be derived again, and returns the source's clock. One that writes takes intake's turn: it
// holds its place until its transaction ends.
func (in *Intake) replayable(ctx context.Context, tx pgx.Tx, writes bool) (ticks int64, err error) {
	lock := ""
	if writes {
		lock = " for update"
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("shop %s: %w: %s", in.shop, ErrNoReplay, fmt.Sprintf(format, args...))
	}
	var paused *time.Time
	err = tx.QueryRow(ctx, "select paused_at from spola.place where applier = 'intake' and source = $1"+lock, in.shop).Scan(&paused)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("shop %s is not known: %w", in.shop, ErrUnknownShop)
	}
	if err != nil {
		return 0, in.failed("take intake's turn", err)
	}
	var mode, installed, file string
	var lookups int
	var derived, whole bool
	err = tx.QueryRow(ctx, `select s.mode, s.installed, s.file, s.lookups, s.derived, coalesce(m.snapshot_done, false), coalesce(m.ticks, 0)
		from spola.shop s left join spola.mirror m on m.source = s.shop where s.shop = $1`, in.shop).
		Scan(&mode, &installed, &file, &lookups, &derived, &whole, &ticks)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("shop %s is not known: %w", in.shop, ErrUnknownShop)
	}
	if err != nil {
		return 0, in.failed("read the shop's row", err)
	}
	_, digest, err := in.canonical()
	if err != nil {
		return 0, err
	}
	text, err := in.file.text()
	if err != nil {
		return 0, err
	}
	switch {
	case mode != "live":
		return 0, refuse("it is only observed: nothing of it is in the ERP (applier golive --dry-run)")
	case !whole || !derived || lookups == 0:
		return 0, refuse("its mirror is not whole yet: wait until its snapshot has been read and its orders are derived (applier status)")
	case installed != digest:
		return 0, refuse("orders are derived by another version of Spola than this one: start applier run intake of this version first")
	case file != text:
		return 0, refuse("the shop file has changed since applier run intake was started: start it again, for orders are derived by what it has stored")
	case writes && paused != nil:
		return 0, refuse("intake is paused since %s: applier resume, or --dry-run", paused.Format(time.RFC3339))
	}
	return ticks, nil
}

// KnownOrders returns which orders between two numbers, ends included, are known of a shop: in its mirror or by a link.
func (in *Intake) KnownOrders(ctx context.Context, conn *pgx.Conn, from, to int64) ([]int64, error) {
	key := pgx.Identifier{in.profile.Table(in.profile.State.Table).Order}.Sanitize()
	rows, err := conn.Query(ctx, `select `+key+`::bigint from `+in.mirrorTable(in.profile.State.Table)+` where `+key+` between $2 and $3
		union select order_id from spola.link where shop = $1 and order_id between $2 and $3`, in.shop, from, to)
	if err != nil {
		return nil, in.failed("look for orders", err)
	}
	orders, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, in.failed("look for orders", err)
	}
	return orders, nil
}

// Touched gathers the orders whose rows records name.
type Touched struct {
	columns map[string]string // table → its column with the order's number
	Orders  map[int64]bool
}

// Touched begins to gather: rows of these tables, as the shop calls them, with or without prefix; of all tables of orders if none is named.
func (in *Intake) Touched(tables []string) (*Touched, error) {
	t := &Touched{columns: map[string]string{}, Orders: map[int64]bool{}}
	var have []string
	for _, table := range in.profile.Tables {
		name := in.prefix + table.Name
		if table.Order == "" {
			continue
		}
		have = append(have, name)
		if len(tables) == 0 || slices.Contains(tables, name) || slices.Contains(tables, table.Name) {
			t.columns[name] = table.Order
		}
	}
	for _, table := range tables {
		if t.columns[table] == "" && t.columns[in.prefix+table] == "" {
			return nil, fmt.Errorf("no order is told by rows of %q: tables of orders are %v", table, have)
		}
	}
	return t, nil
}

// Tables are those whose rows are looked at, as the log calls them.
func (t *Touched) Tables() []string { return slices.Sorted(maps.Keys(t.columns)) }

// Add notes whose rows the records are, before and behind the change.
func (t *Touched) Add(records []change.Record) error {
	for i := range records {
		r := &records[i]
		column := t.columns[r.Table]
		if column == "" || !r.Op.IsRow() {
			continue
		}
		before, after, err := change.Rows(r.Value)
		if err != nil {
			return fmt.Errorf("record %d/%d: %w", r.Gen, r.Seq, err)
		}
		for _, row := range [][]byte{before, after} {
			number, err := field(row, column)
			if err != nil {
				return fmt.Errorf("record %d/%d: %w", r.Gen, r.Seq, err)
			}
			if number == "" || number == "null" {
				continue
			}
			order, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				return fmt.Errorf("record %d/%d, column %s: %w", r.Gen, r.Seq, column, err)
			}
			t.Orders[order] = true
		}
	}
	return nil
}
