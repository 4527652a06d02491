package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/lab/fault"
	"github.com/spola-cdc/spola/internal/lab/fleet"
	"github.com/spola-cdc/spola/internal/lab/mailbox"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/verify"
)

// Chaos is `spola chaos`: the demo's parts as processes of their own, killed at random.
type Chaos struct {
	For     time.Duration `help:"How long parts are killed; on a slow machine customers and the clerk go on until enough has come of it." default:"60s"`
	Rate    float64       `help:"Orders a second." default:"20"`
	Clerk   float64       `help:"Deeds of the ERP's clerk a second; 0: he stays at home." default:"5"`
	Pieces  int64         `help:"Pieces of each article in each of the ERP's warehouses at the beginning, for shelves that are bought empty and filled again; 0: plenty." placeholder:"5"`
	Seed    uint64        `help:"Decides what customers do and who is killed when; drawn and printed if not given."`
	Shop    string        `help:"The shop's database: mysql or mariadb." default:"mysql" enum:"mysql,mariadb"`
	Shops   int           `help:"Shops on the ERP, 1 or 2, each with programs of its own." default:"1" enum:"1,2"`
	Mail    bool          `help:"Customers are mailed, by a program that is killed like the others." default:"true" negatable:""`
	Brokers int           `help:"Apache Kafka with so many brokers (1 or 3); 0: the embedded broker." default:"0" enum:"0,1,3"`
	Dir     string        `help:"Keep the data in this directory." type:"path"`
	JSON    bool          `help:"End with the proof as one line of JSON." name:"json"`
}

// reconcileChaosEvery is how often the shop's stock is reconciled while parts are killed.
const reconcileChaosEvery = 5 * time.Second

// ChaosProof is what `spola chaos` ends with.
type ChaosProof struct {
	*verify.Report
	Log    verify.LogReport    `json:"log"`
	Second *verify.LogReport   `json:"second_log,omitempty"` // of the second shop, where there is one
	ERPLog verify.ERPLogReport `json:"erp_log"`
	Deeds  int64               `json:"clerk_deeds"`
	Broken []string            `json:"erp_broken,omitempty"` // what must hold in the ERP and does not, a sentence each
	Stock
	SoldOut     int64  `json:"shoppers_found_too_few"` // who left the shop without an order
	Unexplained int64  `json:"orders_unexplained"`     // that the shop and the ERP have otherwise, says Spola's own reconciliation
	Mails       *Mails `json:"mails,omitempty"`        // where customers are mailed

	Kills int          `json:"kills"`
	Chaos fleet.Report `json:"chaos"`
}

// Run kills, calms, and proves.
func (c Chaos) Run(env *cli.Env) error {
	if c.Seed == 0 {
		c.Seed = rand.Uint64N(1_000_000) + 1
	}
	show := os.Stdout
	if c.JSON {
		show = os.Stderr
	}
	fmt.Fprintf(show, "Spola kill test, seed %d: %s on %s, %s, an ERP on PostgreSQL.\n", c.Seed, c.shops(), product(c.Shop), c.brokerName())
	t, err := c.build(env, show)
	if err != nil {
		return fmt.Errorf("build the kill test: %w", err)
	}
	proof, err := t.run(env.Ctx, c)
	if err = errors.Join(err, t.Close()); err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(env.Out).Encode(proof)
	} else {
		proof.Print(env.Out)
	}
	if err != nil {
		return err
	}
	if proof.Differences > 0 {
		return cli.Differ("shop and ERP differ in %d orders", proof.Differences)
	}
	if len(proof.Broken) > 0 {
		return cli.Differ("%d totals of the ERP are broken", len(proof.Broken))
	}
	if proof.Violations > 0 {
		return cli.Differ("%d of %d SKUs do not show what there is", proof.Violations, proof.SKUs)
	}
	if proof.Unexplained > 0 {
		return cli.Differ("reconciliation finds %d orders otherwise in the ERP, and nothing that explains it", proof.Unexplained)
	}
	if proof.ERPLog.Differences > 0 {
		return cli.Differ("the ERP and its log differ in %d changes or rows", proof.ERPLog.Differences)
	}
	if proof.Mails != nil && proof.Mails.lost() {
		return cli.Differ("mails to customers: %s", proof.Mails.text())
	}
	return nil
}

