-- What the bridge brings back into the shop: more views of the contract. Only views and STABLE functions all the way down.

-- +goose Up

-- tracking_flaw says why a tracking number can't be one of its carrier's: a sentence, or null. The number is kept all the same, for
-- goods do not wait for it, and carriers change their numbers.
create function erp.tracking_flaw(c erp.carrier, number text) returns text language sql immutable
return case
    when number = '' or c.code is null then null
    when regexp_replace(number, '\s', '', 'g') !~ '^[A-Za-z0-9._-]{1,60}$' then format('tracking number %s: letters and digits are expected', number)
    when c.pattern <> '' and regexp_replace(number, '\s', '', 'g') !~ c.pattern
        then format('tracking number %s is none of %s: theirs are like %s', number, c.name, c.pattern)
end;

-- tracking_link is where the customer follows a parcel; null where the carrier's page is not known, or the number is none of its.
create function erp.tracking_link(c erp.carrier, number text) returns text language sql immutable
return case when c.link <> '' and number <> '' and erp.tracking_flaw(c, number) is null then replace(c.link, '{number}', regexp_replace(number, '\s', '', 'g')) end;

-- Parcels. complete: when it left, nothing of the order was left to be shipped.
create view erp.shipments as
select s.id as shipment_id, s.order_id, o.reference, o.shop, o.shop_number, w.code as warehouse, s.carrier, c.name as carrier_name,
    s.tracking, s.packages, s.weight_kg,
    coalesce((select sum(l.quantity) from erp.shipment_line l where l.shipment_id = s.id), 0)::bigint as pieces,
    coalesce((select jsonb_object_agg(l.line, l.quantity) from erp.shipment_line l where l.shipment_id = s.id), '{}') as lines,
    s.complete, s.shipped_at, erp.tracking_link(c, s.tracking) as link, erp.tracking_flaw(c, s.tracking) as tracking_flaw
from erp.shipment s
join erp.sales_order o on o.id = s.order_id
join erp.warehouse w on w.id = s.warehouse_id
left join erp.carrier c on c.code = s.carrier;

-- What a shop should know of its orders. reason: why cancelled or closed short.
create view erp.statuses as
select o.id as order_id, o.reference, o.shop, o.shop_number, o.state, o.cancelled_by, o.cancel_reason as reason,
    coalesce(l.quantity, 0)::bigint as quantity, coalesce(l.shipped, 0)::bigint as shipped, coalesce(l.returned, 0)::bigint as returned
from erp.sales_order o
left join lateral (
    select sum(x.quantity) as quantity, sum(x.shipped) as shipped, sum(x.returned) as returned from erp.order_line x where x.order_id = o.id
) l on true
where o.reference is not null;

-- Articles as a shop shows them.
create view erp.catalogue as
select a.id as article_id, a.sku, p.code as product_code, a.vat_rate, a.gross, a.special, a.special_from, a.special_to,
    a.weight_kg, a.width_cm, a.height_cm, a.depth_cm, a.changed_at
from erp.article a
join erp.product p on p.id = a.product_id;

-- +goose Down
drop view erp.catalogue, erp.statuses, erp.shipments;
drop function erp.tracking_link(erp.carrier, text), erp.tracking_flaw(erp.carrier, text);
