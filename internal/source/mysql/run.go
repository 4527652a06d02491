package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/change"
)

// Tail is the end of the log as its new owner found it.
type Tail struct {
	Empty       bool                // no record stands in the log, or none by which the reader's state can be told
	Generation  int64               // of the claim that Run writes
	Predecessor *change.Predecessor // what the claim names if it begins a generation

	// Each calls fold with the records from the last claim or heartbeat on, in order. It is not
	// called if the log is empty.
	Each func(ctx context.Context, fold func([]change.Record) error) error
}

// Run reads the shop into the log until the context ends or a person must act. It goes on from
// the state that the tail of the log tells; on an empty log it begins with a full snapshot.
//
// Errors are a StopError (a person must act), those of the log, or the context's. What the
// network and the server do is retried within.
func Run(ctx context.Context, cfg Config, tail *Tail, log Log) error {
	if err := cfg.check(); err != nil {
		return err
	}
	db, err := cfg.open()
	if err != nil {
		return err
	}
	defer db.Close()
	state, err := ReadState(ctx, tail)
	if err == nil {
		err = cfg.Owns(state)
	}
	if err != nil {
		return err
	}
	r := newReader(&cfg, log)
	if err := retry(ctx, r.log, "begin", func() error { return r.prepareServer(ctx, db) }); err != nil {
		return err
	}
	if err := retry(ctx, r.log, "begin", func() error { return r.begin(ctx, db, state, tail) }); err != nil {
		return err
	}
	if err := r.claim(ctx, tail); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return runTicks(ctx, db, r.activity) })
	group.Go(func() error {
		c := &chunker{db: db, rows: cfg.chunkRows(), bound: max(maxChunkRows, cfg.chunkRows())}
		if cfg.ChunkRows > 0 {
			c.bound = cfg.ChunkRows
		}
		return c.run(ctx, r.snapshots.tasks)
	})
	group.Go(func() error {
		return retry(ctx, r.log, "read the binary log", func() error { return r.session(ctx, db) })
	})
	return group.Wait()
}

func (c *Config) chunkRows() int {
	if c.ChunkRows > 0 {
		return c.ChunkRows
	}
	return defaultChunkRows
}

func newReader(cfg *Config, log Log) *reader {
	r := &reader{
		cfg: cfg, log: cfg.Log, tables: map[string]*table{}, known: map[string]*layout{},
		snapshots: newSnapshots(), activity: &activity{}, stateAt: time.Now(),
	}
	r.out.log = log
	r.activity.seen() // what came just before a restart settles by ticks too
	for _, c := range cfg.captures() {
		t := &table{capture: c}
		if c.Only != nil {
			t.allowed = map[string]bool{}
			for _, value := range c.Only.Values {
				t.allowed[string(appendQuoted(nil, []byte(value)))] = true
				t.allowed[value] = true // of a number
			}
		}
		r.tables[c.Name] = t
	}
	return r
}

