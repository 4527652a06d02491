package demo

import (
	"context"
	"errors"
	"fmt"
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

// shopName is what the demo's shop is called: in the log's topic, the mirror, the ERP.
const shopName = "shop"

// planted is how many orders of a run are made so that nobody can take them over.
const planted = 3

// stage is everything that the demo plays on: servers, broker, a shop and an ERP, both new.
type stage struct {
	lab     *server.Lab
	shopDB  *server.Server
	erpDB   *server.Server
	broker  *broker.Broker // in this process; nil with brokers of one's own
	brokers []string
	shop    *shop.Shop
	journal string // path
	slot    string // of the reader of the ERP's log, this run's own
	writer  string // into the shop; empty: nobody

	reconcile time.Duration // how often; 0: as a merchant has it

	configFile string // where programs on this stage find their configuration
	cfg        config.Config
}

// setting is what the command line says of the stage.
type setting struct {
	shop    string // mysql or mariadb
	brokers []string
	dir     string
	log     zerolog.Logger
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
	return st, nil
}

func newStage(lab *server.Lab) *stage {
	return &stage{lab: lab, journal: filepath.Join(lab.Dir(), "journal"), slot: "spola_demo_" + strconv.FormatInt(time.Now().UnixNano(), 36)}
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
	site := shop.Site{Name: shopName, Shop: shopDB + "shop", ERP: erpDB, Brokers: st.brokers, Topics: prefix, Slot: st.slot, Writer: st.writer, Reconcile: st.reconcile}
	var err error
	if st.configFile, err = site.WriteFiles(st.lab.Dir()); err != nil {
		return config.Config{}, err
	}
	return config.Load(st.configFile)
}

// furnishShop builds the shop: tables, settings, catalogue and accounts.
func (st *stage) furnishShop(ctx context.Context) error {
	var err error
	if st.shop, err = shop.Open(ctx, st.cfg.Shop.URL(), shop.Options{Noise: true}); err != nil {
		return err
	}
	return st.shop.Install(ctx)
}

// furnishERP gives the ERP the articles that the shop sells, with goods in its warehouses.
func (st *stage) furnishERP(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, st.cfg.ERP.URL())
	if err != nil {
		return fmt.Errorf("connect to the ERP: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return Furnish(ctx, conn, st.shop.Articles())
}

// Close ends everything that the stage has started. Data stays where a directory was named.
func (st *stage) Close() error {
	var failed []error
	if st.shop != nil {
		failed = append(failed, st.shop.Close())
	}
	if st.broker != nil {
		failed = append(failed, st.broker.Close())
	}
	return errors.Join(append(failed, st.lab.Close())...)
}
