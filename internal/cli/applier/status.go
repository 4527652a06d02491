package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/mail"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/writeback"
)

// Status is `applier status`.
type Status struct {
	JSON bool `help:"Print JSON." name:"json"`
}

// lag is how far the applier is behind the end of the log.
type lag struct {
	Events  int64   `json:"events"`  // records that are not applied yet
	Seconds float64 `json:"seconds"` // since the shop committed the oldest of them
}

// status is what `applier status` tells.
type status struct {
	intake.Overview
	Unread unread         `json:"unread"` // what has been committed and not been read
	Lag    lag            `json:"lag"`
	Stock  stock.Accounts `json:"stock"`
	Ledger *lag           `json:"ledger"` // of what keeps the accounts of stock; null: it has never run
	Back   []back         `json:"back"`   // what brings the ERP's changes into the shop
	Mail   mails          `json:"mail"`
}

// mails is how far the mailer is.
type mails struct {
	mail.Counts
	Begun bool `json:"begun"` // it has run at least once
	Lag   lag  `json:"lag"`
}

// back is how far a stream of the way back is.
type back struct {
	writeback.Standing
	Lag lag `json:"lag"`
}

// Run shows how far the applier is and what became of the orders, whether or not it runs.
func (s Status) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config, config.NeedERP)
	if err != nil {
		return err
	}
	var o intake.Overview
	var accounts stock.Accounts
	var ways []writeback.Standing
	var posted mails
	var mailed, kept int64
	var keeps bool
	var behind unread
	err = withShop(env, func(conn *pgx.Conn, shop string) error {
		if o, err = intake.Look(env.Ctx, conn, shop); err != nil {
			return err
		}
		if accounts, err = stock.Look(env.Ctx, conn, shop, intake.Schema(shop)); err != nil {
			return err
		}
		if ways, err = writeback.Standings(env.Ctx, conn, shop); err != nil {
			return err
		}
		if posted, mailed, err = mailStanding(env.Ctx, conn, shop); err != nil {
			return err
		}
		if kept, keeps, err = offsetOf(env.Ctx, conn, shop, "ledger"); err != nil {
			return err
		}
		behind, err = lookForUnread(env.Ctx, env, cfg, conn)
		return err
	})
	if err != nil {
		return err
	}
	if !s.JSON {
		printOverview(env.Out, o)
	}
	told := status{Overview: o, Unread: behind, Stock: accounts, Back: []back{}}
	if told.Lag, err = measure(env, cfg.Stream(env.Log), o.Offset); err != nil {
		return err
	}
	if keeps {
		of, err := measure(env, cfg.ERPStream(env.Log), kept)
		if err != nil {
			return err
		}
		told.Ledger = &of
	}
	for _, way := range ways {
		behind, err := measure(env, cfg.ERPStream(env.Log), way.Offset)
		if err != nil {
			return err
		}
		told.Back = append(told.Back, back{way, behind})
	}
	if told.Mail = posted; posted.Begun {
		if told.Mail.Lag, err = measure(env, cfg.ERPStream(env.Log), mailed); err != nil {
			return err
		}
	}
	if s.JSON {
		return json.NewEncoder(env.Out).Encode(told)
	}
	told.print(env.Out)
	return nil
}

// print prints what printOverview has not.
func (told status) print(w io.Writer) {
	told.Unread.print(w)
	printable.Printf(w, "lag       %d records, %.1f s\n", told.Lag.Events, told.Lag.Seconds)
	if silent := time.Since(time.UnixMilli(told.RecordTime)); told.Lag.Events == 0 && told.RecordTime > 0 && silent > 3*time.Minute {
		printable.Printf(w, "          Nothing has come from the shop for %s, though cdc writes a tick every minute: see whether it runs (cdc run, or spola run).\n", silent.Round(time.Second))
	}
	printAccounts(w, told.Stock)
	if told.Ledger != nil {
		printable.Printf(w, "ledger    lag %d records, %.1f s\n", told.Ledger.Events, told.Ledger.Seconds)
	}
	for _, b := range told.Back {
		printBack(w, b)
	}
	printMails(w, told.Mail)
}

