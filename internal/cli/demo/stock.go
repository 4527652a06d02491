package demo

import (
	"context"
	_ "embed" // the queries stand in .sql files
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

var (
	//go:embed stock.mysql.sql
	shownSQL string
	//go:embed stock.postgres.sql
	availableSQL string
	//go:embed counted.postgres.sql
	countedSQL string
)

// Stock is what the proof says of the way back: of shops and ERP, read by queries that know nothing of Spola's tables but how
// often something was repaired.
type Stock struct {
	SKUs       int   `json:"skus"`
	Violations int   `json:"law_violations"`     // rows that do not show what there is
	Planted    int64 `json:"sabotage_planted"`   // edits of the shop's stock by hand
	Repaired   int64 `json:"sabotage_repaired"`  // repairs in the ledger
	Shipped    int64 `json:"shipped_in_shop"`    // orders that a customer sees as shipped
	Tracking   int64 `json:"tracking_in_shop"`   // parcels of which the customer was told the number
	Oversold   int64 `json:"oversold_by_bridge"` // pieces that a row shows beyond what there is

	wrong []string
}

// saboteur edits the shop's stock by hand while customers order.
type saboteur struct {
	shop    *shop.Shop
	seed    uint64
	rate    float64 // edits a second
	planted atomic.Int64
}

// Work edits until ctx ends.
func (s *saboteur) Work(ctx context.Context) error {
	if s.rate <= 0 {
		return nil
	}
	hand := s.shop.Saboteur(s.seed)
	pause := time.NewTicker(time.Duration(float64(time.Second) / s.rate))
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		_, err := hand.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		s.planted.Add(1)
	}
}

