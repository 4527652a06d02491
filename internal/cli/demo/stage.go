package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/broker"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/source/postgres"
)

// What the demo's shops are called: in the log's topic, the mirror, the ERP. The second one has another prefix, sells from one
// warehouse, and holds pieces back.
const (
	shopName = "shop"

	outletName   = "outlet"
	outletPrefix = "out_"
	outletBuffer = 2
	outletFrom   = "BO" // the one warehouse whose pieces it shows
)

// planted is how many orders of a run are made so that nobody can take them over.
const planted = 3

// stage is everything that the demo plays on: servers, broker, a shop and an ERP, both new.
type stage struct {
	lab     *server.Lab
	shopDB  *server.Server
	erpDB   *server.Server
	broker  *broker.Broker // in this process; nil with brokers of one's own
	brokers []string
	name    string // of the shop
	shop    *shop.Shop
	second  *stage // a second shop on this ERP, with servers, broker and reader of the ERP's log of the first; nil: none
	pieces  int64  // of each article in each of the ERP's warehouses at the beginning; 0: plenty
	buffer  int    // pieces of each article that the shop does not show
	dir     string // of the shop's files
	journal string // path
	slot    string // of the reader of the ERP's log, this run's own; empty: the first shop's reads it
	writer  string // into the shop; empty: nobody

	mail      string        // host:port of the server that programs mail customers through; empty: they don't
	reconcile time.Duration // how often; 0: as a merchant has it
	took      Existing      // how long the first day's looks took

	configFile string // where programs on this stage find their configuration
	cfg        config.Config
}

// setting is what the command line says of the stage.
type setting struct {
	shop    string // mysql or mariadb
	brokers []string
	dir     string
	log     zerolog.Logger
	shops   int           // on the ERP: 1 or 2
	writer  string        // into the shop
	every   time.Duration // reconciliation of stock
	tell    func(string)  // a line of progress
}

// build starts the servers and fills shop and ERP. What it has started is closed on an error.
func build(ctx context.Context, s setting) (_ *stage, err error) {
	lab, err := server.Open(ctx, server.Options{Dir: s.dir, Progress: s.tell})
	if err != nil {
		return nil, err
	}
	st := newStage(lab)
	st.writer, st.reconcile = s.writer, s.every
	defer func() {
		if err != nil {
			err = errors.Join(err, st.Close())
		}
	}()
	if err := st.startServers(ctx, s); err != nil {
		return nil, err
	}
	st.brokers = s.brokers
	if st.broker != nil {
		st.brokers = []string{st.broker.Addr()}
	}
	if st.cfg, err = st.configure(st.shopDB.URL(), st.erpDB.URL(), topicPrefix(s)); err != nil {
		return nil, err
	}
	if err := st.furnish(ctx); err != nil {
		return nil, err
	}
	if s.shops > 1 {
		err = st.addShop(ctx)
	}
	return st, err
}

// addShop builds a second shop beside the first, on its servers.
func (st *stage) addShop(ctx context.Context) (err error) {
	other := *st
	other.name, other.buffer, other.slot, other.dir = outletName, outletBuffer, "", filepath.Join(st.lab.Dir(), outletName)
	other.journal = filepath.Join(other.dir, "journal")
	if err := os.MkdirAll(other.dir, 0o755); err != nil {
		return fmt.Errorf("make the second shop's directory: %w", err)
	}
	if other.cfg, err = other.configure(st.shopDB.URL(), st.erpDB.URL(), st.cfg.Kafka.Prefix); err != nil {
		return err
	}
	if err := other.furnishShop(ctx); err != nil {
		return err
	}
	st.second = &other
	return nil
}

// all are the shops of the stage, each as a stage.
func (st *stage) all() []*stage {
	if st.second == nil {
		return []*stage{st}
	}
	return []*stage{st, st.second}
}

func newStage(lab *server.Lab) *stage {
	return &stage{lab: lab, name: shopName, dir: lab.Dir(), journal: filepath.Join(lab.Dir(), "journal"), slot: "spola_demo_" + strconv.FormatInt(time.Now().UnixNano(), 36)}
}

// furnish fills shop and ERP, and makes what the ERP's log needs.
func (st *stage) furnish(ctx context.Context) error {
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error { return st.furnishShop(both) })
	group.Go(func() error { return applier.MigrateDatabase(both, st.cfg) })
	if err := group.Wait(); err != nil {
		return err
	}
	if err := st.furnishERP(ctx); err != nil {
		return err
	}
	source, err := cdc.ERPSource(st.cfg, st.configFile, zerolog.Nop())
	if err != nil {
		return err
	}
	_, err = postgres.Make(ctx, source, st.cfg.ERP.URL())
	return err
}

func (st *stage) startServers(ctx context.Context, s setting) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if s.shop == "mariadb" {
			st.shopDB, err = st.lab.MariaDB(ctx, server.Config{})
		} else {
			st.shopDB, err = st.lab.MySQL(ctx, server.Config{})
		}
		return err
	})
	group.Go(func() (err error) {
		st.erpDB, err = st.lab.Postgres(ctx, server.Config{})
		return err
	})
	if len(s.brokers) == 0 {
		group.Go(func() (err error) {
			st.broker, err = broker.Start(ctx, broker.Config{Dir: filepath.Join(st.lab.Dir(), "broker"), Listen: "127.0.0.1:0", Log: s.log})
			return err
		})
	}
	return group.Wait()
}

// configure writes the two files that a user writes, for databases by these URLs, and loads them
// as his programs do.
func (st *stage) configure(shopDB, erpDB, prefix string) (config.Config, error) {
	site := shop.Site{Name: st.name, Shop: shopDB + st.name, ERP: erpDB, Brokers: st.brokers, Topics: prefix, Slot: st.slot, Writer: st.writer,
		Reconcile: st.reconcile, Buffer: st.buffer, Mail: st.mail}
	if st.pieces > 0 {
		site.Parks = 1000 // what is ordered while intake is away is shipped the moment it arrives, and changed by then
	}
	if st.name == outletName {
		site.Prefix, site.Follows, site.Warehouse = outletPrefix, true, outletFrom
	}
	var err error
	if st.configFile, err = site.WriteFiles(st.dir); err != nil {
		return config.Config{}, err
	}
	return config.Load(st.configFile)
}

// furnishShop builds the shop: tables, settings, catalogue and accounts.
func (st *stage) furnishShop(ctx context.Context) error {
	var err error
	if st.shop, err = shop.Open(ctx, st.cfg.Shop.URL(), shop.Options{Noise: true, Prefix: st.cfg.Shop.Prefix}); err != nil {
		return err
	}
	if err := st.shop.Install(ctx); err != nil {
		return err
	}
	return st.shop.Shelve(ctx, clockProduct, clockArticle)
}

// furnishERP gives the ERP the articles that the shop sells, with goods in its warehouses.
func (st *stage) furnishERP(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return fmt.Errorf("connect to the ERP: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	pieces := plenty
	if st.pieces > 0 {
		pieces = [...]int64{st.pieces, st.pieces, st.pieces}
	}
	if err := furnish(ctx, conn, st.shop.Articles(), pieces); err != nil {
		return err
	}
	return hangClock(ctx, conn)
}

// Close ends everything that the stage has started. Data stays where a directory was named.
func (st *stage) Close() error {
	var failed []error
	if st.second != nil {
		failed = append(failed, st.second.shop.Close())
	}
	if st.shop != nil {
		failed = append(failed, st.shop.Close())
	}
	if st.broker != nil {
		failed = append(failed, st.broker.Close())
	}
	return errors.Join(append(failed, st.lab.Close())...)
}
