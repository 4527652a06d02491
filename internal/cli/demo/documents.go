package demo

import (
	"context"
	_ "embed" // the statement stands in documents.sql
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed documents.sql
var documentsSQL string

// Documents are what the ERP has issued beside the shop's orders.
type Documents struct {
	Documents      map[string]int64 `json:"documents"` // by kind: order, ddt, invoice, credit_note, return
	NumberingHoles int64            `json:"numbering_holes"`
	VATMismatches  int64            `json:"vat_mismatches"` // rates of a document whose net and VAT are not those of their gross
}

func (st *stage) documents(ctx context.Context) (Documents, error) {
	var d Documents
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return d, fmt.Errorf("count the ERP's documents: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := conn.QueryRow(ctx, documentsSQL).Scan(&d.Documents, &d.NumberingHoles, &d.VATMismatches); err != nil {
		return d, fmt.Errorf("count the ERP's documents: %w", err)
	}
	return d, nil
}

// text says how many there are to a person.
func (d Documents) text() string {
	return fmt.Sprintf("%d delivery notes, %d invoices, %d credit notes and returns; %d numbers missing, %d sums of VAT wrong", d.Documents["ddt"]+d.Documents["sale"],
		d.Documents["invoice"]+d.Documents["deferred_invoice"], d.Documents["credit_note"]+d.Documents["return"], d.NumberingHoles, d.VATMismatches)
}
