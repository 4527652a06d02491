package ops

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/mirror"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/stream"
)

// probe sends a row of the marker table through the pipeline now and then and waits for it in the mirror: what a lag of
// nothing can't tell, whether it works or nothing happens.
type probe struct {
	mu      sync.Mutex
	trip    time.Duration // of the last that arrived; 0: none has
	arrived time.Time     // when it did
	sent    time.Time     // the one that is on its way; zero: none is
	err     error         // why none can be looked for in the ERP
	refused error         // why none can be sent
	since   time.Time     // since when none can

	log    Leg       // of the last that came to the log
	toLog  int64     // number of the one that is on its way there; 0: none is
	logged time.Time // when that one was sent
}

const probeEvery = 10 * time.Second

// Trip is what the probes tell: how long the last one took, and for how long the next has been on its way.
type Trip struct {
	Took    time.Duration
	Arrived time.Time
	Waiting time.Duration
	Err     error         // why none can be sent or looked for
	Refused time.Duration // for how long the shop's server has taken no row; 0: it takes them
	Log     Leg           // its first part: commit, read, in the shop's log
}

// Leg is a part of a trip: how long the last took, when it ended, and for how long the next has been on it.
type Leg struct {
	Took    time.Duration
	Arrived time.Time
	Waiting time.Duration
}

func (p *probe) told() Trip {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := Trip{Took: p.trip, Arrived: p.arrived, Err: p.err, Log: p.log}
	if p.refused != nil {
		t.Err, t.Refused = p.refused, time.Since(p.since)
		t.Waiting = t.Refused // a row that can't be written does not arrive either
	}
	if p.toLog > 0 && !p.sent.IsZero() { // what has arrived was in the log
		t.Log.Waiting = time.Since(p.logged)
	}
	if !p.sent.IsZero() {
		t.Waiting = max(t.Waiting, time.Since(p.sent))
	}
	return t
}

// run sends probes until ctx ends. One that waits goes on waiting over faults of either server.
func (p *probe) run(ctx context.Context, of Pipeline) {
	timer := time.NewTicker(probeEvery)
	defer timer.Stop()
	number := int64(0)
	ways := &links{of: of, name: "spola probe"}
	defer ways.close(ctx)
	for {
		var err error
		number, err = p.once(ctx, ways, number)
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

// once sends a probe and waits for the oldest that is on its way, which any later one has overtaken: one that no reader will ever
// find, from before the first start or purged since, must not be waited for for ever. It returns the number of the one that is still
// on its way; 0: none. One that is on its way is waited for while the shop is away too.
func (p *probe) once(ctx context.Context, ways *links, number int64) (int64, error) {
	sent := p.send(ctx, ways)
	if number == 0 {
		number = sent
	}
	if number == 0 {
		return 0, nil
	}
	conn, err := ways.toERP(ctx)
	if err != nil {
		return number, err
	}
	return p.await(ctx, conn, ways.of.Shop, number)
}

// send writes a probe into the shop and returns its number; 0: the shop's server did not take it.
func (p *probe) send(ctx context.Context, ways *links) int64 {
	tried := time.Now()
	db, err := ways.toShop()
	number := int64(0)
	if err == nil {
		number, err = mysql.Probe(ctx, db)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(err, mysql.ErrNoMarker) { // nothing is wrong yet
		p.refused = nil
		return 0
	}
	if p.refused == nil {
		p.since = tried
	}
	if p.refused = err; err != nil {
		return 0
	}
	now := time.Now()
	if p.sent.IsZero() {
		p.sent, p.toLog = now, 0
	}
	if p.toLog == 0 {
		p.toLog, p.logged = number, now
	}
	return number
}

// follow waits in the shop's log for each probe that was sent, until ctx ends. While Kafka is away the probe waits; why, the picture says.
func (p *probe) follow(ctx context.Context, of Pipeline) {
	for ctx.Err() == nil {
		if err := p.followLog(ctx, of.ShopLog); err != nil {
			pause(ctx, backAnew)
		}
	}
}

func (p *probe) followLog(ctx context.Context, log stream.Config) error {
	f, err := stream.OpenFinder(ctx, log)
	if err != nil {
		return err
	}
	defer f.Close()
	sought, from := int64(0), int64(0)
	for ctx.Err() == nil {
		p.mu.Lock()
		number := p.toLog
		p.mu.Unlock()
		if number == 0 {
			pause(ctx, backLook)
			continue
		}
		_, end, err := f.Renew(ctx)
		if err != nil {
			return err
		}
		if sought != number || from > end { // behind the end: the topic was made anew. It is numbered by the clock of the shop's server, as is the time of its record, by whole seconds in MariaDB
			if from, err = f.Since(ctx, time.UnixMilli(number).Add(-2*time.Second)); err != nil {
				return err
			}
			sought = number
		}
		for from < end && sought == number {
			records, next, err := f.From(ctx, from)
			if err != nil {
				return err
			}
			from = next
			if slices.ContainsFunc(records, func(r change.Record) bool { return probeOf(&r) >= number }) {
				p.inLog()
				sought = 0
			}
		}
		if sought > 0 {
			pause(ctx, backLook)
		}
	}
	return nil
}

// probeOf is the number of the probe that a record is; 0: it is none.
func probeOf(r *change.Record) int64 {
	if r.Table != mysql.Marker || !strings.Contains(string(r.Key), `"probe"`) {
		return 0
	}
	var v struct {
		After struct {
			Name   string `json:"name"`
			Number int64  `json:"number"`
		} `json:"after"`
	}
	if err := json.Unmarshal(r.Value, &v); err != nil || v.After.Name != "probe" {
		return 0 // whoever wrote it: no probe of this program
	}
	return v.After.Number
}

func (p *probe) inLog() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = Leg{Took: time.Since(p.logged), Arrived: time.Now()}
	p.toLog = 0
}

func (p *probe) await(ctx context.Context, conn *pgx.Conn, shop string, number int64) (int64, error) {
	if err := mirror.AwaitProbe(ctx, conn, shop, number, probeEvery); errors.Is(err, mirror.ErrBehind) {
		return number, nil
	} else if err != nil {
		return number, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trip, p.arrived, p.sent = time.Since(p.sent), time.Now(), time.Time{}
	return 0, nil
}
