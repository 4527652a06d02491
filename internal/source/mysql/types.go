package mysql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spola-cdc/spola/internal/change"
)

// kind is how a value lies in a row image.
type kind uint8

const (
	kindNull kind = iota
	kindTiny
	kindShort
	kindInt24
	kindLong
	kindLongLong
	kindYear
	kindBit
	kindDecimal
	kindFloat
	kindDouble
	kindDate
	kindDatetime2
	kindTimestamp2
	kindTime2
	kindOldDatetime
	kindOldTimestamp
	kindOldTime
	kindChar
	kindVarchar
	kindBlob
	kindEnum
	kindSet
	kindJSON
	kindGeometry
	kindVector
	kindCompressed
)

// binaryCollation is the collation of bytes: by it BINARY is told from CHAR, BLOB from TEXT.
const binaryCollation = 63

// numberTypes are the kinds that may be unsigned; plainTypes those of which the type says all.
var (
	numberTypes = map[kind]change.Type{
		kindTiny: change.TinyInt, kindShort: change.SmallInt, kindInt24: change.MediumInt, kindLong: change.Int,
		kindLongLong: change.BigInt, kindDecimal: change.Decimal, kindFloat: change.Float, kindDouble: change.Double,
	}
	plainTypes = map[kind]change.Type{
		kindYear: change.Year, kindBit: change.Bit, kindDate: change.Date, kindJSON: change.JSON, kindGeometry: change.Geometry,
	}
	timeTypes = map[kind]change.Type{ // with a fraction
		kindDatetime2: change.DateTime, kindOldDatetime: change.DateTime, kindTimestamp2: change.Timestamp,
		kindOldTimestamp: change.Timestamp, kindTime2: change.Time, kindOldTime: change.Time,
	}
)

// describe is the column as the log knows it. charsets gives the character set of a collation.
func (c *column) describe(charsets map[uint64]string) (change.Column, error) {
	out := change.Column{Name: c.name, Nullable: c.nullable}
	bytes := c.collation == binaryCollation
	if typ, ok := numberTypes[c.kind]; ok {
		out.Type, out.Unsigned = typ, c.unsigned
		if typ == change.Decimal {
			out.Precision, out.Scale = c.precision, c.scale
		}
		return out, nil
	}
	if typ, ok := plainTypes[c.kind]; ok {
		out.Type = typ
		return out, nil
	}
	if typ, ok := timeTypes[c.kind]; ok {
		out.Type, out.Precision = typ, c.fraction
		return out, nil
	}
	switch c.kind {
	case kindChar:
		out.Type = pick(bytes, change.Binary, change.Char)
	case kindVarchar:
		out.Type = pick(bytes, change.VarBinary, change.VarChar)
	case kindBlob:
		out.Type = pick(bytes, change.Blob, change.Text)
	case kindEnum, kindSet:
		out.Type = pick(c.kind == kindSet, change.Set, change.Enum)
		set, err := charsetOf(c.collation, charsets)
		if err != nil {
			return out, err
		}
		for _, label := range c.labels {
			text, err := set.decode(label)
			if err != nil {
				return out, fmt.Errorf("label %q: %w", label, err)
			}
			out.Values = append(out.Values, text)
		}
	case kindVector:
		return out, fmt.Errorf("type vector can't be read")
	case kindCompressed:
		return out, fmt.Errorf("a COMPRESSED column can't be read; ALTER TABLE … MODIFY it without COMPRESSED")
	default:
		return out, fmt.Errorf("its type can't be read")
	}
	return out, nil
}

func pick(first bool, a, b change.Type) change.Type {
	if first {
		return a
	}
	return b
}

// storedColumn is a column as information_schema tells it.
type storedColumn struct {
	name, dataType, columnType string
	nullable                   bool
	precision, scale           int // of numbers
	fraction                   int // of seconds
	charset                    string
}

// The same by the names of information_schema; storedTypes are all that are no numbers.
var (
	storedNumbers = map[string]change.Type{
		"tinyint": change.TinyInt, "smallint": change.SmallInt, "mediumint": change.MediumInt, "int": change.Int,
		"bigint": change.BigInt, "decimal": change.Decimal, "float": change.Float, "double": change.Double,
	}
	storedTypes = map[string]change.Type{
		"year": change.Year, "bit": change.Bit, "date": change.Date, "json": change.JSON,
		"datetime": change.DateTime, "timestamp": change.Timestamp, "time": change.Time,
		"char": change.Char, "varchar": change.VarChar, "binary": change.Binary, "varbinary": change.VarBinary,
		"tinytext": change.Text, "text": change.Text, "mediumtext": change.Text, "longtext": change.Text,
		"tinyblob": change.Blob, "blob": change.Blob, "mediumblob": change.Blob, "longblob": change.Blob,
		"enum": change.Enum, "set": change.Set,
		"geometry": change.Geometry, "point": change.Geometry, "linestring": change.Geometry, "polygon": change.Geometry,
		"multipoint": change.Geometry, "multilinestring": change.Geometry, "multipolygon": change.Geometry,
		"geometrycollection": change.Geometry, "geomcollection": change.Geometry,
	}
)

