// Package applier holds the verbs of the program applier: it applies a source's log to the
// ERP, and shows a merchant what was taken over, what was parked, and why.
package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/keys"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// Verbs are the verbs of the applier.
type Verbs struct {
	Run       Run       `cmd:"" help:"Apply a log until a signal ends it."`
	Migrate   Migrate   `cmd:"" help:"Bring the ERP's database to this program's version. The applier does it at its start if it may."`
	Cross     Cross     `cmd:"" help:"Go on in a log that does not follow what was read (lost, shortened, begun again): by the full snapshot of its newest generation."`
	Status    Status    `cmd:"" help:"Show how far the applier is and what it has taken over."`
	Articles  Articles  `cmd:"" help:"Map what the shop sells to the ERP's articles."`
	Customers Customers `cmd:"" help:"List what is odd about customers: tax codes, VAT numbers, SDI codes and PEC that can't be right. Their orders were taken."`
	Golive    Golive    `cmd:"" help:"Take orders over from a date on."`
	Align     Align     `cmd:"" help:"Compare the shop's catalogue with the ERP's (prices, special prices, weight, sizes), and write the differences if asked to."`
	Verify    Verify    `cmd:"" help:"Compare shop and ERP, order by order and to the cent, by other code than brings them there, while both go on."`
	Reconcile Reconcile `cmd:"" help:"Hold what the shop's stock shows against its accounts, and repair what differs. The applier of the ledger does it every 15 minutes."`
	Parked    Parked    `cmd:"" help:"Show orders that could not be taken over, retry them, decide about them."`
	Replay    Replay    `cmd:"" help:"Derive orders again that were touched in a part of the log, show what differs in the ERP, and bring it there."`
	Recover   Recover   `cmd:"" help:"Let streams go on that stopped because the shop's or the ERP's database was restored from a backup."`
	Pause     Pause     `cmd:"" help:"Apply nothing until it is resumed; shows for how long the log waits."`
	Resume    Resume    `cmd:"" help:"Let a paused applier go on."`
	Trace     Trace     `cmd:"" help:"Tell the story of one order, from the shop's commit to the mail: each step with its time, its place in the log, its transaction; and why what is missing has not happened."`
	Erase     Erase     `cmd:"" help:"Take a customer off what Spola and the ERP keep, once the shop has erased him. Documents stay, as the law wants it."`
	Audit     Audit     `cmd:"" help:"List what people have decided, when and why."`
	Mail      Mail      `cmd:"" help:"Show, preview and send again what customers are mailed."`
	Document  Document  `cmd:"" help:"Show, print and export what the ERP has issued: delivery notes, invoices, credit notes, the register of takings."`
}

// Intake takes the shop's orders into the ERP until ctx ends.
func Intake(ctx context.Context, cfg config.Config, o Options) error {
	in, err := shopIntake(cfg)
	if err != nil {
		return err
	}
	log := o.Log.With().Str("component", "applier").Str("log", cfg.Topic()).Logger()
	if err := prepare(ctx, cfg, log); err != nil {
		return err
	}
	target := postgres.NewTarget(cfg.ERP.URL(), intakeStream, cfg.Shop.Name, cli.Owner())
	return noted(ctx, cfg, log, follow(ctx, cfg, cfg.Stream(log), intakeStream, target, intake.NewEffect(in, nil), witnessed(cfg, cfg.Stream(log), intakeStream, erpRestored), o))
}

// prepare migrates the ERP's database, and waits for one that is away until ctx ends.
func prepare(ctx context.Context, cfg config.Config, log zerolog.Logger) error {
	pause := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0), backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(2*time.Second))
	migrate := func() error {
		err := MigrateDatabase(ctx, cfg)
		if err != nil && !postgres.Retryable(err) {
			return backoff.Permanent(err)
		}
		return err
	}
	return backoff.RetryNotify(migrate, backoff.WithContext(pause, ctx), func(err error, wait time.Duration) {
		log.Warn().Err(err).Dur("wait", wait).Msg("the ERP's database is away: trying again")
	})
}

