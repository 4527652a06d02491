package broker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/stream"
)

// Old records go, the last one stays, and offsets go on where they were after a restart.
func TestTrimNeverEmptiesATopic(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: dir, Listen: "127.0.0.1:0"}
	b, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	log := stream.Config{Brokers: []string{b.Addr()}, Topic: "test.trim"}
	if _, err := stream.EnsureTopic(t.Context(), log, stream.TopicSettings{}); err != nil {
		t.Fatal(err)
	}
	w, _, err := stream.Acquire(t.Context(), log, stream.Begin{First: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for n := range 20 {
		op := change.Create
		if n == 0 {
			op = change.Claim
		}
		r := change.Record{Op: op, Time: time.Now().Add(-time.Hour).UnixMilli(), Origin: fmt.Sprint("tx 1 - g:", n, " 1 end"), Last: true, Value: []byte("{}")}
		if err := w.Append(t.Context(), []change.Record{r}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, last := w.Acked()
	if err := b.trim(t.Context(), time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := offsets(t, b, log); got != [2]int64{0, last} {
		t.Errorf("nothing was old, but offsets are %v", got)
	}
	if err := b.trim(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := offsets(t, b, log); got != [2]int64{last, last} {
		t.Errorf("all was old, offsets are %v, want only %d", got, last)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	log.Brokers = []string{b.Addr()}
	if got := offsets(t, b, log); got[1] != last {
		t.Errorf("after a restart offsets are %v, want the last to be %d", got, last)
	}
}

// offsets returns the first and the last offset that the log still has.
func offsets(t testing.TB, b *Broker, log stream.Config) [2]int64 {
	t.Helper()
	var all []int64
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	err := stream.Scan(ctx, log, func(records []change.Record) error {
		for _, r := range records {
			all = append(all, r.Offset)
		}
		return nil
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	if all[0] == 1 {
		all[0] = 0 // offset 0 is the fence, which is no record
	}
	return [2]int64{all[0], all[len(all)-1]}
}
