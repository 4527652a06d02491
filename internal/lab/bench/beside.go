package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// besideRate is at how many orders a second the shop goes on selling while its tables are read again.
const besideRate = 20

// measureSnapshot reads all tables of the shop again, with the backlog in them, one run after the
// other, while customers go through the genuine checkout.
func measureSnapshot(ctx context.Context, st *stage, r *Report) error {
	placed := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return st.readAgain(ctx, placed, &r.Beside) })
	group.Go(func() (err error) {
		defer close(placed)
		r.Beside.Latency, err = st.place(ctx, pace{besideRate, true}, st.options.For)
		return err
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("place orders beside a snapshot: %w", err)
	}
	st.tell("  %s", r.Beside.line())
	return nil
}

// readAgain takes snapshots of all tables until ended is closed, each to its end in the mirror.
func (st *stage) readAgain(ctx context.Context, ended <-chan struct{}, b *Beside) error {
	for {
		select {
		case <-ended:
			return nil
		default:
		}
		before, err := st.snapshotRun(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := st.command(ctx, st.options.CDC, "snapshot"); err != nil {
			return err
		}
		err = st.until(ctx, func() (bool, error) {
			run, err := st.snapshotRun(ctx)
			return run > before, err
		})
		if err != nil {
			return err
		}
		b.Snapshots++
		b.Seconds += time.Since(began).Seconds()
	}
}

func (st *stage) snapshotRun(ctx context.Context) (run int64, err error) {
	if err := st.erp.QueryRow(ctx, "select snapshot_run from spola.mirror where source = $1", shopName).Scan(&run); err != nil {
		return 0, fmt.Errorf("read how far the snapshot is: %w", err)
	}
	return run, nil
}
