package apply_test

import (
	"context"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas"
)

// ledger is an effect whose repetition shows: it appends a row for each record, with the
// database's transaction, to a table without a key.
type ledger struct {
	splits func(transaction []change.Record) bool
	before func(ctx context.Context, tx pgx.Tx) error // called first in each Apply; nil: nothing
	parts  atomic.Int64
	starts atomic.Int64
}

type ledgerPart struct {
	l       *ledger
	applied int64
	numbers []int64 // by the count of records applied
	gens    []int64
	seqs    []int64
	bytes   int
}

func (l *ledger) Start(context.Context, pgx.Tx) error {
	l.starts.Add(1)
	return nil
}

func (l *ledger) Part(applied int64) apply.Part[pgx.Tx] {
	l.parts.Add(1)
	return &ledgerPart{l: l, applied: applied}
}

func (p *ledgerPart) Splits(transaction []change.Record) bool {
	return p.l.splits != nil && p.l.splits(transaction)
}

func (p *ledgerPart) Add(records []change.Record) error {
	for _, r := range records {
		p.applied++
		p.numbers = append(p.numbers, p.applied)
		p.gens, p.seqs = append(p.gens, r.Gen), append(p.seqs, r.Seq)
		p.bytes += len(r.Value)
	}
	return nil
}

func (p *ledgerPart) Bytes() int { return p.bytes }

func (p *ledgerPart) Apply(ctx context.Context, tx pgx.Tx, _ bool) error {
	if p.l.before != nil {
		if err := p.l.before(ctx, tx); err != nil {
			return postgres.Explain(err)
		}
	}
	_, err := tx.Exec(ctx, `insert into ledger select n, g, s, txid_current() from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as r (n, g, s)`,
		p.numbers, p.gens, p.seqs)
	return err
}

// database is a fresh one with place and ledger.
func database(t testing.TB) (url string, conn *pgx.Conn) {
	t.Helper()
	url = server.Postgres(t)
	files, err := fs.Sub(schemas.Spola, "spola")
	if err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(t.Context(), url, postgres.Migrations{Name: "spola", Files: files}); err != nil {
		t.Fatal(err)
	}
	if conn, err = postgres.Connect(t.Context(), url, "test"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "create table ledger (n bigint, gen bigint, seq bigint, txid bigint)"); err != nil {
		t.Fatal(err)
	}
	return url, conn
}

// chaos is the ERP's database with a network that fails at any step, before it or behind it.
type chaos struct {
	*postgres.Target
	random *rand.Rand
	rate   float64
	failed int
}

// fail breaks the connection now and then.
func (c *chaos) fail() error {
	if c.random.Float64() >= c.rate {
		return nil
	}
	c.failed++
	c.Target.Close()
	return io.ErrUnexpectedEOF
}

// around runs a step between two chances to fail: one without the step's effect, one with it.
func (c *chaos) around(step func() error) error {
	if err := c.fail(); err != nil {
		return err
	}
	if err := step(); err != nil {
		return err
	}
	return c.fail()
}

func (c *chaos) Begin(ctx context.Context) (tx pgx.Tx, err error) {
	err = c.around(func() error { tx, err = c.Target.Begin(ctx); return err })
	return tx, err
}

func (c *chaos) Move(ctx context.Context, tx pgx.Tx, from, to change.Stand) error {
	return c.around(func() error { return c.Target.Move(ctx, tx, from, to) })
}

func (c *chaos) Commit(ctx context.Context, tx pgx.Tx) error {
	return c.around(func() error { return c.Target.Commit(ctx, tx) })
}
