-- What an order's trace reads in the ERP's database. $1 is the shop; {mirror} the schema of its mirror. Nothing here reads more than one order's rows.

-- name: link
-- What has become of an order of the shop ($2), as of its newest life. No row: nothing was ever derived of it.
select l.incarnation, l.status, l.erp_order, l.state, coalesce(n.name, ''), coalesce(l.class, ''), l.deleted, l.adopted, coalesce(l.decision, ''), l.derived_at,
    (select coalesce(sum(c.pieces), 0)::bigint from spola.consumption c
        where c.shop = l.shop and c.order_id = l.order_id and c.incarnation = l.incarnation and c.stock_row <> '')
from spola.link l
left join spola.shop_state n on n.shop = l.shop and n.state = l.state
where l.shop = $1 and l.order_id = $2
order by l.incarnation desc limit 1

-- name: shop
select s.mode, coalesce(m.ticks, 0), coalesce(m.snapshot_done, false) from spola.shop s left join spola.mirror m on m.source = s.shop where s.shop = $1

-- name: states
select state, name from spola.shop_state where shop = $1

-- name: due
-- When an order ($2) is derived again: the tick of the shop's clock, and whether it settles.
select tick, settling from spola.due where shop = $1 and order_id = $2

-- name: places
-- How far the appliers are whose place stands here, and who has paused them.
select applier, generation, seq, applied, kafka_offset, record_time, moved_at, paused_at, paused_by from spola.place where source = $1

-- name: restock
-- Pieces that went on sale again because Spola has cancelled the order ($2) in the shop.
select coalesce(sum(pieces) filter (where entered), 0)::bigint, coalesce(sum(pieces) filter (where not entered), 0)::bigint from spola.restock where shop = $1 and order_id = $2

-- name: mark
-- What Spola has told the shop of an order, by the name of its mark ($1), and the number of the record that told it.
select m.spola_at, coalesce(m.note, '') from {mirror}.spola_marker m where m.name = $1

-- name: erp
select o.number, o.state, coalesce(o.cancelled_by, ''), coalesce(s.reason, ''), o.backorder, o.placed_at, o.taken_at, o.total, o.currency, coalesce(s.quantity, 0), coalesce(s.shipped, 0)
from erp.orders o left join erp.statuses s on s.order_id = o.order_id
where o.order_id = $1

-- name: shipments
select shipment_id, coalesce(carrier_name, carrier, ''), coalesce(tracking, ''), warehouse, pieces, shipped_at from erp.shipments where order_id = $1 order by shipment_id

-- name: documents
-- What was issued for an order of the reference ERP, invoices of several orders included.
select d.id, erp.document_number(d), d.kind, d.issued_at, d.total, d.currency
from erp.document d
where d.id in (
    select x.id from erp.document x where x.order_id = $1
    union all
    select l.document_id from erp.document x join erp.document_line l on l.base_id = x.id where x.order_id = $1)
order by d.id

-- name: due invoices
select number, coalesce(flaw, '') from erp.documents_due where order_id = $1 order by document_id

-- name: invoices
-- The same of another ERP, which shows its invoices only.
select document_id, number, 'invoice', issued_at, 0::bigint, '' from erp.invoices where $1::bigint = any(orders) order by document_id

-- name: mails
select id, kind, document, state, reason, attempts, message_id, queued_at, next_at, sent_at from spola.mail where order_id = $2 and shop = $1 order by id

-- name: mailer
select trouble, trouble_since from spola.mail_shop where shop = $1

-- name: numbered
-- Orders of the reference ERP by a number of an order, or of a document that is about them: $1 series, $2 year, $3 number.
select o.id from erp.sales_order o where o.series = $1 and o.year = $2 and o.number = $3
union
select coalesce(d.order_id, b.order_id)
from erp.document d
left join erp.document_line l on l.document_id = d.id and d.order_id is null
left join erp.document b on b.id = l.base_id
where d.series = $1 and d.year = $2 and d.number = $3 and coalesce(d.order_id, b.order_id) is not null

-- name: called
-- The same of another ERP: by what people call it.
select order_id from erp.orders where number = $1
union
select unnest(orders) from erp.invoices where number = $1

-- name: linked
-- Which order of which shop the ERP's orders are.
select l.shop, l.order_id from spola.link l where l.erp_order = any($1::bigint[]) group by 1, 2 order by 1, 2
