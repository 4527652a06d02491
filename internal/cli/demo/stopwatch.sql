-- The article by which the way back is timed. $1 is its SKU, $2 a warehouse that serves all shops, or the one that a shop sells from; empty: all.

-- name: article
select count(*) from erp.put_articles(array[row($1, 'Cronometro', $1, null, 'Cronometro', 22, 1220, null, 0.5, 20, 10, 5, null, true)::erp.article_in])

-- name: receive
select erp.receive_goods(w.id, array[row(a.id, 1)::erp.goods_in], 'stopwatch')
from erp.article a, erp.warehouse w
where a.sku = $1 and w.code = $2

-- name: free
select coalesce(sum(s.on_hand - s.committed), 0)::bigint
from erp.stock s
join erp.article a on a.id = s.article_id and a.sku = $1
join erp.warehouse w on w.id = s.warehouse_id and w.web_rank is not null and $2::text in ('', w.code)
