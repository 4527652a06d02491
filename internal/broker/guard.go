package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// guard is a listener whose connections refuse what would bring kfake down: a request of a
// kind that it does not know ends its process, and it reserves whatever size a frame claims
// to have, which for an HTTP request is a gigabyte.
type guard struct {
	net.Listener
	log       zerolog.Logger
	advertise string
}

// advertised is an address by its name only.
type advertised string

// Network and String make it a net.Addr: kfake tells clients what its listener's address says.
func (advertised) Network() string { return "tcp" }

// String is host:port.
func (a advertised) String() string { return string(a) }

// Addr is the address that kfake tells its clients.
func (g *guard) Addr() net.Addr {
	if g.advertise != "" {
		return advertised(g.advertise)
	}
	return g.Listener.Addr()
}

// Accept returns the next connection, guarded.
func (g *guard) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &guarded{Conn: conn, log: g.log}, nil
}

// guarded looks at the head of each request: size (4), kind (2), version (2).
type guarded struct {
	net.Conn
	log     zerolog.Logger
	head    [8]byte
	pending []byte // of the head, not yet given
	left    int    // bytes of the frame behind the head, not yet given
}

// smallestFrame is kind, version, correlation id and the length of a client id.
const smallestFrame = 10

// Read gives the frames as they are, as long as their heads are good.
func (c *guarded) Read(p []byte) (int, error) {
	if len(c.pending) == 0 && c.left == 0 {
		if _, err := io.ReadFull(c.Conn, c.head[:]); err != nil {
			return 0, err
		}
		if err := c.judge(); err != nil {
			c.log.Warn().Err(err).Stringer("client", c.RemoteAddr()).Msg("embedded broker: a connection was closed")
			return 0, err
		}
	}
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *guarded) judge() error {
	size := binary.BigEndian.Uint32(c.head[:])
	key := int16(binary.BigEndian.Uint16(c.head[4:]))
	version := int16(binary.BigEndian.Uint16(c.head[6:]))
	if size < smallestFrame || size > maxFrame {
		return fmt.Errorf("a request of %d bytes", size)
	}
	if kmsg.RequestForKey(key) == nil || version < 0 {
		return fmt.Errorf("a request of kind %d, version %d", key, version)
	}
	c.pending, c.left = c.head[:], int(size)-4
	return nil
}
