package bench

import (
	"context"
	"time"
)

// measureCapture lets cdc read the backlog into the log. The clock runs from its claim to the
// last row that the broker has acknowledged; the start before the claim is shown apart.
func measureCapture(ctx context.Context, st *stage, r *Report) error {
	began := time.Now()
	if err := st.start(ctx, st.cdc); err != nil {
		return err
	}
	meter, err := newMeter(st.pids())
	if err != nil {
		return err
	}
	const fenceAndClaim = 2
	if err := st.logReaches(ctx, st.logged+fenceAndClaim); err != nil {
		return err
	}
	r.Capture.StartSeconds = time.Since(began).Seconds()
	began = time.Now()
	if err := st.logReaches(ctx, st.logged+fenceAndClaim+int64(r.Rows)); err != nil {
		return err
	}
	took := time.Since(began)
	used, err := meter.used()
	if err != nil {
		return err
	}
	r.Capture.Throughput = throughput(r.Rows, took, used["cdc"])
	r.Capture.BrokerCPU = perMillion(used["kafka"], r.Rows)
	if r.Capture.Memory, err = memoryOf(st.cdc.PID()); err != nil {
		return err
	}
	return st.stop(ctx, st.cdc)
}

// pids are the processes that are running.
func (st *stage) pids() map[string]int {
	pids := map[string]int{"kafka": st.kafka.PID(), "mysql": st.mysql.PID(), "postgres": st.pg.PID()}
	for name, program := range st.programs() {
		pids[name] = program.PID()
	}
	for name, pid := range pids {
		if pid == 0 {
			delete(pids, name)
		}
	}
	return pids
}
