package stream

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/lab/server"
)

// lines is a log that tests read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// On a Kafka that has never seen us everything is new: topic, offsets, and their leaders. That is no
// matter for a warning, whoever comes first.
func TestFirstStartIsCalm(t *testing.T) {
	cluster := server.PrivateKafka(t, 1, nil)
	log := &lines{}
	cfg := Config{Brokers: cluster.Addrs(), Topic: "spola.shop", Log: zerolog.New(log).Level(zerolog.InfoLevel)}
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	read := make(chan error, 1)
	go func() { // the applier, which is up before cdc
		r, err := OpenReader(ctx, cfg, Position{})
		if err == nil {
			r.Close()
		}
		read <- err
	}()
	time.Sleep(500 * time.Millisecond)
	if _, err := EnsureTopic(ctx, cfg, TopicSettings{}); err != nil {
		t.Fatal(err)
	}
	w, _, err := Acquire(ctx, cfg, Begin{Owner: "test", First: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	if err := CommitOffset(ctx, cfg, "lag", 1); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	said := log.String()
	once := map[string]bool{}
	for line := range strings.Lines(said) {
		if once[line] || !strings.Contains(line, `"level":"info"`) || !strings.Contains(line, "waiting until Kafka has it ready") {
			t.Errorf("a first start says more than a calm line for each step that waits:\n%s", said)
			break
		}
		once[line] = true
	}
}
