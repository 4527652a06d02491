package applier

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/schemas"
)

// Erase is `applier erase`.
type Erase struct {
	Customer string `arg:"" help:"The number of the customer's account in the shop, or the e-mail address under which he ordered. The shop must have erased or anonymised him before."`
	Reason   string `help:"Why; it stands with your name in the list of decisions (applier audit). Needed but for a dry run."`
	DryRun   bool   `help:"Show what would be erased, and erase nothing."`
	JSON     bool   `help:"Print JSON." name:"json"`
}

// erased is what `applier erase` did.
type erased struct {
	intake.Erased
	Customer  string    `json:"customer"`   // "account 7", or the e-mail as the log's lines have it
	LogsUntil time.Time `json:"logs_until"` // until then Kafka may hold what was written of him
}

// Run erases.
func (e Erase) Run(env *cli.Env) error {
	if e.Reason == "" && !e.DryRun {
		return cli.Usage("--reason is missing: say why, such as 'asked for by letter of 2026-11-20'; --dry-run needs none")
	}
	cfg, err := config.Load(env.Config, config.NeedERP)
	if err != nil {
		return err
	}
	wanted := intake.Erasure{By: intake.By{Who: cli.Person(), Reason: e.Reason}, DryRun: e.DryRun}
	if n, err := strconv.ParseInt(e.Customer, 10, 64); err == nil && n > 0 {
		wanted.Account, wanted.Subject = n, fmt.Sprintf("account %d", n)
	} else if strings.Contains(e.Customer, "@") {
		wanted.Email, wanted.Subject = e.Customer, "e-mail "+printable.Personal(e.Customer).String()
	} else {
		return cli.Usage("%q is neither the number of an account in the shop nor an e-mail address", e.Customer)
	}
	profile, _, err := schemas.Platform(cfg.Shop.Platform)
	if err != nil {
		return err
	}
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		done, err := intake.Erase(env.Ctx, conn, shop, cfg.Shop.Prefix, profile, wanted)
		if err != nil {
			return err
		}
		told := erased{Erased: done, Customer: wanted.Subject, LogsUntil: time.Now().Add(cfg.Kafka.Retention)}
		if e.JSON {
			return json.NewEncoder(env.Out).Encode(told)
		}
		told.print(env.Out)
		return nil
	})
}

func (e erased) print(w io.Writer) {
	if !e.Any() {
		printable.Printf(w, "Nothing of %s is left to erase.\n", e.Customer)
	} else {
		printable.Printf(w, "%s %s:\n", yes(e.DryRun, "Would be erased of", "Erased of"), e.Customer)
	}
	for _, line := range []struct {
		n    int64
		what string
	}{
		{e.Customers, "customers of the ERP: all but their numbers"},
		{e.Orders, "orders of the ERP: person, addresses and texts; numbers, lines, amounts and VAT stay for the books"},
		{e.Mails, "mails: whom they went to; what has not gone does not go any more"},
		{e.Parked, "parked orders: what was derived of them"},
		{e.Flags, "flags about tax data"},
		{e.Links, "links of orders: the e-mail by which they are known again"},
		{e.Decisions, "decisions: the e-mail in their texts"},
	} {
		if line.n > 0 {
			printable.Printf(w, "%7d  %s\n", line.n, line.what)
		}
	}
	if e.Documents > 0 {
		printable.Printf(w, "%7d  documents stay as they were issued: the law wants them for ten years\n", e.Documents)
	}
	if len(e.Matched) > 0 {
		printable.Printf(w, "Customers %v of the ERP were there before the shop's: its people erase them.\n", e.Matched)
	}
	if !e.ERP {
		fmt.Fprintln(w, "This ERP is one of your own: erase him there as well. Spola has taken him off what it keeps itself.")
	}
	if e.Any() {
		printable.Printf(w, "Kafka's logs may hold what was written of him until %s, when their retention is over.\n", e.LogsUntil.Local().Format(time.DateOnly))
	}
}
