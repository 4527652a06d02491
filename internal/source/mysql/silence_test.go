package mysql

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/lab/fault"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// noticing tells when the reader logs something.
type noticing struct {
	text string
	came chan struct{}
}

func (n noticing) Write(line []byte) (int, error) {
	if strings.Contains(string(line), n.text) {
		signal(n.came)
	}
	return len(line), nil
}

// A connection that stays open but on which nothing comes any more, as when the other end has
// vanished, is found dead by its silence: the reader connects anew and misses nothing.
func TestSilentConnection(t *testing.T) {
	bothServers(t, func(t *testing.T, address string) {
		s := newShop(t, address, orders)
		s.exec(ordersTable)
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		proxy, err := fault.New(u.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Close)
		if s.cfg.URL, err = proxy.URL(address); err != nil {
			t.Fatal(err)
		}
		found := noticing{"read the binary log: trying again", make(chan struct{}, 1)}
		s.cfg.Log, s.cfg.silence = zerolog.New(found), 3*heartbeatEvery
		s.start()
		s.snapshotDone(1)
		db, err := s.cfg.open()
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.Ping(); err != nil {
			t.Fatal(err)
		}
		if err := proxy.Silence(); err != nil {
			t.Fatal(err)
		}
		s.exec("INSERT INTO oc_order (comment) VALUES ('nobody hears it')")
		ctx, cancel := context.WithTimeout(t.Context(), server.Patience)
		defer cancel()
		if _, err := db.ExecContext(ctx, "DO 1"); err == nil || ctx.Err() != nil {
			t.Errorf("a statement that gets no answer ends with %v", err)
		}
		select {
		case <-found.came:
		case <-ctx.Done():
			t.Error("the reader has not noticed the silence")
		}
		if err := proxy.Mend(); err != nil {
			t.Fatal(err)
		}
		s.row("oc_order", "nobody hears it")
		if err := s.end(); err != nil && !strings.Contains(err.Error(), "canceled") {
			t.Error(err)
		}
		checkChain(t, s.log.all())
	})
}
