package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrFenced says that another applier has raised the owner epoch: this process must exit with
// status 4, for starting again would fence the newer one.
var ErrFenced = errors.New("fenced: another applier has taken over")

// ErrMoved says that the place row is not where this applier left it, although no other owner
// announced himself: somebody changed the row by hand, or restored it.
var ErrMoved = errors.New("the place in the ERP's database is not the one expected: it was changed, or the database was restored; to mend it: start the applier again, which looks at what it finds")

// ErrPaused says that a person has paused the applier: it goes on by itself when he lets it.
var ErrPaused = errors.New("paused")

// ErrStopped is what every StopError is: no retry mends it, a person must act. Exit status 3.
var ErrStopped = errors.New("applier stopped")

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
	if state, ok := errors.AsType[*pgconn.PgError](err); ok {
		return retryableCode(state.Code)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return pgconn.SafeToRetry(err) || pgconn.Timeout(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, pgx.ErrTxCommitRollback) ||
		errors.Is(err, errClosed) || errors.Is(err, errSilent)
}

// errClosed stands for a connection that the library has closed after a failure whose own error
// does not tell.
var errClosed = errors.New("connection closed")

func retryableCode(code string) bool {
	switch code {
	case pgerrcode.SerializationFailure, pgerrcode.DeadlockDetected, pgerrcode.LockNotAvailable,
		pgerrcode.AdminShutdown, pgerrcode.CrashShutdown, pgerrcode.CannotConnectNow, pgerrcode.QueryCanceled,
		pgerrcode.IdleInTransactionSessionTimeout, pgerrcode.TooManyConnections, pgerrcode.OutOfMemory,
		pgerrcode.TransactionResolutionUnknown, pgerrcode.ReadOnlySQLTransaction:
		return true
	}
	return pgerrcode.IsConnectionException(code)
}

// explain names the operation, and turns what no retry mends into a StopError.
func explain(operation string, err error) error {
	state, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || retryableCode(state.Code) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return &StopError{What: operation, Mend: mend(state), Err: err}
}

// Explain is explain for the effects: it turns a database error that no retry mends into a
// StopError with a sentence that says what to do, and leaves any other error as it is.
func Explain(err error) error {
	state, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || retryableCode(state.Code) || errors.Is(err, ErrStopped) {
		return err
	}
	return &StopError{What: "the ERP's database refused the batch", Mend: mend(state), Err: err}
}

// mend is the sentence for a person, by SQLSTATE.
func mend(e *pgconn.PgError) string {
	switch e.Code {
	case restoredCode:
		return e.Hint
	case pgerrcode.InsufficientPrivilege:
		return "grant the applier's role what it lacks (`spola doctor` names it; deploy/grants has all), then start it again"
	case pgerrcode.UndefinedTable, pgerrcode.UndefinedColumn, pgerrcode.UndefinedFunction, pgerrcode.InvalidSchemaName:
		return "run `applier migrate`, with a role that may create tables, then start the applier again"
	case pgerrcode.DiskFull:
		return "make room on the disk of the ERP's database, then start the applier again"
	case pgerrcode.InternalError, pgerrcode.IOError, pgerrcode.InsufficientResources: // so it says too where it can't write a file of its own
		return "see what the log of the ERP's server says, and whether its disk is full or fails; then start the applier again, which goes on from the same record"
	case pgerrcode.InvalidPassword, pgerrcode.InvalidAuthorizationSpecification:
		return "correct user and password of the ERP's database in the configuration"
	case pgerrcode.InvalidCatalogName:
		return "create the database, or correct its name in the configuration"
	case pgerrcode.DependentObjectsStillExist, pgerrcode.FeatureNotSupported:
		return "drop the views that use the column, start the applier, and create them again"
	case pgerrcode.ObjectNotInPrerequisiteState:
		if e.Hint != "" { // of a function of the ERP's contract
			return e.Hint + "; then start the applier again"
		}
	}
	text := "nothing was applied; the applier goes on from the same record once the cause is mended"
	if e.TableName != "" {
		text = fmt.Sprintf("look at table %s.%s; %s", e.SchemaName, e.TableName, text)
	}
	if where, _, _ := strings.Cut(e.Where, "\n"); where != "" { // the innermost; the rest is how it came there
		text += " (" + where + ")"
	}
	return text
}
