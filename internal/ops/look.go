// Package ops tells an operator's tools how a shop's pipeline does: lag, what waits, whether it works at all.
package ops

import (
	"context"
	"database/sql"
	_ "embed" // the queries stand in a .sql file
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/source/mysql"
	"github.com/spola-cdc/spola/internal/source/postgres"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/writeback"
)

//go:embed look.postgres.sql
var queries string

// Pipeline is where a shop's pipeline stands.
type Pipeline struct {
	Shop      string
	Source    mysql.Config
	ERP       string // URL of its database
	ERPSource *postgres.Config
	ShopLog   stream.Config
	ERPLog    *stream.Config // nil: it is not read
	Group     func(applier string) string
	Slot      string // of the reader of the ERP's log; empty: it is not asked whether somebody reads

	meters map[string]*stream.Meter // by topic, of who looks again and again: it closes them; nil: connections end with the look
	links  *links                   // likewise
}

// The parts that a look goes to.
const (
	PartShop  = "shop"
	PartERP   = "erp"
	PartKafka = "kafka"
)

// intakeApplier follows the shop's log, all others that of the ERP.
const intakeApplier = "intake"

// Picture is what one look has found. What could not be asked is missing, and its part's error is there.
type Picture struct {
	At      time.Time
	Errors  map[string]error // by part; nil: it answered
	Streams []Stream
	Orders  map[string]int64 // by what became of them: intake.OrderKinds
	Parked  map[string]int64 // by reason
	Settle  int64            // orders that settle
	Waits   []Wait
	Slow    *Slow
	Clock   *time.Duration // of the shop's server, ahead of this host's
	ERPTime *time.Duration // of the ERP's server, the same
	Behind  *int64         // transactions that the shop's server has committed behind the newest record of its log
	ERPBack *int64         // bytes of write-ahead log that the ERP's server has written behind what its reader has confirmed
	Unread  *time.Duration // until the shop's server purges what is not read yet; nil: it keeps all, or nobody knows
	Binlog  *time.Duration // for how long the shop's server keeps what is not read yet
	WAL     *int64         // bytes that the ERP's server writes until it gives the reader's slot up; nil: unknown or without bound
	Live    bool           // the shop is live, not only observed
	ERPRead *bool          // somebody reads the ERP's log; nil: not asked
	Open    Open           // what waits for a person
}

// Stream is how far an applier is in its log.
type Stream struct {
	Applier string
	Log     string // topic
	Group   string // of consumers, as lag tools know it
	Read    int64  // offset of the next record
	End     int64  // offset behind the newest
	Age     time.Duration
	Paused  bool
	Moved   time.Time
	Still   time.Duration // for how long it has not moved
}

// Wait is how much waits on the way back for one reason.
type Wait struct {
	Applier, Why string
	Count        int64
}

// Slow is what is looked at less often, because it takes seconds in a large shop.
type Slow struct {
	Stock stock.Accounts
	Mails map[string]int64 // by state; those that were sent, or that a person has given up, are not counted
	Sent  int64            // mails to customers, ever
}

// Look asks shop, ERP and Kafka. slow: for what takes seconds in a large shop too.
func (p Pipeline) Look(ctx context.Context, slow bool) *Picture {
	pic := &Picture{At: time.Now(), Errors: map[string]error{PartShop: nil, PartERP: nil, PartKafka: nil}, Orders: map[string]int64{}, Parked: map[string]int64{}}
	if p.links == nil {
		p.links = &links{of: p, name: "spola look"}
		defer p.links.close(ctx)
	}
	within := partWithin
	if slow {
		within = slowWithin
	}
	ask := func(part string, look func(context.Context) error) {
		asking, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		pic.Errors[part] = look(asking)
	}
	ask(PartShop, func(ctx context.Context) error { return p.lookAtShop(ctx, pic) })
	ask(PartERP, func(ctx context.Context) error { return p.lookAtERP(ctx, pic, slow) })
	if pic.Errors[PartERP] == nil {
		ask(PartKafka, func(ctx context.Context) error { return p.lookAtKafka(ctx, pic) })
	}
	return pic
}

