package mysql

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// errShort says that a row image ends before its columns do: the event or the layout is not
// what it seems.
var errShort = errors.New("the row image is cut short")

// errMissing says that a captured column is not in the row image.
var errMissing = errors.New("a captured column is not in the row image")

var (
	errInvalidText = errors.New("bytes that are no text in the column's character set")
	errInvalidJSON = errors.New("a JSON document that can't be read")
)

// rowsEvent is one event of row images, its header read.
type rowsEvent struct {
	layout  *layout
	op      rowOp
	before  []byte // bitmap of the columns in the first image
	after   []byte // of those in the second image of an update
	rest    []byte // the images
	partial bool   // its second images may hold JSON differences
}

type rowOp uint8

const (
	rowInsert rowOp = iota
	rowUpdate
	rowDelete
)

// rowOps tells what the row events do; the servers have had several versions of each.
func rowOpOf(t replication.EventType) (op rowOp, ok bool) {
	switch t {
	case replication.WRITE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2, replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1:
		return rowInsert, true
	case replication.UPDATE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv2, replication.PARTIAL_UPDATE_ROWS_EVENT, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1:
		return rowUpdate, true
	case replication.DELETE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv2, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		return rowDelete, true
	}
	return 0, false
}

func isCompressed(t replication.EventType) bool {
	switch t {
	case replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		return true
	}
	return false
}

func hasExtra(t replication.EventType) bool {
	switch t {
	case replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2, replication.PARTIAL_UPDATE_ROWS_EVENT:
		return true
	}
	return false
}

// parseRows reads a row event's header. layouts gives the layout of a table id.
func parseRows(t replication.EventType, body []byte, layouts func(id uint64) *layout) (rowsEvent, error) {
	op, ok := rowOpOf(t)
	if !ok {
		return rowsEvent{}, fmt.Errorf("row event of type %d is not known", t)
	}
	ev := rowsEvent{op: op, partial: t == replication.PARTIAL_UPDATE_ROWS_EVENT}
	if len(body) < 8 {
		return ev, errShort
	}
	id := mysql.FixedLengthInt(body[:6])
	if ev.layout = layouts(id); ev.layout == nil {
		return ev, fmt.Errorf("row event names table id %d, which no table map event announced", id)
	}
	m := &mapReader{rest: body[8:]}
	if hasExtra(t) {
		extra := int(binary.LittleEndian.Uint16(m.bytes(2)))
		m.bytes(extra - 2)
	}
	count := m.number()
	if count != len(ev.layout.columns) {
		return ev, fmt.Errorf("row event has %d columns, its table map event %d", count, len(ev.layout.columns))
	}
	ev.before = m.bytes((count + 7) / 8)
	ev.after = ev.before
	if op == rowUpdate {
		ev.after = m.bytes((count + 7) / 8)
	}
	if m.bad {
		return ev, errShort
	}
	ev.rest = m.rest
	if isCompressed(t) {
		var err error
		if ev.rest, err = mysql.DecompressMariadbData(ev.rest); err != nil {
			return ev, fmt.Errorf("decompress a row event: %w", err)
		}
	}
	return ev, nil
}

// span is where a captured column's member `"name":value` stands in a row object.
type span struct{ from, value, to int }

// decoder writes row images as JSON objects. Its buffers are used again for each row.
type decoder struct {
	spans   []span // by column; of the image decoded last
	flaw    error  // why a value of the image can't be shown as it is, nil if all can
	scratch []byte
}

// begin forgets the image before.
func (d *decoder) begin(columns int) {
	if cap(d.spans) < columns {
		d.spans = make([]span, columns)
	}
	d.spans = d.spans[:columns]
	d.flaw = nil
}

// flawed writes null for a value that can't be shown, and keeps the first reason.
func (d *decoder) flawed(dst []byte, c *column, err error) []byte {
	if d.flaw == nil {
		d.flaw = fmt.Errorf("column %s: %w", c.name, err)
	}
	return append(dst, "null"...)
}

// bitmaps reads what stands in front of an image's values: which columns are there, which of
// these are null, and which JSON columns come as differences. second asks for a row's second image.
func (ev *rowsEvent) bitmaps(second bool) (present, nulls, differences []byte, err error) {
	present = ev.before
	if second {
		present = ev.after
	}
	if differences, err = ev.differences(second); err != nil {
		return nil, nil, nil, err
	}
	nulls, err = ev.nulls(present)
	return present, nulls, differences, err
}

