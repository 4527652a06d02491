package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// measureTakeover lets the applier make ERP orders of the log's backlog, cdc being stopped. The
// clock runs from the moment the place is its own until the last order is in the ERP.
func measureTakeover(ctx context.Context, st *stage, r *Report) error {
	epoch, err := st.epoch(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := st.start(ctx, st.applier); err != nil {
		return err
	}
	err = st.until(ctx, func() (bool, error) {
		now, err := st.epoch(ctx)
		return now > epoch, err
	})
	if err != nil {
		return err
	}
	r.Takeover.StartSeconds = time.Since(began).Seconds()
	meter, err := newMeter(st.pids())
	if err != nil {
		return err
	}
	end, err := st.logEnd(ctx)
	if err != nil {
		return err
	}
	began = time.Now()
	if err := st.applied(ctx, end); err != nil {
		return err
	}
	took := time.Since(began)
	used, err := meter.used()
	if err != nil {
		return err
	}
	if err := st.allTakenOver(ctx); err != nil {
		return err
	}
	r.Takeover.OrdersPerSecond = float64(r.Orders) / took.Seconds()
	r.Takeover.Throughput = throughput(r.Rows, took, used["applier"])
	r.Takeover.DatabaseCPU = perMillion(used["postgres"], r.Rows)
	r.Takeover.Memory, err = memoryOf(st.applier.PID())
	return err
}

func (st *stage) epoch(ctx context.Context) (epoch int64, err error) {
	err = st.erp.QueryRow(ctx, "select owner_epoch from spola.place where applier = 'intake' and source = $1", shopName).Scan(&epoch)
	if err != nil {
		return 0, fmt.Errorf("read the applier's place: %w", err)
	}
	return epoch, nil
}

// allTakenOver makes sure that what was measured was the whole work.
func (st *stage) allTakenOver(ctx context.Context) error {
	var taken int
	var parked *string
	err := st.erp.QueryRow(ctx, `select count(*) filter (where status = 'imported'), (select min(what) from spola.parked where shop = $1)
		from spola.link where shop = $1 and order_id between $2 and $3`, shopName, st.first, st.last).Scan(&taken, &parked)
	if err != nil {
		return fmt.Errorf("count the orders taken over: %w", err)
	}
	if taken != st.options.Orders {
		why := "none is parked"
		if parked != nil {
			why = "parked for instance: " + *parked
		}
		return fmt.Errorf("the ERP has %d of %d orders; %s", taken, st.options.Orders, why)
	}
	return nil
}

// connectTo opens a connection of its own.
func (st *stage) connectTo(ctx context.Context, database string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, st.databaseURL(database))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", database, err)
	}
	return conn, nil
}
