-- What the bridge reads: the views of the contract. Only views and STABLE functions all the way down.

-- +goose Up

-- Articles as they are sold. options is {"Size": "L"} for a variant, {} else.
create view erp.articles as
select a.id as article_id, a.sku, a.ean, p.code as product_code, a.name, a.vat_rate, a.gross, a.special,
    a.weight_kg, a.width_cm, a.height_cm, a.depth_cm, a.stocked,
    coalesce((select jsonb_object_agg(o.name, o.value) from erp.article_option o where o.article_id = a.id), '{}') as options
from erp.article a
join erp.product p on p.id = a.product_id;

-- On hand and committed of every stocked article over the warehouses linked to the web shops.
create view erp.availability as
select a.id as article_id, a.sku, coalesce(s.on_hand, 0) as on_hand, coalesce(s.committed, 0) as committed,
    coalesce(s.on_hand, 0) - coalesce(s.committed, 0) as available
from erp.article a
left join lateral (
    select sum(s.on_hand)::bigint as on_hand, sum(s.committed)::bigint as committed
    from erp.stock s
    join erp.warehouse w on w.id = s.warehouse_id
    where s.article_id = a.id and w.web_rank is not null
) s on true
where a.stocked;

-- Warehouses by their code. web: linked to the web shops.
create view erp.warehouses as
select w.code as warehouse, w.name, w.web_rank is not null as web
from erp.warehouse w;

-- The same as availability, each warehouse by itself: for shops that show what some of them have.
create view erp.availability_by_warehouse as
select s.article_id, w.code as warehouse, s.on_hand, s.committed, s.on_hand - s.committed as available
from erp.stock s
join erp.warehouse w on w.id = s.warehouse_id;

-- Customers, for matching by what they are known by.
create view erp.customers as
select c.id as customer_id, c.reference, c.kind, c.first_name, c.last_name, c.company, c.email, c.phone, c.language,
    c.tax_code, c.vat_number, c.pec, c.sdi, c.address
from erp.customer c;

-- Orders of both channels. number is for people: W2026/17.
create view erp.orders as
select o.id as order_id, o.reference, o.series || o.year || '/' || o.number as number, o.channel, o.state, o.cancelled_by,
    exists (select from erp.commitment c where c.order_id = o.id and c.backorder > 0) as backorder, o.shop, o.shop_number, o.placed_at, o.taken_at, o.customer_id, o.currency, o.total,
    o.kind, o.email, o.phone, o.language, o.note, o.tax_code, o.vat_number, o.pec, o.sdi, o.invoice_wanted, o.billing, o.shipping,
    o.shipping_code, o.shipping_method, o.customer_currency, o.customer_factor, o.customer_total
from erp.sales_order o;

-- Lines with what became of their pieces.
create view erp.order_lines as
select l.order_id, o.reference, l.line, l.position, l.article_id, l.name, l.options, l.quantity,
    coalesce((select sum(c.quantity) from erp.commitment c where c.order_id = l.order_id and c.line = l.line), 0)::bigint as committed,
    coalesce((select sum(c.backorder) from erp.commitment c where c.order_id = l.order_id and c.line = l.line), 0)::bigint as backorder,
    l.shipped, l.unit_gross, l.gross, l.vat_rate, l.vat_country, l.vat_nature, l.returned
from erp.order_line l
join erp.sales_order o on o.id = l.order_id;

create view erp.order_charges as
select c.order_id, o.reference, c.line, c.kind, c.code, c.title, c.gross, c.vat_rate, c.vat_country, c.vat_nature
from erp.order_charge c
join erp.sales_order o on o.id = c.order_id;

create view erp.order_vat_rates as
select v.order_id, o.reference, v.vat_rate, v.vat_country, v.vat_nature, v.gross, v.net, v.vat
from erp.order_vat v
join erp.sales_order o on o.id = v.order_id;

create view erp.order_payments as
select p.order_id, o.reference, p.line, p.kind, p.code, p.title, p.amount, p.transaction
from erp.order_payment p
join erp.sales_order o on o.id = p.order_id;

-- +goose Down
drop view erp.warehouses, erp.availability_by_warehouse, erp.order_payments, erp.order_vat_rates, erp.order_charges, erp.order_lines, erp.orders, erp.customers,
    erp.availability, erp.articles;
