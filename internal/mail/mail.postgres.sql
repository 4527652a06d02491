-- What `applier run mail` reads and writes in the ERP's database.

-- name: begin
insert into spola.mail_shop (shop) values ($1) on conflict (shop) do nothing

-- name: due
-- Mails that shipments ($2) and documents ($3) cause, one row a key, without those that the outbox has for the same order: $1 the
-- shop, $4 the day from whose orders on mails are sent, or null. Only of orders that came from this shop since it is live, but for those that it
-- has lost in a restore, and of what left or was issued since mails are sent. A shipment's mail is that of its parcel: all shipments of its order that left at one time under
-- one number; its key has nothing that a restored ERP would number otherwise. seen: the outbox has the key, for another order.
with setting as (
    select s.shop, s.incarnation, m.begun, greatest(s.cut, $4::timestamptz) as start
    from spola.shop s join spola.mail_shop m using (shop)
    where s.shop = $1 and s.mode = 'live'
), ordered as (
    select distinct p.order_id from erp.shipments p join setting s on p.shipped_at >= s.begun where p.shipment_id = any($2::bigint[])
), parcel as (
    select p.order_id, coalesce(p.carrier, '') as carrier, p.tracking, p.shipped_at, min(p.shipment_id) as cause, bool_or(p.shipment_id = any($2::bigint[])) as asked,
        row_number() over (partition by p.order_id, coalesce(p.carrier, ''), p.tracking order by min(p.shipment_id)) as n
    from erp.shipments p where p.order_id = any(array(select o.order_id from ordered o))
    group by 1, 2, 3, 4
), invoice as (
    select i.document_id, i.number, i.issued_at, l.orders, l.newest
    from erp.invoices i
    cross join lateral (
        select array_agg(l.erp_order) as orders, max(l.erp_order) as newest, min(l.shop) as first
        from spola.link l where l.erp_order = any(i.orders)
    ) l
    where i.document_id = any($3::bigint[]) and l.first = $1
), wanted as (
    select 'shipment' as kind, p.cause, p.order_id, '' as document, p.shipped_at as at, array[p.order_id] as orders,
        format('%s/%s/%s', p.carrier, p.tracking, p.n) as rest
    from parcel p where p.asked
    union all
    select 'invoice', i.document_id, i.newest, i.number, i.issued_at, i.orders, null from invoice i
), letter as (
    select w.kind, w.cause, w.order_id, a.number, a.shop_number, w.document,
        case when w.kind = 'invoice' then format('invoice/%s/%s', $1, w.document)
            else format('shipment/%s/%s/%s/%s', $1, a.shop_number, extract(epoch from a.placed_at)::bigint, w.rest) end as key,
        case when (select count(distinct lower(btrim(x.email))) from erp.addressees x where x.order_id = any(w.orders)) > 1 then null else btrim(a.email) end as recipient
    from wanted w
    join setting s on true
    join erp.addressees a on a.order_id = w.order_id
    where w.at >= s.begun
        and exists (select from spola.link l where l.erp_order = w.order_id and l.shop = $1 and not (l.deleted and l.incarnation < s.incarnation))
        and not exists (select from erp.addressees x where x.order_id = any(w.orders) and x.placed_at < s.start)
)
select l.kind, l.cause, l.order_id, l.number, l.shop_number, l.document, l.key, l.recipient, coalesce(m.shop_number, '') as seen
from letter l
left join spola.mail m on m.key = l.key
where m.key is null or m.shop_number <> l.shop_number
order by l.cause

