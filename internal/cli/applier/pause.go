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
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/source/postgres"
	shopside "github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/internal/writeback"
)

// Pause is `applier pause`.
type Pause struct {
	Stream string `arg:"" optional:"" default:"intake" enum:"intake,ledger,stock,orders,mail" help:"What to pause."`
	Reason string `help:"Why; it stands with your name in the list of decisions (applier audit)."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// waits is for how long a pause may last.
type waits struct {
	Since       time.Time `json:"since"`
	Until       time.Time `json:"until"` // the log keeps what is not applied
	LogHours    float64   `json:"log_hours"`
	BinlogHours *float64  `json:"binlog_hours"` // of the shop's log, if cdc stood still too; nil: not known, or not the shop's; 0: for ever
	WALHours    *float64  `json:"wal_hours"`    // of the ERP's log, likewise, as the server has written on average
	WALBytes    *int64    `json:"wal_bytes"`    // that the server may write until then; -1: no bound but its disk's
}

// Run pauses, and says for how long what waits is kept.
func (p Pause) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config, needsOf(p.Stream)...)
	if err != nil {
		return err
	}
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		by := intake.By{Who: cli.Person(), Reason: p.Reason}
		since, reached, err := pause(env, cfg, conn, p.Stream, by)
		if err != nil {
			return err
		}
		if reached.Year() < 2000 {
			reached = since // nothing was applied yet: what waits is in the log since now at the earliest
		}
		until := reached.Add(cfg.Kafka.Retention)
		w := waits{Since: since, Until: until, LogHours: time.Until(until).Hours()}
		if p.Stream == intakeStream {
			w.BinlogHours = binlogHours(env, cfg)
		} else {
			w.WALHours, w.WALBytes = walHours(env, cfg)
		}
		if p.JSON {
			return json.NewEncoder(env.Out).Encode(w)
		}
		p.tell(env, shop, w)
		return nil
	})
}

func (p Pause) tell(env *cli.Env, shop string, w waits) {
	what := "Orders wait"
	if p.Stream != intakeStream {
		what = "What changes in the ERP waits"
	}
	printable.Printf(env.Out, "%s of shop %s is paused since %s. %s in the log, for cdc reads on.\n", p.Stream, shop, w.Since.Local().Format(time.DateTime), what)
	printable.Printf(env.Out, "The log keeps it for %.1f hours from now, until %s: applier resume%s before then.\n", w.LogHours, w.Until.Local().Format(time.DateTime),
		yes(p.Stream == intakeStream, "", " "+p.Stream))
	if p.Stream != intakeStream {
		w.tellWAL(env)
		return
	}
	switch {
	case w.BinlogHours == nil:
		fmt.Fprintln(env.Out, "How long the shop keeps its binary log, should cdc stand still too, could not be asked from here: cdc preflight says it.")
	case *w.BinlogHours == 0:
		fmt.Fprintln(env.Out, "Should cdc stand still too: the shop keeps its binary log until somebody purges it.")
	default:
		printable.Printf(env.Out, "Should cdc stand still too: the shop keeps its binary log for %.1f hours.\n", *w.BinlogHours)
	}
}

func (w waits) tellWAL(env *cli.Env) {
	switch {
	case w.WALBytes == nil:
		fmt.Fprintln(env.Out, "How long the ERP's server keeps its write-ahead log, should cdc stand still too, could not be asked from here: cdc preflight erp says it.")
	case *w.WALBytes < 0:
		fmt.Fprintln(env.Out, "Should cdc stand still too: the ERP's server keeps its write-ahead log until its disk is full, for max_slot_wal_keep_size is not set.")
	case *w.WALHours == 0:
		printable.Printf(env.Out, "Should cdc stand still too: the ERP's server keeps its write-ahead log for %d MB more of changes.\n", *w.WALBytes>>20)
	default:
		printable.Printf(env.Out, "Should cdc stand still too: the ERP's server keeps its write-ahead log for %d MB more of changes, about %.1f hours as it has written so far.\n", *w.WALBytes>>20, *w.WALHours)
	}
}

// standsInERP tells whether the stream's place is in the ERP's database; else it is in the shop's.
func standsInERP(stream string) bool {
	return stream == intakeStream || stream == ledgerStream || stream == mailStream
}

// needsOf are the passwords that who pauses a stream needs, beside the ERP's.
func needsOf(stream string) []config.Need {
	if standsInERP(stream) {
		return nil
	}
	return []config.Need{config.NeedShopWrite, config.NeedERPLog}
}

// pause pauses a stream where its place stands: that of one that writes into the shop is there.
func pause(env *cli.Env, cfg config.Config, conn *pgx.Conn, stream string, by intake.By) (since, reached time.Time, err error) {
	if standsInERP(stream) {
		return intake.Pause(env.Ctx, conn, cfg.Shop.Name, stream, by)
	}
	if err := CheckWriter(cfg, env.Config); err != nil {
		return since, reached, err
	}
	s, err := shopside.Pause(env.Ctx, cfg.Shop.WriteURL(), stream, writeback.Log, by.Who)
	if err != nil {
		return since, reached, err
	}
	return *s.Paused, time.UnixMilli(s.Time), intake.Note(env.Ctx, conn, by, cfg.Shop.Name, "pause", stream, nil)
}

// resume is its opposite.
func resume(env *cli.Env, cfg config.Config, conn *pgx.Conn, stream string, by intake.By) (was bool, err error) {
	if standsInERP(stream) {
		return intake.Resume(env.Ctx, conn, cfg.Shop.Name, stream, by)
	}
	if err := CheckWriter(cfg, env.Config); err != nil {
		return false, err
	}
	was, err = shopside.Resume(env.Ctx, cfg.Shop.WriteURL(), stream, writeback.Log)
	if err != nil || !was {
		return was, err
	}
	return was, intake.Note(env.Ctx, conn, by, cfg.Shop.Name, "resume", stream, nil)
}

// binlogHours asks the shop; nil if it can't be asked.
func binlogHours(env *cli.Env, cfg config.Config) *float64 {
	source, err := cdc.Source(cfg, env.Log)
	if err != nil {
		return nil
	}
	db, err := mysql.Open(source)
	if err != nil {
		env.Log.Debug().Err(err).Msg("the shop was not asked how long it keeps its binary log")
		return nil
	}
	defer func() { _ = db.Close() }() // it has only asked
	kept, err := mysql.BinlogKept(env.Ctx, db)
	if err != nil {
		env.Log.Debug().Err(err).Msg("the shop was not asked how long it keeps its binary log")
		return nil
	}
	hours := kept.Hours()
	return &hours
}

// walHours asks the ERP's server; nil if it can't be asked, or nobody reads it.
func walHours(env *cli.Env, cfg config.Config) (hours *float64, bytes *int64) {
	source, err := cdc.ERPSource(cfg, env.Config, env.Log)
	if err != nil {
		return nil, nil
	}
	kept, err := postgres.WALKept(env.Ctx, source)
	if err != nil {
		env.Log.Debug().Err(err).Msg("the ERP's server was not asked how long it keeps its write-ahead log")
		return nil, nil
	}
	h := kept.For.Hours()
	return &h, &kept.Bytes
}

// Resume is `applier resume`.
type Resume struct {
	Stream string `arg:"" optional:"" default:"intake" enum:"intake,ledger,stock,orders,mail" help:"What to resume."`
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
	cfg, err := config.Load(env.Config, needsOf(r.Stream)...)
	if err != nil {
		return err
	}
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		was, err := resume(env, cfg, conn, r.Stream, intake.By{Who: cli.Person(), Reason: r.Reason})
		if err != nil {
			return err
		}
		if r.JSON {
			return json.NewEncoder(env.Out).Encode(resumed{Shop: shop, Stream: r.Stream, Was: was})
		}
		printable.Printf(env.Out, "%s of shop %s %s.\n", r.Stream, shop, yes(was, "goes on within two seconds, if it runs", "was not paused"))
		return nil
	})
}
