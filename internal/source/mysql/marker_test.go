package mysql

import (
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
)

// A server that takes no row, such as one that waits for room on its disk, is told as that.
func TestProbeThatIsNotAcknowledged(t *testing.T) {
	for err, want := range map[error]string{
		driver.ErrInvalidConn:                               "table spola_marker: the server has not acknowledged a row in time, or has hung up",
		&driver.MySQLError{Number: 1142, Message: "UPDATE"}: "table spola_marker: write a row: Error 1142: UPDATE",
	} {
		if said := unacknowledged(err).Error(); !strings.HasPrefix(said, want) {
			t.Errorf("%v is told as %q, want %q", err, said, want)
		}
	}
}
