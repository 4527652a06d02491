-- What the proof reads of the reference ERP and of the bridge's links: plain rows in the order of
-- the shop's orders, nothing worked out. $1 is the shop, {orders} a condition on order_id; a line "-- name:" begins a statement. A number
-- that a restored shop has used again is its newest order's; what it has lost is nobody's.

-- name: cut
-- And when the shop went live; 0: that is on no record.
select coalesce(extract(epoch from s.cut), 0)::bigint,
    coalesce((select extract(epoch from max(a.at)) from spola.audit a where a.shop = s.shop and a.verb = 'golive' and a.order_id is null), 0)::bigint
from spola.shop s where s.shop = $1

-- name: links
select l.order_id, l.status, l.state, coalesce(l.class, ''), l.deleted, l.adopted or l.decision = 'keep_erp' or l.status = 'closed' and l.decision = 'close', l.erp_order, o.id, o.state, coalesce(o.cancelled_by, ''), o.total
from (select distinct on (order_id) * from spola.link k where k.shop = $1 and {orders}
        and not (k.deleted and k.incarnation < (select h.incarnation from spola.shop h where h.shop = $1))
    order by order_id, incarnation desc) l
left join erp.sales_order o on o.id = l.erp_order
order by l.order_id

-- name: lines
select l.order_id, a.id, a.sku, x.options, x.quantity, x.gross, x.vat_rate::text
from (select distinct on (order_id) * from spola.link k where k.shop = $1 and {orders}
        and not (k.deleted and k.incarnation < (select h.incarnation from spola.shop h where h.shop = $1))
    order by order_id, incarnation desc) l
join erp.order_line x on x.order_id = l.erp_order
join erp.article a on a.id = x.article_id
order by l.order_id, x.position, x.line

-- name: charges
select l.order_id, x.code, x.gross, x.vat_rate::text
from (select distinct on (order_id) * from spola.link k where k.shop = $1 and {orders}
        and not (k.deleted and k.incarnation < (select h.incarnation from spola.shop h where h.shop = $1))
    order by order_id, incarnation desc) l
join erp.order_charge x on x.order_id = l.erp_order
order by l.order_id, x.line

-- name: vat
select l.order_id, x.vat_rate::text, x.gross, x.net, x.vat
from (select distinct on (order_id) * from spola.link k where k.shop = $1 and {orders}
        and not (k.deleted and k.incarnation < (select h.incarnation from spola.shop h where h.shop = $1))
    order by order_id, incarnation desc) l
join erp.order_vat x on x.order_id = l.erp_order
order by l.order_id, x.vat_rate

-- name: credits
select l.order_id, x.kind, x.amount
from (select distinct on (order_id) * from spola.link k where k.shop = $1 and {orders}
        and not (k.deleted and k.incarnation < (select h.incarnation from spola.shop h where h.shop = $1))
    order by order_id, incarnation desc) l
join erp.order_payment x on x.order_id = l.erp_order
order by l.order_id, x.line

-- name: parked
select order_id, reason from spola.parked where shop = $1 and {orders} order by order_id

-- name: unsettled
-- Orders that are being changed at the moment, or wait to be worked out.
select order_id from spola.due where shop = $1 and {orders}

-- name: mode
select mode from spola.shop where shop = $1

-- name: articles
select product, variant, article from spola.article where shop = $1

-- name: unlinked
select o.id, coalesce(o.shop_number, '') from erp.sales_order o
where o.shop = $1 and not exists (select from spola.link l where l.shop = $1 and l.erp_order = o.id)
order by o.id

-- name: stock is kept
select exists (select from spola.stock_account a where a.shop = $1 and a.published is not null)

-- name: stock
-- Rows of the shop's stock that have an account: what the ERP has free in the warehouses whose pieces the shop shows, what of that is held back,
-- what the shop has sold of it and the ERP does not count yet, and what its entries come to. $2: these rows; null: all.
with shown as (
    select w.id from erp.warehouse w
    where case when exists (select from spola.stock_warehouse o where o.shop = $1) then w.code in (select o.warehouse from spola.stock_warehouse o where o.shop = $1)
        else w.web_rank is not null end
), free as (
    select s.article_id, sum(s.on_hand - s.committed)::bigint as pieces from erp.stock s join shown w on w.id = s.warehouse_id
    where $2::text[] is null or s.article_id in (select a.article_id from spola.stock_account a where a.shop = $1 and a.stock_row = any ($2))
    group by s.article_id
), flying as (
    select f.stock_row, sum(f.pieces)::bigint as pieces from spola.in_flight f where f.shop = $1 and ($2::text[] is null or f.stock_row = any ($2)) group by f.stock_row
)
select a.stock_row, e.sku, coalesce(f.pieces, 0), a.buffer, coalesce(i.pieces, 0), a.target
from spola.stock_account a
join erp.article e on e.id = a.article_id
left join free f on f.article_id = a.article_id
left join flying i on i.stock_row = a.stock_row
where a.shop = $1 and a.published is not null and ($2::text[] is null or a.stock_row = any ($2))

-- name: unsettled stock
-- Rows of which orders have pieces that are being changed at the moment.
select distinct c.stock_row from spola.due d join spola.consumption c on c.shop = d.shop and c.order_id = d.order_id where d.shop = $1 and c.stock_row <> ''

