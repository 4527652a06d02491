package intake

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// byteOrderMark tells a spreadsheet that a file is UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// decisionColumns are those of the file of decisions; decision, order and erp_order are read again.
var decisionColumns = []string{"decision", "order", "erp_order", "placed", "total", "customer", "state", "why"}

// writeDecisions writes what is planned, for a spreadsheet: with semicolons and a byte order mark,
// as one in Italy opens it without questions.
func writeDecisions(ctx context.Context, conn *pgx.Conn, shop string, out io.Writer) error {
	s := newGoing(shop)
	if _, err := io.WriteString(out, byteOrderMark); err != nil {
		return fmt.Errorf("write the decisions: %w", err)
	}
	w := csv.NewWriter(out)
	w.Comma = ';'
	if err := w.Write(decisionColumns); err != nil {
		return fmt.Errorf("write the decisions: %w", err)
	}
	rows, err := conn.Query(ctx, s.text["file"], shop)
	if err != nil {
		return s.failed(err)
	}
	var decision, number, customer, state, why string
	var order, total int64
	var placed time.Time
	_, err = pgx.ForEachRow(rows, []any{&decision, &order, &number, &placed, &total, &customer, &state, &why}, func() error {
		return w.Write([]string{decision, strconv.FormatInt(order, 10), harmless(number), placed.Local().Format(time.DateTime),
			decimal.New(total, -2).StringFixed(2), harmless(customer), harmless(state), harmless(why)})
	})
	if err != nil {
		return s.failed(err)
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("write the decisions: %w", err)
	}
	return nil
}

// harmless keeps a spreadsheet from taking what a customer typed for a formula.
func harmless(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

// said is a line of the file.
type said struct {
	line     int
	order    int64
	decision string // empty: not decided
	number   string // of the ERP's order
}

// obey puts what the file says in place of what was proposed. Whatever is wrong with the file is
// said by line, and nothing is obeyed.
func (s going) obey(ctx context.Context, conn *pgx.Conn, g Going) error {
	lines, err := readDecisions(g.Said)
	if err != nil {
		return fmt.Errorf("%s: %w", g.File, err)
	}
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"golive_said"}, []string{"line", "order_id", "decision", "erp_number"},
		pgx.CopyFromSlice(len(lines), func(i int) ([]any, error) {
			return []any{lines[i].line, lines[i].order, lines[i].decision, lines[i].number}, nil
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

// readDecisions reads and checks the file without a look at the database.
func readDecisions(r io.Reader) ([]said, error) {
	in := bufio.NewReader(r)
	if head, err := in.Peek(len(byteOrderMark)); err == nil && string(head) == byteOrderMark {
		_, _ = in.Discard(len(byteOrderMark)) // it was peeked at
	}
	first, err := in.Peek(in.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head, _, _ := bytes.Cut(first, []byte("\n"))
	c := csv.NewReader(in)
	if bytes.Count(head, []byte(";")) > bytes.Count(head, []byte(",")) {
		c.Comma = ';'
	}
	names, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("line 1: %w", err)
	}
	place := func(name string) int {
		return slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(strings.TrimSpace(n), name) })
	}
	decision, order, number := place("decision"), place("order"), place("erp_order")
	if decision < 0 || order < 0 || number < 0 {
		return nil, fmt.Errorf("line 1: the columns are %q; decision, order and erp_order are needed", names)
	}
	var lines []said
	seen := map[int64]int{}
	for {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err // names the line
		}
		line, _ := c.FieldPos(0)
		x, err := readSaid(fields[decision], fields[order], fields[number])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if before := seen[x.order]; before > 0 {
			return nil, fmt.Errorf("line %d: order %d stands in line %d already", line, x.order, before)
		}
		x.line = line
		seen[x.order] = line
		lines = append(lines, x)
	}
}

func readSaid(decision, order, number string) (x said, err error) {
	if !utf8.ValidString(decision + order + number) {
		return x, errors.New("it is not UTF-8: save the file as CSV UTF-8")
	}
	if x.order, err = strconv.ParseInt(strings.TrimSpace(order), 10, 64); err != nil {
		return x, fmt.Errorf("order %q is no number of an order", order)
	}
	x.number = strings.TrimPrefix(strings.TrimSpace(number), "'")
	switch x.decision = strings.ToLower(strings.TrimSpace(decision)); x.decision {
	case "", "import", "close":
	case "closed":
		x.decision = "close"
	case "adopt":
		if x.number == "" {
			return x, fmt.Errorf("order %d: adopt needs the number of the ERP's order in erp_order", x.order)
		}
	default:
		return x, fmt.Errorf("order %d: %q is none of import, adopt, close", x.order, decision)
	}
	return x, nil
}
