// Package postgres is the ERP's side of an applier: a connection, and a transaction that
// carries the applier's place in the log together with the effect.
//
// The place stands in table spola.place, one row for each applier and source. A starting
// applier raises the row's owner epoch; every transaction changes the row first, compare-and-set
// on place and epoch. So an applier that was overtaken changes nothing, however late it wakes,
// and an unknown COMMIT is decided by reading the row again.
//
// target/mysql has the same verbs and file names for the shop's side.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Connect opens one connection, with the session settings that an applier counts on. name is
// what pg_stat_activity shows.
func Connect(ctx context.Context, url, name string) (*pgx.Conn, error) {
	return connect(ctx, url, name, silentAfter)
}

func connect(ctx context.Context, url, name string, silence time.Duration) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The library's message may quote the URL, with its password.
		return nil, &StopError{What: "the URL of the ERP's database can't be read", Mend: "write postgres://user:password@host:5432/database"}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	if config.ValidateConnect == nil { // the URL says nothing of whom it wants (target_session_attrs)
		config.ValidateConnect = writable
	}
	var last *watched // of several hosts, the one that answered
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer().DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		last = &watched{Conn: conn, silence: silence}
		return last, nil
	}
	for setting, value := range session(name) {
		config.RuntimeParams[setting] = value
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, explain("connect to the ERP's database", err)
	}
	if err := last.watch(ctx, conn, config); err != nil {
		_ = conn.Close(ctx)
		return nil, explain("connect to the ERP's database", err)
	}
	return conn, nil
}

// errStandby says that the server can't be written yet, or never will be: of several hosts the next is tried, and this one again.
var errStandby = errors.New("the server is a standby that follows another one; it is waited for until it is promoted")

// writable refuses a standby, which tells what it is when a connection begins (PostgreSQL 14 and later).
func writable(_ context.Context, conn *pgconn.PgConn) error {
	if conn.ParameterStatus("in_hot_standby") == "on" {
		return errStandby
	}
	return nil
}

// session lists the settings of an applier's session, so that a server's defaults don't decide
// how texts and times are read, nor how long a dead applier may hold the place row.
func session(name string) map[string]string {
	return map[string]string{
		"application_name":                    name,
		"client_encoding":                     "UTF8",
		"timezone":                            "UTC",
		"datestyle":                           "ISO",
		"intervalstyle":                       "postgres",
		"standard_conforming_strings":         "on",
		"synchronous_commit":                  "on",
		"default_transaction_isolation":       "read committed",
		"idle_in_transaction_session_timeout": "60s",
		"jit":                                 "off", // compiling costs more than any of our statements
		"max_parallel_workers_per_gather":     "0",   // and so does starting a worker
	}
}

// dialer notices a peer that is gone within some ten seconds, where the system's default would
// let an applier wait for a quarter of an hour.
func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 4 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control:         setUserTimeout,
	}
}

// echo begins each transaction of Spola's own, in one round trip: its message stands first in the
// write-ahead log, so that who reads that knows the transaction for an echo. It needs no right.
var echo = pgx.TxOptions{BeginQuery: "BEGIN; SELECT pg_logical_emit_message(true, 'spola', current_setting('application_name'))"}

// InTransaction runs do in a transaction on conn and commits it. It may not be run again by
// itself: the caller knows what an unknown COMMIT means to him.
func InTransaction(ctx context.Context, conn *pgx.Conn, do func(pgx.Tx) error) error {
	tx, err := conn.BeginTx(ctx, echo)
	if err != nil {
		return explain("begin", err)
	}
	if err := do(tx); err != nil {
		if rollback := tx.Rollback(context.WithoutCancel(ctx)); rollback != nil && !conn.IsClosed() {
			return fmt.Errorf("%w (rollback: %w)", err, rollback)
		}
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return explain("commit", err)
	}
	return nil
}
