package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/lab/mailbox"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// replay is what `applier replay --json` says.
type replay struct {
	Log struct {
		Records     int64
		First, Last string
		Orders      int
	}
	Orders, Same int
	Outcomes     map[string]int
	Found        []intake.Found
	Rebuilt      intake.Rebuilt
}

func (p *pipeline) replay(status int, flags ...string) (r replay) {
	p.t.Helper()
	said := p.run(status, append([]string{"applier", "replay", "--json"}, flags...)...)
	at := strings.Index(said, `{"shop"`) // warnings stand before it
	if at < 0 {
		p.t.Fatalf("replay %v said %s", flags, said)
	}
	if err := json.NewDecoder(strings.NewReader(said[at:])).Decode(&r); err != nil {
		p.t.Fatalf("replay %v: %v: %s", flags, err, said)
	}
	return r
}

func (r replay) outcome(order int64) string {
	for _, f := range r.Found {
		if f.Order == order {
			return f.Outcome
		}
	}
	return "same"
}

// mirrored is all of the mirror's rows of orders.
const mirroredOrders = `select md5(concat_ws('|', (select string_agg(md5(x::text), '' order by order_id) from mirror_shop.oc_order x),
	(select string_agg(md5(x::text), '' order by order_product_id) from mirror_shop.oc_order_product x), (select string_agg(md5(x::text), '' order by order_total_id) from mirror_shop.oc_order_total x),
	(select string_agg(md5(x::text), '' order by order_history_id) from mirror_shop.oc_order_history x)))`

