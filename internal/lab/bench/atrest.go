package bench

import (
	"context"
	"fmt"
	"time"
)

// quietAfter is when the source's clock ticks once a minute only: ten seconds after the last
// row, and some.
const quietAfter = 12 * time.Second

// measureIdle measures what cdc and applier use together while nothing happens.
func measureIdle(ctx context.Context, st *stage, r *Report) error {
	for name, to := range map[string]*memory{"cdc": &r.Capture.Running, "applier": &r.Takeover.Running} {
		var err error
		if *to, err = memoryOf(st.pids()[name]); err != nil {
			return err
		}
	}
	if err := pause(ctx, min(quietAfter, st.options.Rest)); err != nil {
		return err
	}
	meter, err := newMeter(st.pids())
	if err != nil {
		return err
	}
	if err := pause(ctx, st.options.Rest); err != nil {
		return err
	}
	cores, err := meter.cores()
	r.IdlePercent = 100 * (cores["cdc"] + cores["applier"])
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// hugeShare is how many rows the one huge transaction has for each order of the backlog: a
// million with the usual one.
const hugeShare = 2

// measureHuge lets one transaction pass that is larger than memory should be: a catalogue's
// codes imported at once.
func measureHuge(ctx context.Context, st *stage, r *Report) error {
	rows := min(hugeShare*r.Orders, 1_000_000)
	before, err := st.logEnd(ctx)
	if err != nil {
		return err
	}
	for _, p := range []int{st.cdc.PID(), st.applier.PID()} {
		if err := forgetPeak(p); err != nil {
			return err
		}
	}
	if err := st.insertHuge(ctx, rows); err != nil {
		return err
	}
	began := time.Now()
	if err := st.logReaches(ctx, before+int64(rows)); err != nil {
		return err
	}
	r.Huge.LogSeconds = time.Since(began).Seconds()
	if err := st.applied(ctx, before+int64(rows)); err != nil {
		return err
	}
	r.Huge.Rows, r.Huge.Seconds = rows, time.Since(began).Seconds()
	if r.Huge.CDC, err = memoryOf(st.cdc.PID()); err != nil {
		return err
	}
	r.Huge.Applier, err = memoryOf(st.applier.PID())
	if err != nil {
		return err
	}
	r.Servers, err = st.serverMemory()
	return err
}

func (st *stage) insertHuge(ctx context.Context, rows int) error {
	conn, err := st.shop.DB().Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to the shop: %w", err)
	}
	defer conn.Close()
	for _, statement := range []string{
		fmt.Sprintf("SET SESSION cte_max_recursion_depth = %d", rows),
		fmt.Sprintf("INSERT INTO oc_product_code (product_id, code, value) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "+
			"SELECT 1 + i %% 40, 'ean', CONCAT('80', LPAD(i, 11, '0')) FROM n", rows),
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("write the huge transaction: %w", err)
		}
	}
	return nil
}

// serverMemory is the memory of the servers, PostgreSQL's processes together.
func (st *stage) serverMemory() (map[string]float64, error) {
	sizes := map[string]float64{}
	for name, pid := range map[string]int{"kafka": st.kafka.PID(), "mysql": st.mysql.PID(), "postgres": st.pg.PID()} {
		var err error
		if sizes[name], err = familyMemory(pid); err != nil {
			return nil, err
		}
	}
	return sizes, nil
}
