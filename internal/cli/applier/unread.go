package applier

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/cli"
	"github.com/spola-cdc/spola/internal/cli/cdc"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/printable"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/source/postgres"
	"github.com/spola-cdc/spola/internal/stream"
)

// unread is what the sources have committed and their readers have not brought into a log yet: what no lag of an applier counts.
type unread struct {
	Transactions *int64   `json:"transactions"` // of the shop's server, behind the newest record of its log; null: nobody could say
	Seconds      *float64 `json:"seconds"`      // since that record, which a reader that runs makes one of each minute
	ShopError    string   `json:"shop_error"`   // why nobody could say
	Bytes        *int64   `json:"erp_bytes"`    // of the ERP's write-ahead log that its reader has not confirmed; null: it is not read by this configuration
	Read         *bool    `json:"erp_read"`     // somebody reads it now
}

// readerPatience is for how long what is committed may be missing in the log before that is told as odd.
const readerPatience = 30 * time.Second

// lookForUnread asks both servers. The shop's may be away, or its password not be here: then that is said, and the rest told.
func lookForUnread(ctx context.Context, env *cli.Env, cfg config.Config, conn *pgx.Conn) (u unread, err error) {
	if cfg.ERP.Log.Read() {
		bytes, now, err := postgres.Unread(ctx, conn, cfg.ERP.Log.Slot)
		if err != nil {
			return u, err
		}
		bytes = max(bytes, 0)
		u.Bytes, u.Read = &bytes, &now
	}
	newest, err := stream.Newest(ctx, cfg.Stream(env.Log))
	if err != nil || newest == nil {
		return u, err
	}
	since := time.Since(time.UnixMilli(newest.Time)).Seconds()
	u.Seconds = &since
	if u.Transactions, err = unreadOfShop(ctx, env, cfg, newest); err != nil {
		u.ShopError = cli.Sentence(err)
	}
	return u, nil
}

// unreadOfShop is nil for a log that names no transaction yet.
func unreadOfShop(ctx context.Context, env *cli.Env, cfg config.Config, newest *change.Record) (*int64, error) {
	origin, err := change.ParseOrigin(newest.Origin)
	if err != nil || origin.Tx.IsZero() {
		return nil, err
	}
	source, err := cdc.Source(cfg, env.Log)
	if err != nil {
		return nil, err
	}
	db, err := mysql.Open(source)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }() // it has only asked
	n, err := mysql.Unread(ctx, db, origin.Tx)
	if err != nil {
		return nil, err
	}
	return &n, nil
}

func (u unread) print(w io.Writer) {
	switch {
	case u.ShopError != "":
		printable.Printf(w, "unread    of the shop: not known: %s\n", u.ShopError)
	case u.Transactions != nil:
		printable.Printf(w, "unread    %d transactions that the shop has committed are not in its log%s\n", *u.Transactions,
			yes(*u.Transactions > 0 && *u.Seconds > readerPatience.Seconds(), fmt.Sprintf(", for %.0f s: see whether cdc runs (systemctl status cdc)", *u.Seconds), ""))
	}
	if u.Bytes != nil {
		printable.Printf(w, "          %d kB that the ERP has written are not confirmed by its reader%s\n", *u.Bytes/1024,
			yes(*u.Read, "", ", and nobody reads now: see whether cdc run erp runs (systemctl status cdc-erp)"))
	}
}
