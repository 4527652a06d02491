package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"strconv"
)

// Since bounds the orders that leave the shop: those whose number is below that of the first
// order placed on the day or later stay there, in snapshots and in the stream alike, so that of
// an order all rows leave or none, whatever is done to it later.
type Since struct {
	Table, Column string // when an order was placed
	Day           string // 2026-01-01
}

// Bound is what a Since has come to when the log was begun. It stands in the log, so that it
// stays the same whatever is deleted meanwhile.
type Bound struct {
	Day  string `json:"day"`
	From int64  `json:"from"` // number of the first order that leaves the shop
}

// day is the bound's day, empty if all orders leave the shop.
func (b *Bound) day() string {
	if b == nil {
		return ""
	}
	return b.Day
}

// bound finds the first order that leaves the shop, when a log begins, and holds a log to it.
// Orders that left once are in the ERP: none is left behind later. Earlier ones may only follow
// with a snapshot of everything.
func (r *reader) bound(ctx context.Context, db *sql.DB, first bool) error {
	want, have := "", r.state.Bound.day()
	if r.cfg.Since != nil {
		want = r.cfg.Since.Day
	}
	earlier := have != "" && want < have
	switch {
	case first, earlier && r.cfg.NewIncarnation:
		r.state.Bound = nil
		if want != "" {
			from, err := firstOrder(ctx, db, r.cfg)
			if err != nil {
				return err
			}
			r.state.Bound = &Bound{Day: want, From: from}
			r.log.Info().Int64("first", from).Str("since", want).Msg("orders before the first stay in the shop")
		}
	case want != have:
		mend := fmt.Sprintf("write orders_since: %q again", have)
		if earlier {
			mend += ", or begin anew with `cdc run --new-incarnation`: it takes a full snapshot with the earlier orders"
		}
		return &StopError{Kind: ErrBound, What: fmt.Sprintf("it is %q, and the log was begun with %q", want, have), Mend: mend}
	}
	for _, t := range r.tables {
		if t.capture.Order != "" && r.state.Bound != nil {
			t.from = r.state.Bound.From
		}
	}
	return nil
}

// firstOrder is the number of the first order that was placed on the day, or later; of the next
// one to come if there is none. A day is taken in before, for the shop's clock may have another
// zone.
func firstOrder(ctx context.Context, db *sql.DB, cfg *Config) (int64, error) {
	c, _ := cfg.capture(cfg.Since.Table)
	order, table := quoteName(c.Order), quoteName(c.Name)
	query := "SELECT COALESCE((SELECT MIN(" + order + ") FROM " + table + " WHERE " + quoteName(cfg.Since.Column) + " >= ? - INTERVAL 1 DAY)," +
		" (SELECT MAX(" + order + ") + 1 FROM " + table + "), 1)"
	var from int64
	if err := db.QueryRowContext(ctx, query, cfg.Since.Day).Scan(&from); err != nil {
		return 0, fmt.Errorf("look for the first order since %s: %w", cfg.Since.Day, err)
	}
	return from, nil
}

// leaves tells whether a row leaves the shop: by the value of the column that bounds the table,
// and by that of the order it belongs to.
func (t *table) leaves(only, order []byte) bool {
	if t.capture.Only != nil && !t.allowed[string(only)] {
		return false
	}
	if t.from == 0 {
		return true
	}
	number, err := strconv.ParseInt(string(bytes.Trim(order, `"`)), 10, 64)
	return err != nil || number >= t.from // what names no order is not for the bound to judge
}
