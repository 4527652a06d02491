package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// folded is the table as a reader of the log has it at the end.
func folded(t *testing.T, records []change.Record, table string) map[string]string {
	t.Helper()
	have := map[string]string{}
	for _, r := range rowsOf(records, table) {
		_, after, err := change.Rows(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if r.Op == change.Delete {
			delete(have, string(r.Key))
		} else {
			have[string(r.Key)] = string(after)
		}
	}
	return have
}

// stored is what table stock holds.
func (e *erp) stored() map[string]string {
	e.t.Helper()
	rows, err := e.conn.Query(context.Background(), "SELECT id, article_id, on_hand, note FROM stock")
	if err != nil {
		e.t.Fatal(err)
	}
	have := map[string]string{}
	var id, article, hand int64
	var note *string
	_, err = pgx.ForEachRow(rows, []any{&id, &article, &hand, &note}, func() error {
		text := "null"
		if note != nil {
			text = `"` + *note + `"`
		}
		have[fmt.Sprintf(`{"table":"public.stock","key":{"id":%d}}`, id)] = fmt.Sprintf(`{"id":%d,"article_id":%d,"on_hand":%d,"note":%s}`, id, article, hand, text)
		return nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return have
}

// write changes rows of stock at random until the context ends.
func write(ctx context.Context, t *testing.T, url string, seed uint64) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	draw := rand.New(rand.NewPCG(seed, seed))
	for ctx.Err() == nil {
		id, other := draw.IntN(3000), 3000+draw.IntN(3000)
		statement := []string{
			"UPDATE stock SET on_hand = on_hand + 1 WHERE id BETWEEN $1 AND $1 + 5 AND $2 > 0",
			"DELETE FROM stock WHERE id = $1 AND $2 > 0",
			"INSERT INTO stock VALUES ($1, $2, 1, 'again') ON CONFLICT (id) DO UPDATE SET on_hand = 7",
			"UPDATE stock SET id = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM stock WHERE id = $2)",
		}[draw.IntN(4)]
		if _, err := conn.Exec(context.WithoutCancel(ctx), statement, id, other); err != nil && codeOf(err) != "23505" && codeOf(err) != "40P01" {
			t.Error(err)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A snapshot beside writers, its reader killed again and again: the log tells in the end what the
// table holds.
func TestSnapshotBesideWrites(t *testing.T) {
	e := newERP(t, server.OwnPostgres(t), stock)
	e.exec(stockTable)
	e.exec("INSERT INTO stock SELECT i, i, 0, 'before' FROM generate_series(1, 3000) i")
	e.publish()
	e.cfg.ChunkRows = 150
	ctx, cancel := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	for i := range 3 {
		writers.Go(func() { write(ctx, t, e.cfg.URL, uint64(i+1)) })
	}
	draw := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for ; ; kills++ {
		// The writers go on between the kills: only so many, or the reader never gets to the end.
		if e.log.takes(40 + draw.IntN(400)); kills >= 10 {
			e.log.takes(-1)
		}
		e.start()
		var killed bool
		e.log.wait(t, "end of the snapshot or the reader", func(records []change.Record) bool {
			select {
			case <-e.done:
				killed = true
				return true
			default:
				return snapshotEnded(records, 1)
			}
		})
		if !killed {
			break
		}
		if err := e.ended(); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
	}
	cancel()
	writers.Wait()
	e.log.takes(-1)
	select {
	case <-e.done: // killed just now
		e.ended()
		e.start()
	default:
	}
	e.exec("INSERT INTO stock VALUES (9999, 1, 1, 'the end')")
	e.row("public.stock", "the end")
	e.end()
	if kills < 5 {
		t.Errorf("only %d kills", kills)
	}
	if diff := cmp.Diff(e.stored(), folded(t, e.log.all(), "public.stock")); diff != "" {
		t.Errorf("after %d kills the log does not tell what the table holds: %s", kills, diff)
	}
	checkChain(t, e.log.all())
}

func snapshotEnded(records []change.Record, run int64) bool {
	for _, r := range records {
		var m change.ChunkMessage
		if r.Op == change.Chunk && change.Message(r.Value, &m) == nil && m.Run == run && m.LastOfRun {
			return true
		}
	}
	return false
}

// A snapshot is asked for again, by table and by range of keys, also while no reader runs.
func TestSnapshotOnRequest(t *testing.T) {
	e := newStock(t, server.OwnPostgres(t))
	e.exec("INSERT INTO stock SELECT i, i, 0, NULL FROM generate_series(1, 20) i")
	e.row("public.stock", `"id":20`)
	ask := func(r KeyRange) {
		if err := RequestSnapshot(t.Context(), e.cfg, SnapshotRequest{Ranges: []KeyRange{r}}); err != nil {
			t.Fatal(err)
		}
	}
	ask(KeyRange{Table: "public.stock", From: number(5), To: number(8)})
	e.snapshotDone(2)
	e.end()
	ask(KeyRange{Table: "public.stock"})
	e.start()
	e.snapshotDone(3)
	e.end()
	read := map[string]int{}
	for _, r := range rowsOf(e.log.all(), "public.stock") {
		if r.Op == change.Read {
			o, err := change.ParseOrigin(r.Origin)
			if err != nil {
				t.Fatal(err)
			}
			read[fmt.Sprint(o.Run)]++
		}
	}
	if diff := cmp.Diff(map[string]int{"2": 3, "3": 20}, read); diff != "" {
		t.Errorf("rows read by run: %s", diff)
	}
	if err := RequestSnapshot(t.Context(), e.cfg, SnapshotRequest{Ranges: []KeyRange{{Table: "public.other"}}}); err == nil {
		t.Error("a table that is not captured is asked for")
	}
}

func number(n int) []json.RawMessage { return []json.RawMessage{json.RawMessage(fmt.Sprint(n))} }

// Chunks follow keys of every kind of type, also where one chunk is one row.
func TestKeysOfChunks(t *testing.T) {
	capture := Capture{Name: "public.keyed"}
	e := newERP(t, server.OwnPostgres(t), capture)
	e.exec("CREATE TABLE keyed (a text COLLATE \"C\", b timestamptz, c bytea, d numeric, e boolean, PRIMARY KEY (a, b, c, d, e), note text)")
	for _, a := range []string{"", "a 'quoted' \"one\"", "ü🧶"} {
		for _, b := range []string{"2026-11-25 10:00:00.123456+01", "infinity", "0044-01-01 BC"} {
			e.exec("INSERT INTO keyed SELECT $1, $2::timestamptz, c, d, e FROM (VALUES ('\\x'::bytea), ('\\x00ff')) c(c), (VALUES (1.50), ('NaN')) d(d), (VALUES (true), (false)) e(e)", a, b)
		}
	}
	e.publish()
	e.cfg.ChunkRows = 1
	e.start()
	e.snapshotDone(1)
	e.end()
	if have := folded(t, e.log.all(), "public.keyed"); len(have) != 3*3*2*2*2 {
		t.Errorf("%d rows of %d were read", len(have), 3*3*2*2*2)
	}
}

// A transaction that waits for a synchronous standby stands in the write-ahead log, and is
// streamed, but others do not see it: a chunk must not bring its old rows behind it.
func TestChunkWaitsForCommitsOthersCantSee(t *testing.T) {
	e, _ := privateERP(t, nil)
	e.exec(stockTable)
	e.exec("INSERT INTO stock VALUES (1, 31, 5, 'old')")
	e.publish()
	e.start()
	e.snapshotDone(1)
	e.exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	e.exec("SELECT pg_reload_conf()")
	done := make(chan error, 1)
	go func() {
		conn, err := pgx.Connect(context.Background(), e.cfg.URL)
		if err == nil {
			_, err = conn.Exec(context.Background(), "UPDATE stock SET note = 'new' WHERE id = 1")
			conn.Close(context.Background())
		}
		done <- err
	}()
	e.row("public.stock", `"note":"new"`)
	if err := RequestSnapshot(t.Context(), e.cfg, SnapshotRequest{Ranges: []KeyRange{{Table: "public.stock"}}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // for a chunk that does not wait
	select {
	case err := <-done:
		t.Fatalf("the transaction did not wait for the standby: %v", err)
	default:
	}
	if snapshotEnded(e.log.all(), 2) {
		t.Error("the chunk did not wait for the transaction")
	}
	local, err := e.cfg.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close(context.Background())
	for _, statement := range []string{"ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"} {
		if _, err := local.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	e.snapshotDone(2)
	e.end()
	for _, row := range folded(t, e.log.all(), "public.stock") {
		if !strings.Contains(row, "new") {
			t.Errorf("the log ends with %s", row)
		}
	}
}
