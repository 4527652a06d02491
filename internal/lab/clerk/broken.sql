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
union all
-- Documents, from the moment when it is known who sells.
select format('%s: lines %s, VAT %s, total %s', d.number, l.gross, v.gross, d.total)
from erp.documents d
left join (select document_id, sum(gross) as gross from erp.document_line group by 1) l using (document_id)
left join (select document_id, sum(gross) as gross from erp.document_vat group by 1) v using (document_id)
where d.total <> l.gross or d.total <> v.gross
union all
select format('%s: payments %s, total %s', d.number, p.amount, d.total) from erp.documents d
join (select document_id, sum(amount) as amount from erp.document_payment group by 1) p using (document_id) where p.amount <> d.total
union all
select format('%s %s: %s numbers up to %s, %s dates before their number', series, year, count(*), max(number), count(*) filter (where date < before))
from (select *, max(date) over (partition by series, year order by number rows between unbounded preceding and 1 preceding) as before from erp.document) d
group by series, year having count(*) <> max(number) - (select coalesce(sum(s.last - s.first + 1), 0) from erp.skipped_number s
    where s.series = d.series and s.year = d.year and s.last < max(d.number)) or count(*) filter (where date < before) > 0
union all
select format('%s of %s is a number of %s that was skipped', d.number, d.year, d.series) from erp.document d
join erp.skipped_number s on s.series = d.series and s.year = d.year and d.number between s.first and s.last
union all
select format('%s of %s: the last number is %s, in erp.counter it is %s', series, year, n.last, k.last)
from erp.counter k
full join (select series, year, max(last) as last
    from (select series, year, number as last from erp.document union all select series, year, last from erp.skipped_number) x group by series, year) n using (series, year)
where series not in ('W', 'T') and coalesce(n.last, 0) is distinct from k.last -- W and T number orders
union all
select format('shipment %s has %s delivery notes', s.id, count(d.id)) from erp.shipment s join erp.seller on s.shipped_at >= since left join erp.document d on d.shipment_id = s.id and d.kind = 'ddt'
group by s.id having count(d.id) <> 1
union all
select format('shipment %s line %s: %s pieces left, %s on its delivery note', s.shipment_id, s.line, s.quantity, coalesce(l.quantity, 0))
from erp.document d join erp.shipment_line s on s.shipment_id = d.shipment_id
left join erp.document_line l on l.document_id = d.id and l.source = 'line ' || s.line
where d.kind = 'ddt' and l.quantity is distinct from s.quantity
union all
select format('delivery %s is on %s invoices that stand', b.id, count(distinct d.id)) from erp.document b
join erp.document_line l on l.base_id = b.id join erp.document d on d.id = l.document_id and d.series = 'F'
where d.total > 0 and d.total > coalesce((select sum(c.total) from erp.document c where c.corrects = d.id), 0)
group by b.id having count(distinct d.id) > 1
union all
select format('order %s is shipped: %s on its deliveries, its total is %s', o.order_id, sum(d.total), o.total)
from erp.orders o join erp.document d on d.order_id = o.order_id and d.kind in ('ddt', 'sale')
where o.state = 'shipped' group by o.order_id, o.total having sum(d.total) <> o.total
union all
select format('order %s is shipped: at %s %% %s on its deliveries, it has %s', o.order_id, v.vat_rate, coalesce(d.gross, 0), v.gross)
from erp.orders o join erp.order_vat v using (order_id)
left join (select d.order_id, x.vat_rate, x.vat_country, x.vat_nature, sum(x.gross) as gross from erp.document d join erp.document_vat x on x.document_id = d.id
    where d.kind in ('ddt', 'sale') group by 1, 2, 3, 4) d using (order_id, vat_rate, vat_country, vat_nature)
where o.state = 'shipped' and v.gross <> coalesce(d.gross, 0) and exists (select from erp.document x where x.order_id = o.order_id and x.kind in ('ddt', 'sale'))
union all
select format('%s of %s: %s came back of %s', d.number, d.document_id, sum(c.total), d.total) from erp.documents d
join erp.document c on c.corrects = d.document_id group by d.number, d.document_id, d.total having sum(c.total) > d.total
