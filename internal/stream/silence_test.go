package stream

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/lab/fault"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// opened are the connections of a client, and how many of them it has closed.
type opened struct{ all, closed atomic.Int64 }

type openedConn struct {
	net.Conn
	once sync.Once
	of   *opened
}

func (c *openedConn) Close() error {
	c.once.Do(func() { c.of.closed.Add(1) })
	return c.Conn.Close()
}

// proxied makes the configuration's connections go through a proxy that can fall silent, and
// opens none while it is.
func proxied(t *testing.T, cfg Config) (Config, *fault.Proxy, *opened, *atomic.Bool) {
	t.Helper()
	proxy, err := fault.New(cfg.Brokers[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	conns, silent := &opened{}, &atomic.Bool{}
	cfg.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		if silent.Load() {
			return nil, errCut
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, proxy.Addr())
		if err != nil {
			return nil, err
		}
		conns.all.Add(1)
		return &openedConn{Conn: conn, of: conns}, nil
	}
	return cfg, proxy, conns, silent
}

// Connections that stay open but on which nothing comes any more are given up, by reader and
// writer, and what was on its way stands in the log once.
func TestSilentConnections(t *testing.T) {
	direct := freshLog(t, server.Kafka(t))
	writing, writersProxy, writers, writersSilence := proxied(t, direct)
	reading, readersProxy, readers, readersSilence := proxied(t, direct)
	w, _ := own(t, writing)
	want := rows(0, 20)
	mustAppend(t, w, want[:10]...)
	r := open(t, reading, Position{})
	take(t, r, 11)
	for _, p := range []*fault.Proxy{writersProxy, readersProxy} {
		if err := p.Silence(); err != nil {
			t.Fatal(err)
		}
	}
	writersSilence.Store(true)
	readersSilence.Store(true)
	appended := make(chan error, 1)
	go func() { appended <- w.Append(t.Context(), want[10:]) }()
	ctx, cancel := context.WithTimeout(t.Context(), 2*requestTime+10*time.Second)
	defer cancel()
	read := make(chan error, 1)
	go func() {
		records, err := r.Next(ctx)
		for n := len(records); err == nil && n < 10; n += len(records) {
			records, err = r.Next(ctx)
		}
		read <- err
	}()
	for writers.closed.Load() < writers.all.Load() || readers.closed.Load() < readers.all.Load() {
		select {
		case <-ctx.Done():
			t.Fatalf("after %v of silence the writer has closed %d of %d connections, the reader %d of %d",
				2*requestTime, writers.closed.Load(), writers.all.Load(), readers.closed.Load(), readers.all.Load())
		case <-time.After(50 * time.Millisecond):
		}
	}
	writersSilence.Store(false)
	readersSilence.Store(false)
	for _, p := range []*fault.Proxy{writersProxy, readersProxy} {
		if err := p.Mend(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	sameRecords(t, want, whole(t, direct)[1:])
}
