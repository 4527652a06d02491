package mysql

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/spola-cdc/spola/internal/change"
)

// MariaDB's compressed columns. Their values can be passed over but not read.
const (
	typeBlobCompressed    = 140
	typeVarcharCompressed = 141
)

// layout is how the rows of a table lie in the row events that follow its table map event.
type layout struct {
	raw     []byte // the table map's body behind the table id and flags: the same bytes, the same layout
	schema  string
	name    string
	columns []column
	json    int // number of JSON columns
	named   bool

	table   *table        // the captured table; nil if none of its rows leave the shop
	shape   *change.Table // of its captured columns
	hash    string
	bad     error  // why rows of it can not be read
	key     []int  // indexes of the key columns, in the order of the key
	kept    []int  // of the columns that a stub keeps
	keyHead []byte // how a record's key begins
	names   []byte // schema and table in the source block
	only    int    // index of the column that bounds the rows, -1 if none
	order   []int  // of the one that names the order, if there is one
}

// column is one column of a layout, captured or not.
type column struct {
	kind      kind
	meta      uint16
	width     int // bytes of a value of fixed width; bytes of the length prefix of others
	length    int // binary: bytes of the column, to which the binary log's value is filled up
	unsigned  bool
	nullable  bool
	jsonIndex int // among the JSON columns, from 0

	name      string
	collation uint64
	primary   bool
	prefixed  bool // only a prefix of it is in the primary key
	labels    []string
	precision int
	scale     int
	fraction  int
	character bool

	captured bool
	text     charset
	member   []byte   // `"name":`
	quoted   [][]byte // enum and set labels as JSON; enum: whole strings, set: without quotes
}

// mapReader reads a table map event; the first short read fails it.
type mapReader struct {
	rest []byte
	bad  bool
}

func (m *mapReader) bytes(n int) []byte {
	if n < 0 || n > len(m.rest) {
		m.bad = true
		return make([]byte, max(0, min(n, 1<<16)))
	}
	b := m.rest[:n]
	m.rest = m.rest[n:]
	return b
}

func (m *mapReader) byte() byte { return m.bytes(1)[0] }

func (m *mapReader) number() int {
	if len(m.rest) == 0 {
		m.bad = true
		return 0
	}
	need := 1
	switch m.rest[0] {
	case 0xfc:
		need = 3
	case 0xfd:
		need = 4
	case 0xfe:
		need = 9
	}
	if need > len(m.rest) {
		m.bad = true
		return 0
	}
	n, _, size := mysql.LengthEncodedInt(m.rest)
	m.rest = m.rest[size:]
	return int(n)
}

func (m *mapReader) text() []byte { return m.bytes(m.number()) }

// parseTableMap reads the body of a table map event behind its table id and flags.
func parseTableMap(body []byte, f flavor) (*layout, error) {
	m := &mapReader{rest: body}
	l := &layout{raw: bytes.Clone(body)}
	l.schema = string(m.bytes(int(m.byte())))
	m.byte()
	l.name = string(m.bytes(int(m.byte())))
	m.byte()
	count := m.number()
	if m.bad || count > 4096 {
		return nil, fmt.Errorf("table map event is cut short")
	}
	types := m.bytes(count)
	meta := &mapReader{rest: m.text()}
	l.columns = make([]column, count)
	for i := range l.columns {
		err := l.columns[i].read(types[i], meta)
		if err == nil {
			err = l.columns[i].sound()
		}
		if err != nil {
			return nil, fmt.Errorf("table %s.%s, column %d: %w", l.schema, l.name, i+1, err)
		}
		if l.columns[i].kind == kindJSON {
			l.columns[i].jsonIndex = l.json
			l.json++
		}
	}
	nulls := m.bytes((count + 7) / 8)
	if m.bad || meta.bad {
		return nil, fmt.Errorf("table map event of %s.%s is cut short", l.schema, l.name)
	}
	for i := range l.columns {
		l.columns[i].nullable = bit(nulls, i)
	}
	return l, l.readOptional(m, f)
}

func bit(bitmap []byte, i int) bool { return bitmap[i>>3]&(1<<(uint(i)&7)) != 0 }

