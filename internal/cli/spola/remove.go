package spola

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Remove is `spola remove`.
type Remove struct {
	DryRun bool   `help:"Only tell what would go and what stays."`
	Yes    bool   `help:"Do it."`
	Reason string `help:"Why; it stands with your name in the record of decisions, table spola.audit, which stays."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// removal is one thing that goes, or that an administrator has to take away.
type removal struct {
	Where string `json:"where"` // shop, erp
	intake.Removal
	Done   bool   `json:"done"`
	Failed string `json:"failed,omitempty"` // why it is left to an administrator

	do func(ctx context.Context) error
}

// removed is what the verb ends with.
type removed struct {
	Removals []removal `json:"removals"`
	Stays    []string  `json:"stays"`

	erp     intake.Footprint
	running bool // cdc or the applier, by their connections
}

// errRunning says that what is taken away would come again.
var errRunning = errors.New("cdc or the applier is running: stop it first, or it would make again what is taken away")

// Run takes away what Spola has in the shop and in the ERP. What its accounts have no right for it
// leaves to an administrator, with the statement; the ERP's orders stay.
func (r Remove) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config)
	if err != nil {
		return err
	}
	conn, err := postgres.Connect(env.Ctx, cfg.ERP.URL(), "spola remove")
	if err != nil {
		return err
	}
	defer conn.Close(env.Ctx)
	all, err := footprint(env, cfg, conn)
	for end := time.Now().Add(stopping); err == nil && all.running && !r.DryRun && time.Now().Before(end); {
		time.Sleep(stopping / 10)
		all, err = footprint(env, cfg, conn)
	}
	if err != nil {
		return err
	}
	if !r.DryRun {
		if all.running {
			return errRunning
		}
		if !r.Yes {
			return errors.New("spola remove takes away what --dry-run lists, for good: add --yes to do it")
		}
		if err := all.erp.NoteRemoval(env.Ctx, conn, intake.By{Who: cli.Person(), Reason: r.Reason}, cfg.Shop.Name); err != nil {
			return err
		}
		for i := range all.Removals {
			x := &all.Removals[i]
			if x.do == nil {
				continue
			}
			if err := x.do(env.Ctx); err != nil {
				x.Failed = err.Error()
			}
			x.Done = x.Failed == ""
		}
	}
	if r.JSON {
		return json.NewEncoder(env.Out).Encode(all)
	}
	all.print(env.Out, r.DryRun)
	if all.running {
		printable.Printf(env.Out, "\nBefore that, stop cdc and the applier, which are running.\n")
	}
	return nil
}

// stopping is how long the connections of a program that was just stopped may stay.
const stopping = 3 * time.Second

func footprint(env *cli.Env, cfg config.Config, conn *pgx.Conn) (removed, error) {
	var all removed
	source, err := cdc.Source(cfg, env.Log)
	if err != nil {
		return all, err
	}
	shop, err := mysql.FootprintOf(env.Ctx, source)
	if err != nil {
		return all, err
	}
	erp, err := intake.FootprintOf(env.Ctx, conn, cfg.Shop.Name, cfg.ERP.Log.Slot, cfg.ERP.Log.Publication)
	if err != nil {
		return all, err
	}
	all.erp = erp
	all.running = shop.Running || erp.Running > 0
	if shop.Marker {
		x := removal{Where: "shop", Removal: intake.Removal{What: "table " + mysql.Marker, Statement: "DROP TABLE " + mysql.Marker}}
		x.do = func(ctx context.Context) error { return mysql.Drop(ctx, source, x.Statement) }
		all.Removals = append(all.Removals, x)
	}
	if strings.HasPrefix(shop.Account, "'spola") { // nobody else's
		all.Removals = append(all.Removals, removal{Where: "shop", Removal: intake.Removal{What: "account " + shop.Account, Statement: "DROP USER " + shop.Account},
			Failed: "it is the account that this runs under"})
	}
	if writer := cfg.Shop.WriteAs; strings.HasPrefix(writer, "spola") && !strings.HasPrefix(shop.Account, "'"+writer+"'") {
		account := "'" + strings.ReplaceAll(writer, "'", "''") + "'@'%'"
		all.Removals = append(all.Removals, removal{Where: "shop", Removal: intake.Removal{What: "account " + account, Statement: "DROP USER " + account},
			Failed: "it is what deploy/grants/shop-writer has made"})
	}
	for _, x := range erp.Removals {
		all.Removals = append(all.Removals, removal{Where: "erp", Removal: x, do: func(ctx context.Context) error {
			_, err := conn.PgConn().Exec(ctx, x.Statement).ReadAll()
			return err
		}})
	}
	all.Stays = erp.Stays
	topics := []string{cfg.Topic()}
	if cfg.ERP.Log.Stands() {
		topics = append(topics, cfg.ERPTopic())
	}
	if cfg.SMTP.Sends() {
		topics = append(topics, cfg.Journal(env.Log).Topic)
	}
	for _, topic := range topics {
		all.Stays = append(all.Stays, fmt.Sprintf("the log, topic %s, until Kafka's retention ends or you delete it: kafka-topics.sh --bootstrap-server … --delete --topic %s", topic, topic))
	}
	own := "the shop's own tables: Spola never wrote into them"
	if cfg.Shop.Writes() {
		own = "the shop's own tables, with the pieces, states, history rows and prices that Spola has brought into them"
	}
	all.Stays = append(all.Stays, own, fmt.Sprintf("%s and %s, the configuration", env.Config, cfg.Shop.File))
	return all, nil
}

func (all removed) print(w io.Writer, dry bool) {
	admin := false
	for _, x := range all.Removals {
		switch {
		case dry:
			printable.Printf(w, "goes   %s: %s\n", x.Where, x.What)
		case x.Done:
			printable.Printf(w, "gone   %s: %s\n", x.Where, x.What)
		default:
			admin = true
		}
	}
	for _, s := range all.Stays {
		printable.Printf(w, "stays  %s\n", s)
	}
	if dry {
		fmt.Fprintln(w, "\nNothing was changed.")
		return
	}
	if admin {
		fmt.Fprintln(w, "\nFor an administrator, in this order:")
	}
	for _, x := range all.Removals {
		if !x.Done {
			printable.Printf(w, "\n-- %s: %s (%s)\n%s;\n", x.Where, x.What, x.Failed, printable.Block(x.Statement))
		}
	}
}
