package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Replay is `applier replay`.
type Replay struct {
	From     string   `help:"Orders touched in the log since this day by the shop's clock (2026-11-01), moment (2026-11-01T08:00:00+01:00) or record (2/4711: number 4711 of generation 2)." placeholder:"WHEN"`
	To       string   `help:"And until this day (to its end), moment or record." placeholder:"WHEN"`
	Table    []string `help:"Only orders of which rows of these tables were touched: order_total." placeholder:"TABLE"`
	Order    []string `help:"Only these orders, by the shop's numbers: 4711 or 4711-4799. Without --from, --to and --table no log is read." placeholder:"NUMBERS"`
	After    int64    `help:"Only orders above this number: where an interrupted replay goes on." placeholder:"NUMBER"`
	Rate     int      `help:"At most so many orders a second." placeholder:"N"`
	TakeShop bool     `help:"Where the ERP has something else than is derived though the shop has not changed the order, give it what is derived; else a person is asked."`
	Rebuild  bool     `help:"All orders, from a second mirror: the log is read into it from its last whole snapshot on. Where the live mirror differs from it, it is brought to what the second one has, in one transaction."`
	DryRun   bool     `help:"Only show what differs; status 5 if something does."`
	Reason   string   `help:"Why; it stands with your name in the list of decisions (applier audit)."`
	JSON     bool     `help:"Print JSON." name:"json"`
}

// replayed is what `applier replay` ends with.
type replayed struct {
	Shop   string   `json:"shop"`
	DryRun bool     `json:"dry_run"`
	Log    *readLog `json:"log,omitempty"` // what was read of it; absent: none was
	intake.Replayed

	Rebuilt *intake.Rebuilt `json:"rebuilt,omitempty"` // by --rebuild
}

// readLog is a part of the log that was read.
type readLog struct {
	Records int64     `json:"records"`
	First   string    `json:"first,omitempty"` // generation/number
	Last    string    `json:"last,omitempty"`
	Since   time.Time `json:"since,omitzero"` // of the first record, when the shop committed it
	Until   time.Time `json:"until,omitzero"` // of the last
	Orders  int       `json:"orders"`         // touched in it
}

// Run derives orders again.
func (r Replay) Run(env *cli.Env) error {
	numbers, err := orderNumbers(r.Order)
	if err != nil {
		return err
	}
	ranged := r.From != "" || r.To != "" || len(r.Table) > 0
	switch {
	case r.Rebuild && (ranged || len(numbers) > 0 || r.After != 0):
		return cli.Usage("--rebuild takes all orders: leave --from, --to, --table, --order and --after away")
	case !r.Rebuild && !ranged && len(numbers) == 0:
		return cli.Usage("what is to be replayed? Name a part of the log (--from, --to, --table), orders (--order), or all of them by a second mirror (--rebuild)")
	case r.Rate < 0:
		return cli.Usage("--rate %d: orders a second, from 1", r.Rate)
	}
	var needs []config.Need
	if ranged || r.Rebuild || !r.DryRun {
		needs = append(needs, config.NeedKafka)
	}
	cfg, err := config.Load(env.Config, append(needs, config.NeedERP)...)
	if err != nil {
		return err
	}
	in, err := shopIntake(cfg)
	if err != nil {
		return err
	}
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		done := replayed{Shop: shop, DryRun: r.DryRun}
		if !r.DryRun {
			if err := trusted(env.Ctx, cfg, env, conn); err != nil {
				return err
			}
		}
		if r.Rebuild {
			done.Replayed, done.Rebuilt, err = r.rebuild(env, cfg, in)
		} else {
			var orders []int64
			if orders, err = r.orders(env, cfg, in, conn, numbers, ranged, &done); err == nil {
				done.Replayed, err = r.replay(env, in, conn, orders)
			}
		}
		if err != nil {
			return err
		}
		if r.JSON {
			err = json.NewEncoder(env.Out).Encode(done)
		} else {
			err = done.print(env.Out)
		}
		if err == nil && r.DryRun {
			return done.differs()
		}
		return err
	})
}