// appendImage writes the captured columns of the next image and passes over the others. first
// has decoded the row's first image into the same buffer, if this is the second; else it is nil.
func (d *decoder) appendImage(dst []byte, ev *rowsEvent, first *decoder) ([]byte, error) {
	present, nulls, differences, err := ev.bitmaps(first != nil)
	if err != nil {
		return dst, err
	}
	columns := ev.layout.columns
	d.begin(len(columns))
	dst = append(dst, '{')
	begun, at, data := false, 0, ev.rest
	for i := range columns {
		c := &columns[i]
		if !bit(present, i) {
			if c.captured {
				return dst, fmt.Errorf("column %s: %w", c.name, errMissing)
			}
			continue
		}
		null := bit(nulls, at)
		at++
		if !c.captured {
			if null {
				continue
			}
			n, err := c.size(data)
			if err != nil {
				return dst, err
			}
			data = data[n:]
			continue
		}
		if begun {
			dst = append(dst, ',')
		}
		begun = true
		from := len(dst)
		dst = append(dst, c.member...)
		value := len(dst)
		if null {
			dst = append(dst, "null"...)
		} else {
			n, err := c.size(data)
			if err != nil {
				return dst, err
			}
			if differences != nil && c.kind == kindJSON && bit(differences, c.jsonIndex) {
				dst, err = d.appendChanged(dst, first, i, data[c.width:n])
			} else {
				dst, err = d.appendValue(dst, c, data[:n])
			}
			if errors.Is(err, errPartial) {
				return dst, fmt.Errorf("column %s: %w", c.name, err)
			}
			if err != nil {
				dst = d.flawed(dst[:value], c, err)
			}
			data = data[n:]
		}
		d.spans[i] = span{from, value, len(dst)}
	}
	ev.rest = data
	return append(dst, '}'), nil
}

// appendChanged writes a JSON column that comes as differences to its value in the first image.
func (d *decoder) appendChanged(dst []byte, first *decoder, column int, differences []byte) ([]byte, error) {
	before := first.value(dst, column)
	if len(differences) == 0 {
		return append(dst, before...), nil
	}
	if first.flaw != nil {
		return dst, first.flaw // the row leaves a stub, whatever it becomes
	}
	return d.appendPatched(dst, before, differences)
}

// skipImage passes over the next image.
func (ev *rowsEvent) skipImage(second bool) error {
	present := ev.before
	if second {
		present = ev.after
	}
	if _, err := ev.differences(second); err != nil {
		return err
	}
	nulls, err := ev.nulls(present)
	if err != nil {
		return err
	}
	at, data := 0, ev.rest
	for i := range ev.layout.columns {
		if !bit(present, i) {
			continue
		}
		null := bit(nulls, at)
		at++
		if null {
			continue
		}
		n, err := ev.layout.columns[i].size(data)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	ev.rest = data
	return nil
}

// differences returns the bitmap of the JSON columns that come as differences, nil if none.
func (ev *rowsEvent) differences(second bool) ([]byte, error) {
	if !ev.partial || !second {
		return nil, nil
	}
	m := &mapReader{rest: ev.rest}
	var bitmap []byte
	if m.number()&int(replication.EnumBinlogRowValueOptionsPartialJsonUpdates) != 0 {
		bitmap = m.bytes((ev.layout.json + 7) / 8)
	}
	if m.bad {
		return nil, errShort
	}
	ev.rest = m.rest
	return bitmap, nil
}

// nulls takes the image's null bitmap, which has a bit for each column that is present.
func (ev *rowsEvent) nulls(present []byte) ([]byte, error) {
	count := 0
	whole := len(ev.layout.columns) / 8
	for _, b := range present[:whole] {
		count += bits.OnesCount8(b)
	}
	if rest := len(ev.layout.columns) % 8; rest > 0 {
		count += bits.OnesCount8(present[whole] & (1<<rest - 1))
	}
	size := (count + 7) / 8
	if len(ev.rest) < size {
		return nil, errShort
	}
	nulls := ev.rest[:size]
	ev.rest = ev.rest[size:]
	return nulls, nil
}

// size is how many bytes the value at the beginning of data takes.
func (c *column) size(data []byte) (int, error) {
	n := c.width
	switch c.kind {
	case kindChar, kindVarchar, kindBlob, kindJSON, kindGeometry, kindVector, kindCompressed:
		if len(data) < n {
			return 0, errShort
		}
		length := 0
		for i := n - 1; i >= 0; i-- {
			length = length<<8 | int(data[i])
		}
		n += length
	}
	if len(data) < n || n < 0 {
		return 0, errShort
	}
	return n, nil
}

// appendValue writes one value, which is not NULL and takes all of data.
func (d *decoder) appendValue(dst []byte, c *column, data []byte) ([]byte, error) {
	switch c.kind {
	case kindTiny, kindShort, kindInt24, kindLong:
		v := littleEndian(data)
		if c.unsigned {
			return strconv.AppendUint(dst, v, 10), nil
		}
		shift := 64 - 8*uint(len(data))
		return strconv.AppendInt(dst, int64(v<<shift)>>shift, 10), nil
	case kindLongLong:
		v := binary.LittleEndian.Uint64(data)
		if c.unsigned {
			return appendQuotedUint(dst, v), nil
		}
		return strconv.AppendInt(dst, int64(v), 10), nil
	case kindYear:
		year := int64(data[0])
		if year != 0 {
			year += 1900
		}
		return strconv.AppendInt(dst, year, 10), nil
	case kindBit:
		return appendQuotedUint(dst, bigEndian(data)), nil
	case kindDecimal:
		dst = append(dst, '"')
		dst = appendDecimal(dst, data, c.precision, c.scale)
		return append(dst, '"'), nil
	case kindFloat:
		return appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(data))), 32), nil
	case kindDouble:
		return appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(data)), 64), nil
	case kindChar, kindVarchar, kindBlob:
		return d.appendText(dst, c, data[c.width:])
	case kindEnum, kindSet:
		return c.appendLabels(dst, littleEndian(data))
	case kindJSON:
		return d.appendJSON(dst, data[c.width:])
	case kindGeometry:
		return appendBase64(dst, data[c.width:]), nil
	default:
		return appendTemporal(dst, c, data)
	}
}

