package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// forge writes records as they are, numbers, sums and all, as a broken or foreign writer
// would.
func forge(t testing.TB, cfg Config, records ...change.Record) {
	t.Helper()
	s, err := newSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	b, err := newBatch()
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		b.add(&records[i])
	}
	if err := b.seal(); err != nil {
		t.Fatal(err)
	}
	b.stamp(producer{id: -1, epoch: -1, sequence: -1})
	if _, err := s.produce(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// numbered gives records the numbers and sums that follow a place.
func numbered(at change.Place, records ...change.Record) ([]change.Record, change.Place) {
	for i := range records {
		r := &records[i]
		r.Gen, r.Seq = at.Gen, at.Seq+1
		r.Sum = r.NextSum(at.Sum)
		at = change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}
	}
	return records, at
}

// ends reads until an error comes and returns it with the number of records before it.
func ends(t testing.TB, r *Reader) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	for n := 0; ; {
		records, err := r.Next(ctx)
		if err != nil {
			return n, err
		}
		n += len(records)
	}
}

func stops(t testing.TB, r *Reader, after int, kind error) {
	t.Helper()
	n, err := ends(t, r)
	if n != after || !errors.Is(err, kind) || !errors.Is(err, ErrStopped) {
		t.Errorf("after %d records: %v; want %v after %d", n, err, kind, after)
	}
}

// logOf forges a log of n records in generation 1.
func logOf(t testing.TB, brokers []string, n int) (Config, []change.Record, change.Place) {
	t.Helper()
	cfg := freshLog(t, brokers)
	records, at := numbered(change.Place{Gen: 1}, append([]change.Record{claim(&Tail{Generation: 1})}, rows(0, n-1)...)...)
	forge(t, cfg, records...)
	return cfg, records, at
}

func TestReaderStops(t *testing.T) {
	brokers := embedded(t)
	t.Run("at a hole", func(t *testing.T) {
		cfg, _, at := logOf(t, brokers, 10)
		some, _ := numbered(at, rows(9, 12)...)
		forge(t, cfg, some[1:]...)
		stops(t, open(t, cfg, Position{}), 10, ErrHole)
	})
	t.Run("at another content", func(t *testing.T) {
		cfg, _, at := logOf(t, brokers, 10)
		some, _ := numbered(at, rows(9, 12)...)
		some[1].Value = []byte(`{"before":null,"after":{"order_id":1}}`)
		forge(t, cfg, some...)
		stops(t, open(t, cfg, Position{}), 11, ErrMismatch)
	})
	t.Run("at another origin", func(t *testing.T) {
		cfg, _, at := logOf(t, brokers, 10)
		some, _ := numbered(at, rows(9, 10)...)
		some[0].Origin += "0"
		forge(t, cfg, some...)
		stops(t, open(t, cfg, Position{}), 10, ErrMismatch)
	})
	t.Run("at another time", func(t *testing.T) {
		cfg, _, at := logOf(t, brokers, 10)
		some, _ := numbered(at, rows(9, 10)...)
		some[0].Time++
		forge(t, cfg, some...)
		stops(t, open(t, cfg, Position{}), 10, ErrMismatch)
	})
	t.Run("at a repeat of an older record", func(t *testing.T) {
		cfg, records, _ := logOf(t, brokers, 10)
		forge(t, cfg, records[8:]...)
		stops(t, open(t, cfg, Position{}), 10, ErrMismatch)
	})
	t.Run("at a record of somebody else", func(t *testing.T) {
		cfg, _, _ := logOf(t, brokers, 10)
		s, err := newSession(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		_, err = s.client.Produce(t.Context(), &kafka.ProduceRequest{Topic: cfg.Topic, RequiredAcks: kafka.RequireAll,
			Records: kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte("hello"))})})
		if err != nil {
			t.Fatal(err)
		}
		stops(t, open(t, cfg, Position{}), 10, ErrForeign)
	})
	t.Run("at the start of a log whose beginning is gone", func(t *testing.T) {
		cfg := freshLog(t, brokers)
		some, _ := numbered(change.Place{Gen: 1, Seq: 5}, rows(0, 3)...)
		forge(t, cfg, some...)
		stops(t, open(t, cfg, Position{}), 0, ErrTrimmed)
	})
}