-- name: put
insert into spola.mail (key, shop, kind, cause, order_id, number, shop_number, document, recipient, state, reason, message_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (key) do nothing

-- name: lock
-- One sender a shop: the lock falls with its connection.
select pg_try_advisory_lock(hashtextextended('spola.mail ' || $1, 0))

-- name: waits
-- Whether a mail is due now, and nobody has paused the mailer.
select exists (select from spola.mail where shop = $1 and state = 'queued' and next_at <= now())
    and not exists (select from spola.place where applier = 'mail' and source = $1 and paused_at is not null)

-- name: claim
update spola.mail set state = 'sending', attempts = attempts + 1, reason = ''
where id = (select id from spola.mail where shop = $1 and state = 'queued' and next_at <= now()
        and not exists (select from spola.place where applier = 'mail' and source = $1 and paused_at is not null) order by id limit 1)
returning id, key, kind, number, shop_number, document, recipient, state, reason, attempts, message_id, queued_at, next_at, sent_at, shop, cause

-- name: mine
-- Whether an attempt is still this sender's: asked over the connection that holds the lock.
select exists (select from spola.mail where id = $1 and state = 'sending' and attempts = $2)

-- name: end
update spola.mail set state = $3, reason = $4, next_at = now() + $5 * interval '1 second', sent_at = case when $3 = 'sent' then now() end
where id = $1 and attempts = $2 and state = 'sending'

-- name: trouble
update spola.mail_shop set trouble = $2, trouble_since = case when $2 = '' then null else coalesce(trouble_since, now()) end where shop = $1 and trouble <> $2

-- name: journal
select journal from spola.mail_shop where shop = $1

-- name: journaled
update spola.mail_shop set journal = $2 where shop = $1

-- name: known
select attempts, state from spola.mail where key = $1 for update

-- name: restore
-- A mail that only the journal knows: the ERP's database was restored.
insert into spola.mail (key, shop, kind, number, shop_number, document, state, reason, attempts, message_id, queued_at, sent_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, case when $7 = 'sent' then $11::timestamptz end)
on conflict (key) do nothing

-- name: settle
update spola.mail set state = $2, reason = $3, attempts = $4, sent_at = case when $2 = 'sent' then $5::timestamptz end where key = $1

-- name: abandoned
-- Attempts that a sender has left behind before it told the journal: nothing was sent.
update spola.mail set state = 'queued' where shop = $1 and state = 'sending'

-- name: list
select id, key, kind, number, shop_number, document, recipient, state, reason, attempts, message_id, queued_at, next_at, sent_at, shop, cause
from spola.mail
where shop = $1 and ($2 = '' or state = $2) and ($3 = '' or number = $3 or shop_number = $3 or document = $3)
order by id desc limit $4

-- name: row
select id, key, kind, number, shop_number, document, recipient, state, reason, attempts, message_id, queued_at, next_at, sent_at, shop, cause
from spola.mail where shop = $1 and id = $2 for update

-- name: resend
update spola.mail set state = 'queued', reason = '', attempts = attempts + 1, next_at = now(), queued_at = now(), sent_at = null, settled = false where id = $1

-- name: readdress
update spola.mail set recipient = $2 where id = $1

-- name: decide
update spola.mail set state = $2, reason = $3, settled = $2 = 'failed', sent_at = case when $2 = 'sent' then now() end where id = $1

-- name: count
select count(*) filter (where state = 'queued'), count(*) filter (where state = 'sending'), count(*) filter (where state = 'sent'),
    count(*) filter (where state = 'unknown'), count(*) filter (where state = 'failed' and not settled), count(*) filter (where settled),
    coalesce((select trouble from spola.mail_shop where shop = $1), ''), (select trouble_since from spola.mail_shop where shop = $1)
from spola.mail where shop = $1

-- name: addressee
select a.number, a.shop_number, a.email, a.language, a.country, a.name, (select s.logo from erp.seller s) from erp.addressees a where a.order_id = $1

-- name: parcel
select erp.parcel_sheet($1), (select s.order_id from erp.shipments s where s.shipment_id = $1)

-- name: order
-- What was or would be mailed about an order, by its number in the ERP or in the shop.
select l.erp_order, array(select min(p.shipment_id) from erp.shipments p where p.order_id = l.erp_order group by coalesce(p.carrier, ''), p.tracking, p.shipped_at order by 1),
    array(select i.number from erp.invoices i where l.erp_order = any(i.orders) order by i.document_id)
from spola.link l join erp.addressees a on a.order_id = l.erp_order
where l.shop = $1 and (a.number = $2 or a.shop_number = $2)
