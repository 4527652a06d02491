-- Orders of the shop that a clerk has entered by hand, some hours after they were placed. A line "-- name:" begins a statement.

-- name: enter
-- Orders: $1 number in the shop, $2 e-mail, $3 first name, $4 last name, $5 cents, $6 placed (seconds), $7 shipped. Lines: $8 order's
-- number, $9 SKU, $10 pieces, $11 cents. Arrays; the shop's number is only used to bring lines to their order.
with customer as (
    insert into erp.customer (kind, first_name, last_name, email)
    select 'private', x.first, x.last, x.email from unnest($2::text[], $3::text[], $4::text[]) as x (email, first, last)
    returning id, email
), given as (
    select x.*, c.id as customer, (select coalesce(max(number), 0) from erp.sales_order where series = 'T' and year = extract(year from now())) + row_number() over (order by x.n) as number
    from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[]) as x (n, email, first, last, cents, placed, shipped)
    join customer c on c.email = x.email
), entered as (
    insert into erp.sales_order (series, year, number, channel, state, placed_at, customer_id, kind, email, billing, shipping, currency, total,
        customer_currency, customer_factor, customer_total)
    select 'T', extract(year from now()), g.number, 'traditional', case when g.shipped then 'shipped' else 'open' end, to_timestamp(g.placed) + interval '3 hours',
        g.customer, 'private', g.email, a.address, a.address, 'EUR', g.cents, 'EUR', 1, g.cents / 100.0
    from given g
    cross join lateral (select row(g.first, g.last, '', 'Via Roma 1', '', '00100', 'Roma', 'RM', 'IT')::erp.address as address) a
    returning id, email, total
), counted as (
    insert into erp.counter as k (series, year, last) select 'T', extract(year from now()), max(g.number) from given g
    on conflict (series, year) do update set last = greatest(k.last, excluded.last)  -- the clerk of the demo goes on with the next number
), vat as (
    insert into erp.order_vat (order_id, vat_rate, vat_country, gross, net, vat)
    select e.id, 22, 'IT', e.total, round(e.total * 100 / 122.0), e.total - round(e.total * 100 / 122.0) from entered e
)
insert into erp.order_line (order_id, line, position, article_id, name, quantity, shipped, unit_gross, gross, vat_rate, vat_country)
select e.id, l.line, l.line, a.id, a.name, l.quantity, case when g.shipped then l.quantity else 0 end, l.cents / l.quantity::numeric, l.cents, 22, 'IT'
from (select x.*, row_number() over (partition by x.n order by x.sku) as line
    from unnest($8::bigint[], $9::text[], $10::bigint[], $11::bigint[]) as x (n, sku, quantity, cents)) l
join given g on g.n = l.n
join entered e on e.email = g.email
join erp.article a on a.sku = l.sku

-- name: left
-- What is shipped left some hours later, in one parcel each, of pieces that had come in before. The tables were empty a moment ago:
-- without figures of them the planner would go through all lines again for each order.
analyze erp.sales_order, erp.order_line, erp.article;
with line as materialized (
    select l.order_id, l.line, l.article_id, l.quantity, o.placed_at + interval '5 hours' as at
    from erp.order_line l join erp.sales_order o on o.id = l.order_id join erp.article a on a.id = l.article_id
    where o.channel = 'traditional' and o.state = 'shipped' and a.stocked
), journal as (
    insert into erp.stock_movement (at, article_id, warehouse_id, quantity, cause, order_id, line)
    select at - interval '1 year', article_id, 1, quantity, 'receipt', null::bigint, null::integer from line
    union all select at, article_id, 1, -quantity, 'shipment', order_id, line from line
), parcel as (
    insert into erp.shipment (order_id, warehouse_id, complete, shipped_at)
    select order_id, 1, true, min(at) from line group by order_id
    returning id, order_id
)
insert into erp.shipment_line (shipment_id, order_id, line, article_id, quantity)
select p.id, l.order_id, l.line, l.article_id, l.quantity from line l join parcel p on p.order_id = l.order_id

-- name: commit
-- What is open waits in the warehouses, as any order does.
with demand as materialized (
    select row(row_number() over (order by l.order_id, l.line), l.order_id, l.line, l.article_id, l.quantity)::erp.demand as d, l.article_id
    from erp.order_line l join erp.sales_order o on o.id = l.order_id join erp.article a on a.id = l.article_id
    where o.channel = 'traditional' and o.state = 'open' and a.stocked
), locked as materialized (
    select erp.lock_stock(array(select distinct article_id from demand), 1::smallint)
)
select erp.commit_lines(array(select d from demand), array[1, 2]::smallint[]) from locked

-- name: became
-- What has become of the orders up to $2 of shop $1.
select count(*) filter (where l.adopted), count(*) filter (where not l.adopted and l.erp_order is not null),
    count(*) filter (where l.erp_order is null and (p.order_id is not null or l.class = 'placed' and l.decision = 'import'))
from spola.link l
left join spola.parked p on p.shop = l.shop and p.order_id = l.order_id
where l.shop = $1 and l.order_id <= $2
