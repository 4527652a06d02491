// Package change is the vocabulary that every other package speaks: a record of the
// log, where it came from, the envelope it carries and the shape of its table.
//
// It imports nothing of Spola's own. What is fixed here (headers, sum, origin,
// envelope) stands on other people's disks: it can be added to, never changed.
package change

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// Op says what a record is. The one-letter values are Debezium's and stand for a row
// of a captured table; the words are Spola's own records, whose envelope has op "m".
type Op string

const (
	Create Op = "c" // a row was inserted
	Update Op = "u" // a row was updated
	Delete Op = "d" // a row was deleted
	Read   Op = "r" // a row was read by a snapshot

	Fence     Op = "fence"     // a new owner's first write; no number, no sum, no place: every reader skips it
	Claim     Op = "claim"     // a new owner's first numbered record; carries the reader's State
	Heartbeat Op = "heartbeat" // repeats the State, so that the tail of the log stays readable
	Probe     Op = "probe"     // written on request, to measure the way through the log
	Schema    Op = "schema"    // the shape of a captured table, before its first row in that shape
	Chunk     Op = "chunk"     // the end of a snapshot chunk, with its key range
)

// IsRow tells whether the record carries a row of a captured table.
func (op Op) IsRow() bool { return len(op) == 1 }

// IsChange tells whether the record carries a row that somebody changed, not one that a snapshot read.
func (op Op) IsChange() bool { return op == Create || op == Update || op == Delete }

// Record is one record of the log. Seq, Gen and Sum are given by the log's writer.
type Record struct {
	Seq    int64  // 1, 2, 3 … within a generation
	Gen    int64  // generation of the log, from 1
	Sum    uint64 // running checksum up to and including this record
	Time   int64  // commit time at the source in ms since 1970; now for snapshot rows and Spola's own records
	Table  string // table as the shop calls it, prefix included; empty for records of no table
	Op     Op
	Schema int    // configuration version in which the table's shape was announced; 0 for records of no table
	Origin string // an Origin in its text form
	Last   bool   // the last record of its source transaction, or a record that stands for itself
	Key    []byte
	Value  []byte

	Offset int64 // Kafka offset; set by the log's reader, not part of the record
}

// NextSum returns the running checksum after r, given the one before it: CRC-64/ECMA over
// the previous sum (8 bytes, big endian) and then seq, gen and record time (decimal), key,
// value and origin, each led by its length as a big-endian uint32.
func (r *Record) NextSum(previous uint64) uint64 {
	// What is short is put together first: a checksum of few bytes costs as much as one of many.
	var buf [256]byte
	b := binary.BigEndian.AppendUint64(buf[:0], previous)
	b = appendNumber(b, r.Seq)
	b = appendNumber(b, r.Gen)
	b = appendNumber(b, r.Time)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Key)))
	b = append(b, r.Key...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Value)))
	sum := updateSum(updateSum(0, b), r.Value)
	b = binary.BigEndian.AppendUint32(buf[:0], uint32(len(r.Origin)))
	return updateSum(sum, append(b, r.Origin...))
}

func appendNumber(b []byte, n int64) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = strconv.AppendInt(b, n, 10)
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	return b
}

// FormatSum writes a sum as the log's headers show it: 16 hexadecimal digits.
func FormatSum(sum uint64) string { return fmt.Sprintf("%016x", sum) }

// ParseSum reads what FormatSum wrote.
func ParseSum(text string) (uint64, error) {
	if len(text) != 16 {
		return 0, fmt.Errorf("sum %q: want 16 hexadecimal digits", text)
	}
	sum, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("sum %q: %w", text, err)
	}
	return sum, nil
}