// readOptional reads what binlog_row_metadata=FULL adds.
func (l *layout) readOptional(m *mapReader, f flavor) error {
	for len(m.rest) > 0 {
		field := m.byte()
		v := &mapReader{rest: m.text()}
		switch field {
		case replication.TABLE_MAP_OPT_META_SIGNEDNESS:
			l.eachBit(v.rest, (*column).numeric, func(c *column, set bool) { c.unsigned = set })
		case replication.TABLE_MAP_OPT_META_DEFAULT_CHARSET:
			l.defaultCollation(v, characterOf(f))
		case replication.TABLE_MAP_OPT_META_COLUMN_CHARSET:
			l.each(characterOf(f), func(c *column) { c.collation = uint64(v.number()) })
		case replication.TABLE_MAP_OPT_META_ENUM_AND_SET_DEFAULT_CHARSET:
			l.defaultCollation(v, (*column).isEnumerated)
		case replication.TABLE_MAP_OPT_META_ENUM_AND_SET_COLUMN_CHARSET:
			l.each((*column).isEnumerated, func(c *column) { c.collation = uint64(v.number()) })
		case replication.TABLE_MAP_OPT_META_COLUMN_NAME:
			l.named = true
			l.each(nil, func(c *column) { c.name = string(v.bytes(int(v.byte()))) })
		case replication.TABLE_MAP_OPT_META_ENUM_STR_VALUE:
			l.each(func(c *column) bool { return c.kind == kindEnum }, func(c *column) { c.readLabels(v) })
		case replication.TABLE_MAP_OPT_META_SET_STR_VALUE:
			l.each(func(c *column) bool { return c.kind == kindSet }, func(c *column) { c.readLabels(v) })
		case replication.TABLE_MAP_OPT_META_SIMPLE_PRIMARY_KEY:
			l.readKey(v, false)
		case replication.TABLE_MAP_OPT_META_PRIMARY_KEY_WITH_PREFIX:
			l.readKey(v, true)
		case replication.TABLE_MAP_OPT_META_GEOMETRY_TYPE, replication.TABLE_MAP_OPT_META_COLUMN_VISIBILITY:
		default:
			// What newer servers add beside the values does not change how they lie.
		}
		if v.bad || m.bad {
			return fmt.Errorf("table map event of %s.%s: metadata field %d is cut short", l.schema, l.name, field)
		}
	}
	return nil
}

func (l *layout) each(which func(*column) bool, do func(*column)) {
	for i := range l.columns {
		if which == nil || which(&l.columns[i]) {
			do(&l.columns[i])
		}
	}
}

// eachBit hands out bits from the highest of each byte on, one to each column of the kind.
func (l *layout) eachBit(bits []byte, which func(*column) bool, do func(*column, bool)) {
	n := 0
	l.each(which, func(c *column) {
		if n/8 < len(bits) {
			do(c, bits[n/8]&(0x80>>(n%8)) != 0)
		}
		n++
	})
}

func (l *layout) defaultCollation(v *mapReader, which func(*column) bool) {
	common := uint64(v.number())
	other := map[int]uint64{}
	for len(v.rest) > 0 && !v.bad {
		index := v.number()
		other[index] = uint64(v.number())
	}
	n := 0
	l.each(which, func(c *column) {
		c.collation = common
		if own, ok := other[n]; ok {
			c.collation = own
		}
		n++
	})
}

func (l *layout) readKey(v *mapReader, prefixes bool) {
	for len(v.rest) > 0 && !v.bad {
		index, prefix := v.number(), 0
		if prefixes {
			prefix = v.number()
		}
		if index < 0 || index >= len(l.columns) {
			v.bad = true
			return
		}
		l.columns[index].primary = true
		l.columns[index].prefixed = prefix != 0
	}
}

func (c *column) readLabels(v *mapReader) {
	count := v.number()
	if count > 1<<16 {
		v.bad = true
		return
	}
	c.labels = make([]string, count)
	for i := range c.labels {
		c.labels[i] = string(v.text())
	}
}

func (c *column) isEnumerated() bool { return c.kind == kindEnum || c.kind == kindSet }

// numeric tells whether the column has a bit among the signs.
func (c *column) numeric() bool {
	switch c.kind {
	case kindTiny, kindShort, kindInt24, kindLong, kindLongLong, kindDecimal, kindFloat, kindDouble, kindYear:
		return true
	}
	return false
}

// characterOf tells which columns have a collation. MariaDB counts geometry among them.
func characterOf(f flavor) func(*column) bool {
	return func(c *column) bool { return c.character || f == mariadbFlavor && c.kind == kindGeometry }
}