func TestExactRepeatOfTheLastRecordIsDropped(t *testing.T) {
	cfg, records, at := logOf(t, embedded(t), 10)
	forge(t, cfg, records[9])
	some, _ := numbered(at, rows(9, 12)...)
	forge(t, cfg, some...)
	take(t, open(t, cfg, Position{}), 13)
}

// An applier crosses to a new generation only from exactly where it begins.
func TestGenerations(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg := freshLog(t, brokers)
		w, _ := own(t, cfg)
		mustAppend(t, w, rows(0, 9)...)
		old, _ := w.Acked()
		w.Close()
		w, tail, err := Acquire(t.Context(), cfg, Begin{Owner: "new", NewGeneration: true})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if tail.Generation != 2 || tail.Predecessor == nil || tail.Predecessor.Seq != 10 {
			t.Fatalf("tail %+v, predecessor %+v", tail, tail.Predecessor)
		}
		mustAppend(t, w, claim(tail))
		mustAppend(t, w, rows(9, 12)...)
		take(t, open(t, cfg, Position{}), 14)
		take(t, open(t, cfg, Position{Place: old}), 4)
		take(t, open(t, cfg, Position{Place: change.Place{Gen: 2}}), 4)

		// The same log on another broker, whose topic is new: crossed only from the end of the old.
		moved := freshLog(t, brokers)
		m, movedTail, err := Acquire(t.Context(), moved, Begin{Owner: "moved", NewGeneration: true,
			Predecessor: &change.Predecessor{Gen: 2, Seq: 4, Sum: change.FormatSum(w.Appended().Sum), Origin: row(11).Origin}})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		mustAppend(t, m, claim(movedTail))
		mustAppend(t, m, rows(12, 15)...)
		got := take(t, open(t, moved, Position{Place: w.Appended(), Offset: 77}), 4)
		if got[0].Gen != 3 || got[0].Seq != 1 {
			t.Errorf("the first record of the moved log is %d/%d", got[0].Gen, got[0].Seq)
		}
		stops(t, open(t, moved, Position{Place: old, Offset: 10}), 0, ErrGeneration)
		// Who stands a record before that end, a record behind it (the old log was shortened before it was moved), or there
		// by another history, does not cross.
		end := w.Appended()
		for _, at := range []change.Place{{Gen: end.Gen, Seq: end.Seq - 1, Sum: end.Sum}, {Gen: end.Gen, Seq: end.Seq + 1, Sum: end.Sum}, {Gen: end.Gen, Seq: end.Seq, Sum: end.Sum + 1}} {
			stops(t, open(t, moved, Position{Place: at, Offset: 77}), 0, ErrGeneration)
		}
		stops(t, open(t, moved, Position{}), 0, ErrGeneration)
	})
}

