package applier

import (
	"context"
	_ "embed" // the query stands in a .sql file
	"errors"
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
	"github.com/spola-cdc/spola/internal/stream"
)

//go:embed unread.postgres.sql
var unreadQuery string

// unread is what the sources have committed and their readers have not brought into a log yet: what no lag of an applier counts.
type unread struct {
	Transactions *int64   `json:"transactions"` // of the shop's server, behind the newest record of its log; null: nobody could say
	Seconds      *float64 `json:"seconds"`      // since that record, which a reader that runs makes one of each minute
	ShopError    string   `json:"shop_error"`   // why nobody could say
	Bytes        *int64   `json:"erp_bytes"`    // of the ERP's write-ahead log that its reader has not confirmed; null: it is not read by this configuration
	Read         *bool    `json:"erp_read"`     // somebody reads it now
}

const (
	readerPatience = 30 * time.Second // for which what is committed may be missing in the log before that is told as odd
	shopWithin     = 5 * time.Second  // for the shop's answer: who looks wants the rest
)

// lookForUnread asks both servers. The shop's may be away, or its password not be here: then that is said, and the rest told.
func lookForUnread(ctx context.Context, env *cli.Env, cfg config.Config, conn *pgx.Conn) (u unread, err error) {
	if cfg.ERP.Log.Read() {
		var bytes int64
		var read bool
		err := conn.QueryRow(ctx, unreadQuery, cfg.ERP.Log.Slot).Scan(&bytes, &read)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return u, fmt.Errorf("ask how much of the ERP's log nobody has read: %w", err)
		}
		u.Bytes, u.Read = &bytes, &read
	}
	newest, err := stream.Newest(ctx, cfg.Stream(env.Log))
	if err != nil || newest == nil {
		return u, err
	}
	since := time.Since(time.UnixMilli(newest.Time)).Seconds()
	u.Seconds = &since
	n, err := unreadOfShop(ctx, env, cfg, newest)
	if err != nil {
		u.ShopError = cli.Sentence(err)
		return u, nil
	}
	u.Transactions = &n
	return u, nil
}

func unreadOfShop(ctx context.Context, env *cli.Env, cfg config.Config, newest *change.Record) (int64, error) {
	origin, err := change.ParseOrigin(newest.Origin)
	if err != nil {
		return 0, err
	}
	source, err := cdc.Source(cfg, env.Log)
	if err != nil {
		return 0, err
	}
	db, err := mysql.Open(source)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }() // it has only asked
	ctx, cancel := context.WithTimeout(ctx, shopWithin)
	defer cancel()
	return mysql.Unread(ctx, db, origin.Tx)
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
