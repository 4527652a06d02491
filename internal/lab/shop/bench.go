package shop

import (
	"context"
	"database/sql"
	_ "embed" // the benchmark's transaction
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"
)

//go:embed bench.sql
var benchSQL string

//go:embed backlog.sql
var backlogSQL string

// BenchLoad says what Bench writes: orders of exactly seven rows (1 order, 2 lines, 3 totals, 1
// history row), cash on delivery, each in one transaction.
type BenchLoad struct {
	Orders      int
	Rate        float64 // orders a second; 0: as fast as the server takes them
	Connections int     // default 4, at a rate 32
	Batch       int     // without a rate: orders that the server writes at one call; default 500

	// Relaxed lets the server write a backlog without syncing its logs at each commit, by global
	// variables that are put back at the end. For one's own server only.
	Relaxed bool

	// Committed, when set, is told when an order's COMMIT returned (of a batch: the last one's),
	// from many goroutines.
	Committed func(order int64, at time.Time)
}

func (l *BenchLoad) setDefaults() {
	if l.Connections == 0 {
		l.Connections = 4
		if l.Rate > 0 {
			l.Connections = 32
		}
	}
	if l.Batch == 0 {
		l.Batch = 500
	}
	if l.Rate > 0 {
		l.Batch = 1
	}
}

// Bench writes the orders and returns the numbers of the first and the last.
func (s *Shop) Bench(ctx context.Context, load BenchLoad) (first, last int64, err error) {
	load.setDefaults()
	config := s.config.Clone()
	config.MultiStatements = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(load.Connections)
	db.SetMaxIdleConns(load.Connections)
	var highest int64
	err = db.QueryRowContext(ctx, "SELECT COALESCE(MAX(order_id), 0) FROM `"+s.options.Prefix+"order`").Scan(&highest)
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	if load.Relaxed {
		restore, err := relax(ctx, db)
		if err != nil {
			return 0, 0, err
		}
		defer restore()
	}
	b := &bench{shop: s, db: db, load: load, first: highest + 1, start: time.Now(), text: s.benchText()}
	return highest + 1, highest + int64(load.Orders), b.run(ctx)
}

// templates is how many orders of a backlog are sent; the server copies the others from them.
const templates = 20

// benchText is the transaction of one order.
func (s *Shop) benchText() string {
	var text []string
	for _, line := range strings.Split(benchSQL, "\n") {
		if !strings.HasPrefix(line, "--") && line != "" {
			text = append(text, line)
		}
	}
	return strings.ReplaceAll(withPrefix(strings.Join(text, " "), s.options.Prefix), "{order}", s.statements["order columns"])
}

type bench struct {
	shop  *Shop
	db    *sql.DB
	load  BenchLoad
	first int64
	start time.Time
	text  string
	next  atomic.Int64 // orders that somebody writes or has written
}

