package intake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/clerk"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// backups are copies of both databases, of one moment.
type backups struct {
	database      string // the ERP's copy
	done          int
	applied       int64
	rows          map[string]map[int64]row
	lines         map[int64][]testLine
	marks         map[string]int64
	numbers       map[string]int64
	cancelledByUs map[int64]int64
}

// admin runs a statement beside the ERP's database, to which nobody is connected meanwhile.
func (w *lawWorld) admin(statements ...string) {
	w.t.Helper()
	ctx := context.Background()
	at, err := url.Parse(w.url)
	if err != nil {
		w.r.Fatal(err)
	}
	at.Path = "/postgres"
	conn, err := pgx.Connect(ctx, at.String())
	if err != nil {
		w.r.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, statement := range append([]string{"select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where datname = '" + w.database() + "'"}, statements...) {
		if _, err := conn.Exec(ctx, statement); err != nil {
			w.r.Fatalf("%s: %v", statement, err)
		}
	}
}

func (w *lawWorld) database() string {
	at, err := url.Parse(w.url)
	if err != nil {
		w.r.Fatal(err)
	}
	return strings.TrimPrefix(at.Path, "/")
}

// again connects everybody to the ERP anew.
func (w *lawWorld) again() {
	w.connect()
	w.started = false
	conn, err := pgx.Connect(w.t.Context(), w.url)
	if err != nil {
		w.r.Fatal(err)
	}
	w.r.Cleanup(func() { _ = conn.Close(context.Background()) })
	w.clerk, err = clerk.New(conn, clerk.Options{Seed: uint64(rapid.IntRange(1, 1000).Draw(w.r, "clerk")), Deeds: lawDeeds})
	if err != nil {
		w.r.Fatal(err)
	}
}

// save makes the backups.
func (w *lawWorld) save() *backups {
	b := &backups{database: w.database() + "_backup", done: w.done, applied: w.applied, rows: map[string]map[int64]row{}, lines: map[int64][]testLine{},
		marks: maps.Clone(w.marks), numbers: maps.Clone(w.numbers), cancelledByUs: maps.Clone(w.ours)}
	for table, rows := range w.shop.rows {
		b.rows[table] = map[int64]row{}
		for id, r := range rows {
			b.rows[table][id] = maps.Clone(r)
		}
	}
	for id, lines := range w.shop.lines {
		b.lines[id] = slices.Clone(lines)
	}
	w.admin("drop database if exists "+b.database, "create database "+b.database+" template "+w.database())
	w.again()
	return b
}

// restoreERP brings the ERP's database back. What has reached the shop since is known by its marks: intake stops at the first that it
// can't explain. Then it is recovered.
func (w *lawWorld) restoreERP(b *backups) {
	w.admin("drop database "+w.database()+" with (force)", "create database "+w.database()+" template "+b.database, "drop database "+b.database)
	w.done, w.applied = b.done, b.applied
	w.again()
	var last int64
	_, _ = fmt.Sscan(w.text("select coalesce(max(no), 0) from spola.stock_head"), &last)
	unknown := ""
	for row, number := range w.numbers {
		if number > max(last, b.numbers[row]) {
			unknown = row
		}
	}
	if rapid.Bool().Draw(w.r, "intake looks first") {
		before := w.done
		err := w.tryCatchUp(w.shop.testLog, 1)
		if unknown != "" && !errors.Is(err, postgres.ErrRestored) || err != nil && !errors.Is(err, postgres.ErrRestored) {
			w.r.Fatalf("the ledger ends at %d, %s was delivered entry %d, and intake read from %d to %d: %v", last, unknown, w.numbers[unknown], before, w.done, err)
		}
	}
	var taken []stock.Delivered
	for _, row := range slices.Sorted(maps.Keys(w.marks)) {
		taken = append(taken, stock.Delivered{StockRow: row, Number: w.numbers[row], Applied: w.marks[row]})
	}
	err := w.inTx(func(tx pgx.Tx) error {
		return stock.Recover(w.t.Context(), tx, stock.Recovery{Shop: w.name, Who: "anna", LogEnd: change.Place{}, Taken: taken, Seen: stock.NewSeen(), Tick: int64(w.shop.ticks), Found: map[string]bool{"a_test": true}})
	})
	if err != nil {
		w.r.Fatal(err)
	}
	w.started = false
}

// restoreShop brings the shop's tables back, our marker among them, and has it read as another life of it.
func (w *lawWorld) restoreShop(b *backups) {
	w.admin("drop database " + b.database)
	w.again()
	w.shop.rows, w.shop.lines, w.marks, w.numbers, w.ours = b.rows, b.lines, b.marks, b.numbers, b.cancelledByUs
	w.shop.claim(2)
	for _, row := range lawRows {
		w.mark(row, w.numbers[row], w.marks[row], 0)
	}
	for id := range w.shop.ids["order"] {
		w.mark(fmt.Sprintf("order.%d", id+1), w.ours[id+1], 0, 0)
	}
	w.shop.snapshot(2, false)
	w.end()
}

// claim is the log's, of this life of the shop.
func (l *testLog) claim(life int64) {
	l.record(change.Record{Op: change.Claim, Key: change.OwnKey(change.Claim), Value: fmt.Appendf(nil,
		`{"before":null,"after":null,"source":{},"op":"m","ts_ms":0,"ts_us":0,"transaction":null,"message":{"kind":"claim","generation":1,"incarnation":%d,"owner":"","state":null}}`, life)})
}

// Either database is restored from a backup while the other, and the log, go on; with whatever strays beside it. In the end each row shows what there
// is, and no order is in the ERP twice.
func TestLawOverRestores(t *testing.T) {
	fewer(t, "4")
	had := postgres.SeenWithin
	postgres.SeenWithin = 0
	t.Cleanup(func() { postgres.SeenWithin = had })
	erp := newTestERP(t)
	rapid.Check(t, func(r *rapid.T) {
		w := newLawWorld(r, erp)
		w.shop.claim(1)
		w.end()
		w.watch(func() {})
		some := func() {
			for range rapid.IntRange(5, 30).Draw(r, "steps") {
				w.act(true)
			}
		}
		some()
		saved := w.save()
		some()
		if rapid.Bool().Draw(r, "of the ERP") {
			w.restoreERP(saved)
		} else {
			w.restoreShop(saved)
		}
		some()
		w.rest(true)
		if n := w.text("select count(*) - count(distinct (shop, shop_number)) from erp.sales_order where channel = 'web'"); n != "0" {
			r.Fatalf("%s orders are in the ERP twice", n)
		}
	})
}
