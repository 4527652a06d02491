// Package intake makes ERP orders of a mirrored shop: mirror → canonical → ERP.
//
// In each batch's transaction, after the mirror was changed, the orders whose rows changed are
// derived again from the mirror as it stands: level-triggered, so a late, repeated or edited row
// is nothing special. What they mean is SQL: the platform's in schemas/shop/<platform>, what is
// the same for all in derive.postgres.sql. Go decides where a batch must end (split.go), when
// settings are used (lookups.go), and offers people their commands (golive.go, articles.go,
// parked.go).
//
//	effect.go    an applier's effect: mirror, then derive
//	split.go     where a batch must end, so that batches of any size give the same
//	install.go   the canonical schema       shopfile.go  what the merchant says of his shop
//	overview.go  what has become of the orders, or would
//	golive.go    the first day               resolve.go   what people decide of parked orders
//	pause.go, remove.go  the ways back       audit.go     who has decided what
//	erase.go     a customer is taken off what is kept
package intake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// batch is how many orders one call of derive takes: enough to be fast, few enough for its memory.
const batch = 5000

// Intake derives the orders of one shop. Derive is called on the writing goroutine of an applier.
type Intake struct {
	shop     string
	prefix   string // of the shop's tables
	file     *ShopFile
	profile  *schemas.Profile
	platform fs.FS // the platform's directory
	derive   string
	draft    string
	holdAll  string
	awake    string
	bring    string
	stock    string
	forward  string
	most     int // orders that one call of derive takes

	// What the shop's row said when Start read it, followed since; after a rollback Start reads again.
	installed  bool
	lookups    int
	lookupsDue *int64
	derived    bool
	ticks      int64
	clock      int64  // of the source, when orders were derived last
	spread     bool   // orders are due at later ticks that wait for no settling
	more       bool   // and the last portion of them has left some
	epoch      *int64 // of the place's owner, when it was taken; nil: nobody has
}

// Taken is what one batch brought.
type Taken struct {
	Orders   int     // new in the ERP
	Parked   int     // orders that were parked, or stay so
	Articles []int64 // whose stock or commitments changed

	early   int     // orders that were drafted while the batch before was at work, and are taken so
	touched []int64 // orders of which the stock account must know; nil: no shop has one
}

// New makes the intake of a shop whose tables begin with prefix. platform is the directory of its
// profile.
func New(shop, prefix string, file *ShopFile, profile *schemas.Profile, platform fs.FS) (*Intake, error) {
	if file.Platform != profile.Platform {
		return nil, fmt.Errorf("shop %s: the shop file is for %s, the profile for %s", shop, file.Platform, profile.Platform)
	}
	schema := pgx.Identifier{Schema(shop)}.Sanitize()
	return &Intake{
		shop: shop, prefix: prefix, file: file, profile: profile, platform: platform,
		derive:  "select more, articles, touched, taken, parked, early, coalesce(overrun, ''), coalesce(overrun_by, '') from " + schema + ".derive($1, $2, $3, $4, $5, $6)",
		most:    batch,
		holdAll: "select " + schema + ".hold_all($1, $2)",
		draft:   "select " + schema + ".draft_early($1, $2)",
		awake:   "select " + schema + ".awake($1), " + schema + ".awake_customers($1)",
		bring:   "select " + schema + ".bring_accounts($1)",
		forward: "select " + schema + ".forward($1, $2)",
		stock:   "select spola.settle('" + shop + "', $1, $2, false)",
	}, nil
}

// Start reads anew what the database knows of the shop, and stores the shop file.
func (in *Intake) Start(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `insert into spola.shop (shop, platform, prefix) values ($1, $2, $3)
		on conflict (shop) do update set platform = excluded.platform, prefix = excluded.prefix`,
		in.shop, in.file.Platform, in.prefix)
	if err != nil {
		return in.failed("make the shop's row", err)
	}
	if err := in.file.store(ctx, tx, in.shop, in.profile.Totals); err != nil {
		return postgres.Explain(err)
	}
	in.installed = false
	in.ticks = 0
	err = tx.QueryRow(ctx, `select s.lookups, s.lookups_due, s.derived, coalesce((select m.ticks from spola.mirror m where m.source = s.shop), 0)
		from spola.shop s where s.shop = $1`, in.shop).Scan(&in.lookups, &in.lookupsDue, &in.derived, &in.clock)
	if err != nil {
		return in.failed("read the shop's row", err)
	}
	return in.begin(ctx, tx)
}