func (b *bench) run(ctx context.Context) error {
	if b.load.Rate == 0 {
		if err := b.prepareBacklog(ctx); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for range b.load.Connections {
		group.Go(func() error {
			for {
				from := int(b.next.Add(int64(b.load.Batch))) - b.load.Batch
				if from >= b.load.Orders {
					return nil
				}
				if err := b.write(ctx, from, min(from+b.load.Batch, b.load.Orders)); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// prepareBacklog writes the orders that the others are copies of, and the procedure that copies.
func (b *bench) prepareBacklog(ctx context.Context) error {
	n := min(templates, b.load.Orders)
	for i := range n {
		if err := b.send(ctx, i); err != nil {
			return err
		}
	}
	b.next.Store(int64(n))
	name := "`" + b.shop.options.Prefix + "backlog`"
	_, text, _ := strings.Cut(withPrefix(backlogSQL, b.shop.options.Prefix), "CREATE PROCEDURE ")
	text = strings.ReplaceAll("CREATE PROCEDURE "+text, "{columns}", b.shop.orderColumns("email"))
	for _, statement := range []string{"DROP PROCEDURE IF EXISTS " + name, text} {
		if _, err := b.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	return nil
}

// orderColumns lists the columns of "order columns" but one.
func (s *Shop) orderColumns(but string) string {
	var names []string
	for _, assignment := range strings.Split(s.statements["order columns"], ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(assignment), " ")
		if name != "`"+but+"`" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// write writes the orders from up to and without to: at a rate it sends the one order when its
// time has come, else it has the server copy them all.
func (b *bench) write(ctx context.Context, from, to int) error {
	if b.load.Rate > 0 {
		if err := b.wait(ctx, from); err != nil {
			return err
		}
		return b.send(ctx, from)
	}
	_, err := b.db.ExecContext(ctx, "CALL `"+b.shop.options.Prefix+"backlog`(?, ?, ?, ?)",
		b.first+int64(from), b.first+int64(to)-1, b.first, templates)
	if err != nil {
		return fmt.Errorf("bench: orders from %d: %w", b.first+int64(from), err)
	}
	b.tell(from, to)
	return nil
}

func (b *bench) wait(ctx context.Context, i int) error {
	due := b.start.Add(time.Duration(float64(i) / b.load.Rate * float64(time.Second)))
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// send writes one order in one round trip.
func (b *bench) send(ctx context.Context, i int) error {
	id := b.first + int64(i)
	if _, err := b.db.ExecContext(ctx, b.text, b.appendOrder(nil, id)...); err != nil {
		return fmt.Errorf("bench: order %d: %w", id, err)
	}
	b.tell(i, i+1)
	return nil
}

func (b *bench) tell(from, to int) {
	if b.load.Committed == nil {
		return
	}
	at := time.Now()
	for i := from; i < to; i++ {
		b.load.Committed(b.first+int64(i), at)
	}
}

// benchProducts are those of the first ten that have the standard rate and nothing special.
var benchProducts = [...]int{1, 2, 6, 8, 9}

func (b *bench) appendOrder(args []any, id int64) []any {
	n := int(id)
	o := Order{Customer: Customer{First: "Mario", Last: fmt.Sprintf("Rossi %d", id%1000), Phone: "+39 333 1234567",
		Email:   fmt.Sprintf("bench%d@mail.example", id),
		Address: Address{Street: fmt.Sprintf("Via Roma %d", id%200), City: "Roma", Postcode: "00100", Country: Italy}},
		Payment: CashOnDelivery, Lines: []Line{
			{Product: benchProducts[n%5], Quantity: 1 + n%3}, {Product: benchProducts[(n+1+n%4)%5], Quantity: 1}}}
	c := Checkout{shop: b.shop, order: o, cart: b.shop.fill(o, false, hundred.Sub(hundred))}
	c.cart = c.cart.without("shipping")
	args = append(args, id)
	args = append(args, c.columns()...)
	for _, l := range c.cart.lines {
		args = append(args, id, l.Product, escape(l.product.Name), l.product.Model, l.Quantity, l.price.String(), l.net().String(), l.tax.String())
	}
	for _, t := range c.cart.totals {
		args = append(args, id, t.code, t.title, t.value.String(), t.sort)
	}
	return append(args, id)
}

// without is the cart of lines of the standard rate with a charge of that rate left out.
func (c cart) without(code string) cart {
	var out cart
	out.lines = c.lines
	for _, t := range c.totals {
		switch t.code {
		case code:
			continue
		case "tax":
			t.value = t.value.Sub(flatCost.Mul(italianRate(Standard)).Div(hundred))
		case "total":
			t.value = out.total
		}
		out.totals = append(out.totals, t)
		out.total = out.total.Add(t.value)
	}
	out.total = out.totals[len(out.totals)-1].value
	return out
}

// relax switches the syncs off and returns what puts them back.
func relax(ctx context.Context, db *sql.DB) (restore func(), err error) {
	var binlog, redo int
	if err := db.QueryRowContext(ctx, "SELECT @@GLOBAL.sync_binlog, @@GLOBAL.innodb_flush_log_at_trx_commit").Scan(&binlog, &redo); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	set := func(ctx context.Context, binlog, redo int) error {
		_, err := db.ExecContext(ctx, "SET GLOBAL sync_binlog = ?; SET GLOBAL innodb_flush_log_at_trx_commit = ?", binlog, redo)
		return err
	}
	if err := set(ctx, 0, 2); err != nil {
		return nil, fmt.Errorf("bench: relax the server: %w", err)
	}
	return func() { _ = set(context.WithoutCancel(ctx), binlog, redo) }, nil
}