func (c Chaos) shops() string {
	if c.Shops > 1 {
		return fmt.Sprintf("%d shops", c.Shops)
	}
	return "a shop"
}

func (c Chaos) brokerName() string {
	switch c.Brokers {
	case 0:
		return "the embedded broker"
	case 1:
		return "Apache Kafka with one broker"
	}
	return fmt.Sprintf("Apache Kafka with %d brokers", c.Brokers)
}

// theatre is a stage whose parts are processes, with proxies between them and their databases.
type theatre struct {
	*stage
	show    io.Writer
	fleet   *fleet.Fleet
	proxies map[string]*fault.Proxy
	box     *mailbox.Server // nil: nobody is mailed
	self    string          // this program, where the lab's user may run it
	counter *pgx.Conn       // of orders in the ERP; made anew when it is lost
}

func (c Chaos) build(env *cli.Env, show io.Writer) (_ *theatre, err error) {
	lab, err := server.Open(env.Ctx, server.Options{Dir: c.Dir, Progress: func(line string) { fmt.Fprintln(show, "  "+line) }})
	if err != nil {
		return nil, err
	}
	t := &theatre{show: show, proxies: map[string]*fault.Proxy{}, stage: newStage(lab)}
	t.writer, t.reconcile, t.pieces = "root", reconcileChaosEvery, c.Pieces
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	if t.self, err = copySelf(lab.Dir()); err != nil {
		return nil, err
	}
	t.fleet = fleet.New(fleet.Options{Seed: c.Seed, Progress: t.ordersInERP, Say: func(line string) { fmt.Fprintln(show, "  "+line) }})
	// What is started here is added to the fleet, which kills it.
	s := setting{shop: c.Shop, brokers: []string{"to be started"}, log: env.Log}
	if err := t.startServers(env.Ctx, s); err != nil {
		return nil, err
	}
	brokers, err := t.startBrokers(env.Ctx, c.Brokers)
	if err != nil {
		return nil, err
	}
	if c.Mail {
		if t.box, err = mailbox.Start(mailbox.Options{Plain: true}); err != nil {
			return nil, err
		}
		t.mail = t.box.Addr
	}
	if t.cfg, err = t.configure(t.shopDB.URL(), t.erpDB.URL(), "spola"); err != nil {
		return nil, err
	}
	if err := t.furnish(env.Ctx); err != nil {
		return nil, err
	}
	if c.Shops > 1 {
		if err := t.addShop(env.Ctx); err != nil {
			return nil, err
		}
	}
	if err := t.letWitness(env.Ctx); err != nil {
		return nil, err
	}
	t.fleet.Add(t.shopDB, t.erpDB)
	t.fleet.Add(brokers...)
	return t, t.addPrograms()
}

// startBrokers starts Kafka, or the embedded broker as a process of its own.
func (t *theatre) startBrokers(ctx context.Context, n int) ([]*server.Server, error) {
	if n > 0 {
		cluster, err := t.lab.Kafka(ctx, n, server.Config{})
		if err != nil {
			return nil, err
		}
		t.brokers = cluster.Addrs()
		return cluster.Brokers, nil
	}
	port, err := t.lab.Port()
	if err != nil {
		return nil, err
	}
	listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	t.brokers = []string{listen}
	broker, err := t.program("broker", func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", listen)
		if err != nil {
			return err
		}
		return conn.Close()
	}, "broker", "--dir", filepath.Join(t.lab.Dir(), "broker", "data"), "--listen", listen)
	if err != nil {
		return nil, err
	}
	return []*server.Server{broker}, broker.Start(ctx)
}

