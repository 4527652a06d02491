package stock

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// Delivered is what a row of the shop has taken, by its mark there.
type Delivered struct {
	StockRow string
	Number   int64 // of the ledger's entry
	Applied  int64 // pieces, over the row's whole life
}

// Lost is a row whose account is not what its row in the shop has taken.
type Lost struct {
	StockRow string `json:"stock_row"`
	Target   int64  `json:"target"`  // the account, as the backup has it
	Applied  int64  `json:"applied"` // what the shop has taken
}

// Gap is a stretch of numbers of documents or orders that were given out, and that the ERP does not know any more.
type Gap struct {
	Series
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// webOrders is the series of the shops' orders.
const webOrders = "W"

// Comes tells whether what had these numbers comes again by itself, and gets numbers again: orders of the shop.
func (g Gap) Comes() bool { return g.Name == webOrders }

// Losses is what the database lacks.
type Losses struct {
	Rows    []Lost
	Numbers []Gap
	Entries int64 // of the ledger
}

// CompareWithShop holds accounts and numbers against what the shop has taken and what the ERP's log has shown.
func CompareWithShop(ctx context.Context, tx pgx.Tx, shop string, contract *schemas.Contract, taken []Delivered, seen Seen) (l Losses, err error) {
	names, applied := split(taken)
	rows, err := tx.Query(ctx, `select coalesce(a.stock_row, m.stock_row), coalesce(a.target, 0), coalesce(m.applied, 0)
		from (select * from spola.stock_account where shop = $1) a
		full join unnest($2::text[], $3::bigint[]) as m(stock_row, applied) on m.stock_row = a.stock_row
		where coalesce(a.target, 0) <> coalesce(m.applied, 0) order by 1`, shop, names, applied)
	if err != nil {
		return l, postgres.Explain(fmt.Errorf("compare the accounts with what the shop has taken: %w", err))
	}
	if l.Rows, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Lost]); err != nil {
		return l, postgres.Explain(fmt.Errorf("compare the accounts with what the shop has taken: %w", err))
	}
	head, err := lastEntry(ctx, tx, shop)
	if err != nil {
		return l, err
	}
	l.Entries = max(0, highest(taken, seen)-head)
	counter := CounterOf(contract)
	if len(seen.Numbers) == 0 || counter.table == "" {
		return l, nil
	}
	has, err := counter.read(ctx, tx)
	if err != nil {
		return l, err
	}
	for of, last := range seen.Numbers {
		if last > has[of] {
			l.Numbers = append(l.Numbers, Gap{of, has[of] + 1, last})
		}
	}
	slices.SortFunc(l.Numbers, func(a, b Gap) int { return compareSeries(a.Series, b.Series) })
	return l, nil
}

func compareSeries(a, b Series) int {
	if a.Name != b.Name {
		if a.Name < b.Name {
			return -1
		}
		return 1
	}
	return int(a.Year) - int(b.Year)
}

func split(taken []Delivered) (rows []string, applied []int64) {
	for _, t := range taken {
		rows, applied = append(rows, t.StockRow), append(applied, t.Applied)
	}
	return rows, applied
}

// lastEntry is the number of the ledger's last entry.
func lastEntry(ctx context.Context, tx pgx.Tx, shop string) (no int64, err error) {
	err = tx.QueryRow(ctx, "select coalesce(max(h.no), 0) from spola.stock_head h where h.shop = $1", shop).Scan(&no)
	if err != nil {
		return 0, postgres.Explain(fmt.Errorf("read the ledger's last number: %w", err))
	}
	return no, nil
}

// highest is the highest number of an entry that anybody has seen.
func highest(taken []Delivered, seen Seen) (no int64) {
	for _, t := range taken {
		no = max(no, t.Number)
	}
	for _, n := range seen.Entries {
		no = max(no, n)
	}
	return no
}

