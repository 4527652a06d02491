package watch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A movement is measured when the shop shows what it made, and nothing else; one that was overtaken from its own commit on.
func TestBackMeasuresMovements(t *testing.T) {
	b, start := NewBack(nil, "oc_"), time.Now()
	after := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	b.Moved(1, 10, after(0))
	b.Moved(2, 5, after(1))
	b.shows(1, 9, after(3)) // as before
	b.shows(3, 10, after(3))
	b.Moved(1, 11, after(4))
	b.shows(1, 10, after(5)) // the first of two
	b.shows(2, 5, after(6))
	if n, since := b.OnTheWay(); n != 1 || !since.Equal(start) {
		t.Errorf("%d on the way, since %v", n, since)
	}
	b.shows(1, 11, after(9))
	b.shows(1, 11, after(20))
	b.Moved(4, 1, after(30))
	b.Forget(4)
	b.shows(4, 1, after(31))
	if diff := cmp.Diff([]time.Duration{5 * time.Millisecond, 9 * time.Millisecond}, b.Latencies(0)); diff != "" {
		t.Error(diff)
	}
}