// addPrograms puts cdc and applier behind proxies in front of their databases.
func (t *theatre) addPrograms() error {
	urls := map[string]string{}
	for _, db := range []*server.Server{t.shopDB, t.erpDB} {
		proxy, err := fault.New(db.Addr())
		if err != nil {
			return err
		}
		t.proxies[db.Name()] = proxy
		if urls[db.Name()], err = proxy.URL(db.URL()); err != nil {
			return err
		}
		t.fleet.Disturb(db.Name(), proxy)
	}
	for _, s := range t.all() {
		if _, err := s.configure(urls[t.shopDB.Name()], urls[t.erpDB.Name()], "spola"); err != nil {
			return err
		}
		for _, verbs := range t.verbs(s) {
			name := strings.ReplaceAll(strings.Join(verbs, "-"), "-run", "")
			if s == t.second {
				name = s.name + "-" + name
			}
			p, err := t.program(name, nil, append(verbs, "--config", s.configFile)...)
			if err != nil {
				return err
			}
			t.fleet.Add(p)
		}
	}
	return nil
}

// verbs are what a shop's programs run. One of them reads the ERP's log for all shops.
func (t *theatre) verbs(s *stage) [][]string {
	all := [][]string{{"cdc", "run"}}
	if s.slot != "" {
		all = append(all, []string{"cdc", "run", "erp"})
	}
	all = append(all, []string{"applier", "run"}, []string{"applier", "run", "ledger"}, []string{"applier", "run", "stock"}, []string{"applier", "run", "orders"})
	if t.box != nil {
		all = append(all, []string{"applier", "run", "mail"})
	}
	return all
}

// program is this very program with other verbs.
func (t *theatre) program(name string, ready func(context.Context) error, verbs ...string) (*server.Server, error) {
	return t.lab.Program(name, server.Program{Argv: append([]string{t.self}, verbs...), Ready: ready})
}

// copySelf puts a copy of this program where the lab's user may run it: a program that root has
// built may lie where nobody else looks.
func copySelf(dir string) (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("copy this program: %w", err)
	}
	self := filepath.Join(dir, "spola")
	if err := os.WriteFile(self, text, 0o755); err != nil {
		return "", fmt.Errorf("copy this program: %w", err)
	}
	return self, nil
}

// ordersInERP counts, past the proxies.
func (t *theatre) ordersInERP(ctx context.Context) (n int64, err error) {
	if t.counter == nil || t.counter.IsClosed() {
		if t.counter, err = pgx.Connect(ctx, t.cfg.ERP.URL()); err != nil {
			return 0, err
		}
	}
	err = t.counter.QueryRow(ctx, "select count(*) from erp.sales_order where channel = 'web'").Scan(&n)
	return n, err
}

// run goes live, lets customers order while parts are killed, and proves.
func (t *theatre) run(ctx context.Context, c Chaos) (*ChaosProof, error) {
	if err := t.fleet.Start(ctx); err != nil {
		return nil, err
	}
	live, cancel := context.WithTimeout(ctx, time.Duration(len(t.all()))*settleWithin) // every program starts at once
	defer cancel()
	for _, s := range t.all() {
		if err := s.goLive(live); err != nil {
			return nil, err
		}
	}
	if err := t.erpLogBegun(live); err != nil {
		return nil, err
	}
	if err := t.stockAtRest(ctx); err != nil { // each row has an account before anybody is killed
		return nil, err
	}
	clerk := desk{erp: t.cfg.ERP.URL(), seed: c.Seed, rate: c.Clerk}
	if c.Pieces > 0 {
		clerk.day = refilling
		for _, s := range t.all() { // that very many rows go to zero at once is this shop's every day
			if err := s.allowRepairs(ctx, c.For+overtime); err != nil {
				return nil, err
			}
		}
	}
	var soldOut atomic.Int64
	report, err := t.storm(ctx, c, &clerk, &soldOut)
	if err != nil {
		return nil, err
	}
	if err := t.fleet.Calm(ctx); err != nil {
		return nil, err
	}
	settling, cancel := context.WithTimeout(ctx, time.Duration(len(t.all()))*settleWithin)
	defer cancel()
	for _, s := range t.all() {
		if err := s.settle(settling); err != nil {
			return nil, err
		}
		if err := s.allowRepairs(ctx, 2*settleWithin); err != nil {
			return nil, err
		}
	}
	if err := t.stockAtRest(ctx); err != nil {
		return nil, err
	}
	proof := &ChaosProof{Kills: report.KillCount(), Chaos: report, Deeds: clerk.deeds.Load(), SoldOut: soldOut.Load()}
	return proof, t.prove(ctx, proof)
}

