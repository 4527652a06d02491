package mysql

import (
	"errors"
	"fmt"
)

// ErrStopped is what every StopError is: the stream can't be gone on with until a person
// acts. The process exits with status 3.
var ErrStopped = errors.New("stream stopped")

// The kinds of a StopError, for errors.Is.
var (
	ErrAnchor    = errors.New("the server's binary log is not the one that was read")
	ErrPurged    = errors.New("the position is no longer in the server's binary logs")
	ErrFormat    = errors.New("the binary log does not carry whole rows")
	ErrShape     = errors.New("a captured table has a shape that can't be read")
	ErrStatement = errors.New("a statement took rows away that the binary log does not name")
	ErrEvent     = errors.New("an event of the binary log is not known")
	ErrCollision = errors.New("another replica has the same server id")
	ErrPreflight = errors.New("the server is not set up for reading")
	ErrLogin     = errors.New("the server does not let cdc in")
	ErrBound     = errors.New("orders_since can't be changed")
	ErrOther     = errors.New("the log is another shop's")
	ErrMarker    = errors.New("the marker table can't be written")
)

// StopError says where the stream can't be gone on with, and what a person can do.
type StopError struct {
	Kind  error  // one of the kinds above
	Table string // the table concerned, empty if none
	At    string // place in the source: GTID, or file and position
	What  string // what was found
	Mend  string // what to do
}

// Error names table and position, then what a person has to do.
func (e *StopError) Error() string {
	text := "shop"
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
	switch {
	case isMySQLError(err, 1045, 1698) || mysqlCode(err) == 1045:
		return &StopError{Kind: ErrLogin, Table: table, What: err.Error(), Mend: "correct the user in shop.database and his password (SPOLA_SHOP_PASSWORD or shop.password_file), or give the server's account that one"}
	case isMySQLError(err, 1044):
		return &StopError{Kind: ErrLogin, Table: table, What: err.Error(), Mend: "correct the name of the database in shop.database, or give the user his rights on it (deploy/grants)"}
	}
	return &StopError{Kind: ErrPreflight, Table: table, What: err.Error(), Mend: "run `cdc preflight`, which writes the GRANT out"}
}

// Is makes errors.Is find ErrStopped and the kind.
func (e *StopError) Is(target error) bool { return target == ErrStopped || target == e.Kind }

// beginAnew is how a position is given up.
const beginAnew = "if this is the shop's database as it should be, begin anew with `cdc run --new-incarnation`: it takes a full snapshot, and orders already in the ERP are found again"
