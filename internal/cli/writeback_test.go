package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spola-cdc/spola/internal/lab/fault"
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
	t.Parallel()
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
	p.shopIsAway(reader, shopReader)
}

// shopIsAway cuts the shop off from everybody of ours while an hour of entries comes: the status tells how far behind it is, nobody gives up, and then each
// piece comes once.
func (p *pipeline) shopIsAway(reader, shopReader *program) {
	p.t.Helper()
	shopReader.stop()
	proxy, err := fault.New(p.shopAddress())
	if err != nil {
		p.t.Fatal(err)
	}
	defer proxy.Close()
	text, err := os.ReadFile(filepath.Join(p.dir, "spola.yaml"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("spola.yaml", bytes.ReplaceAll(text, []byte(p.shopAddress()), []byte(proxy.Addr())))
	running := []*program{reader, p.start("cdc", "run"), p.start("applier", "run"), p.start("applier", "run", "stock")}
	p.ledger(16, "product:1", 0)
	p.until("the shop is written into", running, func() bool { return p.quantity(1) == 100 })
	p.until("and read", running, func() bool {
		return p.number("select quantity from mirror_shop.oc_product where product_id = 1") == 100
	})
	proxy.Cut()
	p.erpExec("insert into spola.ledger (shop, no, stock_row, article_id, cause, pieces, target) select $1, n, 'product:' || 1 + n % 4, 1, 'delta', 0, n % 50 from generate_series(17, 3616) n", testShop)
	p.until("the status tells how far behind the shop is", running, func() bool {
		var told struct{ Back []standing }
		if err := json.Unmarshal([]byte(p.run(0, "applier", "status", "--json")), &told); err != nil {
			p.t.Fatal(err)
		}
		return slices.ContainsFunc(told.Back, func(s standing) bool { return s.Stream == "stock" && s.Lag.Events >= 3600 && s.Lag.Seconds > 0 })
	})
	if p.quantity(1) != 100 {
		p.t.Errorf("product 1 has %d pieces while the shop is away", p.quantity(1))
	}
	if err := proxy.Mend(); err != nil {
		p.t.Fatal(err)
	}
	p.until("the shop has each piece", running, func() bool {
		return p.quantity(1) == 100+16 && p.quantity(2) == 100+13-3 && p.quantity(3) == 100+14 && p.quantity(4) == 100+15
	})
	p.ledger(3617, "product:9000", 3)
	p.until("what a row is owed that the shop does not have is told by name", running, func() bool {
		text := p.run(0, "applier", "status")
		return strings.Contains(text, "missing: product:9000 (3 pieces)\n") && strings.Contains(text, "to mend: the shop has no such row")
	})
	p.until("and is read again", running, func() bool {
		return p.number("select quantity from mirror_shop.oc_product where product_id = 1") == 116
	})
}

// standing is what the status tells of a stream of the way back.
type standing struct {
	Stream string
	Lag    struct {
		Events  int64
		Seconds float64
	}
}

// shopAddress is host and port of the shop's server.
func (p *pipeline) shopAddress() string {
	at, err := url.Parse(p.cfg.Shop.Database)
	if err != nil {
		p.t.Fatal(err)
	}
	return at.Host
}

// ledger appends an entry.
func (p *pipeline) ledger(no int64, row string, target int64) {
	p.t.Helper()
	_, err := p.erp.Exec(p.t.Context(), "insert into spola.ledger (shop, no, stock_row, article_id, cause, pieces, target) values ($1, $2, $3, 1, 'delta', 0, $4)", testShop, no, row, target)
	if err != nil {
		p.t.Fatal(err)
	}
}

// Tracking numbers and states of the ERP's own functions reach the shop, over kills of the applier, and do
// not come back as edits. A shop that was restored stops it until a person has looked.
func TestOrdersReachTheShop(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, server.MySQL(t), server.Kafka(t), shop.Options{Stock: 1000})
	p.readsERP()
	p.writesShop()
	p.run(0, "cdc", "preflight", "erp", "--make", "postgres")
	read := p.start("cdc", "run")
	take := p.start("applier", "run")
	readERP := p.start("cdc", "run", "erp")
	write := p.start("applier", "run", "orders")
	running := []*program{read, take, readERP}
	p.live(running...)
	var ids []int64
	for i := range 12 {
		ids = append(ids, p.place(fmt.Sprintf("anna%d@example.com", i)))
	}
	p.arrived(running, ids...)
	erp := func(statement string, id int64, args ...any) {
		t.Helper()
		_, err := p.erp.Exec(t.Context(), statement, append([]any{p.number("select erp_order from spola.link where shop = $1 and order_id = $2", testShop, id)}, args...)...)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for i, id := range ids[:8] {
		erp("select erp.ship_order($1, carrier => 'BRT', tracking => $2)", id, fmt.Sprintf("BRT%06d", i))
		if i%2 == 0 {
			write.kill()
			write = p.start("applier", "run", "orders")
		}
	}
	erp(`select erp.ship_order($1, '{"1": 1}', carrier => 'GLS', tracking => 'M1550003471')`, ids[8])
	erp("select erp.ship_order($1, carrier => 'GLS', tracking => 'M1550003472')", ids[8])
	erp("select erp.cancel_order($1, 'broken')", ids[9])
	running = append(running, write)
	first := p.history(ids[11])[3:]
	const page = "https://gls-group.com/IT/it/servizi-online/ricerca-spedizioni/?match=" // what can't be one of BRT's numbers has no link
	want := map[int64]string{ids[8]: "3: " + first + ",11 " + page + "M1550003471,31 " + page + "M1550003472", ids[9]: "7: " + first + ",70 ", ids[10]: "1: " + first}
	for i, id := range ids[:8] {
		want[id] = fmt.Sprintf("3: %s,31 BRT%06d", first, i)
	}
	all := func() bool {
		for id, text := range want {
			if p.history(id) != text {
				return false
			}
		}
		return true
	}
	p.until("tracking numbers and states in the shop", running, all)
	p.settled(running...)
	for id, text := range want {
		if got := p.history(id); got != text {
			t.Errorf("order %d: %s, want %s", id, got, text)
		}
	}
	p.shopExec("UPDATE oc_order SET order_status_id = 5 WHERE order_id = ?", ids[11])
	erp("select erp.cancel_order($1, 'too late')", ids[11])
	p.until("the status tells of it", running, func() bool {
		text := p.run(0, "applier", "status")
		return strings.Contains(text, fmt.Sprintf("final: order %d", ids[11])) && strings.Contains(text, "to mend: the ERP has cancelled") && strings.Contains(text, "orders    back into the shop")
	})
	p.want("parked", "", "select coalesce(string_agg(reason, ', '), '') from spola.parked")
	p.want("states in the ERP", "cancelled 2, open 1, shipped 9", "select string_agg(state || ' ' || n, ', ' order by state) from (select state, count(*) n from erp.sales_order group by state) s")

	// The shop is restored from a backup: place, marks, states and histories of before the last shipment.
	write.stop()
	p.until("lag tools know of it", nil, func() bool { return p.committed("orders", p.cfg.ERPTopic()) > 0 })
	for _, statement := range []string{"CREATE TABLE backup_marker AS SELECT * FROM spola_marker", "CREATE TABLE backup_history AS SELECT * FROM oc_order_history",
		"CREATE TABLE backup_order AS SELECT order_id, order_status_id FROM oc_order"} {
		p.shopExec(statement)
	}
	witnessed := p.committed("orders", p.cfg.ERPTopic())
	write = p.start("applier", "run", "orders")
	erp("select erp.ship_order($1, carrier => 'BRT', tracking => 'BRT9')", ids[10])
	want[ids[10]] = "3: " + first + ",31 BRT9"
	p.until("one more", []*program{write}, all)
	p.until("lag tools know of that too", []*program{write}, func() bool { return p.committed("orders", p.cfg.ERPTopic()) > witnessed })
	write.stop()
	for _, statement := range []string{"DELETE FROM spola_marker WHERE name LIKE 'order.%' OR name = 'place.orders.erp'",
		"INSERT INTO spola_marker SELECT * FROM backup_marker WHERE name LIKE 'order.%' OR name = 'place.orders.erp'",
		"DELETE FROM oc_order_history", "INSERT INTO oc_order_history SELECT * FROM backup_history",
		"UPDATE oc_order o JOIN backup_order b USING (order_id) SET o.order_status_id = b.order_status_id"} {
		p.shopExec(statement)
	}
	if text := p.run(3, "applier", "run", "orders"); !strings.Contains(text, "the shop's database was restored") || !strings.Contains(text, "applier recover orders") {
		t.Errorf("behind its witness it says: %s", text)
	}
	var at int64
	if err := p.shop.DB().QueryRowContext(t.Context(), "SELECT number FROM spola_marker WHERE name = 'place.orders.erp'").Scan(&at); err != nil {
		t.Fatal(err)
	}
	p.until("the restored place is read", []*program{read, take, readERP}, func() bool {
		return p.number("select count(*) from mirror_shop.spola_marker m where m.name = 'place.orders.erp' and m.number = $1", at) == 1
	})
	if text := p.run(0, "applier", "recover", "orders", "--dry-run"); !strings.Contains(text, "Nothing was changed") {
		t.Errorf("recover --dry-run: %s", text)
	}
	p.run(3, "applier", "run", "orders")
	if text := p.run(0, "applier", "recover", "orders", "--json"); !strings.Contains(text, `"recovered":true`) {
		t.Errorf("recover: %s", text)
	}
	write = p.start("applier", "run", "orders")
	p.until("what the restored shop lacks", []*program{write}, all)
	if text := p.run(0, "applier", "recover", "orders"); !strings.Contains(text, "Nothing to recover") {
		t.Errorf("recover once more: %s", text)
	}
	write.stop()
}

// history is an order's state and, of each row of its history, state, notify and the comment's last word.
func (p *pipeline) history(id int64) (text string) {
	p.t.Helper()
	err := p.shop.DB().QueryRowContext(p.t.Context(), `SELECT CONCAT(o.order_status_id, ': ', GROUP_CONCAT(h.order_status_id, h.notify, ' ', SUBSTRING_INDEX(h.comment, ' ', -1) ORDER BY h.order_history_id))
		FROM oc_order o JOIN oc_order_history h USING (order_id) WHERE o.order_id = ? GROUP BY o.order_id`, id).Scan(&text)
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}
