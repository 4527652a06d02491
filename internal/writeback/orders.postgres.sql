-- What the shop should know of some orders of the ERP: $1 the shop, $2 ids of the ERP's orders. One row an order that
-- came from this shop, as it is now: the log only says which orders to look at. None while the shop is only observed, none of an order
-- from before going live that was closed, and none that a restored shop has lost: its number may be another's. Each is looked up (offset 0), whatever the planner knows of orders
-- that were just adopted.
select l.order_id, l.method, s.order_id, s.state, coalesce(s.cancelled_by, '') = 'shop',
    coalesce((
        select jsonb_agg(jsonb_build_object('id', p.shipment_id, 'carrier', coalesce(p.carrier_name, p.carrier, ''), 'tracking', coalesce(p.tracking, ''),
            'link', coalesce(p.link, '')) order by p.shipment_id)
        from erp.shipments p where p.order_id = s.order_id), '[]')
from unnest($2::bigint[]) as i(id)
cross join lateral (select * from erp.statuses x where x.order_id = i.id offset 0) s
join spola.link l on l.erp_order = s.order_id and l.shop = $1
join spola.shop x on x.shop = l.shop and x.mode = 'live' and not (l.deleted and l.incarnation < x.incarnation)
order by l.order_id
