// Package clerk is the clerk of the reference ERP as tests, demo and benchmarks need one: he
// receives, counts, moves, sells, ships, cancels, closes short, takes back and changes prices,
// one function of schemas/erp after the other, as his seed has it.
package clerk

import (
	"context"
	_ "embed" // the statements stand in .sql files
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Broken finds what must hold in the reference ERP and does not: one sentence a row, none when all
// is well.
//
//go:embed broken.sql
var Broken string

// Clerk works on one connection, which is his own.
type Clerk struct {
	conn    *pgx.Conn
	random  *rand.Rand
	seed    uint64
	parcels int
	deeds   []string // a deed's name as often as its share
	done    map[string]int
	refused map[string]int
}

// Options say how a clerk works.
type Options struct {
	Seed  uint64
	Deeds map[string]int // shares by deed; nil: DefaultDeeds
}

// DefaultDeeds is a day on which everything happens, and mostly parcels leave.
var DefaultDeeds = map[string]int{
	"receive": 6, "count": 2, "move": 3, "sell": 6, "enter": 2, "ship": 12, "ship part": 6,
	"cancel": 2, "close short": 2, "take back": 2, "price": 1, "special": 1, "measures": 1,
}

// New gives a connection to a clerk. Deeds that nobody knows are an error.
func New(conn *pgx.Conn, o Options) (*Clerk, error) {
	if o.Deeds == nil {
		o.Deeds = DefaultDeeds
	}
	c := &Clerk{conn: conn, random: rand.New(rand.NewPCG(o.Seed, 7)), seed: o.Seed, done: map[string]int{}, refused: map[string]int{}}
	for _, d := range deeds {
		for range o.Deeds[d.name] {
			c.deeds = append(c.deeds, d.name)
		}
	}
	known := 0
	for _, d := range deeds {
		if _, named := o.Deeds[d.name]; named {
			known++
		}
	}
	if known != len(o.Deeds) || len(c.deeds) == 0 {
		return nil, fmt.Errorf("a clerk's deeds are %s, not %v", strings.Join(names(), ", "), o.Deeds)
	}
	return c, nil
}

// Deed is what a clerk did, or was refused to do.
type Deed struct {
	Name    string
	Refused string // the ERP's sentence; empty when it was done
	Idle    bool   // there was nothing to do it with
}

// Step does one deed. An error is one that a clerk never causes: a lost connection, a deadlock.
// What the deed works on is picked from what is there, so a seed gives the same day only to a
// clerk who is alone.
func (c *Clerk) Step(ctx context.Context) (Deed, error) {
	return c.Do(ctx, c.deeds[c.random.IntN(len(c.deeds))])
}

// Do does the deed of this name.
func (c *Clerk) Do(ctx context.Context, name string) (Deed, error) {
	for _, d := range deeds {
		if d.name != name {
			continue
		}
		idle, err := d.do(c, ctx)
		var refused *pgconn.PgError
		switch {
		case errors.As(err, &refused) && refused.Code == "23514" && refused.ConstraintName == "":
			c.refused[name]++
			return Deed{Name: name, Refused: refused.Message}, nil
		case err != nil:
			return Deed{Name: name}, fmt.Errorf("clerk %d, %s: %w", c.seed, name, err)
		case !idle:
			c.done[name]++
		}
		return Deed{Name: name, Idle: idle}, nil
	}
	return Deed{}, fmt.Errorf("no deed is called %q", name)
}

// Run does a deed every so often until the context ends. Every 0 is as fast as it goes.
func (c *Clerk) Run(ctx context.Context, every time.Duration) error {
	for ctx.Err() == nil {
		if _, err := c.Step(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
	return nil
}

// Tally says how often each deed was done and refused.
func (c *Clerk) Tally() (done, refused map[string]int) { return c.done, c.refused }
