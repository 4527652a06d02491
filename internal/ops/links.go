package ops

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/source/mysql"
	erp "github.com/spola-cdc/spola/internal/target/postgres"
)

// links are the connections to both databases of who asks again and again: made when they are needed, and kept. They are one goroutine's.
type links struct {
	of   Pipeline
	name string // as the ERP's server shows it
	shop *sql.DB
	erp  *pgx.Conn
}

// toShop is the way to the shop's database. What it has open it looks after itself.
func (l *links) toShop() (db *sql.DB, err error) {
	if l.shop == nil {
		l.shop, err = mysql.Open(l.of.Source)
	}
	return l.shop, err
}

// toERP is the connection to the ERP's database, made anew where the one before has ended: that is no fault of the ERP's.
func (l *links) toERP(ctx context.Context) (conn *pgx.Conn, err error) {
	if l.erp != nil && answers(ctx, l.erp) {
		return l.erp, nil
	}
	l.leaveERP(ctx)
	l.erp, err = erp.Connect(ctx, l.of.ERP, l.name+" "+l.of.Shop)
	return l.erp, err
}

// answers tells whether the server still answers over a connection: one that hangs does not within the time of one that is asked anew.
func answers(ctx context.Context, conn *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, pingWithin)
	defer cancel()
	return conn.Ping(ctx) == nil
}

func (l *links) leaveERP(ctx context.Context) {
	if l.erp != nil {
		_ = l.erp.Close(context.WithoutCancel(ctx)) // it has ended already, or it has only asked
		l.erp = nil
	}
}

func (l *links) close(ctx context.Context) {
	l.leaveERP(ctx)
	if l.shop != nil {
		_ = l.shop.Close() // what was written is committed
		l.shop = nil
	}
}