// Orders touched in a part of the log are found by record, time, table and number; the dry run shows what differs, the replay brings it, killed or
// not, beside customers who order. What older records of the log say of a row comes nowhere.
func TestReplay(t *testing.T) {
	t.Parallel()
	p := newPipelineAt(t, server.MySQL(t), server.PrivatePostgres(t, nil).URL(), server.Kafka(t), shop.Options{Stock: 10_000}) // of its own: the reader of the ERP's log is given what all databases of a server write
	p.readsERP()
	box, err := mailbox.Start(mailbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.Close)
	p.write("mail-ca.pem", box.CA)
	p.append("spola.yaml", fmt.Sprintf("smtp: {server: %q, ca_file: mail-ca.pem, from: Spola <spola@example.com>}\n", box.Addr))
	p.run(0, "cdc", "preflight", "erp", "--make", "postgres")
	running := []*program{p.start("cdc", "run"), p.start("applier", "run"), p.start("cdc", "run", "erp"), p.start("applier", "run", "mail")}
	p.live(running...)
	p.until("the mailer has begun", running, func() bool { return p.number("select count(*) from spola.place where applier = 'mail'") > 0 })
	mailed := func(order int64, n int) { // a parcel leaves, and its customer's is mail number n
		t.Helper()
		p.erpExec("select erp.ship_order(erp_order, carrier => 'BRT', tracking => '123456789012') from spola.link where order_id = $1", order)
		p.until(fmt.Sprintf("mail %d", n), running, func() bool { return len(box.Mails()) >= n })
	}
	place := func(names ...string) (orders []int64) {
		for _, name := range names {
			orders = append(orders, p.place(name+"@example.com"))
		}
		p.arrived(running, orders...)
		return orders
	}
	early := place("a", "b", "c")
	mailed(early[0], 1)
	p.settled(running...)
	at := p.standing()
	begin := fmt.Sprintf("%d/%d", at.Gen, at.Seq+1)
	late := place("d", "e", "f", "g", "h", "i", "j", "k")
	edited := p.order("d@example.com")
	edited.Lines[0].Quantity = 3
	if err := p.shop.Edit(t.Context(), late[0], edited); err != nil { // the log has rows of it that are no more
		t.Fatal(err)
	}
	p.settled(running...)

	p.run(2, "applier", "replay", "--dry-run")
	p.run(2, "applier", "replay", "--from", "yesterday")
	p.run(2, "applier", "replay", "--from", "2/x")
	p.run(2, "applier", "replay", "--order", "17-4")
	p.run(2, "applier", "replay", "--table", "oc_product")
	today := time.Now().UTC().Format(time.DateOnly)
	since := time.Now().Add(-time.Hour).Format(time.RFC3339)
	for _, c := range []struct {
		what   string
		flags  []string
		orders []int64
	}{
		{"all day", []string{"--from", today}, append(early, late...)},
		{"the last hour", []string{"--from", since}, append(early, late...)},
		{"from a record on", []string{"--from", begin}, late},
		{"up to it", []string{"--to", fmt.Sprintf("%d/%d", at.Gen, at.Seq)}, early},
		{"one order of a part", []string{"--from", begin, "--order", fmt.Sprintf("%d,%d", early[0], late[1])}, late[1:2]},
		{"orders by number", []string{"--order", fmt.Sprintf("%d-%d", early[1], early[2])}, early[1:3]},
		{"behind one", []string{"--from", begin, "--after", fmt.Sprint(late[5])}, late[6:]},
	} {
		r := p.replay(0, append(c.flags, "--dry-run")...)
		carts := r.Orders - len(c.orders) // of what settled waits for
		if carts < 0 || carts > 2 || r.Same != r.Orders || len(r.Found) > 0 {
			t.Errorf("%s: %+v, want %d orders", c.what, r, len(c.orders))
		}
	}

	mirror := ""
	if err := p.erp.QueryRow(t.Context(), mirroredOrders).Scan(&mirror); err != nil {
		t.Fatal(err)
	}
	const ofLink = "(select erp_order from spola.link where order_id = $1)"
	p.erpExec("update erp.order_line set name = 'wrong' where line = 1 and order_id = "+ofLink, late[0]) // an edit that never came
	p.erpExec("update spola.link set content = '' where order_id = $1", late[0])
	p.erpExec("update erp.sales_order set note = 'agreed by phone' where id = "+ofLink, late[1]) // a person's edit
	p.erpExec("delete from spola.link where order_id = $1", late[2])
	p.erpExec("delete from spola.consumption where order_id = $1", late[2])
	said := p.run(5, "applier", "replay", "--from", begin, "--dry-run")
	for _, words := range []string{`line 1 name`, `"wrong"`, `"agreed by phone"`, "3 of ", "Nothing was changed"} {
		if !strings.Contains(said, words) {
			t.Errorf("the dry run says nothing of %s:\n%s", words, said)
		}
	}
	p.want("the dry run", "wrong", "select name from erp.order_line where line = 1 and order_id = "+ofLink, late[0])
	r := p.replay(0, "--from", begin, "--reason", "test")
	if r.outcome(late[0]) != "edit" || r.outcome(late[1]) != "differs" || r.outcome(late[2]) != "link" || len(r.Found) != 3 {
		t.Errorf("replay: %+v", r)
	}
	p.want("a person's edit", "agreed by phone", "select note from erp.sales_order where id = "+ofLink, late[1])
	p.want("the edit", "3", "select quantity::text from erp.order_line where line = 1 and order_id = "+ofLink, late[0])
	if r := p.replay(0, "--from", begin, "--dry-run"); len(r.Found) != 1 || r.outcome(late[1]) != "asked" {
		t.Errorf("behind it: %+v", r)
	}
	p.want("the mirror", mirror, mirroredOrders)
	if said := p.run(0, "applier", "parked", "resolve", fmt.Sprint(late[1]), "--take-shop", "--reason", "test"); !strings.Contains(said, "as the shop has it") {
		t.Error(said)
	}

	// Killed halfway, and begun again, beside customers.
	ctx, home := context.WithCancel(t.Context())
	ordered := make(chan error, 1)
	go func() { ordered <- p.shop.Run(ctx, shop.Load{Rate: 20, Seed: 5, Journal: p.journal}) }()
	for _, order := range late {
		p.erpExec("update erp.order_line set name = 'wrong' where order_id = "+ofLink, order)
		p.erpExec("update spola.link set content = '' where order_id = $1", order)
	}
	const done = "select count(*) from spola.audit where verb = 'replay' and decision = 'edit' and reason = 'killed'"
	killed := p.start("applier", "replay", "--from", begin, "--rate", "2", "--reason", "killed")
	p.until("some are done", running, func() bool { return p.number(done) >= 2 })
	killed.kill()
	half := p.number(done)
	if left := p.number("select count(distinct order_id) from erp.order_line where name = 'wrong'"); left == 0 || left == int64(len(late)) {
		t.Errorf("killed when %d orders were left, %d done", left, half)
	}
	asked := p.start("applier", "replay", "--order", fmt.Sprintf("1-%d", late[7]), "--rate", "2", "--reason", "killed")
	p.until("some more are done", running, func() bool { return p.number(done) > half })
	if err := asked.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-asked.done
	if said := asked.said.String(); !strings.Contains(said, "--after ") && asked.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("an interrupted replay says: %s", said)
	}
	p.replay(0, "--from", begin, "--reason", "killed")
	p.want("all are done, each once", fmt.Sprint(len(late)), "select count(*) || '' from spola.audit where verb = 'replay' and decision = 'edit' and reason = 'killed'")
	p.want("all are done", "0", "select count(*)::text from erp.order_line where name = 'wrong'")
	home()
	if err := <-ordered; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	p.settled(running...)
	p.replay(0, "--from", begin)
	if said := p.run(0, "applier", "verify"); !strings.Contains(said, "Nothing differs") {
		t.Errorf("behind it all: %s", said)
	}

	// The mirror is what the log says; a row of it that is not is found, and brought to that.
	p.run(2, "applier", "replay", "--rebuild", "--from", begin)
	if r := p.replay(0, "--rebuild", "--dry-run"); r.Orders < 20 || len(r.Rebuilt.Mirror) > 0 || r.Rebuilt.Records < 100 {
		t.Errorf("a second mirror: %+v", r)
	}
	p.erpExec("update mirror_shop.oc_order_product set name = 'planted' where order_id = $1", late[3])
	if r := p.replay(5, "--rebuild", "--dry-run"); len(r.Rebuilt.Mirror) != 1 || r.Rebuilt.Mirror[0].Table != "oc_order_product" || r.Rebuilt.Mirror[0].Other != 2 || r.Rebuilt.Swapped {
		t.Errorf("a planted row: %+v", r.Rebuilt)
	}
	p.want("the dry run", "2", "select count(*)::text from mirror_shop.oc_order_product where name = 'planted'")
	if r := p.replay(0, "--rebuild", "--reason", "test"); !r.Rebuilt.Swapped {
		t.Errorf("a planted row, brought: %+v", r.Rebuilt)
	}
	p.want("the rebuild", "0", "select count(*)::text from mirror_shop.oc_order_product where name = 'planted'")
	p.replay(0, "--rebuild", "--dry-run")

	// The mailer ran beside it all. It reads the ERP's log in its order: had a replay told a customer anything, that mail would stand before this one.
	mailed(early[1], 2)
	for i, m := range box.Mails() {
		if want := []string{"a@example.com", "b@example.com"}; i > 1 || !strings.Contains(m.To, want[i]) {
			t.Errorf("mail %d is to %v", i+1, m.To)
		}
	}

	// What the log no longer holds is named, with the ways there are.
	p.deleteBelow(10)
	said = p.run(1, "applier", "replay", "--from", "1/2", "--dry-run")
	if !strings.Contains(said, "holds nothing before record 1/") || !strings.Contains(said, "cdc snapshot oc_order ") {
		t.Errorf("from what is deleted: %s", said)
	}
	p.replay(0, "--from", begin, "--dry-run")
	for _, one := range running {
		one.stop()
	}
}

// deleteBelow deletes the log's oldest records, as kafka-delete-records.sh does.
func (p *pipeline) deleteBelow(offset int64) {
	p.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.cfg.Kafka.Brokers...))
	if err != nil {
		p.t.Fatal(err)
	}
	defer client.Close()
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = p.cfg.Topic()
	part := kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Offset = offset
	topic.Partitions = append(topic.Partitions, part)
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.Topics, request.TimeoutMillis = append(request.Topics, topic), 5000
	answer, err := request.RequestWith(p.t.Context(), client)
	if err != nil {
		p.t.Fatal(err)
	}
	if code := answer.Topics[0].Partitions[0].ErrorCode; code != 0 {
		p.t.Fatalf("delete records: code %d", code)
	}
}
