package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// memoryLog keeps a log in memory. It can be made to fail after a number of records, as a
// process does that is killed between any two, and to acknowledge late.
type memoryLog struct {
	mu      sync.Mutex
	records []change.Record
	place   change.Place
	room    int // records that it still takes; -1: any number
	largest int
	silent  bool // acknowledges nothing
	discard bool // count only
	count   int
	came    chan struct{}
}

var errKilled = errors.New("killed here")

func newLog() *memoryLog {
	return &memoryLog{room: -1, largest: 1 << 20, came: make(chan struct{}, 1), place: change.Place{Gen: 1}}
}

// takes says how many more records the log takes; -1: any number.
func (l *memoryLog) takes(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.room = n
}

func (l *memoryLog) MaxRecord() int { return l.largest }

func (l *memoryLog) Appended() change.Place {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.place
}

func (l *memoryLog) Acked() (change.Place, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent {
		return change.Place{Gen: l.place.Gen}, 0
	}
	return l.place, l.place.Seq
}

func (l *memoryLog) acknowledges(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = !yes
}

func (l *memoryLog) Append(_ context.Context, records []change.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		if l.room == 0 {
			return errKilled
		}
		if l.room > 0 {
			l.room--
		}
		l.count++
		r.Gen, r.Seq = l.place.Gen, l.place.Seq+1
		r.Sum = r.NextSum(l.place.Sum)
		l.place = change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}
		if l.discard {
			continue
		}
		r.Key = append([]byte(nil), r.Key...)
		r.Value = append([]byte(nil), r.Value...)
		l.records = append(l.records, r)
	}
	signal(l.came)
	return nil
}

func (l *memoryLog) all() []change.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]change.Record(nil), l.records...)
}

func (l *memoryLog) tail() *Tail {
	records := l.all()
	t := &Tail{Empty: len(records) == 0, Generation: l.place.Gen}
	from := 0
	for i, r := range records {
		if r.Op == change.Claim || r.Op == change.Heartbeat {
			from = i
		}
	}
	t.Each = func(_ context.Context, fold func([]change.Record) error) error { return fold(records[from:]) }
	return t
}

// wait returns when the log has what is asked for.
func (l *memoryLog) wait(t testing.TB, what string, has func([]change.Record) bool) []change.Record {
	t.Helper()
	deadline := time.After(server.Patience)
	for {
		if records := l.all(); has(records) {
			return records
		}
		select {
		case <-l.came:
		case <-time.After(time.Second):
		case <-deadline:
			t.Fatalf("%s: not in the log after 60 s; it has %s", what, summary(l.all()))
		}
	}
}

func summary(records []change.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records", len(records))
	for i, r := range records {
		if i > 60 {
			break
		}
		fmt.Fprintf(&b, "\n%s %s %s %s last=%v", r.Op, r.Table, r.Key, r.Origin, r.Last)
	}
	return b.String()
}

// rowsOf are the records of a table's rows.
func rowsOf(records []change.Record, table string) []change.Record {
	var out []change.Record
	for _, r := range records {
		if r.Op.IsRow() && r.Table == table {
			out = append(out, r)
		}
	}
	return out
}

// erp is a test's database with a reader that can be started and stopped.
type erp struct {
	t      testing.TB
	conn   *pgx.Conn
	cfg    Config
	log    *memoryLog
	stop   context.CancelFunc
	done   chan struct{}
	failed error
}

// newERP is an ERP in the database, which has no tables yet.
func newERP(t testing.TB, database string, tables ...Capture) *erp {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	e := &erp{t: t, log: newLog()}
	e.cfg = Config{
		Source: "erp", URL: database, Tables: tables, Owner: "test",
		Publication: "spola_erp", Slot: "slot_" + strings.TrimPrefix(u.Path, "/"), // slots are the server's, not the database's
		Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	}
	e.connect()
	t.Cleanup(func() {
		if e.stop != nil {
			e.end()
		}
		e.conn.Close(context.Background())
	})
	return e
}

func (e *erp) connect() {
	e.t.Helper()
	conn, err := pgx.Connect(context.Background(), e.cfg.URL)
	if err != nil {
		e.t.Fatal(err)
	}
	e.conn = conn
}

func (e *erp) exec(statement string, args ...any) {
	e.t.Helper()
	if _, err := e.conn.Exec(context.Background(), statement, args...); err != nil {
		e.t.Fatalf("%s: %v", statement, err)
	}
}

