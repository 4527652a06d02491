package document

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/money"
)

// Taking is a line of the register of daily takings (corrispettivi): what was delivered on a day at a
// rate without an invoice, less what came back. Cents; gross = sales - returns = net + VAT.
type Taking struct {
	Date       time.Time `json:"date"`
	Channel    string    `json:"channel"` // web, traditional
	VATCountry string    `json:"vat_country"`
	VATRate    string    `json:"vat_rate"`
	VATNature  string    `json:"vat_nature"`
	Currency   string    `json:"currency"`
	Sales      int64     `json:"sales"`
	Returns    int64     `json:"returns"`
	Gross      int64     `json:"gross"`
	Net        int64     `json:"net"`
	VAT        int64     `json:"vat"`
	Documents  int64     `json:"documents"`
}

// Register is the register from a day to a day, both included.
func Register(ctx context.Context, conn *pgx.Conn, from, to time.Time) ([]Taking, error) {
	rows, err := conn.Query(ctx, statements["register"], from, to)
	if err != nil {
		return nil, fmt.Errorf("read the register: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Taking])
	if err != nil {
		return nil, fmt.Errorf("read the register: %w", err)
	}
	return list, nil
}

// WriteRegister writes the register as CSV as Italian spreadsheets read it: semicolons, decimal commas.
func WriteRegister(w io.Writer, list []Taking) error {
	out := csv.NewWriter(w)
	out.Comma = ';'
	out.UseCRLF = true
	head := []string{"Data", "Canale", "Paese IVA", "Aliquota", "Natura", "Valuta", "Vendite", "Resi", "Corrispettivo", "Imponibile", "IVA", "Documenti"}
	if err := out.Write(head); err != nil {
		return fmt.Errorf("write the register: %w", err)
	}
	for _, t := range list {
		rate, err := money.ParseRate(t.VATRate)
		if err != nil {
			return fmt.Errorf("write the register of %s: %w", t.Date.Format(time.DateOnly), err)
		}
		row := []string{t.Date.Format(time.DateOnly), t.Channel, t.VATCountry, comma(rate.Percent().String()), t.VATNature, t.Currency,
			cents(t.Sales), cents(t.Returns), cents(t.Gross), cents(t.Net), cents(t.VAT), strconv.FormatInt(t.Documents, 10)}
		if err := out.Write(row); err != nil {
			return fmt.Errorf("write the register: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write the register: %w", err)
	}
	return nil
}

func cents(n int64) string { return comma(money.Cents(n).StringFixed(2)) }

func comma(number string) string { return strings.Replace(number, ".", ",", 1) }
