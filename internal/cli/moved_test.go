package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/broker"
	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/stream"
)

// embedded starts the embedded broker on a directory; without a name on a free port.
func embedded(t *testing.T, dir, listen string) *broker.Broker {
	t.Helper()
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	b, err := broker.Start(t.Context(), broker.Config{Dir: dir, Listen: listen, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// upTo waits until the applier stands at the end of a log that nobody writes any more.
func (p *pipeline) upTo(log stream.Config, applier *program) change.Place {
	p.t.Helper()
	tail, err := stream.ReadTail(p.t.Context(), log)
	if err != nil {
		p.t.Fatal(err)
	}
	p.until("the applier at the end of the log", []*program{applier}, func() bool {
		return p.number("select count(*) from spola.place where generation = $1 and seq = $2 and sum = $3",
			tail.Place.Gen, tail.Place.Seq, change.FormatSum(tail.Place.Sum)) == 1
	})
	return tail.Place
}

// A log that was begun on the embedded broker goes on on Apache Kafka, while customers order: an
// applier that has read the old one to its end crosses by itself, one that has not says so.
func TestLogMovesFromTheEmbeddedBrokerToKafka(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := embedded(t, dir, "")
	p := newPipeline(t, server.MySQL(t), []string{old.Addr()}, shop.Options{})
	reader, taker := p.start("cdc", "run"), p.start("applier", "run")
	p.live(reader, taker)
	came, closing := p.customers()
	came(20)
	taker.kill()
	came(10) // stand in the old log, unread
	reader.kill()
	came(10) // stand in no log yet
	between := p.place("between@example.com")
	oldLog := p.log()

	p.configure("new.yaml", p.cfg.Shop.URL(), p.cfg.ERP.URL(), server.Kafka(t))
	p.append("new.yaml", "broker: {dir: "+dir+"}\n")
	for _, verb := range []string{"cdc", "applier"} { // nobody has said yet that it moved
		if text := p.startWith("new.yaml", verb, "run").ends(3); !strings.Contains(text, "--moved-from 127.0.0.1:9392") || !strings.Contains(text, "spola broker --dir "+dir) {
			t.Errorf("%s says: %s", verb, text)
		}
	}
	moved := p.startWith("new.yaml", "cdc", "run", "--moved-from", old.Addr())
	newLog := p.load("new.yaml").Stream(zerolog.Nop())
	p.until("the new log", []*program{moved}, func() bool {
		tail, err := stream.ReadTail(t.Context(), newLog)
		return err == nil && tail.Offset >= 0
	})
	if text := p.startWith("new.yaml", "applier", "run").ends(3); !strings.Contains(text, "read the old one to its end") {
		t.Errorf("an applier that has not read the old log to its end says: %s", text)
	}
	taker = p.start("applier", "run") // on the old brokers
	end := p.upTo(oldLog, taker)
	taker.kill()
	taker = p.startWith("new.yaml", "applier", "run")
	came(10)
	closing()
	p.cfg = p.load("new.yaml")
	p.settled(moved, taker)
	p.proved()
	if text := p.startWith("new.yaml", "applier", "cross").ends(0); !strings.Contains(text, "Nothing to cross") {
		t.Errorf("applier cross says: %s", text)
	}
	moved.stop()
	taker.stop()

	records := p.records()
	var claim change.ClaimMessage
	if err := change.Message(records[0].Value, &claim); err != nil {
		t.Fatal(err)
	}
	first := records[0]
	if first.Gen != end.Gen+1 || first.Seq != 1 || claim.Predecessor == nil || claim.Predecessor.Seq != end.Seq {
		t.Errorf("the moved log begins with %d/%d behind %+v; the old one ends at %+v", first.Gen, first.Seq, claim.Predecessor, end)
	}
	if !slices.ContainsFunc(records, func(r change.Record) bool {
		return r.Op == change.Create && string(r.Key) == fmt.Sprintf(`{"table":"oc_order","key":{"order_id":%d}}`, between)
	}) {
		t.Errorf("order %d, placed while nobody read the shop, is not inserted in the new log", between)
	}
	if taken := transactions(t, records); taken[gtidOf(t, claim.Predecessor.Origin)] {
		t.Error("a transaction of the old log stands in the new one again")
	}
}

// transactions are the GTIDs of the shop's own rows in the log.
func transactions(t *testing.T, records []change.Record) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, r := range records {
		if r.Op.IsRow() && r.Op != change.Read {
			all[gtidOf(t, r.Origin)] = true
		}
	}
	return all
}

func gtidOf(t *testing.T, text string) string {
	t.Helper()
	origin, err := change.ParseOrigin(text)
	if err != nil {
		t.Fatal(err)
	}
	return origin.Tx.GTID
}

// crosses goes on behind a gap in the log as a person does, by what the programs say. stops is what
// cdc says before it is told to go on; empty: it does not notice.
func (p *pipeline) crosses(stops string) (reader, taker *program) {
	p.t.Helper()
	if stops != "" {
		if text := p.run(3, "cdc", "run"); !strings.Contains(text, stops) {
			p.t.Errorf("cdc says: %s", text)
		}
	}
	if text := p.run(3, "applier", "run"); !strings.Contains(text, "applier cross") {
		p.t.Errorf("the applier says: %s", text)
	}
	if text := p.run(3, "applier", "cross"); !strings.Contains(text, "--new-generation") {
		p.t.Errorf("applier cross before there is a new generation says: %s", text)
	}
	reader = p.start("cdc", "run", "--new-generation")
	p.until("the new generation", []*program{reader}, func() bool {
		tail, err := stream.ReadTail(p.t.Context(), p.log())
		return err == nil && tail.Place.Gen == 2
	})
	if text := p.run(3, "applier", "run"); !strings.Contains(text, "applier cross") {
		p.t.Errorf("the applier says: %s", text)
	}
	before := p.number("select seq from spola.place")
	p.run(0, "applier", "cross", "--dry-run")
	if after := p.number("select seq from spola.place"); after != before {
		p.t.Errorf("a dry run moved the place from %d to %d", before, after)
	}
	p.run(0, "applier", "cross", "--reason", "disk lost")
	if text := p.run(0, "applier", "audit"); !strings.Contains(text, "cross into generation 2") || !strings.Contains(text, "disk lost") {
		p.t.Errorf("who crossed is not noted: %s", text)
	}
	return reader, p.start("applier", "run")
}

// A log that is lost, with changes in it that nobody had read: orders placed, cancelled and
// deleted meanwhile are found by the new generation's snapshot.
func TestLostLogIsCrossedByItsSnapshot(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	reader, taker := p.start("cdc", "run"), p.start("applier", "run")
	p.live(reader, taker)
	kept, cancelled, deleted := p.place("kept@example.com"), p.place("cancelled@example.com"), p.place("deleted@example.com")
	came, closing := p.customers()
	came(20)
	p.arrived([]*program{reader, taker}, kept, cancelled, deleted)
	taker.kill()
	if err := p.shop.Cancel(t.Context(), cancelled); err != nil {
		t.Fatal(err)
	}
	came(15)
	reader.kill()
	p.deleteTopic()
	if err := p.shop.Delete(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	fresh := p.place("fresh@example.com")
	reader, taker = p.crosses("--new-generation")
	came(15)
	closing()
	p.settled(reader, taker)
	p.arrived([]*program{reader, taker}, kept, fresh)
	p.provedBehindAGap(deleted)
	p.want("cancelled in the gap", "cancelled", "select status from spola.link where order_id = $1", cancelled)
	p.want("deleted in the gap", "true imported", "select deleted || ' ' || status from spola.link where order_id = $1", deleted)
	reader.stop()
	taker.stop()
}

// A broker that was restored from a backup has lost acknowledged records, and the applier has
// read them.
func TestShortenedLogIsCrossedByItsSnapshot(t *testing.T) {
	t.Parallel()
	dir, backup := t.TempDir(), t.TempDir()
	b := embedded(t, dir, "")
	addr := b.Addr()
	p := newPipeline(t, server.MySQL(t), []string{addr}, shop.Options{})
	reader, taker := p.start("cdc", "run"), p.start("applier", "run")
	p.live(reader, taker)
	came, closing := p.customers()
	came(15)
	b.Close()
	if err := os.CopyFS(filepath.Join(backup, "data"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	b = embedded(t, dir, addr)
	came(15)
	first := p.place("first@example.com")
	p.arrived([]*program{reader, taker}, first)
	reader.kill()
	taker.kill()
	b.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(backup, "data"))); err != nil {
		t.Fatal(err)
	}
	embedded(t, dir, addr)
	came(5)
	reader, taker = p.crosses("")
	closing()
	p.settled(reader, taker)
	p.provedBehindAGap()
	reader.stop()
	taker.stop()
}

// Behind a gap nothing is derived while the new generation's snapshot has gone through some of the
// tables only: of an order that was edited in the gap the mirror has the new total and the old lines then.
func TestNothingIsDerivedWithinTheSnapshotOfACrossing(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	reader, taker := p.start("cdc", "run"), p.start("applier", "run")
	p.live(reader, taker)
	edited, deleted := p.place("edited@example.com"), p.place("deleted@example.com")
	p.arrived([]*program{reader, taker}, edited, deleted)
	p.settled(reader, taker)
	taker.kill()
	order := p.order("edited@example.com")
	order.Lines[0].Quantity = 3
	if err := p.shop.Edit(t.Context(), edited, order); err != nil {
		t.Fatal(err)
	}
	if err := p.shop.Delete(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	fresh := p.place("fresh@example.com")
	reader.kill()
	p.deleteTopic()

	// The snapshot waits at the lines of orders: their table comes behind that of the orders.
	lock, err := p.shop.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := lock.ExecContext(t.Context(), "LOCK TABLES oc_order_product WRITE"); err != nil {
		t.Fatal(err)
	}
	const known = `select coalesce(string_agg(format('%s %s %s %s %s', l.order_id, l.status, l.deleted, l.revision, o.total), ', ' order by l.order_id), '')
		from spola.link l left join erp.sales_order o on o.id = l.erp_order`
	var before string
	if err := p.erp.QueryRow(t.Context(), known).Scan(&before); err != nil {
		t.Fatal(err)
	}
	reader, taker = p.crosses("--new-generation")
	running := []*program{reader, taker}
	p.until("the orders of the snapshot", running, func() bool {
		return p.number("select count(*) from mirror_shop.oc_order where order_id = $1", fresh) == 1 &&
			p.number("select count(*) from mirror_shop.oc_order where order_id = $1", deleted) == 0
	})
	p.shopExec("UPDATE oc_product SET quantity = quantity + 1 WHERE product_id = 1") // the clock goes on for a while
	p.ticks(2*intake.Settle, running...)
	p.want("links while the snapshot waits", before, known)
	p.want("parked while the snapshot waits", "0", "select count(*) from spola.parked")
	if n := p.number("select count(*) from mirror_shop.oc_order_product where order_id = $1", fresh); n != 0 {
		t.Fatalf("the snapshot did not wait: the new order has %d lines already", n)
	}
	if _, err := lock.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	p.settled(running...)
	p.arrived(running, edited, fresh)
	p.provedBehindAGap(deleted)
	p.want("edited in the gap", "3", "select max(quantity) from erp.order_line where order_id = (select erp_order from spola.link where order_id = $1)", edited)
	reader.stop()
	taker.stop()
}
