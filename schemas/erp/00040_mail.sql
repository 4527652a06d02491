-- What a mail to a customer needs to know: more views of the contract, and the sheet of a parcel.

-- +goose Up

-- Who is written to about an order, as it stands on the order. placed_at and shop_number tell orders apart for good, whatever ids
-- a restored ERP gives.
create view erp.addressees as
select o.id as order_id, o.series || o.year || '/' || o.number as number, o.shop, o.shop_number, o.placed_at, o.email, o.language, (o.billing).country,
    coalesce(nullif(btrim(concat_ws(' ', (o.billing).first_name, (o.billing).last_name)), ''), (o.billing).company, '') as name
from erp.sales_order o;

-- Invoices, each with the orders that it bills.
create view erp.invoices as
select d.id as document_id, erp.document_number(d) as number, d.issued_at, case when d.order_id is not null then array[d.order_id] else array(
        select distinct b.order_id from erp.document_line l join erp.document b on b.id = l.base_id where l.document_id = d.id order by 1) end as orders
from erp.document d
where d.series = 'F';

-- parcel_sheet is all that a customer is told of a parcel: the shipments of an order that left at one time under one number.
-- +goose StatementBegin
create function erp.parcel_sheet(shipment bigint) returns jsonb
language sql stable
as $$
    with parcel as (
        select x.* from erp.shipment s join erp.shipment x on x.order_id = s.order_id and x.shipped_at = s.shipped_at and x.tracking = s.tracking
            and x.carrier is not distinct from s.carrier
        where s.id = shipment
    ), line as materialized (
        select l.line, l.position, l.name, l.options, l.quantity, l.shipped, l.article_id from erp.order_line l where l.order_id = (select min(p.order_id) from parcel p)
    ), gone as (
        select l.line, sum(l.quantity)::bigint as quantity from erp.shipment_line l join parcel p on p.id = l.shipment_id group by l.line
    ), waiting as (
        select c.line, sum(c.quantity)::bigint as quantity from erp.commitment c where c.order_id = (select min(p.order_id) from parcel p) group by c.line
    )
    select jsonb_build_object(
        'number', o.series || o.year || '/' || o.number, 'shop_number', o.shop_number, 'placed', (o.placed_at at time zone 'Europe/Rome')::date,
        'seller', coalesce((select to_jsonb(s) - '{only_one,logo,invoice_at_shipment,cash_on_delivery,since}'::text[] from erp.seller s), '{}'),
        'ship_to', to_jsonb(o.shipping), 'currency', o.currency,
        'shipped', (p.shipped_at at time zone 'Europe/Rome')::date, 'carrier', coalesce(c.name, ''), 'tracking', p.tracking,
        'link', coalesce(erp.tracking_link(c, p.tracking), ''), 'packages', (select sum(x.packages) from parcel x),
        'cash_on_delivery', coalesce((select sum(d.cash_on_delivery) from erp.document d join parcel x on x.id = d.shipment_id where d.kind = 'ddt'), 0),
        'documents', coalesce((select jsonb_agg(erp.document_number(d) order by d.id) from erp.document d join parcel x on x.id = d.shipment_id where d.kind = 'ddt'), '[]'),
        'lines', coalesce((select jsonb_agg(jsonb_build_object('name', l.name, 'options', l.options, 'quantity', g.quantity) order by l.position, l.line)
            from line l join gone g on g.line = l.line), '[]'),
        'waiting', coalesce((select jsonb_agg(jsonb_build_object('name', l.name, 'options', l.options, 'quantity', w.quantity) order by l.position, l.line)
            from line l join waiting w on w.line = l.line), '[]'))
    from parcel p
    join erp.sales_order o on o.id = p.order_id
    left join erp.carrier c on c.code = p.carrier
    order by p.id limit 1
$$;
-- +goose StatementEnd

-- +goose Down
drop function erp.parcel_sheet(bigint);
drop view erp.invoices, erp.addressees;
