package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/internal/writeback"
)

// witnessed opens a log, and refuses where what lag tools were told of a stream is ahead of its place: that was committed after
// the place, so the database of the place is an older one than it was. refused makes the error.
func witnessed(cfg config.Config, kafka stream.Config, name string, refused func(name string, from change.Stand, told int64) error) apply.Open {
	open := apply.Stream(kafka)
	return func(ctx context.Context, from change.Stand) (apply.Reader, error) {
		told, err := stream.CommittedOffset(ctx, kafka, cfg.Group(name))
		if err != nil {
			return nil, err
		}
		if behind(from, told) {
			return nil, refused(name, from, told)
		}
		if across(from) && told >= 0 { // of the log as it was
			if err := stream.CommitOffset(ctx, kafka, cfg.Group(name), -1); err != nil {
				return nil, err
			}
		}
		return open(ctx, from)
	}
}

// restoredPlace says how a place is behind its witness.
func restoredPlace(name string, from change.Stand, told int64) string {
	return fmt.Sprintf("%s stands there at record %d/%d, offset %d, and has been at offset %d", name, from.Gen, from.Seq, from.Offset, told)
}

// shopRestored is the error of a stream whose place is in the shop.
func shopRestored(name string, from change.Stand, told int64) error {
	return &mysql.StopError{
		What: "the shop's database was restored: " + restoredPlace(name, from, told),
		Mend: "see that it is the right database; `cdc run --new-incarnation` has its orders read again; then `applier recover " + name + "`",
	}
}

// erpRestored is the error of a stream whose place is in the ERP's database.
func erpRestored(name string, from change.Stand, told int64) error {
	return postgres.Restored(restoredPlace(name, from, told))
}

// noted passes the error of a stream on, and keeps accounts and numbers of documents as they are if it says that the ERP's database
// was restored. Where that fails the other streams find it out by themselves.
func noted(ctx context.Context, cfg config.Config, log zerolog.Logger, err error) error {
	if !errors.Is(err, postgres.ErrRestored) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	conn, failed := postgres.Connect(ctx, cfg.ERP.URL(), "spola recover "+cfg.Shop.Name)
	if failed == nil {
		failed = errors.Join(postgres.NoteRestored(ctx, conn, err.Error()), conn.Close(ctx))
	}
	if failed != nil {
		log.Warn().Err(failed).Msg("could not hold accounts of stock and numbers of documents")
	}
	return err
}

// behind tells whether a place is behind its witness.
func behind(at change.Stand, told int64) bool { return at.Offset < told && !across(at) }

// across tells whether a place is in a log that does not follow what was read before: a crossing leaves the offset open.
func across(at change.Stand) bool { return at.Offset < 0 && at.Gen > 0 }

