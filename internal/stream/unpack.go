package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
	"github.com/segmentio/kafka-go"
)

// maxUnpacked bounds what one batch may hold when it is decompressed. The Writer's batches
// are far below it; a batch of somebody else's must not fill the memory.
const maxUnpacked = 64 << 20

var errTooMuch = errors.New("it holds more than 64 MiB")

// unpack decompresses the records of a batch. The bytes are the caller's.
func unpack(codec uint16, data []byte) ([]byte, error) {
	switch codec {
	case codecNone:
		return data, nil
	case codecLZ4:
		if out, err := unpackLZ4(data); !errors.Is(err, errOtherFrame) {
			return out, err
		}
	}
	c := kafka.Compression(codec).Codec()
	if c == nil {
		return nil, fmt.Errorf("codec %d is not known", codec)
	}
	reader := c.NewReader(bytes.NewReader(data))
	defer reader.Close()
	out := bytes.NewBuffer(make([]byte, 0, 4*len(data)+512))
	n, err := io.Copy(out, io.LimitReader(reader, maxUnpacked+1))
	if err != nil {
		return nil, err
	}
	if n > maxUnpacked {
		return nil, errTooMuch
	}
	return out.Bytes(), nil
}

// errOtherFrame says that a frame is not of the plain form that the Writer gives it.
var errOtherFrame = errors.New("another form of LZ4 frame")

// An LZ4 frame as the Writer gives it: magic (4), flags (1), block size (1), checksum of the
// header (1), then blocks, each behind its size (4), and a size of 0 at the end.
const (
	lz4Magic      = 0x184D2204
	lz4Plain      = 0x60 // version 1, independent blocks, no checksums, no content size
	lz4Header     = 7
	lz4Stored     = 1 << 31 // in a block's size: the block is not compressed
	smallestBlock = 64 << 10
)

// unpackLZ4 decompresses a plain frame block by block into its final place: the streaming
// reader copies everything once more, and its caller has to guess how large it becomes.
func unpackLZ4(data []byte) ([]byte, error) {
	if len(data) < lz4Header || binary.LittleEndian.Uint32(data) != lz4Magic || data[4] != lz4Plain {
		return nil, errOtherFrame
	}
	code := data[5] >> 4 & 7
	if code < 4 {
		return nil, errOtherFrame
	}
	largest := smallestBlock << (2 * (code - 4))
	var out []byte
	for rest := data[lz4Header:]; ; {
		if len(rest) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		head := binary.LittleEndian.Uint32(rest)
		if head == 0 {
			return out, nil
		}
		size := int(head &^ lz4Stored)
		if size > len(rest)-4 {
			return nil, io.ErrUnexpectedEOF
		}
		block := rest[4 : 4+size]
		rest = rest[4+size:]
		if out == nil {
			out = make([]byte, 0, firstGuess(block, len(rest), largest))
		}
		var err error
		if head&lz4Stored != 0 {
			out = append(out, block...)
		} else if out, err = appendBlock(out, block, largest); err != nil {
			return nil, err
		}
		if len(out) > maxUnpacked {
			return nil, errTooMuch
		}
	}
}

// firstGuess is how large the whole may become: blocks behind the first one tell that it was
// full, and that all but the last will be.
func firstGuess(block []byte, behind, largest int) int {
	if behind <= 4 {
		return min(6*len(block)+512, largest)
	}
	return min((behind/max(1, len(block))+2)*largest, maxUnpacked)
}

// appendBlock decompresses a block behind out, with as much room as it turns out to need.
func appendBlock(out, block []byte, largest int) ([]byte, error) {
	for room := min(6*len(block)+512, largest); ; room = min(4*room, largest) {
		if free := cap(out) - len(out); free >= largest {
			room = largest
		} else if free < room {
			out = append(make([]byte, 0, max(2*cap(out), len(out)+room)), out...)
		}
		n, err := lz4.UncompressBlock(block, out[len(out):min(cap(out), len(out)+largest)])
		if err == nil {
			return out[:len(out)+n], nil
		}
		if room == largest || !errors.Is(err, lz4.ErrInvalidSourceShortBuffer) {
			return nil, err
		}
	}
}
