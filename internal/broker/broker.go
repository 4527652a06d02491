// Package broker is the embedded broker of demo, tests and trying it out.
package broker

import (
	"context"
	"errors"

	"github.com/rs/zerolog"
)

// Config says where the embedded broker keeps its data and where it listens.
type Config struct {
	Dir    string // made with mode 0700; one broker a directory
	Listen string // host:port; port 0 chooses a free one
	Log    zerolog.Logger
}

// Broker is a running embedded broker.
type Broker struct{}

// Start opens the data directory and listens. It returns when clients can connect.
func Start(ctx context.Context, cfg Config) (*Broker, error) { return nil, errors.ErrUnsupported }

// Addr returns the host:port that clients connect to.
func (b *Broker) Addr() string { return "" }

// Close ends the broker and waits for it.
func (b *Broker) Close() error { return nil }
