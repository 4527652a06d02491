package erp_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// cpu is the processor time of the connection's server process, where that runs on this
// machine: other work on it moves orders/s, but not this.
func (e *erp) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.PgConn().PID()))
	if err != nil {
		return 0
	}
	_, fields, _ := strings.Cut(string(text), ") ")
	var skip string
	var user, system int64
	if _, err := fmt.Sscan(fields, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &user, &system); err != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// generate lays a batch of $1 orders of two lines, called $2:1 …, into the table batch.
const generate = `
	insert into batch
	with o as (select i, $2::text || ':' || i as reference from generate_series(1, $1::integer) i)
	select
		(select array_agg(row(reference, 'shop1', i::text, now(), 1, 'private', 'mario.rossi@example.com', '+39 06 12345', 'it-it',
			'bring it up', 'RSSMRA80A01H501U', '', '', '', false, null,
			row('Mario', 'Rossi', '', 'Via Roma 1', '', '00100', 'Roma', 'RM', 'IT')::erp.address, 'flat.flat', 'Flat rate', 'EUR',
			5610, 'EUR', 1, 56.10)::erp.order_in order by i) from o),
		(select array_agg(row(reference, l, 1 + (i * 2 + l) % 1000, 'Thing', '', l, 1220, 1220 * l, 22, 'IT', '')::erp.order_line_in order by i, l)
			from o, generate_series(1, 2) l),
		(select array_agg(row(reference, 1, 'charge', 'shipping', 'Flat', 1950, 22, 'IT', '')::erp.order_charge_in order by i) from o),
		(select array_agg(row(reference, 22, 'IT', '', 5610, 4598, 1012)::erp.order_vat_in order by i) from o),
		(select array_agg(row(reference, 1, 'to_collect', 'cod', 'Cash on delivery', 5610, '')::erp.order_payment_in order by i) from o)`

// BenchmarkImport imports orders of two lines over 1,000 articles, one transaction a call.
func BenchmarkImport(b *testing.B) {
	for _, size := range []int{1, 50, 1000, 5000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			e := open(b)
			e.exec(`set synchronous_commit = on`)
			e.exec(`create temp table batch (orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[],
				vat erp.order_vat_in[], payments erp.order_payment_in[])`)
			e.exec(`select erp.put_articles(array(select row('B' || i, 'B', 'B' || i, '', 'Article', 22, 1220,
				null, null, null, null, null, null, null)::erp.article_in from generate_series(1, 1000) i))`)
			e.exec(`select erp.receive_goods(w::smallint, array(select row(a, 1000000)::erp.goods_in from generate_series(1, 1000) a))
				from generate_series(1, 2) w`)
			call, before := 0, e.cpu()
			for b.Loop() {
				b.StopTimer()
				call++
				generating := e.cpu()
				e.exec(`truncate batch`)
				e.exec(generate, size, fmt.Sprintf("%d", call))
				before += e.cpu() - generating
				b.StartTimer()
				var taken int
				if err := e.QueryRow(context.Background(), `select count(*) filter (where ok and not existing)
					from batch, erp.import_orders(orders, lines, charges, vat, payments)`).Scan(&taken); err != nil || taken != size {
					b.Fatalf("%d of %d orders taken: %v", taken, size, err)
				}
			}
			b.ReportMetric(float64((e.cpu()-before).Microseconds())/float64(size*b.N), "cpu-µs/order")
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "orders/s")
		})
	}
}
