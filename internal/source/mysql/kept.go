package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"
)

// BinlogKept asks the shop's server for how long it keeps its binary log; 0: until somebody
// purges it.
func BinlogKept(ctx context.Context, db *sql.DB) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	rows, err := db.QueryContext(ctx, "SHOW GLOBAL VARIABLES WHERE variable_name IN ('binlog_expire_logs_seconds', 'expire_logs_days')")
	if err != nil {
		return 0, fmt.Errorf("ask the shop's server how long it keeps its binary log: %w", err)
	}
	defer rows.Close()
	kept := map[string]float64{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return 0, fmt.Errorf("ask the shop's server how long it keeps its binary log: %w", err)
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("%s is %q: %w", name, value, err)
		}
		kept[name] = n
	}
	if seconds, ok := kept["binlog_expire_logs_seconds"]; ok { // a server that has both says the same by both
		return time.Duration(seconds) * time.Second, rows.Err()
	}
	return time.Duration(kept["expire_logs_days"] * float64(24*time.Hour)), rows.Err()
}
