package applier

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/source/mysql"
)

// Pause is `applier pause`.
type Pause struct {
	Stream string `arg:"" optional:"" default:"intake" enum:"intake" help:"What to pause."`
	Reason string `help:"Why; it stands with your name in the list of decisions (applier audit)."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// waits is for how long a pause may last.
type waits struct {
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"` // the log keeps what is not applied
	LogHours    float64   `json:"log_hours"`
	BinlogHours *float64  `json:"binlog_hours"` // if cdc stood still too; nil: not known, 0: for ever
}

// Run pauses, and says for how long what waits is kept.
func (p Pause) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config)
	if err != nil {
		return err
	}
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		since, reached, err := intake.Pause(env.Ctx, conn, shop, p.Stream, intake.By{Who: cli.Person(), Reason: p.Reason})
		if err != nil {
			return err
		}
		if reached.Year() < 2000 {
			reached = since // nothing was applied yet: what waits is in the log since now at the earliest
		}
		until := reached.Add(cfg.Kafka.Retention)
		w := waits{Since: since, Until: until, LogHours: time.Until(until).Hours(), BinlogHours: binlogHours(env, cfg)}
		if p.JSON {
			return json.NewEncoder(env.Out).Encode(w)
		}
		fmt.Fprintf(env.Out, "%s of shop %s is paused since %s. Orders wait in the log, for cdc reads on.\n", p.Stream, shop, since.Local().Format(time.DateTime))
		fmt.Fprintf(env.Out, "The log keeps them for %.1f hours from now, until %s: applier resume before then.\n", w.LogHours, until.Local().Format(time.DateTime))
		switch {
		case w.BinlogHours == nil:
			fmt.Fprintln(env.Out, "How long the shop keeps its binary log, should cdc stand still too, could not be asked from here: cdc preflight says it.")
		case *w.BinlogHours == 0:
			fmt.Fprintln(env.Out, "Should cdc stand still too: the shop keeps its binary log until somebody purges it.")
		default:
			fmt.Fprintf(env.Out, "Should cdc stand still too: the shop keeps its binary log for %.1f hours.\n", *w.BinlogHours)
		}
		return nil
	})
}

// binlogHours asks the shop; nil if it can't be asked.
func binlogHours(env *cli.Env, cfg config.Config) *float64 {
	source, err := cdc.Source(cfg, env.Log)
	if err != nil {
		return nil
	}
	kept, err := mysql.BinlogKept(env.Ctx, source)
	if err != nil {
		env.Log.Debug().Err(err).Msg("the shop was not asked how long it keeps its binary log")
		return nil
	}
	hours := kept.Hours()
	return &hours
}

// Resume is `applier resume`.
type Resume struct {
	Stream string `arg:"" optional:"" default:"intake" enum:"intake" help:"What to resume."`
	Reason string `help:"Why; it stands with your name in the list of decisions (applier audit)."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// resumed is what `applier resume` did.
type resumed struct {
	Shop   string `json:"shop"`
	Stream string `json:"stream"`
	Was    bool   `json:"was_paused"`
}

// Run resumes.
func (r Resume) Run(env *cli.Env) error {
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		was, err := intake.Resume(env.Ctx, conn, shop, r.Stream, intake.By{Who: cli.Person(), Reason: r.Reason})
		if err != nil {
			return err
		}
		if r.JSON {
			return json.NewEncoder(env.Out).Encode(resumed{Shop: shop, Stream: r.Stream, Was: was})
		}
		fmt.Fprintf(env.Out, "%s of shop %s %s.\n", r.Stream, shop, yes(was, "goes on within two seconds, if it runs", "was not paused"))
		return nil
	})
}
