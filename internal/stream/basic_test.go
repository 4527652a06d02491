package stream

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spola-cdc/spola/internal/change"
)

func TestWhatIsAppendedIsRead(t *testing.T) { onEachBroker(t, whatIsAppendedIsRead) }

func whatIsAppendedIsRead(t *testing.T, brokers []string) {
	cfg := freshLog(t, brokers)
	w, tail := own(t, cfg)
	if tail.Offset != -1 || tail.Generation != 1 || tail.Predecessor != nil {
		t.Fatalf("tail of an empty log: %+v", tail)
	}
	want := rows(0, 500)
	mustAppend(t, w, want...)
	got := take(t, open(t, cfg, Position{}), 501)[1:]
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(change.Record{}, "Offset")); diff != "" {
		t.Error(diff)
	}
	if place, offset := w.Acked(); place.Seq != 501 || offset != got[499].Offset {
		t.Errorf("acknowledged %+v at %d", place, offset)
	}
}

func TestNextOwnerGoesOnFromTheTail(t *testing.T) { onEachBroker(t, nextOwnerGoesOnFromTheTail) }

func nextOwnerGoesOnFromTheTail(t *testing.T, brokers []string) {
	cfg := freshLog(t, brokers)
	w, _ := own(t, cfg)
	mustAppend(t, w, rows(0, 300)...)
	w.Close()
	_, tail := own(t, cfg)
	if tail.Place.Seq != 301 || tail.Origin != row(299).Origin || tail.Generation != 1 {
		t.Fatalf("tail: %+v", tail)
	}
	var folded []change.Record
	err := tail.Each(t.Context(), func(records []change.Record) error {
		folded = append(folded, records...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(folded) != 301 || folded[0].Op != change.Claim || !bytes.Equal(folded[300].Key, row(299).Key) {
		t.Errorf("%d records from the last claim on", len(folded))
	}
	whole(t, cfg)
}