// For how long a part is asked: one that hangs must not keep what the others say from being told.
const (
	pingWithin = 3 * time.Second
	partWithin = 15 * time.Second
	slowWithin = 30 * time.Second
)

func (p Pipeline) lookAtShop(ctx context.Context, pic *Picture) error {
	db, err := p.links.toShop()
	if err != nil {
		return err
	}
	if pic.Clock, err = clock(ctx, db); err != nil {
		return err
	}
	kept, err := mysql.BinlogKept(ctx, db)
	if kept > 0 {
		pic.Binlog = &kept
	}
	return err
}

// clock measures how far the server's clock is ahead of ours, by the middle of question and answer.
func clock(ctx context.Context, db *sql.DB) (*time.Duration, error) {
	pinging, cancel := context.WithTimeout(ctx, pingWithin)
	defer cancel()
	if err := db.PingContext(pinging); err != nil { // the connection is no part of the measure
		return nil, fmt.Errorf("ask the shop's server: %w", err)
	}
	began := time.Now()
	var micros int64
	if err := db.QueryRowContext(ctx, "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)").Scan(&micros); err != nil {
		return nil, fmt.Errorf("ask the shop's server for its clock: %w", err)
	}
	took := time.Since(began)
	ahead := time.UnixMicro(micros).Sub(began.Add(took / 2))
	return &ahead, nil
}

// erpClock measures the same of the ERP's server.
func erpClock(ctx context.Context, conn *pgx.Conn) (*time.Duration, error) {
	began := time.Now()
	var now time.Time
	if err := conn.QueryRow(ctx, "select clock_timestamp()").Scan(&now); err != nil {
		return nil, fmt.Errorf("ask the ERP's server for its clock: %w", err)
	}
	ahead := now.Sub(began.Add(time.Since(began) / 2))
	return &ahead, nil
}

func (p Pipeline) lookAtERP(ctx context.Context, pic *Picture, slow bool) error {
	conn, err := p.links.toERP(ctx)
	if err != nil {
		return err
	}
	if pic.ERPTime, err = erpClock(ctx, conn); err != nil {
		return err
	}
	o, err := intake.Look(ctx, conn, p.Shop)
	if err != nil {
		return err
	}
	pic.Live, pic.Settle = o.Mode == "live", o.Waiting
	for kind, n := range o.Orders {
		pic.Orders[kind] = n.Count
	}
	for _, r := range o.Parked {
		pic.Parked[r.Reason] = r.Count
	}
	rows, err := conn.Query(ctx, query("places"), p.Shop)
	if err != nil {
		return fmt.Errorf("read the appliers' places: %w", err)
	}
	var s Stream
	if _, err = pgx.ForEachRow(rows, []any{&s.Applier, &s.Read, &s.Moved, &s.Paused}, func() error {
		p.add(pic, s)
		return nil
	}); err != nil {
		return fmt.Errorf("read the appliers' places: %w", err)
	}
	ways, err := writeback.Standings(ctx, conn, p.Shop)
	if err != nil {
		return err
	}
	for _, w := range ways {
		p.add(pic, Stream{Applier: w.Stream, Read: w.Offset + 1, Moved: w.Moved, Paused: w.Paused != nil})
		for _, wait := range w.Waits {
			pic.Waits = append(pic.Waits, Wait{w.Stream, wait.Why, wait.Count})
		}
	}
	if pic.Open, err = p.lookForPeople(ctx, conn); err != nil {
		return err
	}
	if p.Slot != "" {
		var read bool
		if err := conn.QueryRow(ctx, query("reader"), p.Slot).Scan(&read); err != nil {
			return fmt.Errorf("ask who reads the ERP's log: %w", err)
		}
		pic.ERPRead = &read
	}
	if p.ERPSource != nil {
		kept, err := postgres.WALKept(ctx, *p.ERPSource)
		if err != nil {
			return err
		}
		if kept.Bytes >= 0 {
			pic.WAL = &kept.Bytes
		}
		if kept.Unread >= 0 {
			pic.ERPBack = &kept.Unread
		}
	}
	if slow {
		pic.Slow, err = p.lookSlowly(ctx, conn)
	}
	return err
}