// Recover is `applier recover`.
type Recover struct {
	Stream string `arg:"" enum:"stock,orders,erp" help:"What has stopped: stock or orders, since the shop's database was restored; erp: everything, since the ERP's was, or since its log has begun another life."`
	DryRun bool   `help:"Only tell what it would do."`
	Reason string `help:"Why; it stands with your name in the list of decisions (applier audit)."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// recovered is what `applier recover` found and did.
type recovered struct {
	Restored  bool  `json:"restored"`  // the shop's place is behind its witness
	Recovered bool  `json:"recovered"` // and it goes on from there now
	Offset    int64 `json:"offset"`    // in the log, where the shop stands
	Told      int64 `json:"told"`      // where lag tools were told that it stood
	Drifting  int64 `json:"drifting"`  // rows of the restored shop's stock that showed other pieces than their accounts say

	Rows []stock.Finding `json:"rows,omitempty"` // the first of them

	ERP *restoredERP `json:"erp,omitempty"` // of the ERP's database
}

// Run takes the witness back to where the restored shop stands, so that the log is read again from there.
// Both streams write only what the shop does not have yet: its marker was restored with its rows.
func (r Recover) Run(env *cli.Env) error {
	if r.Stream == ofERP {
		return r.erp(env)
	}
	cfg, err := config.Load(env.Config, config.NeedShopWrite, config.NeedKafka)
	if err != nil {
		return err
	}
	if err := CheckWriter(cfg, env.Config); err != nil {
		return err
	}
	at, err := mysql.Look(env.Ctx, cfg.Shop.WriteURL(), r.Stream, writeback.Log)
	if err != nil {
		return err
	}
	kafka := cfg.ERPStream(env.Log)
	told, err := stream.CommittedOffset(env.Ctx, kafka, cfg.Group(r.Stream))
	if err != nil {
		return err
	}
	done := recovered{Offset: at.Offset, Told: told, Restored: behind(at.Stand, told)}
	if done.Restored {
		err := withERP(env, func(cfg config.Config, conn *pgx.Conn) error { return r.shop(env, cfg, conn, at.Stand, &done) })
		if err != nil {
			return err
		}
	}
	if r.JSON {
		return json.NewEncoder(env.Out).Encode(done)
	}
	done.printRows(env.Out)
	switch {
	case !done.Restored:
		printable.Printf(env.Out, "Nothing to recover: %s stands in the shop at offset %d, and was never further.\n", r.Stream, at.Offset)
	default:
		printable.Printf(env.Out, "The shop was restored: %s stands there at offset %d, moved %s, and has been at %d.\n", r.Stream, at.Offset, at.Moved.Local().Format(time.DateTime), told)
		printable.Printf(env.Out, "%s\n", yes(done.Recovered, "`applier run "+r.Stream+"` reads again from there, and writes what the restored shop lacks.", "Nothing was changed."))
	}
	return nil
}

// namedRows is how many rows of stock are named.
const namedRows = 20

// printRows tells what rows of stock showed beyond their accounts.
func (d recovered) printRows(w io.Writer) {
	if d.Drifting == 0 {
		return
	}
	printable.Printf(w, "%d rows of its stock showed other pieces than their accounts say, with what orders have taken that it has lost: %s.\n", d.Drifting, yes(d.Recovered, "they are repaired", "they would be repaired first"))
	for _, f := range d.Rows[:min(len(d.Rows), namedRows)] {
		printable.Printf(w, "%+8d pieces in %s, %s\n", f.Pieces, f.SKU, f.StockRow)
	}
	if more := d.Drifting - int64(min(len(d.Rows), namedRows)); more > 0 {
		printable.Printf(w, "%8s and %d more rows\n", "", more)
	}
}

// shop lets a stream go on in a restored shop: once its orders stand in the mirror as it has them, and have settled. at is its place there.
func (r Recover) shop(env *cli.Env, cfg config.Config, conn *pgx.Conn, at change.Stand, done *recovered) error {
	if err := shopReadAgain(env.Ctx, cfg, conn, r.Stream, at); err != nil {
		return err
	}
	kept, err := keepsAccounts(env.Ctx, conn, cfg.Shop.Name)
	if err != nil {
		return err
	}
	env.Log.Info().Msg("waiting until the restored shop's orders have settled, and its stock: some seconds in a busy shop, minutes in a quiet one")
	if r.Stream == stockStream && kept {
		found, err := restoredStock(env.Ctx, env, cfg, conn, r.DryRun)
		if err != nil {
			return err
		}
		done.Drifting, done.Rows = found.rows, found.some
	} else if err := ordersSettled(env.Ctx, conn, cfg.Shop.Name); err != nil {
		return err
	}
	if r.DryRun {
		return nil
	}
	if err := intake.Note(env.Ctx, conn, intake.By{Who: cli.Person(), Reason: r.Reason}, cfg.Shop.Name, "recover", r.Stream, nil); err != nil {
		return err
	}
	done.Recovered = true
	if r.Stream == stockStream && kept {
		return nil // its place has passed over what was told
	}
	return stream.CommitOffset(env.Ctx, cfg.ERPStream(env.Log), cfg.Group(r.Stream), done.Offset)
}

// keepsAccounts tells whether a shop's stock has accounts.
func keepsAccounts(ctx context.Context, conn *pgx.Conn, shop string) (kept bool, err error) {
	if err = conn.QueryRow(ctx, "select exists (select from spola.stock_account a where a.shop = $1 and a.article_id is not null)", shop).Scan(&kept); err != nil {
		return false, fmt.Errorf("look for the accounts of stock: %w", err)
	}
	return kept, nil
}