// allowRepairs is the person without whom so many rows are not repaired at once. In a shop of forty SKUs that is what some customers who cancel, and an
// administrator who saves products with the pieces that he had read before, come to while the ledger is behind, or killed again and again.
func (st *stage) allowRepairs(ctx context.Context, during time.Duration) error {
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return fmt.Errorf("allow repairs of stock: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return intake.AllowMassChanges(ctx, conn, st.name, during, intake.By{Who: "demo", Reason: "each row of a small shop was sold and edited meanwhile"})
}

// settleStock waits until each row shows what there is, as long as within at most. What is wrong then is for the proof to tell.
func (st *stage) settleStock(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		if err := st.wake(ctx); err != nil && ctx.Err() == nil { // repairs wait for the shop's clock
			return err
		}
		now, err := st.lookAtStock(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case now.Violations == 0:
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// unexplained waits for a reconciliation that begins now or later, and for one that finds nothing; it returns how many orders the last one found
// otherwise in the ERP.
func (st *stage) unexplained(ctx context.Context) (left int64, err error) {
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return 0, fmt.Errorf("look at what reconciliation says: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for began := time.Now(); ; {
		if err := st.wake(ctx); err != nil {
			return 0, err
		}
		var runs int
		err := conn.QueryRow(ctx, `select count(*), coalesce((array_agg((r.orders ->> 'left')::bigint order by r.id desc))[1], 0)
			from spola.reconciliation r where r.shop = $1 and r.began > $2`, st.name, began).Scan(&runs, &left)
		switch {
		case err != nil:
			return 0, fmt.Errorf("look at what reconciliation says: %w", err)
		case runs > 0 && left == 0, runs > 0 && time.Since(began) > settleWithin:
			return left, nil
		case time.Since(began) > settleWithin: // on a machine that is busy with other things a run leaves its servers alone for minutes
			return 0, errors.New("nobody has reconciled the shop's stock and orders")
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// lookAtStock compares each row of the shop's stock with what the ERP has free, less what the shop has sold and the ERP does not
// count.
func (st *stage) lookAtStock(ctx context.Context) (s Stock, err error) {
	shown, err := st.shown(ctx)
	if err != nil {
		return s, err
	}
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return s, fmt.Errorf("look at the ERP's stock: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	free, err := numbers(ctx, conn, availableSQL, st.warehouse())
	if err != nil {
		return s, fmt.Errorf("look at the ERP's stock: %w", err)
	}
	counted, err := numbers(ctx, conn, countedSQL, st.name)
	if err != nil {
		return s, fmt.Errorf("look at the ERP's orders: %w", err)
	}
	known := map[string]bool{}
	for key := range counted {
		order, _, _ := strings.Cut(key, " ")
		known[order] = true
	}
	for _, a := range st.shop.Articles() {
		if !a.Stocked {
			continue
		}
		row := rowOf(a)
		there := free[a.SKU] - int64(st.buffer)
		for order, pieces := range shown.sold[row] {
			order, done := strings.CutSuffix(order, " done")
			if done && !known[order] {
				continue // from before the shop went live: the ERP has counted its goods long ago
			}
			if _, short := counted[order+" closed short"]; short {
				continue
			}
			if has, known := counted[order+" "+a.SKU]; known {
				pieces = max(0, pieces-has)
			}
			there -= pieces
		}
		s.SKUs++
		if shown.pieces[row] != there {
			s.Violations++
			s.wrong = append(s.wrong, fmt.Sprintf("stock of %s: %s shows %d in %s, there are %d", a.SKU, st.name, shown.pieces[row], row, there))
		}
		s.Oversold += max(0, shown.pieces[row]-max(there, 0))
	}
	if err := conn.QueryRow(ctx, "select count(*) from spola.ledger where shop = $1 and cause = 'repair'", st.name).Scan(&s.Repaired); err != nil {
		return s, fmt.Errorf("count the repairs of stock: %w", err)
	}
	s.Shipped, s.Tracking, err = st.told(ctx)
	return s, err
}

// add takes another shop's into this one.
func (s *Stock) add(other Stock) {
	s.SKUs += other.SKUs
	s.Violations += other.Violations
	s.Planted += other.Planted
	s.Repaired += other.Repaired
	s.Shipped += other.Shipped
	s.Tracking += other.Tracking
	s.Oversold += other.Oversold
	s.wrong = append(s.wrong, other.wrong...)
}

func rowOf(a shop.Article) string {
	if a.Value != 0 {
		return fmt.Sprintf("option:%d", a.Value)
	}
	return fmt.Sprintf("product:%d", a.Product)
}

// inShop is what the shop itself says of its stock.
type inShop struct {
	pieces map[string]int64            // by row
	sold   map[string]map[string]int64 // by row, then by order: of orders for which the shop has subtracted its pieces
}

func (st *stage) shown(ctx context.Context) (s inShop, err error) {
	s = inShop{pieces: map[string]int64{}, sold: map[string]map[string]int64{}}
	for _, query := range []string{"shown", "sold"} {
		rows, err := st.shop.DB().QueryContext(ctx, st.query(query))
		if err != nil {
			return s, fmt.Errorf("look at the shop's stock: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var row, order string
			var pieces int64
			if err := rows.Scan(&row, &order, &pieces); err != nil {
				return s, fmt.Errorf("look at the shop's stock: %w", err)
			}
			if query == "shown" {
				s.pieces[row] = pieces
				continue
			}
			if s.sold[row] == nil {
				s.sold[row] = map[string]int64{}
			}
			s.sold[row][order] += pieces
		}
		if err := rows.Err(); err != nil {
			return s, fmt.Errorf("look at the shop's stock: %w", err)
		}
	}
	return s, nil
}

// warehouse is the one whose pieces the shop shows; empty: those of all web shops.
func (st *stage) warehouse() string {
	if st.name == outletName {
		return outletFrom
	}
	return ""
}

// query is one about this shop's tables.
func (st *stage) query(name string) string {
	return strings.ReplaceAll(named(shownSQL, name), "oc_", st.cfg.Shop.Prefix)
}

// named is one of several queries in a file, each behind a line "-- name:".
func named(file, name string) string {
	_, text, _ := strings.Cut(file, "-- name: "+name+"\n")
	text, _, _ = strings.Cut(text, "-- name: ")
	return text
}

func numbers(ctx context.Context, conn *pgx.Conn, query string, args ...any) (map[string]int64, error) {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	found := map[string]int64{}
	var key string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&key, &n}, func() error { found[key] = n; return nil })
	return found, err
}
