package applier

import (
	"context"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/internal/writeback"
)

// Orders brings tracking numbers and states of the ERP's orders into the shop, until ctx ends.
func Orders(ctx context.Context, cfg config.Config, o Options) error {
	if err := CheckWriter(cfg, o.File); err != nil {
		return err
	}
	file, err := shopFile(cfg)
	if err != nil {
		return err
	}
	if len(file.Statuses) == 0 {
		return &config.Error{File: cfg.Shop.File, Key: "statuses", What: "it is not there: no state of the shop stands for what the ERP says",
			Mend: "write it: deploy/shop.opencart.example.yaml explains it, `spola doctor` lists the shop's states"}
	}
	log := o.Log.With().Str("component", "applier").Str("log", cfg.ERPTopic()).Str("stream", ordersStream).Logger()
	effect, err := writeback.NewOrders(cfg.Shop.Name, cfg.Shop.Prefix, cfg.ERP.URL(), file, log)
	if err != nil {
		return err
	}
	defer effect.Close()
	target := mysql.NewTarget(cfg.Shop.WriteURL(), writeback.OrdersApplier, writeback.Log, cli.Owner())
	return follow(ctx, cfg, cfg.ERPStream(log), ordersStream, target, effect, witnessed(cfg, cfg.ERPStream(log), ordersStream, shopRestored), o)
}

// WritesOrders tells whether the shop file says what the ERP's states are in the shop.
func WritesOrders(cfg config.Config) bool {
	file, err := intake.LoadShopFile(cfg.Shop.File)
	return err == nil && len(file.Statuses) > 0
}
