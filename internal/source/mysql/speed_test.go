package mysql

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// A backlog of orders of seven rows, one transaction an order, as facts about peers were
// measured with: run by `go test -bench Backlog -benchtime 1x`, ORDERS sets its size.
func BenchmarkBacklog(b *testing.B) {
	count := 30000
	if text := os.Getenv("ORDERS"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	s := newBacklog(b, count)
	b.Run("go-mysql decodes", func(b *testing.B) {
		for range b.N {
			measure(b, 7*count, func() { decodeBare(b, s, 7*count) })
		}
	})
	b.Run("cdc", func(b *testing.B) {
		for range b.N {
			log := newSummingLog()
			measure(b, 7*count, func() { readBacklog(b, s, log, 7*count) })
		}
	})
}

func measure(b *testing.B, rows int, do func()) {
	begun, used := time.Now(), cpuTime(b)
	do()
	taken, used := time.Since(begun), cpuTime(b)-used
	b.ReportMetric(float64(rows)/taken.Seconds(), "rows/s")
	b.ReportMetric(used.Seconds()*1e6/float64(rows), "cpu-s/Mrow")
}

func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// newBacklog fills a private server's binary log with orders.
func newBacklog(t testing.TB, count int) *shop {
	t.Helper()
	private := server.PrivateMySQL(t, map[string]string{"sync_binlog": "0", "innodb_flush_log_at_trx_commit": "2", "max_binlog_size": "1073741824"})
	db, err := server.OpenMySQL(private.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE DATABASE shop CHARACTER SET utf8mb4"); err != nil {
		t.Fatal(err)
	}
	s := newShop(t, strings.TrimSuffix(private.URL(), "/")+"/shop")
	order, insert := "CREATE TABLE oc_order (order_id int NOT NULL PRIMARY KEY", "INSERT INTO oc_order VALUES (%d"
	capture := Capture{Name: "oc_order", Columns: []string{"order_id"}, Key: []string{"order_id"}}
	for i := range 39 {
		name := fmt.Sprintf("column_%d", i)
		capture.Columns = append(capture.Columns, name)
		switch i % 4 {
		case 0:
			order, insert = order+", "+name+" varchar(128)", insert+", 'Via Garibaldi 12 bis'"
		case 1:
			order, insert = order+", "+name+" int", insert+", 4711"
		case 2:
			order, insert = order+", "+name+" decimal(15,4)", insert+", 146.08"
		default:
			order, insert = order+", "+name+" datetime", insert+", '2026-11-25 10:00:00'"
		}
	}
	s.cfg.Tables = []Capture{capture,
		{Name: "oc_line", Columns: []string{"id", "order_id", "name", "price"}, Key: []string{"id"}},
		{Name: "oc_total", Columns: []string{"id", "order_id", "title", "value"}, Key: []string{"id"}},
		{Name: "oc_history", Columns: []string{"id", "order_id", "comment"}, Key: []string{"id"}}}
	s.exec(order + ")")
	s.exec("CREATE TABLE oc_line (id int NOT NULL PRIMARY KEY, order_id int, name varchar(255), price decimal(15,4))")
	s.exec("CREATE TABLE oc_total (id int NOT NULL PRIMARY KEY, order_id int, title varchar(255), value decimal(15,4))")
	s.exec("CREATE TABLE oc_history (id int NOT NULL PRIMARY KEY, order_id int, comment text)")
	s.db.SetMaxOpenConns(8)
	var group errgroup.Group
	for worker := range 8 {
		group.Go(func() error {
			for i := worker; i < count; i += 8 {
				tx, err := s.db.Begin()
				if err != nil {
					return err
				}
				for _, statement := range []string{
					fmt.Sprintf(insert+")", i),
					fmt.Sprintf("INSERT INTO oc_line VALUES (%d, %d, 'Canon EOS 5D with lens', 100), (%d, %d, 'Apple Cinema 30', 12.5)", 2*i, i, 2*i+1, i),
					fmt.Sprintf("INSERT INTO oc_total VALUES (%d, %d, 'Sub-Total', 1), (%d, %d, 'IVA', 1), (%d, %d, 'Total', 2)", 3*i, i, 3*i+1, i, 3*i+2, i),
					fmt.Sprintf("INSERT INTO oc_history VALUES (%d, %d, 'please ring twice')", i, i),
				} {
					if _, err := tx.Exec(statement); err != nil {
						return err
					}
				}
				if err := tx.Commit(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return s
}

// decodeBare lets go-mysql decode all rows and throws them away.
func decodeBare(t testing.TB, s *shop, rows int) {
	a, err := s.cfg.address()
	if err != nil {
		t.Fatal(err)
	}
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: 4711, Flavor: "mysql", Host: a.host, Port: a.port, User: a.user, Password: a.password, Logger: slog.New(slog.DiscardHandler),
	})
	defer syncer.Close()
	set, err := mysql.ParseGTIDSet("mysql", "")
	if err != nil {
		t.Fatal(err)
	}
	streamer, err := syncer.StartSyncGTID(set)
	if err != nil {
		t.Fatal(err)
	}
	for seen := 0; seen < rows; {
		e, err := streamer.GetEvent(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if ev, ok := e.Event.(*replication.RowsEvent); ok {
			seen += len(ev.Rows)
		}
	}
}

// summingLog does with records what the log's writer must at least do: copy and sum them.
type summingLog struct {
	rows int
	done chan struct{}
	want int
	sum  uint64
	copy []byte
}

func newSummingLog() *summingLog {
	return &summingLog{done: make(chan struct{})}
}

func (l *summingLog) MaxRecord() int { return 1 << 20 }

func (l *summingLog) Append(_ context.Context, records []change.Record) error {
	l.copy = l.copy[:0]
	for i := range records {
		r := &records[i]
		r.Seq++
		l.sum = r.NextSum(l.sum)
		l.copy = append(append(l.copy, r.Key...), r.Value...)
		if r.Op == change.Create && r.Table != Marker {
			if l.rows++; l.rows == l.want {
				close(l.done)
			}
		}
	}
	return nil
}

// readBacklog reads it all from the first transaction on.
func readBacklog(t testing.TB, s *shop, log *summingLog, rows int) {
	log.want = rows
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- Run(ctx, s.cfg, fromTheStart(t, s), log) }()
	select {
	case <-log.done:
		cancel()
		<-done
	case err := <-done:
		t.Fatal(err)
	}
}

// fromTheStart is the tail of a log whose reader stood before the first transaction, its tables
// read already.
func fromTheStart(t testing.TB, s *shop) *Tail {
	tables := map[string]TableState{}
	for i := range s.cfg.Tables {
		shape, err := readShape(context.Background(), s.db, &s.cfg.Tables[i])
		if err != nil {
			t.Fatal(err)
		}
		tables[shape.Name] = TableState{Version: i + 1, Hash: hashShape(shape)}
	}
	return &Tail{Generation: 1, Each: func(_ context.Context, fold func([]change.Record) error) error {
		state := &State{Version: len(tables), Tables: tables, at: change.Position{Incarnation: 1}}
		text, err := state.encode()
		if err != nil {
			return err
		}
		value := fmt.Appendf(nil, `{"message":{"kind":"claim","state":%s}}`, text)
		return fold([]change.Record{{Op: change.Claim, Value: value}})
	}}
}
