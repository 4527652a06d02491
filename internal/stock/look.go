package stock

import (
	"context"
	_ "embed" // the statement stands in look.postgres.sql
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/target/postgres"
)

//go:embed look.postgres.sql
var lookQuery string

// Accounts is how the accounts of a shop's stock stand.
type Accounts struct {
	Begun           bool      `json:"begun"`            // the shop has had one
	Rows            int64     `json:"rows"`             // of the shop's stock, with an account
	Drifting        int64     `json:"drifting"`         // of these, do not show what their account says, unsettled ones included
	Unpublished     int64     `json:"unpublished"`      // pieces, in absolute numbers, that the ERP has moved and the accounts have not: lag
	UnpublishedRows int64     `json:"unpublished_rows"` // in so many rows
	Undelivered     int64     `json:"undelivered"`      // pieces in the accounts that the shop has not taken: lag, or owed
	UndeliveredRows int64     `json:"undelivered_rows"` // in so many rows
	Repairs         int64     `json:"repairs"`          // rows, over all runs of reconciliation
	Last            *LastRun  `json:"last"`             // of reconciliation; null: none yet
	Without         []Without `json:"without"`          // rows of the shop's stock that have no account
	Unsold          Unsold    `json:"unsold"`
	Restored        string    `json:"restored,omitempty"` // what has shown that the ERP's database is an older one: no account moves until applier recover erp
}

// LastRun is how the last run of reconciliation ended.
type LastRun struct {
	Ended    time.Time `json:"ended"`
	Drifting int64     `json:"drifting"`
	Repaired int64     `json:"repaired"`
	Waiting  int64     `json:"waiting"`
	Compared bool      `json:"compared"`
	Held     string    `json:"held"` // what waits for a person; empty: nothing
}

// Without is how many rows have no account for one reason, as canonical_<shop>.stock_article has it.
type Without struct {
	Why      string   `json:"why"`
	Rows     int64    `json:"rows"`
	Examples []string `json:"examples"` // SKUs, or rows of the shop's stock
}

// Unsold is what the ERP stocks and no row of the shop's stock is: it was never sold there, or its product or variant was deleted.
type Unsold struct {
	Articles int64    `json:"articles"`
	Examples []string `json:"examples"` // SKUs
}

// Look tells how the accounts of a shop stand. schema is the shop's canonical one.
func Look(ctx context.Context, conn *pgx.Conn, shop, schema string) (a Accounts, err error) {
	a.Without, a.Unsold.Examples = []Without{}, []string{}
	failed := func(err error) error {
		return postgres.Explain(fmt.Errorf("look at the stock accounts of shop %s: %w", shop, err))
	}
	if err := conn.QueryRow(ctx, "select exists (select from spola.stock_account where shop = $1)", shop).Scan(&a.Begun); err != nil {
		return a, failed(err)
	}
	if !a.Begun {
		return a, nil // nor are the views there before the first snapshot
	}
	var last, without, unsold []byte
	err = conn.QueryRow(ctx, strings.ReplaceAll(lookQuery, "{canonical}", pgx.Identifier{schema}.Sanitize()), shop).
		Scan(&a.Rows, &a.Drifting, &a.Unpublished, &a.UnpublishedRows, &a.Undelivered, &a.UndeliveredRows, &a.Repairs, &a.Restored, &last, &without, &unsold)
	if err == nil && last != nil {
		err = json.Unmarshal(last, &a.Last)
	}
	if err == nil {
		err = errors.Join(json.Unmarshal(without, &a.Without), json.Unmarshal(unsold, &a.Unsold))
	}
	if err != nil {
		return a, failed(err)
	}
	return a, nil
}
