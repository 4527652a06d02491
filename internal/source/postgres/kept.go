package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"time"
)

//go:embed kept.sql
var keptQuery string

// Kept is for how long the server keeps the write-ahead log for a reader that is away.
type Kept struct {
	Bytes  int64         // of write-ahead log that may still come; -1: no bound but the disk's
	Unread int64         // bytes that the server has written and the reader has not confirmed yet; -1: nobody has read
	For    time.Duration // how long that lasts as the server has written on average; 0: no bound, or not known
}

// WALKept tells how much the server writes until it gives the slot up.
func WALKept(ctx context.Context, cfg Config) (Kept, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := cfg.connect(ctx)
	if err != nil {
		return Kept{}, fmt.Errorf("ask the ERP's server how long it keeps its write-ahead log: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var k Kept
	var rate float64 // bytes a second
	if err := conn.QueryRow(ctx, keptQuery, cfg.Slot).Scan(&k.Bytes, &rate); err != nil {
		return Kept{}, fmt.Errorf("ask the ERP's server how long it keeps its write-ahead log: %w", err)
	}
	if k.Unread, _, err = Unread(ctx, conn, cfg.Slot); err != nil {
		return Kept{}, err
	}
	if k.Bytes >= 0 && rate > 0 {
		k.For = time.Duration(float64(k.Bytes) / rate * float64(time.Second))
	}
	return k, nil
}
