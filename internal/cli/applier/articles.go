package applier

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/printable"
)

// Articles is `applier articles`.
type Articles struct {
	Missing bool   `help:"List what the shop sells and the ERP has no article for, with how many orders wait for it." xor:"what"`
	Suggest bool   `help:"List what is likely to be what: by equal SKU, EAN or model, variants by the names of their options. Confirm by importing it." xor:"what"`
	Export  bool   `help:"List what was mapped." xor:"what"`
	Import  string `help:"Read mappings from this file: CSV with the columns product, variant, sku, and any others. All lines count, or none." type:"existingfile" xor:"what" placeholder:"FILE.csv"`
	DryRun  bool   `help:"Of an import: tell what it would do, or refuse, and change nothing."`
	Reason  string `help:"Of an import; it stands with your name in the list of decisions (applier audit)."`
	JSON    bool   `help:"Print JSON; else lists are CSV for a spreadsheet." name:"json"`
}

// Run lists or imports mappings; without a flag it sums up how far they are.
func (a Articles) Run(env *cli.Env) error {
	if a.DryRun && a.Import == "" {
		return cli.Usage("--dry-run goes with --import: nothing else here changes anything")
	}
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		switch {
		case a.Import != "":
			return a.load(env, conn, shop)
		case a.Missing:
			return a.list(env, conn, shop, intake.MissingArticles)
		case a.Suggest:
			return a.list(env, conn, shop, intake.SuggestArticles)
		case a.Export:
			return a.list(env, conn, shop, intake.ListArticles)
		}
		count, err := intake.CountArticles(env.Ctx, conn, shop)
		if err != nil {
			return err
		}
		if a.JSON {
			return json.NewEncoder(env.Out).Encode(count)
		}
		printable.Printf(env.Out, "mapped    %6d by hand or file, %d by equal SKU\nmissing   %6d on sale without an article (applier articles --missing)\nwaiting   %6d orders\n",
			count.Imported, count.BySKU, count.Missing, count.Waiting)
		printShared(env.Out, count.Shared)
		return nil
	})
}

func (a Articles) list(env *cli.Env, conn *pgx.Conn, shop string, list func(context.Context, *pgx.Conn, string) ([]intake.Article, error)) error {
	found, err := list(env.Ctx, conn, shop)
	if err != nil {
		return err
	}
	if !a.JSON {
		return intake.WriteArticles(env.Out, found)
	}
	if found == nil {
		found = []intake.Article{}
	}
	return json.NewEncoder(env.Out).Encode(found)
}

// load imports a file of mappings, whole or not at all.
func (a Articles) load(env *cli.Env, conn *pgx.Conn, shop string) error {
	file, err := os.Open(a.Import)
	if err != nil {
		return fmt.Errorf("import articles: %w", err)
	}
	defer file.Close()
	var done intake.Imported
	if a.DryRun {
		done, err = intake.TryArticles(env.Ctx, conn, shop, file)
	} else {
		done, err = intake.ImportArticles(env.Ctx, conn, shop, file, intake.By{Who: cli.Person(), Reason: a.Reason})
	}
	if err != nil {
		return fmt.Errorf("import articles from %s: %w", a.Import, err)
	}
	if a.JSON {
		return json.NewEncoder(env.Out).Encode(done)
	}
	printable.Printf(env.Out, "%d mappings read, %d of them new or changed; %d taken away.\n", done.Lines, done.Changed, done.Removed)
	if done.Open > 0 {
		printable.Printf(env.Out, "%d lines have no SKU: what they name stays as it was.\n", done.Open)
	}
	printable.Printf(env.Out, "%d parked orders are derived again with the applier's next batch.\n", done.Again)
	printShared(env.Out, done.Shared)
	if a.DryRun {
		fmt.Fprintln(env.Out, "Nothing was changed: without --dry-run it is.")
	}
	return nil
}

func printShared(w io.Writer, shared []intake.Shared) {
	for _, s := range shared {
		printable.Printf(w, "SKU %s is the article of several products: %s. Their stock can't be told apart.\n", s.SKU, strings.Join(s.Products, ", "))
	}
}
