package applier

import (
	"context"

	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/internal/writeback"
)

// Stock brings the pieces that the ledger owes the shop's stock rows there, until ctx ends.
func Stock(ctx context.Context, cfg config.Config, o Options) error {
	if err := CheckWriter(cfg, o.File); err != nil {
		return err
	}
	log := o.Log.With().Str("component", "applier").Str("log", cfg.ERPTopic()).Str("stream", stockStream).Logger()
	effect, err := writeback.NewStock(cfg.Shop.Name, cfg.Shop.Platform, cfg.Shop.Prefix, log)
	if err != nil {
		return err
	}
	target := mysql.NewTarget(cfg.Shop.WriteURL(), writeback.StockApplier, writeback.Log, cli.Owner())
	return follow(ctx, cfg, cfg.ERPStream(log), stockStream, target, effect, witnessed(cfg, cfg.ERPStream(log), stockStream, shopRestored), o)
}

// CheckWriter refuses a configuration by which nothing can be brought back into the shop. file is the
// configuration's.
func CheckWriter(cfg config.Config, file string) error {
	if !cfg.ERP.Log.Stands() {
		return &config.Error{File: file, Key: "erp.log.user", What: "it is not set: nobody reads what changes in the ERP",
			Mend: "write the user that deploy/grants/erp-reader.postgres.sql makes: spola_cdc; or, where another shop's file has him, erp.log.elsewhere: true"}
	}
	if !cfg.Shop.Writes() {
		return &config.Error{File: file, Key: "shop.write_as", What: "it is not set: nobody may write into the shop",
			Mend: "write the user that deploy/grants/shop-writer makes: spola_writer"}
	}
	return nil
}
