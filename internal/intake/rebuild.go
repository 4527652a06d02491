package intake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// A rebuild reads the log from its last whole snapshot on into a second mirror, derives all orders from that, and holds both against the live
// mirror and the ERP at one place in the log. Where the live mirror differs it is brought to what the second one has, in one transaction that holds
// intake's place. The second mirror is temporary tables of one connection: however the rebuild ends, they are gone, and no row of
// the log reaches the live mirror but as the state at that place.

// Rebuilding says how it is done.
type Rebuilding struct {
	Replaying
	// Read reads a part of the log, and tells how far it is.
	Read func(ctx context.Context, what string, part stream.Range, each func([]change.Record) error) error
}

// Rebuilt is what came of it.
type Rebuilt struct {
	From    string           `json:"from"` // record of the log with which the second mirror begins, generation/number
	To      string           `json:"to"`   // record behind which both mirrors were compared
	Records int64            `json:"records"`
	Mirror  []mirror.Unequal `json:"mirror"`  // tables of the live mirror that differ from the second one
	Swapped bool             `json:"swapped"` // and were brought to what that has
}

// ErrNoSnapshot says that the log holds no snapshot of all tables to begin with.
var ErrNoSnapshot = errors.New("the log holds no whole snapshot of the shop")

// recordsAtOnce is how many records of the log go into the second mirror with one transaction.
const recordsAtOnce = 20_000

// rebuilder is a rebuild at work.
type rebuilder struct {
	in     *Intake
	conn   *pgx.Conn
	second *mirror.Mirror
	how    Rebuilding
	tables []string // that are compared: all that the live mirror has whole, but the marker
	from   int64    // number of the order from which on rows were read; 0: all were

	at      change.Place // of the last record in the second mirror
	applied int64        // records in it
	waiting []change.Record
}

// Rebuild builds a second mirror on conn, which is used for nothing else, and compares. Unless it is a dry run the live mirror is
// brought to what the second one has, and all orders that differ are replayed.
func (in *Intake) Rebuild(ctx context.Context, conn *pgx.Conn, how Rebuilding) (Rebuilt, Replayed, error) {
	var done Rebuilt
	orders := Replayed{Outcomes: map[string]int{}, Found: []Found{}}
	b := &rebuilder{in: in, conn: conn, how: how, second: mirror.Second(in.shop, in.specs())}
	begin, err := b.begin(ctx)
	if err != nil {
		return done, orders, err
	}
	done.From = fmt.Sprintf("%d/%d", begin.Gen, begin.Seq)
	if err := b.build(ctx, stream.Range{From: begin}); err != nil {
		return done, orders, err
	}
	if err := b.install(ctx); err != nil {
		return done, orders, err
	}
	if err := b.look(ctx, &done, &orders); err != nil {
		return done, orders, err
	}
	done.Records = b.applied
	if !how.DryRun {
		if err := b.bring(ctx, &done, &orders); err != nil {
			return done, orders, err
		}
	}
	err = postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error { return b.second.Forget(ctx, tx) })
	return done, orders, err
}

// specs is what a mirror of the shop must know of its tables.
func (in *Intake) specs() (specs []mirror.TableSpec) {
	for _, t := range in.profile.Tables {
		specs = append(specs, mirror.TableSpec{Name: in.prefix + t.Name, Order: t.Order, Account: t.Account})
	}
	return specs
}

// begin finds where the second mirror begins, and makes its tables in the shapes that they have there.
func (b *rebuilder) begin(ctx context.Context) (at change.Place, err error) {
	var live change.Stand
	var shapes map[string]change.Table
	err = postgres.InTransaction(ctx, b.conn, func(tx pgx.Tx) error {
		if _, err := b.in.replayable(ctx, tx, false); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "select name from spola.mirror_table where source = $1 and complete_run > 0 and name <> $2 order by name", b.in.shop, mirror.Marker)
		if err != nil {
			return b.in.failed("list the mirror's tables", err)
		}
		if b.tables, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return b.in.failed("list the mirror's tables", err)
		}
		if live, err = postgres.ReadPlace(ctx, tx, "intake", b.in.shop); err != nil {
			return err
		}
		shapes, err = mirror.Shapes(ctx, tx, b.in.shop)
		return err
	})
	if err != nil {
		return at, err
	}
	s := &snapshots{tables: b.tables, runs: map[int64]*run{}}
	part := stream.Range{From: change.Place{Gen: live.Gen, Seq: 1}, To: live.Place}
	err = b.how.Read(ctx, "records looked through", part, s.add)
	if gone, is := errors.AsType[*stream.GoneError](err); is && gone.First.Seq > 0 {
		part.From = change.Place{Gen: gone.First.Gen, Seq: gone.First.Seq}
		err = b.how.Read(ctx, "records looked through", part, s.add)
	}
	if err != nil {
		return at, err
	}
	if s.whole == nil {
		return at, fmt.Errorf("shop %s: %w, to build a second mirror from: ask for one (cdc snapshot), wait until cdc position shows that it is done, and rebuild then", b.in.shop, ErrNoSnapshot)
	}
	b.from = s.whole.from
	return s.whole.at, postgres.InTransaction(ctx, b.conn, func(tx pgx.Tx) error {
		return b.second.Seed(ctx, tx, s.shapesAt(s.whole.at, shapes))
	})
}

