// Package stream is the log of a source on Kafka: one topic with one partition, in which
// every record but a fence has a number, 1, 2, 3 … without a hole and without a repeat.
//
// A Writer owns the log: it fences whoever owned it before, reads the tail, and appends
// with the idempotent producer's sequence numbers, so that an acknowledgement that was
// lost repeats nothing. A Reader gives the records from a place on and compares every
// number and every checksum; what does not fit stops it with an error that says where.
//
// kafka-go is imported here only. See DESIGN.md for why its own Writer and Reader are not
// used.
package stream

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/rs/zerolog"
)

// Config names a log and how its brokers are reached.
type Config struct {
	Brokers []string // host:port of one or more brokers to begin with
	Topic   string
	TLS     *tls.Config // nil: plain
	SASL    *SASL       // nil: none
	Log     zerolog.Logger

	// MaxBytes bounds what is held of the log at a time: by the Writer the records of a batch
	// before compression, by the Reader what one fetch may bring. 0 means DefaultMaxBytes.
	// It also is the largest size of a record: see Writer.MaxRecord.
	MaxBytes int

	// dial opens a connection; tests put faults there. nil: TCP.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// SASL is a user name and password for the brokers.
type SASL struct {
	Mechanism string // plain, scram-sha-256 or scram-sha-512
	User      string
	Password  string
}

// DefaultMaxBytes is the bound of a batch before compression.
const DefaultMaxBytes = 1 << 20

// TopicSettings are the settings that a log needs of its topic. Zero values mean the defaults.
type TopicSettings struct {
	Replication     int           // default 1, or 3 where there are three brokers or more
	MinInSync       int           // min.insync.replicas; default 1, or 2 with three replicas
	Retention       time.Duration // default 14 days; the mirror, not the log, is the archive
	MaxMessageBytes int           // default 4 MiB
}
