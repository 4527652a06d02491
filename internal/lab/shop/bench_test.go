package shop_test

import (
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// An order of the benchmark is seven rows whose totals close.
func TestBenchOrders(t *testing.T) {
	dialects(t, shop.Options{}, func(t *testing.T, s *shop.Shop) {
		var told atomic.Int64
		first, last, err := s.Bench(t.Context(), shop.BenchLoad{Orders: 120,
			Committed: func(int64, time.Time) { told.Add(1) }})
		if err != nil {
			t.Fatal(err)
		}
		if first != 1 || last != 120 || told.Load() != 120 {
			t.Errorf("orders %d to %d, told of %d", first, last, told.Load())
		}
		open := numbers(t, s, `SELECT o.order_id, COUNT(*) FROM oc_order o JOIN oc_order_total t ON t.order_id = o.order_id
			GROUP BY o.order_id, o.total HAVING COUNT(*) <> 3 OR ABS(SUM(IF(t.code = 'total', -t.value, t.value))) > 0.0002`)
		if len(open) != 0 {
			t.Errorf("totals do not close: %v", open)
		}
		rows := numbers(t, s, `SELECT 1, (SELECT COUNT(*) FROM oc_order_product) + (SELECT COUNT(*) FROM oc_order_total) + (SELECT COUNT(*) FROM oc_order_history) + (SELECT COUNT(*) FROM oc_order)`)
		if rows[1] != 7*120 {
			t.Errorf("%d rows, want %d", rows[1], 7*120)
		}
	})
}

func TestBenchRate(t *testing.T) {
	s := open(t, server.MySQL(t), shop.Options{})
	if err := s.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, _, err := s.Bench(t.Context(), shop.BenchLoad{Orders: 100, Rate: 100}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 990*time.Millisecond {
		t.Errorf("100 orders at 100 a second took %s", took)
	}
}

// BenchmarkBacklog tells how fast a backlog is written: SPOLA_ORDERS, by default 20,000 orders.
func BenchmarkBacklog(b *testing.B) {
	orders, _ := strconv.Atoi(os.Getenv("SPOLA_ORDERS"))
	if orders == 0 {
		orders = 20_000
	}
	s, err := shop.Open(b.Context(), server.MySQL(b), shop.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Install(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		start := time.Now()
		if _, _, err := s.Bench(b.Context(), shop.BenchLoad{Orders: orders, Relaxed: true}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(orders)/time.Since(start).Seconds(), "orders/s")
	}
}
