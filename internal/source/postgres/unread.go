package postgres

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed unread.sql
var unreadQuery string

// Unread asks the ERP's server, over any connection to the ERP's database, how many bytes of write-ahead log it has written that a slot's
// reader has not confirmed yet (-1: nobody has read by it), and whether somebody reads now.
func Unread(ctx context.Context, conn *pgx.Conn, slot string) (bytes int64, now bool, err error) {
	if err := conn.QueryRow(ctx, unreadQuery, slot).Scan(&bytes, &now); err != nil {
		return 0, false, fmt.Errorf("ask how much of the ERP's log nobody has read: %w", err)
	}
	return bytes, now, nil
}
