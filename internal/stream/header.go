package stream

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/spola-cdc/spola/internal/change"
)

// The names of a record's headers, in the order in which they are written.
const (
	headSeq    = "spola-seq"
	headGen    = "spola-gen"
	headSum    = "spola-sum"
	headTable  = "spola-table"
	headOp     = "spola-op"
	headSchema = "spola-schema"
	headOrigin = "spola-origin"
	headLast   = "spola-last"

	headCount = 8
)

// appendHeaders writes the count and the headers of a record as a batch carries them. It is
// on the way of every row: no header is ever a string of its own.
func appendHeaders(b []byte, r *change.Record) []byte {
	if r.Op == change.Fence {
		b = append(b, 1<<1) // one header, as a zigzag varint
		return appendText(appendName(b, headOp), string(change.Fence))
	}
	b = append(b, headCount<<1)
	b = appendNumber(appendName(b, headSeq), r.Seq)
	b = appendNumber(appendName(b, headGen), r.Gen)
	b = appendSum(appendName(b, headSum), r.Sum)
	b = appendText(appendName(b, headTable), r.Table)
	b = appendText(appendName(b, headOp), string(r.Op))
	b = appendNumber(appendName(b, headSchema), int64(r.Schema))
	b = appendText(appendName(b, headOrigin), r.Origin)
	b = appendName(b, headLast)
	if r.Last {
		return append(b, 1<<1, '1')
	}
	return append(b, 1<<1, '0')
}

func appendName(b []byte, name string) []byte { return appendText(b, name) }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

// appendNumber writes a decimal number behind its length. The length of up to 20 digits is
// a single byte.
func appendNumber(b []byte, n int64) []byte {
	at := len(b)
	b = strconv.AppendInt(append(b, 0), n, 10)
	b[at] = byte(len(b)-at-1) << 1
	return b
}

func appendSum(b []byte, sum uint64) []byte {
	const digits = "0123456789abcdef"
	b = append(b, 16<<1)
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[sum>>shift&15])
	}
	return b
}

// setHeader puts a header's value into the record. Headers that are not known are left
// alone: a later version may add some, none may change.
func (p *parser) setHeader(r *change.Record, name, value []byte) (err error) {
	switch string(name) {
	case headSeq:
		r.Seq, err = parseNumber(value)
	case headGen:
		r.Gen, err = parseNumber(value)
	case headSum:
		r.Sum, err = parseSum(value)
	case headTable:
		r.Table = p.intern(value)
	case headOp:
		r.Op = change.Op(p.intern(value))
	case headSchema:
		var n int64
		n, err = parseNumber(value)
		r.Schema = int(n)
	case headOrigin:
		p.keepOrigin(value)
	case headLast:
		if len(value) != 1 || value[0] != '0' && value[0] != '1' {
			err = fmt.Errorf("%q is neither 0 nor 1", value)
		}
		r.Last = len(value) == 1 && value[0] == '1'
	}
	if err != nil {
		return fmt.Errorf("header %s: %w", name, err)
	}
	return nil
}

func parseNumber(text []byte) (int64, error) {
	if len(text) == 0 || len(text) > 18 {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is not a number", text)
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

func parseSum(text []byte) (uint64, error) {
	if len(text) != 16 {
		return 0, fmt.Errorf("%q is not a sum", text)
	}
	var sum uint64
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, fmt.Errorf("%q is not a sum", text)
		}
		sum = sum<<4 | uint64(c)
	}
	return sum, nil
}