// snapshots looks in a log for the last snapshot that has gone through all tables.
type snapshots struct {
	tables []string
	runs   map[int64]*run
	whole  *run
	shapes []announced
}

// run is a snapshot run.
type run struct {
	at           change.Place // of its first low watermark
	begun, ended map[string]bool
	from         int64 // number from which on it has read rows of orders
}

// announced is the shape of a table, from a record on.
type announced struct {
	at    change.Place
	table change.Table
}

func (s *snapshots) add(records []change.Record) error {
	for i := range records {
		r := &records[i]
		var err error
		switch {
		case r.Op == change.Schema:
			var m change.SchemaMessage
			err = change.Message(r.Value, &m)
			s.shapes = append(s.shapes, announced{change.Place{Gen: r.Gen, Seq: r.Seq}, m.Table})
		case r.Op == change.Chunk:
			err = s.chunk(r)
		case r.Table == mirror.Marker && r.Op.IsRow() && r.Op != change.Read:
			err = s.watermark(r)
		}
		if err != nil {
			return fmt.Errorf("record %d/%d: %w", r.Gen, r.Seq, err)
		}
	}
	return nil
}

func (s *snapshots) watermark(r *change.Record) error {
	number, low, err := mirror.LowWatermark(r.Value)
	if err != nil || !low || s.runs[number] != nil {
		return err
	}
	s.runs[number] = &run{at: change.Place{Gen: r.Gen, Seq: r.Seq}, begun: map[string]bool{}, ended: map[string]bool{}}
	return nil
}

func (s *snapshots) chunk(r *change.Record) error {
	var m change.ChunkMessage
	if err := change.Message(r.Value, &m); err != nil {
		return err
	}
	at := s.runs[m.Run]
	if at == nil {
		return nil // it began before the log does
	}
	if m.From == nil {
		at.begun[m.Table] = true
	}
	if m.LastOfTable && m.To == nil {
		at.ended[m.Table] = at.begun[m.Table]
	}
	at.from = max(at.from, m.OrdersFrom)
	if m.LastOfRun && !slices.ContainsFunc(s.tables, func(name string) bool { return !at.ended[name] }) {
		s.whole = at
	}
	return nil
}

// shapesAt are the shapes that tables have before a record: as they were announced before it, or as they are now, if the log
// announces no other. A table whose shape is announced behind it begins there.
func (s *snapshots) shapesAt(at change.Place, now map[string]change.Table) []change.Table {
	known, later := maps.Clone(now), map[string]bool{}
	for _, a := range s.shapes {
		if a.at.Gen == at.Gen && a.at.Seq > at.Seq {
			later[a.table.Name] = true
		}
	}
	for name := range later {
		delete(known, name)
	}
	for _, a := range s.shapes {
		if a.at.Gen == at.Gen && a.at.Seq < at.Seq {
			known[a.table.Name] = a.table
		}
	}
	var shapes []change.Table
	for _, name := range slices.Sorted(maps.Keys(known)) {
		shapes = append(shapes, known[name])
	}
	return shapes
}

// near is how many records behind the live mirror the second one may be for the rest to be read in one transaction.
const near = 2000