// describe is the same column as the binary log's table map gives it.
func (s storedColumn) describe() (change.Column, error) {
	out := change.Column{Name: s.name, Nullable: s.nullable}
	if typ, ok := storedNumbers[s.dataType]; ok {
		out.Type = typ
		out.Unsigned = strings.Contains(s.columnType, "unsigned")
		if typ == change.Decimal {
			out.Precision, out.Scale = s.precision, s.scale
		}
		return out, nil
	}
	typ, ok := storedTypes[s.dataType]
	if !ok {
		return out, fmt.Errorf("type %s can't be read", s.dataType)
	}
	out.Type = typ
	switch typ {
	case change.DateTime, change.Timestamp, change.Time:
		out.Precision = s.fraction
	case change.Enum, change.Set:
		var err error
		if out.Values, err = labels(s.columnType); err != nil {
			return out, err
		}
	}
	if strings.Contains(s.columnType, "COMPRESSED") {
		return out, fmt.Errorf("a COMPRESSED column can't be read; ALTER TABLE … MODIFY it without COMPRESSED")
	}
	switch out.Type {
	case change.Char, change.VarChar, change.Text, change.Enum, change.Set:
		if _, err := charsetNamed(s.charset); err != nil {
			return out, err
		}
	}
	return out, nil
}

// labels reads enum('a','it”s') as information_schema writes it.
func labels(columnType string) ([]string, error) {
	bad := fmt.Errorf("labels of %s can't be read", columnType)
	_, rest, ok := strings.Cut(columnType, "(")
	if !ok {
		return nil, bad
	}
	var out []string
	for {
		if !strings.HasPrefix(rest, "'") {
			return nil, bad
		}
		var label strings.Builder
		rest = rest[1:]
		for {
			at := strings.IndexByte(rest, '\'')
			if at < 0 {
				return nil, bad
			}
			label.WriteString(rest[:at])
			rest = rest[at+1:]
			if !strings.HasPrefix(rest, "'") {
				break
			}
			label.WriteByte('\'')
			rest = rest[1:]
		}
		out = append(out, label.String())
		switch {
		case strings.HasPrefix(rest, ","):
			rest = rest[1:]
		case strings.HasPrefix(rest, ")"):
			return out, nil
		default:
			return nil, bad
		}
	}
}

// captureLayout marks the captured columns of a layout and returns the table's shape. What
// the capture demands and the table lacks is an error that names it.
func (l *layout) capture(c *Capture, charsets map[uint64]string) (*change.Table, error) {
	if !l.named {
		return nil, fmt.Errorf("the binary log has no column names")
	}
	shape := &change.Table{Name: l.name, Key: c.Key}
	found := 0
	for i := range l.columns {
		col := &l.columns[i]
		col.captured = slices.Contains(c.Columns, col.name)
		if !col.captured {
			continue
		}
		found++
		described, err := col.describe(charsets)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", col.name, err)
		}
		shape.Columns = append(shape.Columns, described)
		if err := col.prepare(described, charsets); err != nil {
			return nil, fmt.Errorf("column %s: %w", col.name, err)
		}
	}
	if found != len(c.Columns) {
		return nil, fmt.Errorf("column %s is not there", l.missing(c))
	}
	return shape, l.checkKey(c)
}

func (l *layout) missing(c *Capture) string {
	for _, name := range c.Columns {
		if !slices.ContainsFunc(l.columns, func(col column) bool { return col.name == name }) {
			return name
		}
	}
	return "?"
}

func (l *layout) checkKey(c *Capture) error {
	n := 0
	for i := range l.columns {
		col := &l.columns[i]
		if !col.primary {
			continue
		}
		n++
		if !slices.Contains(c.Key, col.name) || col.prefixed {
			return fmt.Errorf("its primary key is not (%s)", strings.Join(c.Key, ", "))
		}
	}
	if n != len(c.Key) {
		return fmt.Errorf("its primary key is not (%s)", strings.Join(c.Key, ", "))
	}
	return nil
}

// prepare builds what the decoder of a captured column needs.
func (c *column) prepare(described change.Column, charsets map[uint64]string) error {
	c.member = append(appendQuoted(nil, []byte(c.name)), ':')
	switch described.Type {
	case change.Char, change.VarChar, change.Text:
		set, err := charsetOf(c.collation, charsets)
		if err != nil {
			return err
		}
		c.text = set
	case change.Enum:
		c.quoted = [][]byte{[]byte(`""`)}
		for _, label := range described.Values {
			c.quoted = append(c.quoted, appendQuoted(nil, []byte(label)))
		}
	case change.Set:
		for _, label := range described.Values {
			quoted := appendQuoted(nil, []byte(label))
			c.quoted = append(c.quoted, quoted[1:len(quoted)-1])
		}
	case change.Binary, change.VarBinary, change.Blob:
		c.text = charset{bytes: true}
	}
	return nil
}
