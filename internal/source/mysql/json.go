package mysql

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// plain tells which bytes stand in a JSON string as they are.
var plain = func() (t [256]bool) {
	for i := 0x20; i < 0x80; i++ {
		t[i] = i != '"' && i != '\\'
	}
	return t
}()

// appendText writes UTF-8 text as a JSON string.
func appendText(dst, text []byte) ([]byte, error) {
	for _, b := range text {
		if b >= 0x80 {
			if !utf8.Valid(text) {
				return dst, errInvalidText
			}
			break
		}
	}
	return appendQuoted(dst, text), nil
}

// appendQuoted writes valid UTF-8 text as a JSON string.
func appendQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i, b := range text {
		if plain[b] || b >= 0x80 {
			continue
		}
		dst = append(dst, text[from:i]...)
		from = i + 1
		dst = appendEscaped(dst, b)
	}
	return append(append(dst, text[from:]...), '"')
}

func appendEscaped(dst []byte, b byte) []byte {
	const digits = "0123456789abcdef"
	switch b {
	case '"', '\\':
		return append(dst, '\\', b)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
}

// appendJSON writes a stored JSON document as a JSON string that holds its text: members in
// stored order, no white space, numbers as canonicalNumber has them.
func (d *decoder) appendJSON(dst, data []byte) ([]byte, error) {
	if len(data) == 0 {
		// What a statement that ignores errors leaves in a NOT NULL column; the server shows it as null.
		return append(dst, `"null"`...), nil
	}
	text, err := appendDocument(d.scratch[:0], data[0], data[1:], 0)
	d.scratch = text
	if err != nil {
		return dst, err
	}
	return appendText(dst, text)
}

// maxDepth bounds the nesting of a document, as the servers do.
const maxDepth = 110

// appendDocument writes the text of a value in MySQL's binary JSON format.
func appendDocument(dst []byte, typ byte, data []byte, depth int) ([]byte, error) {
	if depth > maxDepth {
		return dst, errInvalidJSON
	}
	need := map[byte]int{
		replication.JSONB_LITERAL: 1, replication.JSONB_INT16: 2, replication.JSONB_UINT16: 2, replication.JSONB_INT32: 4, replication.JSONB_UINT32: 4,
		replication.JSONB_INT64: 8, replication.JSONB_UINT64: 8, replication.JSONB_DOUBLE: 8,
	}[typ]
	if len(data) < need {
		return dst, errInvalidJSON
	}
	switch typ {
	case replication.JSONB_SMALL_OBJECT, replication.JSONB_LARGE_OBJECT:
		return appendMembers(dst, data, typ == replication.JSONB_LARGE_OBJECT, true, depth)
	case replication.JSONB_SMALL_ARRAY, replication.JSONB_LARGE_ARRAY:
		return appendMembers(dst, data, typ == replication.JSONB_LARGE_ARRAY, false, depth)
	case replication.JSONB_LITERAL:
		if data[0] > 2 {
			return dst, errInvalidJSON
		}
		return append(dst, [...]string{"null", "true", "false"}[data[0]]...), nil
	case replication.JSONB_INT16:
		return strconv.AppendInt(dst, int64(int16(binary.LittleEndian.Uint16(data))), 10), nil
	case replication.JSONB_UINT16:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint16(data)), 10), nil
	case replication.JSONB_INT32:
		return strconv.AppendInt(dst, int64(int32(binary.LittleEndian.Uint32(data))), 10), nil
	case replication.JSONB_UINT32:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint32(data)), 10), nil
	case replication.JSONB_INT64:
		return strconv.AppendInt(dst, int64(binary.LittleEndian.Uint64(data)), 10), nil
	case replication.JSONB_UINT64:
		return strconv.AppendUint(dst, binary.LittleEndian.Uint64(data), 10), nil
	case replication.JSONB_DOUBLE:
		var number [32]byte
		text := strconv.AppendFloat(number[:0], math.Float64frombits(binary.LittleEndian.Uint64(data)), 'e', -1, 64)
		return appendNumber(dst, text)
	case replication.JSONB_STRING:
		text, err := sized(data)
		if err != nil {
			return dst, err
		}
		return appendText(dst, text)
	case replication.JSONB_OPAQUE:
		return appendOpaque(dst, data)
	}
	return dst, errInvalidJSON
}

// sized returns the bytes behind a length of 7 bits a byte.
func sized(data []byte) ([]byte, error) {
	length := 0
	for i := 0; i < len(data) && i < 5; i++ {
		length |= int(data[i]&0x7f) << (7 * i)
		if data[i]&0x80 == 0 {
			if length > len(data)-i-1 {
				return nil, errInvalidJSON
			}
			return data[i+1 : i+1+length], nil
		}
	}
	return nil, errInvalidJSON
}

