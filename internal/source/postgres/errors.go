package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrStopped is what every StopError is: the stream can't be gone on with until a person
// acts. The process exits with status 3.
var ErrStopped = errors.New("stream stopped")

// The kinds of a StopError, for errors.Is.
var (
	ErrAnchor    = errors.New("the server's write-ahead log is not the one that was read")
	ErrSlot      = errors.New("the replication slot no longer has what comes next")
	ErrShape     = errors.New("a published table has a shape that can't be read")
	ErrStatement = errors.New("a statement took rows away that the write-ahead log does not name")
	ErrEvent     = errors.New("a message of the server can't be read")
	ErrCollision = errors.New("another program reads the replication slot")
	ErrPreflight = errors.New("the server is not set up for reading")
	ErrLogin     = errors.New("the server does not let cdc in")
)

// StopError says where the stream can't be gone on with, and what a person can do.
type StopError struct {
	Kind  error  // one of the kinds above
	Table string // the table concerned, empty if none
	At    string // place in the source: LSN of a commit
	What  string // what was found
	Mend  string // what to do
}

// Error names table and position, then what a person has to do.
func (e *StopError) Error() string {
	text := "ERP"
	if e.Table != "" {
		text += ", table " + e.Table
	}
	if e.At != "" {
		text += ", at " + e.At
	}
	text += fmt.Sprintf(": %v: %s", e.Kind, e.What)
	if e.Mend != "" {
		text += "; " + e.Mend
	}
	return text
}

// refusal is what a person is told of a server that refuses (isRefused): who is let in and lacks a right needs a GRANT, who is not let in needs none.
func refusal(table string, err error) *StopError {
	said := strings.Join(strings.Fields(err.Error()), " ") // of several addresses the driver has a line each
	switch codeOf(err) {
	case codeNoLogin, codeWrongPassword:
		return &StopError{Kind: ErrLogin, Table: table, What: said, Mend: "correct the user in erp.log and his password (SPOLA_ERP_LOG_PASSWORD or erp.log.password_file), or give the server's role that one (deploy/grants/erp-reader makes it)"}
	case codeNoDatabase:
		return &StopError{Kind: ErrLogin, Table: table, What: said, Mend: "correct the name of the database in erp.database"}
	}
	return &StopError{Kind: ErrPreflight, Table: table, What: said, Mend: "run `cdc preflight erp`, which writes the GRANT out"}
}

// Is makes errors.Is find ErrStopped and the kind.
func (e *StopError) Is(target error) bool { return target == ErrStopped || target == e.Kind }

// beginAnew is how a position is given up.
const beginAnew = "if this is the ERP's database as it should be, begin anew with `cdc run erp --new-incarnation`: it makes the slot anew and takes a full snapshot"

// codeOf is the server's error code, empty if the error is not the server's.
func codeOf(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Error codes of PostgreSQL that this package tells apart.
const (
	codeNoRight       = "42501"
	codeNoSuchObject  = "42704"
	codeNoSuchTable   = "42P01"
	codeInUse         = "55006"
	codeNotInState    = "55000"
	codeNoSuchFile    = "58P01"
	codeNoLogin       = "28000"
	codeWrongPassword = "28P01"
	codeNoDatabase    = "3D000"
)

// isRefused tells whether the server refuses for want of a right: repeating does not help.
func isRefused(err error) bool {
	return slices.Contains([]string{codeNoRight, codeNoLogin, codeWrongPassword, codeNoDatabase}, codeOf(err))
}