// stockAtRest waits until each row of each shop shows what there is.
func (t *theatre) stockAtRest(ctx context.Context) error {
	for _, s := range t.all() {
		if err := s.settleStock(ctx, settleWithin); err != nil {
			return err
		}
	}
	return nil
}

// prove holds all that there is against the rest.
func (t *theatre) prove(ctx context.Context, proof *ChaosProof) error {
	for _, s := range t.all() {
		if err := s.proveShop(ctx, proof); err != nil {
			return err
		}
	}
	var err error
	if proof.Broken, err = t.broken(ctx); err != nil {
		return err
	}
	if t.box != nil {
		if proof.Mails, err = t.mailed(ctx); err != nil {
			return err
		}
	}
	proof.ERPLog, err = t.checkERPLog(ctx)
	return err
}

// proveShop adds what is to be said of one shop to the proof.
func (st *stage) proveShop(ctx context.Context, proof *ChaosProof) error {
	report, err := compare(ctx, st)
	if err != nil {
		return err
	}
	stock, err := st.lookAtStock(ctx)
	if err != nil {
		return err
	}
	unexplained, err := st.unexplained(ctx)
	if err != nil {
		return err
	}
	log, err := st.checkLog(ctx)
	if err != nil {
		return err
	}
	if proof.Report == nil {
		proof.Report, proof.Log = report, log
	} else {
		proof.Report.Add(st.name, report)
		proof.Second = &log
	}
	proof.Stock.add(stock)
	proof.Unexplained += unexplained
	return nil
}

