package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

const (
	// requestTime bounds a request. Kafka is told half of it (kafka-go's rule), so that an
	// answer about time comes from the broker; only a dead connection meets the whole of it.
	requestTime = 30 * time.Second

	// metadataTime is how old kafka-go's picture of the cluster may be. It can be long,
	// because whatever fails ends the session, and a new session looks anew.
	metadataTime = 10 * time.Second
)

// session is a set of connections to the brokers that are closed together. kafka-go's pool
// would open another connection behind our back after one broke; a session that had an error
// is never used again, so that "within one connection" means something.
type session struct {
	cfg       Config
	client    *kafka.Client
	transport *kafka.Transport

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	away   error // why the last attempt to reach a broker failed; nil: it did not
}

func newSession(cfg Config) (*session, error) {
	mechanism, err := cfg.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	if len(cfg.Brokers) == 0 {
		return nil, errors.New("no brokers are given")
	}
	s := &session{cfg: cfg, conns: map[net.Conn]struct{}{}}
	s.transport = &kafka.Transport{
		Dial:        s.dial,
		DialTimeout: 5 * time.Second,
		// An idle connection stays: that it breaks is something to be noticed.
		IdleTimeout:    10 * 365 * 24 * time.Hour,
		MetadataTTL:    metadataTime,
		MetadataTopics: []string{cfg.Topic},
		ClientID:       "spola",
		TLS:            cfg.TLS,
		SASL:           mechanism,
	}
	s.client = &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Timeout: requestTime, Transport: s.transport}
	return s, nil
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	if s == nil {
		return nil, nil
	}
	switch s.Mechanism {
	case "plain":
		return plain.Mechanism{Username: s.User, Password: s.Password}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, s.User, s.Password)
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, s.User, s.Password)
	}
	return nil, fmt.Errorf("SASL mechanism %q: want plain, scram-sha-256 or scram-sha-512", s.Mechanism)
}

func (s *session) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dial := s.cfg.dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 3 * time.Second}).DialContext
	}
	conn, err := dial(ctx, network, address)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = err
	if err != nil {
		return nil, err
	}
	if s.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	s.conns[conn] = struct{}{}
	return &sessionConn{Conn: conn, session: s}, nil
}

// why is what to tell of an error: kafka-go, which has found no broker, says that there is no such topic.
func (s *session) why(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != nil && (errors.Is(err, protocol.ErrNoTopic) || errors.Is(err, protocol.ErrNoPartition)) {
		return s.away
	}
	return err
}

// sessionConn forgets itself when it is closed.
type sessionConn struct {
	net.Conn
	session *session
}

// Close takes the connection out of its session.
func (c *sessionConn) Close() error {
	c.session.mu.Lock()
	delete(c.session.conns, c.Conn)
	c.session.mu.Unlock()
	return c.Conn.Close()
}

// close breaks all connections at once, those with a request in flight too. A request may
// still be acted upon by the broker.
func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	conns := s.conns
	s.conns = map[net.Conn]struct{}{}
	s.mu.Unlock()
	s.transport.CloseIdleConnections()
	for conn := range conns {
		conn.Close()
	}
}

// bounds returns the offsets of the oldest record and behind the newest.
func (s *session) bounds(ctx context.Context) (start, end int64, err error) {
	res, err := s.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{s.cfg.Topic: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0)}},
	})
	if err != nil {
		return 0, 0, fmt.Errorf("list offsets of %s: %w", s.cfg.Topic, err)
	}
	parts := res.Topics[s.cfg.Topic]
	if len(parts) != 1 {
		return 0, 0, fmt.Errorf("list offsets of %s: %d partitions answered", s.cfg.Topic, len(parts))
	}
	if parts[0].Error != nil {
		return 0, 0, fmt.Errorf("list offsets of %s: %w", s.cfg.Topic, parts[0].Error)
	}
	return parts[0].FirstOffset, parts[0].LastOffset, nil
}

