package apply_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

var _ apply.Target[pgx.Tx] = (*postgres.Target)(nil)

// loop is an applier that runs until it stands at the end of the log.
type loop struct {
	target  apply.Target[pgx.Tx]
	effect  *ledger
	log     *memory
	options apply.Options
	commits []apply.Progress
}

// longest is how long any loop of these tests may run: one that should have ended, and did not, ends then.
const longest = server.Patience

// until runs the loop until it has applied n records, and returns Run's error.
func (l *loop) until(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	l.options.OnCommit = func(p apply.Progress) {
		l.commits = append(l.commits, p)
		if p.Applied >= n {
			cancel()
		}
	}
	open := func(ctx context.Context, from change.Stand) (apply.Reader, error) {
		if from.Applied >= n { // the last commit's outcome was unknown, and it had happened
			cancel()
		}
		return l.log.open(ctx, from)
	}
	return apply.Run(ctx, l.target, l.effect, open, l.options)
}

// check verifies that every record has had its effect once, in order, and that no source
// transaction is spread over several of the database's.
func check(t interface{ Fatalf(string, ...any) }, ctx context.Context, conn *pgx.Conn, records []change.Record, n int) {
	rows, err := conn.Query(ctx, "select n, gen, seq, txid from ledger order by n, txid")
	if err != nil {
		t.Fatalf("read the ledger: %v", err)
	}
	type line struct{ N, Gen, Seq, Txid int64 }
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[line])
	if err != nil {
		t.Fatalf("read the ledger: %v", err)
	}
	if len(lines) != n {
		t.Fatalf("%d effects of %d records", len(lines), n)
	}
	for i, l := range lines {
		r := records[i]
		if l.N != int64(i+1) || l.Gen != r.Gen || l.Seq != r.Seq {
			t.Fatalf("effect %d is of record %d/%d as number %d, want %d/%d", i+1, l.Gen, l.Seq, l.N, r.Gen, r.Seq)
		}
		if i > 0 && !records[i-1].Last && lines[i-1].Txid != l.Txid {
			t.Fatalf("record %d and the one before are of one source transaction, but were committed apart", i+1)
		}
	}
}

// Whatever fails, before its effect or behind it, each record has its effect once.
func TestExactlyOnce(t *testing.T) {
	url, conn := database(t)
	failed, ahead := 0, int64(0)
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		log := newMemory(1 + random.IntN(30))
		early := seed%2 == 1
		target := &chaos{Target: postgres.NewTarget(url, "test", fmt.Sprint("s", seed), "test"), random: random, rate: 0.1}
		transactions := 3 + random.IntN(12)
		if early {
			target.rate, transactions = 0.03, 40
		}
		for range transactions {
			log.transaction([]int{1, 1, 2, 7, 25}[random.IntN(5)])
			if random.IntN(10) == 0 {
				log.generation()
			}
		}
		emptyLedger(t, conn)
		l := &loop{target: target, effect: &ledger{early: early}, log: log,
			options: apply.Options{Records: 1 + random.IntN(20), MaxWait: time.Millisecond}}
		if err := l.until(t.Context(), int64(len(log.records))); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		check(t, t.Context(), conn, log.records, len(log.records))
		failed += target.failed
		ahead += l.effect.ahead.Load()
	}
	if ahead < 20 {
		t.Errorf("only %d batches were begun early", ahead)
	}
	if failed < 20 {
		t.Errorf("only %d failures were tried", failed)
	}
}