// mailed counts the mails that came.
func (t *theatre) mailed(ctx context.Context) (*Mails, error) {
	conn, err := pgx.Connect(ctx, t.cfg.ERP.URL())
	if err != nil {
		return nil, fmt.Errorf("count the mails: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	all, err := t.countMails(ctx, conn, t.box)
	return &all, err
}

// killOn is how long parts are killed on where too few were killed yet.
const killOn = 5 * time.Second

// leastKills is how many kills a storm has at the least.
func (c Chaos) leastKills() int { return min(int(c.For/killOn), 3) }

// enough tells whether the storm has brought what it brings at the least. What can't be asked, for a server is away, has not been brought.
func (t *theatre) enough(ctx context.Context, c Chaos, kills fleet.Report, clerk *desk, soldOut int64) bool {
	shops := len(t.all())
	want := leastOf(c.Rate*c.For.Seconds()*float64(shops), c.Clerk*c.For.Seconds(), shops)
	if kills.KillCount() < c.leastKills() || clerk.deeds.Load() < want.deeds {
		return false
	}
	if c.Pieces > 0 && soldOut < min(want.orders, 20) {
		return false
	}
	if orders, err := t.ordersInERP(ctx); err != nil || orders < want.orders {
		return false
	}
	for _, s := range t.all() {
		if shipped, told, err := s.told(ctx); err != nil || min(shipped, told) < want.parcels {
			return false
		}
	}
	return true
}

// storm lets customers order, and a clerk work, while the fleet kills.
func (t *theatre) storm(ctx context.Context, c Chaos, clerk *desk, soldOut *atomic.Int64) (fleet.Report, error) {
	ordering, home := context.WithCancel(ctx)
	defer home()
	var day errgroup.Group
	day.Go(func() error { return clerk.Work(ordering, true) })
	for i, s := range t.all() {
		load := shop.Load{Rate: c.Rate, Seed: c.Seed + uint64(i), Planted: planted, Settings: true, Scarce: c.Pieces > 0, SoldOut: func() { soldOut.Add(1) }}
		day.Go(func() error { return s.sell(ordering, load) })
	}
	report, err := t.fleet.Run(ctx, c.For)
	for began := time.Now(); err == nil && ctx.Err() == nil && time.Since(began) < overtime && !t.enough(ctx, c, report, clerk, soldOut.Load()); {
		if report.KillCount() < c.leastKills() {
			report, err = t.fleet.Run(ctx, killOn)
		} else {
			sleep(ctx, paintEvery) // parts that have hardly started are not killed again: nothing would ever pass
		}
	}
	home()
	return report, errors.Join(err, day.Wait())
}

// sell lets customers order in a shop until ctx ends.
func (st *stage) sell(ctx context.Context, load shop.Load) error {
	journal, err := shop.OpenJournal(st.journal)
	if err != nil {
		return err
	}
	defer func() { _ = journal.Close() }() // each entry is on the disk already
	load.Journal = journal
	return st.shop.Run(ctx, load)
}

// Close ends parts, proxies and stage.
func (t *theatre) Close() error {
	ctx := context.Background() // what was started ends, whatever has ended the test
	var failed []error
	if t.fleet != nil {
		failed = append(failed, t.fleet.Stop(ctx))
	}
	for _, proxy := range t.proxies {
		proxy.Close()
	}
	if t.box != nil {
		t.box.Close()
	}
	if t.counter != nil && !t.counter.IsClosed() {
		failed = append(failed, t.counter.Close(ctx))
	}
	return errors.Join(append(failed, t.stage.Close())...)
}

// Print shows the proof to a person.
func (p *ChaosProof) Print(w io.Writer) {
	fmt.Fprintf(w, "\n  %d kills (%d of them while the part still started); orders that passed between them: %v\n", p.Kills, p.Chaos.WhileStarting, p.Chaos.Passed)
	fmt.Fprintf(w, "  %d orders placed, %d for the ERP: %d there, %d parked (%d made so); %s in the shop, %s in the ERP; %d differences\n",
		p.OrdersPlaced, p.OrdersInScope, p.OrdersInERP, p.OrdersParked, p.ParkedPlanted, euro(p.CentsShop), euro(p.CentsERP), p.Differences)
	for _, d := range p.Details {
		fmt.Fprintf(w, "  %s\n", d)
	}
	fmt.Fprintf(w, "  %d deeds of the ERP's clerk, %d orders shipped whole, %d changed by the shop when it was too late: they wait for a person\n", p.Deeds, p.OrdersShipped, p.OrdersWaiting)
	if p.SoldOut > 0 {
		fmt.Fprintf(w, "  %d shoppers found too few pieces and left\n", p.SoldOut)
	}
	fmt.Fprintf(w, "  %d SKUs, %d of them showing something else than there is, %d pieces beyond it; %d orders shown as shipped, customers told of %d parcels\n",
		p.SKUs, p.Violations, p.Oversold, p.Shipped, p.Tracking)
	for _, text := range p.wrong[:min(len(p.wrong), 10)] {
		fmt.Fprintf(w, "  %s\n", text)
	}
	if p.Mails != nil {
		fmt.Fprintf(w, "  mails to customers: %s\n", p.Mails.text())
	}
	if p.Unexplained > 0 {
		fmt.Fprintf(w, "  %d orders that reconciliation finds otherwise in the ERP\n", p.Unexplained)
	}
	for _, b := range p.Broken {
		fmt.Fprintf(w, "  broken in the ERP: %s\n", b)
	}
	fmt.Fprintf(w, "  the log: records 1 to %d in %d generation(s) without a hole or a repeat, sums right; %d fences\n", p.Log.LastSeq, p.Log.Generations, p.Log.Fences)
	if p.Second != nil {
		fmt.Fprintf(w, "  the second shop's log: records 1 to %d likewise\n", p.Second.LastSeq)
	}
	fmt.Fprintf(w, "  the ERP's log: records 1 to %d; %d changes of the ERP's tables, by its own triggers, and %d rows at the end: %d differences\n",
		p.ERPLog.LastSeq, p.ERPLog.Changes, p.ERPLog.Rows, p.ERPLog.Differences)
	for _, d := range p.ERPLog.Details {
		fmt.Fprintf(w, "  %s\n", d)
	}
	if p.Differences+p.ERPLog.Differences == 0 && p.Violations == 0 && p.Unexplained == 0 && len(p.Broken) == 0 && (p.Mails == nil || !p.Mails.lost()) {
		fmt.Fprintln(w, "\nNothing differs.")
	}
}
