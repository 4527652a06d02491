package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// fetchVersion is the version of the Fetch request that is spoken: what kafka-go negotiates
// with Kafka 2.3 and later.
const fetchVersion = 11

// maxFrame bounds a response. A broker sends at least one whole batch, however large.
const maxFrame = 256 << 20

// fetched is what one fetch brought.
type fetched struct {
	records []byte // whole batches, perhaps with a cut one at the end
	end     int64  // high watermark: the offset behind the last record
	start   int64  // offset of the oldest record
}

// fetchRequest is a Fetch request that goes over kafka-go's connections and keeps the
// batches as they are: kafka-go's own reading of them costs an allocation a header and
// passes over a batch whose checksum is wrong.
type fetchRequest struct {
	topic    string
	offset   int64
	wait     time.Duration
	maxBytes int32
	version  int16
}

var (
	_ protocol.BrokerMessage = (*fetchRequest)(nil)
	_ protocol.RawExchanger  = (*fetchRequest)(nil)
)

// ApiKey is kafka-go's name for it.
func (r *fetchRequest) ApiKey() protocol.ApiKey { return protocol.Fetch }

// Broker routes the request to the partition's leader.
func (r *fetchRequest) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	topic, ok := cluster.Topics[r.topic]
	if ok && topic.Error != 0 {
		return protocol.Broker{}, kafka.Error(topic.Error)
	}
	stock := fetch.Request{Topics: []fetch.RequestTopic{{Topic: r.topic, Partitions: []fetch.RequestPartition{{}}}}}
	return stock.Broker(cluster)
}

// Required makes kafka-go call RawExchange.
func (r *fetchRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.Fetch]
	return true
}

// fetchResponse is the answer; it is a kafka-go message by name only.
type fetchResponse struct {
	fetched
	err error
}

// ApiKey makes it a response that kafka-go can read.
func (*fetchResponse) ApiKey() protocol.ApiKey { return protocol.Fetch }

// RawExchange writes the request and reads the response.
func (r *fetchRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if r.version != fetchVersion {
		return nil, fmt.Errorf("fetch: the broker speaks version %d, want %d: Kafka 2.3 or later is needed", r.version, fetchVersion)
	}
	if _, err := rw.Write(r.encode()); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(rw, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return nil, fmt.Errorf("fetch: response of %d bytes", n)
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(rw, frame); err != nil {
		return nil, err
	}
	return decodeFetch(frame)
}

func (r *fetchRequest) encode() []byte {
	order := binary.BigEndian
	b := make([]byte, 4, 128+len(r.topic))
	b = order.AppendUint16(b, uint16(protocol.Fetch))
	b = order.AppendUint16(b, fetchVersion)
	b = order.AppendUint32(b, 0) // correlation id: one request at a time on a connection
	b = appendString(b, "spola") // client id
	b = appendInt32(b, -1)       // replica id: a consumer
	b = appendInt32(b, int32(r.wait.Milliseconds()))
	b = appendInt32(b, 1) // at least one byte: what comes is sent at once
	b = appendInt32(b, r.maxBytes)
	b = append(b, 0)       // read uncommitted: there are no transactions
	b = appendInt32(b, 0)  // no session
	b = appendInt32(b, -1) // no session epoch
	b = appendInt32(b, 1)  // topics
	b = appendString(b, r.topic)
	b = appendInt32(b, 1)  // partitions
	b = appendInt32(b, 0)  // partition
	b = appendInt32(b, -1) // leader epoch: not known
	b = order.AppendUint64(b, uint64(r.offset))
	b = order.AppendUint64(b, ^uint64(0)) // log start: followers only
	b = appendInt32(b, r.maxBytes)
	b = appendInt32(b, 0)   // forgotten topics
	b = appendString(b, "") // rack
	order.PutUint32(b, uint32(len(b)-4))
	return b
}

func appendInt32(b []byte, n int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func decodeFetch(frame []byte) (*fetchResponse, error) {
	d := wire{b: frame}
	d.skip(4 + 4) // correlation id, throttle time
	code := kafka.Error(int16(d.uint16()))
	d.skip(4) // session id
	if code != 0 {
		return &fetchResponse{err: code}, nil //nolint:nilerr // the broker's answer is the response's, not the decoder's
	}
	if n := d.uint32(); n != 1 {
		return nil, fmt.Errorf("fetch: %d topics answered", n)
	}
	d.skip(int(d.uint16())) // topic
	if n := d.uint32(); n != 1 {
		return nil, fmt.Errorf("fetch: %d partitions answered", n)
	}
	d.skip(4)
	code = kafka.Error(int16(d.uint16()))
	var res fetchResponse
	res.end = int64(d.uint64())
	d.skip(8) // last stable offset
	res.start = int64(d.uint64())
	if aborted := int32(d.uint32()); aborted > 0 {
		d.skip(int(aborted) * 16)
	}
	d.skip(4) // preferred replica
	if n := int32(d.uint32()); n > 0 {
		res.records = d.take(int(n))
	}
	if d.short {
		return nil, errors.New("fetch: the response is cut")
	}
	if code != 0 {
		res.err = code
	}
	return &res, nil
}

// wire reads Kafka's fixed-size numbers; short is set when the bytes do not suffice.
type wire struct {
	b     []byte
	short bool
}

func (d *wire) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.short, d.b = true, nil
		return nil
	}
	head := d.b[:n]
	d.b = d.b[n:]
	return head
}

func (d *wire) skip(n int) { d.take(n) }

func (d *wire) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *wire) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *wire) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// fetch asks for the batches from the offset on. With a wait it returns as soon as there is
// one, or without any when the time is over.
func (s *session) fetch(ctx context.Context, offset int64, wait time.Duration, maxBytes int) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+requestTime/2)
	defer cancel()
	m, err := s.transport.RoundTrip(ctx, s.client.Addr, &fetchRequest{
		topic: s.cfg.Topic, offset: offset, wait: wait, maxBytes: int32(maxBytes),
	})
	if err != nil {
		return fetched{}, fmt.Errorf("fetch %s from offset %d: %w", s.cfg.Topic, offset, s.why(err))
	}
	res := m.(*fetchResponse)
	if res.err != nil {
		return res.fetched, fmt.Errorf("fetch %s from offset %d: %w", s.cfg.Topic, offset, res.err)
	}
	return res.fetched, nil
}
