package stream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/change"
)

// Every record is found by its number, whatever record is known beside it and however many fences stand between.
func TestFinder(t *testing.T) { onEachBroker(t, finder) }

func finder(t *testing.T, brokers []string) {
	cfg := freshLog(t, brokers)
	n := 0
	for range 4 { // owners: each has a fence and a claim
		w, _ := own(t, cfg)
		for range 3 {
			mustAppend(t, w, rows(n, n+7)...)
			n += 7
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	all := whole(t, cfg)
	f, err := OpenFinder(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stand := func(r change.Record) change.Stand {
		return change.Stand{Place: change.Place{Gen: r.Gen, Seq: r.Seq}, Offset: r.Offset}
	}
	fences := false
	for _, r := range all {
		fences = fences || r.Offset > r.Seq // the first fence stands at 0
		for _, near := range []change.Stand{stand(all[0]), stand(all[len(all)-1]), stand(all[len(all)/2]), {Place: change.Place{Gen: 9}}, {Offset: -1},
			{Place: change.Place{Gen: 1, Seq: 1}, Offset: 1 << 40}} {
			offset, there, err := f.At(t.Context(), r.Gen, r.Seq, near)
			if err != nil || !there || offset != r.Offset {
				t.Fatalf("record %d by %+v: offset %d, %t, %v; it stands at %d", r.Seq, near, offset, there, err, r.Offset)
			}
		}
		got, next, err := f.From(t.Context(), r.Offset)
		if err != nil || len(got) == 0 || got[0].Seq != r.Seq || next <= r.Offset {
			t.Fatalf("from offset %d: %d records, next %d, %v", r.Offset, len(got), next, err)
		}
	}
	if !fences {
		t.Fatal("no fence stands between the records")
	}
	for _, missing := range []change.Place{{Gen: 1, Seq: int64(len(all)) + 1}, {Gen: 1, Seq: 0}, {Gen: 2, Seq: 1}} {
		if _, there, err := f.At(t.Context(), missing.Gen, missing.Seq, stand(all[5])); there || err != nil {
			t.Errorf("record %+v is found: %v", missing, err)
		}
	}
	if got, _, err := f.From(t.Context(), all[len(all)-1].Offset+1); len(got) > 0 || err != nil {
		t.Errorf("behind the end: %d records, %v", len(got), err)
	}
}

// A time leads to the first record that was committed then or later.
func TestFinderByTime(t *testing.T) { onEachBroker(t, finderByTime) }

func finderByTime(t *testing.T, brokers []string) {
	cfg := freshLog(t, brokers)
	w, _ := own(t, cfg)
	begin := time.Now().Add(time.Minute).Truncate(time.Second)
	for i := range 50 {
		r := row(i)
		r.Time = begin.Add(time.Duration(i/5) * time.Second).UnixMilli()
		mustAppend(t, w, r)
	}
	all := whole(t, cfg)[1:]
	f, err := OpenFinder(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for second := range 10 {
		for _, early := range []time.Duration{0, time.Millisecond, 999 * time.Millisecond} {
			offset, err := f.Since(t.Context(), begin.Add(time.Duration(second)*time.Second-early))
			if want := all[second*5].Offset; err != nil || offset != want {
				t.Errorf("second %d less %s: offset %d, %v; want %d", second, early, offset, err, want)
			}
		}
	}
	if offset, err := f.Since(t.Context(), begin.Add(time.Hour)); err != nil || offset != all[len(all)-1].Offset+1 {
		t.Errorf("behind all times: %d, %v", offset, err)
	}
}

// Brokers that are away are told at once.
func TestFinderWithoutBrokers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := OpenFinder(ctx, Config{Brokers: []string{"127.0.0.1:1"}, Topic: "none", Log: testLog(t)}); !errors.Is(err, ErrAway) {
		t.Errorf("it says %v", err)
	}
}