// read takes a column's type and its bytes of type metadata.
func (c *column) read(typ byte, meta *mapReader) error {
	switch typ {
	case mysql.MYSQL_TYPE_STRING:
		c.meta = binary.BigEndian.Uint16(meta.bytes(2))
		return c.readString()
	case mysql.MYSQL_TYPE_NEWDECIMAL:
		c.kind, c.precision, c.scale = kindDecimal, int(meta.byte()), int(meta.byte())
		c.width = decimalSize(c.precision, c.scale)
	case mysql.MYSQL_TYPE_VAR_STRING, mysql.MYSQL_TYPE_VARCHAR, typeVarcharCompressed:
		c.kind, c.character = kindVarchar, true
		c.length = int(binary.LittleEndian.Uint16(meta.bytes(2)))
		c.width = 1
		if c.length > 255 {
			c.width = 2
		}
		if typ == typeVarcharCompressed {
			c.kind, c.character = kindCompressed, true
		}
	case mysql.MYSQL_TYPE_BIT:
		c.meta = binary.LittleEndian.Uint16(meta.bytes(2))
		c.kind = kindBit
		c.width = (int(c.meta>>8)*8 + int(c.meta&0xff) + 7) / 8
	case mysql.MYSQL_TYPE_BLOB, typeBlobCompressed:
		c.kind, c.width, c.character = kindBlob, int(meta.byte()), true
		if typ == typeBlobCompressed {
			c.kind = kindCompressed
		}
	case mysql.MYSQL_TYPE_GEOMETRY:
		c.kind, c.width = kindGeometry, int(meta.byte())
	case mysql.MYSQL_TYPE_VECTOR:
		c.kind, c.width = kindVector, int(meta.byte())
	case mysql.MYSQL_TYPE_JSON:
		c.kind, c.width = kindJSON, int(meta.byte())
	case mysql.MYSQL_TYPE_DOUBLE:
		c.kind, c.width = kindDouble, int(meta.byte())
	case mysql.MYSQL_TYPE_FLOAT:
		c.kind, c.width = kindFloat, int(meta.byte())
	case mysql.MYSQL_TYPE_TIME2, mysql.MYSQL_TYPE_DATETIME2, mysql.MYSQL_TYPE_TIMESTAMP2:
		return c.readTemporal(typ, int(meta.byte()))
	default:
		return c.readFixed(typ)
	}
	return nil
}

// sound refuses metadata by which a value could not be read.
func (c *column) sound() error {
	var low, high int
	switch c.kind {
	case kindFloat:
		low, high = 4, 4
	case kindDouble, kindLongLong:
		low, high = 8, 8
	case kindBlob, kindGeometry, kindVector, kindJSON, kindCompressed:
		low, high = 1, 4
	case kindEnum:
		low, high = 1, 2
	case kindSet, kindBit:
		low, high = 1, 8
	case kindDecimal:
		if c.precision > 65 || c.scale > c.precision || c.precision == 0 {
			return fmt.Errorf("decimal(%d,%d)", c.precision, c.scale)
		}
		return nil
	default:
		return nil
	}
	if c.width < low || c.width > high {
		return fmt.Errorf("a value of %d bytes", c.width)
	}
	return nil
}

func (c *column) readTemporal(typ byte, fraction int) error {
	if fraction > 6 {
		return fmt.Errorf("%d digits of a second", fraction)
	}
	c.fraction = fraction
	switch typ {
	case mysql.MYSQL_TYPE_TIME2:
		c.kind, c.width = kindTime2, 3+(fraction+1)/2
	case mysql.MYSQL_TYPE_DATETIME2:
		c.kind, c.width = kindDatetime2, 5+(fraction+1)/2
	default:
		c.kind, c.width = kindTimestamp2, 4+(fraction+1)/2
	}
	return nil
}

// readString tells enum, set and char apart, which share a type: the real one is in the
// metadata's first byte, two bits of which belong to the length of a long char.
func (c *column) readString() error {
	high, low := byte(c.meta>>8), byte(c.meta)
	switch {
	case high == mysql.MYSQL_TYPE_ENUM:
		c.kind, c.width = kindEnum, int(low)
	case high == mysql.MYSQL_TYPE_SET:
		c.kind, c.width = kindSet, int(low)
	default:
		c.kind, c.character = kindChar, true
		c.length = int(low)
		if high != 0 {
			c.length |= int(high&0x30^0x30) << 4
		}
		c.width = 1
		if c.length > 255 {
			c.width = 2
		}
	}
	return nil
}

func (c *column) readFixed(typ byte) error {
	fixed := map[byte]struct {
		kind  kind
		width int
	}{
		mysql.MYSQL_TYPE_TINY: {kindTiny, 1}, mysql.MYSQL_TYPE_SHORT: {kindShort, 2}, mysql.MYSQL_TYPE_INT24: {kindInt24, 3},
		mysql.MYSQL_TYPE_LONG: {kindLong, 4}, mysql.MYSQL_TYPE_LONGLONG: {kindLongLong, 8}, mysql.MYSQL_TYPE_YEAR: {kindYear, 1},
		mysql.MYSQL_TYPE_DATE: {kindDate, 3}, mysql.MYSQL_TYPE_NEWDATE: {kindDate, 3}, mysql.MYSQL_TYPE_NULL: {kindNull, 0},
		// The temporal types of before MySQL 5.6, kept by tables never rebuilt since.
		mysql.MYSQL_TYPE_TIMESTAMP: {kindOldTimestamp, 4}, mysql.MYSQL_TYPE_DATETIME: {kindOldDatetime, 8}, mysql.MYSQL_TYPE_TIME: {kindOldTime, 3},
	}
	f, ok := fixed[typ]
	if !ok {
		return fmt.Errorf("type %d is not known", typ)
	}
	c.kind, c.width = f.kind, f.width
	return nil
}

// indexes returns where columns stand, in the order asked for; what is not there is left out.
func (l *layout) indexes(names []string) []int {
	var out []int
	for _, name := range names {
		for i := range l.columns {
			if l.columns[i].name == name {
				out = append(out, i)
			}
		}
	}
	return out
}
