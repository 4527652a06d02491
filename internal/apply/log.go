package apply

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/stream"
)

// Stream opens the log on Kafka, for Run.
func Stream(cfg stream.Config) Open {
	return func(ctx context.Context, from change.Stand) (Reader, error) {
		return stream.OpenReader(ctx, cfg, stream.Position{Place: from.Place, Offset: from.Offset})
	}
}

// Offsets publishes how far an applier is as a committed offset of a consumer group, for the lag
// tools that know nothing of our place row, and as a witness after a restore. Nothing resumes
// from it, so it is published behind the database's commit, at most once in an interval, and a
// failure is only tried again with the next.
type Offsets struct {
	newest atomic.Int64 // offset + 1, so that 0 is none
}

// Told notes what was committed in the database. Run's OnCommit may call it.
func (o *Offsets) Told(p Progress) { o.newest.Store(p.Offset + 1) }

// Publish publishes until ctx ends, and a last time then. failed is told of each failure.
func (o *Offsets) Publish(ctx context.Context, cfg stream.Config, group string, every time.Duration, failed func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var published int64
	publish := func(ctx context.Context) {
		newest := o.newest.Load()
		if newest == published {
			return
		}
		if err := stream.CommitOffset(ctx, cfg, group, newest-1); err != nil {
			failed(err)
			return
		}
		published = newest
	}
	for {
		select {
		case <-tick.C:
			publish(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			publish(last)
			return
		}
	}
}
