package clerk

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// deeds are a clerk's: each returns true when there was nothing to do it with.
var deeds []deed

type deed struct {
	name string
	do   func(c *Clerk, ctx context.Context) (idle bool, err error)
}

func init() {
	deeds = []deed{
		{"receive", (*Clerk).receive}, {"count", (*Clerk).count}, {"move", (*Clerk).move}, {"sell", (*Clerk).sell},
		{"enter", (*Clerk).enter}, {"ship", (*Clerk).ship}, {"ship part", (*Clerk).shipPart}, {"cancel", (*Clerk).cancel},
		{"close short", (*Clerk).closeShort}, {"take back", (*Clerk).takeBack},
		{"price", (*Clerk).price}, {"special", (*Clerk).special}, {"measures", (*Clerk).measures},
	}
}

func names() []string {
	var out []string
	for _, d := range deeds {
		out = append(out, d.name)
	}
	return out
}

// pick is a row of a query whose first parameter is a number from 0 below 1: where to look.
func (c *Clerk) pick(ctx context.Context, query string, into ...any) (idle bool, err error) {
	err = c.conn.QueryRow(ctx, query, c.random.Float64()).Scan(into...)
	return errors.Is(err, pgx.ErrNoRows), ignoreNone(err)
}

func ignoreNone(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

const (
	anArticle = `select id, sku from erp.article where stocked and id >= 1 + floor($1::float8 * (select max(id) from erp.article)) order by id limit 1`
	aPlace    = `select id from erp.warehouse order by id offset floor($1::float8 * (select count(*) from erp.warehouse)) limit 1`
	someStock = `with s as (select article_id, warehouse_id, on_hand, committed from erp.stock where on_hand > committed)
		select article_id, warehouse_id, on_hand - committed from s offset floor($1::float8 * (select count(*) from s)) limit 1`
	anOrder = `with o as (select id from erp.sales_order where state = any($2) order by id desc limit 200)
		select id from o offset floor($1::float8 * (select count(*) from o)) limit 1`
	aLine = `with o as (select id from erp.sales_order where state = any($2) order by id desc limit 200),
		l as (select order_id, line, quantity - shipped as open, shipped - returned as away from erp.order_line join o on o.id = order_id)
		select order_id, line, open, away from l offset floor($1::float8 * (select count(*) from l)) limit 1`
)

func (c *Clerk) article(ctx context.Context) (id int64, sku string, idle bool, err error) {
	idle, err = c.pick(ctx, anArticle, &id, &sku)
	return id, sku, idle, err
}

func (c *Clerk) place(ctx context.Context) (id int16, err error) {
	_, err = c.pick(ctx, aPlace, &id)
	return id, err
}

func (c *Clerk) pieces(most int64) int64 { return 1 + c.random.Int64N(max(most, 1)) }

func (c *Clerk) call(ctx context.Context, call string, args ...any) error {
	_, err := c.conn.Exec(ctx, "select erp."+call, args...)
	return err
}

func (c *Clerk) receive(ctx context.Context) (bool, error) {
	article, _, idle, err := c.article(ctx)
	if idle || err != nil {
		return idle, err
	}
	place, err := c.place(ctx)
	if err != nil {
		return false, err
	}
	return false, c.call(ctx, "receive_goods($1::smallint, array[row($2::bigint, $3::bigint)]::erp.goods_in[], 'delivery')", place, article, c.pieces(12))
}

// count finds a few pieces more or less than there should be, also less than is committed.
func (c *Clerk) count(ctx context.Context) (bool, error) {
	article, _, idle, err := c.article(ctx)
	if idle || err != nil {
		return idle, err
	}
	place, err := c.place(ctx)
	if err != nil {
		return false, err
	}
	return false, c.call(ctx, `count_stock($1::smallint, array[row($2::bigint, greatest(0, $3 + coalesce((select on_hand from erp.stock
		where article_id = $2 and warehouse_id = $1), 0)))]::erp.goods_in[], 'inventory')`, place, article, c.random.Int64N(7)-3)
}

func (c *Clerk) move(ctx context.Context) (bool, error) {
	var article, free int64
	var from int16
	if idle, err := c.pick(ctx, someStock, &article, &from, &free); idle || err != nil {
		return idle, err
	}
	to, err := c.place(ctx)
	if err != nil || to == from {
		return true, err
	}
	return false, c.call(ctx, "move_between($1::smallint, $2::smallint, array[row($3::bigint, $4::bigint)]::erp.goods_in[])",
		from, to, article, c.pieces(min(free, 5)))
}

func (c *Clerk) sell(ctx context.Context) (bool, error) {
	var article, free int64
	var place int16
	if idle, err := c.pick(ctx, someStock, &article, &place, &free); idle || err != nil {
		return idle, err
	}
	return false, c.call(ctx, "sell_at_counter($1::smallint, array[row($2::bigint, $3::bigint)]::erp.goods_in[])", place, article, c.pieces(min(free, 3)))
}

func (c *Clerk) enter(ctx context.Context) (bool, error) {
	article, _, idle, err := c.article(ctx)
	if idle || err != nil {
		return idle, err
	}
	place, err := c.place(ctx)
	if err != nil {
		return false, err
	}
	var customer int64
	if err := c.conn.QueryRow(ctx, "select id from erp.customer order by id limit 1").Scan(&customer); err != nil {
		return true, ignoreNone(err)
	}
	return false, c.call(ctx, "enter_order($1, $2::smallint, array[row($3::bigint, $4::bigint)]::erp.goods_in[])", customer, place, article, c.pieces(3))
}

func (c *Clerk) order(ctx context.Context, states ...string) (id int64, idle bool, err error) {
	err = c.conn.QueryRow(ctx, anOrder, c.random.Float64(), states).Scan(&id)
	return id, errors.Is(err, pgx.ErrNoRows), ignoreNone(err)
}

func (c *Clerk) line(ctx context.Context, states ...string) (id int64, line int, open, away int64, idle bool, err error) {
	err = c.conn.QueryRow(ctx, aLine, c.random.Float64(), states).Scan(&id, &line, &open, &away)
	return id, line, open, away, errors.Is(err, pgx.ErrNoRows), ignoreNone(err)
}

// ship sends what is on hand of an order, from the warehouse where its first pieces wait.
func (c *Clerk) ship(ctx context.Context) (bool, error) {
	id, idle, err := c.order(ctx, "open", "part_shipped")
	if idle || err != nil {
		return idle, err
	}
	return false, c.call(ctx, `ship_order($1, null, (select warehouse_id from erp.commitment where order_id = $1 and quantity > backorder
		order by line, warehouse_id limit 1), $2, $3, $4, $5)`, c.parcel(id)...)
}

func (c *Clerk) shipPart(ctx context.Context) (bool, error) {
	id, line, open, _, idle, err := c.line(ctx, "open", "part_shipped")
	if idle || err != nil || open == 0 {
		return idle || open == 0, err
	}
	return false, c.call(ctx, `ship_order($1, jsonb_build_object($6::int, $7::bigint), (select warehouse_id from erp.commitment
		where order_id = $1 and line = $6 and quantity > backorder order by warehouse_id limit 1), $2, $3, $4, $5)`,
		append(c.parcel(id), line, c.pieces(open))...)
}

// parcel is what ship_order takes of a parcel. No two tracking numbers of clerks with different seeds are equal.
func (c *Clerk) parcel(order int64) []any {
	c.parcels++
	carrier := []string{"BRT", "GLS", "SDA", "DHL"}[c.random.IntN(4)]
	digits := map[string]int{"BRT": 8, "GLS": 8, "SDA": 9, "DHL": 6}[carrier] // behind the seed's four: as long as the carrier's are
	return []any{order, carrier, fmt.Sprintf("%04d%0*d", c.seed, digits, c.parcels), 1 + c.random.IntN(2), 0.1 + float64(c.random.IntN(300))/10}
}

func (c *Clerk) cancel(ctx context.Context) (bool, error) {
	id, idle, err := c.order(ctx, "open")
	if idle || err != nil {
		return idle, err
	}
	return false, c.call(ctx, "cancel_order($1, 'no longer made')", id)
}

func (c *Clerk) closeShort(ctx context.Context) (bool, error) {
	id, idle, err := c.order(ctx, "part_shipped")
	if idle || err != nil {
		return idle, err
	}
	return false, c.call(ctx, "close_short($1, 'the rest is sold out')", id)
}

func (c *Clerk) takeBack(ctx context.Context) (bool, error) {
	id, line, _, away, idle, err := c.line(ctx, "shipped", "part_shipped", "closed_short")
	if idle || err != nil || away == 0 {
		return idle || away == 0, err
	}
	place, err := c.place(ctx)
	if err != nil {
		return false, err
	}
	return false, c.call(ctx, "take_back($1, jsonb_build_object($2::int, $3::bigint), $4::smallint, 'did not fit')", id, line, c.pieces(away), place)
}

func (c *Clerk) price(ctx context.Context) (bool, error) {
	_, sku, idle, err := c.article(ctx)
	if idle || err != nil {
		return idle, err
	}
	return false, c.call(ctx, "set_price($1, $2)", sku, 500+c.random.Int64N(20000))
}

func (c *Clerk) special(ctx context.Context) (bool, error) {
	_, sku, idle, err := c.article(ctx)
	if idle || err != nil {
		return idle, err
	}
	if c.random.IntN(3) == 0 {
		return false, c.call(ctx, "set_special($1, null)", sku)
	}
	return false, c.call(ctx, "set_special($1, $2, current_date, current_date + $3::int)", sku, 100+c.random.Int64N(900), c.random.IntN(30))
}

func (c *Clerk) measures(ctx context.Context) (bool, error) {
	_, sku, idle, err := c.article(ctx)
	if idle || err != nil {
		return idle, err
	}
	return false, c.call(ctx, "set_measures($1, weight_kg => $2, width_cm => $3)", sku, float64(c.random.IntN(5000))/1000, c.random.IntN(100))
}
