package ops

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/source/mysql"
	erp "github.com/spola-cdc/spola/internal/target/postgres"
)

// probe sends a row of the marker table through the pipeline now and then and waits for it in the mirror: what a lag of
// nothing can't tell, whether it works or nothing happens.
type probe struct {
	mu      sync.Mutex
	trip    time.Duration // of the last that arrived; 0: none has
	arrived time.Time     // when it did
	sent    time.Time     // the one that is on its way; zero: none is
	err     error         // why none can be sent or looked for
}

const probeEvery = 10 * time.Second

// Trip is what the probes tell: how long the last one took, and for how long the next has been on its way.
type Trip struct {
	Took    time.Duration
	Arrived time.Time
	Waiting time.Duration
	Err     error
}

func (p *probe) told() Trip {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := Trip{Took: p.trip, Arrived: p.arrived, Err: p.err}
	if !p.sent.IsZero() {
		t.Waiting = time.Since(p.sent)
	}
	return t
}

// run sends probes until ctx ends. One that waits goes on waiting over faults of either server.
func (p *probe) run(ctx context.Context, of Pipeline) {
	timer := time.NewTicker(probeEvery)
	defer timer.Stop()
	number := int64(0)
	for {
		var err error
		number, err = p.once(ctx, of, number)
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// once sends a probe, unless one is on its way, and waits for it. It returns the number of the one that is still on its way; 0: none.
func (p *probe) once(ctx context.Context, of Pipeline, number int64) (int64, error) {
	if number == 0 {
		db, err := mysql.Open(of.Source)
		if err != nil {
			return 0, err
		}
		defer func() { _ = db.Close() }() // what was written is committed
		if number, err = p.send(ctx, db); err != nil {
			return 0, err
		}
	}
	conn, err := erp.Connect(ctx, of.ERP, "spola probe "+of.Shop)
	if err != nil {
		return number, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return p.await(ctx, conn, of.Shop, number)
}

func (p *probe) send(ctx context.Context, db *sql.DB) (int64, error) {
	number, err := mysql.Probe(ctx, db)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = time.Now()
	return number, nil
}

func (p *probe) await(ctx context.Context, conn *pgx.Conn, shop string, number int64) (int64, error) {
	if err := mirror.AwaitProbe(ctx, conn, shop, number, 0); err != nil {
		return number, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trip, p.arrived, p.sent = time.Since(p.sent), time.Now(), time.Time{}
	return 0, nil
}