-- name: in flight
-- Pieces of orders that are noted otherwise than the shop's order and the ERP's say. In flight is what the shop has subtracted and the ERP has neither
-- committed nor shipped, nothing of an order that the shop has no longer or the ERP is never to have; closed short, what it will not ship.
with taken as (
    select c.order_id, c.incarnation, c.stock_row, a.article_id, coalesce(sum(c.pieces) filter (where c.article = a.article_id), 0)::bigint as own,
        coalesce(sum(c.pieces) filter (where c.article is null and not exists (select from spola.consumption x
            where x.shop = $1 and x.order_id = c.order_id and x.incarnation = c.incarnation and x.line = c.line and x.article is not null)), 0)::bigint as pending
    from spola.consumption c
    join spola.stock_account a on a.shop = $1 and a.stock_row = c.stock_row and a.article_id is not null
    where c.shop = $1 and {orders}
    group by c.order_id, c.incarnation, c.stock_row, a.article_id
), linked as materialized (
    select k.order_id, k.incarnation, k.erp_order, k.status = 'closed' or k.deleted as left_alone, o.state
    from spola.link k left join erp.sales_order o on o.id = k.erp_order
    where k.shop = $1 and k.{orders}
), served as (
    select k.order_id, k.incarnation, l.article_id, sum(l.shipped)::bigint as shipped, sum(coalesce(c.pieces, 0))::bigint as committed
    from linked k
    join erp.order_line l on l.order_id = k.erp_order
    left join (select x.order_id, x.line, sum(x.quantity) as pieces from erp.commitment x group by x.order_id, x.line) c on c.order_id = l.order_id and c.line = l.line
    where not k.left_alone
    group by k.order_id, k.incarnation, l.article_id
), due as (
    select t.order_id, t.incarnation, t.stock_row,
        case when k.left_alone then 0
            when k.erp_order is null then t.own + t.pending
            when k.state = 'closed_short' then t.pending
            else t.pending + greatest(t.own - coalesce(s.committed + s.shipped, 0), 0)
        end as flying,
        case when k.state = 'closed_short' and not k.left_alone then greatest(t.own - coalesce(s.shipped, 0), 0) else 0 end as short
    from taken t
    join linked k on k.order_id = t.order_id and k.incarnation = t.incarnation
    left join served s on s.order_id = t.order_id and s.incarnation = t.incarnation and s.article_id = t.article_id
), noted as (
    select order_id, incarnation, stock_row, sum(flying)::bigint as flying, sum(short)::bigint as short
    from (
        select f.order_id, f.incarnation, f.stock_row, f.pieces as flying, 0 as short from spola.in_flight f where f.shop = $1 and {orders}
        union all
        select s.order_id, s.incarnation, s.stock_row, 0, s.pieces from spola.closed_short s where s.shop = $1 and {orders}
    ) n
    group by order_id, incarnation, stock_row
)
select coalesce(d.order_id, n.order_id), coalesce(d.stock_row, n.stock_row), coalesce(n.flying, 0), coalesce(d.flying, 0), coalesce(n.short, 0), coalesce(d.short, 0)
from due d
full join noted n on n.order_id = d.order_id and n.incarnation = d.incarnation and n.stock_row = d.stock_row
where coalesce(d.flying, 0) <> coalesce(n.flying, 0) or coalesce(d.short, 0) <> coalesce(n.short, 0)
order by 1, 2

-- name: consumed
-- Rows of the shop's stock of which the sum of consumption is kept otherwise than it comes to.
select coalesce(t.stock_row, c.stock_row), coalesce(t.k, 0), coalesce(c.pieces, 0)
from (select x.stock_row, sum(x.pieces)::bigint as pieces from spola.consumption x where x.shop = $1 and x.stock_row <> '' group by x.stock_row) c
full join (select y.stock_row, y.k from spola.stock_total y where y.shop = $1 and y.stock_row <> '') t on t.stock_row = c.stock_row
where coalesce(t.k, 0) <> coalesce(c.pieces, 0)
order by 1

-- name: entries
-- Entries that the ledger lacks (two numbers), and those that do not go on from the row's entry before (row, number, sum before, pieces, sum behind). What a restore is known to have
-- lost (spola.recovery) is no hole, and a row's sum may be another behind it.
with entry as (
    select l.no, l.stock_row, l.pieces, l.target, lag(l.no, 1, 0::bigint) over (order by l.no) as before,
        lag(l.no, 1, 0::bigint) over mine as row_before, lag(l.target, 1, 0::bigint) over mine as was
    from spola.ledger l where l.shop = $1
    window mine as (partition by l.stock_row order by l.no)
), ends as (
    select e.before, e.no from entry e where e.no <> e.before + 1
    union all
    select coalesce((select max(e.no) from entry e), 0), h.no + 1 from spola.stock_head h where h.shop = $1
)
select '', n.before + 1, n.no - 1, 0::bigint, 0::bigint from ends n
where n.no > n.before + 1 and not exists (select from spola.recovery r where r.shop = $1 and r.lost_above <= n.before and r.lost_to >= n.no - 1)
union all
select e.stock_row, e.no, e.was, e.pieces, e.target from entry e
where e.was + e.pieces <> e.target and not exists (select from spola.recovery r where r.shop = $1 and e.row_before <= r.lost_above and e.no > r.lost_to)
order by 2

-- name: accounts
-- Accounts whose sum is not that of the row's last entry.
select a.stock_row, a.target, l.target
from spola.stock_account a
cross join lateral (select x.target from spola.ledger x where x.shop = $1 and x.stock_row = a.stock_row order by x.no desc limit 1) l
where a.shop = $1 and a.published is not null and a.target <> l.target
order by 1

-- name: columns
-- Of a table, in its order, and whether its old rows are logged whole.
select attname, format_type(atttypid, null), relreplident = 'f' from pg_attribute join pg_class c on c.oid = attrelid
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum

-- name: witness
-- What the ERP's own triggers have seen of its published tables, where a test has let them (internal/lab/witness).
select tx, relation, op, coalesce(before, ''), coalesce(after, '') from lab.witness order by n

-- name: rows of a table
select r::text from {table} r
