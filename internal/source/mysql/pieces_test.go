package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/packet"
	"github.com/go-mysql-org/go-mysql/replication"
)

// sentConn gives what a server sent, in pieces as a network might.
type sentConn struct {
	net.Conn
	sent   *bytes.Reader
	random *rand.Rand
}

func (c sentConn) Read(b []byte) (int, error) {
	return c.sent.Read(b[:min(len(b), 1+c.random.IntN(1<<uint(1+c.random.IntN(17))))])
}

// packets are events as a server sends them, the first one a format description.
func packets(events [][]byte) []byte {
	var out []byte
	sequence := byte(1)
	for _, body := range events {
		for {
			n := min(len(body), packetMost)
			out = append(out, byte(n), byte(n>>8), byte(n>>16), sequence)
			out = append(out, body[:n]...)
			sequence++
			body = body[n:]
			if n < packetMost {
				break
			}
		}
	}
	return out
}

func event(t replication.EventType, body []byte, summed bool) []byte {
	e := make([]byte, eventHead)
	e[eventType] = byte(t)
	if t == replication.FORMAT_DESCRIPTION_EVENT {
		body = append(bytes.Clone(body), byte(replication.BINLOG_CHECKSUM_ALG_OFF))
		if summed {
			body[len(body)-1] = byte(replication.BINLOG_CHECKSUM_ALG_CRC32)
		}
		summed = true
	}
	e = slices.Concat(e, body)
	size := len(e) - 1
	if summed {
		size += sumBytes
	}
	binary.LittleEndian.PutUint32(e[eventSize:], uint32(size))
	if summed {
		e = binary.LittleEndian.AppendUint32(e, crc32.ChecksumIEEE(e[1:]))
	}
	return e
}

// together reads a connection's events to its end, and puts pieces together again.
func together(t *testing.T, random *rand.Rand, sent []byte, summed bool) (events [][]byte, largest int, err error) {
	c := &client.Conn{Conn: packet.NewConn(sentConn{sent: bytes.NewReader(sent), random: random})}
	if err := inPieces(c); err != nil {
		t.Fatal(err)
	}
	c.Sequence = 1
	var whole []byte
	for {
		p, err := c.ReadPacket()
		if err != nil {
			return events, largest, err
		}
		if len(p) <= eventHead || p[0] != 0 {
			events = append(events, bytes.Clone(p))
			continue
		}
		kind := replication.EventType(p[eventType])
		if !isPayload(kind) {
			events = append(events, bytes.Clone(p))
			continue
		}
		largest = max(largest, len(p))
		if int(binary.LittleEndian.Uint32(p[eventSize:])) != len(p)-1 {
			t.Fatalf("a piece of %d bytes says that it has %d", len(p)-1, binary.LittleEndian.Uint32(p[eventSize:]))
		}
		body := p[eventHead:]
		if summed {
			sum := binary.LittleEndian.Uint32(p[len(p)-sumBytes:])
			if crc32.ChecksumIEEE(p[1:len(p)-sumBytes]) != sum {
				t.Fatal("a piece's checksum is wrong")
			}
			body = body[:len(body)-sumBytes]
		}
		if whole = append(whole, body...); kind == payloadPiece {
			continue
		}
		events = append(events, event(kind, whole, summed))
		whole = nil
	}
}

func noise(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// A connection that cuts large compressed transactions changes nothing else: the events are
// those that were sent, in their order and with sound checksums, wherever the packets end.
func TestPiecesAreTheWhole(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for _, summed := range []bool{true, false} {
		sum := 0
		if summed {
			sum = sumBytes
		}
		sent := [][]byte{{0, 0, 0, 2, 0}, event(replication.FORMAT_DESCRIPTION_EVENT, noise(random, 90), summed)}
		add := func(t replication.EventType, size int) { sent = append(sent, event(t, noise(random, size), summed)) }
		for _, size := range []int{10, pieceBytes - eventHead - sum, pieceBytes - eventHead - sum + 1, pieceBytes, pieceBytes + 1, 3*pieceBytes + 7,
			packetMost - eventHead - sum - 1, packetMost - eventHead - sum, packetMost - eventHead - sum + 1, packetMost - eventHead, 2*packetMost - eventHead - sum} {
			add(replication.TRANSACTION_PAYLOAD_EVENT, size)
			for range random.IntN(4) {
				add(replication.XID_EVENT, 8)
			}
		}
		// A row whose second packet looks like a compressed transaction's first.
		row := event(replication.WRITE_ROWS_EVENTv2, noise(random, 2*packetMost), summed)
		row[packetMost], row[packetMost+eventType] = 0, byte(replication.TRANSACTION_PAYLOAD_EVENT)
		sent = append(sent, row)
		for range 300 {
			add(replication.WRITE_ROWS_EVENTv2, random.IntN(2000))
		}
		add(replication.TRANSACTION_PAYLOAD_EVENT, 5*pieceBytes)
		got, largest, err := together(t, random, packets(sent), summed)
		if len(got) != len(sent) {
			t.Fatalf("checksums %v: %d events came, %d were sent: %v", summed, len(got), len(sent), err)
		}
		for i := range sent {
			if !bytes.Equal(got[i], sent[i]) {
				t.Fatalf("checksums %v: event %d of %d bytes came with %d", summed, i, len(sent[i]), len(got[i]))
			}
		}
		if largest > pieceBytes+eventHead+sumBytes {
			t.Errorf("a piece has %d bytes", largest)
		}
	}
}

// A compressed transaction that was damaged or cut short on its way does not end as if it were whole.
func TestDamagedPieces(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	format := event(replication.FORMAT_DESCRIPTION_EVENT, noise(random, 90), true)
	sound := event(replication.TRANSACTION_PAYLOAD_EVENT, noise(random, packetMost+3*pieceBytes), true)
	for name, damage := range map[string]func(sent []byte) []byte{
		"a bit of the body":     func(sent []byte) []byte { sent[len(sent)/2] ^= 1; return sent },
		"a bit of the checksum": func(sent []byte) []byte { sent[len(sent)-1] ^= 1; return sent },
		"the size, smaller":     func(sent []byte) []byte { sent[len(format)+2*packetHead+eventSize] ^= 1; return sent },
		"the end":               func(sent []byte) []byte { return sent[:len(sent)-2] },
	} {
		sent := damage(packets([][]byte{format, bytes.Clone(sound)}))
		if got, _, err := together(t, random, sent, true); len(got) != 1 || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %d events came before %v", name, len(got), err)
		}
	}
}
