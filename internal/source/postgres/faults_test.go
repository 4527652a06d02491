package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pglogrepl"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// anew begins a new generation and incarnation of the log, as `cdc run erp --new-incarnation` does.
func (e *erp) anew() {
	tail := e.log.tail()
	last := e.log.all()[len(e.log.all())-1]
	tail.Generation++
	tail.Predecessor = &change.Predecessor{Gen: last.Gen, Seq: last.Seq, Sum: change.FormatSum(last.Sum), Origin: last.Origin}
	e.log.mu.Lock()
	e.log.place = change.Place{Gen: tail.Generation}
	e.log.mu.Unlock()
	e.cfg.NewIncarnation = true
	e.startWith(tail)
	e.cfg.NewIncarnation = false
}

// lastRun is the number of the last snapshot run that has ended.
func lastRun(records []change.Record) int64 {
	var run int64
	for _, r := range records {
		var m change.ChunkMessage
		if r.Op == change.Chunk && change.Message(r.Value, &m) == nil && m.LastOfRun {
			run = m.Run
		}
	}
	return run
}

// broughtBack shows that a new incarnation tells what the table holds.
func (e *erp) broughtBack() { e.t.Helper(); e.broughtBackAs(2) }

func (e *erp) broughtBackAs(incarnation int64) {
	e.t.Helper()
	before := lastRun(e.log.all())
	records := len(e.log.all())
	e.anew()
	e.snapshotDone(before + 1)
	behind := fmt.Sprintf("behind it, %d", incarnation)
	e.exec("INSERT INTO stock VALUES ($1, 1, 1, $2)", 70000+incarnation, behind)
	e.row("public.stock", behind)
	e.end()
	all := e.log.all()
	if diff := cmp.Diff(e.stored(), folded(e.t.(*testing.T), all[records:], "public.stock")); diff != "" {
		e.t.Errorf("the new incarnation does not tell what the table holds: %s", diff)
	}
	var m change.ClaimMessage
	if err := change.Message(all[records].Value, &m); err != nil || m.Incarnation != incarnation {
		e.t.Errorf("claim of incarnation %d, %v", m.Incarnation, err)
	}
	// And it goes on by itself.
	e.start()
	next := fmt.Sprintf("next start, %d", incarnation)
	e.exec("INSERT INTO stock VALUES ($1, 1, 1, $2)", 80000+incarnation, next)
	e.row("public.stock", next)
	e.end()
}

func TestLostSlot(t *testing.T) {
	e := newStock(t, server.OwnPostgres(t))
	e.end()
	e.dropSlot()
	e.exec("INSERT INTO stock VALUES (1, 1, 1, 'unread')")
	e.start()
	e.stops(ErrSlot, "is gone", "--new-incarnation")
	e.broughtBack()
}

// The server gives a slot up when cdc was away for longer than the disk is to bear.
func TestInvalidatedSlot(t *testing.T) {
	e, _ := privateERP(t, map[string]string{"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"})
	e.exec(stockTable)
	e.publish()
	e.start()
	e.snapshotDone(1)
	e.end()
	for i := range 4 {
		e.exec("INSERT INTO stock VALUES ($1, 1, 1, 'unread')", i)
		e.exec("SELECT pg_switch_wal()")
	}
	e.exec("CHECKPOINT")
	if s := e.slot(); s == nil || s.status != "lost" {
		t.Fatalf("the slot is %+v: the test does not do what it says", s)
	}
	e.start()
	e.stops(ErrSlot, "invalidated", "max_slot_wal_keep_size")
	e.broughtBack()
}

// A slot that has let go of more than the log tells has lost what lies between.
func TestSlotAheadOfTheLog(t *testing.T) {
	e := newStock(t, server.OwnPostgres(t))
	e.exec("INSERT INTO stock VALUES (1, 1, 1, 'kept')")
	e.row("public.stock", "kept")
	e.end()
	shorter := e.log.all()
	e.start()
	e.exec("INSERT INTO stock VALUES (2, 1, 1, 'lost with the log')")
	record := e.row("public.stock", "lost with the log")
	position, err := change.ParseOrigin(record.Origin)
	if err != nil {
		t.Fatal(err)
	}
	commit, err := commitOf(position.Tx)
	if err != nil {
		t.Fatal(err)
	}
	e.letGoOf(commit)
	e.end()
	e.log = newLog()
	e.log.Append(context.Background(), shorter)
	e.start()
	e.stops(ErrSlot, "lost to the log")
	e.broughtBack()
}

