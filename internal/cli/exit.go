package cli

import (
	"errors"
	"fmt"

	"github.com/spola-cdc/spola/internal/apply"
	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/source/mysql"
	erp "github.com/spola-cdc/spola/internal/source/postgres"
	"github.com/spola-cdc/spola/internal/stream"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

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
	{stream.ErrStopped, ExitStopped},
	{apply.ErrStopped, ExitStopped},
	{postgres.ErrStopped, ExitStopped},
	{mysql.ErrStopped, ExitStopped},
	{erp.ErrStopped, ExitStopped},
	{errDifference, ExitDifference},
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
