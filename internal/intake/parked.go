package intake

import (
	"context"
	_ "embed" // a query stands in difference.sql
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Parked is an order that is not in the ERP as the shop has it, with what to do about it.
type Parked struct {
	Shop     string    `json:"shop"`
	Order    int64     `json:"order"`
	Reason   string    `json:"reason"` // a code
	What     string    `json:"what"`   // the figures and names of this order
	Why      string    `json:"why"`
	Mend     string    `json:"mend"`
	WaitsFor string    `json:"waits_for,omitempty"` // what lets it go on by itself: article, state, total, nature, setting, customer
	Key      string    `json:"waits_key,omitempty"`
	Attempts int       `json:"attempts"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`

	ERPOrder  *int64   `json:"erp_order,omitempty"` // the ERP has it, in an older version
	Cancelled bool     `json:"cancelled"`           // in the shop
	Choices   []Choice `json:"choices"`             // of `applier parked resolve`
}

// Difference is an article or a charge of which shop and ERP have not the same. Cents.
type Difference struct {
	What         string `json:"what"` // SKU, or the charge's code
	ShopQuantity int64  `json:"shop_quantity"`
	ShopGross    int64  `json:"shop_gross"`
	ERPQuantity  int64  `json:"erp_quantity"`
	ERPGross     int64  `json:"erp_gross"`
}

// ErrNotParked says that an order is not parked.
var ErrNotParked = errors.New("not parked")

const parkedColumns = `p.shop, p.order_id, p.reason, p.what,
	coalesce(r.why, 'The ERP refused it.'), coalesce(r.mend, 'Correct the order in the shop or what the ERP says is wrong, then "applier parked retry".'),
	coalesce(p.waits_for, ''), coalesce(p.waits_key, ''), p.attempts, p.first_at, p.last_at, l.erp_order, coalesce(p.payload ->> 'action' = 'cancel', false)
	from spola.parked p left join spola.reason r on r.code = p.reason
	left join lateral (select x.erp_order from spola.link x where x.shop = p.shop and x.order_id = p.order_id
		order by x.incarnation desc limit 1) l on true`

func scanParked(row pgx.CollectableRow) (p Parked, err error) {
	err = row.Scan(&p.Shop, &p.Order, &p.Reason, &p.What, &p.Why, &p.Mend, &p.WaitsFor, &p.Key, &p.Attempts, &p.First, &p.Last, &p.ERPOrder, &p.Cancelled)
	p.Choices = openChoices(p.Reason, p.ERPOrder != nil, p.Cancelled)
	return p, err
}

// ListParked lists the parked orders of a shop, of all shops if shop is empty, oldest first.
func ListParked(ctx context.Context, conn *pgx.Conn, shop string) ([]Parked, error) {
	rows, err := conn.Query(ctx, "select "+parkedColumns+" where $1 in ('', p.shop) order by p.first_at, p.shop, p.order_id", shop)
	if err != nil {
		return nil, fmt.Errorf("list parked orders: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanParked)
	if err != nil {
		return nil, fmt.Errorf("list parked orders: %w", err)
	}
	return list, nil
}

// ShowParked returns a parked order and, as JSON, what was derived of it.
func ShowParked(ctx context.Context, conn *pgx.Conn, shop string, order int64) (Parked, []byte, error) {
	rows, err := conn.Query(ctx, "select "+parkedColumns+" where p.shop = $1 and p.order_id = $2", shop, order)
	if err != nil {
		return Parked{}, nil, fmt.Errorf("show parked order %d of %s: %w", order, shop, err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, scanParked)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, nil, fmt.Errorf("order %d of %s is %w", order, shop, ErrNotParked)
	}
	if err != nil {
		return p, nil, fmt.Errorf("show parked order %d of %s: %w", order, shop, err)
	}
	var payload []byte
	err = conn.QueryRow(ctx, "select jsonb_pretty(payload) from spola.parked where shop = $1 and order_id = $2", shop, order).Scan(&payload)
	if err != nil {
		return p, nil, fmt.Errorf("show parked order %d of %s: %w", order, shop, err)
	}
	return p, payload, nil
}

//go:embed difference.sql
var differenceSQL string

// CompareParked says in which articles and charges a parked order that the ERP has differs there
// from the shop. Names, addresses and payments are not compared.
func CompareParked(ctx context.Context, conn *pgx.Conn, shop string, order int64) ([]Difference, error) {
	rows, err := conn.Query(ctx, differenceSQL, shop, order)
	if err != nil {
		return nil, fmt.Errorf("compare parked order %d of %s: %w", order, shop, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Difference])
	if err != nil {
		return nil, fmt.Errorf("compare parked order %d of %s: %w", order, shop, err)
	}
	return list, nil
}

// RetryParked has parked orders derived again with the applier's next batch: those named, or all
// of the shop. It returns how many, and leaves a row of audit for each that was named, one for all that were not.
func RetryParked(ctx context.Context, conn *pgx.Conn, shop string, by By, orders ...int64) (n int, err error) {
	err = postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `insert into spola.due (shop, order_id, tick, settling)
			select p.shop, p.order_id, 0, false from spola.parked p
			where p.shop = $1 and (cardinality($2::bigint[]) = 0 or p.order_id = any ($2::bigint[])) on conflict do nothing returning order_id`,
			shop, append([]int64{}, orders...))
		if err != nil {
			return fmt.Errorf("retry parked orders of %s: %w", shop, err)
		}
		due, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return fmt.Errorf("retry parked orders of %s: %w", shop, err)
		}
		n = len(due)
		switch {
		case n == 0 && len(orders) > 0:
			return fmt.Errorf("orders %v of %s are %w, or are to be retried already", orders, shop, ErrNotParked)
		case len(orders) == 0 && n > 0:
			return audit(ctx, tx, by, shop, 0, "retry", fmt.Sprintf("all %d parked orders", n), nil)
		}
		for _, order := range due {
			if err := audit(ctx, tx, by, shop, order, "retry", "", nil); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
