package watch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A latency is known once both ends are, whichever is told first, and once only.
func TestBothEndsMakeALatency(t *testing.T) {
	w, start := newWatch(), time.Now()
	after := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	w.Placed("shop", 1, after(0))
	w.Placed("shop", 2, after(1))
	w.arrive(Arrival{Shop: "shop", Order: 1}, after(5))
	w.arrive(Arrival{Shop: "shop", Order: 3}, after(6)) // its commit's return is told late
	if w.OnTheWay() != 1 {
		t.Errorf("%d on the way, want order 2", w.OnTheWay())
	}
	w.Placed("shop", 3, after(4))
	w.Placed("shop", 3, after(0)) // told again
	w.Placed("shop", 1, after(0))
	w.arrive(Arrival{Shop: "shop", Order: 2}, after(11))
	w.arrive(Arrival{Shop: "shop", Order: 4}, after(12))
	w.Placed("shop", 4, after(13)) // clocks of two threads
	want := []time.Duration{5 * time.Millisecond, 2 * time.Millisecond, 10 * time.Millisecond, 0}
	if diff := cmp.Diff(want, w.Latencies(0)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[3:], w.Latencies(1)); diff != "" {
		t.Error(diff)
	}
	if n, newest, at := w.Arrived(); n != 4 || newest.Order != 4 || !at.Equal(after(12)) || w.OnTheWay() != 0 {
		t.Errorf("%d arrived, %v the newest, at %v", n, newest, at)
	}
}
