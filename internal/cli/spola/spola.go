// Package spola holds the verbs that only the program spola has: the whole pipeline in one
// process, and the embedded broker.
package spola

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/broker"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/ops"
)

// Run is `spola run`.
type Run struct {
	Metrics string `help:"Answer Prometheus and health checks at this address too, as spola metrics does." placeholder:"HOST:PORT"`
}

// Run reads the shop, takes its orders into the ERP, reads what changes there, brings it into the shop and mails the
// customers, until a signal ends it. Without brokers in the configuration it runs the embedded one.
func (r Run) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config, config.NeedShop, config.NeedShopWrite, config.NeedERP, config.NeedERPLog, config.NeedKafka, config.NeedSMTP, config.NeedPage)
	if err != nil {
		return err
	}
	if err := applier.CheckShopFile(cfg); err != nil {
		return err // before anything has begun
	}
	if cfg.Embedded() {
		env.Log.Warn().Msg("kafka.brokers is not set: running the embedded broker, which is for trying out. " +
			"A shop that lives from it runs Apache Kafka (one broker of 360 MB will do): set kafka.brokers, and take this log there by `spola broker --dir " +
			cfg.Broker.Dir + " --listen " + cfg.Broker.Listen + "` with `cdc run --moved-from " + cfg.Broker.Listen + "`")
		b, err := broker.Start(env.Ctx, cfg.EmbeddedBroker(env.Log))
		if err != nil {
			return err
		}
		defer func() { _ = b.Close() }() // its data is synced with each batch
		cfg.Kafka.Brokers = []string{b.Addr()}
	}
	if r.Metrics == "" && !cfg.Notices.Tells() {
		return streams(env, cfg)
	}
	watch, err := PrepareWatch(env, cfg, r.Metrics)
	if err != nil {
		return err
	}
	return beside(env, watch, func(env *cli.Env) error { return streams(env, cfg) })
}

// restFor is how long a process that has stopped waits until somebody is told of it.
const restFor = time.Minute

// beside runs the streams with who looks at them. It looks on for a while when they have ended by themselves: to tell of it.
func beside(env *cli.Env, watch *ops.Watch, streams func(*cli.Env) error) error {
	ctx, stop := context.WithCancel(env.Ctx)
	defer stop()
	watched := make(chan error, 1)
	go func() {
		watched <- watch.Run(ctx)
		stop() // nobody looks any more: that is an error of its own
	}()
	within := *env
	within.Ctx = ctx
	err := streams(&within)
	if status := cli.ExitStatus(err); status == cli.ExitStopped || status == cli.ExitConfiguration {
		env.Log.Error().Err(err).Msg("stopped: whoever is to know is told first")
		resting, done := context.WithTimeout(ctx, restFor)
		watch.Rest(resting)
		done()
	}
	stop()
	return errors.Join(err, <-watched)
}

// streams runs them until ctx ends, or one of them.
func streams(env *cli.Env, cfg config.Config) error {
	group, ctx := errgroup.WithContext(env.Ctx)
	start := func(stream string, run func() error) {
		group.Go(func() error { return cli.Watched(cfg, stream, env.Log, run) })
	}
	start("cdc", func() error { return cdc.Read(ctx, cfg, cdc.ReadOptions{Log: env.Log}) })
	if cfg.ERP.Log.Read() {
		start("cdc erp", func() error { return cdc.Read(ctx, cfg, cdc.ReadOptions{Log: env.Log, Source: cdc.ERP}) })
	} else if !cfg.ERP.Log.Elsewhere {
		env.Log.Info().Msg("erp.log.user is not set: what changes in the ERP is not read")
	}
	options := applier.Options{Log: env.Log, File: env.Config}
	start("intake", func() error { return applier.Intake(ctx, cfg, options) })
	if cfg.ERP.Log.Stands() {
		start("ledger", func() error { return applier.Ledger(ctx, cfg, options) })
	}
	if err := applier.CheckWriter(cfg, env.Config); err == nil {
		start("stock", func() error { return applier.Stock(ctx, cfg, options) })
		if applier.WritesOrders(cfg) {
			start("orders", func() error { return applier.Orders(ctx, cfg, options) })
		} else {
			env.Log.Info().Msg("statuses is not in the shop file: tracking numbers and states of orders are not brought into the shop")
		}
	} else if cfg.ERP.Log.Stands() {
		env.Log.Info().Msg("shop.write_as is not set: nothing of the ERP is brought into the shop")
	}
	if err := applier.CheckMailer(cfg, env.Config); err == nil {
		start("mail", func() error { return applier.Mails(ctx, cfg, options) })
	} else if cfg.ERP.Log.Read() {
		env.Log.Info().Msg("smtp.server is not set: customers are not mailed")
	}
	return group.Wait()
}

// Broker is `spola broker`.
type Broker struct {
	Dir    string `help:"Where the broker keeps its data." required:"" type:"path"`
	Listen string `help:"Address to listen at." default:"127.0.0.1:9092" placeholder:"HOST:PORT"`
}

// Run runs the embedded broker until a signal ends it.
func (b Broker) Run(env *cli.Env) error {
	running, err := broker.Start(env.Ctx, broker.Config{Dir: b.Dir, Listen: b.Listen, Log: env.Log})
	if err != nil {
		return err
	}
	fmt.Fprintln(env.Out, "The embedded broker listens at", running.Addr())
	<-env.Ctx.Done()
	return running.Close()
}
