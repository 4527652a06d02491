package stock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// ledgerTable is the ledger as the ERP's log names it.
const ledgerTable = "spola.ledger"

// Seen is what records of the ERP's log show to have been committed in the ERP, and to stand there for ever: entries of the
// ledger, and numbers given out. What of it the ERP does not have tells that its database is an older one than it was.
type Seen struct {
	Entries map[string]int64 // by row of the shop's stock: the highest number of an entry
	Numbers map[Series]int64 // the last number given out
}

// Series is a series of numbers in a year.
type Series struct {
	Name string `json:"series"`
	Year int16  `json:"year"`
}

// String is how the series stands before its numbers: F2026.
func (s Series) String() string { return fmt.Sprintf("%s%d", s.Name, s.Year) }

// Read takes note of documents whose numbers customers have read, the last of each series by its name and year (F2026 → 17). The
// shops' orders are none: they come again from the shop.
func (s Seen) Read(numbers map[string]int64) {
	for text, last := range numbers {
		digits := len(text) - 4
		if digits < 1 {
			continue
		}
		year, err := strconv.ParseInt(text[digits:], 10, 16)
		if of := (Series{text[:digits], int16(year)}); err == nil && of.Name != webOrders {
			s.Numbers[of] = max(s.Numbers[of], last)
		}
	}
}

// NewSeen has seen nothing.
func NewSeen() Seen { return Seen{map[string]int64{}, map[Series]int64{}} }

// Counter is the ERP's table of numbers, as the contract publishes it; empty if it does not.
type Counter struct{ schema, table, series, year, last string }

// CounterOf finds it in the contract.
func CounterOf(contract *schemas.Contract) (c Counter) {
	for _, p := range contract.Publish {
		if p.Last != "" {
			return Counter{contract.Schema, p.Table, p.Series, p.Year, p.Last}
		}
	}
	return c
}

// Add takes note of what a record shows. Of the ledger only this shop's entries as they were made count: a snapshot may read
// what is about to be lost.
func (s Seen) Add(r *change.Record, shop string, c Counter) error {
	ledger, counts := r.Table == ledgerTable && r.Op == change.Create, c.table != "" && r.Table == c.schema+"."+c.table && r.Op.IsRow()
	if !ledger && !counts {
		return nil
	}
	_, after, err := change.Rows(r.Value)
	if err != nil || after == nil {
		return err
	}
	columns := []string{"shop", "stock_row", "no"}
	if counts {
		columns = []string{c.series, c.year, c.last}
	}
	values, err := fields(after, columns)
	if err != nil {
		return fmt.Errorf("record %d/%d, table %s, key %s: %w", r.Gen, r.Seq, r.Table, r.Key, err)
	}
	number, err := strconv.ParseInt(values[2], 10, 64)
	if err != nil {
		return fmt.Errorf("record %d/%d, table %s, key %s: column %s: %w", r.Gen, r.Seq, r.Table, r.Key, columns[2], err)
	}
	if ledger {
		if values[0] == shop {
			s.Entries[values[1]] = max(s.Entries[values[1]], number)
		}
		return nil
	}
	year, err := strconv.ParseInt(values[1], 10, 16)
	of := Series{values[0], int16(year)}
	s.Numbers[of] = max(s.Numbers[of], number)
	return err
}

// fields returns columns of a row, as text.
func fields(row []byte, columns []string) ([]string, error) {
	values, found := make([]string, len(columns)), 0
	err := change.Fields(row, func(name, value []byte) error {
		if at := slices.Index(columns, string(name)); at >= 0 {
			values[at] = strings.Trim(string(value), `"`)
			found++
		}
		return nil
	})
	if err == nil && found != len(columns) {
		err = fmt.Errorf("it has not all of %v: %s", columns, row)
	}
	return values, err
}

func (s Seen) merge(other Seen) {
	for row, number := range other.Entries {
		s.Entries[row] = max(s.Entries[row], number)
	}
	for of, number := range other.Numbers {
		s.Numbers[of] = max(s.Numbers[of], number)
	}
}

// knows stops if the database does not have what the log shows that it had.
func (l *Ledger) knows(ctx context.Context, tx pgx.Tx) error {
	if len(l.seen.Entries) > 0 {
		row, number, err := postgres.UnknownEntry(ctx, tx, l.shop, l.seen.Entries, postgres.SeenWithin)
		if err != nil {
			return err
		}
		if row != "" {
			return postgres.Restored(fmt.Sprintf("its log has entry %d of the stock ledger, for %s, and the ledger does not", number, row))
		}
	}
	if len(l.seen.Numbers) > 0 {
		has, err := l.counter.read(ctx, tx)
		if err != nil {
			return err
		}
		for of, number := range l.seen.Numbers {
			if has[of] < number {
				return postgres.Restored(fmt.Sprintf("by its log number %d of series %s in %d was given out, and the last that it knows is %d", number, of.Name, of.Year, has[of]))
			}
		}
	}
	l.seen = NewSeen()
	return nil
}

// Given is the last number given out of each series, by its name and year: F2026 → 17. nil if the ERP does not tell.
func (c Counter) Given(ctx context.Context, tx pgx.Tx) (map[string]int64, error) {
	if c.table == "" {
		return nil, nil //nolint:nilnil // it does not tell
	}
	has, err := c.read(ctx, tx)
	given := map[string]int64{}
	for of, last := range has {
		given[of.String()] = last
	}
	return given, err
}

// read returns the last number given out of each series.
func (c Counter) read(ctx context.Context, tx pgx.Tx) (map[Series]int64, error) {
	has := map[Series]int64{}
	name := func(column string) string { return pgx.Identifier{column}.Sanitize() }
	rows, err := tx.Query(ctx, "select "+name(c.series)+", "+name(c.year)+", "+name(c.last)+" from "+pgx.Identifier{c.schema, c.table}.Sanitize())
	if err == nil {
		var of Series
		var last int64
		_, err = pgx.ForEachRow(rows, []any{&of.Name, &of.Year, &last}, func() error { has[of] = last; return nil })
	}
	if err != nil {
		return nil, postgres.Explain(fmt.Errorf("read the last numbers given out: %w", err))
	}
	return has, nil
}

// recovered is up to where the ERP's log was read when the database was last recovered behind a restore.
func recovered(ctx context.Context, tx pgx.Tx, shop string) (at change.Place, err error) {
	err = tx.QueryRow(ctx, "select generation, seq from spola.recovery where shop = $1 order by id desc limit 1", shop).Scan(&at.Gen, &at.Seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return at, nil
	}
	if err != nil {
		return at, postgres.Explain(fmt.Errorf("look when the ERP was recovered last: %w", err))
	}
	return at, nil
}
