package stock

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/schemas"
)

// Unlike is a row that the shop and its mirror have otherwise, though the shop's log names no change of it: somebody has changed it behind the binary log's back.
type Unlike struct {
	Table  string `json:"table"`            // of the shop
	Key    int64  `json:"key"`              // of the row
	What   string `json:"what"`             // columns that are compared: "quantity, subtract"
	Shop   string `json:"shop,omitempty"`   // what the shop has in them, "5, 1"; absent: no such row
	Mirror string `json:"mirror,omitempty"` // and the mirror
}

const (
	sure    = 3  // looks at a row that see the same, before it is told
	patient = 10 // looks at a range; a row that changes as long as that has come into the mirror with its last change, or will
)

// unlike finds the rows of the shop's stock that the mirror has otherwise, and tells how many rows it has compared. It writes nothing but probes.
//
// A row is told if between two probes neither the shop's row nor the mirrored one nor that one's number in the log has changed: then the log has no change of it,
// and what the shop shows between the two is not what it says. Lag is never told, however far the mirror is behind.
func (s *Shop) unlike(ctx context.Context, conn *pgx.Conn, shop string) (all []Unlike, rows int64, err error) {
	// Orders applier verify compares, in all that they say.
	goods := slices.DeleteFunc(slices.Clone(s.Tables), func(t schemas.Compared) bool { return t.Bounded })
	rows, err = s.eachTable(ctx, conn, shop, goods, func(c comparison, found []keyRange) error {
		for _, r := range found {
			some, err := c.unlike(ctx, r)
			if err != nil {
				return fmt.Errorf("compare rows of table %s%s with their mirror: %w", s.Prefix, c.table.Table, err)
			}
			all = append(all, some...)
		}
		return nil
	})
	return all, rows, err
}

// sighting is a row as it was seen in both databases, with the number in the log of the mirrored one.
type sighting struct {
	shop, mirror string
	at           int64
}

// unlike looks at each row of a range until all are either the same, sure, or patience ends.
func (c comparison) unlike(ctx context.Context, r keyRange) (all []Unlike, err error) {
	before, same := map[int64]sighting{}, map[int64]int{} // rows that differ → looks in a row that saw the same
	for range patient {
		rows, err := c.sight(ctx, r)
		if err != nil {
			return nil, err
		}
		undecided, looked := false, map[int64]int{}
		for key, now := range rows {
			if now.shop == now.mirror {
				continue
			}
			looked[key] = 1
			if now == before[key] {
				looked[key] += same[key]
			}
			undecided = undecided || looked[key] < sure
		}
		before, same = rows, looked
		if !undecided {
			break
		}
		if err := wait(ctx, lagging); err != nil {
			return nil, err
		}
	}
	for key, n := range same {
		if n >= sure {
			all = append(all, Unlike{Table: c.Prefix + c.table.Table, Key: key, What: strings.Join(c.table.Columns, ", "), Shop: before[key].shop, Mirror: before[key].mirror})
		}
	}
	slices.SortFunc(all, func(a, b Unlike) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}

// sight reads the shop's rows of a range, waits until what was committed by then stands in the mirror, and reads that.
func (c comparison) sight(ctx context.Context, r keyRange) (map[int64]sighting, error) {
	rows := map[int64]sighting{}
	shown, err := c.DB.QueryContext(ctx, "SELECT "+my(c.table.Key)+", CONCAT_WS(', ', "+strings.Join(c.texts(my, "CHAR"), ", ")+") FROM "+my(c.Prefix+c.table.Table)+c.within(r, my))
	if err != nil {
		return nil, err
	}
	defer func() { _ = shown.Close() }()
	for shown.Next() {
		var key int64
		var row sighting
		if err := shown.Scan(&key, &row.shop); err != nil {
			return nil, err
		}
		rows[key] = row
	}
	if err := shown.Err(); err != nil {
		return nil, err
	}
	if err := c.caughtUp(ctx, c.conn, c.shop); err != nil {
		return nil, err
	}
	mirrored, err := c.conn.Query(ctx, "select "+pg(c.table.Key)+"::bigint, concat_ws(', ', "+strings.Join(c.texts(pg, "text"), ", ")+"), spola_at from "+c.mirrored()+c.within(r, pg), pgx.QueryExecModeExec)
	if err != nil {
		return nil, err
	}
	var key, at int64
	var text string
	_, err = pgx.ForEachRow(mirrored, []any{&key, &text, &at}, func() error {
		rows[key] = sighting{rows[key].shop, text, at}
		return nil
	})
	return rows, err
}
