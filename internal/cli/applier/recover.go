package applier

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/internal/writeback"
)

// witnessed opens a log for a stream that writes into the shop, and refuses where what lag tools were told is ahead
// of its place: that was committed after the place, so the shop's database is an older one than it was.
func witnessed(cfg config.Config, kafka stream.Config, name string) apply.Open {
	open := apply.Stream(kafka)
	return func(ctx context.Context, from change.Stand) (apply.Reader, error) {
		told, err := stream.CommittedOffset(ctx, kafka, group(cfg, name))
		if err != nil {
			return nil, err
		}
		if behind(from, told) {
			return nil, &mysql.StopError{
				What: fmt.Sprintf("the shop's database was restored: %s stands there at record %d/%d, offset %d, and has been at offset %d", name, from.Gen, from.Seq, from.Offset, told),
				Mend: "see that it is the right database; `cdc run --new-incarnation` has its orders read again; then `applier recover " + name + "`",
			}
		}
		return open(ctx, from)
	}
}

// behind tells whether a place is behind its witness. A crossing leaves the offset open.
func behind(at change.Stand, told int64) bool {
	return at.Offset < told && (at.Offset >= 0 || at.Seq == 0)
}

// Recover is `applier recover`.
type Recover struct {
	Stream string `arg:"" enum:"stock,orders" help:"What has stopped."`
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
}

// Run takes the witness back to where the restored shop stands, so that the log is read again from there.
// Both streams write only what the shop does not have yet: its marker was restored with its rows.
func (r Recover) Run(env *cli.Env) error {
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
	told, err := stream.CommittedOffset(env.Ctx, kafka, group(cfg, r.Stream))
	if err != nil {
		return err
	}
	done := recovered{Offset: at.Offset, Told: told, Restored: behind(at.Stand, told)}
	if done.Restored && !r.DryRun {
		err := withShop(env, func(conn *pgx.Conn, shop string) error {
			return intake.Note(env.Ctx, conn, intake.By{Who: cli.Person(), Reason: r.Reason}, shop, "recover", r.Stream, nil)
		})
		if err == nil {
			err = stream.CommitOffset(env.Ctx, kafka, group(cfg, r.Stream), at.Offset)
		}
		if err != nil {
			return err
		}
		done.Recovered = true
	}
	if r.JSON {
		return json.NewEncoder(env.Out).Encode(done)
	}
	switch {
	case !done.Restored:
		printable.Printf(env.Out, "Nothing to recover: %s stands in the shop at offset %d, and was never further.\n", r.Stream, at.Offset)
	default:
		printable.Printf(env.Out, "The shop was restored: %s stands there at offset %d, moved %s, and has been at %d.\n", r.Stream, at.Offset, at.Moved.Local().Format(time.DateTime), told)
		printable.Printf(env.Out, "%s\n", yes(done.Recovered, "`applier run "+r.Stream+"` reads again from there, and writes what the restored shop lacks.", "Nothing was changed."))
	}
	return nil
}
