package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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

// Run reads the ERP into the log until the context ends or a person must act. It goes on from
// the state that the tail of the log tells; on an empty log it begins with a full snapshot.
//
// Errors are a StopError (a person must act), those of the log, or the context's. What the
// network and the server do is retried within.
func Run(ctx context.Context, cfg Config, tail *Tail, log Log) error {
	if err := cfg.check(); err != nil {
		return err
	}
	state, err := ReadState(ctx, tail)
	if err != nil {
		return err
	}
	r := newReader(&cfg, log)
	if err := retry(ctx, r.log, "begin", func() error { return r.prepareServer(ctx) }); err != nil {
		return err
	}
	if err := retry(ctx, r.log, "begin", func() error { return r.begin(ctx, state, tail) }); err != nil {
		return err
	}
	if err := r.claim(ctx, tail); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		c := &chunker{cfg: &cfg, rows: cfg.chunkRows(), bound: max(maxChunkRows, cfg.chunkRows())}
		if cfg.ChunkRows > 0 {
			c.bound = cfg.ChunkRows
		}
		return c.run(ctx, r.snapshots.tasks)
	})
	group.Go(func() error {
		return retry(ctx, r.log, "read the write-ahead log", func() error { return r.session(ctx) })
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
	r := &reader{cfg: cfg, log: cfg.Log, tables: map[string]*table{}, snapshots: newSnapshots(), stateAt: time.Now()}
	r.out.log = log
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
		if isRefused(err) {
			return backoff.Permanent(refusal("", err))
		}
		if time.Since(begun) > 30*time.Second || errors.Is(err, errBusy) {
			pause.Reset() // a dead connection of one's own is soon forgotten
		}
		return err
	}
	note := func(err error, wait time.Duration) {
		log.Warn().Err(err).Dur("wait", wait).Msg("ERP: " + what + ": trying again")
	}
	return backoff.RetryNotify(try, backoff.WithContext(pause, ctx), note)
}

// prepareServer refuses a server that can't be read, and learns what its tables are.
func (r *reader) prepareServer(ctx context.Context) error {
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
	conn, err := r.cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	r.database = conn.Config().Database
	if r.types, err = readTypes(ctx, conn); err != nil {
		return err
	}
	for _, c := range r.cfg.Tables {
		stored, err := readTable(ctx, conn, r.cfg.Publication, c.Name)
		if err != nil {
			return err
		}
		if stored.there {
			r.tables[c.Name] = &table{capture: c, key: stored.key, member: stored.member}
		}
	}
	return nil
}

// begin decides where to go on: where the log ends, or at the server's present with a snapshot.
func (r *reader) begin(ctx context.Context, state *State, tail *Tail) error {
	conn, err := r.cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	r.state = &State{Tables: map[string]TableState{}}
	if state != nil {
		copied := *state
		copied.Tables = map[string]TableState{}
		for name, t := range state.Tables {
			copied.Tables[name] = t
		}
		r.state = &copied
	}
	if state == nil || r.cfg.NewIncarnation {
		r.unread(r.state.at.Incarnation + 1)
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
		// It has a full snapshot anyway: where the slot can't go on from the end of the old one,
		// that is all that is needed.
		if err := r.abandon(ctx, conn); err != nil {
			return err
		}
	}
	r.state.drop(func(name string) bool { return r.tables[name] != nil })
	if r.recorded, err = commitOf(r.state.at); err != nil {
		return err
	}
	return r.enqueueMissing(ctx, conn)
}

// unread says that nothing was read of the incarnation.
func (r *reader) unread(incarnation int64) {
	r.state.at = change.Position{Incarnation: incarnation}
	r.state.Time, r.state.Anchor = 0, ""
}

