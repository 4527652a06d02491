package applier

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/intake"
)

// Articles is `applier articles`.
type Articles struct {
	Import string `help:"Read mappings from this CSV file: product, variant, sku." required:"" type:"existingfile" placeholder:"FILE.csv"`
}

// Run imports a file of mappings, whole or not at all.
func (a Articles) Run(env *cli.Env) error {
	file, err := os.Open(a.Import)
	if err != nil {
		return fmt.Errorf("import articles: %w", err)
	}
	defer file.Close()
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		n, err := intake.ImportArticles(env.Ctx, conn, shop, file)
		if err != nil {
			return fmt.Errorf("import articles from %s: %w", a.Import, err)
		}
		fmt.Fprintf(env.Out, "%d mappings taken. Orders that waited for them follow by themselves.\n", n)
		return nil
	})
}

// Golive is `applier golive`.
type Golive struct {
	From   string `help:"First day, or moment (2026-12-01T08:00:00+01:00), of orders that are taken over. Those before it are closed." required:"" placeholder:"DATE"`
	DryRun bool   `help:"Only tell what it would do."`
}

// Run goes live, or tells what stands against it.
func (g Golive) Run(env *cli.Env) error {
	from, err := moment(g.From)
	if err != nil {
		return err
	}
	do := intake.GoLive
	if g.DryRun {
		do = intake.CheckLive
	}
	return withShop(env, func(conn *pgx.Conn, shop string) error {
		r, err := do(env.Ctx, conn, shop, from)
		if err != nil {
			return err
		}
		report(env.Out, r, from, g.DryRun)
		return nil
	})
}

func report(w io.Writer, r intake.Readiness, from time.Time, dry bool) {
	for _, state := range r.Unclassified {
		fmt.Fprintf(w, "Order state without a class in the shop file: %s\n", state)
	}
	fmt.Fprintf(w, "Orders so far: %d; before %s and therefore closed: %d.\n", r.Orders, from.Format(time.RFC3339), r.Closed)
	if dry {
		fmt.Fprintln(w, "Nothing was changed.")
		return
	}
	fmt.Fprintln(w, "The shop is live: its orders follow with the applier's next batch.")
}

// moment reads a day, which begins at midnight here, or a moment with its zone.
func moment(text string) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--from %q is neither a day (2026-12-01) nor a moment (2026-12-01T08:00:00+01:00)", text)
	}
	return t, nil
}
