package mail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Sender gives what is due in a shop's outbox to the mail server, one mail at a time. Of any number of senders one works: who
// holds the lock.
//
// An attempt, in this order: the row becomes *sending*, committed; the server takes sender and recipient; the journal has it,
// acknowledged; the row is seen to be still this sender's; DATA. So whoever comes after a sender that has ended anywhere finds in row
// and journal whether the server may have the mail: without an entry it has not.
type Sender struct {
	Shop    string
	ERP     string // URL of the ERP's database
	Server  Server
	Letters *Letters
	Journal *stream.Journal
	Log     zerolog.Logger

	// Given is the last number of a document that the ERP has given out of each series (F2026 → 17). What customers have read of and the ERP has
	// not given out tells that its database was restored. nil: it does not tell.
	Given func(context.Context, pgx.Tx) (map[string]int64, error)

	Poll     time.Duration           // how often the outbox is looked at; default 500 ms
	Grace    time.Duration           // that the server gets to answer when the program is to end; default 10 s
	Again    func(int) time.Duration // the pause behind a mail's nth attempt; default 1 min, doubling, at most 1 h
	AfterOf  func(step string) error // called behind each step; for tests. nil: nothing
	next     time.Time               // when the rate lets the next mail go
	talk     *conversation           // nil: none
	troubled string                  // as told last
}

// giveUpAfter is how long a mail is tried.
const giveUpAfter = 4 * 24 * time.Hour

// again is the pause behind an attempt.
func again(attempts int) time.Duration {
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Minute), backoff.WithMultiplier(2), backoff.WithMaxInterval(time.Hour),
		backoff.WithMaxElapsedTime(0), backoff.WithRandomizationFactor(0.2))
	pause := b.NextBackOff()
	for range min(attempts, 10) - 1 {
		pause = b.NextBackOff()
	}
	return pause
}

// Run sends until ctx ends, over whatever clears by itself.
func (s *Sender) Run(ctx context.Context) error {
	if s.Poll == 0 {
		s.Poll = 500 * time.Millisecond
	}
	if s.Grace == 0 {
		s.Grace = 10 * time.Second
	}
	if s.Again == nil {
		s.Again = again
	}
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		err := s.connected(ctx, pause.Reset)
		if ctx.Err() != nil {
			break
		}
		if !postgres.Retryable(err) && !errors.Is(err, errLost) {
			return err
		}
		wait := pause.NextBackOff()
		s.Log.Warn().Err(err).Dur("wait", wait).Msg("mails: the ERP's database is away: trying again")
		sleep(ctx, wait)
	}
	return nil //nolint:nilerr // it was told to end
}

// errLost says that the connection that held the lock is gone.
var errLost = errors.New("the connection to the ERP's database was lost")

