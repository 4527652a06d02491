package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/klauspost/compress/zstd"
)

// unpacking is what compressed transactions are unpacked with, used again for each.
type unpacking struct {
	zstd *zstd.Decoder
	buf  []byte
}

// payloadReader reads a compressed transaction from the pieces in which it comes (pieces.go).
type payloadReader struct {
	rest []byte
	last bool // no piece follows
	more func() (piece []byte, last bool, err error)
}

func (p *payloadReader) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.last {
			return 0, io.EOF
		}
		var err error
		if p.rest, p.last, err = p.more(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func isPayload(t replication.EventType) bool {
	return t == replication.TRANSACTION_PAYLOAD_EVENT || t == payloadPiece
}

// nextPiece waits for the next piece of a compressed transaction.
func (r *reader) nextPiece(ctx context.Context, in *incoming) (piece []byte, last bool, err error) {
	e, err := in.await(ctx)
	if err != nil {
		return nil, false, err
	}
	if t := e.Header.EventType; !isPayload(t) {
		return nil, false, fmt.Errorf("an event of type %d within it", t)
	}
	piece, err = r.body(e)
	return piece, e.Header.EventType != payloadPiece, err
}

// readPayload takes a compressed transaction apart, event by event, as it comes: neither its
// compressed nor its whole size is ever in memory.
func (r *reader) readPayload(ctx context.Context, h *replication.EventHeader, packed *payloadReader) error {
	compression, err := packed.head()
	if err != nil {
		return fmt.Errorf("compressed transaction at %s: %w", r.where(h), err)
	}
	var stream io.Reader = packed
	switch compression {
	case replication.ZSTD:
		if stream, err = r.unpacking.open(packed); err != nil {
			return fmt.Errorf("compressed transaction at %s: %w", r.where(h), err)
		}
	case replication.NONE:
	default:
		return r.stop(ErrEvent, "", fmt.Sprintf("transaction at %s is compressed by method %d", r.where(h), compression), "SET GLOBAL binlog_transaction_compression = OFF; "+beginAnew)
	}
	for {
		inner, body, err := r.unpacking.event(stream)
		if errors.Is(err, io.EOF) && packed.last {
			return nil
		}
		if err != nil {
			return fmt.Errorf("compressed transaction at %s: %w", r.where(h), err)
		}
		inner.LogPos = h.LogPos
		if err := r.event(inner, body); err != nil {
			return err
		}
		if err := r.flushFull(ctx); err != nil {
			return err
		}
	}
}

func (u *unpacking) open(packed io.Reader) (io.Reader, error) {
	if u.zstd != nil {
		return u.zstd, u.zstd.Reset(packed)
	}
	var err error
	u.zstd, err = zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	return u.zstd, err
}

// event reads the next event of an unpacked transaction, which is valid until the one after it;
// io.EOF behind the last.
func (u *unpacking) event(stream io.Reader) (*replication.EventHeader, []byte, error) {
	var head [replication.EventHeaderSize]byte
	if _, err := io.ReadFull(stream, head[:]); err != nil {
		return nil, nil, err
	}
	h := &replication.EventHeader{}
	if err := h.Decode(head[:]); err != nil {
		return nil, nil, err
	}
	size := int(h.EventSize) - replication.EventHeaderSize
	if cap(u.buf) < size {
		u.buf = make([]byte, size)
	}
	body := u.buf[:size]
	if cap(u.buf) > batchBytes {
		u.buf = nil // one huge row is not kept room for
	}
	if _, err := io.ReadFull(stream, body); err != nil {
		return nil, nil, noEOF(err)
	}
	return h, body, nil
}

// noEOF tells an end within something from one behind it.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// head reads what stands before the packed events: fields of type, length and value.
func (p *payloadReader) head() (compression int, err error) {
	m := &mapReader{rest: p.rest}
	compression = replication.NONE
	for {
		field := m.number()
		if m.bad {
			return 0, errShort
		}
		if field == replication.OTW_PAYLOAD_HEADER_END_MARK {
			p.rest = m.rest
			return compression, nil
		}
		value := &mapReader{rest: m.text()}
		if field == replication.OTW_PAYLOAD_COMPRESSION_TYPE_FIELD {
			compression = value.number()
		}
	}
}
