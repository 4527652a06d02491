package stream

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"go.uber.org/goleak"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/schemas/events"
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

// Whoever closes what he opened leaves nothing behind.
func TestCloseEndsEverything(t *testing.T) {
	brokers := embedded(t)
	cfg := freshLog(t, brokers)
	before := goleak.IgnoreCurrent()
	w, tail, err := Acquire(t.Context(), cfg, Begin{First: true})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, w, claim(tail))
	r, err := OpenReader(t.Context(), cfg, Position{})
	if err != nil {
		t.Fatal(err)
	}
	take(t, r, 1)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Next(t.Context()); err == nil {
		t.Error("a closed reader gives records")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := w.Err(); err != nil {
		t.Errorf("a closed writer has failed: %v", err)
	}
	if err := w.Append(t.Context(), rows(0, 1)); err == nil {
		t.Error("a closed writer takes records")
	}
	serverSide := []goleak.Option{before}
	for _, f := range []string{"kfake.(*clientConn).read", "kfake.(*clientConn).write", "kfake.(*clientConn).read.func2"} {
		serverSide = append(serverSide, goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/"+f))
	}
	goleak.VerifyNone(t, serverSide...)
}

// What the program writes is what its schemas describe.
func TestFenceFitsItsSchema(t *testing.T) {
	cfg := freshLog(t, embedded(t))
	own(t, cfg)
	checker, err := events.NewChecker()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	err = s.scan(t.Context(), 0, 1, func(records []change.Record) error { return checker.Check(&records[0]) })
	if err != nil {
		t.Error(err)
	}
}
