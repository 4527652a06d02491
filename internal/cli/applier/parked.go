package applier

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Parked is `applier parked`.
type Parked struct {
	List    ListParked    `cmd:"" default:"withargs" help:"List the parked orders, oldest first."`
	Show    ShowParked    `cmd:"" help:"Show one with all that is known of it, and what may be decided."`
	Retry   RetryParked   `cmd:"" help:"Derive parked orders again with the applier's next batch."`
	Resolve ResolveParked `cmd:"" help:"Decide what becomes of one, and note who has decided so and why."`
}

// ListParked is `applier parked list`.
type ListParked struct {
	JSON bool `help:"Print JSON." name:"json"`
}

// Run lists.
func (l ListParked) Run(env *cli.Env) error {
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		list, err := intake.ListParked(env.Ctx, conn, shop)
		if err != nil {
			return err
		}
		if l.JSON {
			if list == nil {
				list = []intake.Parked{}
			}
			return json.NewEncoder(env.Out).Encode(list)
		}
		if len(list) == 0 {
			fmt.Fprintln(env.Out, "No order is parked.")
			return nil
		}
		w := tabwriter.NewWriter(env.Out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "ORDER\tSINCE\tREASON\tWHAT\tMEND")
		for _, p := range list {
			printable.Printf(w, "%d\t%s\t%s\t%s\t%s\n", p.Order, p.First.Local().Format(time.DateTime), p.Reason, p.What, p.Mend)
		}
		return w.Flush()
	})
}

// ShowParked is `applier parked show`.
type ShowParked struct {
	Order int64 `arg:"" help:"The shop's order number."`
	JSON  bool  `help:"Print JSON." name:"json"`
}

// shown is a parked order with all that is known of it.
type shown struct {
	Parked      intake.Parked       `json:"parked"`
	Differences []intake.Difference `json:"differences"` // between shop and ERP
	Decided     []intake.Audited    `json:"decided"`     // newest first
	Payload     json.RawMessage     `json:"payload"`     // the order as it was derived last
}

// Run shows one order.
func (s ShowParked) Run(env *cli.Env) error {
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		p, payload, err := intake.ShowParked(env.Ctx, conn, shop, s.Order)
		if err != nil {
			return err
		}
		differences, err := intake.CompareParked(env.Ctx, conn, shop, s.Order)
		if err != nil {
			return err
		}
		decided, err := intake.ListAudit(env.Ctx, conn, shop, s.Order, 20)
		if err != nil {
			return err
		}
		if s.JSON {
			return json.NewEncoder(env.Out).Encode(shown{p, differences, decided, payload})
		}
		show(env.Out, p, differences)
		printAudit(env.Out, decided)
		fmt.Fprintln(env.Out)
		for line := range strings.Lines(string(payload)) { // customers typed what stands within them
			printable.Printf(env.Out, "%s\n", strings.TrimSuffix(line, "\n"))
		}
		return nil
	})
}

func show(w io.Writer, p intake.Parked, differences []intake.Difference) {
	printable.Printf(w, "Order %d of shop %s is parked: %s\n\n", p.Order, p.Shop, p.Reason)
	printable.Printf(w, "  %s\n  %s\n\n  To mend: %s\n\n", p.What, p.Why, p.Mend)
	if p.WaitsFor != "" {
		printable.Printf(w, "  Goes on by itself when this appears: %s %s\n", p.WaitsFor, p.Key)
	}
	printable.Printf(w, "  Since %s, tried %d times, last %s\n", p.First.Local().Format(time.DateTime), p.Attempts, p.Last.Local().Format(time.DateTime))
	for _, c := range p.Choices {
		printable.Printf(w, "  To decide: applier parked resolve %d --%s --reason …\n", p.Order, c)
	}
	for _, d := range differences {
		printable.Printf(w, "  %s: the shop has %s, the ERP %s\n", d.What, pieces(d.ShopQuantity, d.ShopGross), pieces(d.ERPQuantity, d.ERPGross))
	}
	if p.ERPOrder != nil && !p.Cancelled && len(differences) == 0 {
		fmt.Fprintln(w, "  Lines and charges are the same in the ERP: names, addresses, payment or texts differ.")
	}
}