// appendMembers writes an object or an array: counts and offsets in two bytes or, large, four.
func appendMembers(dst, data []byte, large, object bool, depth int) ([]byte, error) {
	size := 2
	if large {
		size = 4
	}
	number := func(at int) int { return int(littleEndian(data[at : at+size])) }
	if len(data) < 2*size {
		return dst, errInvalidJSON
	}
	count := number(0)
	keys, values := 2*size, 2*size
	if object {
		values += count * (size + 2)
	}
	if end := values + count*(size+1); count < 0 || end > len(data) {
		return dst, errInvalidJSON
	}
	dst = append(dst, pickByte(object, '{', '['))
	for i := range count {
		if i > 0 {
			dst = append(dst, ',')
		}
		if object {
			at := keys + i*(size+2)
			from := number(at)
			to := from + int(binary.LittleEndian.Uint16(data[at+size:]))
			if to > len(data) {
				return dst, errInvalidJSON
			}
			var err error
			if dst, err = appendText(dst, data[from:to]); err != nil {
				return dst, err
			}
			dst = append(dst, ':')
		}
		at := values + i*(size+1)
		typ, value := data[at], data[at+1:at+1+size]
		if !inlined(typ, large) {
			from := number(at + 1)
			if from > len(data) {
				return dst, errInvalidJSON
			}
			value = data[from:]
		}
		var err error
		if dst, err = appendDocument(dst, typ, value, depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, pickByte(object, '}', ']')), nil
}

func pickByte(first bool, a, b byte) byte {
	if first {
		return a
	}
	return b
}

// inlined tells whether a value stands where its offset would.
func inlined(typ byte, large bool) bool {
	switch typ {
	case replication.JSONB_LITERAL, replication.JSONB_INT16, replication.JSONB_UINT16:
		return true
	case replication.JSONB_INT32, replication.JSONB_UINT32:
		return large
	}
	return false
}

// appendOpaque writes a value of an SQL type inside a document as the server shows it.
func appendOpaque(dst, data []byte) ([]byte, error) {
	if len(data) < 1 {
		return dst, errInvalidJSON
	}
	typ := data[0]
	value, err := sized(data[1:])
	if err != nil {
		return dst, err
	}
	switch typ {
	case mysql.MYSQL_TYPE_NEWDECIMAL:
		if len(value) < 2 || len(value) < 2+decimalSize(int(value[0]), int(value[1])) {
			return dst, errInvalidJSON
		}
		return appendNumber(dst, appendDecimal(nil, value[2:], int(value[0]), int(value[1])))
	case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_TIMESTAMP, mysql.MYSQL_TYPE_TIME:
		if len(value) < 8 {
			return dst, errInvalidJSON
		}
		return appendPacked(dst, typ, int64(binary.LittleEndian.Uint64(value))), nil
	}
	dst = append(dst, `"base64:type`...)
	dst = strconv.AppendUint(dst, uint64(typ), 10)
	dst = append(dst, ':')
	dst = base64.StdEncoding.AppendEncode(dst, value)
	return append(dst, '"'), nil
}

// appendPacked writes a date or time inside a document: 24 bits of microseconds below.
func appendPacked(dst []byte, typ byte, v int64) []byte {
	dst = append(dst, '"')
	if v < 0 {
		dst, v = append(dst, '-'), -v
	}
	whole := uint64(v) >> 24
	if typ == mysql.MYSQL_TYPE_TIME {
		dst = appendClock(dst, uint32(whole>>12&1023), uint32(whole>>6&63), uint32(whole&63))
	} else {
		from := len(dst)
		dst = appendPackedDatetime(dst, whole)
		dst[from+10] = ' '
		if typ == mysql.MYSQL_TYPE_DATE {
			return append(dst[:from+10], '"')
		}
	}
	dst = appendDigits(append(dst, '.'), uint32(v&(1<<24-1)), 6)
	return append(dst, '"')
}

// appendNumber writes a number of a JSON document so that the stored form and the server's
// text give the same: whole numbers as they are; others without zeros at the end but with at
// least one digit behind the point, and with an exponent only beyond 21 digits.
func appendNumber(dst, text []byte) ([]byte, error) {
	if len(text) > 0 && text[0] == '-' {
		dst, text = append(dst, '-'), text[1:]
	}
	var digits [400]byte
	n, point, exponent, whole := 0, -1, 0, true
	for i, b := range text {
		switch {
		case b >= '0' && b <= '9':
			if n == len(digits) {
				return dst, errInvalidJSON
			}
			digits[n] = b
			n++
		case b == '.':
			point, whole = n, false
		case b == 'e' || b == 'E':
			var err error
			if exponent, err = strconv.Atoi(string(text[i+1:])); err != nil {
				return dst, errInvalidJSON
			}
			whole = false
		}
		if b == 'e' || b == 'E' {
			break
		}
	}
	if whole {
		return append(dst, text...), nil
	}
	if point < 0 {
		point = n
	}
	return appendFractional(dst, digits[:n], point+exponent), nil
}

// appendFractional writes 0.digits × 10^point.
func appendFractional(dst, digits []byte, point int) []byte {
	for len(digits) > 0 && digits[0] == '0' {
		digits, point = digits[1:], point-1
	}
	for len(digits) > 0 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	switch {
	case len(digits) == 0:
		return append(dst, "0.0"...)
	case point > 21 || point < -6:
		dst = append(append(dst, digits[0]), '.')
		if len(digits) == 1 {
			dst = append(dst, '0')
		}
		dst = append(append(dst, digits[1:]...), 'e')
		return strconv.AppendInt(dst, int64(point-1), 10)
	case point <= 0:
		dst = append(dst, "0."...)
		for ; point < 0; point++ {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	for i := range max(point, len(digits)) {
		if i == point {
			dst = append(dst, '.')
		}
		if i < len(digits) {
			dst = append(dst, digits[i])
		} else {
			dst = append(dst, '0')
		}
	}
	if len(digits) <= point {
		dst = append(dst, ".0"...)
	}
	return dst
}
