package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/stream"
)

// shopName is the source's name, of which topic, mirror and place are named.
const shopName = "shop"

// stage is what the benchmark plays on: one Kafka, one MySQL, one PostgreSQL, and our two
// programs, each a process.
type stage struct {
	options Options
	lab     *server.Lab
	kafka   *server.Server
	mysql   *server.Server
	pg      *server.Server
	cdc     *server.Server
	applier *server.Server
	shop    *shop.Shop
	erp     *pgx.Conn
	log     stream.Config
	config  string // path of spola.yaml
	back    bool   // what changes in the ERP is brought into the shop

	// The way back, where it is measured.
	erpCDC, ledger, stock *server.Server

	first, last int64    // orders of the backlog
	from, to    position // the backlog in the binlog
	logged      int64    // records in the log before the backlog
	decodes     []decoding
}

func build(ctx context.Context, o Options, back bool) (_ *stage, err error) {
	lab, err := server.Open(ctx, server.Options{Dir: o.Dir, Progress: o.Progress})
	if err != nil {
		return nil, err
	}
	st := &stage{options: o, lab: lab, back: back}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.close())
		}
	}()
	if err := st.startServers(ctx); err != nil {
		return nil, err
	}
	if err := st.configure(ctx); err != nil {
		return nil, err
	}
	if err := st.furnish(ctx); err != nil {
		return nil, err
	}
	return st, st.goLive(ctx)
}

func (st *stage) tell(format string, args ...any) { st.options.Progress(fmt.Sprintf(format, args...)) }

func (st *stage) startServers(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		cluster, err := st.lab.Kafka(ctx, 1, server.Config{})
		if err == nil {
			st.kafka = cluster.Brokers[0]
		}
		return err
	})
	group.Go(func() (err error) {
		st.mysql, err = st.lab.MySQL(ctx, server.Config{})
		return err
	})
	group.Go(func() (err error) {
		st.pg, err = st.lab.Postgres(ctx, server.Config{})
		return err
	})
	return group.Wait()
}

// databaseURL is the URL of a database on the PostgreSQL server.
func (st *stage) databaseURL(name string) string {
	return strings.TrimSuffix(st.pg.URL(), "postgres") + name
}

func (st *stage) makeDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, st.pg.URL())
	if err != nil {
		return fmt.Errorf("make database %s: %w", name, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "create database "+name); err != nil {
		return fmt.Errorf("make database %s: %w", name, err)
	}
	return nil
}

// configure writes the files that a user writes, and prepares the programs.
func (st *stage) configure(ctx context.Context) error {
	if err := st.makeDatabase(ctx, "erp"); err != nil {
		return err
	}
	site := shop.Site{Name: shopName, Shop: st.mysql.URL() + "shop", ERP: st.databaseURL("erp"), Brokers: []string{st.kafka.Addr()}, Topics: "bench"}
	if st.back {
		site.Slot, site.Writer = "spola_bench", "root"
	}
	var err error
	if st.config, err = site.WriteFiles(st.lab.Dir()); err != nil {
		return err
	}
	st.log = stream.Config{Brokers: site.Brokers, Topic: "bench." + shopName}
	for _, p := range []struct {
		name    string
		program **server.Server
		argv    []string
		back    bool
	}{
		{"cdc", &st.cdc, append(slices.Clone(st.options.CDC), "run"), false},
		{"applier", &st.applier, append(slices.Clone(st.options.Applier), "run", "intake"), false},
		{"cdc-erp", &st.erpCDC, append(slices.Clone(st.options.CDC), "run", "erp"), true},
		{"ledger", &st.ledger, append(slices.Clone(st.options.Applier), "run", "ledger"), true},
		{"stock", &st.stock, append(slices.Clone(st.options.Applier), "run", "stock"), true},
	} {
		if p.back && !st.back {
			continue
		}
		if *p.program, err = st.lab.Program(p.name, server.Program{Argv: append(p.argv, "-c", st.config)}); err != nil {
			return err
		}
	}
	return nil
}

// programs are ours, by name.
func (st *stage) programs() map[string]*server.Server {
	all := map[string]*server.Server{"cdc": st.cdc, "applier": st.applier}
	if st.back {
		all["cdc-erp"], all["ledger"], all["stock"] = st.erpCDC, st.ledger, st.stock
	}
	return all
}

