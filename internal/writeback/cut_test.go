package writeback

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// cutter is a network in front of the shop that breaks once, at the n-th statement that a client
// sends behind arming it: before the server gets the statement, or when it has, so that only the
// answer is lost.
type cutter struct {
	listener net.Listener
	upstream string

	mu     sync.Mutex
	left   int  // statements until it breaks; 0: it does not
	behind bool // the statement arrives
	broken bool
	away   bool
	open   map[net.Conn]bool
}

// close takes the shop away, or brings it back.
func (c *cutter) close(away bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = away
	for conn := range c.open {
		_ = conn.Close()
	}
}

// admit tells whether a connection comes through.
func (c *cutter) admit(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[net.Conn]bool{}
	}
	c.open[conn] = true
	return !c.away
}

// newCutter stands in front of a shop's database, and returns the URL that leads through it.
func newCutter(t testing.TB, address string) (*cutter, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{upstream: u.Host}
	if c.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.listener.Close() })
	go func() {
		for {
			client, err := c.listener.Accept()
			if err != nil {
				return
			}
			go c.serve(client)
		}
	}()
	u.Host = c.listener.Addr().String()
	return c, u.String()
}

// arm has it break at the n-th statement from now.
func (c *cutter) arm(n int, behind bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.behind, c.broken = n, behind, false
}

// broke tells whether it came to that.
func (c *cutter) broke() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close()
	if !c.admit(client) {
		return
	}
	server, err := net.Dial("tcp", c.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = io.Copy(client, server) // ends when either side does
		_ = client.Close()
	}()
	for {
		packet, err := readPacket(client)
		if err != nil {
			return
		}
		breaks, behind := c.count(packet)
		if breaks && !behind {
			return
		}
		if breaks {
			_ = client.Close() // the answer will not get through
		}
		if _, err := server.Write(packet); err != nil {
			return
		}
		if breaks {
			<-answered // the server has done it
			return
		}
	}
}

// count counts a statement: the first packet of a command.
func (c *cutter) count(packet []byte) (breaks, behind bool) {
	const query = 3
	if len(packet) < 5 || packet[3] != 0 || packet[4] != query {
		return false, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		return false, false
	}
	c.left--
	c.broken = c.left == 0
	return c.broken, c.behind
}

func readPacket(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	packet := make([]byte, 4+int(head[0])+int(head[1])<<8+int(head[2])<<16)
	copy(packet, head)
	_, err := io.ReadFull(r, packet[4:])
	return packet, err
}