// connected sends over one connection to the ERP's database, which holds the lock.
func (s *Sender) connected(ctx context.Context, works func()) error {
	conn, err := postgres.Connect(ctx, s.ERP, "spola mail "+s.Shop)
	if err != nil {
		return err
	}
	defer func() { s.hangUp(); closeConn(conn) }()
	for locked := false; !locked; {
		if err := conn.QueryRow(ctx, statements["lock"], s.Shop).Scan(&locked); err != nil {
			return s.lost(conn, "take the sender's lock", err)
		}
		if !locked {
			sleep(ctx, time.Second)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if _, err := conn.Exec(ctx, statements["begin"], s.Shop); err != nil {
		return s.lost(conn, "begin", err)
	}
	if err := fold(ctx, conn, s.Journal, s.Shop, s.Given, s.Log); err != nil {
		return s.lost(conn, "read the journal of mails", err)
	}
	works()
	for ctx.Err() == nil {
		sent, err := s.one(ctx, conn)
		if err != nil {
			return s.lost(conn, "send what is due", err)
		}
		if !sent {
			s.hangUp()
			sleep(ctx, s.Poll)
		}
	}
	return ctx.Err()
}

func (s *Sender) lost(conn *pgx.Conn, what string, err error) error {
	if conn.IsClosed() && !errors.Is(err, postgres.ErrStopped) {
		return fmt.Errorf("%w: %s: %w", errLost, what, err)
	}
	return postgres.Explain(fmt.Errorf("mails: %s: %w", what, err))
}

// one sends the mail that is due longest. sent is false if there is none, or none can go now.
func (s *Sender) one(ctx context.Context, conn *pgx.Conn) (sent bool, err error) {
	if s.talk == nil { // nobody is called before there is something to say
		var due bool
		if err := conn.QueryRow(ctx, statements["waits"], s.Shop).Scan(&due); err != nil || !due {
			return false, err
		}
	}
	if !s.rate(ctx) || !s.call(ctx, conn) {
		return false, nil
	}
	row, err := scanRow(conn.QueryRow(ctx, statements["claim"], s.Shop))
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := s.step("claimed"); err != nil {
		return false, err
	}
	return true, s.attempt(ctx, conn, row)
}

func (s *Sender) step(name string) error {
	if s.AfterOf == nil {
		return nil
	}
	return s.AfterOf(name)
}

// rate waits until the server may be given one more.
func (s *Sender) rate(ctx context.Context) bool {
	if s.Server.PerMinute == 0 {
		return true
	}
	if wait := time.Until(s.next); wait > 0 {
		sleep(ctx, wait)
	}
	s.next = time.Now().Add(time.Minute / time.Duration(s.Server.PerMinute))
	return ctx.Err() == nil
}

// call makes sure that there is a conversation with the server. One that is away or refuses us is no mail's fault: nothing is
// attempted meanwhile, and the outbox says why.
func (s *Sender) call(ctx context.Context, conn *pgx.Conn) bool {
	if s.talk != nil {
		return true
	}
	talk, err := s.dial(ctx)
	if err != nil {
		s.trouble(ctx, conn, err.Error())
		sleep(ctx, min(s.Server.Times.withDefaults().Step, 15*time.Second))
		return false
	}
	s.talk = talk
	return true
}

// dial connects, and does not wait for a server that stalls when the program is to end.
func (s *Sender) dial(ctx context.Context) (*conversation, error) {
	type dialed struct {
		talk *conversation
		err  error
	}
	done := make(chan dialed, 1)
	go func() {
		talk, err := s.Server.dial(ctx)
		done <- dialed{talk, err}
	}()
	select {
	case d := <-done:
		return d.talk, d.err
	case <-ctx.Done():
		go func() { (<-done).talk.close() }()
		return nil, ctx.Err()
	}
}

// trouble says in the outbox why nothing can be sent; empty: it can.
func (s *Sender) trouble(ctx context.Context, conn *pgx.Conn, why string) {
	if ctx.Err() != nil || why == s.troubled && why == "" {
		return
	}
	if why != "" && why != s.troubled {
		s.Log.Warn().Str("why", why).Msg("no mails can be sent: trying again")
	}
	s.troubled = why
	// A connection that is lost shows with the next statement.
	_, _ = conn.Exec(ctx, statements["trouble"], s.Shop, why)
}

func (s *Sender) hangUp() {
	s.talk.close()
	s.talk = nil
}

// attempt sends one mail, and says in journal and row how it ended. Once it has begun it is not given up because the program
// ends: the server gets ten seconds to answer.
func (s *Sender) attempt(ctx context.Context, conn *pgx.Conn, row Row) error {
	finishing := context.WithoutCancel(ctx)
	letter, err := s.Letters.read(finishing, conn, row)
	if err != nil {
		if flaw, ok := errors.AsType[*flawError](err); ok {
			return s.end(finishing, conn, row, verdict{state: Failed, reason: flaw.Error()}, nil)
		}
		return err
	}
	message, err := letter.message(s.Server, row.Recipient, row.MessageID)
	if err != nil {
		return s.end(finishing, conn, row, verdict{state: Failed, reason: err.Error()}, nil)
	}
	talk := s.talk
	ended := &verdict{state: Queued, broken: true, reason: "the program was told to end", wait: -1}
	if v := s.patient(ctx, ended, func() *verdict { return talk.offer(s.Server.From.Address, row.Recipient) }); v != nil {
		return s.end(finishing, conn, row, *v, nil)
	}
	entry := Entry{Key: row.Key, Shop: s.Shop, Kind: row.Kind, State: begun, Attempt: row.Attempts, MessageID: row.MessageID, Order: row.Order,
		ShopOrder: row.ShopNumber, Documents: letter.Documents, At: time.Now().UTC()}
	if err := entry.append(finishing, s.Journal); err != nil {
		return err
	}
	if err := s.step("journaled"); err != nil {
		return err
	}
	var mine bool
	if err := conn.QueryRow(finishing, statements["mine"], row.ID, row.Attempts).Scan(&mine); err != nil {
		return err
	}
	if !mine {
		return fmt.Errorf("mail %d: %w", row.ID, errLost)
	}
	ended = &verdict{state: Unknown, broken: true, reason: "the program was told to end while the server had not answered yet"}
	v := s.patient(ctx, ended, func() *verdict { return talk.give(message) })
	if err := s.step("given"); err != nil {
		return err
	}
	return s.end(finishing, conn, row, *v, &entry)
}

// patient waits for the server's answer, and when the program is to end, so long at most; then it leaves the conversation, which ends by its
// own deadline or with the process.
func (s *Sender) patient(ctx context.Context, ended *verdict, answer func() *verdict) *verdict {
	done := make(chan *verdict, 1)
	go func() { done <- answer() }()
	select {
	case v := <-done:
		return v
	case <-ctx.Done():
	}
	select {
	case v := <-done:
		return v
	case <-time.After(s.Grace):
		s.talk = nil
		return ended
	}
}

// end writes how an attempt ended: into the journal if it knows of it, then into the row.
func (s *Sender) end(ctx context.Context, conn *pgx.Conn, row Row, v verdict, entry *Entry) error {
	wait := v.wait
	switch {
	case v.state == Queued && time.Since(row.QueuedAt) > giveUpAfter:
		v.state, v.reason = Failed, fmt.Sprintf("tried for %s: %s", giveUpAfter, v.reason)
	case v.state == Queued && wait == 0:
		wait = s.Again(row.Attempts)
	}
	if v.broken || v.ourself {
		s.hangUp()
	}
	if v.ourself {
		s.trouble(ctx, conn, v.reason)
	} else if v.state == Sent || v.state == Failed {
		s.trouble(ctx, conn, "")
	}
	var telling errgroup.Group
	if entry != nil {
		entry.State = map[string]string{Sent: arrived, Queued: refused, Failed: given, Unknown: begun}[v.state]
		entry.At = time.Now().UTC()
		telling.Go(func() error { return entry.append(ctx, s.Journal) })
		if v.state != Sent { // that it was sent holds whichever of the two is read
			if err := telling.Wait(); err != nil {
				return err
			}
		}
		if err := s.step("told"); err != nil {
			return errors.Join(telling.Wait(), err)
		}
	}
	event := s.Log.Info()
	if v.state != Sent {
		event = s.Log.Warn()
	}
	event.Int64("mail", row.ID).Str("kind", row.Kind).Str("order", row.Order).Str("state", v.state).Str("why", v.reason).Int("attempt", row.Attempts).Msg("mail")
	_, err := conn.Exec(ctx, statements["end"], row.ID, row.Attempts, v.state, cut(oneLine(v.reason), 500), max(0, wait.Seconds()))
	return errors.Join(telling.Wait(), err)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // what was not committed is rolled back either way
}

func scanRow(row pgx.Row) (r Row, err error) {
	err = row.Scan(&r.ID, &r.Key, &r.Kind, &r.Order, &r.ShopNumber, &r.Document, &r.Recipient, &r.State, &r.Reason, &r.Attempts, &r.MessageID,
		&r.QueuedAt, &r.NextAt, &r.SentAt, &r.shop, &r.cause)
	return r, err
}
