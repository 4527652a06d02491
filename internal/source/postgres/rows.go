package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"
)

// errHole says that a value is in none of a row's tuples: it lies outside of the row (TOAST),
// did not change, and the old tuple does not come whole.
var errHole = errors.New("an update did not change it, and the write-ahead log does not tell it")

// errTuple says that a tuple does not have the columns that the relation message announced.
var errTuple = errors.New("a row has another number of columns than was announced")

// span is where a column's member `"name":value` stands in a row object.
type span struct{ from, value, to int }

// decoder writes tuples as JSON objects. Its buffers are used again for each row.
type decoder struct {
	spans []span // by column; of the tuple decoded last
	flaw  error  // why a value of the tuple can't be shown as it is, nil if all can
}

// appendTuple writes a tuple. A value that did not change and is not repeated is taken from old,
// the row's old tuple, nil if that did not come whole. keyOnly writes the key's columns alone:
// the others of such a tuple mean nothing.
func (d *decoder) appendTuple(dst []byte, l *layout, tuple, old *pglogrepl.TupleData, keyOnly bool) ([]byte, error) {
	if len(tuple.Columns) != len(l.columns) {
		return dst, errTuple
	}
	if cap(d.spans) < len(l.columns) {
		d.spans = make([]span, len(l.columns))
	}
	d.spans, d.flaw = d.spans[:len(l.columns)], nil
	dst = append(dst, '{')
	begun := false
	for i := range l.columns {
		c := &l.columns[i]
		if keyOnly && c.Nullable {
			d.spans[i] = span{}
			continue
		}
		if begun {
			dst = append(dst, ',')
		}
		begun = true
		value := tuple.Columns[i]
		if value.DataType == pglogrepl.TupleDataTypeToast {
			if old == nil || old.Columns[i].DataType == pglogrepl.TupleDataTypeToast {
				return dst, fmt.Errorf("column %s: %w", c.Name, errHole)
			}
			value = old.Columns[i]
		}
		from := len(dst)
		dst = append(dst, c.member...)
		at := len(dst)
		switch value.DataType {
		case pglogrepl.TupleDataTypeNull:
			dst = append(dst, "null"...)
		case pglogrepl.TupleDataTypeText:
			var err error
			if dst, err = c.appendValue(dst, value.Data); err != nil {
				dst = append(dst[:at], "null"...)
				if d.flaw == nil {
					d.flaw = fmt.Errorf("column %s: %w", c.Name, err)
				}
			}
		default:
			return dst, fmt.Errorf("column %s comes in form %q", c.Name, value.DataType)
		}
		d.spans[i] = span{from, at, len(dst)}
	}
	return append(dst, '}'), nil
}

// value is a column's value in the tuple decoded last.
func (d *decoder) value(buf []byte, column int) []byte {
	s := d.spans[column]
	return buf[s.value:s.to]
}

// shift moves what spans refer to.
func (d *decoder) shift(by int) {
	for i := range d.spans {
		d.spans[i].from += by
		d.spans[i].value += by
		d.spans[i].to += by
	}
}
