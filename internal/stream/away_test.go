package stream

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// Brokers that can't be reached are told as that: kafka-go, which has found none, says that there is no such topic, which somebody
// might take for a log that is lost.
func TestBrokersAwayAreNoMissingTopic(t *testing.T) {
	refused := errors.New("connection refused")
	s, err := newSession(Config{Brokers: []string{"127.0.0.1:1"}, Topic: "t", Log: testLog(t),
		dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.fetch(t.Context(), 0, time.Millisecond, 1); !errors.Is(err, refused) || isMissing(err) {
		t.Errorf("it says: %v", err)
	}
	if err := s.why(protocol.ErrNoTopic); !errors.Is(err, refused) {
		t.Errorf("it says: %v", err)
	}
	s.away = nil
	if err := s.why(protocol.ErrNoTopic); !isMissing(err) {
		t.Errorf("where a broker answered: %v", err)
	}
}
