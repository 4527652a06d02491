//go:build speed

package intake

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestGoingLiveSpeed prints how long a past of SPOLA_INTAKE_ORDERS orders takes to be planned, and to be let in: one
// each quarter of an hour, with twenty different totals, so that each fits some thirty of the ERP's but for its customer. With SPOLA_INTAKE_EVERY=60
// there is one a minute, and with SPOLA_INTAKE_TOTALS=1 all have one price: each fits thousands.
func TestGoingLiveSpeed(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("SPOLA_INTAKE_ORDERS"))
	if err != nil {
		t.Skip("SPOLA_INTAKE_ORDERS is not set")
	}
	every, totals := 900, 20
	for name, value := range map[string]*int{"SPOLA_INTAKE_EVERY": &every, "SPOLA_INTAKE_TOTALS": &totals} {
		if text := os.Getenv(name); text != "" {
			if *value, err = strconv.Atoi(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	shop, erp := past(t)
	erp.catchUp(shop.testLog, 1000)
	shop.clock = -every * n
	for i := range n {
		shop.clock += every - 3
		shop.together(func() {
			id := shop.begin(testOrder{lines: []testLine{{31, 0, int64(1 + i%totals%5)}, {41, 0, int64(1 + i%totals/5%4)}}, email: fmt.Sprintf("c%d@example.com", i)})
			shop.update("order", id, row{"order_status_id": []int{2, 5, 5, 5}[i%4]})
			shop.insert("order_history", row{"order_id": id, "order_status_id": []int{2, 5, 5, 5}[i%4], "date_added": shop.now()})
		})
	}
	began := time.Now()
	erp.catchUp(shop.testLog, 5000)
	t.Logf("%d orders observed in %v", n, time.Since(began))
	erp.exec(`with c as (insert into erp.customer (kind, email) select 'private', 'c' || i || '@example.com' from generate_series(0, $1 - 1, 2) i returning id, email)
		insert into erp.sales_order (series, year, number, channel, placed_at, customer_id, kind, billing, shipping, currency, total, customer_currency, customer_factor, customer_total)
		select 'T', 2026, row_number() over (), 'traditional', o.date_added, c.id, 'private', row('', '', '', '', '', '', '', '', '')::erp.address,
			row('', '', '', '', '', '', '', '', '')::erp.address, 'EUR', spola.cents(o.total), 'EUR', 1, o.total
		from c join mirror_shop.oc_order o on o.email = c.email`, n)
	began = time.Now()
	var table bytes.Buffer
	from := time.Now().Add(-time.Second)
	r, err := CheckLive(t.Context(), erp.conn, testShop, Going{From: from, Table: &table})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("dry run of %d orders in %v: %+v, %d bytes", n, time.Since(began), r, table.Len())
	began = time.Now()
	if _, err := GoLive(t.Context(), erp.conn, testShop, Going{From: from, Said: strings.NewReader(table.String())}); err != nil {
		t.Fatal(err)
	}
	t.Logf("live in %v", time.Since(began))
	began = time.Now()
	shop.tick(n/portion + 2)
	erp.catchUp(shop.testLog, 1000)
	t.Logf("taken in %v: %s", time.Since(began), erp.text("select string_agg(status || ' ' || n, ', ') from (select status, count(*) as n from spola.link group by status) x"))
}
