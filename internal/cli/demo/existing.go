package demo

import (
	"bytes"
	"context"
	_ "embed" // the statements stand in past.mysql.sql and past.postgres.sql
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/spola"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

var (
	//go:embed past.mysql.sql
	pastShopSQL string
	//go:embed past.postgres.sql
	pastERPSQL string
)

// Existing is what has become of the orders that the shop had before Spola came.
type Existing struct {
	Orders   int64 `json:"orders"`
	Imported int64 `json:"imported"` // into the ERP
	Adopted  int64 `json:"adopted"`  // linked to an order of the ERP that was entered by hand
	Closed   int64 `json:"closed"`   // neither: done or cancelled long ago
	Waiting  int64 `json:"waiting"`  // for its payment, or parked

	Observed float64 `json:"observed_seconds"` // until the first snapshot was in the mirror and all orders derived
	DryRun   float64 `json:"dry_run_seconds"`  // of going live
}

// past is the orders that the shop has before Spola comes.
type past struct{ first, last int64 }

// makePast gives the shop n orders of the last three months, and the ERP half of them, entered by hand.
func (st *stage) makePast(ctx context.Context, n int) (p past, err error) {
	if p.first, p.last, err = st.shop.Bench(ctx, shop.BenchLoad{Orders: n, Relaxed: true}); err != nil {
		return p, fmt.Errorf("make the shop's past: %w", err)
	}
	text := statements(strings.ReplaceAll(pastShopSQL, "{prefix}", st.shop.Prefix()))
	for _, s := range []struct {
		name string
		args []any
	}{
		{"orders", []any{p.last, n, p.last, n, p.last, n, p.first, p.last}},
		{"placed", []any{p.first, p.last}},
		{"became", []any{p.first, p.last}},
	} {
		if _, err := st.shop.DB().ExecContext(ctx, text[s.name], s.args...); err != nil {
			return p, fmt.Errorf("make the shop's past: %s: %w", s.name, err)
		}
	}
	return p, st.enterByHand(ctx, p, text)
}

// entered are the orders that the clerk enters, column by column, and their lines.
type entered struct {
	order, cents, placed   []int64
	email, first, last     []string
	shipped                []bool
	lineOrder, pieces, sum []int64
	sku                    []string
}

func (st *stage) enterByHand(ctx context.Context, p past, text map[string]string) error {
	var e entered
	err := each(ctx, st, text["known"], p, func(scan func(...any) error) error {
		var id, cents, placed int64
		var email, first, last string
		var shipped bool
		if err := scan(&id, &email, &first, &last, &cents, &placed, &shipped); err != nil {
			return err
		}
		e.order, e.email, e.first, e.last = append(e.order, id), append(e.email, email), append(e.first, first), append(e.last, last)
		e.cents, e.placed, e.shipped = append(e.cents, cents), append(e.placed, placed), append(e.shipped, shipped)
		return nil
	})
	if err != nil {
		return err
	}
	err = each(ctx, st, text["lines"], p, func(scan func(...any) error) error {
		var id, pieces, sum int64
		var sku string
		if err := scan(&id, &sku, &pieces, &sum); err != nil {
			return err
		}
		e.lineOrder, e.sku, e.pieces, e.sum = append(e.lineOrder, id), append(e.sku, sku), append(e.pieces, pieces), append(e.sum, sum)
		return nil
	})
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return fmt.Errorf("connect to the ERP: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	erp := statements(pastERPSQL)
	if _, err := conn.Exec(ctx, erp["enter"], e.order, e.email, e.first, e.last, e.cents, e.placed, e.shipped, e.lineOrder, e.sku, e.pieces, e.sum); err != nil {
		return fmt.Errorf("enter orders by hand: %w", err)
	}
	if _, err := conn.Exec(ctx, erp["left"]); err != nil {
		return fmt.Errorf("ship orders that were entered by hand: %w", err)
	}
	if _, err := conn.Exec(ctx, erp["commit"]); err != nil {
		return fmt.Errorf("commit pieces to orders entered by hand: %w", err)
	}
	return nil
}

// each reads rows of the shop's past.
func each(ctx context.Context, st *stage, query string, p past, row func(scan func(...any) error) error) error {
	rows, err := st.shop.DB().QueryContext(ctx, query, p.first, p.last)
	if err != nil {
		return fmt.Errorf("read the shop's past: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return fmt.Errorf("read the shop's past: %w", err)
		}
	}
	return rows.Err()
}

// firstDay does what the merchant of a shop with a past does, and shows it: he has the files written,
// observes, maps the articles, looks through what golive proposes, and goes live.
func (st *stage) firstDay(ctx context.Context, show io.Writer) error {
	if err := st.showInit(ctx, show); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return fmt.Errorf("go live: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	began := time.Now()
	if err := st.observed(ctx, conn); err != nil {
		return err
	}
	seen, err := intake.Look(ctx, conn, st.name)
	if err != nil {
		return err
	}
	st.took.Observed = time.Since(began).Seconds()
	fmt.Fprintf(show, "\napplier status: observed for %.1f s, nothing is written to the ERP\n", st.took.Observed)
	for _, k := range intake.OrderKinds {
		if n := seen.Orders[k.Kind].Count; n > 0 {
			fmt.Fprintf(show, "%8d %s\n", n, k.Observed)
		}
	}
	mapped, err := intake.ImportArticles(ctx, conn, st.name, st.sizes(), intake.By{Who: "demo"})
	if err != nil {
		return err
	}
	fmt.Fprintf(show, "\napplier articles: %d sizes mapped by a file, the others are found by their model\n", mapped.Lines)
	var file bytes.Buffer
	how := intake.Going{From: time.Now(), By: intake.By{Who: "demo", Reason: "its first day"}, Table: &file}
	began = time.Now()
	r, err := intake.CheckLive(ctx, conn, st.name, how)
	if err != nil {
		return err
	}
	st.took.DryRun = time.Since(began).Seconds()
	fmt.Fprintf(show, "\napplier golive --dry-run: %d orders looked at in %.1f s\n%8d import, %d adopt, %d close, %d for a person to say\n",
		r.Orders, st.took.DryRun, r.Import, r.Adopt, r.Close, r.Open)
	for _, line := range firstLines(file.String(), 4) {
		fmt.Fprintln(show, "         ", line)
	}
	fmt.Fprintf(show, "%8d rows of the shop's stock are to show what they do, %d more, %d less, %d are left as they are\n", r.Stock.Same, r.Stock.More, r.Stock.Less, r.Stock.Left)
	how.Said, how.File = &file, "golive.csv"
	if _, err := intake.GoLive(ctx, conn, st.name, how); err != nil {
		return err
	}
	fmt.Fprintf(show, "\napplier golive --file golive.csv: live\n\n")
	return nil
}

// showInit has init look at shop and ERP, and write its files beside the demo's own.
func (st *stage) showInit(ctx context.Context, show io.Writer) error {
	dir := filepath.Join(st.lab.Dir(), "init")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("show spola init: %w", err)
	}
	var out bytes.Buffer
	verb := spola.Init{Shop: st.cfg.Shop.URL(), ERP: st.cfg.ERP.URL(), Dir: dir, Name: st.name}
	if err := verb.Run(&cli.Env{Ctx: ctx, Out: &out}); err != nil {
		return fmt.Errorf("show spola init: %w", err)
	}
	fmt.Fprintln(show, "spola init:")
	for _, line := range firstLines(out.String(), 4) {
		fmt.Fprintln(show, "         ", line)
	}
	return nil
}

// observed waits until the orders of the first snapshot are derived.
func (st *stage) observed(ctx context.Context, conn *pgx.Conn) error {
	return await(ctx, func() error {
		o, err := intake.Look(ctx, conn, st.name)
		switch {
		case errors.Is(err, intake.ErrUnknownShop):
			return err
		case err != nil:
			return backoff.Permanent(err)
		case !o.Derived:
			return errors.New("the first snapshot is not derived")
		}
		return nil
	})
}

// became tells what has become of the past.
func (st *stage) became(ctx context.Context, p past) (*Existing, error) {
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return nil, fmt.Errorf("look what became of the past: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	e := Existing{Orders: p.last - p.first + 1, Observed: st.took.Observed, DryRun: st.took.DryRun}
	err = conn.QueryRow(ctx, statements(pastERPSQL)["became"], st.name, p.last).Scan(&e.Adopted, &e.Imported, &e.Waiting)
	if err != nil {
		return nil, fmt.Errorf("look what became of the past: %w", err)
	}
	e.Closed = e.Orders - e.Adopted - e.Imported - e.Waiting
	return &e, nil
}

// statements takes a file of statements apart at its lines "-- name: …".
func statements(text string) map[string]string {
	all := map[string]string{}
	for _, part := range strings.Split(text, "\n-- name: ")[1:] {
		name, statement, _ := strings.Cut(part, "\n")
		all[name] = statement
	}
	return all
}

func firstLines(text string, n int) []string {
	lines := strings.Split(strings.TrimPrefix(strings.TrimSpace(text), "\xef\xbb\xbf"), "\n")
	return lines[:min(n, len(lines))]
}