// ReadState tells how far the source was read, as the tail of its log says it; nil if the log is
// empty.
func ReadState(ctx context.Context, tail *Tail) (*State, error) {
	if tail.Empty {
		return nil, nil
	}
	state := &State{}
	err := tail.Each(ctx, func(records []change.Record) error {
		for i := range records {
			if err := state.fold(&records[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the tail of the log: %w", err)
	}
	return state, nil
}

// retry repeats what the network or the server may have spoilt. It begins with short pauses
// again whenever a try has gone on for a while.
func retry(ctx context.Context, log zerolog.Logger, what string, do func() error) error {
	pause := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0), backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second))
	try := func() error {
		begun := time.Now()
		err := do()
		if err == nil {
			return nil
		}
		var stop *StopError
		var logged *logError
		if errors.As(err, &stop) || errors.As(err, &logged) {
			return backoff.Permanent(err)
		}
		if ctx.Err() != nil {
			return backoff.Permanent(ctx.Err()) // whatever a driver calls a connection that was cut for it
		}
		if isRefused(err) || mysqlCode(err) == 1045 || mysqlCode(err) == 1227 {
			return backoff.Permanent(refusal("", err))
		}
		if time.Since(begun) > 30*time.Second || errors.Is(err, errRefused) {
			pause.Reset() // a dead connection of one's own is soon forgotten
		}
		return err
	}
	note := func(err error, wait time.Duration) {
		log.Warn().Err(err).Dur("wait", wait).Msg("shop: " + what + ": trying again")
	}
	return backoff.RetryNotify(try, backoff.WithContext(pause, ctx), note)
}

// mysqlCode is the server's error number in an error of the replication client, 0 if none.
func mysqlCode(err error) uint16 {
	var e *mysql.MyError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// prepareServer learns what server this is, refuses one that can't be read, and makes the marker.
func (r *reader) prepareServer(ctx context.Context, db *sql.DB) error {
	f, err := readFacts(ctx, db)
	if err != nil {
		return err
	}
	r.flavor = f.flavor
	s, err := r.cfg.address()
	if err != nil {
		return err
	}
	r.database = s.database
	if r.charsets, err = readCharsets(ctx, db, f.flavor); err != nil {
		return err
	}
	if err := ensureMarker(ctx, db); err != nil {
		return err
	}
	findings, err := Preflight(ctx, *r.cfg)
	if err != nil {
		return err
	}
	for _, found := range findings {
		if found.Severity == Blocking {
			return &StopError{Kind: ErrPreflight, Table: found.Table, What: found.What, Mend: found.Mend}
		}
		r.log.Warn().Str("table", found.Table).Str("mend", found.Mend).Msg("preflight: " + found.What)
	}
	return nil
}

// begin decides where to go on: where the log ends, or at the server's present with a snapshot.
func (r *reader) begin(ctx context.Context, db *sql.DB, state *State, tail *Tail) error {
	f, err := readFacts(ctx, db)
	if err != nil {
		return err
	}
	now, err := parseExecuted(f.flavor, f.executed)
	if err != nil {
		return err
	}
	r.state = &State{Tables: map[string]TableState{}}
	if state != nil {
		copied := *state
		copied.Tables = map[string]TableState{}
		for name, t := range state.Tables {
			copied.Tables[name] = t
		}
		r.state = &copied
	}
	at, err := r.cfg.address()
	if err != nil {
		return err
	}
	r.state.Database = at.database
	if state == nil || r.cfg.NewIncarnation {
		r.state.Requests = 0
		r.state.at = change.Position{Incarnation: r.state.at.Incarnation + 1, Before: now.String()}
		r.state.Time, r.state.Anchor = 0, ""
	}
	if state == nil && tail.Generation > 1 {
		if err := r.adopt(tail.Predecessor); err != nil {
			return err
		}
		// The versions of a log that is gone are not known: these are above any that it can have reached.
		r.state.Version = int(tail.Generation) * 1_000_000
	}
	if state == nil || r.cfg.NewIncarnation || tail.Predecessor != nil {
		// A new generation must be readable from its first record on.
		r.state.Tables = map[string]TableState{}
		r.state.Snapshot.Queue = nil
	}
	if err := r.bound(ctx, db, state == nil); err != nil {
		return err
	}
	r.state.drop(func(name string) bool { return r.tables[name] != nil })
	if r.cfg.NewIncarnation || tail.Generation > 1 && (state == nil || tail.Predecessor != nil) {
		// What was delivered to the shop may be another than the log has told so far: less in a restored shop, more behind a gap.
		r.state.enqueue(KeyRange{Table: Marker}, "not read yet in this generation")
	}
	return r.enqueueMissing(ctx, db)
}

// adopt goes on where a log ends that was moved. Of one that was lost nothing is known, but that
// there was a life of the source before a new incarnation.
func (r *reader) adopt(p *change.Predecessor) error {
	before := change.Position{Incarnation: 1}
	if p != nil {
		origin, err := change.ParseOrigin(p.Origin)
		if err != nil {
			return r.stop(ErrAnchor, "", fmt.Sprintf("the log before ends with %d/%d: %v", p.Gen, p.Seq, err), beginAnew)
		}
		before = origin.Tx
	}
	switch {
	case r.cfg.NewIncarnation:
		r.state.at.Incarnation = before.Incarnation + 1
	case p != nil && !before.IsZero():
		r.state.at = before
	}
	return nil
}

// enqueueMissing asks for a snapshot of the tables that have none, or whose shape is another
// one than was announced: the configuration or the shop has changed.
func (r *reader) enqueueMissing(ctx context.Context, db *sql.DB) error {
	for i := range r.cfg.Tables {
		c := &r.cfg.Tables[i]
		shape, err := readShape(ctx, db, c)
		if err != nil {
			return err
		}
		if r.state.Tables[c.Name].Hash != hashShape(shape) {
			r.state.enqueue(KeyRange{Table: c.Name}, "not read yet in this shape")
			continue
		}
		shape.Version = r.state.Tables[c.Name].Version
		r.tables[c.Name].shape = shape
	}
	return nil
}

// claim writes the claim, the first record of an owner.
func (r *reader) claim(ctx context.Context, tail *Tail) error {
	state, err := r.state.encode()
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	at := r.state.at
	message := change.ClaimMessage{
		Kind: change.Claim, Generation: tail.Generation, Incarnation: at.Incarnation,
		Owner: r.cfg.Owner, Predecessor: tail.Predecessor, State: state,
	}
	// Within a transaction that goes on behind it, the claim is no border.
	last := at.GTID == "" || at.End
	record := change.Record{Op: change.Claim, Time: time.Now().UnixMilli(), Last: last}
	if err := r.own(record, at, r.state.Anchor, message); err != nil {
		return err
	}
	r.sinceState, r.stateAt = 0, time.Now()
	return r.out.flush(ctx)
}

// session reads the binary log over one connection, from where the log ends.
func (r *reader) session(ctx context.Context, db *sql.DB) error {
	if err := r.connected(); err != nil {
		return err
	}
	if err := r.checkServer(ctx, db); err != nil {
		return err
	}
	events := newQueue()
	syncer, err := r.syncer(events)
	if err != nil {
		return err
	}
	defer syncer.Close()
	defer events.close()
	streamer, err := r.startSync(syncer)
	if err != nil {
		return r.explain(err)
	}
	failed := make(chan error, 1)
	watch, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	defer func() { <-done }()
	defer cancel()
	go func() {
		defer close(done)
		_, err := streamer.GetEvent(watch)
		failed <- err
	}()
	r.log.Info().Str("server", string(r.flavor)).Str("position", r.state.at.String()).Msg("reading the shop's binary log")
	return r.explain(r.consume(ctx, &incoming{queue: events, failed: failed}))
}

// consume decodes events as they come and hands records to the log whenever nothing waits. What is read of a
// transaction waits for its end, which is on its way: sent in two, its end would wait for the first half's
// acknowledgement, and nobody can do anything with half of it.
func (r *reader) consume(ctx context.Context, in *incoming) error {
	alarm := time.NewTicker(time.Minute)
	defer alarm.Stop()
	for {
		r.snapshots.next(r.state, r.tables)
		if err := in.fill(ctx, alarm.C); err != nil {
			return r.flushBefore(ctx, err)
		}
		for e := in.next(); e != nil; e = in.next() {
			if err := r.handle(ctx, e, in); err != nil {
				return r.flushBefore(ctx, err)
			}
			if err := r.flushFull(ctx); err != nil {
				return err
			}
		}
		if r.tx.open {
			continue
		}
		if err := r.beat(false); err != nil {
			return err
		}
		if err := r.out.flush(ctx); err != nil {
			return err
		}
	}
}

// flushBefore hands over what was read before an error: it is sound, and stands in the log before the error is told.
func (r *reader) flushBefore(ctx context.Context, err error) error {
	if flushed := r.out.flush(ctx); flushed != nil {
		return flushed
	}
	return err
}

// syncer is the replication client. It parses nothing but the headers of events: rows are
// decoded from the bytes, and compressed transactions are not unpacked in one piece.
func (r *reader) syncer(events *queue) (*replication.BinlogSyncer, error) {
	s, err := r.cfg.address()
	if err != nil {
		return nil, err
	}
	return replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: r.cfg.serverID(), Flavor: string(r.flavor),
		Host: s.host, Port: s.port, User: s.user, Password: s.password, TLSConfig: s.tls,
		RawModeEnabled: true, VerifyChecksum: true, DisableRetrySync: true, DiscardGTIDSet: true,
		HeartbeatPeriod: heartbeatEvery, Dialer: r.cfg.dialQuick,
		Logger:                  slog.New(slog.DiscardHandler), // its errors come back, with more
		SynchronousEventHandler: events,
		Option:                  inPieces,
	}), nil
}