// Derive derives the orders that changed, in the transaction that changed the mirror; drafted tells that draftEarly has
// drafted some in it. Last of all, since
// its locks come behind those of the ERP's functions, the stock account is settled.
func (in *Intake) Derive(ctx context.Context, tx pgx.Tx, changed *mirror.Changed, drafted bool) (Taken, error) {
	var sum Taken
	if err := in.knowsMarks(ctx, tx, changed.Marks); err != nil {
		return sum, err
	}
	if changed.Restored {
		if err := in.restored(ctx, tx, changed.Ticks); err != nil {
			return sum, err
		}
	}
	if !changed.SnapshotDone {
		return sum, in.noteUnderived(ctx, tx, changed)
	}
	if in.installed && in.derived && len(changed.Orders) == 0 && changed.Ticks == in.ticks && !in.concerns(changed) {
		return sum, nil // stock, statistics, the marker: nothing to derive, and nothing that became due
	}
	ready, err := in.prepare(ctx, tx, changed)
	if err != nil || !ready {
		return sum, err
	}
	orders, how := changed.Orders, call{drafted: drafted, held: len(changed.Orders) > in.most, span: max(changed.Ticks-in.clock, 0)}
	if how.held {
		if _, err := tx.Exec(ctx, in.holdAll, orders, changed.Ticks); err != nil {
			return sum, in.failed(fmt.Sprintf("lock what %d orders change%s", len(orders), firstOf(orders)), err)
		}
	}
	for more := true; more; {
		now := orders[:min(len(orders), in.most)]
		orders = orders[len(now):]
		again, err := in.deriveSome(ctx, tx, now, changed.Ticks, in.most, how, &sum)
		if err != nil {
			return sum, err
		}
		how = call{held: true, span: how.span}
		more = again || len(orders) > 0
	}
	in.clock = changed.Ticks
	if err := in.bringAccounts(ctx, tx, changed.Accounts); err != nil {
		return sum, err
	}
	return sum, in.settle(ctx, tx, sum)
}

// settle brings the stock account up to date of what the batch has changed.
func (in *Intake) settle(ctx context.Context, tx pgx.Tx, sum Taken) error {
	if sum.touched == nil {
		return nil
	}
	if _, err := tx.Exec(ctx, in.stock, sum.Articles, sum.touched); err != nil {
		return in.failed("settle the stock account"+firstOf(sum.touched), err)
	}
	return nil
}

// bringAccounts brings what changed in customers' accounts to the ERP's customers: behind the orders, since
// the contract has their locks first.
func (in *Intake) bringAccounts(ctx context.Context, tx pgx.Tx, accounts []int64) error {
	for some := range slices.Chunk(accounts, batch) {
		if _, err := tx.Exec(ctx, in.bring, some); err != nil {
			return in.failed(fmt.Sprintf("bring changes of %d accounts%s", len(some), firstOf(some)), err)
		}
	}
	return nil
}

// concerns tells whether anything changed that is no order's but lets orders go on.
func (in *Intake) concerns(changed *mirror.Changed) bool {
	return len(changed.Shapes) > 0 || in.changedKind(changed, schemas.KindLookup) || in.changedKind(changed, schemas.KindCustomer)
}

// prepare has the canonical schema in place, the settings copied, and what is due noted. It tells
// whether deriving may begin.
func (in *Intake) prepare(ctx context.Context, tx pgx.Tx, changed *mirror.Changed) (bool, error) {
	if !in.installed || len(changed.Shapes) > 0 {
		if err := in.install(ctx, tx, len(changed.Shapes) > 0); err != nil {
			return false, err
		}
		in.installed = true
	}
	if err := in.followLookups(ctx, tx, changed); err != nil || in.lookups == 0 {
		return false, err
	}
	if !in.derived {
		if in.lookupsDue != nil {
			return false, nil // settings may have changed with all the orders: theirs come first
		}
		if err := in.everythingDue(ctx, tx, changed.Ticks); err != nil {
			return false, err
		}
		in.derived = true
	}
	if in.changedKind(changed, schemas.KindCustomer) {
		if err := in.release(ctx, tx, "customer"); err != nil {
			return false, err
		}
	}
	if changed.Ticks != in.ticks {
		in.ticks = changed.Ticks
		if _, err := tx.Exec(ctx, in.awake, changed.Ticks); err != nil {
			return false, in.failed("look for what parked orders wait for", err)
		}
		if err := in.spreads(ctx, tx); err != nil {
			return false, err
		}
	}
	return true, nil
}