// newBackOff is the pause between attempts: short at first, for most faults are over in a
// moment, and without an end: the context ends it.
func newBackOff(ctx context.Context) backoff.BackOffContext {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 20 * time.Millisecond
	b.MaxInterval = time.Second
	b.MaxElapsedTime = 0
	return backoff.WithContext(b, ctx)
}

// missingTime is how long a topic may be unknown before it counts as deleted: after a
// restart a broker does not know its topics at once.
const missingTime = 30 * time.Second

// withSession calls do with a new session until it succeeds, fails with an error that no
// retry mends, or the context ends. The session that succeeded is returned.
func withSession(ctx context.Context, cfg Config, what string, do func(*session) error) (*session, error) {
	var s *session
	unknownSince := time.Time{}
	attempt := func() error {
		var err error
		if s, err = newSession(cfg); err != nil {
			return backoff.Permanent(err)
		}
		if err = do(s); err == nil {
			return nil
		}
		s.close()
		if isMissing(err) {
			if unknownSince.IsZero() {
				unknownSince = time.Now()
			} else if time.Since(unknownSince) > missingTime {
				return backoff.Permanent(missingTopic(cfg.Topic))
			}
		} else {
			unknownSince = time.Time{}
		}
		if isFinal(err) {
			return backoff.Permanent(err)
		}
		return err
	}
	var since time.Time
	var last error
	notify := func(err error, pause time.Duration) {
		if errors.Is(err, errNewTopic) {
			return
		}
		if isSettling(err) && (since.IsZero() || time.Since(since) < settlingTime) {
			if since.IsZero() {
				since = time.Now()
				cfg.Log.Info().Msg(what + " " + cfg.Topic + ": waiting until Kafka has it ready")
			}
			return
		}
		cfg.Log.Warn().Err(err).Dur("pause", pause).Msg(what + " " + cfg.Topic + ": trying again")
	}
	if err := backoff.RetryNotify(func() error { last = attempt(); return last }, newBackOff(ctx), notify); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w at %s: %w: %w", ErrAway, strings.Join(cfg.Brokers, ", "), err, last)
		}
		return nil, fmt.Errorf("%s %s: %w", what, cfg.Topic, err)
	}
	return s, nil
}

// isMissing tells whether the broker, or kafka-go's picture of the cluster, has no such topic.
func isMissing(err error) bool {
	return errors.Is(err, kafka.UnknownTopicOrPartition) ||
		errors.Is(err, protocol.ErrNoTopic) || errors.Is(err, protocol.ErrNoPartition)
}

// settlingTime is how long a cluster may take with what is new to it before somebody is warned.
const settlingTime = 10 * time.Second

// isSettling tells whether the brokers are still making something ready: a topic that was just made or
// that cdc is about to make, or, on a cluster's first day, its own topics of offsets and producers.
func isSettling(err error) bool {
	for _, code := range []kafka.Error{
		kafka.LeaderNotAvailable, kafka.NotLeaderForPartition, kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return isMissing(err)
}

func missingTopic(topic string) error {
	return &StopError{Kind: ErrTopic, Topic: topic, Offset: -1,
		What: "the topic does not exist", Mend: "if it was deleted, `cdc run --new-generation` makes it again, with a full snapshot, and `applier cross` takes the applier there"}
}

// isFinal tells whether trying again can't help.
func isFinal(err error) bool {
	if errors.Is(err, ErrFenced) || errors.Is(err, ErrStopped) {
		return true
	}
	if _, distrusted := errors.AsType[*tls.CertificateVerificationError](err); distrusted {
		return true
	}
	for _, code := range []kafka.Error{
		kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed,
		kafka.TransactionalIDAuthorizationFailed, kafka.SASLAuthenticationFailed, kafka.UnsupportedSASLMechanism,
		kafka.InvalidTopic, kafka.UnsupportedVersion,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}