// abandon gives up a position that the slot does not have any more.
func (r *reader) abandon(ctx context.Context, conn *pgx.Conn) error {
	if r.state.at.GTID == "" {
		return nil
	}
	s, err := readSlot(ctx, conn, r.cfg.Slot)
	if err != nil {
		return err
	}
	var stop *StopError
	if err := r.checkSlot(s, r.state.at); errors.As(err, &stop) {
		r.log.Warn().Msg(stop.What + ": the new generation begins at the server's present")
		r.unread(r.state.at.Incarnation)
	} else if err != nil {
		return err
	}
	return nil
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

// enqueueMissing asks for a snapshot of the tables that have none, whose shape is another one
// than was announced, or that had left the publication meanwhile.
func (r *reader) enqueueMissing(ctx context.Context, conn *pgx.Conn) error {
	for i := range r.cfg.Tables {
		t := r.tables[r.cfg.Tables[i].Name]
		if t == nil {
			continue
		}
		name := t.capture.Name
		stored, err := readTable(ctx, conn, r.cfg.Publication, name)
		if err != nil {
			return err
		}
		shape, _, err := stored.shape(name, r.types)
		if err != nil {
			return r.stop(ErrShape, name, err.Error(), "mend the table as `cdc preflight erp` says")
		}
		have := r.state.Tables[name]
		switch {
		case have.Hash != hashShape(shape):
			r.state.enqueue(KeyRange{Table: name}, "not read yet in this shape")
		case have.Member != t.member:
			r.state.enqueue(KeyRange{Table: name}, "it was not published all the time")
		}
		if have.Hash == hashShape(shape) {
			shape.Version = have.Version
			t.shape = shape
		}
		have.Member = t.member
		r.state.Tables[name] = have
	}
	return nil
}

// claim writes the claim, the first record of an owner, and waits until it stands: the slot is
// touched by the log's owner only.
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
	last := border(at)
	record := change.Record{Op: change.Claim, Time: time.Now().UnixMilli(), Last: last}
	if err := r.own(record, at, r.state.Anchor, message); err != nil {
		return err
	}
	r.sinceState, r.stateAt = 0, time.Now()
	if err := r.out.flush(ctx); err != nil {
		return err
	}
	return r.settled(ctx)
}

// border tells whether a record that repeats the position stands between transactions: within one
// that goes on behind it, it is no border.
func border(at change.Position) bool { return at.GTID == "" || at.End || at.Row == 0 }