// pieces describes one side of a difference: "2 for 24.40"; a charge has no pieces.
func pieces(quantity, cents int64) string {
	amount := decimal.New(cents, -2).StringFixed(2)
	if quantity == 0 {
		return amount
	}
	return fmt.Sprintf("%d for %s", quantity, amount)
}

// ResolveParked is `applier parked resolve`.
type ResolveParked struct {
	Order    int64  `arg:"" help:"The shop's order number."`
	TakeShop bool   `help:"The ERP gets what the shop has, also if the order has shipped or was cancelled there." xor:"choice" required:""`
	KeepERP  bool   `help:"The ERP keeps what it has." xor:"choice" required:"" name:"keep-erp"`
	Drop     bool   `help:"The ERP shall never have the order." xor:"choice" required:""`
	Reason   string `help:"Why; it stands with your name in the list of decisions (applier audit)." required:""`
	JSON     bool   `help:"Print JSON." name:"json"`
}

// resolved is what `applier parked resolve` did.
type resolved struct {
	Shop   string        `json:"shop"`
	Order  int64         `json:"order"`
	Choice intake.Choice `json:"choice"`
	Said   string        `json:"said"` // what becomes of the order, for people
}

// Run decides.
func (r ResolveParked) Run(env *cli.Env) error {
	choice := intake.Drop
	switch {
	case r.TakeShop:
		choice = intake.TakeShop
	case r.KeepERP:
		choice = intake.KeepERP
	}
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		said, err := intake.ResolveParked(env.Ctx, conn, shop, r.Order, choice, intake.By{Who: cli.Person(), Reason: r.Reason})
		if err != nil {
			return err
		}
		if r.JSON {
			return json.NewEncoder(env.Out).Encode(resolved{Shop: shop, Order: r.Order, Choice: choice, Said: said})
		}
		printable.Printf(env.Out, "%s\n", said)
		return nil
	})
}

// RetryParked is `applier parked retry`.
type RetryParked struct {
	Order  []int64 `arg:"" optional:"" help:"The shop's order numbers; all parked orders if none is given."`
	Reason string  `help:"Why; it stands with your name in the list of decisions (applier audit)."`
	JSON   bool    `help:"Print JSON." name:"json"`
}

// retried is what `applier parked retry` did.
type retried struct {
	Shop    string `json:"shop"`
	Retried int    `json:"retried"` // orders that are derived again
}

// Run has orders derived again.
func (r RetryParked) Run(env *cli.Env) error {
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		n, err := intake.RetryParked(env.Ctx, conn, shop, intake.By{Who: cli.Person(), Reason: r.Reason}, r.Order...)
		if err != nil {
			return err
		}
		if r.JSON {
			return json.NewEncoder(env.Out).Encode(retried{Shop: shop, Retried: n})
		}
		printable.Printf(env.Out, "%d orders are derived again with the applier's next batch.\n", n)
		return nil
	})
}

// withERP connects to the ERP's database for a command.
func withERP(env *cli.Env, do func(cfg config.Config, conn *pgx.Conn) error) error {
	cfg, err := config.Load(env.Config, config.NeedERP)
	if err != nil {
		return err
	}
	conn, err := postgres.Connect(env.Ctx, cfg.ERP.URL(), "spola command")
	if err != nil {
		return err
	}
	defer conn.Close(env.Ctx)
	return do(cfg, conn)
}

// withShop is withERP where Spola's tables are, up to date.
func withShop(env *cli.Env, do func(conn *pgx.Conn, shop string) error) error {
	return withERP(env, func(cfg config.Config, conn *pgx.Conn) error {
		var migrated bool
		if err := conn.QueryRow(env.Ctx, "select to_regclass('spola.shop') is not null").Scan(&migrated); err != nil {
			return fmt.Errorf("look for Spola's tables in the ERP's database: %w", err)
		}
		if !migrated {
			return errors.New("the ERP's database has none of Spola's tables yet: run `applier migrate`")
		}
		if err := upToDate(env.Ctx, conn); err != nil {
			return err
		}
		return do(conn, cfg.Shop.Name)
	})
}
