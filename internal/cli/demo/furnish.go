package demo

import (
	"context"
	_ "embed" // the statement stands in furnish.sql
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/spola-cdc/spola/internal/lab/shop"
)

//go:embed furnish.sql
var furnishSQL string

const warehouses = `insert into erp.warehouse (id, code, name, web_rank)
values (1, 'MI', 'Milano', 1), (2, 'BO', 'Bologna', 2), (3, 'NEG', 'Negozio', null) on conflict do nothing`

// seller makes the ERP issue documents with what the clerk ships.
const seller = `insert into erp.seller (name, street, postcode, city, province, vat_number, rea_office, rea_number, phone, email, pec, bank, iban)
values ('Tessitura Esempio S.r.l.', 'Via della Seta 12', '22100', 'Como', 'CO', '12345670017', 'CO', '123456', '+39 031 000000',
    'ordini@tessitura.example', 'tessitura@pec.example', 'Banca Esempio', 'IT60X0542811101000000123456') on conflict do nothing`

// plenty are the pieces of each article in the ERP's three warehouses.
var plenty = [...]int64{400, 600_000, 50}

// Furnish fills a new reference ERP with what a shop sells, plenty of it, and says who sells it.
func Furnish(ctx context.Context, conn *pgx.Conn, articles []shop.Article) error {
	return furnish(ctx, conn, articles, plenty)
}

func furnish(ctx context.Context, conn *pgx.Conn, articles []shop.Article, pieces [len(plenty)]int64) error {
	var skus, products, names, sizes []string
	var rates []decimal.Decimal
	var gross []int64
	var stocked []bool
	for _, a := range articles {
		skus = append(skus, a.SKU)
		products = append(products, a.Model)
		names = append(names, a.Name)
		sizes = append(sizes, a.Size)
		rates = append(rates, decimal.NewFromInt(int64(a.VATRate)))
		gross = append(gross, a.Gross.Shift(2).Round(0).IntPart())
		stocked = append(stocked, a.Stocked)
	}
	if _, err := conn.Exec(ctx, warehouses); err != nil {
		return fmt.Errorf("make the ERP's warehouses: %w", err)
	}
	if _, err := conn.Exec(ctx, seller); err != nil {
		return fmt.Errorf("tell the ERP who sells: %w", err)
	}
	if _, err := conn.Exec(ctx, furnishSQL, skus, products, names, sizes, texts(rates), gross, stocked, pieces[:]); err != nil {
		return fmt.Errorf("give the ERP the shop's articles: %w", err)
	}
	return nil
}

func texts(values []decimal.Decimal) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.String()
	}
	return out
}