// session reads the write-ahead log over one connection, from where the log ends.
func (r *reader) session(ctx context.Context) error {
	r.connected()
	plain, err := r.cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer plain.Close(context.WithoutCancel(ctx))
	conn, err := r.cfg.connectReplication(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // what was acknowledged stands in the log; the slot is told again
	if r.sessions++; r.sessions > 1 {
		// Whoever was thrown off the slot by a newer owner must not take it back.
		if err := r.ownsLog(ctx); err != nil {
			return err
		}
	}
	if r.types, err = readTypes(ctx, plain); err != nil {
		return err
	}
	if err := r.findPlace(ctx, plain, conn); err != nil {
		return err
	}
	from, err := commitOf(r.state.at)
	if err != nil {
		return err
	}
	err = pglogrepl.StartReplication(ctx, conn, r.cfg.Slot, from, pglogrepl.StartReplicationOptions{PluginArgs: []string{
		"proto_version '1'", "messages 'true'", "publication_names " + quoteText(quoteName(r.cfg.Publication)),
	}})
	if err != nil {
		return r.explain(err)
	}
	r.log.Info().Str("position", r.state.at.String()).Str("slot", r.cfg.Slot).Msg("reading the ERP's write-ahead log")
	return r.read(ctx, newReceiver(conn, r.cfg.deadAfter(), from))
}

// read decodes until the connection fails. The goroutines that it starts end with it; what they
// were about to hand to the log is handed over, for half of it may stand there already.
func (r *reader) read(parent context.Context, in *receiver) error {
	group, ctx := errgroup.WithContext(parent)
	advance := make(chan struct{}, 1)
	group.Go(func() error { return r.explain(in.run(ctx)) })
	group.Go(func() error { return r.runTicks(ctx, advance) })
	group.Go(func() error { return r.watchPublication(ctx, in.urged) })
	group.Go(func() error { return r.consume(ctx, parent, in, advance) })
	return group.Wait()
}

// consume decodes messages as they come until ctx ends, and hands records to the log whenever
// nothing waits. What is read of a transaction waits for its end, which is on its way.
func (r *reader) consume(ctx, parent context.Context, in *receiver, advance chan<- struct{}) error {
	alarm := time.NewTicker(200 * time.Millisecond)
	defer alarm.Stop()
	var marks confirmations
	for {
		if r.state.at.GTID != "" {
			r.snapshots.next(r.state, r.tables)
		}
		if len(in.messages) == 0 && !r.tx.open || r.out.full() {
			if err := r.handOver(parent, &marks); err != nil {
				return err
			}
			r.confirm(&marks, in)
		}
		select {
		case data := <-in.messages:
			err := r.handle(data)
			in.taken(data)
			if err != nil {
				// What was read before it is sound, and stands in the log before the error is told.
				return errors.Join(r.out.flush(parent), err)
			}
		case <-alarm.C:
			if end := pglogrepl.LSN(in.end.Load()); end > r.recorded+pglogrepl.LSN(r.cfg.advanceAfter()) && !r.tx.open {
				signal(advance)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// handOver hands to the log what is ready.
func (r *reader) handOver(ctx context.Context, marks *confirmations) error {
	if !r.tx.open {
		if err := r.beat(false); err != nil {
			return err
		}
	}
	if r.out.ready() == 0 {
		return nil
	}
	if err := r.out.flush(ctx); err != nil {
		return err
	}
	if r.recorded > 0 {
		marks.add(r.out.log.Appended(), r.recorded)
	}
	return nil
}

// confirm lets the server go of what the log has acknowledged.
func (r *reader) confirm(marks *confirmations, in *receiver) {
	acked, _ := r.out.log.Acked()
	if lsn := marks.upTo(acked); lsn > 0 {
		in.confirmed.Store(uint64(lsn))
	}
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// runTicks writes a message when the connection begins, so that the first transaction comes at
// once and is compared, and whenever much was written that the stream does not name.
func (r *reader) runTicks(ctx context.Context, advance <-chan struct{}) error {
	for {
		if err := r.tick(ctx); err != nil {
			return err
		}
		select {
		case <-time.After(time.Second): // a tick takes a moment to come back
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-advance:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *reader) tick(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.deadAfter())
	defer cancel()
	conn, err := r.cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return emit(ctx, conn, message{Kind: tickMessage, Slot: r.cfg.Slot})
}

// watchEvery is how often the publication is looked at.
const watchEvery = 30 * time.Second

// watchPublication stops the stream when a table has left the publication, or is another one:
// its changes would not come, and nothing would tell. It looks too when the server urges: who is told each second where we are has no
// reason but its end, for which it waits until we have confirmed what holds no transaction. The connection that it refuses then ends ours.
func (r *reader) watchPublication(ctx context.Context, urged <-chan struct{}) error {
	every := watchEvery
	if r.cfg.watch > 0 {
		every = r.cfg.watch
	}
	for {
		select {
		case <-time.After(every):
		case <-urged:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.comparePublication(ctx); err != nil {
			return err
		}
	}
}

func (r *reader) comparePublication(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.deadAfter())
	defer cancel()
	conn, err := r.cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for name, t := range r.tables {
		stored, err := readTable(ctx, conn, r.cfg.Publication, name)
		if err != nil {
			return err
		}
		if stored.member != t.member {
			return &StopError{Kind: ErrShape, Table: name, What: "it has left publication " + r.cfg.Publication + ", or was made anew",
				Mend: "run `cdc preflight erp`, which writes out what puts it back, and start again: the table is then read anew"}
		}
	}
	return nil
}

// findPlace looks whether the server can go on from where the log ends, before the stream waits
// for something that never comes; and makes the slot for a log of which nothing was read yet.
func (r *reader) findPlace(ctx context.Context, conn *pgx.Conn, replication *pgconn.PgConn) error {
	server, err := pglogrepl.IdentifySystem(ctx, replication)
	if err != nil {
		return fmt.Errorf("ask the ERP's server who it is: %w", err)
	}
	r.history = history{server.SystemID, server.Timeline}
	s, err := readSlot(ctx, conn, r.cfg.Slot)
	if err != nil {
		return err
	}
	at := r.state.at
	if at.GTID == "" {
		if err := r.freeSlot(ctx, conn, s); err != nil {
			return err
		}
		if err := r.makeSlot(ctx, conn, s); err != nil {
			return err
		}
		if s, err = readSlot(ctx, conn, r.cfg.Slot); err != nil {
			return err
		}
		if s == nil {
			return errBusy
		}
		r.done = s.confirmed
		return nil
	}
	was, done, err := parseBefore(at.Before)
	if err != nil {
		return err
	}
	if was != r.history {
		return r.stop(ErrAnchor, "", fmt.Sprintf("the log was read from system %s, the server is %s: it was restored, promoted or is another one", was, r.history), beginAnew)
	}
	if err := r.checkSlot(s, at); err != nil {
		return err
	}
	commit, err := commitOf(at)
	if err != nil {
		return err
	}
	if commit >= server.XLogPos {
		return r.stop(ErrAnchor, "", fmt.Sprintf("the log ends with the transaction of %s, the server's write-ahead log ends at %s: it was restored", commit, server.XLogPos), beginAnew)
	}
	r.done = done
	return r.freeSlot(ctx, conn, s)
}

// explain turns the server's answer to a reader into what a person can act on.
func (r *reader) explain(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case codeInUse:
		return errBusy
	case codeNoSuchFile, codeNotInState:
		return r.stop(ErrSlot, "", e.Message, "make max_slot_wal_keep_size larger than cdc may be away; "+beginAnew)
	case codeNoSuchObject:
		return r.stop(ErrSlot, "", e.Message+": it was dropped, or not there yet at that place of the write-ahead log", beginAnew)
	}
	return err
}

func quoteText(text string) string { return "'" + text + "'" }
