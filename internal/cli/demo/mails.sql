-- name: expected
-- What customers of a shop are to be mailed, counted in the ERP's own tables: $1 the shop. Parcels that left, and invoices that were issued,
-- since mails are sent, of orders placed since the shop is live, whose address is one.
with mailed as (
    select o.id from erp.sales_order o join spola.link l on l.erp_order = o.id and l.shop = $1 join spola.shop s on s.shop = l.shop
    where o.placed_at >= s.cut and o.email ~ '^[^@\s]+@[^@\s]+\.[a-z]{2,}$'
)
select (select count(*) from (select distinct x.order_id, x.carrier, x.tracking, x.shipped_at from erp.shipment x join mailed m on m.id = x.order_id
        where x.shipped_at >= (select begun from spola.mail_shop where shop = $1)) p)
    + (select count(*) from erp.document d join mailed m on m.id = d.order_id where d.series = 'F' and d.issued_at >= (select begun from spola.mail_shop where shop = $1))

-- name: waiting
select count(*) from spola.mail where shop = $1 and state in ('queued', 'sending')

-- name: unknown
select count(*) from spola.mail where shop = $1 and state = 'unknown'

-- name: parcels
-- Orders of a shop that have left whole and of which the customer was mailed.
select count(*) from erp.sales_order o join spola.link l on l.erp_order = o.id and l.shop = $1
where o.state = 'shipped' and exists (select from erp.shipment s where s.order_id = o.id)
    and exists (select from spola.mail m where m.order_id = o.id and m.shop = $1 and m.state = 'sent' and m.cause is not null)

-- name: order
-- An order with a parcel whose customer was mailed, one with an invoice first, and its way. One of downloads alone is invoiced without a parcel.
select m.order_id, m.shop_number, m.number, a.placed_at, o.taken_at, p.shipped_at, a.email
from spola.mail m join erp.addressees a on a.order_id = m.order_id join erp.sales_order o on o.id = m.order_id
cross join lateral (select min(s.shipped_at) as shipped_at from erp.shipment s where s.order_id = m.order_id) p
where m.shop = $1 and m.state = 'sent' and m.cause is not null and p.shipped_at is not null
order by (m.kind = 'invoice') desc, m.id desc limit 1

-- name: documents
select number, kind, issued_at from erp.documents where order_id = $1 order by document_id

-- name: sent
select kind, message_id, sent_at from spola.mail where order_id = $1 and state = 'sent' order by id
