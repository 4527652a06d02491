-- What the ERP has free for web shops, by SKU.
select a.sku, coalesce(sum(s.on_hand - s.committed), 0)::bigint
from erp.article a
left join (erp.stock s join erp.warehouse w on w.id = s.warehouse_id and w.web_rank is not null) on s.article_id = a.id
where a.stocked
group by a.sku
