package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spola-cdc/spola/internal/change"
)

// rowForm is what of a row's record must not depend on how often the reader was killed.
type rowForm struct {
	Op, Table, Key, Value, Origin string
	Last                          bool
	Time                          int64
}

// formsOf are the records of the shop's own rows, in order.
func formsOf(records []change.Record, tables ...string) []rowForm {
	var out []rowForm
	for _, r := range records {
		for _, table := range tables {
			if r.Table == table && (r.Op == change.Create || r.Op == change.Update || r.Op == change.Delete) {
				out = append(out, rowForm{string(r.Op), r.Table, string(r.Key), string(r.Value), r.Origin, r.Last, r.Time})
			}
		}
	}
	return out
}

// checkChain compares numbers, sums and borders of a log that many owners wrote, and that each of
// Spola's own records repeats the last position and its anchor: whoever finds nothing else goes on from it.
func checkChain(t *testing.T, records []change.Record) {
	t.Helper()
	var last, at change.Position
	var anchor string
	for i, r := range records {
		if r.Seq != int64(i+1) {
			t.Fatalf("record %d has number %d", i+1, r.Seq)
		}
		o, err := change.ParseOrigin(r.Origin)
		if err != nil {
			t.Fatal(err)
		}
		switch o.Kind {
		case change.Create:
			if o.Tx.GTID == last.GTID && o.Tx.Row <= last.Row {
				t.Fatalf("record %d repeats row %d of %s", r.Seq, o.Tx.Row, o.Tx.GTID)
			}
			if o.Tx.GTID != last.GTID && last.GTID != "" && !last.End {
				t.Fatalf("record %d begins %s, though %s has no end", r.Seq, o.Tx.GTID, last.GTID)
			}
			last = o.Tx
			at, anchor = o.Tx, statedAnchor(t, r.Value)
		case change.Schema:
			at, anchor = o.Tx, statedAnchor(t, r.Value)
		default:
			if at.GTID != "" && (o.Tx != at || r.Op != change.Read && statedAnchor(t, r.Value) != anchor) {
				t.Fatalf("record %d (%s) is at %s with anchor %q, behind %s with anchor %q", r.Seq, r.Op, o.Tx, statedAnchor(t, r.Value), at, anchor)
			}
		}
		inside := last.GTID != "" && !last.End
		if r.Op != change.Read && r.Last == inside && o.Kind != change.Read && o.Kind != change.Schema {
			t.Fatalf("record %d (%s, %s): last is %v within %v", r.Seq, r.Op, r.Origin, r.Last, inside)
		}
	}
}

// statedAnchor is the checksum in an envelope's transaction block.
func statedAnchor(t *testing.T, value []byte) string {
	t.Helper()
	var envelope struct {
		Transaction struct{ Anchor string }
	}
	if err := json.Unmarshal(value, &envelope); err != nil {
		t.Fatalf("%v in %s", err, value)
	}
	return envelope.Transaction.Anchor
}

// A reader that is killed between any two records writes, with those after it, the same rows
// as one that never was.
func TestResumeAtEveryRecord(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		lines := Capture{Name: "oc_order_product", Columns: []string{"id", "order_id", "name"}, Key: []string{"id"}, Order: "order_id"}
		s := newShop(t, url, orders, lines)
		s.exec(ordersTable)
		s.exec("CREATE TABLE oc_order_product (id int NOT NULL PRIMARY KEY, order_id int, name varchar(50))")
		s.exec("CREATE TABLE oc_session (id int NOT NULL PRIMARY KEY, data text)")
		s.start()
		s.snapshotDone(1)
		s.end()
		begun := s.log.all()

		// Its own rows: many in a transaction, keys that change, rows of tables that are not
		// captured in between, one row, and a table that is altered.
		tx, err := s.db.BeginTx(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 4; i++ {
			for _, statement := range []string{
				fmt.Sprintf("INSERT INTO oc_order (order_id, total) VALUES (%d, 1)", i),
				fmt.Sprintf("INSERT INTO oc_session VALUES (%d, 'x'), (%d, 'y')", i, i+100),
				fmt.Sprintf("INSERT INTO oc_order_product VALUES (%d, %d, 'a'), (%d, %d, 'b')", i, i, i+100, i),
				fmt.Sprintf("UPDATE oc_order_product SET id = id + 1000 WHERE order_id = %d", i),
			} {
				if _, err := tx.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		s.exec("UPDATE oc_order SET total = 2 WHERE order_id = 1")
		s.exec("ALTER TABLE oc_order_product ADD COLUMN extra int")
		s.exec("DELETE FROM oc_order_product")
		s.exec("INSERT INTO oc_order (order_id, comment) VALUES (99, 'the end')")

		s.start()
		s.row("oc_order", "the end")
		s.end()
		want := formsOf(s.log.all(), "oc_order", "oc_order_product")

		s.log = newLog()
		s.log.Append(context.Background(), begun)
		for kills := 0; ; kills++ {
			s.log.takes(2) // the claim and one more
			s.start()
			if err := s.ended(); !errors.Is(err, errKilled) {
				t.Fatalf("after %d kills: %v", kills, err)
			}
			got := formsOf(s.log.all(), "oc_order", "oc_order_product")
			if len(got) > 0 && got[len(got)-1].Table == "oc_order" && len(got) >= len(want) {
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("after %d kills the log differs: %s", kills, diff)
				}
				checkChain(t, s.log.all())
				return
			}
			if kills > 400 {
				t.Fatalf("no end after %d kills: %s", kills, summary(s.log.all()))
			}
		}
	})
}

// A small transaction goes to the log in one piece: its end would wait for the acknowledgement of what went before.
func TestTransactionGoesInOnePiece(t *testing.T) {
	bothServers(t, func(t *testing.T, url string) {
		s := newShop(t, url, orders)
		s.exec(ordersTable)
		s.start()
		s.snapshotDone(1)
		s.log.mu.Lock()
		s.log.halves = 0
		s.log.mu.Unlock()
		const transactions = 200
		for i := range transactions {
			tx, err := s.db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			for n := range 7 { // each an event of its own
				if _, err := tx.Exec("INSERT INTO oc_order (total, comment) VALUES (?, ?)", n, fmt.Sprintf("order %d", i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		s.row("oc_order", fmt.Sprintf("order %d", transactions-1))
		s.end()
		if s.log.halves > 0 {
			t.Errorf("%d of %d transactions went in several pieces", s.log.halves, transactions)
		}
	})
}
