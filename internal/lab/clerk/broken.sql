-- What must hold after every function of the reference ERP, whatever the history. A row says what does not.
select format('stock of article %s at %s: committed %s, commitments %s', s.article_id, s.warehouse_id, s.committed, coalesce(c.quantity, 0))
from erp.stock s full join (select article_id, warehouse_id, sum(quantity) as quantity from erp.commitment group by 1, 2) c using (article_id, warehouse_id)
where s.committed is distinct from coalesce(c.quantity, 0)
union all
select format('stock of article %s at %s: %s beyond what is on hand, %s marked backorder', s.article_id, s.warehouse_id, s.committed - s.on_hand, coalesce(c.backorder, 0))
from erp.stock s left join (select article_id, warehouse_id, sum(backorder) as backorder from erp.commitment group by 1, 2) c using (article_id, warehouse_id)
where greatest(s.committed - s.on_hand, 0) <> coalesce(c.backorder, 0)
union all
select format('order %s line %s: %s pieces are backorder in warehouse %s, which is not the first', c.order_id, c.line, c.backorder, c.warehouse_id)
from erp.commitment c join erp.sales_order o on o.id = c.order_id join erp.warehouse w on w.id = c.warehouse_id
where c.backorder > 0 and o.channel = 'web' and w.web_rank is distinct from (select min(web_rank) from erp.warehouse)
union all
select format('stock of article %s at %s: on hand %s, journal %s', s.article_id, s.warehouse_id, s.on_hand, coalesce(m.quantity, 0))
from erp.stock s full join (select article_id, warehouse_id, sum(quantity) as quantity from erp.stock_movement group by 1, 2) m using (article_id, warehouse_id)
where s.on_hand is distinct from coalesce(m.quantity, 0)
union all
select format('order %s line %s: quantity %s, shipped %s, committed %s, order is %s', l.order_id, l.line, l.quantity, l.shipped, l.committed, o.state)
from erp.order_lines l join erp.orders o using (order_id) join erp.articles a using (article_id)
where a.stocked and case o.state when 'cancelled' then l.committed + l.shipped > 0
    when 'closed_short' then l.committed > 0 or l.shipped > l.quantity
    else l.quantity <> l.shipped + l.committed end
union all
select format('order %s is %s with %s of %s pieces shipped', o.order_id, o.state, o.shipped, o.quantity)
from (select order_id, state, sum(l.shipped) as shipped, sum(l.quantity) as quantity from erp.orders join erp.order_lines l using (order_id) group by 1, 2) o
where case o.state when 'open' then o.shipped > 0 when 'cancelled' then o.shipped > 0 when 'shipped' then o.shipped < o.quantity
    else o.shipped = 0 or o.shipped = o.quantity end
union all
select format('order %s line %s: %s shipped, %s in shipments, %s in the journal', l.order_id, l.line, l.shipped, coalesce(s.quantity, 0), coalesce(m.quantity, 0))
from erp.order_lines l
join erp.articles a using (article_id)
left join (select order_id, line, sum(quantity) as quantity from erp.shipment_line group by 1, 2) s using (order_id, line)
left join (select order_id, line, -sum(quantity) as quantity from erp.stock_movement where cause = 'shipment' group by 1, 2) m using (order_id, line)
where a.stocked and (l.shipped <> coalesce(s.quantity, 0) or l.shipped <> coalesce(m.quantity, 0))
union all
select format('order %s line %s: %s returned, %s in the journal', l.order_id, l.line, l.returned, coalesce(m.quantity, 0))
from erp.order_lines l
left join (select order_id, line, sum(quantity) as quantity from erp.stock_movement where cause = 'return' group by 1, 2) m using (order_id, line)
where l.returned <> coalesce(m.quantity, 0)
union all
select format('order %s is %s and has %s complete shipments', o.order_id, o.state, count(*) filter (where s.complete))
from erp.orders o join erp.shipments s using (order_id)
group by o.order_id, o.state
having count(*) filter (where s.complete) <> case o.state when 'shipped' then 1 else 0 end
union all
select format('article %s is moved between warehouses by %s pieces in sum', article_id, sum(quantity))
from erp.stock_movement where cause = 'move' group by article_id having sum(quantity) <> 0
union all
select format('order %s: total %s, VAT %s', o.order_id, o.total, sum(v.gross))
from erp.orders o join erp.order_vat_rates v using (order_id) group by o.order_id, o.total having o.total <> sum(v.gross)
