// Package fault stands between a program and a server, and makes their connection as bad as a
// real network can be: cut, slow, silent, or reset in the middle of an answer.
//
// A [Proxy] is given to the program in the server's place:
//
//	p, err := fault.New(db.Addr())
//	url := p.URL(db.URL())   // the same database, through the proxy
//	p.Cut(); …; p.Mend()
//
// Kafka's clients go to the addresses that the brokers announce, not to the one they were
// given: for a proxy in front of a broker its advertised.listeners must name the proxy.
package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxy is a connection that can be made bad. It passes everything until told otherwise.
// Its methods are safe for use by several goroutines.
type Proxy struct {
	mu    sync.Mutex
	proxy *toxiproxy.Proxy
	addr  string
	up    bool
	names []string // of the toxics at work
}

// New starts a proxy on a free port of the loopback interface, in front of host:port.
func New(upstream string) (*Proxy, error) { return NewAt("127.0.0.1:0", upstream) }

// NewAt is New on an address of the caller's choice.
func NewAt(listen, upstream string) (*Proxy, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{proxy: toxiproxy.NewProxy(server, upstream, listen, upstream)}
	if err := p.proxy.Start(); err != nil {
		return nil, fmt.Errorf("start a proxy for %s: %w", upstream, err)
	}
	p.addr, p.up = p.proxy.Listen, true
	return p, nil
}

// Addr is the proxy's host:port, the same over cuts.
func (p *Proxy) Addr() string { return p.addr }

// URL is a server's URL with the proxy in the server's place.
func (p *Proxy) URL(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("read a server's URL: %w", err)
	}
	u.Host = p.addr
	return u.String(), nil
}

// Cut ends all connections and accepts none until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up {
		p.proxy.Stop()
		p.up = false
	}
}

// Delay makes every answer late by d, give or take the jitter, until Mend.
func (p *Proxy) Delay(d, jitter time.Duration) error {
	return p.add("latency", map[string]any{"latency": d.Milliseconds(), "jitter": jitter.Milliseconds()})
}

// Silence lets nothing through in the answers' direction, while connections stay open, until
// Mend: the program cannot tell a slow server from a dead one.
func (p *Proxy) Silence() error { return p.add("timeout", map[string]any{"timeout": 0}) }

// Reset resets each connection at its next answer, until Mend: what was asked for may have
// been done.
func (p *Proxy) Reset() error { return p.add("reset_peer", map[string]any{"timeout": 0}) }

// CutAfter ends each connection after so many bytes of answers, until Mend: in the middle of
// one.
func (p *Proxy) CutAfter(bytes int64) error {
	return p.add("limit_data", map[string]any{"bytes": bytes})
}

func (p *Proxy) add(kind string, attributes map[string]any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := fmt.Sprintf("%s-%d", kind, len(p.names))
	text, err := json.Marshal(map[string]any{"name": name, "type": kind, "stream": "downstream", "attributes": attributes})
	if err != nil {
		return fmt.Errorf("make a connection bad: %w", err)
	}
	if _, err := p.proxy.Toxics.AddToxicJson(bytes.NewReader(text)); err != nil {
		return fmt.Errorf("make a connection bad (%s): %w", kind, err)
	}
	p.names = append(p.names, name)
	return nil
}

// mendWithin is how long connections may take to get rid of a fault.
const mendWithin = 10 * time.Second

// Mend makes everything as New made it. Connections that were ended stay ended.
func (p *Proxy) Mend() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), mendWithin)
	defer cancel()
	var failed []error
	for _, name := range p.names {
		failed = append(failed, p.proxy.Toxics.RemoveToxic(ctx, name))
	}
	p.names = nil
	if !p.up {
		err := p.proxy.Start()
		p.up = err == nil
		failed = append(failed, err)
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("mend the connection to %s: %w", p.proxy.Upstream, err)
	}
	return nil
}

// Close ends all connections and the proxy.
func (p *Proxy) Close() { p.Cut() }
