package trace

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ErrUnknown says that nobody knows the order.
var ErrUnknown = errors.New("no such order")

var (
	shopNumber = regexp.MustCompile(`^#?([0-9]{1,18})$`)
	erpNumber  = regexp.MustCompile(`^([A-Z]+)([0-9]{4})/([0-9]{1,18})$`)
)

// find returns the shop's number of the order that is meant.
func (r *tracer) find(ctx context.Context, what string) (int64, error) {
	what = strings.TrimSpace(what)
	if m := shopNumber.FindStringSubmatch(what); m != nil {
		return strconv.ParseInt(m[1], 10, 64)
	}
	orders, err := r.called(ctx, what)
	if err != nil {
		return 0, r.failed("look for "+what, err)
	}
	if len(orders) == 0 {
		return 0, fmt.Errorf("%q: %w: name it by the shop's number (4711), by the ERP's (W2026/17), or by the number of a document about it (F2026/17)", what, ErrUnknown)
	}
	rows, err := r.conn.Query(ctx, statements["linked"], orders)
	if err != nil {
		return 0, r.failed("look for "+what, err)
	}
	var shop string
	var order int64
	var ours []string
	var others []string
	var found int64
	_, err = pgx.ForEachRow(rows, []any{&shop, &order}, func() error {
		if shop != r.Shop {
			others = append(others, shop)
			return nil
		}
		ours, found = append(ours, strconv.FormatInt(order, 10)), order
		return nil
	})
	switch {
	case err != nil:
		return 0, r.failed("look for "+what, err)
	case len(ours) > 1:
		return 0, fmt.Errorf("%s is about several orders of shop %s: trace one of %s", what, r.Shop, strings.Join(ours, ", "))
	case len(ours) == 0 && len(others) > 0:
		return 0, fmt.Errorf("%s is about an order of shop %s: ask with that shop's configuration", what, others[0])
	case len(ours) == 0:
		return 0, fmt.Errorf("%s is about an order that no shop has placed: the ERP's people entered it, and Spola knows nothing of it", what)
	}
	return found, nil
}

// called returns the ERP's orders that a number is about.
func (r *tracer) called(ctx context.Context, number string) ([]int64, error) {
	query, args := statements["called"], []any{number}
	if own, err := r.there(ctx, "erp.sales_order"); err != nil {
		return nil, err
	} else if own {
		m := erpNumber.FindStringSubmatch(strings.ToUpper(number))
		if m == nil {
			return nil, nil
		}
		year, _ := strconv.Atoi(m[2])
		n, err := strconv.ParseInt(m[3], 10, 64)
		if err != nil {
			return nil, err
		}
		query, args = statements["numbered"], []any{m[1], year, n}
	}
	rows, err := r.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// unknown says why nothing is known of an order, and how to go on.
func (r *tracer) unknown() error {
	p := r.places["intake"]
	behind := ""
	if r.shop != nil && p.Offset >= 0 {
		if _, end := r.shop.Bounds(); end-p.Offset-1 > tailMost {
			behind = fmt.Sprintf(" Intake is %d records behind, and only the newest were not looked at.", end-p.Offset-1)
		}
	}
	if !r.whole {
		behind += " The shop's first snapshot is not complete yet."
	}
	return fmt.Errorf("order %d of shop %s: %w: neither the mirror nor what the log has beyond it names it.%s If the shop shows it, see whether cdc runs and reads on (applier status, cdc position)",
		r.t.Order, r.Shop, ErrUnknown, behind)
}
