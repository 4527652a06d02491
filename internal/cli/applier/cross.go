package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/stream"
	shopside "github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/internal/writeback"
)

// Cross is `applier cross`.
type Cross struct {
	Stream string `arg:"" optional:"" default:"intake" enum:"intake,ledger,stock,orders,mail" help:"Which applier goes on: intake in the shop's log, the others in the ERP's."`
	DryRun bool   `help:"Only tell what it would do."`
	Reason string `help:"Why; it stands with your name in the list of decisions (applier audit)."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// crossed is what `applier cross` did or would do.
type crossed struct {
	Stream     string `json:"stream"`
	Needed     bool   `json:"needed"`     // the log can't be followed from where the applier stands
	Crossed    bool   `json:"crossed"`    // and it goes on in the newest generation now
	Generation int64  `json:"generation"` // where the applier stood
	Seq        int64  `json:"seq"`
	Why        string `json:"why,omitempty"` // it can't follow
	To         int64  `json:"to,omitempty"`  // the newest generation
	Owner      string `json:"owner,omitempty"`
}

// Run takes the applier to the beginning of the log's newest generation. A person has to ask for
// it: on the wrong topic the snapshot would take the shop's rows away, or have the ERP's told again.
func (c Cross) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config, crossingNeeds(c.Stream)...)
	if err != nil {
		return err
	}
	log := cfg.Stream(env.Log)
	if c.Stream != intakeStream {
		log = cfg.ERPStream(env.Log)
	}
	if !standsInERP(c.Stream) {
		if err := CheckWriter(cfg, env.Config); err != nil {
			return err
		}
	}
	at, err := standing(env.Ctx, cfg, c.Stream)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(env.Ctx, cli.Patience)
	defer cancel()
	crossing, err := stream.FindCrossing(ctx, log, stream.Position{Place: at.Place, Offset: at.Offset})
	if err != nil {
		return mendOf(c.Stream, err)
	}
	done := crossed{Stream: c.Stream, Generation: at.Gen, Seq: at.Seq}
	if crossing != nil {
		done = crossed{Stream: c.Stream, Needed: true, Crossed: !c.DryRun, Generation: at.Gen, Seq: at.Seq, Why: mendOf(c.Stream, crossing.Why).Error(), To: crossing.Place.Gen, Owner: crossing.Claim.Owner}
	}
	if done.Crossed {
		if err := c.cross(env, cfg, at, crossing.Place); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(env.Out).Encode(done)
	}
	done.print(env.Out)
	return nil
}

// crossingNeeds are the passwords that a crossing needs: a place in the shop is moved there.
func crossingNeeds(stream string) []config.Need {
	if standsInERP(stream) {
		return nil
	}
	return []config.Need{config.NeedShopWrite}
}

func (d crossed) print(w io.Writer) {
	run := "applier run" + yes(d.Stream == intakeStream, "", " "+d.Stream)
	if !d.Needed {
		printable.Printf(w, "Nothing to cross: the log can be followed from record %d/%d, where the applier stands. `%s` goes on.\n", d.Generation, d.Seq, run)
		return
	}
	printable.Printf(w, "The applier stands at %d/%d and can't follow the log: %s\n", d.Generation, d.Seq, d.Why)
	printable.Printf(w, "Generation %d, its newest, was begun by %s with a full snapshot.\n", d.To, d.Owner)
	if !d.Crossed {
		fmt.Fprintln(w, "Nothing was changed.")
		return
	}
	printable.Printf(w, "`%s` goes on from its first record. %s\n", run,
		yes(d.Stream == intakeStream, "Orders follow when the snapshot has gone through all tables.", "What changed in between follows with the snapshot."))
}

// standing reads where the applier stands and leaves a running one alone.
func standing(ctx context.Context, cfg config.Config, name string) (at change.Stand, err error) {
	if !standsInERP(name) {
		s, err := shopside.Look(ctx, cfg.Shop.WriteURL(), name, writeback.Log)
		return s.Stand, err
	}
	conn, err := postgres.Connect(ctx, cfg.ERP.URL(), "spola applier cross")
	if err != nil {
		return at, err
	}
	err = postgres.InTransaction(ctx, conn, func(tx pgx.Tx) (err error) {
		at, err = postgres.ReadPlace(ctx, tx, name, cfg.Shop.Name)
		return err
	})
	return at, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

// cross moves the place. An applier that runs meanwhile is fenced.
//
// Intake has everything derived again behind the snapshot. The others need no more: the log tells them only where to look (of stock, what
// an account stands at), and the snapshot names all that there is.
func (c Cross) cross(env *cli.Env, cfg config.Config, from change.Stand, to change.Place) error {
	by := intake.By{Who: cli.Person(), Reason: c.Reason}
	if standsInERP(c.Stream) {
		target := postgres.NewTarget(cfg.ERP.URL(), c.Stream, cfg.Shop.Name, cli.Owner())
		return goAcross(env.Ctx, target, c.Stream, from, to, func(tx pgx.Tx) error {
			if c.Stream == intakeStream {
				return intake.Anew(env.Ctx, tx, cfg.Shop.Name, to.Gen, by)
			}
			return intake.NoteWith(env.Ctx, tx, by, cfg.Shop.Name, "cross", crossingOf(c.Stream, to), nil)
		})
	}
	return withERP(env, func(_ config.Config, conn *pgx.Conn) error {
		target := shopside.NewTarget(cfg.Shop.WriteURL(), c.Stream, writeback.Log, cli.Owner())
		if err := goAcross(env.Ctx, target, c.Stream, from, to, func(*shopside.Tx) error { return nil }); err != nil {
			return err
		}
		return intake.Note(env.Ctx, conn, by, cfg.Shop.Name, "cross", crossingOf(c.Stream, to), nil)
	})
}

func crossingOf(name string, to change.Place) string {
	return fmt.Sprintf("%s into generation %d", name, to.Gen)
}

// goAcross moves the place of an applier over what it can't read, in one transaction with what also does.
func goAcross[Tx any](ctx context.Context, target apply.Target[Tx], name string, from change.Stand, to change.Place, also func(Tx) error) error {
	defer target.Close()
	now, err := target.Open(ctx, func(Tx) error { return nil })
	if err != nil {
		return err
	}
	if now != from {
		return fmt.Errorf("cross into generation %d: %s moved on to %d/%d meanwhile: stop it, and ask again", to.Gen, name, now.Gen, now.Seq)
	}
	tx, err := target.Begin(ctx)
	if err != nil {
		return err
	}
	if err := target.Move(ctx, tx, from, change.Stand{Place: to, Applied: from.Applied, Offset: -1, Time: from.Time}); err != nil {
		return err
	}
	if err := also(tx); err != nil {
		return err
	}
	return target.Commit(ctx, tx)
}

// mended is an error of a log in the words of one stream.
type mended struct {
	error
	text string
}

// Error says what a person can do for this stream.
func (m mended) Error() string { return m.text }

// Unwrap is the error as the log has it.
func (m mended) Unwrap() error { return m.error }

// mendOf names the stream, and whose log it is, in what an error says that a person can do.
func mendOf(name string, err error) error {
	if name == intakeStream || !errors.Is(err, stream.ErrStopped) {
		return err
	}
	return mended{err, strings.NewReplacer("`applier cross`", "`applier cross "+name+"`", "`cdc run --new-generation`", "`cdc run erp --new-generation`").Replace(err.Error())}
}
