package spola

import (
	"context"
	"fmt"
	"net"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/ops"
	"github.com/spola-cdc/spola/internal/printable"
)

// Metrics is `spola metrics`.
type Metrics struct {
	Listen string `help:"Address to answer at." default:"127.0.0.1:9394" placeholder:"HOST:PORT"`
}

// Run answers Prometheus and health checks until a signal ends it. It is a process of its own, so that it tells too
// when the pipeline does not run.
func (m Metrics) Run(env *cli.Env) error {
	cfg, err := config.Load(env.Config, config.NeedShop, config.NeedERP, config.NeedKafka)
	if err != nil {
		return err
	}
	serve, err := prepareMetrics(env, cfg, m.Listen)
	if err != nil {
		return err
	}
	printable.Printf(env.Out, "http://%s/metrics, /livez and /readyz?verbose\n", m.Listen)
	return serve(env.Ctx)
}

// prepareMetrics takes the address, so that one that is taken is told before anything runs.
func prepareMetrics(env *cli.Env, cfg config.Config, address string) (serve func(context.Context) error, err error) {
	source, err := cdc.Source(cfg, env.Log)
	if err != nil {
		return nil, err
	}
	of := ops.Pipeline{Shop: cfg.Shop.Name, Source: source, ERP: cfg.ERP.URL(), ShopLog: cfg.Stream(env.Log), Group: cfg.Group}
	if cfg.ERP.Log.Stands() {
		log := cfg.ERPStream(env.Log)
		of.ERPLog = &log
	}
	if cfg.ERP.Log.Read() && cfg.ERP.Log.Password != "" { // who runs beside the pipeline need not know that password
		erp, err := cdc.ERPSource(cfg, env.Config, env.Log)
		if err != nil {
			return nil, err
		}
		of.ERPSource = &erp
	}
	listener, err := (&net.ListenConfig{}).Listen(env.Ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for Prometheus: %w", err)
	}
	return func(ctx context.Context) error { return ops.Serve(ctx, listener, of) }, nil
}
