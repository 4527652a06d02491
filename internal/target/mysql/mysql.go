// Package mysql is the shop's side of an applier: a connection, and a transaction that carries
// the applier's place in the log together with the effect.
//
// The place stands in the marker table, Spola's one table in the shop, one row for each applier
// and log. It is the first row that every transaction changes, so the shop's reader knows an echo
// by it. A starting applier raises the owner epoch in it; every transaction changes it
// compare-and-set on place and epoch. So an applier that was overtaken changes nothing, however
// late it wakes, and an unknown COMMIT is decided by reading the row again.
//
// target/postgres has the same verbs and file names for the ERP's side.
package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	driver "github.com/go-sql-driver/mysql"

	source "github.com/spola-cdc/spola/internal/source/mysql"
)

// Marker is the name of Spola's own table in the shop, which cdc makes.
const Marker = source.Marker

// lockWait is how long a statement waits for a row that somebody else holds. A shop holds its
// rows for milliseconds; who waits longer gives up, lets go of his own, and comes again.
const lockWait = 3 * time.Second

// idle is when the server ends our session, and with it a transaction that nobody goes on with:
// a dead applier must not keep the shop's rows locked. rest is when we take a new one before that.
const (
	idle = 60 * time.Second
	rest = 30 * time.Second
)

// Connect opens one connection, with the session settings that an applier counts on: rows are
// locked where they are found and nowhere between (READ COMMITTED), what a column can't hold is
// an error, times are UTC. silence is how long an answer may take; 0 means the reader's measure.
func Connect(ctx context.Context, url string, silence time.Duration) (*sql.Conn, func(), error) {
	config, err := source.Connection(url, silence)
	if err != nil {
		return nil, nil, &StopError{What: "the URL of the shop's database can't be read", Mend: "write mysql://user@host:3306/database"}
	}
	config.InterpolateParams = true // a statement with arguments is one round trip, not three
	config.Params["sql_mode"] = "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
	config.Params["innodb_lock_wait_timeout"] = seconds(lockWait)
	config.Params["wait_timeout"] = seconds(idle)
	connector, err := driver.NewConnector(config)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the shop's database: %w", err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	conn, err := pool.Conn(ctx)
	if err == nil {
		_, err = conn.ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
	}
	if err != nil {
		_ = pool.Close() // it was never used
		return nil, nil, explain("connect to the shop's database", err)
	}
	return conn, func() { _ = conn.Close(); _ = pool.Close() }, nil // what was not committed is rolled back either way
}

func seconds(d time.Duration) string { return fmt.Sprint(int(d / time.Second)) }