func TestEmptyLogIsNotBegunUnasked(t *testing.T) {
	cfg := freshLog(t, embedded(t))
	_, _, err := Acquire(t.Context(), cfg, Begin{Owner: "test"})
	if !errors.Is(err, ErrEmpty) || !errors.Is(err, ErrStopped) {
		t.Errorf("got %v", err)
	}
	w, tail, err := Acquire(t.Context(), cfg, Begin{Owner: "test", NewGeneration: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if tail.Generation != 2 {
		t.Errorf("generation %d begins on an empty log of which nothing is known", tail.Generation)
	}
}

// Reading begins behind any record, whatever the hint, and with fences in between.
func TestEveryPlaceIsFound(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg := freshLog(t, brokers)
		for i := range 5 {
			w, _ := own(t, cfg)
			for range 4 {
				mustAppend(t, w, rows(i, i+1+rand.IntN(5))...)
			}
			w.Close()
		}
		all := whole(t, cfg)
		for i, r := range all {
			place := change.Place{Gen: r.Gen, Seq: r.Seq, Sum: r.Sum}
			for _, hint := range []int64{r.Offset, -1, r.Offset + 1, rand.Int64N(2 * int64(len(all)))} {
				reader, err := OpenReader(t.Context(), cfg, Position{Place: place, Offset: hint})
				if err != nil {
					t.Fatalf("place %d with hint %d: %v", r.Seq, hint, err)
				}
				if i+1 < len(all) {
					next := take(t, reader, 1)
					if next[0].Seq != r.Seq+1 {
						t.Errorf("place %d with hint %d: next is %d", r.Seq, hint, next[0].Seq)
					}
				}
				reader.Close()
			}
			place.Sum++
			_, err := OpenReader(t.Context(), cfg, Position{Place: place, Offset: r.Offset})
			if !errors.Is(err, ErrMismatch) {
				t.Errorf("place %d with another sum: %v", r.Seq, err)
			}
		}
		end := change.Place{Gen: 1, Seq: int64(len(all) + 5), Sum: 1}
		if _, err := OpenReader(t.Context(), cfg, Position{Place: end, Offset: -1}); !errors.Is(err, ErrShortened) {
			t.Errorf("a place behind the end: %v", err)
		}
	})
}

// A fence at the end is no record: a reader whose place is gone does not wait behind it.
func TestFenceIsNoRecordToWaitFor(t *testing.T) {
	cfg, _, at := logOf(t, embedded(t), 10)
	acquire(t, cfg)
	at.Seq += 5
	if _, err := OpenReader(t.Context(), cfg, Position{Place: at, Offset: -1}); !errors.Is(err, ErrShortened) {
		t.Errorf("behind the end: %v", err)
	}
	empty := freshLog(t, embedded(t))
	acquire(t, empty)
	if _, err := OpenReader(t.Context(), empty, Position{Place: at, Offset: 3}); !errors.Is(err, ErrEmpty) {
		t.Errorf("in an empty log: %v", err)
	}
}

// A topic that is deleted and made again under a reader and a writer.
func TestLogMadeAgain(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg := freshLog(t, brokers)
		w, _ := own(t, cfg)
		mustAppend(t, w, rows(0, 50)...)
		at, offset := w.Acked()
		r := open(t, cfg, Position{})
		take(t, r, 51)
		deleteTopic(t, cfg)
		remake(t, cfg)
		if _, err := OpenReader(t.Context(), cfg, Position{Place: at, Offset: offset}); !errors.Is(err, ErrEmpty) {
			t.Errorf("opened on the new, empty topic: %v", err)
		}
		if err := w.Append(t.Context(), rows(50, 60)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("the writer got %v, want %v", err, ErrStopped)
		}
		if _, err := ends(t, r); !errors.Is(err, ErrStopped) {
			t.Errorf("the reader got %v, want %v", err, ErrStopped)
		}
	})
}

// remake makes a deleted topic again as soon as the broker lets it.
func remake(t testing.TB, cfg Config) {
	t.Helper()
	for end := time.Now().Add(server.Patience); ; {
		made, err := EnsureTopic(t.Context(), cfg, TopicSettings{})
		if err == nil && made {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the topic was not made again: made %t, %v", made, err)
		}
	}
}

