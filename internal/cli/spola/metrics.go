package spola

import (
	"errors"
	"fmt"
	"net"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/applier"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/ops"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/schemas"
)

// Metrics is `spola metrics`.
type Metrics struct {
	Listen string `help:"Address to answer at." default:"127.0.0.1:9394" placeholder:"HOST:PORT"`
}

// Run answers Prometheus and health checks until a signal ends it. It is a process of its own, so that it tells too
// when the pipeline does not run.
func (m Metrics) Run(env *cli.Env) error {
	cfg, err := loadWatched(env)
	if err != nil {
		return err
	}
	watch, err := PrepareWatch(env, cfg, m.Listen)
	if err != nil {
		return err
	}
	printable.Printf(env.Out, "%s://%s: the page, /metrics, /livez and /readyz?verbose\n", yes(cfg.Page.Certificate != "", "https", "http"), m.Listen)
	return watch.Run(env.Ctx)
}

// PrepareWatch makes who looks at the pipeline: for Prometheus at an address, which is taken at once so that one that is taken is told
// before anything runs, and for who is told by mail. Empty address: only for the latter.
func PrepareWatch(env *cli.Env, cfg config.Config, address string) (*ops.Watch, error) {
	of, err := pipelineOf(env, cfg)
	if err != nil {
		return nil, err
	}
	notices, err := noticesOf(env, cfg)
	if err != nil {
		return nil, err
	}
	pair, err := cfg.Page.Pair()
	if mistake, ok := errors.AsType[*config.Error](err); ok {
		mistake.File = env.Config
		return nil, mistake
	}
	traced, err := applier.TraceSources(cfg, env)
	if err != nil {
		return nil, err
	}
	aligned, err := alignmentOf(cfg)
	if err != nil {
		return nil, err
	}
	o := ops.Options{Pipeline: of, Notices: notices, Page: &ops.Page{Password: string(cfg.Page.Password), Certificate: pair, Trace: &traced, Align: &aligned}}
	if address != "" {
		if o.Listen, err = (&net.ListenConfig{}).Listen(env.Ctx, "tcp", address); err != nil {
			return nil, fmt.Errorf("listen for Prometheus: %w", err)
		}
	}
	return ops.New(o), nil
}

// pipelineOf is the pipeline as whoever looks at it reaches its parts.
func pipelineOf(env *cli.Env, cfg config.Config) (of ops.Pipeline, err error) {
	source, err := cdc.Source(cfg, env.Log)
	if err != nil {
		return of, err
	}
	of = ops.Pipeline{Shop: cfg.Shop.Name, Source: source, ERP: cfg.ERP.URL(), ShopLog: cfg.Stream(env.Log), Group: cfg.Group}
	if cfg.ERP.Log.Stands() {
		log := cfg.ERPStream(env.Log)
		of.ERPLog = &log
	}
	if cfg.ERP.Log.Read() {
		of.Slot = cfg.ERP.Log.Slot
	}
	if cfg.ERP.Log.Read() && cfg.ERP.Log.Password != "" { // who runs beside the pipeline need not know that password
		erp, err := cdc.ERPSource(cfg, env.Config, env.Log)
		if err != nil {
			return of, err
		}
		of.ERPSource = &erp
	}
	return of, nil
}

// alignmentOf is how the shop's catalogue is compared and written from the page: by who writes into the shop, where he is named.
func alignmentOf(cfg config.Config) (of ops.Alignment, err error) {
	of = ops.Alignment{Database: cfg.Shop.URL(), Writes: cfg.Shop.Writes(), Prefix: cfg.Shop.Prefix}
	if of.Writes {
		of.Database = cfg.Shop.WriteURL()
	}
	_, of.Platform, err = schemas.Platform(cfg.Shop.Platform)
	return of, err
}

func yes(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