// What is done early may wait for a lock of the batch at work. That one fails, and both are taken again.
func TestEarlyWaitsForABatchThatFails(t *testing.T) {
	url, conn := database(t)
	if _, err := conn.Exec(t.Context(), "create table lock as select 1 as n"); err != nil {
		t.Fatal(err)
	}
	log := newMemory(5)
	for range 40 {
		log.transaction(5)
	}
	take := func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "select from lock for update")
		return err
	}
	taken, waits := make(chan struct{}, 1), make(chan struct{}, 1)
	var failed atomic.Bool
	effect := &ledger{early: true}
	effect.first = func(ctx context.Context, tx pgx.Tx) error {
		if failed.Load() {
			return nil
		}
		select {
		case <-taken: // by the batch at work
		case <-ctx.Done():
			return ctx.Err()
		}
		waits <- struct{}{}
		return take(ctx, tx)
	}
	effect.before = func(ctx context.Context, tx pgx.Tx) error {
		if failed.Load() {
			return nil
		}
		if err := take(ctx, tx); err != nil {
			return err
		}
		select {
		case taken <- struct{}{}:
		default:
		}
		select {
		case <-waits:
			failed.Store(true)
			return &pgconn.PgError{Code: pgerrcode.SerializationFailure}
		case <-time.After(5 * time.Second): // nothing has ended behind this batch
			return nil
		}
	}
	l := &loop{target: postgres.NewTarget(url, "test", "log", "test"), effect: effect, log: log, options: apply.Options{Records: 10, MaxWait: time.Millisecond}}
	if err := l.until(t.Context(), int64(len(log.records))); err != nil {
		t.Fatal(err)
	}
	if !failed.Load() {
		t.Error("no batch was begun early")
	}
	check(t, t.Context(), conn, log.records, len(log.records))
}

func emptyLedger(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), "truncate ledger"); err != nil {
		t.Fatal(err)
	}
}

// The connection is lost while the server is still committing: the place is read only when that
// transaction is over, so the batch is neither repeated nor taken for another's.
func TestCommitStillRunning(t *testing.T) {
	url, conn := database(t)
	if _, err := conn.Exec(t.Context(), `create function slowly() returns trigger language plpgsql as $$
		begin
			perform pg_sleep(0.5);
			return null;
		exception when query_canceled then -- the driver asks for it when the line is lost; a cut network would not let it
			perform pg_sleep(0.5);
			return null;
		end $$;
		create constraint trigger slowly after insert on ledger deferrable initially deferred
		for each row when (new.n = 1) execute function slowly()`); err != nil {
		t.Fatal(err)
	}
	log := newMemory(10)
	log.transaction(1)
	log.transaction(1)
	l := &loop{target: postgres.NewTarget(url, "test", "s", ""), effect: &ledger{}, log: log}
	cut := make(chan net.Conn, 1)
	l.effect.before = func(_ context.Context, tx pgx.Tx) error {
		l.effect.before = nil
		cut <- tx.Conn().PgConn().Conn()
		return nil
	}
	done := make(chan error)
	go func() { done <- l.until(t.Context(), 2) }()
	line := <-cut
	waitFor(t, conn, "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()", 1)
	if err := line.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	check(t, t.Context(), conn, log.records, 2)
}