// heartbeatEvery is how often the server sends something at least.
const heartbeatEvery = time.Second

// dialQuick connects with a deadline for each read from the network. The client's own read
// timeout sets one for each packet, which costs more than decoding it.
func (c *Config) dialQuick(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return timedConn{conn, c.deadAfter()}, nil
}

type timedConn struct {
	net.Conn
	dead time.Duration
}

func (c timedConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.dead)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (r *reader) startSync(syncer *replication.BinlogSyncer) (*replication.BinlogStreamer, error) {
	set, err := mysql.ParseGTIDSet(string(r.flavor), r.state.at.Before)
	if err != nil {
		return nil, fmt.Errorf("position %q: %w", r.state.at.Before, err)
	}
	return syncer.StartSyncGTID(set)
}

// checkServer finds a server that does not have the last transaction of the log, or no longer
// has its binary log, before the stream waits for something that never comes.
func (r *reader) checkServer(ctx context.Context, db *sql.DB) error {
	f, err := readFacts(ctx, db)
	if err != nil {
		return err
	}
	if f.flavor != r.flavor {
		return r.stop(ErrAnchor, "", fmt.Sprintf("the log was read from %s, the server is %s", r.flavor, f.version), beginAnew)
	}
	at := r.state.at
	if at.GTID == "" {
		return nil
	}
	now, err := parseExecuted(f.flavor, f.executed)
	if err != nil {
		return err
	}
	if !now.has(at.GTID) {
		has := now.String()
		if has == "" {
			has = "none"
		}
		return r.stop(ErrAnchor, "", fmt.Sprintf("the log ends with transaction %s, which the server does not have; it has %s", at.GTID, has), beginAnew)
	}
	purged, err := parseExecuted(f.flavor, f.purged)
	if err != nil {
		return err
	}
	if f.flavor == mysqlFlavor && purged.has(at.GTID) {
		return r.stop(ErrPurged, "", fmt.Sprintf("the log ends with transaction %s, the server has purged %s", at.GTID, purged), lostCount+keepLonger)
	}
	return nil
}

