package stream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/spola-cdc/spola/internal/change"
)

// parser turns batches into records. Keys and values point into the batch's own buffer,
// which is never used again; tables and ops, of which there are few, are kept once.
type parser struct {
	topic string
	names map[string]string

	origins []byte // of the batch being parsed
	ends    []int  // where each record's origin ends in origins
}

func newParser(topic string) *parser { return &parser{topic: topic, names: map[string]string{}} }

// maxNames bounds the names that are kept. A log has as many as its shop has captured
// tables.
const maxNames = 4096

func (p *parser) intern(name []byte) string {
	if s, ok := p.names[string(name)]; ok {
		return s
	}
	s := string(name)
	if len(p.names) < maxNames {
		p.names[s] = s
	}
	return s
}

func (p *parser) keepOrigin(text []byte) { p.origins = append(p.origins, text...) }

// parse appends the records of the whole batches in data whose offset is not below from. It
// returns the offset behind the last batch, or from if there is none. A batch that is cut at
// the end of data is left out: a broker cuts there.
func (p *parser) parse(dst []change.Record, data []byte, from int64) ([]change.Record, int64, error) {
	next := from
	for len(data) >= batchHeader {
		size := int64(binary.BigEndian.Uint32(data[atLength:])) + atLength + 4
		if size < batchHeader {
			return dst, next, p.foreign(next, "a batch of %d bytes", size)
		}
		if size > int64(len(data)) {
			break
		}
		var err error
		if dst, next, err = p.batch(dst, data[:size], from, next); err != nil {
			return dst, next, err
		}
		data = data[size:]
	}
	return dst, next, nil
}

func (p *parser) foreign(offset int64, format string, args ...any) error {
	return &StopError{Kind: ErrForeign, Topic: p.topic, Offset: offset, What: fmt.Sprintf(format, args...),
		Mend: "if the topic is another program's, give kafka.prefix in spola.yaml another name; if it is this log, find out who else writes to it, and take the right away"}
}

func (p *parser) batch(dst []change.Record, b []byte, from, next int64) ([]change.Record, int64, error) {
	order := binary.BigEndian
	base := int64(order.Uint64(b))
	last := base + int64(order.Uint32(b[atLastDelta:]))
	if b[atMagic] != 2 {
		return dst, next, p.foreign(base, "a batch of version %d, want 2", b[atMagic])
	}
	if last < from {
		return dst, next, nil // a fetch begins with the batch that holds the offset, or before it
	}
	if crc := crc32.Checksum(b[atAttrs:], castagnoli); crc != order.Uint32(b[atCRC:]) {
		return dst, next, &StopError{Kind: ErrMismatch, Topic: p.topic, Offset: base,
			What: fmt.Sprintf("the batch's CRC is %08x, its bytes give %08x", order.Uint32(b[atCRC:]), crc),
			Mend: "look at the broker's disk and its log"}
	}
	attrs := order.Uint16(b[atAttrs:])
	if attrs&attrControl != 0 {
		return dst, next, p.foreign(base, "the mark of a transaction")
	}
	if attrs&attrLogTime != 0 {
		return dst, next, &StopError{Kind: ErrTopic, Topic: p.topic, Offset: base,
			What: "the broker replaced the records' times", Mend: "set message.timestamp.type=CreateTime and begin a new generation"}
	}
	body, err := unpack(attrs&attrCompression, b[batchHeader:])
	if err != nil {
		return dst, next, p.foreign(base, "a batch that can't be decompressed: %v", err)
	}
	at := len(dst)
	dst, err = p.records(dst, body, base, int64(order.Uint64(b[atFirstTime:])), int(int32(order.Uint32(b[atCount:]))))
	if err != nil {
		return dst[:at], next, err
	}
	for at < len(dst) && dst[at].Offset < from {
		dst = append(dst[:at], dst[at+1:]...)
	}
	return dst, last + 1, nil
}

// records parses the records of a decompressed batch.
func (p *parser) records(dst []change.Record, body []byte, base, first int64, count int) ([]change.Record, error) {
	p.origins, p.ends = p.origins[:0], p.ends[:0]
	at := len(dst)
	if count < 0 || count > len(body) {
		return dst, p.foreign(base, "a batch that claims %d records in %d bytes", count, len(body))
	}
	d := varints{b: body}
	for range count {
		size := d.varint()
		if d.short || size < 0 || size > int64(len(d.b)) {
			return dst, p.foreign(base, "a cut record")
		}
		one := varints{b: d.b[:size]}
		d.b = d.b[size:]
		dst = append(dst, change.Record{})
		if err := p.record(&dst[len(dst)-1], &one, base, first); err != nil {
			return dst, err
		}
		p.ends = append(p.ends, len(p.origins))
	}
	// One string for all origins of the batch, and each record a part of it.
	all, begin := string(p.origins), 0
	for i, end := range p.ends {
		dst[at+i].Origin = all[begin:end]
		begin = end
	}
	return dst, nil
}

func (p *parser) record(r *change.Record, d *varints, base, first int64) error {
	d.take(1) // attributes: none are defined
	r.Time = first + d.varint()
	r.Offset = base + d.varint()
	r.Key = d.bytes()
	r.Value = d.bytes()
	for range d.varint() {
		name, value := d.bytes(), d.bytes()
		if d.short {
			break
		}
		if err := p.setHeader(r, name, value); err != nil {
			return p.foreign(r.Offset, "%v", err)
		}
	}
	if d.short {
		return p.foreign(r.Offset, "a cut record")
	}
	switch {
	case r.Op == change.Fence:
	case r.Op == "":
		return p.foreign(r.Offset, "a record without the header %s", headOp)
	case r.Seq < 1 || r.Gen < 1:
		return p.foreign(r.Offset, "a record with number %d of generation %d", r.Seq, r.Gen)
	}
	return nil
}

// varints reads what a record consists of; short is set when the bytes do not suffice.
type varints struct {
	b     []byte
	short bool
}

func (d *varints) varint() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.short, d.b = true, nil
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *varints) take(n int64) []byte {
	if n < 0 || n > int64(len(d.b)) {
		d.short, d.b = true, nil
		return nil
	}
	head := d.b[:n:n]
	d.b = d.b[n:]
	return head
}

// bytes reads a length and that many bytes; a length of -1 is null.
func (d *varints) bytes() []byte {
	n := d.varint()
	if n == -1 {
		return nil
	}
	return d.take(n)
}