func (d *decoder) appendText(dst []byte, c *column, data []byte) ([]byte, error) {
	switch {
	case c.text.bytes:
		if c.kind == kindChar && len(data) < c.length {
			// The binary log cuts the zero bytes off the end of a BINARY value.
			d.scratch = append(d.scratch[:0], data...)
			for len(d.scratch) < c.length {
				d.scratch = append(d.scratch, 0)
			}
			data = d.scratch
		}
		return appendBase64(dst, data), nil
	case c.text.utf8:
		return appendText(dst, data)
	}
	var err error
	if d.scratch, err = c.text.appendUTF8(d.scratch[:0], data); err != nil {
		return dst, err
	}
	return appendText(dst, d.scratch)
}

func (c *column) appendLabels(dst []byte, v uint64) ([]byte, error) {
	if c.kind == kindEnum {
		if v >= uint64(len(c.quoted)) {
			return dst, fmt.Errorf("enum value %d has no label", v)
		}
		return append(dst, c.quoted[v]...), nil
	}
	dst = append(dst, '"')
	first := true
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 == 0 {
			continue
		}
		if i >= len(c.quoted) {
			return dst, fmt.Errorf("set value %d has no label", i+1)
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, c.quoted[i]...)
	}
	return append(dst, '"'), nil
}

func littleEndian(b []byte) uint64 {
	var v uint64
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

func bigEndian(b []byte) uint64 {
	var v uint64
	for _, one := range b {
		v = v<<8 | uint64(one)
	}
	return v
}

func appendQuotedUint(dst []byte, v uint64) []byte {
	dst = append(dst, '"')
	dst = strconv.AppendUint(dst, v, 10)
	return append(dst, '"')
}

func appendBase64(dst, data []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, '"')
}

// appendFloat writes a number as encoding/json does: the shortest that gives the same value.
func appendFloat(dst []byte, v float64, size int) []byte {
	form := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		form = 'e'
	}
	return strconv.AppendFloat(dst, v, form, -1, size)
}

// decimalBytes is how many bytes 0 to 9 digits take.
var decimalBytes = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

func decimalSize(precision, scale int) int {
	whole := max(precision-scale, 0)
	return whole/9*4 + decimalBytes[whole%9] + scale/9*4 + decimalBytes[scale%9]
}

// appendDecimal writes a DECIMAL: groups of nine digits in four bytes, big endian, the
// incomplete groups at both ends in fewer; the first bit is 1 for positive numbers, and
// negative ones are inverted.
func appendDecimal(dst, data []byte, precision, scale int) []byte {
	var flip byte
	if data[0]&0x80 == 0 {
		flip = 0xff
		dst = append(dst, '-')
	}
	whole := precision - scale
	start := len(dst)
	first := true // the first byte carries the sign
	group := func(digits int) uint32 {
		var v uint32
		n := decimalBytes[digits]
		for i, b := range data[:n] {
			b ^= flip
			if i == 0 && first {
				b ^= 0x80
			}
			v = v<<8 | uint32(b)
		}
		if n > 0 {
			first = false
		}
		data = data[n:]
		return v
	}
	put := func(v uint32, digits int) {
		if len(dst) == start {
			if v != 0 {
				dst = strconv.AppendUint(dst, uint64(v), 10)
			}
			return
		}
		dst = appendDigits(dst, v, digits)
	}
	if rest := whole % 9; rest > 0 {
		put(group(rest), rest)
	}
	for range whole / 9 {
		put(group(9), 9)
	}
	if len(dst) == start {
		dst = append(dst, '0')
	}
	if scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	for range scale / 9 {
		dst = appendDigits(dst, group(9), 9)
	}
	if rest := scale % 9; rest > 0 {
		dst = appendDigits(dst, group(rest), rest)
	}
	return dst
}

// appendDigits writes v with leading zeros.
func appendDigits(dst []byte, v uint32, digits int) []byte {
	var b [10]byte
	for i := digits - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
	return append(dst, b[:digits]...)
}
