package mysql

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"slices"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/packet"
	"github.com/go-mysql-org/go-mysql/replication"
)

// MySQL sends a compressed transaction as one event of up to 1 GiB, which the replication
// client would read into one piece of memory before it hands it over: some five times its size
// in all. A connection therefore cuts such an event into pieces as it comes in, each an event by
// itself for the client: those that are not the last have the type payloadPiece.
const (
	payloadPiece replication.EventType = 0xf0 // no server's
	pieceBytes                         = 256 << 10
)

// inPieces makes the replication client's connection cut large compressed transactions. It is
// called between login and the first command, when nothing is on its way.
func inPieces(c *client.Conn) error {
	below := c.Conn.Conn
	c.Conn = packet.NewConn(&cuttingConn{Conn: below, in: bufio.NewReaderSize(below, 64<<10)})
	return nil
}

const (
	packetHead = 4                               // three bytes of length, one of sequence
	packetMost = 1<<24 - 1                       // a packet of this length goes on in the next
	eventHead  = 1 + replication.EventHeaderSize // what stands before an event's body in a packet
	eventType  = 5                               // where, in that
	eventSize  = 10
	sumBytes   = replication.BinlogChecksumLength
)

var errCut = errors.New("a compressed transaction's size or checksum is not what its event says: damaged on its way")

// cuttingConn passes on the server's packets, and cuts those of large compressed transactions.
type cuttingConn struct {
	net.Conn
	in     *bufio.Reader
	plain  int  // bytes that go by as they are
	goesOn bool // the last packet of these goes on in the next
	summed bool // events end with a checksum
	shift  byte // how many packets more were given than came

	// Of the event that is being cut.
	event    [eventHead]byte
	remain   int    // bytes of its body to come, checksum aside
	sum      uint32 // of what came
	sequence byte   // of the next piece
	left     int    // bytes to come in the server's packet
	more     bool   // which goes on in the next

	piece []byte
	out   []byte // what of it was not read yet
}

// Write begins a command, whose answer is numbered from the beginning.
func (c *cuttingConn) Write(b []byte) (int, error) {
	c.shift = 0
	return c.Conn.Write(b)
}

func (c *cuttingConn) Read(b []byte) (int, error) {
	if len(c.out) == 0 && c.plain == 0 {
		if err := c.look(); err != nil {
			return 0, err
		}
	}
	if len(c.out) > 0 {
		n := copy(b, c.out)
		c.out = c.out[n:]
		return n, nil
	}
	n, err := c.in.Read(b[:min(len(b), c.plain)])
	c.plain -= n
	return n, err
}

// look finds out what comes next: packets that go by, as many as have come, or an event to cut.
func (c *cuttingConn) look() error {
	if c.remain > 0 {
		return c.cut()
	}
	head, err := c.in.Peek(packetHead)
	if err != nil {
		return err
	}
	if !c.goesOn {
		length := lengthOf(head)
		if head, err = c.in.Peek(packetHead + min(length, eventHead)); err != nil {
			return err
		}
		switch special(head, length) {
		case replication.TRANSACTION_PAYLOAD_EVENT:
			return c.begin()
		case replication.FORMAT_DESCRIPTION_EVENT:
			if err := c.format(length); err != nil {
				return err
			}
		}
	}
	c.pass()
	return nil
}

// pass lets all packets go by that have come, up to one that must be looked at by itself.
func (c *cuttingConn) pass() {
	buffered, _ := c.in.Peek(c.in.Buffered()) // what is there can't fail
	at := 0
	for at+packetHead <= len(buffered) {
		length := lengthOf(buffered[at:])
		if at > 0 && !c.goesOn && (at+packetHead+min(length, eventHead) > len(buffered) || special(buffered[at:], length) != 0) {
			break
		}
		c.goesOn = length == packetMost
		buffered[at+3] += c.shift
		at += packetHead + length
	}
	c.plain = at
}

func lengthOf(head []byte) int { return int(littleEndian(head[:3])) }