// An applier that is overtaken ends as fenced and has had no effect since.
func TestFenced(t *testing.T) {
	url, conn := database(t)
	log := newMemory(5)
	first := &loop{target: postgres.NewTarget(url, "test", "s", "first"), effect: &ledger{}, log: log}
	second := &loop{target: postgres.NewTarget(url, "test", "s", "second"), effect: &ledger{}, log: log}

	// The first stands inside its batch, behind the place, until the second has begun.
	inside, goOn := make(chan struct{}), make(chan struct{})
	first.effect.before = func(context.Context, pgx.Tx) error {
		close(inside)
		<-goOn
		first.effect.before = nil
		return nil
	}
	log.transaction(3)
	group, ctx := errgroup.WithContext(t.Context())
	var firstErr error
	group.Go(func() error { firstErr = first.until(ctx, 103); return nil })
	<-inside
	group.Go(func() error { return second.until(ctx, 103) })
	waitFor(t, conn, "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()", 1)
	close(goOn)
	waitFor(t, conn, "select count(*) from spola.place where owner = 'second'", 1)
	for range 100 {
		log.transaction(1)
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(firstErr, apply.ErrFenced) || errors.Is(firstErr, apply.ErrStopped) || !strings.Contains(firstErr.Error(), "second") {
		t.Errorf("the first ended with %v, want fenced by the second", firstErr)
	}
	check(t, t.Context(), conn, log.records, 103)
}

// An applier that was overtaken while its connection was lost ends as well: taking the place back would let
// the two take turns for ever.
func TestFencedWhileItsConnectionWasLost(t *testing.T) {
	url, conn := database(t)
	log := newMemory(5)
	log.transaction(1)
	first := &loop{target: postgres.NewTarget(url, "test", "s", "first"), effect: &ledger{}, log: log}
	ended := make(chan error, 1)
	go func() { ended <- first.until(t.Context(), 2) }()
	waitFor(t, conn, "select coalesce(max(applied), 0)::bigint from spola.place", 1)
	second := postgres.NewTarget(url, "test", "s", "second")
	if _, err := second.Open(t.Context(), func(pgx.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	second.Close()
	if _, err := conn.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	log.transaction(1)
	if err := <-ended; !errors.Is(err, apply.ErrFenced) || !strings.Contains(err.Error(), "second") {
		t.Errorf("the first ended with %v, want fenced by the second", err)
	}
	check(t, t.Context(), conn, log.records, 1)
}

// said is a log that tells when a message has been written.
type said struct {
	message string
	heard   chan struct{}
	once    sync.Once
}

func (s *said) wait(t *testing.T) {
	t.Helper()
	select {
	case <-s.heard:
	case <-time.After(longest):
		t.Fatalf("nobody has said %q", s.message)
	}
}

func (s *said) Run(_ *zerolog.Event, _ zerolog.Level, message string) {
	if message == s.message {
		s.once.Do(func() { close(s.heard) })
	}
}

// A paused applier applies nothing, whether it runs or is started, and goes on where it stood.
func TestPaused(t *testing.T) {
	url, conn := database(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	log := newMemory(5)
	log.transaction(2)
	running := func(owner string) (*loop, *said) {
		heard := &said{message: "nothing is applied until it is resumed", heard: make(chan struct{})}
		return &loop{target: postgres.NewTarget(url, "test", "s", owner), effect: &ledger{}, log: log,
			options: apply.Options{MaxWait: 10 * time.Millisecond, Log: zerolog.New(io.Discard).Hook(heard)}}, heard
	}
	first, heard := running("first")
	group, ctx := errgroup.WithContext(t.Context())
	var ended error
	group.Go(func() error { ended = first.until(ctx, 12); return nil })
	waitFor(t, conn, "select coalesce(max(applied), 0)::bigint from spola.place", 2)
	exec("update spola.place set paused_at = now(), paused_by = 'anna'")
	for range 10 {
		log.transaction(1)
	}
	heard.wait(t)
	second, heardToo := running("second") // a start is no way around it
	group.Go(func() error { return second.until(ctx, 12) })
	heardToo.wait(t)
	check(t, t.Context(), conn, log.records, 2)
	exec("update spola.place set paused_at = null")
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if ended != nil && !errors.Is(ended, apply.ErrFenced) {
		t.Errorf("the first ended with %v", ended)
	}
	check(t, t.Context(), conn, log.records, 12)
}

func waitFor(t *testing.T, conn *pgx.Conn, query string, want int64) {
	t.Helper()
	until(t, func() bool {
		var got int64
		if err := conn.QueryRow(t.Context(), query).Scan(&got); err != nil {
			t.Fatal(err)
		}
		return got == want
	})
}

// until asks for a condition every few milliseconds.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the test ended first")
		}
	}
}

// While one batch is written the next fills; when there is little, each transaction goes at once.
func TestBatchesAdapt(t *testing.T) {
	url, conn := database(t)
	log := newMemory(100)
	l := &loop{target: postgres.NewTarget(url, "test", "s", ""), effect: &ledger{}, log: log}
	inside, goOn := make(chan struct{}), make(chan struct{})
	l.effect.before = func(context.Context, pgx.Tx) error {
		l.effect.before = nil
		close(inside)
		<-goOn
		return nil
	}
	done := make(chan error)
	go func() { done <- l.until(t.Context(), 501) }()
	log.transaction(1)
	<-inside
	for range 500 {
		log.transaction(1)
	}
	until(t, func() bool { return l.effect.parts.Load() >= 2 })
	close(goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if l.commits[0].Transactions != 1 || len(l.commits) > 10 {
		t.Errorf("%d batches, the first with %d transactions; want the first alone and the rest in few", len(l.commits), l.commits[0].Transactions)
	}
	last := l.commits[len(l.commits)-1]
	if last.Behind != 0 || last.Seq != 501 || last.Offset != 500 || last.Time != 1_000_501 || last.Committed.IsZero() {
		t.Errorf("last progress is %+v", last)
	}
	check(t, t.Context(), conn, log.records, 501)
}

// A batch that nobody waits for waits for company, but not for ever; what is waited for takes it along at once.
func TestPatience(t *testing.T) {
	url, conn := database(t)
	log := newMemory(1)
	l := &loop{target: postgres.NewTarget(url, "test", "s", ""), effect: &ledger{urgent: func(r change.Record) bool { return r.Seq == 10 }}, log: log}
	for range 10 {
		log.transaction(1)
	}
	back := apply.WaitForCompany(longest)
	defer func() { back() }()
	if err := l.until(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	if len(l.commits) != 1 || l.commits[0].Transactions != 10 {
		t.Fatalf("ten transactions, of which the last is waited for, came in %d batches: %+v", len(l.commits), l.commits)
	}
	log.transaction(1)
	back()
	if err := l.until(t.Context(), 11); err != nil {
		t.Fatal(err)
	}
	check(t, t.Context(), conn, log.records, 11)
}

// portions is a ledger with work that never ends.
type portions struct {
	*ledger
	looks, done int
	after       func(done int)
}

func (p *portions) Due(time.Time) bool { p.looks++; return true }
func (p *portions) More() bool         { return p.done > 0 }

func (p *portions) Idle(context.Context, pgx.Tx) error {
	p.done++
	p.after(p.done)
	return nil
}

// Portions of work without records follow each other, and keep no batch waiting for their end.
func TestPortions(t *testing.T) {
	url, conn := database(t)
	log := newMemory(1)
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	effect := &portions{ledger: &ledger{}, after: func(done int) {
		if done == 50 {
			log.transaction(1)
		}
	}}
	o := apply.Options{OnCommit: func(apply.Progress) { cancel() }}
	if err := apply.Run(ctx, postgres.NewTarget(url, "test", "s", ""), apply.Effect[pgx.Tx](effect), log.open, o); err != nil {
		t.Fatal(err)
	}
	check(t, t.Context(), conn, log.records, 1)
	if effect.done < 50 || effect.looks > effect.done/2 {
		t.Fatalf("%d portions were done at %d looks", effect.done, effect.looks)
	}
}

// A batch ends where the effect asks for it, and nowhere inside a source transaction.
func TestSplits(t *testing.T) {
	url, conn := database(t)
	log := newMemory(1000)
	for range 30 {
		log.transaction(2)
	}
	l := &loop{target: postgres.NewTarget(url, "test", "s", ""), log: log,
		effect: &ledger{splits: func(transaction []change.Record) bool { return transaction[0].Seq%10 == 1 }}}
	if err := l.until(t.Context(), 60); err != nil {
		t.Fatal(err)
	}
	for _, p := range l.commits {
		if p.Records > 10 || p.Seq%2 != 0 {
			t.Errorf("a batch of %d records ends at %d", p.Records, p.Seq)
		}
	}
	check(t, t.Context(), conn, log.records, 60)
}

// A batch has a bound, whatever the backlog.
func TestBatchesEnd(t *testing.T) {
	url, conn := database(t)
	log := newMemory(1000)
	for range 100 {
		log.transaction(3)
	}
	l := &loop{target: postgres.NewTarget(url, "test", "s", ""), effect: &ledger{}, log: log, options: apply.Options{Records: 10}}
	if err := l.until(t.Context(), 300); err != nil {
		t.Fatal(err)
	}
	for _, p := range l.commits {
		if p.Records > 10 {
			t.Errorf("a batch of %d records", p.Records)
		}
	}
	check(t, t.Context(), conn, log.records, 300)
}

// A source transaction too large for memory goes in parts, in one transaction of the database.
func TestLargeTransaction(t *testing.T) {
	url, conn := database(t)
	log := newMemory(7)
	log.transaction(2)
	log.transaction(1000)
	log.transaction(2)
	l := &loop{target: postgres.NewTarget(url, "test", "s", ""), effect: &ledger{}, log: log, options: apply.Options{Records: 50}}
	if err := l.until(t.Context(), 1004); err != nil {
		t.Fatal(err)
	}
	if l.effect.parts.Load() < 20 {
		t.Errorf("%d parts: the transaction was held as a whole", l.effect.parts.Load())
	}
	large := 0
	for _, p := range l.commits {
		if p.Records == 1000 && p.Transactions == 1 {
			large++
		}
	}
	if large != 1 {
		t.Errorf("commits %+v, want one of 1000 records alone", l.commits)
	}
	check(t, t.Context(), conn, log.records, 1004)
}

// What the log may not do stops the loop; only the record at the place may come again.
func TestOrderOfTheLog(t *testing.T) {
	url, conn := database(t)
	for _, c := range []struct {
		name  string
		spoil func(*memory)
		stops bool
	}{
		{"hole", func(m *memory) { m.records = append(m.records[:4], m.records[5:]...) }, true},
		{"repeat", func(m *memory) { m.records = append(m.records[:5:5], m.records[4:]...) }, false},
		{"older repeat", func(m *memory) { m.records = append(m.records[:5:5], m.records[3:]...) }, true},
		{"other content", func(m *memory) {
			again := m.records[4]
			again.Sum++
			m.records = append(append(m.records[:5:5], again), m.records[5:]...)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			emptyLedger(t, conn)
			log := newMemory(100)
			for range 10 {
				log.transaction(1)
			}
			whole := slices.Clone(log.records)
			c.spoil(log)
			l := &loop{target: postgres.NewTarget(url, "test", c.name, ""), effect: &ledger{}, log: log}
			err := l.until(t.Context(), 10)
			if c.stops != errors.Is(err, apply.ErrStopped) || (err == nil) == c.stops {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				check(t, t.Context(), conn, whole, 10)
			}
		})
	}
}

// What clears by itself is tried again; what does not stops with a sentence that helps.
func TestErrors(t *testing.T) {
	url, conn := database(t)
	for _, c := range []struct {
		code string
		mend string // empty: tried again
	}{
		{"40001", ""}, {"40P01", ""}, {"57P01", ""}, {"08006", ""},
		{"42501", "grant"}, {"42P01", "migrate"}, {"53100", "room"}, {"23514", "nothing was applied"},
	} {
		t.Run(c.code, func(t *testing.T) {
			emptyLedger(t, conn)
			log := newMemory(100)
			log.transaction(3)
			l := &loop{target: postgres.NewTarget(url, "test", c.code, ""), effect: &ledger{}, log: log}
			times := 0
			l.effect.before = func(ctx context.Context, tx pgx.Tx) error {
				if times++; times > 2 {
					return nil
				}
				_, err := tx.Exec(ctx, fmt.Sprintf("do $$ begin raise exception 'as told' using errcode = '%s'; end $$", c.code))
				return err
			}
			err := l.until(t.Context(), 3)
			if c.mend == "" {
				if err != nil || times != 3 {
					t.Fatalf("after %d times: %v", times, err)
				}
				check(t, t.Context(), conn, log.records, 3)
				return
			}
			if !errors.Is(err, apply.ErrStopped) || !strings.Contains(err.Error(), c.mend) || times != 1 {
				t.Fatalf("after %d times: %v", times, err)
			}
			check(t, t.Context(), conn, log.records, 0)
		})
	}
}

// An effect may ask for a batch again, but not for ever.
func TestAgain(t *testing.T) {
	url, _ := database(t)
	log := newMemory(100)
	log.transaction(1)
	l := &loop{target: postgres.NewTarget(url, "test", "s", ""), effect: &ledger{}, log: log}
	l.effect.before = func(context.Context, pgx.Tx) error { return apply.ErrAgain }
	if err := l.until(t.Context(), 1); !errors.Is(err, apply.ErrStopped) || l.effect.starts.Load() != 6 {
		t.Fatalf("after %d starts: %v", l.effect.starts.Load(), err)
	}
}

// A place that was moved by hand, or restored, is not believed.
func TestMoved(t *testing.T) {
	url, conn := database(t)
	log := newMemory(1)
	log.transaction(1)
	l := &loop{target: postgres.NewTarget(url, "test", "s", ""), effect: &ledger{}, log: log}
	l.effect.before = func(ctx context.Context, tx pgx.Tx) error { l.effect.before = nil; return nil }
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	l.options.OnCommit = func(p apply.Progress) {
		if p.Applied == 1 {
			if _, err := conn.Exec(ctx, "update spola.place set seq = 0"); err != nil {
				t.Error(err)
			}
			log.transaction(1)
		}
	}
	err := apply.Run(ctx, l.target, l.effect, log.open, l.options)
	if !errors.Is(err, apply.ErrStopped) || !errors.Is(err, postgres.ErrMoved) {
		t.Fatalf("got %v", err)
	}
}