// letGoOf waits until the server was told that the log has the transaction.
func (e *erp) letGoOf(commit pglogrepl.LSN) {
	e.t.Helper()
	for range 200 {
		if e.slot().confirmed >= commit {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	e.t.Fatalf("the slot stands at %s and does not come to %s", e.slot().confirmed, commit)
}

// The server lets go of nothing that Kafka has not acknowledged, and of the last transaction of
// the log not at all: a new owner compares it.
func TestOnlyAcknowledgedIsLetGo(t *testing.T) {
	e := newStock(t, server.OwnPostgres(t))
	e.exec("INSERT INTO stock VALUES (1, 1, 1, 'before')")
	e.row("public.stock", "before")
	e.log.acknowledges(false)
	e.exec("INSERT INTO stock VALUES (2, 1, 1, 'not acknowledged')")
	record := e.row("public.stock", "not acknowledged")
	position, err := change.ParseOrigin(record.Origin)
	if err != nil {
		t.Fatal(err)
	}
	commit, err := commitOf(position.Tx)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond) // two statuses
	if at := e.slot().confirmed; at >= commit {
		t.Errorf("the slot has let go of %s, which was not acknowledged: %s", commit, at)
	}
	e.log.acknowledges(true)
	e.letGoOf(commit)
	e.end()
	// Other databases of the server may have moved it on, but never past what the log tells.
	if at := e.slot().confirmed; at > e.told() {
		t.Errorf("the slot has let go of %s, the log ends with %s", at, e.told())
	}
}

// told is the last transaction that the log tells of.
func (e *erp) told() pglogrepl.LSN {
	e.t.Helper()
	state, err := ReadState(context.Background(), e.log.tail())
	if err != nil {
		e.t.Fatal(err)
	}
	commit, err := commitOf(state.at)
	if err != nil {
		e.t.Fatal(err)
	}
	return commit
}

// Behind a chunk, the log tells of what the server has let go of.
func TestLetGoBehindChunks(t *testing.T) {
	e := newERP(t, server.OwnPostgres(t), stock)
	e.cfg.ChunkRows = 2
	e.exec(stockTable)
	e.exec("INSERT INTO stock SELECT i, i, 0, NULL FROM generate_series(1, 9) i")
	e.publish()
	e.start()
	e.snapshotDone(1)
	e.letGoOf(e.told())
	e.end()
	e.start()
	e.exec("INSERT INTO stock VALUES (10, 1, 1, 'next start')")
	e.row("public.stock", "next start")
	e.end()
}

// While only tables are written that nobody publishes, the server is let go of its log too.
func TestUnpublishedWritesHoldNothingBack(t *testing.T) {
	e := newERP(t, server.OwnPostgres(t), stock)
	e.cfg.advance = 1 << 20
	e.exec(stockTable)
	e.exec("CREATE TABLE other (data text)")
	e.publish()
	e.start()
	e.snapshotDone(1)
	records := len(e.log.all())
	e.exec("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
	var end string
	if err := e.conn.QueryRow(t.Context(), "SELECT pg_current_wal_flush_lsn()::text").Scan(&end); err != nil {
		t.Fatal(err)
	}
	lsn, err := pglogrepl.ParseLSN(end)
	if err != nil {
		t.Fatal(err)
	}
	e.letGoOf(lsn - 1<<20)
	e.end()
	for _, r := range e.log.all()[records:] {
		if r.Op != change.Heartbeat {
			t.Errorf("%s in the log", r.Op)
		}
	}
	e.start() // and goes on from there
	e.exec("INSERT INTO stock VALUES (1, 1, 1, 'behind it')")
	e.row("public.stock", "behind it")
	e.end()
}

// TestOtherHistory: a server that was restored, promoted, or is another one is not read.
func TestOtherHistory(t *testing.T) {
	e, s := privateERP(t, nil)
	e.exec(stockTable)
	e.publish()
	e.start()
	e.snapshotDone(1)
	e.exec("INSERT INTO stock VALUES (1, 1, 1, 'in the backup')")
	e.row("public.stock", "in the backup")
	e.end()
	stopServer := func() {
		e.conn.Close(context.Background())
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	startServer := func() {
		if err := s.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		e.connect()
	}
	backup := s.DataDir() + ".backup"
	stopServer()
	command(t, "cp", "-a", s.DataDir(), backup)
	startServer()
	e.start()
	e.exec("INSERT INTO stock SELECT i, 1, 1, 'lost' FROM generate_series(2, 50) i")
	e.exec("INSERT INTO stock VALUES (51, 1, 1, 'lost at last')")
	e.row("public.stock", "lost at last")
	e.end()

	// Restored with its slot, as a copy of the disk is. It has less than the log.
	stopServer()
	command(t, "rm", "-rf", s.DataDir())
	command(t, "cp", "-a", backup, s.DataDir())
	startServer()
	e.start()
	e.stops(ErrAnchor, "restored")
	// And more, but something else.
	e.exec("INSERT INTO stock SELECT i, 1, 1, 'other history' FROM generate_series(1000, 2000) i")
	e.start()
	e.stops(ErrAnchor, "--new-incarnation")
	e.broughtBack()

	// Promoted: another timeline.
	stopServer()
	command(t, "touch", s.DataDir()+"/standby.signal")
	command(t, "chown", "--reference="+s.DataDir()+"/PG_VERSION", s.DataDir()+"/standby.signal")
	startServer()
	if found, err := Preflight(t.Context(), e.cfg); err != nil || !has(found, "standby") {
		t.Errorf("preflight of a standby: %+v, %v", found, err)
	}
	e.exec("SELECT pg_promote()")
	e.start()
	e.stops(ErrAnchor, "promoted")
	e.broughtBackAs(3)
}

// A server that is to end waits until its reader has confirmed all, also what holds no transaction and is never confirmed: the reader lets
// it go at once, and goes on when it is there again.
func TestServerEndsWhileItIsRead(t *testing.T) {
	e, s := privateERP(t, nil)
	e.cfg.watch, e.cfg.silence = time.Hour, time.Hour // neither is what lets it go
	e.exec(stockTable)
	e.publish()
	e.start()
	e.snapshotDone(1)
	e.exec("INSERT INTO stock VALUES (1, 1, 1, 'before')")
	e.row("public.stock", "before")
	e.exec("CREATE TABLE unpublished AS SELECT generate_series(1, 1000)")
	e.conn.Close(context.Background())
	if err := s.Stop(context.Background()); err != nil { // which kills it after a minute
		t.Fatal(err)
	}
	if log, err := os.ReadFile(s.LogFile()); err != nil || !strings.Contains(string(log), "database system is shut down") {
		t.Errorf("it had to be killed: %v\n%s", err, log)
	}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	e.connect()
	e.exec("INSERT INTO stock VALUES (2, 1, 1, 'behind')")
	e.row("public.stock", "behind")
	e.end()
}

// How much may be written until the slot is given up, and how long that lasts.
func TestWALKept(t *testing.T) {
	e, _ := privateERP(t, map[string]string{"max_slot_wal_keep_size": "64MB", "min_wal_size": "32MB", "max_wal_size": "32MB"})
	e.exec(stockTable)
	e.publish()
	kept := func() Kept {
		t.Helper()
		k, err := WALKept(t.Context(), e.cfg)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if k := kept(); k.Bytes != 64<<20 || k.For <= 0 || k.Unread != -1 {
		t.Errorf("before there is a slot: %+v", k)
	}
	e.start()
	e.snapshotDone(1)
	e.end()
	before := kept()
	if before.Bytes < 32<<20 || before.Bytes > 96<<20 || before.For <= 0 {
		t.Errorf("with a slot: %+v", before)
	}
	for range 2 {
		e.exec("SELECT pg_logical_emit_message(true, 'other', repeat('x', 1000000))")
		e.exec("SELECT pg_switch_wal()")
	}
	if k := kept(); k.Bytes > before.Bytes-16<<20 || before.Unread < 0 || k.Unread < before.Unread+16<<20 {
		t.Errorf("behind 32 MB: %+v, before %+v", k, before)
	}
	for range 6 {
		e.exec("SELECT pg_logical_emit_message(true, 'other', repeat('x', 1000000))")
		e.exec("SELECT pg_switch_wal()")
	}
	e.exec("CHECKPOINT")
	if k := kept(); k.Bytes != 0 {
		t.Errorf("the slot is lost: %+v", k)
	}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func TestTruncateStops(t *testing.T) {
	e := newStock(t, server.OwnPostgres(t))
	e.exec("INSERT INTO stock VALUES (1, 1, 1, 'before it')")
	e.exec("TRUNCATE stock")
	e.stops(ErrStatement, "public.stock", "TRUNCATE")
	e.start() // and again, at the same place
	e.stops(ErrStatement, "TRUNCATE")
	if rows := rowsOf(e.log.all(), "public.stock"); len(rows) != 1 {
		t.Errorf("%d rows stand before it", len(rows))
	}
	e.broughtBack()
}

// A column that comes in the middle of the stream is announced before its first row, and the
// table is read again.
func TestColumnsComeAndGo(t *testing.T) {
	e := newStock(t, server.OwnPostgres(t))
	e.exec("INSERT INTO stock VALUES (1, 1, 1, 'old')")
	e.exec("BEGIN; INSERT INTO stock VALUES (2, 1, 1, 'old'); ALTER TABLE stock ADD COLUMN place text DEFAULT 'shelf'; INSERT INTO stock VALUES (3, 1, 1, 'new', 'bin'); COMMIT")
	e.row("public.stock", `"place":"bin"`)
	e.snapshotDone(2)
	e.exec("ALTER TABLE stock DROP COLUMN note, ALTER COLUMN on_hand TYPE numeric(10,1)")
	e.exec("INSERT INTO stock (id, article_id, on_hand) VALUES (4, 1, 2)")
	e.row("public.stock", `"on_hand":"2.0"`)
	e.snapshotDone(3)
	e.end()
	version, shapes := 0, map[int]string{}
	for _, r := range e.log.all() {
		if r.Op == change.Schema {
			var m change.SchemaMessage
			if err := change.Message(r.Value, &m); err != nil {
				t.Fatal(err)
			}
			version = m.Version
			for _, c := range m.Columns {
				shapes[version] += c.Name + " "
			}
		}
		if r.Op.IsRow() && r.Schema != version {
			t.Errorf("row %s has version %d, announced was %d", r.Key, r.Schema, version)
		}
	}
	want := map[int]string{1: "id article_id on_hand note ", 2: "id article_id on_hand note place ", 3: "id article_id on_hand place "}
	if diff := cmp.Diff(want, shapes); diff != "" {
		t.Error(diff)
	}
	for key, row := range folded(t, e.log.all(), "public.stock") {
		if !strings.Contains(row, `"place":"`) || strings.Contains(row, "note") {
			t.Errorf("%s ends as %s", key, row)
		}
	}
	checkChain(t, e.log.all())
}

// A long value that an update leaves alone is known from the old row; where that does not come
// whole, the stream stops rather than tell a row with a hole.
func TestLongValues(t *testing.T) {
	e := newStock(t, server.OwnPostgres(t))
	long := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz ", 3000)
	e.exec("ALTER TABLE stock ALTER COLUMN note SET STORAGE EXTERNAL")
	e.exec("INSERT INTO stock VALUES (1, 1, 1, $1)", long)
	e.exec("UPDATE stock SET on_hand = 4711 WHERE id = 1")
	if r := e.row("public.stock", `"on_hand":4711`); strings.Count(string(r.Value), long) != 2 {
		t.Error("the update does not tell the long value before and after it")
	}
	e.exec("ALTER TABLE stock REPLICA IDENTITY DEFAULT")
	e.exec("UPDATE stock SET on_hand = 4712 WHERE id = 1")
	e.stops(ErrShape, "note", "REPLICA IDENTITY FULL")
}

// A row that the log does not take leaves a stub, with its key and what names its article.
func TestRowTooBig(t *testing.T) {
	e := newERP(t, server.OwnPostgres(t), stock)
	e.log.largest = 10000
	e.exec(stockTable)
	e.exec("INSERT INTO stock VALUES (1, 31, 1, repeat('x', 20000))")
	e.publish()
	e.start()
	e.snapshotDone(1)
	e.exec("INSERT INTO stock VALUES (2, 32, 1, repeat('x', 20000))")
	e.exec("UPDATE stock SET on_hand = 2 WHERE id = 2")
	e.exec("DELETE FROM stock WHERE id = 2")
	e.exec("INSERT INTO stock VALUES (3, 33, 1, 'small')")
	e.row("public.stock", "small")
	e.end()
	var got []string
	for _, r := range rowsOf(e.log.all(), "public.stock") {
		before, after, err := change.Rows(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %s %v", r.Op, before, after, strings.Contains(string(r.Value), `"stub":{"bytes":`)))
	}
	want := []string{
		`r  {"id":1,"article_id":31} true`, `c  {"id":2,"article_id":32} true`, `u  {"id":2,"article_id":32} true`, `d {"id":2,"article_id":32}  true`,
		`c  {"id":3,"article_id":33,"on_hand":1,"note":"small"} false`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A table that leaves the publication stops the stream, and is read anew when it is back: also
// when it left and came back while no reader ran.
func TestTableLeavesThePublication(t *testing.T) {
	e := newERP(t, server.OwnPostgres(t), stock)
	e.cfg.watch = 200 * time.Millisecond
	e.exec(stockTable)
	e.publish()
	e.start()
	e.snapshotDone(1)
	e.exec("ALTER PUBLICATION spola_erp DROP TABLE stock")
	e.exec("INSERT INTO stock VALUES (1, 1, 1, 'unpublished')")
	e.stops(ErrShape, "public.stock", "cdc preflight erp")
	e.start()
	e.stops(ErrPreflight, "ADD TABLE")
	e.publish()
	e.start()
	e.snapshotDone(2)
	e.end()
	e.exec("ALTER PUBLICATION spola_erp DROP TABLE stock; INSERT INTO stock VALUES (2, 1, 1, 'unpublished'); ALTER PUBLICATION spola_erp ADD TABLE stock")
	e.start()
	e.snapshotDone(3)
	e.end()
	if diff := cmp.Diff(e.stored(), folded(t, e.log.all(), "public.stock")); diff != "" {
		t.Error(diff)
	}
}

// Another program that reads the slot is named; it is neither disturbed nor waited for without end.
func TestSlotReadByAnotherProgram(t *testing.T) {
	e := newStock(t, server.OwnPostgres(t))
	e.end()
	other := e.cfg
	other.Source = "other"
	conn, err := other.connectReplication(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	err = pglogrepl.StartReplication(t.Context(), conn, e.cfg.Slot, 0, pglogrepl.StartReplicationOptions{PluginArgs: []string{"proto_version '1'", "publication_names 'spola_erp'"}})
	if err != nil {
		t.Fatal(err)
	}
	e.cfg.patience = time.Second
	e.start()
	e.stops(ErrCollision, `"spola cdc other"`, e.cfg.Slot)
	if s := e.slot(); !s.active {
		t.Error("the other program was thrown off")
	}
}

// The first start may be killed at any record, and the slot lost between: nothing needs a person.
func TestFirstStartIsKilled(t *testing.T) {
	e := newERP(t, server.OwnPostgres(t), stock)
	e.exec(stockTable)
	e.exec("INSERT INTO stock SELECT i, i, 0, NULL FROM generate_series(1, 3) i")
	e.publish()
	done := func() bool { return snapshotEnded(e.log.all(), 1) }
	for kills := 0; !done(); kills++ {
		e.log.takes(1 + kills%8) // the claim, a heartbeat, a shape and a chunk
		e.start()
		if err := e.endedOr(done); !errors.Is(err, errKilled) {
			if err != nil || !done() {
				t.Fatalf("after %d kills: %v", kills, err)
			}
			break // it came to the end before its kill
		}
		if kills > 40 {
			t.Fatal(summary(e.log.all()))
		}
		if read, err := WasRead(t.Context(), e.cfg); err != nil || read && len(e.log.all()) == 0 {
			t.Fatalf("the slot was made before the claim: %v", err)
		}
	}
	if diff := cmp.Diff(e.stored(), folded(t, e.log.all(), "public.stock")); diff != "" {
		t.Error(diff)
	}
}