// CheckShopFile refuses a shop file with which no applier would start.
func CheckShopFile(cfg config.Config) error {
	_, err := shopIntake(cfg)
	return err
}

// shopFile reads the shop file.
func shopFile(cfg config.Config) (*intake.ShopFile, error) {
	if err := unanswered(cfg.Shop.File); err != nil {
		return nil, err
	}
	file, err := intake.LoadShopFile(cfg.Shop.File)
	if err != nil {
		return nil, inShopFile(cfg.Shop.File, err)
	}
	return file, nil
}

func shopIntake(cfg config.Config) (*intake.Intake, error) {
	file, err := shopFile(cfg)
	if err != nil {
		return nil, err
	}
	profile, platform, err := schemas.Platform(cfg.Shop.Platform)
	if err != nil {
		return nil, err
	}
	return intake.New(cfg.Shop.Name, cfg.Shop.Prefix, file, profile, platform)
}

// inShopFile names the line of each mistake where it is known.
func inShopFile(path string, err error) error {
	const mend = "deploy/shop.opencart.example.yaml explains each key"
	if cause := errors.Unwrap(err); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return &config.Error{File: path, What: "can't be read: " + errors.Unwrap(cause).Error(), Mend: "shop.file in the configuration names it; spola init writes one"}
	} else if joined, ok := cause.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range joined.Unwrap() {
			e := &config.Error{File: path, What: one.Error(), Mend: mend}
			if m, ok := errors.AsType[*keys.Mistake](one); ok {
				e.Line, e.What = m.Line, m.What
				if m.Near != "" {
					e.Mend = "did you mean " + m.Near + "?"
				}
			}
			all = append(all, e)
		}
		return errors.Join(all...)
	}
	return &config.Error{File: path, What: err.Error(), Mend: mend}
}

// unanswered names each line of a shop file that is still to be filled in.
func unanswered(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil //nolint:nilerr // who loads the file tells
	}
	open, err := intake.OpenQuestions(text)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	var errs []error
	for _, q := range open {
		errs = append(errs, &config.Error{File: path, Line: q.Line, What: "is still to be filled in: " + q.Text, Mend: `put your answer in place of the "?"`})
	}
	return errors.Join(errs...)
}

// Migrate is `applier migrate`.
type Migrate struct {
	DryRun bool   `help:"Tell which versions the database has and would have, and change nothing."`
	User   string `help:"Do it as this user of the ERP's database, by the password in SPOLA_ERP_PASSWORD, in place of the applier's own." placeholder:"NAME"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// migrated is what `applier migrate` ends with: versions of the database, by schema.
type migrated struct {
	Versions map[string]int64 `json:"versions"` // 0: an ERP of one's own, or nothing was made yet
	Newest   map[string]int64 `json:"newest"`   // those of this program
}

// Run migrates the bridge's own tables and the reference ERP.
func (m Migrate) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config, config.NeedERP)
	if err != nil {
		return err
	}
	if m.User != "" {
		cfg.ERP = cfg.ERP.As(m.User)
	}
	if !m.DryRun {
		if err := MigrateDatabase(env.Ctx, cfg); err != nil {
			return err
		}
	}
	if m.JSON || m.DryRun {
		found, err := versions(env.Ctx, cfg)
		if err != nil {
			return err
		}
		if m.JSON {
			return json.NewEncoder(env.Out).Encode(found)
		}
		for _, schema := range slices.Sorted(maps.Keys(found.Versions)) {
			printable.Printf(env.Out, "schema %-6s is at version %d, this program's is %d\n", schema, found.Versions[schema], found.Newest[schema])
		}
		fmt.Fprintln(env.Out, "Nothing was changed.")
		return nil
	}
	fmt.Fprintln(env.Out, "The ERP's database is at this program's version.")
	return nil
}
