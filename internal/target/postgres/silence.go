package postgres

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// silentAfter is how long an answer may take before it is asked, on another connection, whether
// the server is still at it. Statements of an applier may take longer, so silence alone does not
// tell a connection that is dead: whose other end is a proxy that has lost its own, so that
// keep-alive finds nothing.
const silentAfter = 15 * time.Second

var errSilent = errors.New("the server has answered, but the connection has lost the answer")

// watched is a connection whose reads end when the server is no longer at work on an answer.
type watched struct {
	net.Conn
	silence time.Duration

	mu       sync.Mutex  // pgx may still read in the background when the watch begins
	lost     func() bool // asks the server; nil until it is known which of its processes answers
	deadline time.Time   // the caller's own, zero if none
}

// Read reads, and gives up when the server has been found idle twice, with a pause between for
// an answer that was just on its way.
func (w *watched) Read(b []byte) (int, error) {
	found := 0
	for {
		if err := w.arm(); err != nil {
			return 0, err
		}
		n, err := w.Conn.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		lost := w.asks()
		if lost == nil {
			return n, err
		}
		if !lost() {
			found = 0
		} else if found++; found == 2 {
			return 0, errSilent
		}
	}
}

// arm sets the next read's deadline: the caller's, or when it is time to ask.
func (w *watched) arm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.deadline
	if ask := time.Now().Add(w.silence); w.lost != nil && (next.IsZero() || ask.Before(next)) {
		next = ask
	}
	return w.Conn.SetReadDeadline(next)
}

// asks is what asks the server, or nil: nobody watches yet, or the caller's own deadline is over.
func (w *watched) asks() func() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.deadline.IsZero() && !time.Now().Before(w.deadline) {
		return nil
	}
	return w.lost
}

// SetDeadline keeps the caller's deadline beside its own.
func (w *watched) SetDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	return w.Conn.SetDeadline(t)
}

// SetReadDeadline keeps the caller's deadline beside its own.
func (w *watched) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	return w.Conn.SetReadDeadline(t)
}

// watch begins to watch a connection that was made with config.
func (w *watched) watch(ctx context.Context, conn *pgx.Conn, config *pgx.ConnConfig) error {
	var pid int
	if err := conn.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid); err != nil {
		return err
	}
	asking := config.Copy()
	asking.DialFunc = dialer().DialContext
	asking.RuntimeParams["application_name"] = "spola looks after a silent connection"
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost = func() bool { return lost(asking, pid) }
	return nil
}

// lost tells whether the server's process is not at work. A server that can't be reached is no better than one that has lost the answer; one that
// refuses to talk says nothing.
func lost(config *pgx.ConnConfig, pid int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*config.ConnectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		var refused *pgconn.PgError
		return !errors.As(err, &refused)
	}
	defer conn.Close(ctx)
	var idle bool
	err = conn.QueryRow(ctx, "select not exists (select from pg_stat_activity where pid = $1 and (state is null or state !~ '^idle'))", pid).Scan(&idle)
	return err == nil && idle
}
