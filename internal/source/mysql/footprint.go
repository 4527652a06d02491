package mysql

import (
	"context"
	"fmt"
	"strings"
)

// Footprint is what the reader has in the shop's database.
type Footprint struct {
	Running bool   // a cdc of the same account reads the binary log
	Marker  bool   // the marker table is there
	Account string // 'spola_cdc'@'%'; quoted
}

// FootprintOf tells what the reader has in the shop's database.
func FootprintOf(ctx context.Context, c Config) (Footprint, error) {
	var f Footprint
	db, err := c.open()
	if err != nil {
		return f, err
	}
	defer db.Close()
	var account string
	err = db.QueryRowContext(ctx, `SELECT CURRENT_USER(), EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?),
		EXISTS (SELECT 1 FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%' AND user = SUBSTRING_INDEX(USER(), '@', 1))`, Marker).
		Scan(&account, &f.Marker, &f.Running)
	if err != nil {
		return f, fmt.Errorf("look for Spola in the shop's database: %w", err)
	}
	name, host, _ := strings.Cut(account, "@")
	f.Account = "'" + name + "'@'" + host + "'"
	return f, nil
}

// Drop runs a statement that takes something of the reader's away.
func Drop(ctx context.Context, c Config, statement string) error {
	db, err := c.open()
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