// build reads the log into the second mirror, from the start of a part of it on until it is near the live one.
func (b *rebuilder) build(ctx context.Context, part stream.Range) error {
	for {
		var live change.Stand
		err := postgres.InTransaction(ctx, b.conn, func(tx pgx.Tx) (err error) {
			live, err = standOf(ctx, tx, b.in.shop)
			return err
		})
		if err != nil {
			return err
		}
		if b.at.Gen == live.Gen && live.Seq-b.at.Seq < near {
			return nil
		}
		part.To = live.Place
		err = b.how.Read(ctx, "records into the second mirror", part, func(records []change.Record) error {
			b.waiting = append(b.waiting, records...)
			if len(b.waiting) < recordsAtOnce {
				return nil
			}
			return b.write(ctx)
		})
		if err == nil {
			err = b.write(ctx)
		}
		if err != nil {
			return err
		}
		part = stream.Range{Behind: b.at}
	}
}

// standOf is where intake stands, without waiting for anybody.
func standOf(ctx context.Context, tx pgx.Tx, shop string) (at change.Stand, err error) {
	var sum string
	err = tx.QueryRow(ctx, "select generation, seq, sum, applied from spola.place where applier = 'intake' and source = $1", shop).Scan(&at.Gen, &at.Seq, &sum, &at.Applied)
	if err != nil {
		return at, postgres.Explain(fmt.Errorf("read intake's place in the log of shop %s: %w", shop, err))
	}
	at.Sum, err = change.ParseSum(sum)
	return at, err
}

// write writes what waits into the second mirror, in a transaction of its own.
func (b *rebuilder) write(ctx context.Context) error {
	return b.again(func(again bool) error {
		return postgres.InTransaction(ctx, b.conn, func(tx pgx.Tx) error { return b.put(ctx, tx, again) })
	})
}

// put writes what waits inside tx. again: the mirror is to look anew at what it has.
func (b *rebuilder) put(ctx context.Context, tx pgx.Tx, again bool) error {
	if len(b.waiting) == 0 {
		return nil
	}
	if again {
		if err := b.second.Start(ctx, tx); err != nil {
			return err
		}
	}
	part := b.second.Part(b.applied)
	if err := part.Add(b.waiting); err != nil {
		return fmt.Errorf("%w; if it is the shape of a table that is missing: ask for a snapshot (cdc snapshot), and rebuild when it is done", err)
	}
	_, err := part.Apply(ctx, tx)
	return err
}

// wrote notes that what waited was committed.
func (b *rebuilder) wrote() {
	if n := len(b.waiting); n > 0 {
		last := &b.waiting[n-1]
		b.at, b.applied = change.Place{Gen: last.Gen, Seq: last.Seq, Sum: last.Sum}, b.applied+int64(n)
		b.waiting = b.waiting[:0]
	}
}

// again calls do until the mirror has learnt what it did not expect to be there.
func (b *rebuilder) again(do func(again bool) error) error {
	for try := 0; ; try++ {
		err := do(try > 0)
		if err == nil {
			b.wrote()
			return nil
		}
		if !errors.Is(err, apply.ErrAgain) || try == 20 {
			return err
		}
	}
}

// reach brings the second mirror to where intake stands, inside tx.
func (b *rebuilder) reach(ctx context.Context, tx pgx.Tx, again bool) (change.Stand, error) {
	live, err := standOf(ctx, tx, b.in.shop)
	if err != nil {
		return live, err
	}
	b.waiting = b.waiting[:0]
	if live.Place != b.at {
		err := b.how.Read(ctx, "", stream.Range{Behind: b.at, To: live.Place}, func(records []change.Record) error {
			b.waiting = append(b.waiting, records...)
			return nil
		})
		if err != nil {
			return live, err
		}
	}
	return live, b.put(ctx, tx, again)
}

// install makes the canonical schema over the second mirror.
func (b *rebuilder) install(ctx context.Context) error {
	sql, err := renderOver(b.in.shop, secondSchema, b.in.platform, func(name string) string { return b.second.Table(b.in.prefix + name) })
	if err != nil {
		return err
	}
	if _, err := b.conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
		return b.in.failed("install the canonical schema over the second mirror", err)
	}
	return nil
}

// secondSchema is the canonical schema over a second mirror.
const secondSchema = "pg_temp"

