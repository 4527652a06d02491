package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// writesShop lets the configuration name who writes into the shop: its reader, who is root in tests.
func (p *pipeline) writesShop() {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "spola.yaml"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("spola.yaml", []byte(strings.Replace(string(text), "  file: shop.yaml\n", "  file: shop.yaml\n  write_as: root\n", 1)))
	p.cfg = p.load("spola.yaml")
}

// quantity is what the shop shows of a product.
func (p *pipeline) quantity(product int) (n int64) {
	p.t.Helper()
	if err := p.shop.DB().QueryRowContext(p.t.Context(), "SELECT quantity FROM oc_product WHERE product_id = ?", product).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

// committed is what lag tools read of an applier; -1: nothing.
func (p *pipeline) committed(applier, topic string) int64 {
	p.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.cfg.Kafka.Brokers...))
	if err != nil {
		p.t.Fatal(err)
	}
	defer client.Close()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = p.cfg.Topic() + "." + applier
	of := kmsg.NewOffsetFetchRequestTopic()
	of.Topic, of.Partitions = topic, []int32{0}
	request.Topics = append(request.Topics, of)
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = request.Group
	named := kmsg.NewOffsetFetchRequestGroupTopic()
	named.Topic, named.Partitions = topic, []int32{0}
	group.Topics = append(group.Topics, named)
	request.Groups = append(request.Groups, group)
	answer, err := request.RequestWith(p.t.Context(), client)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, g := range answer.Groups {
		for _, t := range g.Topics {
			return t.Partitions[0].Offset
		}
	}
	for _, t := range answer.Topics {
		return t.Partitions[0].Offset
	}
	return -1
}

// The ledger's pieces reach the shop by the verbs of the programs: from a start before everything else
// is there, over kills, while a person pauses it, and by one applier at a time.
func TestStockReachesTheShop(t *testing.T) {
	p := newPipeline(t, server.MariaDB(t), server.Kafka(t), shop.Options{Stock: 100})
	if text := p.run(78, "applier", "run", "stock"); !strings.Contains(text, "erp.log.user") {
		t.Errorf("without the ERP's log: %s", text)
	}
	p.readsERP()
	if text := p.run(78, "applier", "run", "stock"); !strings.Contains(text, "shop.write_as") || !strings.Contains(text, "deploy/grants/shop-writer") {
		t.Errorf("without a writer: %s", text)
	}
	p.writesShop()
	if text := p.run(1, "applier", "pause", "stock"); !strings.Contains(text, "never run") {
		t.Errorf("paused before it has run: %s", text)
	}
	p.ledgerTable()
	p.run(0, "cdc", "preflight", "erp", "--make", "postgres")
	reader := p.start("cdc", "run", "erp")
	applier := p.start("applier", "run", "stock") // the shop's marker is not there yet
	p.ledger(1, "product:1", -40)
	shopReader := p.start("cdc", "run") // makes the marker
	running := []*program{reader, applier, shopReader}
	p.until("the first entry", running, func() bool { return p.quantity(1) == 60 })
	p.until("lag tools see it", running, func() bool { return p.committed("stock", p.cfg.ERPTopic()) > 0 })

	if text := p.run(0, "applier", "pause", "stock", "--reason", "inventory"); !strings.Contains(text, "applier resume stock before then") || !strings.Contains(text, "MB more of changes, about") {
		t.Errorf("paused: %s", text)
	}
	p.ledger(2, "product:1", -50)
	p.ledger(3, "product:2", 7)
	p.until("it stands still", running, func() bool { return strings.Contains(applier.said.String(), "nothing is applied until it is resumed") })
	if p.quantity(1) != 60 || p.quantity(2) != 100 {
		t.Errorf("paused, and product 1 has %d, product 2 has %d pieces", p.quantity(1), p.quantity(2))
	}
	p.run(0, "applier", "resume", "stock")
	p.until("it goes on", running, func() bool { return p.quantity(1) == 50 && p.quantity(2) == 107 })
	p.want("decisions", "pause stock, resume stock", "select string_agg(verb || ' ' || decision, ', ' order by id) from spola.audit where decision = 'stock'")

	newer := p.start("applier", "run", "stock")
	p.until("a newer one has the place", []*program{newer}, func() bool {
		var owner string
		err := p.shop.DB().QueryRowContext(t.Context(), "SELECT note FROM spola_marker WHERE name = 'place.stock.erp'").Scan(&owner)
		return err == nil && strings.Contains(owner, `"epoch":2`)
	})
	p.ledger(4, "product:2", 9)
	if text := applier.ends(4); !strings.Contains(text, "fenced") {
		t.Errorf("the older says: %s", text)
	}
	p.until("the newer goes on", []*program{newer}, func() bool { return p.quantity(2) == 109 })
	for no := int64(5); no < 15; no++ {
		p.ledger(no, "product:2", no)
		newer.kill()
		newer = p.start("applier", "run", "stock")
	}
	p.until("the last entry, behind ten kills", []*program{newer}, func() bool { return p.quantity(2) == 114 })
	if _, err := p.shop.PlaceOrder(t.Context(), shop.Order{Lines: []shop.Line{{Product: 2, Quantity: 3}}}); err != nil {
		t.Fatal(err)
	}
	p.ledger(15, "product:2", 20)
	p.until("what customers bought stays bought", []*program{newer}, func() bool { return p.quantity(2) == 117 })
	newer.stop()
}

// ledgerTable makes the ledger where no migration has made it.
func (p *pipeline) ledgerTable() {
	p.t.Helper()
	_, err := p.erp.Exec(p.t.Context(), `create table if not exists spola.ledger (shop text, no bigint, stock_row text not null, article_id bigint,
		cause text not null, pieces bigint not null, target bigint not null, at timestamptz not null default clock_timestamp(), detail jsonb, primary key (shop, no))`)
	if err != nil {
		p.t.Fatal(err)
	}
}

// ledger appends an entry.
func (p *pipeline) ledger(no int64, row string, target int64) {
	p.t.Helper()
	_, err := p.erp.Exec(p.t.Context(), "insert into spola.ledger (shop, no, stock_row, cause, pieces, target) values ($1, $2, $3, 'delta', 0, $4)", testShop, no, row, target)
	if err != nil {
		p.t.Fatal(err)
	}
}
