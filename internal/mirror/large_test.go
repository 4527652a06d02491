package mirror

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// large is a log whose one source transaction is made while it is read: it is never held.
type large struct {
	table      change.Table
	sum        uint64
	made, rows int
}

func (e *large) Next(ctx context.Context) ([]change.Record, error) {
	if e.made == e.rows {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var records []change.Record
	for len(records) < 1000 && e.made < e.rows {
		l := testLog{sum: e.sum}
		e.made++
		l.row(e.table, change.Create, e.made == e.rows, nil, largeRow(e.table, e.made))
		r := l.records[0]
		r.Seq, r.Offset = int64(e.made+1), int64(e.made)
		records, e.sum = append(records, r), r.Sum
	}
	return records, nil
}

func (e *large) Behind() int64 { return 0 }
func (e *large) Close() error  { return nil }

func largeRow(t change.Table, n int) []string {
	var values []string
	for _, c := range t.Columns {
		switch c.Type {
		case change.Int:
			values = append(values, fmt.Sprint(n))
		case change.Decimal:
			values = append(values, `"19.9000"`)
		case change.DateTime:
			values = append(values, `"2026-11-25T10:00:00"`)
		default:
			values = append(values, `"Viale Müller 12"`)
		}
	}
	return values
}

// measured notes the most memory that was in use while parts were applied.
type measured struct {
	Effect
	parts int
	most  uint64
}

type measuredPart struct {
	apply.Part[pgx.Tx]
	of *measured
}

func (m *measured) Part(applied int64) apply.Part[pgx.Tx] {
	return measuredPart{m.Effect.Part(applied), m}
}

func (p measuredPart) Apply(ctx context.Context, tx pgx.Tx, last bool) error {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	p.of.parts++
	p.of.most = max(p.of.most, memory.HeapInuse)
	return p.Part.Apply(ctx, tx, last)
}

// A source transaction of any size passes in memory that does not depend on it, and is committed
// at once. 80,000 rows of 40 columns are 110 MB in the log.
func TestLargeTransaction(t *testing.T) {
	const rows = 80_000
	conn := database(t)
	table := benchTables()[0]
	a := newApplier(t, conn, "large", benchSpecs)
	l := &testLog{}
	l.shape(table)
	a.apply(l, 1)
	if _, err := conn.Exec(t.Context(), "insert into spola.place (applier, source, generation, seq, sum, applied) values ('large', 'large', 1, 1, $1, 1)",
		change.FormatSum(l.sum)); err != nil {
		t.Fatal(err)
	}
	open := func(context.Context, change.Stand) (apply.Reader, error) {
		return &large{table: table, rows: rows, sum: l.sum}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	effect := &measured{Effect: Effect{New("large", benchSpecs)}}
	var commits []apply.Progress
	err := apply.Run(ctx, postgres.NewTarget(conn.Config().ConnString(), "large", "large", ""), effect, open,
		apply.Options{OnCommit: func(p apply.Progress) {
			commits = append(commits, p)
			cancel()
		}})
	if err != nil {
		t.Fatal(err)
	}
	if len(commits) != 1 || commits[0].Records != rows || effect.parts < 4 {
		t.Errorf("%d parts, commits %+v; want several parts and one commit of all rows", effect.parts, commits)
	}
	if effect.most > 100<<20 {
		t.Errorf("%d MB in use", effect.most>>20)
	}
	t.Logf("%d MB in use at most, %d parts", effect.most>>20, effect.parts)
}
