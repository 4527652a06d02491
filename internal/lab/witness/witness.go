// Package witness lets an ERP write down itself, by triggers, which rows its transactions change:
// what the ERP's log is held against (verify.CheckERPLog). It is for the kill test: no trigger of
// ours stands in somebody's ERP.
package witness

import (
	"context"
	_ "embed" // the statements stand in witness.sql
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed witness.sql
var install string

// Install puts the witness on tables, named schema.table.
func Install(ctx context.Context, conn *pgx.Conn, tables []string) error {
	if _, err := conn.Exec(ctx, install); err != nil {
		return fmt.Errorf("install the ERP's witness: %w", err)
	}
	for _, t := range tables {
		if _, err := conn.Exec(ctx, "create or replace trigger witness after insert or update or delete on "+t+" for each row execute function lab.witness()"); err != nil {
			return fmt.Errorf("let %s be witnessed: %w", t, err)
		}
	}
	return nil
}
