package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// The invariant of this file: whatever the network does and whoever else writes, the log is
// 1, 2, 3 … from its first record on, and holds what was appended, once.

// sameRecords compares one by one: a log of a test has tens of thousands of records, and a
// diff of all of them takes minutes.
func sameRecords(t testing.TB, want, got []change.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		w, g := want[i], got[i]
		if same := bytes.Equal(w.Key, g.Key) && bytes.Equal(w.Value, g.Value) && w.Origin == g.Origin && w.Seq == g.Seq && w.Sum == g.Sum; !same || i < 100 {
			if diff := cmp.Diff(w, g, cmpopts.IgnoreFields(change.Record{}, "Offset")); diff != "" {
				t.Fatalf("record %d: %s", i, diff)
			}
		}
	}
}

func TestLostAnswerRepeatsNothing(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		for _, what := range []fate{losesAnswer, isCut} {
			cfg, faults := through(t, freshLog(t, brokers))
			w, _ := own(t, cfg)
			want := rows(0, 30)
			mustAppend(t, w, want[:10]...)
			faults.once(what)
			mustAppend(t, w, want[10:20]...)
			mustAppend(t, w, want[20:]...)
			sameRecords(t, want, whole(t, cfg)[1:])
		}
	})
}

// A request that is still on its way when its connection is long closed must not land once
// ownership was settled: it would stand behind what was written after it.
func TestLateRequestIsRefused(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg, faults := through(t, freshLog(t, brokers))
		w, _ := own(t, cfg)
		want := rows(0, 30)
		mustAppend(t, w, want[:10]...)
		faults.once(comesLate)
		mustAppend(t, w, want[10:20]...)
		answer := faults.deliver(<-faults.frames)
		if code := produceCode(t, answer, cfg.Topic); code != kafka.InvalidProducerEpoch {
			t.Errorf("the late request was answered with %d (%v), want %d", code, code, kafka.InvalidProducerEpoch)
		}
		mustAppend(t, w, want[20:]...)
		sameRecords(t, want, whole(t, cfg)[1:])
	})
}

// A late request may land at any moment, also between the look at the tail and the sending that
// follows from it: the fence, which stands below what was looked at, refuses it.
func TestRequestThatComesBehindTheLookAtTheTail(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg, faults := through(t, freshLog(t, brokers))
		w, _ := own(t, cfg)
		want := rows(0, 30)
		mustAppend(t, w, want[:10]...)
		var held, looked, delivered bool
		var answer []byte
		faults.set(func(kind protocol.ApiKey) fate {
			switch {
			case kind == protocol.Produce && !held:
				held = true
				return comesLate
			case kind == protocol.Fetch && held:
				looked = true
			case kind == protocol.Produce && looked && !delivered:
				delivered = true
				answer = faults.deliverTo(faults.addr, <-faults.frames)
			}
			return passes
		})
		mustAppend(t, w, want[10:20]...)
		if !delivered {
			t.Fatal("the late request was not delivered")
		}
		if code := produceCode(t, answer, cfg.Topic); code != kafka.InvalidProducerEpoch {
			t.Errorf("the late request was answered with %d (%v), want %d", code, code, kafka.InvalidProducerEpoch)
		}
		mustAppend(t, w, want[20:]...)
		sameRecords(t, want, whole(t, cfg)[1:])
	})
}

// produceCode returns the error code in an answer to a produce request of version 3 to 8:
// correlation id, topics, name, partitions, partition, code.
func produceCode(t testing.TB, answer []byte, topic string) kafka.Error {
	t.Helper()
	at := 4 + 4 + 2 + len(topic) + 4 + 4
	if len(answer) < at+2 {
		t.Fatalf("an answer of %d bytes", len(answer))
	}
	return kafka.Error(int16(binary.BigEndian.Uint16(answer[at:])))
}

func TestOlderOwnerIsFenced(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg := freshLog(t, brokers)
		older, _ := own(t, cfg)
		mustAppend(t, older, rows(0, 10)...)
		newer, tail := own(t, cfg)
		if tail.Place.Seq != 11 {
			t.Fatalf("the tail ends at %+v", tail.Place)
		}
		if err := older.Append(t.Context(), rows(90, 95)); err != nil && !errors.Is(err, ErrFenced) {
			t.Fatal(err)
		}
		if err := older.Flush(t.Context()); !errors.Is(err, ErrFenced) {
			t.Fatalf("the older owner got %v, want %v", err, ErrFenced)
		}
		<-older.Done()
		// The embedded broker gives the older owner an epoch again; the newer must survive it.
		mustAppend(t, newer, rows(10, 20)...)
		if n := len(whole(t, cfg)); n != 22 {
			t.Errorf("%d records, want 22: two claims and 20 rows", n)
		}
	})
}

