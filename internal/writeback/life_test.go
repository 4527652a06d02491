package writeback

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/mysql"
)

// An applier that begins with a log of several lives follows them up to the last one; a life that begins while it follows stops it, in its first process too,
// which the marker has told of none.
func TestAnotherLifeStopsTheFirstProcessToo(t *testing.T) {
	began := time.Now().UnixMilli()
	claim := func(incarnation, at int64) *change.Record {
		return &change.Record{Op: change.Claim, Gen: 1, Seq: incarnation, Time: at, Value: fmt.Appendf(nil,
			`{"before":null,"after":null,"source":{},"op":"m","ts_ms":0,"ts_us":0,"transaction":null,"message":{"kind":"claim","generation":1,"incarnation":%d,"owner":"","state":null}}`, incarnation)}
	}
	first := life{since: began}
	for _, c := range []struct {
		incarnation, at int64
		stops           bool
	}{
		{1, began - 2000, false}, {2, began - 1000, false}, // what the log has behind it
		{2, began + 1000, false}, // its reader was started again
		{3, began + 2000, true},
	} {
		if err := first.claimed(claim(c.incarnation, c.at)); errors.Is(err, mysql.ErrStopped) != c.stops {
			t.Errorf("life %d: %v", c.incarnation, err)
		}
	}
	empty := life{since: began}
	if err := empty.claimed(claim(1, began+1000)); err != nil {
		t.Errorf("the first claim of a log: %v", err)
	}
}