// mailStanding is what became of mails, and how far the mailer is in the ERP's log.
func mailStanding(ctx context.Context, conn *pgx.Conn, shop string) (m mails, offset int64, err error) {
	if offset, m.Begun, err = offsetOf(ctx, conn, shop, "mail"); err == nil && m.Begun {
		m.Counts, err = mail.Count(ctx, conn, shop)
	}
	return m, offset, err
}

// offsetOf is how far an applier of the ERP's log is that has its place in the ERP's database; false: it has never run.
func offsetOf(ctx context.Context, conn *pgx.Conn, shop, applier string) (offset int64, begun bool, err error) {
	err = conn.QueryRow(ctx, "select kafka_offset from spola.place where applier = $1 and source = $2", applier, shop).Scan(&offset)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read the place of %s: %w", applier, err)
	}
	return offset, true, nil
}

// printAccounts prints what the law says: what differs, and beside it what is only on its way.
func printAccounts(w io.Writer, a stock.Accounts) {
	if !a.Begun {
		return
	}
	pieces := func(n, rows int64) string { return fmt.Sprintf("%d pieces in %d rows", n, rows) }
	printable.Printf(w, "stock     %d rows have an account, %d of them drift; unpublished %s, undelivered %s\n", a.Rows, a.Drifting,
		pieces(a.Unpublished, a.UnpublishedRows), pieces(a.Undelivered, a.UndeliveredRows))
	if a.Restored != "" {
		printable.Printf(w, "          HELD: no account moves, and no document is given a number, until `applier recover erp`: %s\n", a.Restored)
	}
	if l := a.Last; l != nil {
		printable.Printf(w, "          Reconciled %s ago: %d rows drifted, %d repaired, %d left%s.\n", time.Since(l.Ended).Round(time.Second), l.Drifting, l.Repaired, l.Waiting,
			yes(l.Compared, "", "; the shop's own tables were not compared"))
		if l.Held != "" {
			printable.Printf(w, "          HELD: %s%s\n", l.Held, yes(strings.HasSuffix(l.Held, " at once"), ". If that is right: applier reconcile --allow REASON", "."))
		}
	}
	for _, x := range a.Without {
		printable.Printf(w, "%-8s %7d  rows have no account, %s: %s%s\n", "", x.Rows, withoutWords[x.Why], strings.Join(x.Examples, ", "), yes(x.Rows > int64(len(x.Examples)), " …", ""))
	}
	if u := a.Unsold; u.Articles > 0 {
		printable.Printf(w, "%-8s %7d  articles that the ERP stocks are no row of the shop's stock: %s%s\n", "", u.Articles, strings.Join(u.Examples, ", "), yes(u.Articles > int64(len(u.Examples)), " …", ""))
	}
}

// withoutWords say why a row of the shop's stock has no account, and what mends it.
var withoutWords = map[string]string{
	"unmapped":    "are no article (applier articles --missing)",
	"several":     "are several articles at once (applier articles --export)",
	"shared":      "share an article with another row (applier articles --export)",
	"untracked":   "keep no stock in the shop",
	"not_stocked": "keep no stock in the ERP",
	"left_out":    "are left out in the shop file",
}

func printMails(w io.Writer, m mails) {
	if !m.Begun {
		return
	}
	printable.Printf(w, "mail      %d sent, %d queued; lag %d records, %.1f s\n", m.Sent, m.Queued+m.Sending, m.Lag.Events, m.Lag.Seconds)
	if m.Unknown > 0 {
		printable.Printf(w, "%-8s %7d  nobody knows whether they arrived: applier mail list --state unknown, then resend or resolve\n", "unknown", m.Unknown)
	}
	if m.Failed > 0 {
		printable.Printf(w, "%-8s %7d  could not be sent: applier mail list --state failed\n", "failed", m.Failed)
	}
	if m.Trouble != "" {
		printable.Printf(w, "          Nothing can be sent since %s: %s\n", m.TroubleSince.Local().Format(time.DateTime), m.Trouble)
	}
}

