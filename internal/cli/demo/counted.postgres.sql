-- Of the shop's orders, what the ERP has committed or shipped, by number and SKU; of one that was closed short, all of it:
-- what will not leave is on sale again.
select o.shop_number || ' ' || a.sku,
    sum(case when o.state = 'closed_short' then l.quantity
        else l.shipped + coalesce((select sum(c.quantity) from erp.commitment c where c.order_id = l.order_id and c.line = l.line), 0) end)::bigint
from erp.sales_order o
join erp.order_line l on l.order_id = o.id
join erp.article a on a.id = l.article_id
where o.shop <> ''
group by 1