// Retention takes the oldest records while a reader is away.
func TestRecordsDeletedBeforeTheyWereRead(t *testing.T) {
	cfg := freshLog(t, server.Kafka(t))
	w, _ := own(t, cfg)
	mustAppend(t, w, rows(0, 50)...)
	all := whole(t, cfg)
	deleteBelow(t, cfg, 30)
	place := func(i int) Position {
		return Position{Place: change.Place{Gen: 1, Seq: all[i].Seq, Sum: all[i].Sum}, Offset: all[i].Offset}
	}
	stops(t, open(t, cfg, place(10)), 0, ErrTrimmed)
	stops(t, open(t, cfg, Position{}), 0, ErrTrimmed)
	// The last deleted record is the place: what follows proves it by its sum.
	last := -1
	for i := range all {
		if all[i].Offset < 30 {
			last = i
		}
	}
	if got := take(t, open(t, cfg, place(last)), 1); got[0].Seq != all[last].Seq+1 {
		t.Errorf("next is %d", got[0].Seq)
	}
	forged := place(last)
	forged.Place.Sum++
	stops(t, open(t, cfg, forged), 0, ErrMismatch)
	// Tools begin with what is left.
	if got := take(t, open(t, cfg, Position{Oldest: true}), 1); got[0].Offset < 30 {
		t.Errorf("the oldest record is at %d", got[0].Offset)
	}
}

// deleteBelow deletes records as kafka-delete-records.sh does; kafka-go has no such request.
func deleteBelow(t testing.TB, cfg Config, offset int64) {
	t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 5000
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = cfg.Topic
	part := kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Offset = offset
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	req.SetVersion(1)
	f := &faults{t: t, addr: cfg.Brokers[0]}
	answer := f.deliver(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1))
	res := req.ResponseKind()
	if err := res.ReadFrom(answer[4:]); err != nil {
		t.Fatal(err)
	}
	if code := res.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("delete records: %v", kafka.Error(code))
	}
}

func TestTopicThatCannotBeALog(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		for name, topic := range map[string]kafka.TopicConfig{
			"compacted":  {NumPartitions: 1, ConfigEntries: []kafka.ConfigEntry{{ConfigName: "cleanup.policy", ConfigValue: "compact"}}},
			"partitions": {NumPartitions: 3},
			"log-time":   {NumPartitions: 1, ConfigEntries: []kafka.ConfigEntry{{ConfigName: "message.timestamp.type", ConfigValue: "LogAppendTime"}}},
			"small":      {NumPartitions: 1, ConfigEntries: []kafka.ConfigEntry{{ConfigName: "max.message.bytes", ConfigValue: "1000"}}},
		} {
			topic.Topic, topic.ReplicationFactor = fmt.Sprintf("test.%s.%d", name, time.Now().UnixNano()), 1
			cfg := Config{Brokers: brokers, Topic: topic.Topic}
			s, err := newSession(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			res, err := s.client.CreateTopics(t.Context(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
			if err != nil {
				t.Fatal(err)
			}
			if err := res.Errors[topic.Topic]; err != nil {
				if !errors.Is(err, kafka.PolicyViolation) {
					t.Fatal(err)
				}
				continue // the embedded broker does not even make it
			}
			t.Cleanup(func() { deleteTopic(t, cfg) })
			var stop *StopError
			if _, err := EnsureTopic(t.Context(), cfg, TopicSettings{}); !errors.As(err, &stop) || !errors.Is(err, ErrTopic) || stop.Mend == "" {
				t.Errorf("topic %s: %v", name, err)
			}
			if there, _, err := CheckTopic(t.Context(), cfg, TopicSettings{}); !there || !errors.Is(err, ErrTopic) {
				t.Errorf("topic %s is looked at: there %v, %v", name, there, err)
			}
		}
	})
}

// Looking makes no topic, and tells what would keep it from being made.
func TestCheckTopicMakesNothing(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg := Config{Brokers: brokers, Topic: fmt.Sprintf("test.looked.%d", time.Now().UnixNano()), Log: testLog(t)}
		for range 2 {
			there, n, err := CheckTopic(t.Context(), cfg, TopicSettings{})
			if there || n != 1 || err != nil {
				t.Fatalf("before it is made: there %v, %d brokers, %v", there, n, err)
			}
		}
		if _, _, err := CheckTopic(t.Context(), cfg, TopicSettings{Replication: 3}); !errors.Is(err, ErrTopic) {
			t.Errorf("three replicas on one broker: %v", err)
		}
		if _, err := EnsureTopic(t.Context(), cfg, TopicSettings{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { deleteTopic(t, cfg) })
		if there, _, err := CheckTopic(t.Context(), cfg, TopicSettings{}); !there || err != nil {
			t.Errorf("after it is made: there %v, %v", there, err)
		}
	})
}

