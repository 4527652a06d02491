package cli_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/schemas"
)

// gate stops the shop before a statement: of any order, or of one.
type gate struct {
	statement string
	armed     atomic.Bool
	reached   chan int64
	open      chan struct{}
}

func newGate(statement string) *gate {
	return &gate{statement: statement, reached: make(chan int64), open: make(chan struct{})}
}

func (g *gate) before(ctx context.Context, statement string, order int64) error {
	if statement != g.statement || !g.armed.CompareAndSwap(true, false) {
		return nil
	}
	select {
	case g.reached <- order:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ticks waits until the applier has seen so many more ticks of the shop's clock.
func (p *pipeline) ticks(n int64, running ...*program) {
	p.t.Helper()
	const query = "select ticks from spola.mirror where source = $1"
	want := p.number(query, testShop) + n
	p.until("the shop's clock", running, func() bool { return p.number(query, testShop) >= want })
}

// While a page of settings is deleted and not yet written again, orders go on with the settings
// before, for however long that lasts.
func TestSettingsAreSavedWhileOrdersFlow(t *testing.T) {
	t.Parallel()
	saving := newGate("setting")
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{Before: saving.before})
	reader, taker := p.start("cdc", "run"), p.start("applier", "run")
	running := []*program{reader, taker}
	p.live(running...)
	const copies = "select lookups from spola.shop"
	had := p.number(copies)
	saving.armed.Store(true)
	saved := make(chan error, 1)
	go func() { saved <- p.shop.SaveSettings(t.Context(), "config") }()
	<-saving.reached
	p.until("settings gone", running, func() bool {
		return p.number("select count(*) from mirror_shop.oc_setting where key = 'config_currency'") == 0
	})
	p.arrived(running, p.place("at-once@example.com"))
	p.ticks(5, running...)
	taker.kill()
	taker = p.start("applier", "run")
	running = []*program{reader, taker}
	p.arrived(running, p.place("later@example.com"))
	if now := p.number(copies); now != had {
		t.Errorf("half a page of settings was taken: copy %d, was %d", now, had)
	}
	close(saving.open)
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
	p.until("the settings' new copy", running, func() bool { return p.number(copies) > had })
	p.arrived(running, p.place("behind@example.com"))
	p.settled(running...)
	p.want("parked", "0", "select count(*) from spola.parked")
	p.proved()
}

// Rows that the shop deleted without a word in its binary log go with the next snapshot, and with
// them what they meant, while orders flow.
func TestGhostsGoWithAChunk(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	reader, taker := p.start("cdc", "run"), p.start("applier", "run")
	p.live(reader, taker)
	ghost, alive := p.place("ghost@example.com"), p.place("alive@example.com")
	p.arrived([]*program{reader, taker}, ghost, alive)
	conn, err := p.shop.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, statement := range []string{"SET sql_log_bin = 0", "DELETE FROM oc_order_product WHERE order_id = ?", "DELETE FROM oc_order_total WHERE order_id = ?",
		"DELETE FROM oc_order_history WHERE order_id = ?", "DELETE FROM oc_order WHERE order_id = ?", "SET sql_log_bin = 1"} {
		var args []any
		if statement[0] == 'D' {
			args = append(args, ghost)
		}
		if _, err := conn.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	p.ticks(2, reader, taker)
	p.want("a ghost", "1", "select count(*) from mirror_shop.oc_order where order_id = $1", ghost)
	_, closing := p.customers()
	p.run(0, "cdc", "snapshot", "oc_order", "oc_order_product", "oc_order_total", "oc_order_history")
	p.until("the ghost's end", []*program{reader, taker}, func() bool {
		return p.number(`select (select count(*) from mirror_shop.oc_order where order_id = $1) + (select count(*) from mirror_shop.oc_order_product where order_id = $1)
			+ (select count(*) from mirror_shop.oc_order_total where order_id = $1) + (select count(*) from mirror_shop.oc_order_history where order_id = $1)`, ghost) == 0
	})
	closing()
	p.settled(reader, taker)
	p.want("the ghost's link", "true imported", "select deleted || ' ' || status from spola.link where order_id = $1", ghost)
	p.want("the other's link", "false imported", "select deleted || ' ' || status from spola.link where order_id = $1", alive)
}

// A reader that ends between the statement that takes an order's pieces and the one that writes
// its state: the pieces count once, with the order, whether or not it settles in between.
func TestReaderEndsBetweenStockAndState(t *testing.T) {
	t.Parallel()
	state := newGate("status")
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{Before: state.before})
	reader, taker := p.start("cdc", "run"), p.start("applier", "run")
	p.live(reader, taker)
	const pieces = "select coalesce(sum(pieces), 0) from spola.consumption"
	place := func(email string, between func()) int64 {
		state.armed.Store(true)
		placed := make(chan int64, 1)
		go func() {
			id, err := p.shop.PlaceOrder(t.Context(), p.order(email))
			if err != nil {
				t.Error(err)
			}
			placed <- id
		}()
		<-state.reached
		between()
		state.open <- struct{}{}
		return <-placed
	}
	first := place("settles@example.com", func() {
		p.ticks(1, reader, taker)
		reader.kill()
		reader = p.start("cdc", "run")
		p.ticks(5, reader, taker)
		if n := p.number("select count(*) from spola.link") + p.number(pieces); n != 0 {
			t.Errorf("half an order counts %d", n)
		}
	})
	p.arrived([]*program{reader, taker}, first)
	if n := p.number(pieces); n != 2 {
		t.Errorf("%d pieces are consumed, want 2", n)
	}
	second := place("killed@example.com", func() { reader.kill() })
	reader = p.start("cdc", "run")
	p.arrived([]*program{reader, taker}, second)
	p.settled(reader, taker)
	if n := p.number(pieces); n != 4 {
		t.Errorf("%d pieces are consumed, want 4", n)
	}
	p.proved()
}

// Reader and applier are killed at each step of a snapshot, the first one and a later one, beside
// live orders: at each watermark, behind each chunk and each table. One table takes several chunks. In the end
// the mirror has every row of the shop's tables, and no other.
func TestKillsAtEachStepOfASnapshot(t *testing.T) {
	for name, shopOf := range map[string]func(testing.TB) string{"mysql": server.MySQL, "mariadb": server.MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, shopOf(t), server.Kafka(t), shop.Options{})
			p.manyZones(4500)
			reader, taker := p.start("cdc", "run"), p.start("applier", "run")
			kills := p.killThrough(1, &reader, &taker)
			p.live(reader, taker)
			came, closing := p.customers()
			came(30)
			p.run(0, "cdc", "snapshot")
			kills += p.killThrough(2, &reader, &taker)
			closing()
			p.settled(reader, taker)
			p.proved()
			p.mirrored()
			reader.stop()
			taker.stop()
			records := p.records()
			if records[0].Seq != 1 || records[len(records)-1].Seq != int64(len(records)) {
				t.Errorf("the log has %d records, from %d to %d", len(records), records[0].Seq, records[len(records)-1].Seq)
			}
			if kills < 40 {
				t.Errorf("only %d kills", kills)
			}
			t.Logf("%d kills", kills)
		})
	}
}