// differs is the error of a dry run that has found something.
func (d replayed) differs() error {
	orders, rows := d.Differs(), int64(0)
	if d.Rebuilt != nil {
		for _, u := range d.Rebuilt.Mirror {
			rows += u.Missing + u.Extra + u.Other
		}
	}
	switch {
	case rows > 0:
		return cli.Differ("%d rows of the live mirror are not what the log says, and %d of %d orders are not in the ERP as they are derived", rows, orders, d.Orders)
	case orders > 0:
		return cli.Differ("%d of %d orders are not in the ERP as they are derived", orders, d.Orders)
	}
	return nil
}

// rebuild builds a second mirror, on a connection of its own: its tables go with that.
func (r Replay) rebuild(env *cli.Env, cfg config.Config, in *intake.Intake) (intake.Replayed, *intake.Rebuilt, error) {
	conn, err := postgres.Connect(env.Ctx, cfg.ERP.URL(), "spola rebuild")
	if err != nil {
		return intake.Replayed{}, nil, err
	}
	defer conn.Close(context.WithoutCancel(env.Ctx))
	if _, err := conn.Exec(env.Ctx, "set temp_buffers = '128MB'"); err != nil {
		return intake.Replayed{}, nil, fmt.Errorf("prepare a second mirror: %w", err)
	}
	rebuilt, orders, err := in.Rebuild(env.Ctx, conn, intake.Rebuilding{
		Replaying: r.how(),
		Read: func(ctx context.Context, what string, part stream.Range, each func([]change.Record) error) error {
			var show func(done, total int)
			if what != "" {
				show = progress(os.Stderr, what)
			}
			return stream.ReadRange(ctx, cfg.Stream(env.Log), part, each, func(read, all int64) {
				if show != nil {
					show(int(read), int(all))
				}
			})
		},
	})
	if err != nil && env.Ctx.Err() != nil {
		err = errors.New("interrupted: the second mirror is gone; the same command begins again, and finds done what was done")
	}
	return orders, &rebuilt, err
}

func (r Replay) how() intake.Replaying {
	return intake.Replaying{DryRun: r.DryRun, TakeShop: r.TakeShop, Rate: r.Rate, By: intake.By{Who: cli.Person(), Reason: r.Reason}, Log: progress(os.Stderr, "orders")}
}

// replay derives the orders, and says where to go on if something ends it.
func (r Replay) replay(env *cli.Env, in *intake.Intake, conn *pgx.Conn, orders []int64) (intake.Replayed, error) {
	behind := int64(0)
	how := r.how()
	how.Behind = func(order int64) { behind = order }
	done, err := in.Replay(env.Ctx, conn, orders, how)
	switch {
	case err == nil || behind == 0:
		return done, err
	case env.Ctx.Err() != nil:
		return done, fmt.Errorf("interrupted behind order %d: %d of %d are done; the same command with --after %d goes on", behind, done.Orders, len(orders), behind)
	}
	return done, fmt.Errorf("%w; orders up to %d are done: --after %d goes on behind them", err, behind, behind)
}

// orders gathers those that are to be derived again.
func (r Replay) orders(env *cli.Env, cfg config.Config, in *intake.Intake, conn *pgx.Conn, numbers []span, ranged bool, done *replayed) (orders []int64, err error) {
	if !ranged {
		for _, n := range numbers {
			known, err := in.KnownOrders(env.Ctx, conn, n.from, n.to)
			if err != nil {
				return nil, err
			}
			if len(known) == 0 {
				return nil, fmt.Errorf("shop %s has no order %s, nor has the ERP one of it", cfg.Shop.Name, n)
			}
			orders = append(orders, known...)
		}
		return r.above(orders), nil
	}
	clock, err := intake.Clock(env.Ctx, conn, cfg.Shop.Name)
	if err != nil {
		return nil, err
	}
	part, err := r.part(clock)
	if err != nil {
		return nil, err
	}
	touched, err := in.Touched(r.Table)
	if err != nil {
		return nil, cli.Usage("--table: %w", err)
	}
	if done.Log, err = read(env.Ctx, cfg.Stream(env.Log), part, touched); err != nil {
		return nil, gone(err, touched)
	}
	for order := range touched.Orders {
		if within(numbers, order) {
			orders = append(orders, order)
		}
	}
	return r.above(orders), nil
}

