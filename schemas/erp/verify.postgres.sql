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

-- name: columns
-- Of a table, in its order, and whether its old rows are logged whole.
select attname, format_type(atttypid, null), relreplident = 'f' from pg_attribute join pg_class c on c.oid = attrelid
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum

-- name: witness
-- What the ERP's own triggers have seen of its published tables, where a test has let them (internal/lab/witness).
select tx, relation, op, coalesce(before, ''), coalesce(after, '') from lab.witness order by n

-- name: rows of a table
select r::text from {table} r
