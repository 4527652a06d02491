package align

import (
	"context"
	_ "embed" // the statements stand in .sql files
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

//go:embed catalogue.postgres.sql
var catalogueSQL string

//go:embed mapping.postgres.sql
var mappingSQL string

// article is what the ERP sells, as erp.catalogue has it.
type article struct {
	id      int64
	sku     string
	rate    decimal.Decimal // percent
	gross   int64           // cents
	special *int64          // cents; nil: none
	first   string          // its first day, 2026-12-24; empty: no bound
	after   string          // the day after its last; empty: no bound
	weight  decimal.Decimal // kg; 0: not known, as the lengths
	width   decimal.Decimal // cm
	height  decimal.Decimal
	depth   decimal.Decimal
	changed time.Time
}

// catalogue reads all articles by id.
func catalogue(ctx context.Context, conn *pgx.Conn) (map[int64]*article, error) {
	rows, err := conn.Query(ctx, catalogueSQL)
	if err != nil {
		return nil, fmt.Errorf("read the ERP's catalogue: %w", err)
	}
	all := map[int64]*article{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		a, texts := &article{}, [5]string{}
		err := row.Scan(&a.id, &a.sku, &texts[0], &a.gross, &a.special, &a.first, &a.after, &texts[1], &texts[2], &texts[3], &texts[4], &a.changed)
		if err != nil {
			return struct{}{}, err
		}
		all[a.id] = a
		return struct{}{}, numbers(texts[:], &a.rate, &a.weight, &a.width, &a.height, &a.depth)
	})
	if err != nil {
		return nil, fmt.Errorf("read the ERP's catalogue: %w", err)
	}
	return all, nil
}

// mapped is what the shop sells as an article.
type mapped struct {
	product int64
	variant string // option values that make it another article, "17,20"; empty: the product itself
	article int64
}

func mapping(ctx context.Context, conn *pgx.Conn, shop string) ([]mapped, error) {
	rows, err := conn.Query(ctx, mappingSQL, shop)
	if err != nil {
		return nil, fmt.Errorf("read which articles shop %s sells: %w", shop, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m mapped, err error) {
		err = row.Scan(&m.product, &m.variant, &m.article)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("read which articles shop %s sells: %w", shop, err)
	}
	return all, nil
}

func bySKU(articles map[int64]*article) map[string]*article {
	all := make(map[string]*article, len(articles))
	for _, a := range articles {
		all[strings.TrimSpace(a.sku)] = a
	}
	return all
}
