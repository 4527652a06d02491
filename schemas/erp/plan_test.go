package erp_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Invariant: every statement of the contract and of a clerk reaches tables by an index and joins sets by hashing,
// whatever the statistics say, so that its cost grows with the call alone.
func TestPlansDoNotDependOnStatistics(t *testing.T) {
	e := open(t)
	e.exec(seller + `; update erp.customer set tax_code = 'RSSMRA80A01H501U'`)
	for _, state := range []struct{ name, prepare string }{
		{"never analyzed", `select 1`},
		{"analyzed when empty", `analyze`},
		{"grown since", grow(0, 3000)},
		{"large and analyzed", grow(3000, 20000) + `; analyze`},
	} {
		e.exec(state.prepare)
		plans := plansOf(t, e.url, state.name)
		if len(plans) < 30 {
			t.Fatalf("%s: only %d plans were seen", state.name, len(plans))
		}
		for _, plan := range plans {
			if bad := wrong(plan); bad != "" {
				t.Errorf("%s: %s in\n%s", state.name, bad, plan)
			}
		}
	}
}

// wrong returns the first node that costs more as tables grow. A warehouse is one of a handful.
// A merge or a nested loop over the sets of a call is quadratic where the planner thinks that an
// array has ten elements; an index without a condition is a sequential scan in another order.
func wrong(plan string) string {
	nodes := strings.Split(plan, "\n")
	for i, node := range nodes {
		if wrongNode.MatchString(node) ||
			tableNode.MatchString(node) && (i+1 == len(nodes) || !strings.Contains(nodes[i+1], "Cond: ")) {
			return strings.TrimSpace(node)
		}
	}
	return ""
}

var (
	wrongNode = regexp.MustCompile(`Seq Scan on [^w]\w*|Nested Loop|Merge (Left |Full |Right |Anti )?Join`)
	tableNode = regexp.MustCompile(`Index (Only )?Scan using [^w]|Bitmap Index Scan on [^w]|Bitmap Heap Scan on [^w]`)
)

// grow makes orders that resemble real ones to the planner.
func grow(from, to int) string {
	return fmt.Sprintf(`
		insert into erp.sales_order (reference, series, year, number, channel, placed_at, customer_id, kind, billing, shipping,
			currency, total, customer_currency, customer_factor, customer_total)
		select 'grown ' || i, 'W', 2020, i, 'web', now(), 1, 'private', row('','','','','','','','','')::erp.address,
			row('','','','','','','','','')::erp.address, 'EUR', 100, 'EUR', 1, 1 from generate_series(%[1]d + 1, %[2]d) i;
		insert into erp.order_line (order_id, line, position, article_id, name, quantity, unit_gross, gross, vat_rate, vat_country)
		select id, l, l, 1, '', 1, 50, 50, 22, 'IT' from erp.sales_order, generate_series(1, 2) l where year = 2020 and number > %[1]d;
		insert into erp.commitment (order_id, line, warehouse_id, article_id, quantity, backorder)
		select order_id, line, 1, article_id, 1, 1 from erp.order_line join erp.sales_order on id = order_id where year = 2020 and number > %[1]d;
		insert into erp.stock (article_id, warehouse_id, committed) values (1, 1, 2 * (%[2]d - %[1]d))
		on conflict (article_id, warehouse_id) do update set committed = stock.committed + excluded.committed`, from, to)
}

// plansOf runs the contract's functions on a connection of its own and returns the plan of every
// statement inside them.
func plansOf(t *testing.T, url, name string) []string {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	var plans []string
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if strings.Contains(n.Message, "plan:") && !strings.Contains(n.Message, "jsonb_populate_record") {
			plans = append(plans, n.Message)
		}
	}
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	e := &erp{Conn: conn, t: t, url: url}
	e.exec(`load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
		set auto_explain.log_level = 'notice'`)
	for round := range 3 { // plpgsql may choose another plan once a statement has run before
		references := []string{fmt.Sprintf("%s %d a", name, round), fmt.Sprintf("%s %d b", name, round)}
		var b, edits batch
		for i, reference := range references {
			b.add(reference, item{int64(i + 1), 2}, item{3, 1})
			edits.add(reference, item{int64(i + 1), 1}, item{4, 1})
		}
		for _, r := range append(e.importOrders(b), e.applyEdits(edits)...) {
			if !r.OK {
				t.Fatalf("%s: %+v", name, r)
			}
		}
		e.cancelOrders(references[0])
		e.exec(`select erp.receive_goods(2::smallint, array[row(3, 5), row(4, 5), row(2, 5)]::erp.goods_in[]),
			erp.sell_at_counter(2::smallint, array[row(3, 1)]::erp.goods_in[]),
			erp.cancel_order(erp.enter_order(1, 3::smallint, array[row(5, 1)]::erp.goods_in[]), 'no'),
			erp.ship_order(erp.enter_order(1, 2::smallint, array[row(3, 1)]::erp.goods_in[])),
			erp.move_between(2::smallint, 3::smallint, erp.goods('{"S3": 1}')), erp.count_stock(2::smallint, erp.goods('{"S3": 300}'))`)
		e.exec(`do $$
			declare made bigint := erp.enter_order(1, 2::smallint, array[row(3, 2), row(4, 1)]::erp.goods_in[]);
			begin
				perform erp.ship_order(made, '{"1": 2}', 2::smallint, 'BRT', 'X1');
				perform erp.take_back(made, '{"1": 1}', 2::smallint);
				perform erp.invoice_order(made);
				perform erp.close_short(made, 'gone');
			end $$`)
		e.exec(`select erp.import_customers(array[row($1::text, 'private', '', '', '', '', '', '', '', '', '', '', null)]::erp.customer_in[])`, "c "+references[0])
	}
	return plans
}
