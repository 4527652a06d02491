package cli

import (
	"errors"
	"fmt"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/source/mysql"
	erp "github.com/spola-cdc/spola/internal/source/postgres"
	"github.com/spola-cdc/spola/internal/stream"
	shop "github.com/spola-cdc/spola/internal/target/mysql"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Exit statuses of all programs.
const (
	ExitDone          = 0
	ExitError         = 1
	ExitUsage         = 2
	ExitStopped       = 3
	ExitFenced        = 4
	ExitDifference    = 5
	ExitConfiguration = 78 // as in sysexits.h
)

// Exits says what each exit status means: for --help, the README, and whoever writes a unit.
var Exits = []struct {
	Status  int
	Meaning string
}{
	{ExitDone, "done"},
	{ExitError, "error"},
	{ExitUsage, "usage: the command line is wrong"},
	{ExitStopped, "the stream stopped: a person must act; the message says how"},
	{ExitFenced, "fenced: a newer process owns the log"},
	{ExitDifference, "a difference was found"},
	{ExitConfiguration, "configuration: spola.yaml or the shop file is to be mended"},
}

// errUsage is what Usage's errors are.
var errUsage = errors.New("usage")

// usage is an error of the command line that only the verb itself can see.
type usage struct{ error }

func (usage) Is(kind error) bool { return kind == errUsage }

// Usage is the error of a verb whose arguments are wrong in a way that its grammar can't tell.
func Usage(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }

// errDifference is what Differ's errors are.
var errDifference = errors.New("difference found")

// Differ is the error of a verb that has compared and found differences.
func Differ(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDifference, fmt.Sprintf(format, args...))
}

// statuses says what each kind of error means to whoever started the program; the first that
// fits counts. A fenced process is often stopped by its log too: fenced comes first.
var statuses = []struct {
	kind   error
	status int
}{
	{stream.ErrFenced, ExitFenced},
	{apply.ErrFenced, ExitFenced},
	{postgres.ErrFenced, ExitFenced},
	{shop.ErrFenced, ExitFenced},
	{stream.ErrStopped, ExitStopped},
	{apply.ErrStopped, ExitStopped},
	{postgres.ErrStopped, ExitStopped},
	{mysql.ErrStopped, ExitStopped},
	{shop.ErrStopped, ExitStopped},
	{erp.ErrStopped, ExitStopped},
	{errDifference, ExitDifference},
	{errUsage, ExitUsage},
}

// ExitStatus is the status with which a program ends that met err.
func ExitStatus(err error) int {
	if err == nil {
		return ExitDone
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return ExitConfiguration
	}
	for _, s := range statuses {
		if errors.Is(err, s.kind) {
			return s.status
		}
	}
	return ExitError
}
