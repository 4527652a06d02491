package applier

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/spola-cdc/spola/internal/config"
	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/stock"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// Who waits for his turn to reconcile asks over one connection, however often; who has led lets others lead.
func TestReconcilerKeepsItsConnection(t *testing.T) {
	env, _, conn := mailing(t)
	cfg, err := config.Load(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- reconcileEvery(ctx, cfg, 10*time.Millisecond, zerolog.Nop()) }()
	asked, connections := map[time.Time]bool{}, map[time.Time]bool{}
	for deadline := time.Now().Add(server.Patience); len(asked) < 10 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var began, last *time.Time
		if err := conn.QueryRow(t.Context(), `select max(backend_start), max(query_start) from pg_stat_activity
			where datname = current_database() and application_name = 'spola reconcile ' || $1`, cfg.Shop.Name).Scan(&began, &last); err != nil {
			t.Fatal(err)
		}
		if began != nil && last != nil {
			asked[*last], connections[*began] = true, true
		}
	}
	stop()
	if err := <-ended; err != nil || len(asked) < 10 || len(connections) != 1 {
		t.Errorf("asked %d times over %d connections: %v", len(asked), len(connections), err)
	}

	if _, err := conn.Exec(t.Context(), "update spola.shop set derived = true where shop = $1", cfg.Shop.Name); err != nil {
		t.Fatal(err)
	}
	other, err := postgres.Connect(t.Context(), cfg.ERP.URL(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.WithoutCancel(t.Context()))
	due := func(want bool) func(bool, error) {
		return func(is bool, err error) {
			t.Helper()
			if err != nil || is != want {
				t.Errorf("due: %v, %v; want %v", is, err, want)
			}
		}
	}
	due(true)(stock.Due(t.Context(), conn, cfg.Shop.Name, time.Hour))
	due(false)(stock.Due(t.Context(), other, cfg.Shop.Name, time.Hour))
	if err := stock.Yield(t.Context(), conn, cfg.Shop.Name); err != nil {
		t.Error(err)
	}
	due(true)(stock.Due(t.Context(), other, cfg.Shop.Name, time.Hour))
	if err := stock.Yield(t.Context(), conn, cfg.Shop.Name); err == nil {
		t.Error("one yielded that did not lead")
	}
}
