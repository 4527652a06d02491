package mirror

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/target/postgres"
)

// benchTables are shaped like OpenCart's: an order of 40 columns, lines, totals, a history row.
func benchTables() []change.Table {
	order := change.Table{Name: "oc_order", Version: 1, Key: []string{"order_id"}}
	order.Columns = append(order.Columns, change.Column{Name: "order_id", Type: change.Int})
	for i := range 30 {
		order.Columns = append(order.Columns, change.Column{Name: fmt.Sprintf("payment_text_%02d", i), Type: change.VarChar})
	}
	for i := range 5 {
		order.Columns = append(order.Columns, change.Column{Name: fmt.Sprintf("some_id_%d", i), Type: change.Int})
	}
	order.Columns = append(order.Columns,
		change.Column{Name: "total", Type: change.Decimal, Precision: 15, Scale: 4},
		change.Column{Name: "currency_value", Type: change.Decimal, Precision: 15, Scale: 8},
		change.Column{Name: "date_added", Type: change.DateTime}, change.Column{Name: "date_modified", Type: change.DateTime})
	child := func(name, key string, texts, numbers int) change.Table {
		t := change.Table{Name: name, Version: 1, Key: []string{key}, Columns: []change.Column{
			{Name: key, Type: change.Int}, {Name: "order_id", Type: change.Int}}}
		for i := range texts {
			t.Columns = append(t.Columns, change.Column{Name: fmt.Sprintf("text_%d", i), Type: change.VarChar})
		}
		for i := range numbers {
			t.Columns = append(t.Columns, change.Column{Name: fmt.Sprintf("value_%d", i), Type: change.Decimal, Precision: 15, Scale: 4})
		}
		return t
	}
	return []change.Table{order, child("oc_order_product", "order_product_id", 2, 5),
		child("oc_order_total", "order_total_id", 3, 1), child("oc_order_history", "order_history_id", 1, 1)}
}

var benchSpecs = []TableSpec{{Name: "oc_order", Order: "order_id"}, {Name: "oc_order_product", Order: "order_id"},
	{Name: "oc_order_total", Order: "order_id"}, {Name: "oc_order_history", Order: "order_id"}}

// benchOrder appends the seven rows of an order.
func benchOrder(l *testLog, tables []change.Table, order int, op change.Op) {
	for i, rows := range []int{1, 2, 3, 1} {
		t := tables[i]
		for n := range rows {
			var values []string
			for _, c := range t.Columns {
				switch {
				case c.Name == t.Key[0]:
					values = append(values, fmt.Sprint(order*rows+n+1))
				case c.Name == "order_id":
					values = append(values, fmt.Sprint(order+1))
				case c.Type == change.Int:
					values = append(values, fmt.Sprint(order%97))
				case c.Type == change.Decimal:
					values = append(values, fmt.Sprintf(`"%d.%0*d"`, order%1000, c.Scale, n))
				case c.Type == change.DateTime:
					values = append(values, `"2026-11-25T10:00:00"`)
				default:
					values = append(values, `"Viale Müller 12"`)
				}
			}
			l.row(t, op, i == 3, nil, values)
		}
	}
}

func benchLog(b *testing.B, orders int, op change.Op) *testLog {
	b.Helper()
	l := &testLog{}
	tables := benchTables()
	for _, t := range tables {
		l.shape(t)
	}
	for order := range orders {
		benchOrder(l, tables, order, op)
	}
	return l
}

// BenchmarkDecode is the reading goroutine's share: JSON to folded COPY text.
func BenchmarkDecode(b *testing.B) {
	l := benchLog(b, 2000, change.Create)
	bytes := 0
	for _, r := range l.records {
		bytes += len(r.Value)
	}
	b.SetBytes(int64(bytes))
	rows := 0
	for b.Loop() {
		m := New("bench", benchSpecs)
		m.tables = map[string]*table{}
		if err := m.Part(0).Add(l.records); err != nil {
			b.Fatal(err)
		}
		rows += len(l.records)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkBacklog applies 20,000 orders in batches of several sizes, rows new or merged.
func BenchmarkBacklog(b *testing.B) {
	for _, op := range []change.Op{change.Create, change.Read} {
		for _, size := range []int{50, 1000, 5000} {
			b.Run(fmt.Sprintf("%s/%d", op, size), func(b *testing.B) {
				l := benchLog(b, 20_000, op)
				conn := database(b)
				n := 0
				b.ResetTimer()
				for b.Loop() {
					n++
					a := newApplier(b, conn, fmt.Sprintf("b%d", n), benchSpecs)
					for a.applied < len(l.records) {
						a.apply(l, size*7)
					}
				}
				b.ReportMetric(float64(n*len(l.records))/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkOne applies one order at a time: what a batch costs when there is little.
func BenchmarkOne(b *testing.B) {
	for _, op := range []change.Op{change.Create, change.Read} {
		b.Run(string(op), func(b *testing.B) {
			conn := database(b)
			if _, err := conn.Exec(b.Context(), "set synchronous_commit = off"); err != nil { // the disk is not ours to measure
				b.Fatal(err)
			}
			a := newApplier(b, conn, "one", benchSpecs)
			l := benchLog(b, 5000, op)
			a.apply(l, 4+7*1000)
			for b.Loop() {
				if a.applied == len(l.records) {
					a.applied = 4
				}
				part := a.m.Part(int64(a.applied))
				if err := part.Add(l.records[a.applied : a.applied+7]); err != nil {
					b.Fatal(err)
				}
				err := postgres.InTransaction(b.Context(), conn, func(tx pgx.Tx) error {
					_, err := part.Apply(b.Context(), tx)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
				a.applied += 7
			}
		})
	}
}