func (r Replay) above(orders []int64) (above []int64) {
	for _, order := range orders {
		if order > r.After {
			above = append(above, order)
		}
	}
	return above
}

// part reads --from and --to.
func (r Replay) part(clock *time.Location) (part stream.Range, err error) {
	if r.From != "" {
		if part.From, part.Since, err = bound("--from", r.From, clock); err != nil {
			return part, err
		}
	}
	if r.To != "" {
		if part.To, part.Until, err = bound("--to", r.To, clock); err != nil {
			return part, err
		}
		if _, notDay := time.Parse(time.DateOnly, r.To); notDay == nil {
			part.Until = part.Until.AddDate(0, 0, 1).Add(-time.Millisecond)
		}
	}
	return part, nil
}

// bound reads a record's number, or a time.
func bound(flag, text string, clock *time.Location) (place change.Place, at time.Time, err error) {
	generation, number, is := strings.Cut(text, "/")
	if !is {
		at, err = moment(flag, text, clock)
		if err != nil {
			err = cli.Usage("%s %q is neither a day (2026-12-01), a moment (2026-12-01T08:00:00+01:00) nor a record of the log (2/4711)", flag, text)
		}
		return place, at, err
	}
	var wrong [2]error
	place.Gen, wrong[0] = strconv.ParseInt(generation, 10, 64)
	place.Seq, wrong[1] = strconv.ParseInt(number, 10, 64)
	if wrong != [2]error{} || place.Gen < 1 || place.Seq < 1 {
		err = cli.Usage("%s %q is no record: write generation and number, as applier status and cdc position show them (2/4711)", flag, text)
	}
	return place, at, err
}

// read reads a part of the log, for the orders touched there.
func read(ctx context.Context, kafka stream.Config, part stream.Range, touched *intake.Touched) (*readLog, error) {
	done := &readLog{}
	show := progress(os.Stderr, "records of the log")
	err := stream.ReadRange(ctx, kafka, part, func(records []change.Record) error {
		first, last := &records[0], &records[len(records)-1]
		if done.Records == 0 {
			done.First, done.Since = fmt.Sprintf("%d/%d", first.Gen, first.Seq), time.UnixMilli(first.Time)
		}
		done.Last, done.Until = fmt.Sprintf("%d/%d", last.Gen, last.Seq), time.UnixMilli(last.Time)
		done.Records += int64(len(records))
		return touched.Add(records)
	}, func(read, all int64) {
		if show != nil {
			show(int(read), int(all))
		}
	})
	done.Orders = len(touched.Orders)
	return done, err
}

// gone says what to do where the log no longer holds what is asked for.
func gone(err error, touched *intake.Touched) error {
	lost, is := errors.AsType[*stream.GoneError](err)
	if !is || lost.First.Seq == 0 {
		return err
	}
	return fmt.Errorf("%w: replay from there on (--from %d/%d). Which orders were touched before, the log no longer tells; by number they can be derived from the mirror as it stands (--order 4000-4799), "+
		"and should the mirror lack something of theirs, `cdc snapshot %s` has the shop's rows read again (of one table a range of keys: --from, --to)", err, lost.First.Gen, lost.First.Seq, strings.Join(touched.Tables(), " "))
}

// trusted refuses to write into an ERP that is known, or seen, to be an older one than it was.
func trusted(ctx context.Context, cfg config.Config, env *cli.Env, conn *pgx.Conn) error {
	var at change.Stand
	err := postgres.InTransaction(ctx, conn, func(tx pgx.Tx) (err error) {
		at, err = postgres.ReadPlace(ctx, tx, intakeStream, cfg.Shop.Name)
		return err
	})
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, cli.Patience)
	defer cancel()
	told, err := stream.CommittedOffset(waiting, cfg.Stream(env.Log), cfg.Group(intakeStream))
	if err != nil {
		return err
	}
	if behind(at, told) {
		return erpRestored(intakeStream, at, told)
	}
	return nil
}