// lostCount is a way in which MySQL comes to believe so: killed while it starts, behind the making of a binary log and
// before the writing of its first event. Met under kill -9.
const lostCount = "if SHOW BINARY LOGS still lists the older files, the server was killed while it started and has lost count: " +
	"start it with binlog_gtid_simple_recovery=OFF, and cdc again; else "

const keepLonger = "keep binary logs longer (binlog_expire_logs_seconds) than cdc may be down; " + beginAnew

// explain turns the server's answer to a replica into what a person can act on.
func (r *reader) explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if strings.Contains(text, "same server_uuid/server_id") {
		return r.collided(text)
	}
	if mysqlCode(err) != 1236 {
		return err
	}
	switch {
	case strings.Contains(text, "purged"), strings.Contains(text, "could not find next log"), strings.Contains(text, "Could not open log file"):
		return r.stop(ErrPurged, "", text, keepLonger)
	case strings.Contains(text, "GTID"):
		return r.stop(ErrAnchor, "", text, beginAnew)
	}
	return r.stop(ErrEvent, "", text, "the server can't read its own binary log there; "+beginAnew)
}

// A connection of one's own that has just died is listed until the server writes to it again.
// A replica that is refused for longer than collisionAfter has a living namesake.
const (
	collisionAfter = 15 * time.Second
)

func (r *reader) collided(text string) error {
	now := time.Now()
	if now.Sub(r.refusedLast) > 10*time.Second {
		r.refusedFirst = now
	}
	r.refusedLast = now
	patience := collisionAfter
	if r.cfg.patience > 0 {
		patience = r.cfg.patience
	}
	if now.Sub(r.refusedFirst) < patience {
		return errRefused
	}
	return r.stop(ErrCollision, "", text, "give this source another server_id in the configuration (it has "+strconv.FormatUint(uint64(r.cfg.serverID()), 10)+")")
}

// errRefused says that another replica has this one's server id, for now.
var errRefused = errors.New("the server knows another connection with this reader's server id")
