-- A customer is erased. $1 is the shop; {canonical} the schema of its views.

-- name: own customers
-- Customers of the ERP that were made for an account ($2) or an e-mail ($3, in small letters; empty: not asked for).
select c.customer_id from erp.customers c
where c.reference = $1 || ':account:' || $2
    or $3 <> '' and c.reference like $1 || ':%' and (lower(c.email) = $3 or c.reference = $1 || ':guest:' || $3)
order by 1

-- name: matched customers
-- Customers whom the ERP had from elsewhere, and was told to be the same.
select distinct m.erp_customer from spola.customer_match m
where m.shop = $1 and (m.reference = $1 || ':account:' || $2
    or $3 <> '' and (m.reference = $1 || ':guest:' || $3 or m.erp_customer in (select c.customer_id from erp.customers c where lower(c.email) = $3)))
order by 1

-- name: orders
-- Orders of the shop by these customers ($2), or under the e-mail.
select o.order_id, o.number, o.shop_number, lower(btrim(a.email)), lower(a.name)
from erp.orders o join erp.addressees a on a.order_id = o.order_id
where o.shop = $1 and (o.customer_id = any($2::bigint[]) or $3 <> '' and lower(btrim(a.email)) = $3)
order by o.order_id

-- name: orders there
-- Which orders ($1) the shop still has with the person that the ERP took them for: e-mails ($2) and names ($3) in their order.
select x.order_id
from {canonical}.orders($1::bigint[]) x
join unnest($1::bigint[], $2::text[], $3::text[]) as k(id, email, name) on k.id = x.order_id
where k.email <> '' and lower(btrim((x."order").email)) = k.email
    or k.name <> '' and k.name in (lower(concat_ws(' ', (x.customer).first_name, (x.customer).last_name)),
        lower(concat_ws(' ', (coalesce((x."order").billing, (x."order").shipping)).first_name, (coalesce((x."order").billing, (x."order").shipping)).last_name)))
order by 1

-- name: account there
-- Whether the shop still has the account ($1) with a person whose e-mails ($2) and names ($3) are known.
select exists (select from {canonical}.accounts(array[$1::bigint]) x
    where lower(btrim((x.customer).email)) = any($2::text[]) or lower(concat_ws(' ', (x.customer).first_name, (x.customer).last_name)) = any($3::text[]))

-- name: mails
-- A mail that is still to go has nobody to go to any more.
update spola.mail set recipient = '', reason = case when state in ('queued', 'unknown') then 'its customer was erased' else '' end,
    state = case when state = 'queued' then 'failed' else state end
where shop = $1 and (order_id = any($2::bigint[]) or $3 <> '' and lower(recipient) = $3) and (recipient <> '' or reason like '%@%')

-- name: parked
update spola.parked set payload = null, what = 'Its customer was erased.'
where shop = $1 and payload is not null
    and (order_id = any($2::bigint[]) or $3 <> '' and (lower(payload #>> '{order,email}') = $3 or lower(payload #>> '{customer,email}') = $3))

-- name: flags
delete from spola.flag where shop = $1 and subject = any($2::text[])

-- name: links
-- An order is known again by its date, e-mail and invoice prefix: without the e-mail it is known as well (same_but_email).
update spola.link set fingerprint = regexp_replace(fingerprint, '\|.*\|', '||')
where shop = $1 and order_id = any($2::bigint[]) and fingerprint like '%@%'

-- name: matches
delete from spola.customer_match where shop = $1 and $2 <> '' and reference = $1 || ':guest:' || $2

-- name: audit
-- Decisions stay; what they say of the person's e-mail does not.
update spola.audit set detail = regexp_replace(detail::text, $3, '(erased)', 'gi')::jsonb, reason = regexp_replace(reason, $3, '(erased)', 'gi')
where shop = $1 and (position($2 in lower(detail::text)) > 0 or position($2 in lower(reason)) > 0)

-- name: documents
-- How many documents stay for these orders.
select count(*) from (
    select d.id from erp.document d where d.order_id = any($1::bigint[])
    union
    select l.document_id from erp.document b join erp.document_line l on l.base_id = b.id where b.order_id = any($1::bigint[])) x
