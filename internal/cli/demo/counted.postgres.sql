-- Of the orders of shop $1, what the ERP has committed or shipped, by number and SKU. One that was closed short is told as a whole: what
-- will not leave is on sale again, whatever the shop has made of the order since.
select o.shop_number || ' ' || a.sku,
    sum(l.shipped + coalesce((select sum(c.quantity) from erp.commitment c where c.order_id = l.order_id and c.line = l.line), 0))::bigint
from erp.sales_order o
join erp.order_line l on l.order_id = o.id
join erp.article a on a.id = l.article_id
where o.shop = $1
group by 1
union all
select o.shop_number || ' closed short', 0 from erp.sales_order o where o.shop = $1 and o.state = 'closed_short'