// special tells an event that must be looked at by its type, 0 for others.
func special(packet []byte, length int) replication.EventType {
	if length <= eventHead || packet[packetHead] != 0 {
		return 0
	}
	t := replication.EventType(packet[packetHead+eventType])
	if t == replication.FORMAT_DESCRIPTION_EVENT || t == replication.TRANSACTION_PAYLOAD_EVENT && length > pieceBytes {
		return t
	}
	return 0
}

// format learns from a binary log's first event, which comes next, whether the others end with
// a checksum: the byte before its own says so.
func (c *cuttingConn) format(length int) error {
	event, err := c.in.Peek(packetHead + length)
	if err == nil && length > eventHead+sumBytes {
		c.summed = replication.BinlogChecksum(event[len(event)-sumBytes-1]) == replication.BINLOG_CHECKSUM_ALG_CRC32
	}
	return err
}

// begin takes the head of the event that comes next, and makes its first piece.
func (c *cuttingConn) begin() error {
	head, err := c.in.Peek(packetHead)
	if err != nil {
		return err
	}
	c.sequence = head[3] + c.shift
	if err := c.packet(); err != nil {
		return err
	}
	if err := c.take(c.event[:]); err != nil {
		return err
	}
	c.sum = crc32.ChecksumIEEE(c.event[1:])
	c.remain = int(binary.LittleEndian.Uint32(c.event[eventSize:])) - replication.EventHeaderSize
	if c.summed {
		c.remain -= sumBytes
	}
	if c.remain <= 0 {
		return errCut
	}
	return c.cut()
}

// packet takes the head of the server's next packet.
func (c *cuttingConn) packet() error {
	var head [packetHead]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return err
	}
	c.left = lengthOf(head[:])
	c.more = c.left == packetMost
	c.shift--
	return nil
}

// take reads of the event that is being cut, over the borders of the server's packets.
func (c *cuttingConn) take(b []byte) error {
	for len(b) > 0 {
		if c.left == 0 {
			if !c.more {
				return errCut
			}
			if err := c.packet(); err != nil {
				return err
			}
		}
		n, err := io.ReadFull(c.in, b[:min(len(b), c.left)])
		if err != nil {
			return err
		}
		c.left, b = c.left-n, b[n:]
	}
	return nil
}

// cut makes the next piece.
func (c *cuttingConn) cut() error {
	n := min(c.remain, pieceBytes)
	length := eventHead + n
	if c.summed {
		length += sumBytes
	}
	piece := append(c.piece[:0], byte(length), byte(length>>8), byte(length>>16), c.sequence)
	piece = append(piece, c.event[:]...)
	event := piece[packetHead:]
	binary.LittleEndian.PutUint32(event[eventSize:], uint32(length-1))
	piece = slices.Grow(piece, n+sumBytes)[:len(piece)+n]
	body := piece[len(piece)-n:]
	if err := c.take(body); err != nil {
		return err
	}
	c.sum = crc32.Update(c.sum, crc32.IEEETable, body)
	if c.remain -= n; c.remain > 0 {
		piece[packetHead+eventType] = byte(payloadPiece)
	} else if err := c.end(); err != nil {
		return err
	}
	if c.summed {
		piece = binary.LittleEndian.AppendUint32(piece, crc32.ChecksumIEEE(piece[packetHead+1:]))
	}
	c.sequence, c.shift = c.sequence+1, c.shift+1
	c.piece, c.out = piece, piece
	return nil
}

// end takes what stands behind the body of the event that is being cut.
func (c *cuttingConn) end() error {
	if c.summed {
		var sum [sumBytes]byte
		if err := c.take(sum[:]); err != nil {
			return err
		}
		if binary.LittleEndian.Uint32(sum[:]) != c.sum {
			return errCut
		}
	}
	if c.left == 0 && c.more { // a packet that was full is followed by one, be it empty
		if err := c.packet(); err != nil {
			return err
		}
	}
	if c.left > 0 {
		return errCut
	}
	return nil
}
