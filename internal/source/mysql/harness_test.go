package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// memoryLog keeps a log in memory. It can be made to fail after a number of records, as a
// process does that is killed between any two.
type memoryLog struct {
	mu      sync.Mutex
	records []change.Record
	place   change.Place
	room    int // records that it still takes; -1: any number
	largest int
	discard bool // count only
	halves  int  // times that records ended within a transaction
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

// cut forgets what stands behind a record.
func (l *memoryLog) cut(last change.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range l.records {
		if r.Gen == last.Gen && r.Seq == last.Seq {
			l.records = l.records[:i+1]
			l.place = change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}
		}
	}
}

func (l *memoryLog) MaxRecord() int { return l.largest }

func (l *memoryLog) Append(_ context.Context, records []change.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !records[len(records)-1].Last {
		l.halves++
	}
	for _, r := range records {
		if l.room == 0 {
			return errKilled
		}
		if l.room > 0 {
			l.room--
		}
		l.count++
		if l.discard {
			continue
		}
		r.Gen, r.Seq = l.place.Gen, l.place.Seq+1
		r.Sum = r.NextSum(l.place.Sum)
		l.place = change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}
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
		case <-deadline:
			t.Fatalf("%s: not in the log; it has %s", what, summary(l.all()))
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

// shop is a test's database with a reader that can be started and stopped.
type shop struct {
	t      testing.TB
	url    string
	db     *sql.DB
	cfg    Config
	log    *memoryLog
	stop   context.CancelFunc
	done   chan struct{}
	failed error
}

// bothServers runs a test on MySQL and on MariaDB.
func bothServers(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("mysql", func(t *testing.T) { test(t, server.MySQL(t)) })
	t.Run("mariadb", func(t *testing.T) { test(t, server.MariaDB(t)) })
}

func newShop(t testing.TB, url string, tables ...Capture) *shop {
	t.Helper()
	s := &shop{t: t, url: url, log: newLog()}
	s.cfg = Config{Source: "shop", URL: url, Tables: tables, Owner: "test", Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)}
	// A server id of each test's own: tests of several packages read the same servers.
	s.cfg.ServerID = uint32(time.Now().UnixNano())&0x3fffffff | 1<<30
	patient := s.cfg // the test's own statements may take long
	patient.silence = 10 * time.Minute
	db, err := patient.open()
	if err != nil {
		t.Fatal(err)
	}
	s.db = db
	t.Cleanup(func() {
		if s.stop != nil {
			s.end()
		}
		db.Close()
	})
	return s
}

func (s *shop) exec(statement string, args ...any) {
	s.t.Helper()
	if _, err := s.db.ExecContext(context.Background(), statement, args...); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

// start starts the reader and returns at once.
func (s *shop) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.done = cancel, make(chan struct{})
	tail := s.log.tail()
	go func() {
		defer close(s.done)
		s.failed = Run(ctx, s.cfg, tail, s.log)
	}()
}

// end stops the reader and returns its error.
func (s *shop) end() error {
	s.stop()
	<-s.done
	s.stop = nil
	return s.failed
}

// wait waits for the reader to end by itself.
func (s *shop) ended() error {
	s.t.Helper()
	select {
	case <-s.done:
		s.stop()
		s.stop = nil
		return s.failed
	case <-time.After(server.Patience):
		s.t.Fatalf("the reader has not ended; the log has %s", summary(s.log.all()))
		return nil
	}
}

// snapshotDone waits for the end of a snapshot run.
func (s *shop) snapshotDone(run int64) {
	s.t.Helper()
	s.log.wait(s.t, fmt.Sprintf("end of snapshot %d", run), func(records []change.Record) bool {
		for _, r := range records {
			var m change.ChunkMessage
			if r.Op == change.Chunk && change.Message(r.Value, &m) == nil && m.Run == run && m.LastOfRun {
				return true
			}
		}
		return false
	})
}

// row waits for a record of a table whose value has the text.
func (s *shop) row(table, text string) change.Record {
	s.t.Helper()
	var found change.Record
	s.log.wait(s.t, text, func(records []change.Record) bool {
		if s.stop != nil {
			select {
			case <-s.done:
				s.t.Fatalf("%s: the reader has ended: %v", text, s.failed)
			default:
			}
		}
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