func measure(env *cli.Env, log stream.Config, offset int64) (lag, error) {
	measured, err := stream.MeasureLag(env.Ctx, log, offset)
	return lag{Events: measured.Events, Seconds: measured.Age(time.Now()).Seconds()}, err
}

// printBack prints a stream of the way back, and what of it waits.
func printBack(w io.Writer, b back) {
	printable.Printf(w, "%-9s back into the shop: generation %d, record %d, moved %s ago; lag %d records, %.1f s\n", b.Stream, b.Generation, b.Seq,
		time.Since(b.Moved).Round(time.Second), b.Lag.Events, b.Lag.Seconds)
	if b.Paused != nil {
		printable.Printf(w, "          Paused by %s since %s: applier resume %s lets it go on.\n", b.PausedBy, b.Paused.Local().Format(time.DateTime), b.Stream)
	}
	for _, wait := range b.Waits {
		printable.Printf(w, "%-8s %7d  %s: %s%s\n%18sto mend: %s\n", "waits", wait.Count, wait.Why, strings.Join(wait.Examples, ", "),
			yes(wait.Count > int64(len(wait.Examples)), " …", ""), "", wait.Mend)
	}
}

func printOverview(w io.Writer, o intake.Overview) {
	cut := ""
	if o.Cut != nil {
		cut = ", orders from " + o.Cut.Format(time.DateTime) + " on"
	}
	printable.Printf(w, "shop      %s, mode %s%s, first snapshot %s\n", o.Shop, o.Mode, cut, yes(o.Snapshot, "complete", "not complete"))
	printable.Printf(w, "place     generation %d, record %d, moved %s ago\n", o.Generation, o.Seq, time.Since(o.Moved).Round(time.Millisecond))
	if o.Decided != nil {
		printable.Printf(w, "          Decided at %s, behind these figures: what follows from it comes within a minute.\n", o.Decided.Local().Format(time.TimeOnly))
	}
	if o.Paused != nil {
		printable.Printf(w, "          Paused by %s since %s: applier resume lets it go on.\n", o.PausedBy, o.Paused.Local().Format(time.DateTime))
	}
	if o.Mode == "observe" {
		fmt.Fprintln(w, "          Only observed: nothing is written to the ERP's orders. What follows is what would be.")
	}
	label := "orders"
	for _, k := range intake.OrderKinds {
		n := o.Orders[k.Kind]
		if n.Count == 0 {
			continue
		}
		printable.Printf(w, "%-8s %7d  %s%s\n", label, n.Count, yes(o.Mode == "observe", k.Observed, k.Live), examples(n))
		label = ""
	}
	if label != "" {
		fmt.Fprintln(w, "orders          none so far")
	}
	if o.Waiting > 0 {
		printable.Printf(w, "%-8s %7d  settle, or are to be derived again\n", "", o.Waiting)
	}
	label = "parked"
	for _, p := range o.Parked {
		printable.Printf(w, "%-8s %7d  %s: %s\n%18sorder %d: %s\n%18sto mend: %s\n", label, p.Count, p.Reason, p.Why, "", p.Examples[0], p.What[0], "", p.Mend)
		label = ""
	}
	label = "flagged"
	for _, f := range o.Flagged {
		printable.Printf(w, "%-8s %7d  customers' %s can't be right (%s%s): applier customers\n", label, f.Count, f.Field,
			strings.Join(f.Examples, ", "), yes(f.Count > int64(len(f.Examples)), " …", ""))
		label = ""
	}
}

// examples names the newest orders of a sample: " (4713, 4712, 4711 …)".
func examples(n intake.Sample) string {
	var words []string
	for _, id := range n.Examples {
		words = append(words, strconv.FormatInt(id, 10))
	}
	return fmt.Sprintf(" (%s%s)", strings.Join(words, ", "), yes(n.Count > int64(len(words)), " …", ""))
}

func yes(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
