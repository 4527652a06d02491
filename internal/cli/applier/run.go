package applier

import (
	"context"
	"math"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/stream"
)

// The streams: what is applied, each by an applier of its own with a place of its own.
const (
	intakeStream = "intake" // the shop's log into the ERP
	ledgerStream = "ledger" // the ERP's log into the accounts of stock
	stockStream  = "stock"  // the ERP's log into the shop, as the next
	ordersStream = "orders"
	mailStream   = "mail" // the ERP's log into customers' mailboxes
)

// Run is `applier run`.
type Run struct {
	Stream string `arg:"" optional:"" default:"intake" enum:"intake,ledger,stock,orders,mail" help:"What to apply: intake takes the shop's orders into the ERP, ledger keeps the accounts of the shop's stock, stock brings the ledger's pieces into the shop, orders tracking numbers and states; mail writes to customers when parcels leave and invoices are issued."`
}

// softLimit is how many bytes the collector lets a stream's process have before it works harder. What a stream holds at a time is bounded, two parts of a batch and
// a fetch (internal/apply/DESIGN.md); what it has let go of is not to double that while a transaction of a million rows passes.
const softLimit = 150 << 20

// Run applies a log until a signal ends it.
func (r Run) Run(env *cli.Env) error {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // GOMEMLIMIT is not set
		debug.SetMemoryLimit(softLimit)
	}
	needs, run := []config.Need{config.NeedERP, config.NeedKafka}, Intake
	switch r.Stream {
	case ledgerStream:
		run = Ledger
	case stockStream:
		needs, run = []config.Need{config.NeedShopWrite, config.NeedKafka}, Stock
	case ordersStream:
		needs, run = []config.Need{config.NeedShopWrite, config.NeedERP, config.NeedKafka}, Orders
	case mailStream:
		needs, run = []config.Need{config.NeedERP, config.NeedKafka, config.NeedSMTP}, Mails
	}
	cfg, err := config.Load(env.Config, needs...)
	if err != nil {
		return err
	}
	return cli.Watched(cfg, r.Stream, env.Log, func() error { return run(env.Ctx, cfg, Options{Log: env.Log, File: env.Config}) })
}

// Options are what a program that holds an applier wants of it.
type Options struct {
	Log      zerolog.Logger
	File     string               // of the configuration, for messages
	OnCommit func(apply.Progress) // may be nil; must not block
}

// publishEvery is how often the committed offset of lag tools is brought up to date.
const publishEvery = time.Second

// follow applies a log, opened by open, to its target until ctx ends, and tells lag tools how far it is.
func follow[Tx any](ctx context.Context, cfg config.Config, kafka stream.Config, applier string, target apply.Target[Tx], effect apply.Effect[Tx], open apply.Open, o Options) error {
	var offsets apply.Offsets
	publishing, stop := context.WithCancel(ctx)
	published := make(chan struct{})
	go func() {
		defer close(published)
		offsets.Publish(publishing, kafka, cfg.Group(applier), publishEvery, func(err error) {
			kafka.Log.Warn().Err(err).Msg("the offset for lag tools was not published")
		})
	}()
	defer func() { stop(); <-published }()
	err := apply.Run(ctx, target, effect, open, apply.Options{
		Log: kafka.Log,
		OnCommit: func(p apply.Progress) {
			offsets.Told(p)
			if o.OnCommit != nil {
				o.OnCommit(p)
			}
		},
	})
	return cli.LeftBehind(cfg, mendOf(applier, err))
}
