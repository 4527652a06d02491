package writeback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/mysql"
)

// When the ERP's database was restored, the shop is the witness of what has reached it. Its marker says how much each stock row
// has really taken, and which parcels customers were told of.

// Taken is what a stock row of the shop has taken of the ledger.
type Taken struct {
	Row     string
	Number  int64 // of the entry that it was delivered by last
	Applied int64 // pieces, over the row's whole life
}

// Told is a parcel that a customer of the shop was told of.
type Told struct {
	Order    int64  `json:"order"` // of the shop
	Carrier  string `json:"carrier"`
	Tracking string `json:"tracking"`
}

// Witness is what the shop knows of what the ERP has sent.
type Witness struct {
	Taken []Taken
	Told  []Told
	Tick  int64 // of the shop's clock, when it was asked
}

// ReadWitness asks the shop, in one consistent look. url is of its database.
func ReadWitness(ctx context.Context, url string) (w Witness, err error) {
	conn, end, err := mysql.Connect(ctx, url, 0)
	if err != nil {
		return w, err
	}
	defer end()
	rows, err := conn.QueryContext(ctx, "SELECT name, number, applied, COALESCE(note, '') FROM "+mysql.Marker+" WHERE name = 'tick' OR name LIKE '%:%' OR name LIKE 'order.%'")
	if err != nil {
		return w, fmt.Errorf("read what has reached the shop: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, note string
		var t Taken
		if err := rows.Scan(&name, &t.Number, &t.Applied, &note); err != nil {
			return w, fmt.Errorf("read what has reached the shop: %w", err)
		}
		order, ofOrder := strings.CutPrefix(name, "order.")
		switch {
		case name == "tick":
			w.Tick = t.Number
		case ofOrder:
			w.told(order, note)
		default:
			t.Row = name
			w.Taken = append(w.Taken, t)
		}
	}
	if err := rows.Err(); err != nil {
		return w, fmt.Errorf("read what has reached the shop: %w", err)
	}
	return w, nil
}

// told adds the parcels of an order's mark; a note that says nothing of parcels has none.
func (w *Witness) told(order, note string) {
	id, err := strconv.ParseInt(order, 10, 64)
	var t told
	if err != nil || json.Unmarshal([]byte(note), &t) != nil {
		return
	}
	for _, p := range t.Parcels {
		w.Told = append(w.Told, Told{id, p.Carrier, p.Tracking})
	}
}

// PassOver takes the applier of stock to a place in the ERP's log, so that nothing before it is delivered any more, and lets it and that of
// orders follow this life of the ERP. One that runs is fenced. owner is for people.
func PassOver(ctx context.Context, url, owner string, to change.Stand, life int64) error {
	for _, applier := range []string{StockApplier, OrdersApplier} {
		if err := passOver(ctx, url, applier, owner, to, life); err != nil {
			return err
		}
	}
	return nil
}

func passOver(ctx context.Context, url, applier, owner string, to change.Stand, now int64) error {
	if _, err := mysql.Look(ctx, url, applier, Log); err != nil {
		if errors.Is(err, mysql.ErrNeverRan) {
			return nil
		}
		return err
	}
	target := mysql.NewTarget(url, applier, Log, owner)
	defer target.Close()
	l := life{row: lifeRow(applier)}
	from, err := target.Open(ctx, func(tx *mysql.Tx) error { return l.start(ctx, tx) })
	if err != nil {
		return err
	}
	tx, err := target.Begin(ctx)
	if err != nil {
		return err
	}
	if applier == OrdersApplier || to.Seq == 0 || from.Beyond(to.Place) {
		to = from // orders look at what the ERP is now, wherever they read
	}
	to.Applied = from.Applied
	if err := target.Move(ctx, tx, from, to); err != nil {
		return err
	}
	if err := l.save(ctx, tx, max(now, l.saved)); err != nil {
		return err
	}
	return target.Commit(ctx, tx)
}
