package clerk_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/spola-cdc/spola/internal/lab/clerk"
	"github.com/spola-cdc/spola/internal/lab/erp"
)

// Invariant: fifty clerks at the same time, each with random calls, break no total, wait in no
// circle and are refused in sentences only.
func TestFiftyClerks(t *testing.T) {
	url := furnished(t, 3)
	const clerks, deeds = 50, 60
	done := make(chan error, clerks)
	all := make([]*clerk.Clerk, clerks)
	for i := range clerks {
		c, err := clerk.New(connect(t, url), clerk.Options{Seed: uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		all[i] = c
		go func() {
			for range deeds {
				if _, err := c.Step(t.Context()); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range clerks {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	conn := connect(t, url)
	if broken := broken(t, conn); len(broken) > 0 {
		t.Errorf("%d totals are broken: %v", len(broken), broken[:min(5, len(broken))])
	}
	total, refused := map[string]int{}, 0
	for _, c := range all {
		was, no := c.Tally()
		for deed, n := range was {
			total[deed] += n
		}
		for _, n := range no {
			refused += n
		}
	}
	t.Logf("done %v, refused %d", total, refused)
	for deed := range clerk.DefaultDeeds {
		if total[deed] == 0 {
			t.Errorf("nobody has done %q", deed)
		}
	}
}

// Invariant: a total that is wrong is found.
func TestBrokenIsFound(t *testing.T) {
	conn := connect(t, furnished(t, 3))
	c, err := clerk.New(conn, clerk.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 120 {
		if _, err := c.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, breach := range []string{
		`update erp.stock set committed = committed + 1 where article_id = 1 and warehouse_id = 1`,
		`update erp.stock set on_hand = on_hand + 1 where article_id = 1 and warehouse_id = 1`,
		`update erp.commitment set backorder = quantity - backorder where (order_id, line) = (select order_id, line from erp.commitment limit 1)`,
		`update erp.order_line set shipped = shipped - 1 where (order_id, line) = (select order_id, line from erp.order_line where shipped > returned limit 1)`,
		`delete from erp.shipment_line where (shipment_id, line) = (select shipment_id, line from erp.shipment_line limit 1)`,
		`update erp.order_line set returned = returned + 1 where (order_id, line) = (select order_id, line from erp.order_line where shipped > returned limit 1)`,
		`update erp.shipment set complete = not complete where id = (select max(id) from erp.shipment)`,
		`update erp.sales_order set state = 'closed_short' where state = 'open'`,
		`update erp.counter set last = last + 1 where series = 'DDT'`,
		`update erp.sales_order set total = total + 1 where id = (select min(order_id) from erp.document where order_id in (select id from erp.sales_order where state = 'shipped'))`,
		`alter table erp.document disable trigger all; delete from erp.document where reason = 'return'`,
		`alter table erp.document_vat disable trigger all; update erp.document_vat set gross = gross + 1, net = erp.net(gross + 1, vat_rate), vat = gross + 1 - erp.net(gross + 1, vat_rate)`,
		`alter table erp.document_line disable trigger all; update erp.document_line set quantity = quantity + 1 where kind = 'goods'`,
	} {
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if tag, err := tx.Exec(t.Context(), breach); err != nil || tag.RowsAffected() == 0 {
			t.Fatalf("%s: %v, %v", breach, tag, err)
		}
		if len(broken(t, conn)) == 0 {
			t.Errorf("not found: %s", breach)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if broken := broken(t, conn); len(broken) > 0 {
		t.Errorf("broken without a breach: %v", broken)
	}
}

func TestUnknownDeed(t *testing.T) {
	if _, err := clerk.New(nil, clerk.Options{Deeds: map[string]int{"dance": 1}}); err == nil {
		t.Error("a clerk who dances")
	}
}

func broken(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), clerk.Broken)
	if err != nil {
		t.Fatal(err)
	}
	sentences, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(sentences)
	return sentences
}

// furnished is an ERP with warehouses, so many articles with few pieces each, and orders of one customer.
func furnished(t *testing.T, articles int) string {
	t.Helper()
	url := erp.Database(t, "erp")
	conn := connect(t, url)
	for _, statement := range []string{
		`insert into erp.warehouse values (1, 'MI', 'Milano', 1), (2, 'RM', 'Roma', 2), (3, 'NEG', 'Negozio', null)`,
		fmt.Sprintf(`select erp.put_articles(array(select row('P' || i, 'Product ' || i, 'S' || i, '', 'Article ' || i, 22, 1220,
			null, null, null, null, null, null, null)::erp.article_in from generate_series(1, %d) i))`, articles),
		`select erp.import_customers(array[row('c1', 'private', 'Mario', 'Rossi', '', 'mario@example.com', '', 'it-it',
			'', '', '', '', row('Mario', 'Rossi', '', 'Via Roma 1', '', '00184', 'Roma', 'RM', 'IT'))]::erp.customer_in[])`,
		fmt.Sprintf(`select erp.receive_goods(w::smallint, array(select row(a, 25)::erp.goods_in from generate_series(1, %d) a)) from generate_series(1, 3) w`, articles),
		`insert into erp.seller (name, street, postcode, city, vat_number) values ('Spola Tessuti S.r.l.', 'Via della Seta 12', '22100', 'Como', '12345670017')`,
		importOrders,
		`update erp.sales_order set kind = 'company', vat_number = '01234567897' where id % 2 = 0`,
		`update erp.sales_order set billing = row('Mario', 'Rossi', 'Rossi S.p.A.', 'Via Roma 1', '', '00184', 'Roma', 'RM', 'IT') where id % 2 = 0`,
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return url
}

const importOrders = `select erp.import_orders(
	array(select row('shop1:1:' || i, 'shop1', i::text, now(), 1, 'private', '', '', '', '', '', '', '', '', false, null,
		row('Mario', 'Rossi', '', 'Via Roma 1', '', '00184', 'Roma', 'RM', 'IT'), '', '', 'EUR', 4880, 'EUR', 1, 48.80)::erp.order_in from generate_series(1, 200) i),
	array(select row('shop1:1:' || i, l, 1 + (i + l) % 3, 'Thing', '', 2, 1220, 2440, 22, 'IT', null)::erp.order_line_in
		from generate_series(1, 200) i, generate_series(1, 2) l),
	'{}',
	array(select row('shop1:1:' || i, 22, 'IT', null, 4880, 4000, 880)::erp.order_vat_in from generate_series(1, 200) i),
	array(select row('shop1:1:' || i, 1, 'paid', 'card', '', 4880, '')::erp.order_payment_in from generate_series(1, 200) i))`

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "set synchronous_commit = off"); err != nil {
		t.Fatal(err)
	}
	return conn
}
