package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/erp"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// testLog writes records as a source would.
type testLog struct {
	records []change.Record
	sum     uint64
}

func (l *testLog) append(r change.Record) {
	r.Gen, r.Seq = 1, int64(len(l.records)+1)
	r.Offset = r.Seq - 1
	if r.Origin == "" {
		r.Origin = "none"
	}
	l.sum = r.NextSum(l.sum)
	r.Sum = l.sum
	l.records = append(l.records, r)
}

// row writes a row's record; before and after are JSON values in the order of the columns.
func (l *testLog) row(t change.Table, op change.Op, last bool, before, after []string) {
	value := `{"before":` + object(t, before) + `,"after":` + object(t, after) + `,"source":{},"op":"` + string(op) + `"}`
	l.append(change.Record{Table: t.Name, Op: op, Schema: t.Version, Last: last, Key: []byte("{}"), Value: []byte(value)})
}

func object(t change.Table, values []string) string {
	if values == nil {
		return "null"
	}
	var members []string
	for i, v := range values {
		members = append(members, fmt.Sprintf("%q:%s", t.Columns[i].Name, v))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (l *testLog) own(op change.Op, message any) {
	text, err := json.Marshal(message)
	if err != nil {
		panic(err) // a test's own literal
	}
	value := `{"before":null,"after":null,"source":{},"op":"m","message":` + string(text) + `}`
	l.append(change.Record{Op: op, Last: true, Key: change.OwnKey(op), Value: []byte(value)})
}

func (l *testLog) shape(t change.Table) {
	l.own(change.Schema, change.SchemaMessage{Kind: change.Schema, Table: t})
}

// mark updates a row of the marker.
func (l *testLog) mark(name string, generation, number int64) {
	values := []string{fmt.Sprintf("%q", name), fmt.Sprint(generation), fmt.Sprint(number), "0", "null"}
	l.row(markerTable, change.Update, true, values, values)
}

var markerTable = change.Table{Name: Marker, Version: 1, Key: []string{"name"}, Columns: []change.Column{
	{Name: "name", Type: change.VarChar}, {Name: "generation", Type: change.BigInt}, {Name: "number", Type: change.BigInt},
	{Name: "applied", Type: change.BigInt}, {Name: "note", Type: change.Text, Nullable: true}}}

// database is a fresh one with the bridge's tables.
func database(t testing.TB) *pgx.Conn {
	t.Helper()
	url := erp.Database(t, "spola")
	conn, err := postgres.Connect(t.Context(), url, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// applier applies a test log part by part, as the loop would.
type applier struct {
	t       fataler
	conn    *pgx.Conn
	m       *Mirror
	applied int
	again   int
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Context() context.Context
}

func newApplier(t fataler, conn *pgx.Conn, source string, specs []TableSpec) *applier {
	a := &applier{t: t, conn: conn, m: New(source, specs)}
	a.start()
	return a
}

// start begins as on a new connection.
func (a *applier) start() {
	a.t.Helper()
	if err := a.conn.DeallocateAll(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	if _, err := a.conn.Exec(a.t.Context(), "discard temp"); err != nil {
		a.t.Fatal(err)
	}
	if err := postgres.InTransaction(a.t.Context(), a.conn, func(tx pgx.Tx) error { return a.m.Start(a.t.Context(), tx) }); err != nil {
		a.t.Fatal(err)
	}
}

// try applies the next n records of the log in one transaction.
func (a *applier) try(l *testLog, n int) (*Changed, error) {
	part := a.m.Part(int64(a.applied))
	n = min(n, len(l.records)-a.applied)
	if err := part.Add(l.records[a.applied : a.applied+n]); err != nil {
		return nil, err
	}
	var changed *Changed
	err := postgres.InTransaction(a.t.Context(), a.conn, func(tx pgx.Tx) (err error) {
		if part.Alone() && a.applied%2 == 0 {
			if _, err := part.Early(a.t.Context(), tx, a.m.ways.fresh); err != nil {
				return err
			}
		}
		changed, err = part.Apply(a.t.Context(), tx)
		return err
	})
	if err == nil {
		a.applied += n
	}
	return changed, err
}

func (a *applier) apply(l *testLog, n int) *Changed {
	a.t.Helper()
	changed, err := a.try(l, n)
	for again := 0; isAgain(err) && again < 5; again++ {
		a.again++
		a.start()
		changed, err = a.try(l, n)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return changed
}

func (a *applier) all(l *testLog) *Changed {
	a.t.Helper()
	return a.apply(l, len(l.records))
}

// content returns a table's rows as texts, sorted, without spola_at.
func (a *applier) content(table string, columns ...string) []string {
	a.t.Helper()
	for i, c := range columns {
		columns[i] = "coalesce(" + pgx.Identifier{c}.Sanitize() + "::text, 'null')"
	}
	list := "*"
	if len(columns) > 0 {
		list = "concat_ws(' | ', " + strings.Join(columns, ", ") + ")"
	}
	rows, err := a.conn.Query(a.t.Context(), "select "+list+" from "+pgx.Identifier{Schema(a.m.source), table}.Sanitize()+" order by 1")
	if err != nil {
		a.t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		a.t.Fatal(err)
	}
	return texts
}
