package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// decisionColumns are those of the file of decisions; decision, order and erp_order are read again.
var decisionColumns = []string{"decision", "order", "erp_order", "placed", "total", "customer", "state", "why"}

// writeDecisions writes what is planned, for a spreadsheet: with semicolons and a byte order mark,
// as one in Italy opens it without questions.
// Times are those of the shop's clock, as its administration shows them.
func writeDecisions(ctx context.Context, conn *pgx.Conn, shop string, clock *time.Location, out io.Writer) error {
	s := newGoing(shop)
	rows, err := conn.Query(ctx, s.text["file"], shop)
	if err != nil {
		return s.failed(err)
	}
	var decision, number, customer, state, why string
	var order, total int64
	var placed time.Time
	return writeSheet(out, decisionColumns, func(write func(...string) error) error {
		_, err := pgx.ForEachRow(rows, []any{&decision, &order, &number, &placed, &total, &customer, &state, &why}, func() error {
			return write(decision, strconv.FormatInt(order, 10), number, placed.In(clock).Format(time.DateTime),
				decimal.New(total, -2).StringFixed(2), customer, state, why)
		})
		return err
	})
}

// stockColumns are those of the file that tells what the shop is to show.
var stockColumns = []string{"sku", "stock_row", "now", "after", "change", "left_as_it_is"}

func (p *StockPlan) write(out io.Writer) error {
	return writeFields(out, stockColumns, func(write func(...string) error) error {
		for _, r := range p.Rows {
			if err := write(harmless(r.SKU), r.StockRow, strconv.FormatInt(r.Now, 10), strconv.FormatInt(r.After, 10), strconv.FormatInt(r.After-r.Now, 10), r.WhyNot); err != nil {
				return err
			}
		}
		return nil
	})
}

// said is a line of the file.
type said struct {
	line     int
	order    int64
	decision string // empty: not decided
	number   string // of the ERP's order
	anyway   bool   // adopt it though its total differs
}

// obey puts what the file says in place of what was proposed. Whatever is wrong with the file is
// said by line, and nothing is obeyed.
func (s going) obey(ctx context.Context, conn *pgx.Conn, g Going) error {
	lines, err := readDecisions(g.Said)
	if err != nil {
		return fmt.Errorf("%s: %w", g.File, err)
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"golive_said"}, []string{"line", "order_id", "decision", "erp_number", "anyway"},
		pgx.CopyFromSlice(len(lines), func(i int) ([]any, error) {
			return []any{lines[i].line, lines[i].order, lines[i].decision, lines[i].number, lines[i].anyway}, nil
		}))
	if err != nil {
		return s.failed(err)
	}
	rows, err := conn.Query(ctx, s.text["contradict"], s.shop)
	if err != nil {
		return s.failed(err)
	}
	var line int
	var what string
	var wrong []error
	_, err = pgx.ForEachRow(rows, []any{&line, &what}, func() error {
		wrong = append(wrong, fmt.Errorf("%s, line %d: %w: %s", g.File, line, ErrRefused, what))
		return nil
	})
	if err != nil {
		return s.failed(err)
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	return s.run(ctx, conn, s.text["obey"])
}

// adoptAnyway is how a person says that it is the same order though its total is another in the ERP.
const adoptAnyway = "adopt anyway"

// readDecisions reads and checks the file without a look at the database.
func readDecisions(r io.Reader) ([]said, error) {
	rows, err := readSheet(r, "decision", "order", "erp_order")
	if err != nil {
		return nil, err
	}
	var lines []said
	seen := map[int64]int{}
	for _, row := range rows {
		x, err := readSaid(row.fields["decision"], row.fields["order"], row.fields["erp_order"])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", row.line, err)
		}
		if before := seen[x.order]; before > 0 {
			return nil, fmt.Errorf("line %d: order %d stands in line %d already", row.line, x.order, before)
		}
		x.line = row.line
		seen[x.order] = row.line
		lines = append(lines, x)
	}
	return lines, nil
}

func readSaid(decision, order, number string) (x said, err error) {
	if x.order, err = strconv.ParseInt(order, 10, 64); err != nil {
		return x, fmt.Errorf("order %q is no number of an order", order)
	}
	x.number = asTyped(number)
	switch x.decision = strings.ToLower(decision); x.decision {
	case "", "import", "close":
	case "closed":
		x.decision = "close"
	case "adopt", adoptAnyway:
		x.decision, x.anyway = "adopt", x.decision == adoptAnyway
		if x.number == "" {
			return x, fmt.Errorf("order %d: adopt needs the number of the ERP's order in erp_order", x.order)
		}
	default:
		return x, fmt.Errorf("order %d: %q is none of import, adopt, close", x.order, decision)
	}
	return x, nil
}
