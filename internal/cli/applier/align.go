package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/internal/writeback/align"
	"github.com/spola-cdc/spola/schemas"
)

// Align is `applier align`.
type Align struct {
	Apply        bool     `help:"Write the differences into the shop. Without it nothing is written."`
	Fields       []string `help:"Compare only these: price, special, weight, width, height, depth." enum:"price,special,weight,width,height,depth" placeholder:"FIELD"`
	SKU          []string `help:"Compare only the products of these SKUs of the ERP." name:"sku" placeholder:"SKU"`
	Category     string   `help:"Compare only a category of the shop, by number or name, with those below it."`
	ChangedSince string   `help:"Compare only what the ERP has changed since a day by the shop's clock (2026-12-01), a moment (2026-12-01T08:00:00+01:00), or so long ago (36h)." placeholder:"WHEN"`
	Confirm      int      `help:"Let so many articles change: needed where they are more than 30 %, and the dry run says how many." placeholder:"N"`
	Reason       string   `help:"Stands with your name in the list of decisions (applier audit)."`
	JSON         bool     `help:"Print JSON." name:"json"`
}

// alignment is what the verb answers in JSON: what it has written, and a comparison of what is left.
type alignment struct {
	Applied bool               `json:"applied"`
	Aligned []align.Difference `json:"aligned"`
	Changed []string           `json:"changed_meanwhile"` // SKUs that somebody changed in the shop under way, left as he wants them
	align.Report
}

// Run shows where the shop's catalogue differs from the ERP's, and writes it if asked to.
func (a Align) Run(env *cli.Env) error {
	need := []config.Need{config.NeedERP, config.NeedShop}
	if a.Apply {
		need[1] = config.NeedShopWrite
	}
	cfg, err := config.Load(env.Config, need...)
	if err != nil {
		return err
	}
	if a.Apply && !cfg.Shop.Writes() {
		return errors.New("nobody may write into the shop yet: shop.write_as in the configuration names who (deploy/grants/shop-writer makes him)")
	}
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		scope, err := a.scope(env.Ctx, conn, shop)
		if err != nil {
			return err
		}
		url := cfg.Shop.URL()
		if cfg.Shop.Writes() {
			url = cfg.Shop.WriteURL()
		}
		db, end, err := mysql.Connect(env.Ctx, url, 0)
		if err != nil {
			return err
		}
		defer end()
		_, platform, err := schemas.Platform(cfg.Shop.Platform)
		if err != nil {
			return err
		}
		c, err := align.Open(env.Ctx, shop, conn, db, platform, cfg.Shop.Prefix)
		if err != nil {
			return err
		}
		return a.run(env, c, scope)
	})
}

func (a Align) run(env *cli.Env, c *align.Catalogue, scope align.Scope) error {
	found, err := c.Look(env.Ctx, scope, a.Apply)
	if err != nil {
		return err
	}
	if !a.Apply || len(found.Differences) == 0 {
		return a.show(env.Out, alignment{Applied: a.Apply, Report: found})
	}
	if err := found.Guard(a.Confirm); err != nil {
		return err
	}
	if !a.JSON {
		printDifferences(env.Out, found.Differences)
	}
	changed, left, err := c.Align(env.Ctx, scope, found, intake.By{Who: cli.Person(), Reason: a.Reason}, progress(os.Stderr, "products"))
	if err != nil {
		// Not wrapped: a run that was interrupted is not done.
		return errors.New(err.Error() + "; what is done stands, and the same command goes on with the rest")
	}
	return a.show(env.Out, alignment{Applied: true, Aligned: found.Without(changed), Changed: changed, Report: left})
}

func (a Align) scope(ctx context.Context, conn *pgx.Conn, shop string) (s align.Scope, err error) {
	for _, f := range align.Fields { // in their own order: special prices stand on prices
		if slices.Contains(a.Fields, string(f)) {
			s.Fields = append(s.Fields, f)
		}
	}
	s.SKUs, s.Category = a.SKU, a.Category
	if a.ChangedSince == "" {
		return s, nil
	}
	if d, err := time.ParseDuration(a.ChangedSince); err == nil {
		s.Since = time.Now().Add(-d.Abs())
		return s, nil
	}
	clock, err := intake.Clock(ctx, conn, shop)
	if err != nil {
		return s, err
	}
	s.Since, err = moment("--changed-since", a.ChangedSince, clock)
	return s, err
}

// show prints what was done and is left, and is the error of differences where some are.
func (a Align) show(w io.Writer, x alignment) error {
	if a.JSON {
		x.Aligned, x.Changed = append([]align.Difference{}, x.Aligned...), append([]string{}, x.Changed...) // never null
		if err := json.NewEncoder(w).Encode(x); err != nil {
			return err
		}
	} else {
		printAlignment(w, x)
	}
	switch {
	case len(x.Changed) > 0:
		return cli.Differ("%d articles were changed in the shop under way and left alone; the same command looks again", len(x.Changed))
	case len(x.Differences) > 0 && !x.Applied:
		return cli.Differ("%d articles; nothing was written: --apply does%s", x.Differing, confirmation(x.Report))
	case len(x.Differences) > 0:
		return cli.Differ("%d articles differ again: somebody else writes the shop's catalogue, or the ERP's", x.Differing)
	case len(x.Refusals) > 0:
		return cli.Differ("%d fields can't be aligned", len(x.Refusals))
	}
	return nil
}

// confirmation is what an application takes besides.
func confirmation(r align.Report) string {
	if r.Guard(0) == nil {
		return ""
	}
	return fmt.Sprintf(", with --confirm %d, for these are many", r.Differing)
}

func printDifferences(w io.Writer, all []align.Difference) {
	width := len("SKU")
	for _, d := range all {
		width = max(width, len(d.SKU))
	}
	if len(all) > 0 {
		printable.Printf(w, "%-*s  %-7s  %s\n", width, "SKU", "field", "in the shop -> in the ERP")
	}
	for _, d := range all {
		printable.Printf(w, "%-*s  %-7s  %s -> %s\n", width, d.SKU, d.Field, d.Shop, d.ERP)
	}
}

func printAlignment(w io.Writer, x alignment) {
	if x.Applied {
		printable.Printf(w, "%d differences were aligned.\n", len(x.Aligned))
	}
	printDifferences(w, x.Differences)
	for _, r := range x.Refusals {
		printable.Printf(w, "refused: %s %s: %s\n", r.SKU, r.Field, r.Why)
	}
	some := func(what string, skus []string) {
		const most = 20
		switch {
		case len(skus) > most:
			printable.Printf(w, "%s: %s and %d more (--json lists them)\n", what, strings.Join(skus[:most], ", "), len(skus)-most)
		case len(skus) > 0:
			printable.Printf(w, "%s: %s\n", what, strings.Join(skus, ", "))
		}
	}
	some("changed in the shop under way, left as they are", x.Changed)
	some("not sold in the shop", x.NotSold)
	some("mapped to a product or option that the shop no longer has", x.Gone)
	printable.Printf(w, "%d articles compared, %d differences, %d refused.\n", x.Articles, len(x.Differences), len(x.Refusals))
}
