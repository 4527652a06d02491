package apply_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/erp"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// ledger is an effect whose repetition shows: it appends a row for each record, with the
// database's transaction, to a table without a key.
type ledger struct {
	splits func(transaction []change.Record) bool
	urgent func(change.Record) bool                   // nil: all are
	before func(ctx context.Context, tx pgx.Tx) error // called first in each Apply; nil: nothing
	early  bool                                       // half of each part is done early
	first  func(ctx context.Context, tx pgx.Tx) error // called first in each Early; nil: nothing
	parts  atomic.Int64
	starts atomic.Int64
	ahead  atomic.Int64 // parts of which half was done early
}

type ledgerPart struct {
	l       *ledger
	applied int64
	numbers []int64 // by the count of records applied
	gens    []int64
	seqs    []int64
	bytes   int
	urgent  bool
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
		p.urgent = p.urgent || p.l.urgent == nil || p.l.urgent(r)
	}
	return nil
}

func (p *ledgerPart) Patient() bool { return !p.urgent }

func (p *ledgerPart) Bytes() int { return p.bytes }

func (p *ledgerPart) Alone() bool { return p.l.early }

func (p *ledgerPart) Early(ctx context.Context, tx pgx.Tx) error {
	if p.l.first != nil {
		if err := p.l.first(ctx, tx); err != nil {
			return postgres.Explain(err)
		}
	}
	half := len(p.numbers) / 2
	if err := p.insert(ctx, tx, half); err != nil {
		return err
	}
	p.numbers, p.gens, p.seqs = p.numbers[half:], p.gens[half:], p.seqs[half:]
	p.l.ahead.Add(1)
	return nil
}

func (p *ledgerPart) Apply(ctx context.Context, tx pgx.Tx, _ bool) error {
	if p.l.before != nil {
		if err := p.l.before(ctx, tx); err != nil {
			return postgres.Explain(err)
		}
	}
	return p.insert(ctx, tx, len(p.numbers))
}

// insert has the effect of the first n records.
func (p *ledgerPart) insert(ctx context.Context, tx pgx.Tx, n int) error {
	_, err := tx.Exec(ctx, `insert into ledger select n, g, s, txid_current() from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as r (n, g, s)`,
		p.numbers[:n], p.gens[:n], p.seqs[:n])
	return postgres.Explain(err)
}

// database is a fresh one with place and ledger.
func database(t testing.TB) (url string, conn *pgx.Conn) {
	t.Helper()
	url = erp.Database(t, "spola")
	var err error
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
	rate float64

	mu     sync.Mutex // two batches may be under way
	random *rand.Rand
	failed int
}

// fail breaks the transaction's connection now and then.
func (c *chaos) fail(tx pgx.Tx) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.random.Float64() >= c.rate {
		return nil
	}
	c.failed++
	if tx != nil {
		_ = tx.Conn().Close(context.Background())
	}
	return io.ErrUnexpectedEOF
}

// around runs a step between two chances to fail: one without the step's effect, one with it.
func (c *chaos) around(tx pgx.Tx, step func() error) error {
	if err := c.fail(tx); err != nil {
		return err
	}
	if err := step(); err != nil {
		return err
	}
	return c.fail(tx)
}

func (c *chaos) Begin(ctx context.Context) (tx pgx.Tx, err error) {
	if err := c.fail(nil); err != nil {
		return nil, err
	}
	if tx, err = c.Target.Begin(ctx); err != nil {
		return nil, err
	}
	return tx, c.fail(tx)
}

func (c *chaos) Move(ctx context.Context, tx pgx.Tx, from, to change.Stand) error {
	return c.around(tx, func() error { return c.Target.Move(ctx, tx, from, to) })
}

func (c *chaos) Commit(ctx context.Context, tx pgx.Tx) error {
	return c.around(tx, func() error { return c.Target.Commit(ctx, tx) })
}

// Retryable takes a connection that was broken on purpose for one that was lost.
func (c *chaos) Retryable(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || c.Target.Retryable(err)
}
