package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

// By says who decides something, and why.
type By struct {
	Who    string // account and machine
	Reason string
}

// Audited is a decision that a person has taken.
type Audited struct {
	At       time.Time       `json:"at"`
	Who      string          `json:"who"`
	Order    *int64          `json:"order,omitempty"` // nil: about the shop as a whole
	Verb     string          `json:"verb"`
	Decision string          `json:"decision"`
	Reason   string          `json:"reason"`
	Detail   json.RawMessage `json:"detail"`
}

// audit writes the row of a decision, in the transaction that carries it out. order is 0 for one
// about the shop as a whole.
func audit(ctx context.Context, tx pgx.Tx, by By, shop string, order int64, verb, decision string, detail any) error {
	if detail == nil {
		detail = struct{}{}
	}
	_, err := tx.Exec(ctx, `insert into spola.audit (who, shop, order_id, verb, decision, reason, detail)
		values ($1, $2, nullif($3, 0), $4, $5, $6, $7)`, by.Who, shop, order, verb, decision, by.Reason, detail)
	if err != nil {
		return fmt.Errorf("note the decision on shop %s: %w", shop, err)
	}
	return nil
}

// Note notes a decision about a shop that is carried out in another database.
func Note(ctx context.Context, conn *pgx.Conn, by By, shop, verb, decision string, detail any) error {
	return postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error { return audit(ctx, tx, by, shop, 0, verb, decision, detail) })
}

// NoteWith notes a decision about a shop in the transaction that carries it out.
func NoteWith(ctx context.Context, tx pgx.Tx, by By, shop, verb, decision string, detail any) error {
	return audit(ctx, tx, by, shop, 0, verb, decision, detail)
}

// ListAudit lists the decisions about a shop, or about one of its orders if order is not 0,
// newest first and at most limit.
func ListAudit(ctx context.Context, conn *pgx.Conn, shop string, order int64, limit int) ([]Audited, error) {
	rows, err := conn.Query(ctx, `select at, who, order_id, verb, decision, reason, detail from spola.audit
		where shop = $1 and ($2 = 0 or order_id = $2) order by id desc limit $3`, shop, order, limit)
	if err != nil {
		return nil, fmt.Errorf("list decisions about shop %s: %w", shop, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Audited])
	if err != nil {
		return nil, fmt.Errorf("list decisions about shop %s: %w", shop, err)
	}
	return list, nil
}

// AllowMassChanges lets changes of very many rows of the shop's stock at once through, for so long from now.
func AllowMassChanges(ctx context.Context, conn *pgx.Conn, shop string, during time.Duration, by By) error {
	return postgres.InTransaction(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `insert into spola.stock_head (shop, allowed_until) values ($1, clock_timestamp() + $2::interval)
			on conflict (shop) do update set allowed_until = excluded.allowed_until`, shop, during)
		if err != nil {
			return postgres.Explain(fmt.Errorf("allow mass changes of the stock of shop %s: %w", shop, err))
		}
		return audit(ctx, tx, by, shop, 0, "stock", "allow", nil)
	})
}
