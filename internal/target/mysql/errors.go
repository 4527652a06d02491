package mysql

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"

	driver "github.com/go-sql-driver/mysql"
)

// ErrFenced says that another applier has raised the owner epoch: this process must exit with
// status 4, for starting again would fence the newer one.
var ErrFenced = errors.New("fenced: another applier has taken over")

// ErrMoved says that the place row is not where this applier left it, although no other owner
// announced himself: somebody changed the row by hand, or restored the shop.
var ErrMoved = errors.New("the place in the shop's database is not the one expected: it was changed, or the shop was restored; to mend it: start the applier again, which looks at what it finds")

// ErrPaused says that a person has paused the applier: it goes on by itself when he lets it.
var ErrPaused = errors.New("paused")

// ErrStopped is what every StopError is: no retry mends it, a person must act. Exit status 3.
var ErrStopped = errors.New("applier stopped")

// errTouched says that the place row was changed and is as before: paused and let go, say.
var errTouched = errors.New("the place was touched by somebody else")

// errNoMarker says that cdc has not made its table yet.
var errNoMarker = errors.New("table " + Marker + " is not there: `cdc run` makes it")

// StopError says what a person has to do before the applier can go on.
type StopError struct {
	What string // what was done, and what the database said
	Mend string
	Err  error // cause; may be nil
}

// Error is what was done, why it failed, and what mends it.
func (e *StopError) Error() string {
	text := e.What
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text + "; to mend it: " + e.Mend
}

// Is makes errors.Is find ErrStopped.
func (e *StopError) Is(target error) bool { return target == ErrStopped }

// Unwrap returns the cause.
func (e *StopError) Unwrap() error { return e.Err }

// Retryable tells whether err is of a kind that clears without a person: a lost connection, a
// server that restarts, a conflict with another transaction.
func Retryable(err error) bool {
	if err == nil || errors.Is(err, ErrStopped) || errors.Is(err, ErrFenced) || errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[*passing](err); ok {
		return true
	}
	if state, ok := errors.AsType[*driver.MySQLError](err); ok {
		return retryableNumber(state.Number)
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	for _, passing := range []error{sqldriver.ErrBadConn, driver.ErrInvalidConn, sql.ErrConnDone, sql.ErrTxDone, io.EOF,
		io.ErrUnexpectedEOF, net.ErrClosed, context.DeadlineExceeded, errTouched, errNoMarker} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return unsent(err)
}

// unsent tells whether the driver could write nothing to a server that hung up while it was let in: it has an error of its own for that, which it does not
// export. A process that had no processor time for longer than the server's connect_timeout meets it.
func unsent(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if err.Error() == "bad connection" {
			return true
		}
	}
	return false
}

// retryableNumber knows the errors of MySQL and MariaDB that pass.
func retryableNumber(number uint16) bool {
	switch number {
	case 1205, // waited too long for a lock
		1213,             // deadlock
		1040, 1203, 1226, // too many connections
		1053, 1152, 1317, 1927, 4031, // shut down, killed, idle for too long
		1158, 1159, 1160, 1161, // network
		1290, 1792, 1836, // read-only: a server that takes over is so for a while
		1047, 3101: // a cluster that is not ready, or that rolled back
		return true
	}
	return false
}

// Passing marks an error from elsewhere as one that clears without a person.
func Passing(err error) error { return &passing{err} }

type passing struct{ err error }

func (p *passing) Error() string { return p.err.Error() }
func (p *passing) Unwrap() error { return p.err }

// IsMissing tells whether a table is not there.
func IsMissing(err error) bool { return is(err, 1146) }

func is(err error, numbers ...uint16) bool {
	state, ok := errors.AsType[*driver.MySQLError](err)
	if !ok {
		return false
	}
	for _, n := range numbers {
		if state.Number == n {
			return true
		}
	}
	return false
}

// explain names the operation, and turns what no retry mends into a StopError.
func explain(operation string, err error) error {
	state, ok := errors.AsType[*driver.MySQLError](err)
	if !ok || retryableNumber(state.Number) || errors.Is(err, ErrStopped) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return &StopError{What: operation, Mend: mend(state), Err: err}
}

// mend is the sentence for a person, by the server's number.
func mend(e *driver.MySQLError) string {
	switch e.Number {
	case 1044, 1142, 1143, 1227, 1370:
		return "grant the user that writes into the shop what it lacks (deploy/grants/shop-writer), then start the applier again"
	case 1045, 1698:
		return "correct shop.write_as and its password in the configuration"
	case 1049:
		return "correct the name of the shop's database in the configuration"
	case 1146, 1054:
		return "give the shop's table the shape that the platform's profile names, then start the applier again"
	case 1114, 1021, 3, 28:
		return "make room on the disk of the shop's database, then start the applier again"
	}
	return "nothing was written; the applier goes on from the same record once the cause is mended"
}

// refusedTable finds the table in what the servers say of a right that lacks.
var refusedTable = regexp.MustCompile("in table ['`]([^'`]+)['`]|for table (?:`[^`]+`\\.)?['`]([^'`]+)['`]")

// RefusedTable tells whether the server has refused for want of a right on a table, and on which.
func RefusedTable(err error) (table string, refused bool) {
	state, ok := errors.AsType[*driver.MySQLError](err)
	if !ok || state.Number != 1142 && state.Number != 1143 {
		return "", false
	}
	found := refusedTable.FindStringSubmatch(state.Message)
	if found == nil {
		return "", false
	}
	return found[1] + found[2], true
}
