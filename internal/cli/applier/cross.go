package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Cross is `applier cross`.
type Cross struct {
	DryRun bool   `help:"Only tell what it would do."`
	Reason string `help:"Why; it stands with your name in the list of decisions (applier audit)."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// crossed is what `applier cross` did or would do.
type crossed struct {
	Needed     bool   `json:"needed"`     // the log can't be followed from where the applier stands
	Crossed    bool   `json:"crossed"`    // and it goes on in the newest generation now
	Generation int64  `json:"generation"` // where the applier stood
	Seq        int64  `json:"seq"`
	Why        string `json:"why,omitempty"` // it can't follow
	To         int64  `json:"to,omitempty"`  // the newest generation
	Owner      string `json:"owner,omitempty"`
}

// Run takes the applier to the beginning of the log's newest generation. A person has to ask for
// it: on the wrong topic the snapshot would take the shop's rows away.
func (c Cross) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config)
	if err != nil {
		return err
	}
	at, err := standing(env.Ctx, cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(env.Ctx, cli.Patience)
	defer cancel()
	crossing, err := stream.FindCrossing(ctx, cfg.Stream(env.Log), stream.Position{Place: at.Place, Offset: at.Offset})
	if err != nil {
		return err
	}
	done := crossed{Generation: at.Gen, Seq: at.Seq}
	if crossing != nil {
		done = crossed{Needed: true, Crossed: !c.DryRun, Generation: at.Gen, Seq: at.Seq, Why: crossing.Why.Error(), To: crossing.Place.Gen, Owner: crossing.Claim.Owner}
	}
	if done.Crossed {
		if err := cross(env.Ctx, cfg, at, crossing.Place, intake.By{Who: cli.Person(), Reason: c.Reason}); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(env.Out).Encode(done)
	}
	done.print(env.Out)
	return nil
}

func (d crossed) print(w io.Writer) {
	if !d.Needed {
		printable.Printf(w, "Nothing to cross: the log can be followed from record %d/%d, where the applier stands. `applier run` goes on.\n", d.Generation, d.Seq)
		return
	}
	printable.Printf(w, "The applier stands at %d/%d and can't follow the log: %s\n", d.Generation, d.Seq, d.Why)
	printable.Printf(w, "Generation %d, its newest, was begun by %s with a full snapshot.\n", d.To, d.Owner)
	if !d.Crossed {
		fmt.Fprintln(w, "Nothing was changed.")
		return
	}
	fmt.Fprintln(w, "`applier run` goes on from its first record. Orders follow when the snapshot has gone through all tables.")
}

// standing reads where the applier stands and leaves a running one alone.
func standing(ctx context.Context, cfg config.Config) (at change.Stand, err error) {
	conn, err := postgres.Connect(ctx, cfg.ERP.URL(), "spola applier cross")
	if err != nil {
		return at, err
	}
	err = postgres.InTransaction(ctx, conn, func(tx pgx.Tx) (err error) {
		at, err = postgres.ReadPlace(ctx, tx, intakeStream, cfg.Shop.Name)
		return err
	})
	return at, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

// cross moves the place and has everything derived again behind the snapshot, in one transaction.
// An applier that runs meanwhile is fenced.
func cross(ctx context.Context, cfg config.Config, from change.Stand, to change.Place, by intake.By) error {
	target := postgres.NewTarget(cfg.ERP.URL(), intakeStream, cfg.Shop.Name, cli.Owner())
	defer target.Close()
	now, err := target.Open(ctx, func(pgx.Tx) error { return nil })
	if err != nil {
		return err
	}
	if now != from {
		return fmt.Errorf("cross into generation %d: the applier moved on to %d/%d meanwhile: stop it, and ask again", to.Gen, now.Gen, now.Seq)
	}
	tx, err := target.Begin(ctx)
	if err != nil {
		return err
	}
	if err := target.Move(ctx, tx, from, change.Stand{Place: to, Applied: from.Applied, Offset: -1, Time: from.Time}); err != nil {
		return err
	}
	if err := intake.Anew(ctx, tx, cfg.Shop.Name, to.Gen, by); err != nil {
		return err
	}
	return target.Commit(ctx, tx)
}