// The answer to a request for an epoch is lost, and the coordinator moves: it remembers the epoch that it gave, and not which it was asked with. Who asks again is
// refused for his own epoch, as an older owner would be; but nobody else has written a fence.
func TestOwnEpochFencesNobody(t *testing.T) {
	for _, taken := range []bool{false, true} {
		cfg, faults := through(t, freshLog(t, server.Kafka(t)))
		w, _ := own(t, cfg)
		want := rows(0, 20)
		mustAppend(t, w, want[:10]...)
		lost := owner{producer: producer{id: w.own.producer.id, epoch: w.own.epoch + 1}}
		plain := cfg
		plain.dial = nil
		asked, sent := 0, false
		var newer *Writer
		faults.set(func(kind protocol.ApiKey) fate {
			switch {
			case kind == protocol.Produce && !sent:
				sent = true
				return isCut
			case kind == protocol.InitProducerId:
				if asked++; asked == 1 {
					return losesAnswer
				}
				switch {
				case asked == 2 && taken:
					newer, _ = own(t, plain)
				case asked == 2:
					forgetsEpoch(t, plain, lost)
				}
			}
			return passes
		})
		err := w.Append(t.Context(), want[10:])
		if err == nil {
			err = w.Flush(t.Context())
		}
		switch {
		case taken && !errors.Is(err, ErrFenced):
			t.Errorf("the log was taken meanwhile, and its older owner got %v", err)
		case !taken && err != nil:
			t.Errorf("refused for its own epoch: %v", err)
		case !taken:
			sameRecords(t, want, whole(t, plain)[1:])
		default:
			mustAppend(t, newer, want[10:]...) // who has asked in vain has taken nothing
		}
	}
}

// forgetsEpoch has the coordinator count on from an epoch that it gave, by which it knows the one before no more.
func forgetsEpoch(t *testing.T, cfg Config, gave owner) {
	t.Helper()
	s, err := newSession(cfg)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.close()
	if err := s.takeEpoch(t.Context(), &gave); err != nil {
		t.Error(err)
	}
}

// Kafka compares epochs a partition, and learns of a new one by the first batch that carries
// it. So between the epoch and the fence the older owner still writes, and only what stands
// below the fence is final.
func TestOlderOwnerWritesUntilTheFence(t *testing.T) {
	cfg := freshLog(t, server.Kafka(t))
	older, _ := own(t, cfg)
	s, err := newSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	next := newOwner("next")
	if err := s.takeEpoch(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, older, rows(0, 5)...) // an epoch alone fences nobody
	fence, err := s.writeFence(t.Context(), &next, true)
	if err != nil {
		t.Fatal(err)
	}
	tail, err := s.readTail(t.Context(), fence)
	if err != nil {
		t.Fatal(err)
	}
	if tail.Place.Seq != 6 {
		t.Errorf("the tail up to the fence ends with %+v, want the older owner's last record", tail.Place)
	}
	err = older.Append(t.Context(), rows(5, 10))
	if err == nil {
		err = older.Flush(t.Context())
	}
	if !errors.Is(err, ErrFenced) {
		t.Errorf("behind the fence the older owner got %v, want %v", err, ErrFenced)
	}
	if n := len(whole(t, cfg)); n != 6 {
		t.Errorf("%d records, want 6", n)
	}
}

// What the older owner writes in the last moment before the fence is in the tail that the new one
// goes on from: the tail is read behind the fence, never before it.
func TestOlderOwnerWritesWhileTheLogIsTaken(t *testing.T) {
	cfg := freshLog(t, server.Kafka(t))
	older, _ := own(t, cfg)
	mustAppend(t, older, rows(0, 5)...)
	taking, faults := through(t, cfg)
	fenced := false
	var wrote error
	faults.set(func(kind protocol.ApiKey) fate {
		if kind == protocol.Produce && !fenced {
			fenced = true
			if wrote = older.Append(t.Context(), rows(5, 10)); wrote == nil {
				wrote = older.Flush(t.Context())
			}
		}
		return passes
	})
	newer, tail := own(t, taking)
	if wrote != nil || !fenced {
		t.Fatalf("the older owner wrote before the fence: %v, and got %v", fenced, wrote)
	}
	if tail.Place.Seq != 11 {
		t.Errorf("the tail ends with %+v, the log with record 11", tail.Place)
	}
	mustAppend(t, newer, rows(10, 15)...)
	if n := len(whole(t, cfg)); n != 17 {
		t.Errorf("%d records, want 17: two claims and 15 rows", n)
	}
}

// An owner who died between his fence and his claim must not fence the next one, who meets that
// fence when he asks whether the log is still his.
func TestFenceWithoutClaimFencesNobodyLater(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg, faults := through(t, freshLog(t, brokers))
		died, _ := acquire(t, cfg)
		died.Close()
		w, tail := acquire(t, cfg)
		faults.once(losesAnswer)
		mustAppend(t, w, claim(tail))
		mustAppend(t, w, rows(0, 5)...)
		if n := len(whole(t, cfg)); n != 6 {
			t.Errorf("%d records, want 6", n)
		}
	})
}

