package stream

import (
	"errors"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
)

// Another program's topic under the name of a log is refused, by its name and with the key that mends it, and nothing is written to it.
func TestTopicOfAnotherProgram(t *testing.T) { onEachBroker(t, topicOfAnotherProgram) }

func topicOfAnotherProgram(t *testing.T, brokers []string) {
	cfg := freshLog(t, brokers) // with the settings of a log: its records alone tell
	s, err := newSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err = s.client.Produce(t.Context(), &kafka.ProduceRequest{Topic: cfg.Topic, RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte("hello"))})}); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrForeign) || !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), cfg.Topic) || !strings.Contains(err.Error(), "kafka.prefix in spola.yaml") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = EnsureTopic(t.Context(), cfg, TopicSettings{})
	refused("whoever wants to write", err)
	_, _, err = CheckTopic(t.Context(), cfg, TopicSettings{})
	refused("whoever looks", err)
	_, err = ReadTail(t.Context(), cfg)
	refused("whoever reads", err)
	if _, end, err := s.bounds(t.Context()); err != nil || end != 1 {
		t.Errorf("the topic has %d records, %v", end, err)
	}
}
