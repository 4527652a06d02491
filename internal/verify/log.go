package verify

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"iter"
	"strconv"
)

// LogRecord is a record of the log as any consumer sees it.
type LogRecord struct {
	Offset     int64
	Fence      bool   // a new owner's mark: no number, no sum
	Seq, Gen   int64  // headers spola-seq and spola-gen
	Sum        string // header spola-sum
	Time       int64  // the record's timestamp in milliseconds
	Key, Value []byte
	Origin     string // header spola-origin
}

// LogReport is what a walk through the log found.
type LogReport struct {
	Records     int64 `json:"records"` // numbered ones
	Fences      int64 `json:"fences"`
	Generations int64 `json:"generations"`
	LastSeq     int64 `json:"last_seq"`
}

// CheckLog reads a log from its first record: in each generation the numbers have to be 1, 2, 3 …
// without a hole or a repeat, and every sum has to follow from the one before. The first breach is
// an error that names its offset.
func CheckLog(records iter.Seq2[LogRecord, error]) (LogReport, error) {
	var report LogReport
	var gen, seq int64
	var sum uint64
	for r, err := range records {
		if err != nil {
			return report, fmt.Errorf("read the log: %w", err)
		}
		if r.Fence {
			report.Fences++
			continue
		}
		if r.Gen > gen {
			gen, seq, sum = r.Gen, 0, 0
			report.Generations++
		}
		if r.Gen != gen || r.Seq != seq+1 {
			return report, fmt.Errorf("log at offset %d: number %d of generation %d stands behind %d of %d", r.Offset, r.Seq, r.Gen, seq, gen)
		}
		sum = r.sum(sum)
		if want := fmt.Sprintf("%016x", sum); r.Sum != want {
			return report, fmt.Errorf("log at offset %d: number %d of generation %d has sum %s, its content says %s", r.Offset, r.Seq, r.Gen, r.Sum, want)
		}
		seq = r.Seq
		report.Records++
		report.LastSeq = seq
	}
	return report, nil
}

// sum is CRC-64/ECMA over the sum before (8 bytes, big endian) and number, generation, time, key,
// value and origin, each led by its length in four bytes.
func (r LogRecord) sum(before uint64) uint64 {
	text := binary.BigEndian.AppendUint64(nil, before)
	for _, field := range [][]byte{
		strconv.AppendInt(nil, r.Seq, 10), strconv.AppendInt(nil, r.Gen, 10), strconv.AppendInt(nil, r.Time, 10),
		r.Key, r.Value, []byte(r.Origin),
	} {
		text = binary.BigEndian.AppendUint32(text, uint32(len(field)))
		text = append(text, field...)
	}
	return crc64.Checksum(text, crc64.MakeTable(crc64.ECMA))
}
