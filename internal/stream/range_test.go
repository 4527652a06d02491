package stream

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// at is when record n of the range tests' log was committed: a minute apart, but every tenth five minutes early, as a clock that is set has it.
func at(n int) time.Time {
	when := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute)
	if n%10 == 0 {
		when = when.Add(-5 * time.Minute)
	}
	return when
}

func TestRangesAreReadWhole(t *testing.T) { onEachBroker(t, rangesAreReadWhole) }

func rangesAreReadWhole(t *testing.T, brokers []string) {
	const last = 600
	cfg := freshLog(t, brokers)
	w, tail := acquire(t, cfg)
	first := claim(tail)
	first.Time = at(1).UnixMilli()
	mustAppend(t, w, first)
	var some []change.Record
	for n := 2; n <= last; n++ { // record n has number n
		r := row(n)
		r.Time = at(n).UnixMilli()
		if some = append(some, r); n%50 == 0 {
			mustAppend(t, w, some...)
			some = nil
		}
	}
	own(t, cfg) // a fence and a claim behind them all
	everything := func(n int) bool { return n <= last }
	for _, c := range []struct {
		what   string
		r      Range
		inside func(n int) bool
	}{
		{"all", Range{Until: at(last - 1)}, everything},
		{"between two records", Range{From: change.Place{Gen: 1, Seq: 17}, To: change.Place{Gen: 1, Seq: 19}}, func(n int) bool { return n >= 17 && n <= 19 }},
		{"one record", Range{From: change.Place{Gen: 1, Seq: 600}, To: change.Place{Gen: 1, Seq: 600}}, func(n int) bool { return n == 600 }},
		{"since a time", Range{Since: at(333), Until: at(last - 1)}, func(n int) bool { return everything(n) && !at(n).Before(at(333)) }},
		{"until a time", Range{Until: at(333)}, func(n int) bool { return everything(n) && !at(n).After(at(333)) }},
		{"five minutes", Range{Since: at(298), Until: at(302)}, func(n int) bool { return !at(n).Before(at(298)) && !at(n).After(at(302)) }},
		{"from a record, until a time", Range{From: change.Place{Gen: 1, Seq: 500}, Until: at(505)}, func(n int) bool { return n >= 500 && !at(n).After(at(505)) }},
		{"before the first", Range{Until: at(1).Add(-time.Hour)}, func(int) bool { return false }},
		{"of another generation", Range{From: change.Place{Gen: 2, Seq: 1}}, func(int) bool { return false }},
	} {
		var got, want []int64
		var told int64 = -1
		err := ReadRange(t.Context(), cfg, c.r, func(records []change.Record) error {
			for _, r := range records {
				got = append(got, r.Seq)
			}
			return nil
		}, func(read, all int64) { told = all - read })
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		for n := 1; n <= last; n++ {
			if c.inside(n) {
				want = append(want, int64(n))
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: read %d records, %v …, want %d, %v …", c.what, len(got), got[:min(len(got), 8)], len(want), want[:min(len(want), 8)])
		}
		if told != 0 {
			t.Errorf("%s: at its end %d offsets were said to be left", c.what, told)
		}
	}
	broken := errors.New("enough")
	if err := ReadRange(t.Context(), cfg, Range{}, func([]change.Record) error { return broken }, nil); !errors.Is(err, broken) {
		t.Errorf("an error of who reads: %v", err)
	}

}

// What retention has taken from the beginning of a log is not passed over.
func TestRangeThatIsGone(t *testing.T) {
	cfg := freshLog(t, server.Kafka(t))
	w, tail := acquire(t, cfg)
	first := claim(tail)
	first.Time = at(1).UnixMilli()
	mustAppend(t, w, first)
	for from := 2; from <= 400; from += 50 {
		some := rows(from, from+50)
		for i := range some {
			some[i].Time = at(from + i).UnixMilli()
		}
		mustAppend(t, w, some...)
	}
	deleteBelow(t, cfg, 100) // the fence has an offset, too
	for _, c := range []struct {
		what string
		r    Range
		gone bool
	}{
		{"from a deleted record", Range{From: change.Place{Gen: 1, Seq: 17}}, true},
		{"since a time that is deleted", Range{Since: at(17)}, true},
		{"from what is there", Range{From: change.Place{Gen: 1, Seq: 333}, To: change.Place{Gen: 1, Seq: 334}}, false},
		{"since a time that is there", Range{Since: at(333)}, false},
	} {
		read := 0
		err := ReadRange(t.Context(), cfg, c.r, func(records []change.Record) error { read += len(records); return nil }, nil)
		var gone *GoneError
		if errors.As(err, &gone) != c.gone || err != nil && !c.gone || c.gone == (read > 0) {
			t.Errorf("%s: %d records, %v", c.what, read, err)
		}
		if c.gone && (gone.First.Seq < 90 || !strings.Contains(err.Error(), fmt.Sprintf("nothing before record 1/%d", gone.First.Seq))) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}
