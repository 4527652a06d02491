package shop_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spola-cdc/spola/deploy"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
	"github.com/spola-cdc/spola/internal/verify"
)

// A shop that breaks at any statement leaves what it wrote, and says whether it was refused.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	stop := errors.New("pulled the plug")
	at := ""
	s := open(t, server.MySQL(t), shop.Options{Before: func(_ context.Context, name string, _ int64) error {
		if name == at {
			return stop
		}
		return nil
	}})
	if err := s.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		at    string
		state int64
	}{{"order total", shop.Abandoned}, {"product subtract", shop.Abandoned}, {"status", shop.Abandoned}, {"history", shop.Pending}} {
		at = c.at
		id, err := s.PlaceOrder(t.Context(), shop.Order{Lines: []shop.Line{{Product: 1}}})
		if !errors.Is(err, stop) || shop.Refused(err) || id != int64(i+1) {
			t.Errorf("at %s: order %d, %v", c.at, id, err)
		}
		if state := numbers(t, s, "SELECT order_id, order_status_id FROM oc_order")[id]; state != c.state {
			t.Errorf("at %s: state %d, want %d", c.at, state, c.state)
		}
	}
	if rows := numbers(t, s, "SELECT order_id, 1 FROM oc_order_history"); len(rows) != 0 {
		t.Errorf("history rows of broken orders: %v", rows)
	}
}

// Connections that break under the generator cost no order: each is acknowledged and there,
// refused, or unknown and found or not found by its token; and administrators get their way.
func TestConnectionsBreak(t *testing.T) {
	t.Parallel()
	s := open(t, server.MySQL(t), shop.Options{})
	if err := s.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "journal")
	breaking, stop := context.WithCancel(t.Context())
	broken := make(chan struct{})
	go func() {
		defer close(broken)
		breakConnections(breaking, s)
	}()
	run(t, s, shop.Load{Rate: 100, Seed: 3, Shoppers: 200, Settings: true}, path)
	stop()
	<-broken
	states := numbers(t, s, "SELECT order_id, order_status_id FROM oc_order")
	unknown := 0
	for _, o := range readJournal(t, path).Orders {
		state, there := states[o.ID]
		switch {
		case o.Placed == verify.Unknown:
			unknown++
		case o.Placed == verify.OK && !o.Deleted && (!there || o.Intended && state == shop.Abandoned):
			t.Errorf("order %d was acknowledged; in the shop: %v, state %d", o.ID, there, state)
		}
		if o.Unfinished || there && state == shop.Voided {
			t.Errorf("order %d: an administrator gave up, state %d", o.ID, state)
		}
	}
	if unknown == 0 {
		t.Error("no connection broke under an order")
	}
	if rows := numbers(t, s, "SELECT 1, COUNT(*) FROM oc_setting"); rows[1] < 40 {
		t.Errorf("%d settings are left", rows[1])
	}
}

// breakConnections kills the shop's connections, all but its own, again and again.
func breakConnections(ctx context.Context, s *shop.Shop) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		rows, err := s.DB().QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
		if err != nil {
			continue
		}
		var ids []int64
		for rows.Next() {
			var id int64
			if rows.Scan(&id) == nil {
				ids = append(ids, id)
			}
		}
		_ = rows.Close()
		for _, id := range ids {
			_, _ = s.DB().ExecContext(ctx, "KILL ?", id)
		}
	}
}

// A journal whose writer was killed ends in half a line, and in intents without outcome.
func TestJournalOfAKilledWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	text := `{"n":1,"step":0,"action":"place","at":"2026-11-25T04:00:00Z","token":"one","facts":{"cents":100,"to_pay":100,"lines":null,"vat":null,"state":1,"method":"cod"}}
{"n":1,"step":0,"action":"place","outcome":"ok","at":"2026-11-25T04:00:01Z","order":7}
{"n":2,"step":0,"action":"place","at":"2026-11-25T04:00:02Z","token":"two"}
{"n":1,"step":1,"action":"edit","at":"2026-11-25T04:00:03Z","order":7}
{"n":2,"step":0,"action":"place","outc`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rules, err := verify.ReadRules("opencart", deploy.ShopExample)
	if err != nil {
		t.Fatal(err)
	}
	orders := readJournal(t, path).Orders
	if len(orders) != 2 {
		t.Fatalf("%d orders", len(orders))
	}
	if o := orders[0]; o.ID != 7 || o.Placed != verify.OK || !o.Unfinished || !o.Taken(rules) || o.Facts.Cents != 100 {
		t.Errorf("first order: %+v", *o)
	}
	if o := orders[1]; o.ID != 0 || o.Placed != verify.Unknown || o.Token != "two" || o.Taken(rules) {
		t.Errorf("second order: %+v", *o)
	}
}
