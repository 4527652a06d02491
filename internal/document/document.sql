-- What is read of the ERP's documents (schemas/erp/00033_register.sql). A line "-- name:" begins a statement.

-- name: find
select coalesce(
    (select erp.document_sheet(d.id) from erp.document d where (d.series, d.year, d.number) = (select p[1], p[2]::smallint, p[3]::bigint
        from regexp_match($1, '^([A-Z]+)([0-9]{4})/([0-9]{1,18})$') p)),
    (select erp.order_sheet(o.id) from erp.sales_order o where (o.series, o.year, o.number) = (select p[1], p[2]::smallint, p[3]::bigint
        from regexp_match($1, '^([A-Z]+)([0-9]{4})/([0-9]{1,18})$') p)))

-- name: logo
select logo from erp.seller

-- name: orders
-- Orders by their number in a shop ($1), which a restored shop may use again: the ERP's numbers of them.
select o.series || o.year || '/' || o.number from erp.sales_order o where o.shop = $1 and o.shop_number = $2 order by o.id

-- name: list
-- $1 an order's number in the ERP, or in the shop $6.
select number, kind, date, order_number, shop_number, buyer, total, currency, tracking, coalesce(corrects, '')
from erp.documents
where ($1 = '' or order_number = $1 or shop_number = $1 and shop = $6 or order_id is null and document_id in (
        select l.document_id from erp.document_line l join erp.document o on o.id = l.base_id where o.order_number = $1 or o.shop_number = $1 and o.shop = $6))
    and ($2 = '' or kind = $2) and ($3::date is null or date >= $3) and ($4::date is null or date <= $4)
order by document_id desc
limit $5

-- name: due
select number, date, order_number, buyer, total, coalesce(flaw, '') from erp.documents_due order by document_id

-- name: register
select date, channel, vat_country, vat_rate::text, vat_nature, currency, sales, returns, gross, net, vat, documents
from erp.takings t
where date between $1 and $2
order by t.date, t.channel, t.vat_country, t.vat_rate desc, t.vat_nature, t.currency
