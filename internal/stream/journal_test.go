package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/lab/server"
)

// What was acknowledged stands in the journal, in order, whatever breaks; who reads on from an offset gets the rest.
func TestJournal(t *testing.T) {
	cluster := server.Kafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
	defer cancel()
	var breaks atomic.Bool
	cfg := Config{Brokers: cluster, Topic: "sent." + fmt.Sprint(time.Now().UnixNano()), Log: zerolog.Nop(),
		dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &breaking{Conn: conn, now: &breaks}, err
		}}
	j, err := OpenJournal(ctx, cfg, TopicSettings{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var want []string
	for i := range 50 {
		breaks.Store(i%10 == 7) // the answer of this one is lost, and its connection
		if err := j.Append(ctx, fmt.Sprint("k", i), []byte(fmt.Sprint("v", i))); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint("k", i, "=v", i))
	}
	var got []string
	read := func(from int64) int64 {
		t.Helper()
		next, err := j.Read(ctx, from, func(key string, value []byte) error {
			got = append(got, key+"="+string(value))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	end := read(0)
	if end < 50 || !slices.Equal(slices.Compact(slices.Clone(got)), want) {
		t.Errorf("%d entries: %v", end, got)
	}
	got = nil
	if err := j.Append(ctx, "more", nil); err != nil {
		t.Fatal(err)
	}
	if next := read(end); next != end+1 || len(got) != 1 || got[0] != "more=" {
		t.Errorf("behind %d: %v up to %d", end, got, next)
	}
	if _, err := j.Read(ctx, end+5, nil); !errors.Is(err, ErrForgotten) {
		t.Errorf("behind its end: %v", err)
	}
	if _, err := j.Read(ctx, 0, func(string, []byte) error { return errors.ErrUnsupported }); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("who reads has an error: %v", err)
	}
	s, err := newSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	settings, err := s.topicConfig(ctx)
	if kept, _ := strconv.ParseInt(settings["retention.ms"], 10, 64); err != nil || kept != -1 && kept < 200*365*86_400_000 || settings["cleanup.policy"] != "delete" {
		t.Errorf("it is kept for %s ms, %s: %v", settings["retention.ms"], settings["cleanup.policy"], err)
	}
}

// breaking loses the next answer when it is told to.
type breaking struct {
	net.Conn
	now *atomic.Bool
}

// Read breaks instead, once.
func (b *breaking) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if err == nil && b.now.CompareAndSwap(true, false) {
		b.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}