// look compares at one place of the log and in one snapshot of the database: the mirrors, and what is derived of the second with the ERP.
func (b *rebuilder) look(ctx context.Context, done *Rebuilt, orders *Replayed) error {
	return b.again(func(again bool) error {
		*orders = Replayed{Outcomes: map[string]int{}, Found: []Found{}}
		return pgx.BeginTxFunc(ctx, b.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			live, err := b.reach(ctx, tx, again)
			if err != nil {
				return err
			}
			if err := b.second.Differing(ctx, tx, b.in.shop, b.tables, b.from); err != nil {
				return err
			}
			if err := b.compare(ctx, tx, live, done); err != nil {
				return err
			}
			ids, err := b.known(ctx, tx)
			if err != nil {
				return err
			}
			for some := range slices.Chunk(ids, lookAtOnce) {
				found, err := b.in.findIn(ctx, tx, secondSchema, some)
				if err != nil {
					return err
				}
				takes(found, b.how.TakeShop)
				orders.add(len(some), found)
				if b.how.Log != nil {
					b.how.Log(orders.Orders, len(ids))
				}
			}
			return nil
		})
	})
}

// compare notes which of the rows that differed still do, and at which place.
func (b *rebuilder) compare(ctx context.Context, tx pgx.Tx, at change.Stand, done *Rebuilt) (err error) {
	done.To = fmt.Sprintf("%d/%d", at.Gen, at.Seq)
	done.Mirror, err = b.second.Compare(ctx, tx, b.in.shop, b.tables)
	return err
}

// known are all orders that the second mirror has, or that a link has.
func (b *rebuilder) known(ctx context.Context, tx pgx.Tx) ([]int64, error) {
	state := b.in.profile.Table(b.in.profile.State.Table)
	key := pgx.Identifier{state.Order}.Sanitize()
	rows, err := tx.Query(ctx, "select "+key+"::bigint from "+b.second.Table(b.in.prefix+state.Name)+" union select order_id from spola.link where shop = $1 and order_id >= $2 order by 1", b.in.shop, b.from)
	if err != nil {
		return nil, b.in.failed("list orders", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, b.in.failed("list orders", err)
	}
	return ids, nil
}

// bring brings the live mirror to what the second one has, and the orders that differ into the ERP.
func (b *rebuilder) bring(ctx context.Context, done *Rebuilt, orders *Replayed) error {
	var again []int64
	for _, f := range orders.Found {
		again = append(again, f.Order)
	}
	if len(done.Mirror) > 0 {
		if err := b.build(ctx, stream.Range{Behind: b.at}); err != nil {
			return err
		}
		err := b.again(func(again bool) error {
			return postgres.InTransaction(ctx, b.conn, func(tx pgx.Tx) error { return b.swap(ctx, tx, done, again) })
		})
		if err != nil {
			return err
		}
		done.Swapped = true
		for _, u := range done.Mirror {
			again = append(again, u.Orders...)
		}
	}
	replayed, err := b.in.Replay(ctx, b.conn, again, b.how.Replaying)
	looked := orders.Orders - replayed.Orders
	*orders = replayed
	orders.Orders += looked
	orders.Same += looked
	return err
}

// swap compares once more what differed, in intake's turn, and brings it over, with all that follows from it: orders are due, customers
// brought, settings copied. Nobody waits for a look at all rows: what the log has brought since is the same in both mirrors.
func (b *rebuilder) swap(ctx context.Context, tx pgx.Tx, done *Rebuilt, again bool) error {
	ticks, err := b.in.replayable(ctx, tx, true)
	if err != nil {
		return err
	}
	live, err := b.reach(ctx, tx, again)
	if err != nil {
		return err
	}
	if err := b.compare(ctx, tx, live, done); err != nil {
		return err
	}
	var tables []string
	var orders, accounts []int64
	changed := map[string]bool{}
	for _, u := range done.Mirror {
		tables, orders, accounts = append(tables, u.Table), append(orders, u.Orders...), append(accounts, u.Accounts...)
		changed[u.Table] = true
	}
	if err := b.second.Swap(ctx, tx, b.in.shop, tables, live.Applied); err != nil {
		return err
	}
	// Should the replay behind this not come, intake derives them.
	_, err = tx.Exec(ctx, `insert into spola.due (shop, order_id, tick, settling) select distinct $1, o, $3::bigint, false from unnest($2::bigint[]) as o on conflict do nothing`, b.in.shop, orders, ticks)
	if err != nil {
		return b.in.failed("have the orders derived", err)
	}
	if b.in.changedKind(&mirror.Changed{Tables: changed}, schemas.KindLookup) {
		if err := b.in.takeLookups(ctx, tx); err != nil {
			return err
		}
	}
	if err := b.in.bringAccounts(ctx, tx, accounts); err != nil {
		return err
	}
	return audit(ctx, tx, b.how.By, b.in.shop, 0, "replay", "rebuilt mirror behind record "+done.To, done.Mirror)
}