func TestMissingTopicIsWaitedForAtMostAWhile(t *testing.T) {
	cfg := Config{Brokers: embedded(t), Topic: "not.there", Log: testLog(t)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, _, err := Acquire(ctx, cfg, Begin{First: true}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Who measures again and again keeps his connections, and makes new ones once they are broken.
func TestMeterKeepsItsConnections(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg := freshLog(t, brokers)
		w, _ := own(t, cfg)
		mustAppend(t, w, rows(0, 20)...)
		all := whole(t, cfg)
		var mu sync.Mutex
		var open []net.Conn
		cfg.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			mu.Lock()
			defer mu.Unlock()
			open = append(open, conn)
			return conn, err
		}
		dialled := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(open)
		}
		m := NewMeter(cfg)
		defer m.Close()
		measure := func() {
			t.Helper()
			if lag, err := m.Lag(t.Context(), all[9].Offset); err != nil || lag.Events != 11 {
				t.Fatalf("lag %+v, %v", lag, err)
			}
		}
		measure()
		first := dialled()
		for range 20 {
			measure()
		}
		if again := dialled(); again >= first+20 {
			t.Errorf("%d connections for one look, %d for 21", first, again)
		}
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		for deadline := time.Now().Add(server.Patience); ; {
			lag, err := m.Lag(t.Context(), all[9].Offset)
			if err == nil && lag.Events == 11 {
				break
			}
			if err == nil || time.Now().After(deadline) {
				t.Fatalf("behind the break: lag %+v, %v", lag, err)
			}
		}
	})
}

func TestLagAndCommittedOffset(t *testing.T) {
	onEachBroker(t, func(t *testing.T, brokers []string) {
		cfg := freshLog(t, brokers)
		w, _ := own(t, cfg)
		some := rows(0, 20)
		some[9].Time = time.Now().Add(-time.Hour).UnixMilli()
		mustAppend(t, w, some...)
		all := whole(t, cfg)
		lag, err := MeasureLag(t.Context(), cfg, all[9].Offset)
		if err != nil {
			t.Fatal(err)
		}
		if age := lag.Age(time.Now()); lag.Events != 11 || age < time.Hour || age > time.Hour+time.Minute {
			t.Errorf("lag %+v, want 11 events and an hour", lag)
		}
		if lag, err = MeasureLag(t.Context(), cfg, all[20].Offset); err != nil || lag != (Lag{}) {
			t.Errorf("lag at the end: %+v, %v", lag, err)
		}
		group := cfg.Topic + ".applier"
		if offset, err := CommittedOffset(t.Context(), cfg, group); err != nil || offset != -1 {
			t.Errorf("before a commit: %d, %v", offset, err)
		}
		if err := CommitOffset(t.Context(), cfg, group, all[9].Offset); err != nil {
			t.Fatal(err)
		}
		if offset, err := CommittedOffset(t.Context(), cfg, group); err != nil || offset != all[9].Offset {
			t.Errorf("committed %d, %v", offset, err)
		}
	})
}

func TestFenceTellsItsOwner(t *testing.T) {
	cfg := freshLog(t, embedded(t))
	w, _ := acquire(t, cfg)
	s, err := newSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var fence fenceMessage
	err = s.scan(t.Context(), 0, 1, func(records []change.Record) error {
		return json.Unmarshal(records[0].Value, &fence)
	})
	if err != nil || fence.Owner != t.Name() || fence.ID != w.own.id || !fence.Takes {
		t.Errorf("fence %+v, %v", fence, err)
	}
}
