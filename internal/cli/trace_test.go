package cli_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/trace"
)

// traced runs the verb for one order.
func (p *pipeline) traced(what string) *trace.Trace {
	p.t.Helper()
	var told trace.Trace
	if text := p.run(0, "applier", "trace", what, "--json"); json.Unmarshal([]byte(text), &told) != nil {
		p.t.Fatalf("trace %s: %s", what, text)
	}
	return &told
}

// step is the first of a stage that says something; the test fails if there is none.
func step(t *testing.T, told *trace.Trace, stage, says string) trace.Step {
	t.Helper()
	for _, s := range told.Steps {
		if s.Stage == stage && strings.Contains(s.What, says) {
			return s
		}
	}
	t.Fatalf("no step %q of stage %s: %+v", says, stage, told.Steps)
	return trace.Step{}
}

// stands checks the places of a trace against logs that were read as a whole: each is where it says, and none of the order's
// records in the shop's log is missing.
func (p *pipeline) stands(told *trace.Trace) {
	p.t.Helper()
	logs := map[string]map[int64]change.Record{}
	of := 0
	for _, cfg := range []stream.Config{p.log(), p.cfg.ERPStream(zerolog.Nop())} {
		logs[cfg.Topic] = map[int64]change.Record{}
		err := stream.Scan(p.t.Context(), cfg, func(records []change.Record) error {
			for _, r := range records {
				logs[cfg.Topic][r.Offset] = r
				mine := strings.Contains(string(r.Value), fmt.Sprintf(`"order_id":%d,`, told.Order)) || strings.Contains(string(r.Value), fmt.Sprintf(`"order_id":%d}`, told.Order))
				if cfg.Topic == p.cfg.Topic() && (strings.HasPrefix(r.Table, "oc_order") && mine || strings.Contains(string(r.Value), fmt.Sprintf(`"name":"order.%d"`, told.Order))) {
					of++
				}
			}
			return nil
		})
		if err != nil {
			p.t.Fatal(err)
		}
	}
	found := 0
	for _, s := range told.Steps {
		if s.Place == nil {
			continue
		}
		r, there := logs[s.Place.Log][s.Place.Offset]
		if !there || r.Seq != s.Place.Seq || r.Gen != s.Place.Generation || s.Place.Transaction == "" || !strings.Contains(r.Origin, s.Place.Transaction) {
			p.t.Errorf("%s: at %+v stands record %d/%d of %q", s.What, *s.Place, r.Gen, r.Seq, r.Origin)
		}
		if s.Place.Log == p.cfg.ERPTopic() && s.Stage == trace.Intake {
			id := p.number("select erp_order from spola.link where shop = $1 and order_id = $2", testShop, told.Order)
			if r.Table != "erp.sales_order" || !strings.Contains(string(r.Value), fmt.Sprintf(`"after":{"id":%d,`, id)) {
				p.t.Errorf("%s: at %+v stands %s: %s", s.What, *s.Place, r.Table, r.Value)
			}
		}
		if s.Place.Log == p.cfg.Topic() {
			found += s.Place.Records
			if s.At == nil || s.At.UnixMilli() != r.Time {
				p.t.Errorf("%s: its time is %v, its record's %d", s.What, s.At, r.Time)
			}
		}
	}
	if found != of || of == 0 {
		p.t.Errorf("order %d: %d records of the shop's log are told, it has %d", told.Order, found, of)
	}
}