// settled tells that the canonical schema stands, and that no change of the settings is on its way.
func (in *Intake) settled() bool {
	return in.installed && in.derived && in.lookups > 0 && in.lookupsDue == nil
}

// draftEarly drafts, of orders whose rows are all in the mirror, those that are new and to be taken, for derive to find
// them in the same transaction. accounts are the customers' accounts that change meanwhile. It tells whether there were any.
func (in *Intake) draftEarly(ctx context.Context, tx pgx.Tx, orders, accounts []int64) (drafted bool, err error) {
	if err := tx.QueryRow(ctx, in.draft, orders, accounts).Scan(&drafted); err != nil {
		return false, in.failed(fmt.Sprintf("draft %d orders%s", len(orders), firstOf(orders)), err)
	}
	return drafted, nil
}

// call says how derive is called.
type call struct {
	drafted bool  // draft_early has drafted some of its orders
	held    bool  // it is not the first call of its transaction, or the only one: what these need of the ERP's locks is held
	span    int64 // ticks of the source's clock since orders were derived last
}

// deriveSome derives these orders, and at most so many of those that are due.
func (in *Intake) deriveSome(ctx context.Context, tx pgx.Tx, orders []int64, ticks int64, most int, how call, sum *Taken) (more bool, err error) {
	if orders == nil {
		orders = []int64{}
	}
	var taken, parked, early int
	var articles, touched []int64
	var overrun, by string
	if err := tx.QueryRow(ctx, in.derive, orders, ticks, how.span, most, how.drafted, how.held).Scan(&more, &articles, &touched, &taken, &parked, &early, &overrun, &by); err != nil {
		return false, in.failed(fmt.Sprintf("derive %d orders%s", len(orders), firstOf(orders)), err)
	}
	if overrun != "" {
		return false, &postgres.StopError{
			What: fmt.Sprintf("shop %s: more than %d orders would be parked for %q within a minute, the last of them %s; this is no matter of single orders", in.shop, in.file.ParkedPerMinute, overrun, by),
			Mend: "see in the shop what they have in common (`applier parked` lists those that were parked before), mend it in the shop file, the shop or the ERP, and start again; or raise parked_per_minute in the shop file",
		}
	}
	sum.Orders += taken
	sum.Parked += parked
	sum.early += early
	sum.Articles = append(sum.Articles, articles...)
	sum.touched = append(sum.touched, touched...)
	return more, nil
}

func firstOf(orders []int64) string {
	if len(orders) == 0 {
		return ""
	}
	return fmt.Sprintf(", the first is %d", orders[0])
}

// everythingDue has all orders derived: behind the first snapshot those of the mirror, and behind
// one that made the mirror whole again also those that are known and may be gone. Known orders
// settle first, for one may stand in the middle of an edit.
func (in *Intake) everythingDue(ctx context.Context, tx pgx.Tx, ticks int64) error {
	_, err := tx.Exec(ctx, `insert into spola.due (shop, order_id, tick, settling)
		select distinct $1, order_id, $2::bigint, true from spola.link where shop = $1
		on conflict (shop, order_id) do update set tick = excluded.tick, settling = true`, in.shop, ticks+Settle)
	if err != nil {
		return in.failed("note all known orders", err)
	}
	table := in.mirrorTable(in.profile.State.Table)
	key := pgx.Identifier{in.profile.Table(in.profile.State.Table).Order}.Sanitize()
	_, err = tx.Exec(ctx, `insert into spola.due (shop, order_id, tick, settling)
		select $1, `+key+`, 0, false from `+table+` on conflict do nothing`, in.shop)
	if err != nil {
		return in.failed("note all orders", err)
	}
	if _, err := tx.Exec(ctx, "update spola.shop set derived = true where shop = $1", in.shop); err != nil {
		return in.failed("note that all orders are derived", err)
	}
	return nil
}

func (in *Intake) mirrorTable(name string) string {
	return pgx.Identifier{mirror.Schema(in.shop), in.prefix + name}.Sanitize()
}

func (in *Intake) failed(operation string, err error) error {
	if _, ok := errors.AsType[*postgres.StopError](err); ok {
		return err
	}
	return postgres.Explain(fmt.Errorf("intake of %s: %s: %w", in.shop, operation, err))
}