// manyZones gives the shop's countries more zones than one chunk of a snapshot has rows.
func (p *pipeline) manyZones(n int) {
	p.t.Helper()
	var rows []string
	for i := range n {
		rows = append(rows, fmt.Sprintf("(%d, 105, 'Z%d')", 10_000+i, i))
	}
	p.shopExec("INSERT INTO oc_zone (zone_id, country_id, code) VALUES " + strings.Join(rows, ", "))
}

// mirrored compares the number of rows, and the sum of their keys, of each captured table but those of which
// only some rows are captured.
func (p *pipeline) mirrored() {
	p.t.Helper()
	profile, _, err := schemas.Platform("opencart")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, table := range profile.Tables {
		if table.Only != nil {
			continue
		}
		var rows, keys int64
		count := "SELECT count(*), CAST(COALESCE(sum(" + table.Key[0] + "), 0) AS SIGNED) FROM oc_" + table.Name
		if err := p.shop.DB().QueryRowContext(p.t.Context(), count).Scan(&rows, &keys); err != nil {
			p.t.Fatalf("%s: %v", count, err)
		}
		p.want("rows of "+table.Name, fmt.Sprintf("%d %d", rows, keys), "select count(*) || ' ' || coalesce(sum("+table.Key[0]+"), 0) from mirror_shop.oc_"+table.Name)
	}
}

// killThrough kills the reader, or the applier, whenever a step of the snapshot run stands in the
// log, until the run has ended.
func (p *pipeline) killThrough(run int64, reader, taker **program) (kills int) {
	p.t.Helper()
	p.until("the log", []*program{*taker}, func() bool {
		tail, err := stream.ReadTail(p.t.Context(), p.log())
		return err == nil && tail.Offset >= 0
	})
	log, err := stream.OpenReader(p.t.Context(), p.log(), stream.Position{})
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	for {
		records, err := log.Next(p.t.Context())
		if err != nil {
			p.t.Fatal(err)
		}
		step, ended := stepOf(p.t, records, run)
		if ended {
			return kills
		}
		if !step {
			continue
		}
		victim, verb := reader, "cdc"
		if kills%3 == 2 {
			victim, verb = taker, "applier"
		}
		(*victim).kill()
		*victim = p.start(verb, "run")
		kills++
	}
}

// stepOf tells whether there is a step of the run among the records, and whether it ended.
func stepOf(t *testing.T, records []change.Record, run int64) (step, ended bool) {
	t.Helper()
	for _, r := range records {
		switch {
		case r.Op == change.Chunk:
			var m change.ChunkMessage
			if err := change.Message(r.Value, &m); err != nil {
				t.Fatal(err)
			}
			step = step || m.Run == run
			ended = ended || m.Run == run && m.LastOfRun
		case r.Table == "spola_marker":
			step = step || string(r.Key) == `{"table":"spola_marker","key":{"name":"low"}}` || string(r.Key) == `{"table":"spola_marker","key":{"name":"high"}}`
		}
	}
	return step, ended
}
