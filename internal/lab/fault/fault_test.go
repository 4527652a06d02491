package fault_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/lab/fault"
)

// echo answers each line with the same line; it ends with the test.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func proxy(t *testing.T) *fault.Proxy {
	t.Helper()
	p, err := fault.New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

type client struct {
	net.Conn
	answers *bufio.Reader
}

func dial(t *testing.T, p *fault.Proxy) *client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{Conn: conn, answers: bufio.NewReader(conn)}
}

// ask sends a line and waits for its echo.
func (c *client) ask(within time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return err
	}
	_, err := c.answers.ReadString('\n')
	return err
}

const soon = 5 * time.Second

func TestCutAndMend(t *testing.T) {
	p := proxy(t)
	c := dial(t, p)
	if err := c.ask(soon); err != nil {
		t.Fatalf("a sound connection: %v", err)
	}
	p.Cut()
	if err := c.ask(soon); err == nil {
		t.Error("a cut connection answers")
	}
	if conn, err := net.Dial("tcp", p.Addr()); err == nil {
		conn.Close()
		t.Error("a cut proxy accepts a connection")
	}
	if err := p.Mend(); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, p).ask(soon); err != nil {
		t.Errorf("after Mend: %v", err)
	}
}

func TestDelay(t *testing.T) {
	const delay = 200 * time.Millisecond
	p := proxy(t)
	c := dial(t, p)
	if err := p.Delay(delay, 0); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := c.ask(soon); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < delay {
		t.Errorf("an answer took %s, the delay is %s", took, delay)
	}
	if err := p.Mend(); err != nil {
		t.Fatal(err)
	}
	if err := c.ask(soon); err != nil {
		t.Errorf("after Mend: %v", err)
	}
}

func TestSilence(t *testing.T) {
	p := proxy(t)
	c := dial(t, p)
	if err := p.Silence(); err != nil {
		t.Fatal(err)
	}
	if err := c.ask(300 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent connection should neither answer nor end: %v", err)
	}
	if err := p.Mend(); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, p).ask(soon); err != nil {
		t.Errorf("after Mend: %v", err)
	}
}

func TestResetAndCutInTheMiddle(t *testing.T) {
	p := proxy(t)
	if err := p.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, p).ask(soon); err == nil {
		t.Error("a reset connection answers")
	}
	if err := p.Mend(); err != nil {
		t.Fatal(err)
	}
	if err := p.CutAfter(3); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, p).ask(soon); err == nil {
		t.Error("a connection that ends after 3 bytes gives a whole answer")
	}
	if err := p.Mend(); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, p).ask(soon); err != nil {
		t.Errorf("after Mend: %v", err)
	}
}
