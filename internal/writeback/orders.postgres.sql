-- What the shop should know of some orders of the ERP: $1 the shop, $2 ids of the ERP's orders. One row an order that
-- came from this shop, as it is now: the log only says which orders to look at. None while the shop is only observed,
-- and none of an order from before going live that was closed.
select l.order_id, l.method, s.order_id, s.state, coalesce(s.cancelled_by, '') = 'shop',
    coalesce((
        select jsonb_agg(jsonb_build_object('id', p.shipment_id, 'carrier', coalesce(p.carrier_name, p.carrier, ''), 'tracking', coalesce(p.tracking, ''),
            'link', coalesce(p.link, '')) order by p.shipment_id)
        from erp.shipments p where p.order_id = s.order_id), '[]')
from erp.statuses s
join spola.link l on l.erp_order = s.order_id and l.shop = $1
join spola.shop x on x.shop = l.shop and x.incarnation = l.incarnation and x.mode = 'live'
where s.order_id = any($2)
order by l.order_id
