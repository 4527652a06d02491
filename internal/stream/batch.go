package stream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/pierrec/lz4/v4"

	"github.com/spola-cdc/spola/internal/change"
)

// Layout of a record batch of version 2, behind the int32 size that a produce request puts
// before it: base offset (8), length (4), leader epoch (4), magic (1), CRC (4), attributes
// (2), last offset delta (4), first and largest timestamp (8, 8), producer id (8), producer
// epoch (2), base sequence (4), count (4), records.
const (
	sizeBytes   = 4
	batchHeader = 61
	atLength    = 8
	atMagic     = 16
	atCRC       = 17
	atAttrs     = 21
	atLastDelta = 23
	atFirstTime = 27
	atMaxTime   = 35
	atProducer  = 43
	atEpoch     = 51
	atSequence  = 53
	atCount     = 57

	attrCompression = 0x07
	attrLogTime     = 0x08
	attrControl     = 0x20
	codecNone       = 0
	codecLZ4        = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maxBatchRecords bounds a batch of tiny records.
const maxBatchRecords = 10_000

// batch collects encoded records, and is then sent. Its buffers are used again.
type batch struct {
	raw       []byte // the records, not compressed
	count     int
	firstTime int64
	maxTime   int64
	before    change.Place // of the record before the first
	after     change.Place // of the last record

	head []byte // scratch: the headers of one record
	out  bytes.Buffer
	zip  *lz4.Writer
}

func newBatch() (*batch, error) {
	b := &batch{zip: lz4.NewWriter(nil)}
	// Small blocks stay in the processor's cache; the batch's CRC and the records' own sums
	// make checksums of blocks and contents superfluous.
	err := b.zip.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false), lz4.ConcurrencyOption(1))
	if err != nil {
		return nil, fmt.Errorf("set up lz4: %w", err)
	}
	return b, nil
}

func (b *batch) reset() {
	b.raw, b.count, b.firstTime, b.maxTime = b.raw[:0], 0, 0, 0
	b.before, b.after = change.Place{}, change.Place{}
}

// add encodes a record: length, attributes, deltas of time and offset, key, value, headers.
func (b *batch) add(r *change.Record) {
	if b.count == 0 {
		b.firstTime, b.maxTime = r.Time, r.Time
	}
	b.maxTime = max(b.maxTime, r.Time)
	b.head = appendHeaders(b.head[:0], r)
	time, offset := r.Time-b.firstTime, int64(b.count)
	size := 1 + varintLen(time) + varintLen(offset) +
		varintLen(int64(len(r.Key))) + len(r.Key) +
		varintLen(int64(len(r.Value))) + len(r.Value) + len(b.head)
	raw := binary.AppendVarint(b.raw, int64(size))
	raw = append(raw, 0)
	raw = binary.AppendVarint(raw, time)
	raw = binary.AppendVarint(raw, offset)
	raw = append(binary.AppendVarint(raw, int64(len(r.Key))), r.Key...)
	raw = append(binary.AppendVarint(raw, int64(len(r.Value))), r.Value...)
	b.raw = append(raw, b.head...)
	b.count++
}

func varintLen(n int64) int {
	u := uint64(n)<<1 ^ uint64(n>>63)
	size := 1
	for u >= 0x80 {
		u >>= 7
		size++
	}
	return size
}

// seal compresses the records into a batch that stamp then makes ready to be sent.
func (b *batch) seal() error {
	b.out.Reset()
	var head [sizeBytes + batchHeader]byte
	b.out.Write(head[:])
	b.zip.Reset(&b.out)
	if _, err := b.zip.Write(b.raw); err != nil {
		return fmt.Errorf("compress a batch: %w", err)
	}
	if err := b.zip.Close(); err != nil {
		return fmt.Errorf("compress a batch: %w", err)
	}
	out, order := b.out.Bytes(), binary.BigEndian
	order.PutUint32(out, uint32(len(out)-sizeBytes))
	h := out[sizeBytes:]
	order.PutUint32(h[atLength:], uint32(len(h)-atLength-4))
	order.PutUint32(h[atLength+4:], ^uint32(0)) // leader epoch: the broker's
	h[atMagic] = 2
	order.PutUint16(h[atAttrs:], codecLZ4)
	order.PutUint32(h[atLastDelta:], uint32(b.count-1))
	order.PutUint64(h[atFirstTime:], uint64(b.firstTime))
	order.PutUint64(h[atMaxTime:], uint64(b.maxTime))
	order.PutUint32(h[atCount:], uint32(b.count))
	return nil
}

// stamp writes producer and sequence into a sealed batch. A batch that is sent again by the
// same producer is not stamped again: its bytes must be the same.
func (b *batch) stamp(p producer) {
	h, order := b.out.Bytes()[sizeBytes:], binary.BigEndian
	order.PutUint64(h[atProducer:], uint64(p.id))
	order.PutUint16(h[atEpoch:], uint16(p.epoch))
	order.PutUint32(h[atSequence:], uint32(p.sequence))
	order.PutUint32(h[atCRC:], crc32.Checksum(h[atAttrs:], castagnoli))
}

// producer is who writes: the id and epoch that the broker gave, and the sequence number of
// the next record.
type producer struct {
	id       int64
	epoch    int16
	sequence int32
}

// Size returns the bytes that a record counts, a bound of what it takes in a batch before
// compression. It depends on the record alone, so that the same record is too big every time.
func Size(r *change.Record) int {
	const frame = 5 + 1 + 10 + 5 + 5 + 5 + 1 // lengths, attributes and deltas at their largest
	const heads = 8*(1+12) + 18 + 18 + 16 + 11 + 1 + 5*3
	return frame + heads + len(r.Key) + len(r.Value) + len(r.Table) + len(r.Op) + len(r.Origin)
}
