package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/spola-cdc/spola/internal/lab/server"
)

// faults stands between the clients of a test and the broker, and does to single requests
// what a network can do. It knows requests by their frames: size (4), kind (2).
type faults struct {
	t testing.TB

	mu     sync.Mutex
	plan   func(kind protocol.ApiKey) fate
	frames chan []byte // requests that were held back
	addr   string      // of the broker that the last one was for
}

// fate is what becomes of a request.
type fate int

const (
	passes         fate = iota
	losesAnswer         // the broker acts on it, the connection breaks before the answer
	comesLate           // the connection breaks; the request is kept, to be delivered later
	isCut               // the connection breaks in the middle of the request
	answersTooLate      // the answer is held back for a moment, then the connection breaks
)

var errCut = errors.New("the test cut the connection")

// through makes the configuration's connections go through the faults.
func through(t testing.TB, cfg Config) (Config, *faults) {
	f := &faults{t: t, frames: make(chan []byte, 100), plan: func(protocol.ApiKey) fate { return passes }}
	cfg.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &faultyConn{Conn: conn, faults: f, addr: address}, nil
	}
	return cfg, f
}

func (f *faults) set(plan func(kind protocol.ApiKey) fate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = plan
}

// once lets the next produce request have the fate.
func (f *faults) once(what fate) {
	done := false
	f.set(func(kind protocol.ApiKey) fate {
		if kind != protocol.Produce || done {
			return passes
		}
		done = true
		return what
	})
}

// deliver sends a request that was held back, over a connection of its own, and returns the
// broker's answer.
func (f *faults) deliver(frame []byte) []byte {
	f.t.Helper()
	f.mu.Lock()
	addr := f.addr
	f.mu.Unlock()
	return f.deliverTo(addr, frame)
}

// deliverTo is deliver for a plan, which is asked while the faults are locked.
func (f *faults) deliverTo(addr string, frame []byte) []byte {
	f.t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(server.Patience))
	if _, err := conn.Write(frame); err != nil {
		f.t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		f.t.Fatal(err)
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		f.t.Fatal(err)
	}
	return answer
}

type faultyConn struct {
	net.Conn
	faults  *faults
	addr    string
	request []byte
	fate    fate
}

func (c *faultyConn) Write(p []byte) (int, error) {
	c.request = append(c.request, p...)
	for len(c.request) >= 6 {
		size := int(binary.BigEndian.Uint32(c.request)) + 4
		if len(c.request) < size {
			break
		}
		frame := c.request[:size]
		if err := c.forward(frame); err != nil {
			return 0, err
		}
		c.request = c.request[size:]
	}
	return len(p), nil
}

func (c *faultyConn) forward(frame []byte) error {
	c.faults.mu.Lock()
	c.fate = c.faults.plan(protocol.ApiKey(binary.BigEndian.Uint16(frame[4:])))
	c.faults.mu.Unlock()
	switch c.fate {
	case comesLate:
		c.faults.mu.Lock()
		c.faults.addr = c.addr
		c.faults.mu.Unlock()
		c.faults.frames <- append([]byte(nil), frame...)
		c.Conn.Close()
		return errCut
	case isCut:
		c.Conn.Write(frame[:len(frame)/2])
		c.Conn.Close()
		return errCut
	}
	_, err := c.Conn.Write(frame)
	return err
}

func (c *faultyConn) Read(p []byte) (int, error) {
	switch c.fate {
	case losesAnswer, answersTooLate:
		// Wait for the answer, so that the broker has acted before the connection breaks.
		n, err := c.Conn.Read(p)
		if err == nil && n > 0 {
			if c.fate == answersTooLate {
				time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			}
			c.Conn.Close()
			return 0, errCut
		}
		return 0, err
	}
	return c.Conn.Read(p)
}
