package stream

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/segmentio/kafka-go"
)

// content is bytes that compress more or less well.
func content(random *rand.Rand, size int) []byte {
	b := make([]byte, size)
	variety := 1 + random.IntN(256)
	for i := range b {
		b[i] = byte(random.IntN(variety))
	}
	if random.IntN(3) == 0 { // runs
		clear(b[:size/2])
	}
	return b
}

func TestUnpackGivesWhatWasPacked(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	batch, err := newBatch()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 100, 5_000, 65_536, 262_143, 262_144, 262_145, 1_000_000, 3_000_000} {
		for range 5 {
			want := content(random, size)
			batch.raw = want
			if err := batch.seal(); err != nil {
				t.Fatal(err)
			}
			got, err := unpack(codecLZ4, batch.out.Bytes()[sizeBytes+batchHeader:])
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: %d came back, %v", size, len(got), err)
			}
		}
	}
}

// Other writers, and operators who set compression.type, use other codecs and other frames.
func TestUnpackKnowsAllCodecs(t *testing.T) {
	want := content(rand.New(rand.NewPCG(5, 6)), 300_000)
	for _, codec := range []kafka.Compression{kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		var packed bytes.Buffer
		writer := codec.Codec().NewWriter(&packed)
		if _, err := writer.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := unpack(uint16(codec), packed.Bytes())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("codec %v: %d bytes came back, %v", codec, len(got), err)
		}
	}
	if _, err := unpack(7, want); err == nil {
		t.Error("an unknown codec was taken")
	}
}

// A few bytes that claim to hold gigabytes must not fill the memory.
func TestUnpackHasABound(t *testing.T) {
	var packed bytes.Buffer
	writer := lz4.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	for range 65 {
		if _, err := writer.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(codecLZ4, packed.Bytes()); err == nil {
		t.Error("65 MiB were taken")
	}
}

func FuzzParse(f *testing.F) {
	batch, err := newBatch()
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		r := row(i)
		r.Seq, r.Gen = int64(i+1), 1
		batch.add(&r)
	}
	if err := batch.seal(); err != nil {
		f.Fatal(err)
	}
	batch.stamp(producer{id: 1})
	f.Add(batch.out.Bytes()[sizeBytes:])
	f.Fuzz(func(t *testing.T, data []byte) {
		newParser("fuzz").parse(nil, data, 0)
		unpack(codecLZ4, data)
		if len(data) > batchHeader {
			newParser("fuzz").records(nil, data[batchHeader:], 0, 0, int(data[0]))
		}
	})
}