func TestTwoOwnersAtOnceLeaveOne(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg := freshLog(t, brokers)
		const owners = 4
		results := make(chan error, owners)
		for i := range owners {
			go func() { results <- writeAlone(t.Context(), cfg, i) }()
		}
		alive := 0
		for range owners {
			switch err := <-results; {
			case err == nil:
				alive++
			case !errors.Is(err, ErrFenced):
				t.Error(err)
			}
		}
		if alive != 1 {
			t.Errorf("%d owners of %d came through, want 1", alive, owners)
		}
		whole(t, cfg)
	})
}

// writeAlone owns the log and writes until it is fenced, or nobody has fenced it for a while.
func writeAlone(ctx context.Context, cfg Config, name int) error {
	w, tail, err := Acquire(ctx, cfg, Begin{Owner: fmt.Sprint(name), First: true})
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Append(ctx, []change.Record{claim(tail)}); err != nil {
		return err
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		if err := w.Append(ctx, rows(0, 3)); err != nil {
			return err
		}
		if err := w.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sharedSource is drawn from by the test and by every connection that it spoils.
type sharedSource struct {
	mu     sync.Mutex
	source rand.Source
}

func (s *sharedSource) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source.Uint64()
}

func TestConnectionsBreakAtRandom(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg, faults := through(t, freshLog(t, brokers))
		w, _ := own(t, cfg)
		r := open(t, cfg, Position{})
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(&sharedSource{source: rand.NewPCG(seed, 0)})
		var held atomic.Int64
		faults.set(func(kind protocol.ApiKey) fate {
			if kind == protocol.ApiVersions || random.IntN(16) > 0 {
				return passes
			}
			what := fate(1 + random.IntN(4))
			if what == comesLate && kind != protocol.Produce {
				return isCut
			}
			if what == comesLate {
				held.Add(1)
			}
			return what
		})
		var want []change.Record
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
			some := rows(len(want), len(want)+1+random.IntN(40))
			if err := w.Append(t.Context(), some); err != nil {
				t.Fatal(err)
			}
			want = append(want, some...)
			if random.IntN(3) == 0 {
				select {
				case frame := <-faults.frames:
					faults.deliver(frame)
				default:
				}
			}
			if random.IntN(2) == 0 {
				if err := w.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		faults.set(func(protocol.ApiKey) fate { return passes })
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		sameRecords(t, want, take(t, r, len(want)+1)[1:])
		sameRecords(t, want, whole(t, cfg)[1:])
		t.Logf("%d records; %d requests came late", len(want), held.Load())
	})
}

func TestNewEpochInTimeRepeatsNothing(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg := freshLog(t, brokers)
		w, _ := own(t, cfg)
		want := rows(0, 60)
		mustAppend(t, w, want[:20]...)
		w.own.sequence = lastSequence // the sender is idle: nothing is in flight
		mustAppend(t, w, want[20:40]...)
		if w.own.sequence > 100 {
			t.Errorf("sequence %d: no new epoch was taken", w.own.sequence)
		}
		w.since = w.since.Add(-refreshAfter)
		mustAppend(t, w, want[40:]...)
		if time.Since(w.since) > time.Hour {
			t.Error("an epoch of a day ago is still used")
		}
		sameRecords(t, want, whole(t, cfg)[1:])
	})
}

func TestFirstRecordOfAnOwnerIsAClaim(t *testing.T) {
	cfg := freshLog(t, embedded(t))
	w, tail := acquire(t, cfg)
	if err := w.Append(t.Context(), rows(0, 1)); err == nil {
		t.Fatal("a row was taken before the claim")
	}
	mustAppend(t, w, claim(tail))
}

func TestRecordTooBigIsToldApart(t *testing.T) {
	cfg := freshLog(t, embedded(t))
	cfg.MaxBytes = 10_000
	w, _ := own(t, cfg)
	big := rows(0, 3)
	big[1].Value = make([]byte, 10_000)
	var tooBig *TooBigError
	if err := w.Append(t.Context(), big); !errors.As(err, &tooBig) || tooBig.Index != 1 {
		t.Fatalf("got %v", err)
	}
	if place := w.Appended(); place.Seq != 1 {
		t.Errorf("something was appended: %+v", place)
	}
	big[1].Value = make([]byte, 10_000-Size(&change.Record{Key: big[1].Key, Table: big[1].Table, Op: big[1].Op, Origin: big[1].Origin}))
	mustAppend(t, w, big...)
	sameRecords(t, big, take(t, open(t, cfg, Position{}), 4)[1:])
}