// span is some numbers of orders, ends included.
type span struct{ from, to int64 }

// String writes it as it was typed.
func (s span) String() string {
	if s.from == s.to {
		return strconv.FormatInt(s.from, 10)
	}
	return fmt.Sprintf("%d-%d", s.from, s.to)
}

// within tells whether a number is in one of them; in none at all is everywhere.
func within(spans []span, number int64) bool {
	for _, s := range spans {
		if number >= s.from && number <= s.to {
			return true
		}
	}
	return len(spans) == 0
}

// orderNumbers reads numbers and spans of numbers.
func orderNumbers(texts []string) (spans []span, err error) {
	for _, text := range texts {
		from, to, ranged := strings.Cut(text, "-")
		if !ranged {
			to = from
		}
		var s span
		var wrong [2]error
		s.from, wrong[0] = strconv.ParseInt(from, 10, 64)
		s.to, wrong[1] = strconv.ParseInt(to, 10, 64)
		if wrong != [2]error{} || s.from < 1 || s.to < s.from {
			return nil, cli.Usage("--order %q is no order number, nor a range of them (4711-4799)", text)
		}
		spans = append(spans, s)
	}
	return spans, nil
}

func (d replayed) print(out io.Writer) error {
	if l := d.Log; l != nil {
		switch l.Records {
		case 0:
			fmt.Fprintln(out, "The log has no record in this range.")
		default:
			printable.Printf(out, "%d records of the log, %s to %s, committed from %s to %s: they touch %d orders.\n", l.Records, l.First, l.Last,
				l.Since.Local().Format(time.DateTime), l.Until.Local().Format(time.DateTime), l.Orders)
		}
	}
	if d.Rebuilt != nil {
		d.printRebuilt(out)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, f := range d.Found {
		if i == 0 {
			fmt.Fprintln(table, "ORDER\tOUTCOME\tWHAT\tIN THE ERP\tDERIVED")
		}
		if len(f.Differences) == 0 || f.What != "" {
			printable.Printf(table, "%d\t%s\t%s\t\t\n", f.Order, f.Outcome, strings.TrimSpace(f.Reason+" "+f.What))
		}
		for _, w := range f.Differences {
			printable.Printf(table, "%d\t%s\t%s\t%s\t%s\n", f.Order, f.Outcome, w.Field, word(w.ERP), word(w.Derived))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	printable.Printf(out, "%d orders of shop %s derived again: %d are in the ERP as they are derived, or are to have nothing there\n", d.Orders, d.Shop, d.Same)
	for _, k := range intake.ReplayKinds {
		if n := d.Outcomes[k.Outcome]; n > 0 {
			printable.Printf(out, "%8d %s: %s\n", n, k.Outcome, yes(d.DryRun, k.Would, k.Has))
		}
	}
	if d.DryRun {
		fmt.Fprintln(out, "Nothing was changed.")
	}
	return nil
}

func (d replayed) printRebuilt(out io.Writer) {
	b := d.Rebuilt
	printable.Printf(out, "%d records of the log, from %s on, give the second mirror; compared behind record %s.\n", b.Records, b.From, b.To)
	if len(b.Mirror) == 0 {
		fmt.Fprintln(out, "The live mirror is the same.")
	}
	for _, u := range b.Mirror {
		printable.Printf(out, "%s of the live mirror %s: %d rows missing, %d too many, %d that are not the same\n", u.Table, yes(b.Swapped, "was brought to it", "differs"), u.Missing, u.Extra, u.Other)
	}
}

// word is a side of a difference.
func word(text *string) string {
	if text == nil {
		return "-"
	}
	return strconv.Quote(*text)
}
