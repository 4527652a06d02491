package intake

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Flag is something about a customer's data that a clerk has to look at. The order was taken all
// the same.
type Flag struct {
	Subject string    `json:"subject"` // "order 4711", "account 7"
	Field   string    `json:"field"`   // tax_code, vat_number, sdi, pec; account: the ERP refused a change of it
	Value   string    `json:"value"`
	What    string    `json:"what"`
	At      time.Time `json:"at"`
}

// ListFlags lists what is flagged about the customers of a shop.
func ListFlags(ctx context.Context, conn *pgx.Conn, shop string) ([]Flag, error) {
	rows, err := conn.Query(ctx, "select subject, field, value, what, at from spola.flag where shop = $1 order by length(subject), subject, field", shop)
	if err != nil {
		return nil, fmt.Errorf("list what is flagged about customers of shop %s: %w", shop, err)
	}
	flags, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Flag])
	if err != nil {
		return nil, fmt.Errorf("list what is flagged about customers of shop %s: %w", shop, err)
	}
	return flags, nil
}
