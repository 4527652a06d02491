package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
	"github.com/spola-cdc/spola/schemas/events"
)

// readsERP lets the pipeline's configuration name a reader of the ERP's log.
func (p *pipeline) readsERP() { p.t.Helper(); p.readsERPBy("spola.yaml") }

func (p *pipeline) readsERPBy(name string) {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(name, []byte(strings.Replace(string(text), "erp:\n", fmt.Sprintf("erp:\n  log: {user: postgres, slot: cli_%d}\n", p.server), 1)))
	p.cfg = p.load(name)
}

// erpRecords are those of the ERP's log from its first record on, each one checked: number, sum,
// and what the JSON Schemas say.
func (p *pipeline) erpRecords() []change.Record {
	p.t.Helper()
	log := p.cfg.ERPStream(zerolog.Nop())
	check, err := events.NewChecker()
	if err != nil {
		p.t.Fatal(err)
	}
	var all []change.Record
	err = stream.Scan(p.t.Context(), log, func(records []change.Record) error {
		for i := range records {
			if err := check.Check(&records[i]); err != nil {
				p.t.Errorf("record %d: %v\n%s", records[i].Seq, err, records[i].Value)
			}
		}
		all = append(all, records...)
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// erpHas tells whether a row of the ERP's log has all words.
func (p *pipeline) erpHas(words ...string) bool {
	for _, r := range p.erpRecords() {
		found := r.Op.IsRow()
		for _, word := range words {
			found = found && strings.Contains(string(r.Value), word)
		}
		if found {
			return true
		}
	}
	return false
}

// The ERP's changes stand in its log, by the verbs of cdc: preflight says and makes what is needed, a
// newer reader fences an older one and takes the slot over, kills lose nothing, and Spola's own
// transactions are known as echoes.
func TestERPLog(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{})
	if text := p.run(78, "cdc", "run", "erp"); !strings.Contains(text, "erp.log.user") {
		t.Errorf("without a reader's user: %s", text)
	}
	p.readsERP()
	if text := p.run(5, "cdc", "preflight", "erp"); !strings.Contains(text, "CREATE PUBLICATION") || !strings.Contains(text, "REPLICA IDENTITY FULL") {
		t.Errorf("preflight: %s", text)
	}
	if text := p.run(3, "cdc", "run", "erp"); !strings.Contains(text, "CREATE PUBLICATION") && !strings.Contains(text, "REPLICA IDENTITY FULL") {
		t.Errorf("run before preflight is heeded: %s", text)
	}
	p.run(0, "cdc", "preflight", "erp", "--make", "postgres")

	// Another shop's configuration, which does not read it, follows it all the same.
	text, err := os.ReadFile(filepath.Join(p.dir, "spola.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("other.yaml", []byte(strings.Replace(string(text), fmt.Sprintf("{user: postgres, slot: cli_%d}", p.server), "{elsewhere: true}", 1)))
	if text := p.startWith("other.yaml", "cdc", "run", "erp").ends(78); !strings.Contains(text, "erp.log.elsewhere") {
		t.Errorf("read by another shop's configuration: %s", text)
	}
	if text := p.startWith("other.yaml", "applier", "run", "stock").ends(78); !strings.Contains(text, "shop.write_as") {
		t.Errorf("followed by another shop's configuration: %s", text)
	}
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := p.erp.Exec(t.Context(), statement, args...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	older := p.start("cdc", "run", "erp")
	p.until("the snapshot's end", []*program{older}, func() bool { return strings.Contains(p.run(0, "cdc", "position", "erp"), `"queue": []`) })
	weight := func(kg string) {
		exec("UPDATE erp.article SET weight_kg = $1::numeric WHERE id = (SELECT min(id) FROM erp.article)", kg)
	}
	weight("1.111")
	p.until("a change", []*program{older}, func() bool { return p.erpHas(`"weight_kg":"1.111"`) })

	newer := p.start("cdc", "run", "erp")
	if text := older.ends(4); !strings.Contains(text, "fenced") || !strings.Contains(text, "erp.log.elsewhere: true") {
		t.Errorf("the older says: %s", text)
	}
	weight("2.222")
	p.until("a change behind the fence", []*program{newer}, func() bool { return p.erpHas(`"weight_kg":"2.222"`) })
	newer.kill()
	weight("3.333")
	conn, err := postgres.Connect(t.Context(), p.cfg.ERP.URL(), "spola test")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	err = postgres.InTransaction(t.Context(), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "UPDATE erp.article SET weight_kg = 4.444 WHERE id = (SELECT min(id) FROM erp.article)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	reader := p.start("cdc", "run", "erp")
	p.until("what was written meanwhile", []*program{reader}, func() bool {
		return p.erpHas(`"weight_kg":"4.444"`, `"echo":true`) && p.erpHas(`"before":{`, `"weight_kg":"3.333"`)
	})
	p.run(0, "cdc", "snapshot", "erp", "erp.article", "--to", "5")
	p.until("the snapshot that was asked for", []*program{reader}, func() bool { return p.erpHas(`"op":"r"`, `"weight_kg":"4.444"`) })
	if p.erpHas(`"weight_kg":"3.333"`, `"echo":true`, `"before":{`, `"weight_kg":"2.222"`) {
		t.Error("somebody else's transaction is called an echo")
	}
	seen := map[string]int{}
	for _, r := range p.erpRecords() {
		if r.Op.IsRow() && r.Op != change.Read {
			seen[r.Origin]++
		}
	}
	if len(seen) != 4 {
		t.Errorf("4 changes stand in the log as %v", seen)
	}
	reader.stop()

	// The slot is lost: it stops, says so, and is brought back by the words that the shop knows.
	p.until("the slot is free", nil, func() bool {
		return p.number("SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active", p.cfg.ERP.Log.Slot) == 1
	})
	exec("SELECT pg_drop_replication_slot($1)", p.cfg.ERP.Log.Slot)
	weight("5.555")
	if text := p.run(3, "cdc", "run", "erp"); !strings.Contains(text, "--new-incarnation") {
		t.Errorf("without its slot cdc says: %s", text)
	}
	reader = p.start("cdc", "run", "erp", "--new-incarnation")
	p.until("the new generation", []*program{reader}, func() bool {
		text := p.run(0, "cdc", "position", "erp")
		return strings.Contains(text, "generation 2,") && strings.Contains(text, `"queue": []`)
	})
	reader.stop()
}

// The ERP's log moves to other brokers and goes on where it ended; and where it is lost, a new generation
// begins with a snapshot. What was changed while nobody read stands in either; nothing is told twice.
func TestERPLogMovesAndIsLost(t *testing.T) {
	t.Parallel()
	old := embedded(t, t.TempDir(), "")
	p := newPipeline(t, server.MySQL(t), []string{old.Addr()}, shop.Options{})
	p.readsERP()
	p.run(0, "cdc", "preflight", "erp", "--make", "postgres")
	weight := func(kg string) {
		t.Helper()
		if _, err := p.erp.Exec(t.Context(), "UPDATE erp.article SET weight_kg = $1::numeric WHERE id = (SELECT min(id) FROM erp.article)", kg); err != nil {
			t.Fatal(err)
		}
	}
	reader := p.start("cdc", "run", "erp")
	p.until("the snapshot's end", []*program{reader}, func() bool { return strings.Contains(p.run(0, "cdc", "position", "erp"), `"queue": []`) })
	weight("1.111")
	p.until("a change", []*program{reader}, func() bool { return p.erpHas(`"weight_kg":"1.111"`) })
	reader.kill()
	weight("2.222") // stands in no log yet
	oldEnd := p.erpRecords()

	p.configure("new.yaml", p.cfg.Shop.URL(), p.cfg.ERP.URL(), server.Kafka(t))
	p.readsERPBy("new.yaml")
	if text := p.startWith("new.yaml", "cdc", "run", "erp").ends(3); !strings.Contains(text, "cdc run erp --new-generation") {
		t.Errorf("on empty brokers: %s", text)
	}
	reader = p.startWith("new.yaml", "cdc", "run", "erp", "--moved-from", old.Addr())
	p.until("what was changed between", []*program{reader}, func() bool { return p.erpBegun() && p.erpHas(`"before":{`, `"weight_kg":"2.222"`) })
	weight("3.333")
	p.until("what comes behind", []*program{reader}, func() bool { return p.erpHas(`"before":{`, `"weight_kg":"3.333"`) })
	reader.kill()
	records := p.erpRecords()
	var claim change.ClaimMessage
	if err := change.Message(records[0].Value, &claim); err != nil {
		t.Fatal(err)
	}
	if last := oldEnd[len(oldEnd)-1]; claim.Predecessor == nil || claim.Predecessor.Seq < last.Seq || records[0].Gen != last.Gen+1 {
		t.Errorf("the moved log begins with generation %d behind %+v; the old one ended at %d of %d", records[0].Gen, claim.Predecessor, last.Seq, last.Gen)
	}
	for _, r := range records {
		if r.Op == change.Update && strings.Contains(string(r.Value), `"after":{"id":1,`) && strings.Contains(string(r.Value), `"weight_kg":"1.111"`) && !strings.Contains(string(r.Value), `"weight_kg":"2.222"`) {
			t.Errorf("a change of the old log stands in the new one again: %s", r.Value)
		}
	}

	// Lost: the brokers are others, and nobody has the old ones.
	weight("4.444")
	text, err := os.ReadFile(filepath.Join(p.dir, "new.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("lost.yaml", []byte(strings.Replace(string(text), "prefix: t", "prefix: lost", 1)))
	p.cfg = p.load("lost.yaml")
	if text := p.startWith("lost.yaml", "cdc", "run", "erp").ends(3); !strings.Contains(text, "cdc run erp --new-generation") {
		t.Errorf("without its log: %s", text)
	}
	reader = p.startWith("lost.yaml", "cdc", "run", "erp", "--new-generation")
	p.until("the snapshot of the new generation", []*program{reader}, func() bool {
		return p.erpBegun() && p.erpHas(`"op":"r"`, `"weight_kg":"4.444"`) && strings.Contains(p.startWith("lost.yaml", "cdc", "position", "erp").ends(0), `"queue": []`)
	})
	weight("5.555")
	p.until("what comes behind it", []*program{reader}, func() bool { return p.erpHas(`"before":{`, `"weight_kg":"5.555"`) })
	reader.stop()
}

// erpBegun tells whether there is a record in the ERP's log.
func (p *pipeline) erpBegun() bool {
	tail, err := stream.ReadTail(p.t.Context(), p.cfg.ERPStream(zerolog.Nop()))
	return err == nil && tail.Offset >= 0
}