// Recovery is what a restored database is recovered by.
type Recovery struct {
	Shop    string
	Who     string
	LogEnd  change.Place // of the ERP's log, as far as it was read
	Taken   []Delivered
	Seen    Seen
	Tick    int64 // of the shop's marker: reconciliation waits until the mirror has it
	Numbers []Gap
	Found   any // for people, as JSON
}

// Recover lets the accounts of a shop go on behind a restore, and numbers of documents behind those that were given out.
func Recover(ctx context.Context, tx pgx.Tx, r Recovery) error {
	failed := func(what string, err error) error {
		return postgres.Explain(fmt.Errorf("recover the accounts of shop %s: %s: %w", r.Shop, what, err))
	}
	head, err := lastEntry(ctx, tx, r.Shop)
	if err != nil {
		return err
	}
	to := max(head, highest(r.Taken, r.Seen))
	// Of what is lost some may lie below entries that the database has: numbers that it gave out anew before anybody looked, or rows that somebody
	// has deleted. Up to the end all is known, so nothing is looked for from the first of them on.
	above, err := belowUnknown(ctx, tx, r, head)
	if err != nil {
		return failed("look for entries of the ledger", err)
	}
	// The accounts of other shops are of the same backup, and are recovered with their own configurations.
	if _, err := tx.Exec(ctx, `update spola.stock_head h set restored = 'shop ' || $1 || ' was recovered, this one was not'
		where h.shop <> $1 and h.restored is null and not exists (select from spola.stock_head o where o.shop = $1 and o.restored is not null)`, r.Shop); err != nil {
		return failed("hold the other shops", err)
	}
	if _, err := tx.Exec(ctx, `insert into spola.recovery (shop, who, generation, seq, lost_above, lost_to, tick, found) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		r.Shop, r.Who, r.LogEnd.Gen, r.LogEnd.Seq, above, to, r.Tick, r.Found); err != nil {
		return failed("note it", err)
	}
	rows, applied := split(r.Taken)
	if _, err := tx.Exec(ctx, "select spola.recover_accounts($1, $2, $3, $4)", r.Shop, rows, applied, to); err != nil {
		return failed("bring them down to what the shop has taken", err)
	}
	var can bool
	if err := tx.QueryRow(ctx, "select to_regprocedure('erp.lift_numbers(text[], smallint[], bigint[], text)') is not null").Scan(&can); err != nil || !can {
		return err
	}
	series, years, lasts := []string{}, []int16{}, []int64{}
	for _, g := range r.Numbers {
		series, years, lasts = append(series, g.Name), append(years, g.Year), append(lasts, g.Last)
	}
	if _, err := tx.Exec(ctx, "select erp.lift_numbers($1, $2, $3, $4)", series, years, lasts, "given out after the backup that the database was restored from: applier recover erp"); err != nil {
		return failed("pass over numbers of documents", err)
	}
	return nil
}

// belowUnknown is the number below the first entry that the shop or the log has seen and the ledger does not have, or the ledger's last one, if that is lower.
func belowUnknown(ctx context.Context, tx pgx.Tx, r Recovery, head int64) (above int64, err error) {
	var rows []string
	var numbers []int64
	for _, t := range r.Taken {
		rows, numbers = append(rows, t.StockRow), append(numbers, t.Number)
	}
	for row, n := range r.Seen.Entries {
		rows, numbers = append(rows, row), append(numbers, n)
	}
	err = tx.QueryRow(ctx, "select least($4, (select min(m.number) - 1 from spola.unknown_marks($1, $2, $3) m))", r.Shop, rows, numbers, head).Scan(&above)
	return above, err
}

// Announce says once more what is owed to the rows of a shop that was restored.
func Announce(ctx context.Context, tx pgx.Tx, shop string, taken []Delivered) error {
	rows, applied := split(taken)
	if _, err := tx.Exec(ctx, "select spola.announce_accounts($1, $2, $3)", shop, rows, applied); err != nil {
		return postgres.Explain(fmt.Errorf("say once more what shop %s is owed: %w", shop, err))
	}
	return nil
}