// publish makes publication, grants and replica identities as preflight says.
func (e *erp) publish() {
	e.t.Helper()
	left, err := Make(context.Background(), e.cfg, e.cfg.URL)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, f := range left {
		if f.Severity == Blocking {
			e.t.Fatalf("preflight: %+v", f)
		}
	}
}

// start starts the reader and returns at once.
func (e *erp) start() { e.startWith(e.log.tail()) }

func (e *erp) startWith(tail *Tail) {
	ctx, cancel := context.WithCancel(context.Background())
	e.stop, e.done = cancel, make(chan struct{})
	cfg := e.cfg
	go func() {
		defer close(e.done)
		e.failed = Run(ctx, cfg, tail, e.log)
	}()
}

// end stops the reader and returns its error.
func (e *erp) end() error {
	e.stop()
	<-e.done
	e.stop = nil
	return e.failed
}

// ended waits for the reader to end by itself.
func (e *erp) ended() error {
	e.t.Helper()
	select {
	case <-e.done:
		e.stop()
		e.stop = nil
		return e.failed
	case <-time.After(server.Patience):
		e.t.Fatalf("the reader has not ended; the log has %s", summary(e.log.all()))
		return nil
	}
}

// endedOr waits for the reader to end by itself, or stops it when done holds.
func (e *erp) endedOr(done func() bool) error {
	e.t.Helper()
	for end := time.Now().Add(server.Patience); time.Now().Before(end); {
		select {
		case <-e.done:
			return e.ended()
		case <-time.After(20 * time.Millisecond):
			if done() {
				err := e.end()
				if errors.Is(err, context.Canceled) {
					return nil
				}
				return err
			}
		}
	}
	return e.ended()
}

// stops waits for the reader to stop with a kind of error whose text has the words.
func (e *erp) stops(kind error, words ...string) {
	e.t.Helper()
	err := e.ended()
	if !errors.Is(err, kind) || !errors.Is(err, ErrStopped) {
		e.t.Fatalf("ended with %v, want %v", err, kind)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			e.t.Errorf("%q does not name %q", err, word)
		}
	}
}

// snapshotDone waits for the end of a snapshot run.
func (e *erp) snapshotDone(run int64) {
	e.t.Helper()
	e.log.wait(e.t, fmt.Sprintf("end of snapshot %d", run), func(records []change.Record) bool {
		e.alive()
		for _, r := range records {
			var m change.ChunkMessage
			if r.Op == change.Chunk && change.Message(r.Value, &m) == nil && m.Run == run && m.LastOfRun {
				return true
			}
		}
		return false
	})
}

func (e *erp) alive() {
	e.t.Helper()
	if e.stop == nil {
		return
	}
	select {
	case <-e.done:
		e.t.Fatalf("the reader has ended: %v", e.failed)
	default:
	}
}

// row waits for a record of a table whose value has the text.
func (e *erp) row(table, text string) change.Record {
	e.t.Helper()
	var found change.Record
	e.log.wait(e.t, text, func(records []change.Record) bool {
		e.alive()
		for _, r := range rowsOf(records, table) {
			if strings.Contains(string(r.Value), text) {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

// slot is the reader's slot.
func (e *erp) slot() *slot {
	e.t.Helper()
	s, err := readSlot(context.Background(), e.conn, e.cfg.Slot)
	if err != nil {
		e.t.Fatal(err)
	}
	return s
}

// dropSlot drops the reader's slot, once the server has seen that the reader is gone.
func (e *erp) dropSlot() {
	e.t.Helper()
	for end := time.Now().Add(server.Patience); e.slot().active; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			e.t.Fatalf("slot %s is still active", e.cfg.Slot)
		}
	}
	e.exec("SELECT pg_drop_replication_slot($1)", e.cfg.Slot)
}

const stockTable = "CREATE TABLE stock (id bigint PRIMARY KEY, article_id bigint NOT NULL, on_hand bigint NOT NULL DEFAULT 0, note text)"

var stock = Capture{Name: "public.stock", Needed: []string{"article_id"}}

// newStock is an ERP with one published table and a reader that has read it.
func newStock(t testing.TB, database string) *erp {
	t.Helper()
	e := newERP(t, database, stock)
	e.exec(stockTable)
	e.publish()
	e.start()
	e.snapshotDone(1)
	return e
}

func privateERP(t testing.TB, settings map[string]string) (*erp, *server.Server) {
	t.Helper()
	s := server.PrivatePostgres(t, settings)
	return newERP(t, s.URL(), stock), s
}
