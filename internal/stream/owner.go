package stream

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/spola-cdc/spola/internal/change"
)

// Begin says how a Writer may begin.
type Begin struct {
	Owner string // host and process, for people; stands in the fence

	// First allows an empty log to begin with generation 1: nothing was ever read from this
	// source. Without it, or NewGeneration, an empty log is an error: somebody emptied it.
	First bool

	// NewGeneration begins generation n+1 behind the last record of generation n.
	NewGeneration bool

	// Predecessor is what a new generation names if the log is empty, because it was moved to
	// another broker or lost. It is not used when the log has records.
	Predecessor *change.Predecessor
}

// fenceMessage is the value of a fence. An owner who meets another's fence that takes the
// log is fenced, even by a broker that forgot to refuse him; a fence that only asks whether
// the log is still one's own fences nobody.
type fenceMessage struct {
	Kind  change.Op `json:"kind"`
	Owner string    `json:"owner"`
	ID    string    `json:"id"` // of the owner's process, drawn at Acquire
	Takes bool      `json:"takes"`
}

// owner is who writes a log.
type owner struct {
	name string
	id   string
	producer

	unsure bool // the answer to a request for an epoch was lost: the coordinator's newest may be this owner's
}

func newOwner(name string) owner {
	return owner{name: name, id: rand.Text(), producer: producer{id: -1, epoch: -1}}
}

// transactionTimeout is demanded by InitProducerID; no transaction is ever begun.
const transactionTimeout = time.Minute

// takeEpoch asks the transaction coordinator for the next epoch. The first time it takes the
// log from whoever has it; later, with one's own id and epoch, Kafka refuses if another owner
// took it meanwhile.
func (s *session) takeEpoch(ctx context.Context, o *owner) error {
	res, err := s.client.InitProducerID(ctx, &kafka.InitProducerIDRequest{
		TransactionalID:      "spola." + s.cfg.Topic,
		TransactionTimeoutMs: int(transactionTimeout.Milliseconds()),
		ProducerID:           int(o.producer.id),
		ProducerEpoch:        int(o.epoch),
	})
	if err == nil && res.Error != nil {
		err = res.Error // the producer id is 0 then, which is a valid one
	}
	switch {
	case err == nil:
	case isFencedCode(err):
		return fmt.Errorf("take an epoch: %w: %w", ErrFenced, err)
	case errors.Is(err, kafka.InvalidProducerIDMapping):
		return &StopError{Kind: ErrSequence, Topic: s.cfg.Topic, Offset: -1, What: "the broker does not know this producer any more", Mend: mends[ErrSequence]}
	default:
		o.unsure = true // an error may be the coordinator's too, behind which it has given the epoch
		return fmt.Errorf("take an epoch: %w", err)
	}
	o.producer = producer{id: int64(res.Producer.ProducerID), epoch: int16(res.Producer.ProducerEpoch)}
	return nil
}

func isFencedCode(err error) bool {
	return errors.Is(err, kafka.InvalidProducerEpoch) || errors.Is(err, kafka.ProducerFenced)
}

// writeFence writes the fence that makes the epoch known to the partition and returns its
// offset. From then on the broker refuses the owners before, and what stands below the
// offset is final. Between takeEpoch and the fence an older owner can still write.
func (s *session) writeFence(ctx context.Context, o *owner, takes bool) (offset int64, err error) {
	value, err := json.Marshal(fenceMessage{Kind: change.Fence, Owner: o.name, ID: o.id, Takes: takes})
	if err != nil {
		return 0, fmt.Errorf("write a fence: %w", err)
	}
	b, err := newBatch()
	if err != nil {
		return 0, err
	}
	b.add(&change.Record{Op: change.Fence, Time: time.Now().UnixMilli(), Key: change.OwnKey(change.Fence), Value: value})
	if err := b.seal(); err != nil {
		return 0, err
	}
	b.stamp(o.producer)
	pause := newBackOff(ctx)
	for {
		offset, err := s.produce(ctx, b)
		if err == nil {
			o.sequence += int32(b.count)
			return offset, nil
		}
		if !isSameBytes(err) {
			if isFencedCode(err) {
				err = fmt.Errorf("%w: %w", ErrFenced, err)
			}
			return 0, fmt.Errorf("write a fence: %w", err)
		}
		if err := wait(ctx, pause.NextBackOff()); err != nil {
			return 0, err
		}
	}
}

// produce sends a stamped batch and returns the offset of its first record. The errors that
// kafka-go names are the broker's answers; any other leaves open what became of the batch.
func (s *session) produce(ctx context.Context, b *batch) (offset int64, err error) {
	res, err := s.client.RawProduce(ctx, &kafka.RawProduceRequest{
		Topic: s.cfg.Topic, RequiredAcks: kafka.RequireAll,
		RawRecords: protocol.RawRecordSet{Reader: bytes.NewReader(b.out.Bytes())},
	})
	if err != nil {
		return 0, fmt.Errorf("produce: %w", err)
	}
	if res.Error != nil {
		return 0, fmt.Errorf("produce: %w", &answer{res.Error})
	}
	return res.BaseOffset, nil
}

// answer is an error that the broker gave over a healthy connection.
type answer struct{ err error }

// Error is the broker's own.
func (a *answer) Error() string { return a.err.Error() }
func (a *answer) Unwrap() error { return a.err }

// isSameBytes tells whether the broker answered that the same bytes may be sent again over
// the same connection: the sequence numbers then keep a batch from standing twice.
func isSameBytes(err error) bool {
	var a *answer
	if !errors.As(err, &a) {
		return false
	}
	for _, code := range []kafka.Error{kafka.RequestTimedOut, kafka.NotEnoughReplicas, kafka.NotEnoughReplicasAfterAppend} {
		if errors.Is(a.err, code) {
			return true
		}
	}
	return false
}

func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Acquire takes the log over: it takes an epoch, writes a fence, and reads the tail, final up
// to the fence. The caller folds the tail and then appends a claim; the Writer takes no other
// record first. It waits for brokers that are away until the context ends. A topic that is
// not there is a StopError: call EnsureTopic first.
func Acquire(ctx context.Context, cfg Config, begin Begin) (*Writer, *Tail, error) {
	own := newOwner(begin.Owner)
	var tail *Tail
	s, err := withSession(ctx, cfg, "take the log", func(s *session) error {
		// Whatever broke, the next attempt begins with a new epoch as if it were the first: no
		// claim was written yet, so there is nothing to lose.
		own.producer = producer{id: -1, epoch: -1}
		if err := s.takeEpoch(ctx, &own); err != nil {
			return err
		}
		fence, err := s.writeFence(ctx, &own, true)
		if err != nil {
			return err
		}
		if tail, err = s.readTail(ctx, fence); err != nil {
			return err
		}
		return tail.begin(begin)
	})
	if err != nil {
		return nil, nil, err
	}
	w, err := newWriter(s, own, tail)
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return w, tail, nil
}
