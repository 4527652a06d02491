-- What the ERP has free for a web shop, by SKU. $1: the one warehouse that it sells from; empty: all.
select a.sku, coalesce(sum(s.on_hand - s.committed), 0)::bigint
from erp.article a
left join (erp.stock s join erp.warehouse w on w.id = s.warehouse_id and w.web_rank is not null and $1::text in ('', w.code)) on s.article_id = a.id
where a.stocked
group by a.sku
