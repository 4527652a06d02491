package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

type rowForm struct {
	Op, Table, Key, Value, Origin string
	Last                          bool
	Time                          int64
}

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
func checkChain(t *testing.T, records []change.Record) {
	t.Helper()
	var last change.Position
	for i, r := range records {
		if r.Seq != int64(i+1) {
			t.Fatalf("record %d has number %d", i+1, r.Seq)
		}
		o, err := change.ParseOrigin(r.Origin)
		if err != nil {
			t.Fatal(err)
		}
		if o.Kind == change.Create {
			if o.Tx.GTID == last.GTID && o.Tx.Row <= last.Row {
				t.Fatalf("record %d repeats row %d of %s", r.Seq, o.Tx.Row, o.Tx.GTID)
			}
			if o.Tx.GTID != last.GTID && last.GTID != "" && !last.End {
				t.Fatalf("record %d begins %s, though %s has no end", r.Seq, o.Tx.GTID, last.GTID)
			}
			last = o.Tx
		}
		inside := last.GTID != "" && !last.End
		if r.Op != change.Read && r.Last == inside && o.Kind != change.Read && o.Kind != change.Schema {
			t.Fatalf("record %d (%s, %s): last is %v within %v", r.Seq, r.Op, r.Origin, r.Last, inside)
		}
	}
}

// A reader that is killed between any two records writes, with those after it, the same rows
// as one that never was.
func TestResumeAtEveryRecord(t *testing.T) {
	line := Capture{Name: "public.line", Needed: []string{"order_id"}}
	e := newERP(t, server.OwnPostgres(t), stock, line)
	e.exec(stockTable)
	e.exec("CREATE TABLE line (id bigint PRIMARY KEY, order_id bigint, name text)")
	e.exec("CREATE TABLE unpublished (id bigint PRIMARY KEY, data text)")
	e.publish()
	e.start()
	e.snapshotDone(1)
	e.end()
	begun := e.log.all()

	// Its own rows: many in a transaction, keys that change, rows of tables that are not
	// published in between, one row, and a table that is altered.
	tx, err := e.conn.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 4; i++ {
		for _, statement := range []string{
			fmt.Sprintf("INSERT INTO stock VALUES (%d, %d, 1)", i, i+30),
			fmt.Sprintf("INSERT INTO unpublished VALUES (%d, 'x'), (%d, 'y')", i, i+100),
			fmt.Sprintf("INSERT INTO line VALUES (%d, %d, 'a'), (%d, %d, 'b')", i, i, i+100, i),
			fmt.Sprintf("UPDATE line SET id = id + 1000 WHERE order_id = %d", i),
		} {
			if _, err := tx.Exec(context.Background(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tx.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	e.exec("UPDATE stock SET on_hand = 2 WHERE id = 1")
	e.exec("ALTER TABLE line ADD COLUMN extra int")
	e.exec("DELETE FROM line")
	e.exec("INSERT INTO stock VALUES (99, 99, 1, 'the end')")

	// The slot is copied for the reader that is killed: the other one's lets go of what it has read.
	killed := e.cfg.Slot + "_killed"
	e.exec("SELECT pg_copy_logical_replication_slot($1, $2)", e.cfg.Slot, killed)
	e.start()
	e.row("public.stock", "the end")
	e.end()
	want := formsOf(e.log.all(), "public.stock", "public.line")
	if len(want) != 38 {
		t.Fatalf("%d rows, want 38: %s", len(want), summary(e.log.all()))
	}

	e.log = newLog()
	e.log.Append(context.Background(), begun)
	e.cfg.Slot = killed
	for kills := 0; ; kills++ {
		e.log.takes(2) // the claim and one more
		e.start()
		if err := e.ended(); !errors.Is(err, errKilled) {
			t.Fatalf("after %d kills: %v", kills, err)
		}
		got := formsOf(e.log.all(), "public.stock", "public.line")
		if len(got) >= len(want) {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("after %d kills the log differs: %s", kills, diff)
			}
			checkChain(t, e.log.all())
			return
		}
		if kills > 200 {
			t.Fatalf("no end after %d kills: %s", kills, summary(e.log.all()))
		}
	}
}