// The story of an order is told from the shop's commit to the state that comes back, each step where the logs have it; what has not
// happened yet says why; and what nobody knows is said in a sentence.
func TestTrace(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{Stock: 1000})
	p.readsERP()
	p.writesShop()
	p.run(0, "cdc", "preflight", "erp", "--make", "postgres")
	read, take := p.start("cdc", "run"), p.start("applier", "run")
	readERP, write := p.start("cdc", "run", "erp"), p.start("applier", "run", "orders")
	running := []*program{read, take, readERP, write}
	p.live(running...)
	id := p.place("anna@example.com")
	p.arrived(running, id)
	read.kill() // a fence and a claim stand between what was and what comes
	read = p.start("cdc", "run")
	running[0] = read
	other := p.place("bruno@example.com")
	p.arrived(running, other)

	told := p.traced(strconv.FormatInt(id, 10))
	p.stands(told)
	if told.Status != "imported" || !strings.HasPrefix(told.Number, "W20") {
		t.Errorf("it is %q, %q", told.Status, told.Number)
	}
	if first := told.Steps[0]; first.Stage != trace.Shop || !strings.HasPrefix(first.What, "the order begins") {
		t.Errorf("it begins with %+v", first)
	}
	p.until("the ERP's log has the order", running, func() bool {
		return step(t, p.traced(told.Number), trace.Intake, "taken over as "+told.Number).Place != nil
	})
	if s := step(t, told, trace.ERP, "shipped"); s.Outcome != trace.Waits || s.At != nil || s.Why == "" {
		t.Errorf("it has not been shipped: %+v", s)
	}

	erp := p.number("select erp_order from spola.link where shop = $1 and order_id = $2", testShop, id)
	p.erpExec("select erp.ship_order($1, carrier => 'BRT', tracking => '123456789012')", erp)
	p.until("the state has come back, and been read again", running, func() bool {
		told = p.traced(strconv.FormatInt(id, 10))
		return slices.ContainsFunc(told.Steps, func(s trace.Step) bool { return s.Stage == trace.Back && s.Place != nil && s.Why == "" })
	})
	p.stands(told)
	for _, says := range []string{"parcel ", "delivery note DDT"} {
		if s := step(t, told, trace.ERP, says); s.Place == nil || s.At == nil || s.Outcome != trace.Done {
			t.Errorf("%s: %+v", says, s)
		}
	}
	if s := step(t, told, trace.Back, "written by Spola"); !strings.Contains(s.What, "state ") {
		t.Errorf("what came back: %+v", s)
	}
	if s := step(t, told, trace.Mail, "the customer's mail"); s.Outcome != trace.Waits || !strings.Contains(s.Why, "never run") {
		t.Errorf("nobody mails: %+v", s)
	}
	var note string
	if err := p.erp.QueryRow(t.Context(), "select number from erp.documents where order_id = $1 and kind = 'ddt'", erp).Scan(&note); err != nil {
		t.Fatal(err)
	}
	if same := p.traced(note); same.Order != id || same.Number != told.Number {
		t.Errorf("by its delivery note: order %d", same.Order)
	}
	if text := p.run(0, "applier", "trace", strconv.FormatInt(id, 10)); !strings.Contains(text, "TRANSACTION") || !strings.Contains(text, "more transactions)") || !strings.Contains(text, "To mend: smtp") {
		t.Errorf("for people:\n%s", text)
	}

	// Who looks for what is not there is told so.
	p.erpExec("select erp.enter_order((select min(id) from erp.customer), 1::smallint, erp.goods(jsonb_build_object((select min(sku) from erp.article), 1)))")
	for what, words := range map[string]string{
		"999999":                      "order 999999 of shop shop: no such order",
		"W2019/1":                     "no such order",
		"nonsense":                    "by the ERP's (W2026/17)",
		"T" + told.Number[1:5] + "/1": "no shop has placed",
	} {
		if text := p.run(1, "applier", "trace", what); !strings.Contains(text, words) || strings.Count(strings.TrimSpace(text), "\n") > 0 {
			t.Errorf("trace %s: %s", what, text)
		}
	}

	// Paused, parked, and while Kafka is away.
	p.run(0, "applier", "pause", "--reason", "night")
	late := p.place("carla@example.com")
	p.until("the log has it", []*program{read}, func() bool {
		out := p.start("applier", "trace", strconv.FormatInt(late, 10), "--json")
		<-out.done
		return strings.Contains(out.said.String(), `"status":"unread"`)
	})
	told = p.traced(strconv.FormatInt(late, 10))
	if s := step(t, told, trace.Intake, "taken over"); s.Outcome != trace.Waits || !strings.Contains(s.Why, "was paused by") || s.Mend != "applier resume intake" {
		t.Errorf("while intake is paused: %+v", s)
	}
	p.run(0, "applier", "resume")
	p.arrived(running, late)
	p.shopExec("UPDATE oc_order_total SET value = value + 7 WHERE order_id = ? AND code = 'total'", late)
	p.shopExec("UPDATE oc_order SET total = total + 7, date_modified = NOW() WHERE order_id = ?", late)
	p.shopExec("INSERT INTO oc_order_history (order_id, order_status_id, notify, comment, date_added) SELECT order_id, order_status_id, 0, '', NOW() FROM oc_order WHERE order_id = ?", late)
	p.until("it is parked", running, func() bool { return p.number("select count(*) from spola.parked where order_id = $1", late) == 1 })
	told = p.traced(strconv.FormatInt(late, 10))
	if s := step(t, told, trace.Intake, "parked: "); s.Outcome != trace.Waits || s.Why == "" || !strings.Contains(s.Mend, "applier parked resolve") {
		t.Errorf("parked: %+v", s)
	}
	p.stands(told)

	// Who is to be erased must be gone from the shop, and named.
	for _, c := range []struct {
		status int
		words  string
		args   []string
	}{
		{2, "--reason is missing", []string{"7"}},
		{2, "neither the number of an account in the shop nor an e-mail address", []string{"anna", "--dry-run"}},
		{1, "the shop still has this customer: order 1.", []string{"Anna@example.com", "--dry-run"}},
		{0, "Nothing of account 7 is left to erase.", []string{"7", "--dry-run"}},
	} {
		if text := p.run(c.status, append([]string{"applier", "erase"}, c.args...)...); !strings.Contains(text, c.words) {
			t.Errorf("erase %v: %s", c.args, text)
		}
	}

	// Behind a generation of the log that is gone, records are numbered on in the mirror.
	take.stop()
	p.erpExec("update spola.place set applied = applied + 100000 where applier = 'intake'")
	for _, table := range []string{"oc_order", "oc_order_product", "oc_order_total", "oc_order_history", "spola_marker"} {
		p.erpExec("update mirror_" + testShop + "." + table + " set spola_at = spola_at + 100000")
	}
	p.stands(p.traced(strconv.FormatInt(id, 10)))
	p.erpExec("update mirror_"+testShop+".oc_order_product set spola_at = 7 where order_id = $1", id)
	if told = p.traced(strconv.FormatInt(id, 10)); len(told.Notes) != 1 || !strings.Contains(told.Notes[0], "no longer in the shop's log") {
		t.Errorf("a record of a generation that is gone: %q", told.Notes)
	}

	p.configure("away.yaml", p.cfg.Shop.Database, p.cfg.ERP.Database, []string{"127.0.0.1:1"})
	text := p.startWith("away.yaml", "applier", "trace", strconv.FormatInt(id, 10)).ends(0)
	if !strings.Contains(text, "The shop's log can't be asked") || !strings.Contains(text, "123456789012") {
		t.Errorf("while Kafka is away:\n%s", text)
	}
}