// add takes an applier whose log is read here; intake's is the shop's, the others follow the ERP's.
func (p Pipeline) add(pic *Picture, s Stream) {
	s.Group, s.Still = p.Group(s.Applier), time.Since(s.Moved)
	switch {
	case s.Applier == intakeApplier:
		s.Log = p.ShopLog.Topic
	case p.ERPLog != nil:
		s.Log = p.ERPLog.Topic
	default:
		return
	}
	pic.Streams = append(pic.Streams, s)
}

func (p Pipeline) lookSlowly(ctx context.Context, conn *pgx.Conn) (*Slow, error) {
	accounts, err := stock.Look(ctx, conn, p.Shop, intake.Schema(p.Shop))
	if err != nil {
		return nil, err
	}
	slow := &Slow{Stock: accounts, Mails: map[string]int64{}}
	rows, err := conn.Query(ctx, query("mails"), p.Shop)
	if err != nil {
		return nil, fmt.Errorf("read the mails: %w", err)
	}
	var state string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error {
		slow.Mails[state] = n
		return nil
	})
	slow.Sent = slow.Mails["sent"]
	delete(slow.Mails, "sent")
	return slow, err
}

func (p Pipeline) lookAtKafka(ctx context.Context, pic *Picture) error {
	meters := p.meters
	if meters == nil {
		meters = map[string]*stream.Meter{}
		defer closeAll(meters)
	}
	for i := range pic.Streams {
		s := &pic.Streams[i]
		log := p.ShopLog
		if s.Log != log.Topic {
			log = *p.ERPLog
		}
		if meters[s.Log] == nil {
			meters[s.Log] = stream.NewMeter(log)
		}
		lag, err := meters[s.Log].Lag(ctx, s.Read-1)
		if err != nil {
			return err
		}
		clock := pic.Clock // a log's records bear its source's clock
		if s.Log != p.ShopLog.Topic {
			clock = pic.ERPTime
		}
		s.End, s.Age = s.Read+lag.Events, age(lag, pic.At, clock)
	}
	return p.lookAtReader(ctx, pic)
}

// age is how old what is not applied was at a time by this host's clock, which that of its source is ahead of; nil: nobody knows by how much.
func age(lag stream.Lag, at time.Time, ahead *time.Duration) time.Duration {
	if ahead != nil {
		at = at.Add(*ahead)
	}
	return lag.Age(at)
}

// lookAtReader tells how far the reader of the shop's log is behind, and when the shop's server purges what it has not read; nothing where
// the shop did not answer.
func (p Pipeline) lookAtReader(ctx context.Context, pic *Picture) error {
	if pic.Clock == nil {
		return nil
	}
	newest, err := stream.Newest(ctx, p.ShopLog)
	if err != nil || newest == nil {
		return err
	}
	if pic.Binlog != nil {
		// As long after the newest record of the log as it keeps its binary log. A reader that runs writes a record a minute at least.
		left := *pic.Binlog - time.Since(time.UnixMilli(newest.Time)) - *pic.Clock
		pic.Unread = &left
	}
	origin, err := change.ParseOrigin(newest.Origin)
	if err != nil || origin.Tx.IsZero() {
		return err
	}
	db, err := p.links.toShop()
	if err == nil {
		var behind int64
		if behind, err = mysql.Unread(ctx, db, origin.Tx); err == nil {
			pic.Behind = &behind
		}
	}
	pic.Errors[PartShop] = err
	return nil
}

// query is a named statement.
func query(name string) string {
	_, rest, _ := strings.Cut(queries, "-- name: "+name+"\n")
	statement, _, _ := strings.Cut(rest, "\n-- name: ")
	return statement
}