// furnish makes a shop, and an ERP that sells the same.
func (st *stage) furnish(ctx context.Context) error {
	var err error
	if st.shop, err = shop.Open(ctx, st.mysql.URL()+"shop", shop.Options{}); err != nil {
		return err
	}
	if err := st.shop.Install(ctx); err != nil {
		return err
	}
	if err := st.command(ctx, st.options.Applier, "migrate"); err != nil {
		return err
	}
	if st.erp, err = pgx.Connect(ctx, st.databaseURL("erp")); err != nil {
		return fmt.Errorf("connect to the ERP: %w", err)
	}
	return st.options.Furnish(ctx, st.erp, st.shop.Articles())
}

// command runs a verb of one of our programs to its end.
func (st *stage) command(ctx context.Context, program []string, verb ...string) error {
	_, err := st.said(ctx, program, verb...)
	return err
}

// said is command, and what it said.
func (st *stage) said(ctx context.Context, program []string, verb ...string) ([]byte, error) {
	argv := append(append(slices.Clone(program), verb...), "-c", st.config)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = st.lab.Environment()
	cmd.Dir = st.lab.Dir()
	st.lab.User().Apply(cmd)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s%s", argv[0], strings.Join(verb, " "), err, out, log.String())
	}
	return out, nil
}

// goLive takes the first snapshot, of the empty shop, and lets its orders into the ERP. The
// programs are stopped afterwards.
func (st *stage) goLive(ctx context.Context) error {
	if err := st.start(ctx, st.cdc, st.applier); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := st.until(within, func() (bool, error) {
		var done bool
		err := st.erp.QueryRow(within, "select coalesce((select snapshot_done from spola.mirror where source = $1), false)", shopName).Scan(&done)
		return done, err
	})
	if err != nil {
		return fmt.Errorf("wait for the first snapshot: %w", err)
	}
	if err := st.command(within, st.options.Applier, "golive", "--from", "2000-01-01"); err != nil {
		return err
	}
	if err := st.stop(ctx, st.cdc); err != nil {
		return err
	}
	end, err := st.logEnd(ctx)
	if err != nil {
		return err
	}
	if err := st.applied(within, end); err != nil {
		return err
	}
	return st.stop(ctx, st.applier)
}

func (st *stage) start(ctx context.Context, programs ...*server.Server) error {
	for _, p := range programs {
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (st *stage) stop(ctx context.Context, programs ...*server.Server) error {
	for _, p := range programs {
		if err := p.Stop(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lookEvery is how often the benchmark asks whether a program is done.
const lookEvery = 20 * time.Millisecond

// until waits for a condition, as long as the programs that were started run.
func (st *stage) until(ctx context.Context, holds func() (bool, error)) error {
	return backoff.Retry(func() error {
		for _, p := range st.programs() {
			if status, ended := p.EndedWith(); ended {
				return backoff.Permanent(fmt.Errorf("%s ended with status %d\n%s", p.Name(), status, p.LogTail()))
			}
		}
		ok, err := holds()
		if err != nil {
			return backoff.Permanent(err)
		}
		if !ok {
			return errors.New("not yet")
		}
		return nil
	}, backoff.WithContext(backoff.NewConstantBackOff(lookEvery), ctx))
}

// logEnd is the offset behind the last record of the log.
func (st *stage) logEnd(ctx context.Context) (int64, error) {
	lag, err := stream.MeasureLag(ctx, st.log, -1)
	return lag.Events, err
}

// logReaches waits until the log has so many records.
func (st *stage) logReaches(ctx context.Context, end int64) error {
	return st.until(ctx, func() (bool, error) {
		// Asked from the expected end: nothing is fetched before it is there.
		lag, err := stream.MeasureLag(ctx, st.log, end-2)
		return lag.Events > 0, err
	})
}

// applied waits until the applier has applied the log up to and without an offset. What lies
// between may be fences only, which move nobody's place.
func (st *stage) applied(ctx context.Context, end int64) error {
	return st.until(ctx, func() (bool, error) {
		var at int64
		err := st.erp.QueryRow(ctx, "select coalesce((select kafka_offset from spola.place where applier = 'intake' and source = $1), -1)", shopName).Scan(&at)
		return at >= end-1, err
	})
}

func (st *stage) close() error {
	var failed []error
	if st.shop != nil {
		failed = append(failed, st.shop.Close())
	}
	if st.erp != nil {
		failed = append(failed, st.erp.Close(context.Background()))
	}
	return errors.Join(append(failed, st.lab.Close())...)
}
