-- What differs between a parked order as the shop has it (the payload of its row: $1 shop, $2 order) and its ERP order.
-- Lines are summed by article, charges by code; cents.
with parked as (
    select p.payload, l.erp_order
    from spola.parked p
    join lateral (
        select x.erp_order from spola.link x where x.shop = p.shop and x.order_id = p.order_id and x.erp_order is not null
        order by x.incarnation desc limit 1
    ) l on true
    where p.shop = $1 and p.order_id = $2 and p.reason <> 'id_used_again'
        and coalesce(jsonb_typeof(p.payload -> 'lines'), 'null') = 'array'
), shop as (
    select 'article' as kind, (x ->> 'article')::bigint as article, '' as code, sum((x ->> 'quantity')::bigint) as quantity, sum((x ->> 'gross')::bigint) as gross
    from parked, jsonb_array_elements(payload -> 'lines') x group by 2
    union all
    select 'charge', 0, x ->> 'code', null, sum((x ->> 'gross')::bigint)
    from parked, jsonb_array_elements(case when jsonb_typeof(payload -> 'charges') = 'array' then payload -> 'charges' else '[]' end) x group by 3
), erp as (
    select 'article' as kind, l.article_id as article, '' as code, sum(l.quantity) as quantity, sum(l.gross) as gross
    from erp.order_lines l where l.order_id = (select erp_order from parked) group by 2
    union all
    select 'charge', 0, c.code, null, sum(c.gross)
    from erp.order_charges c where c.order_id = (select erp_order from parked) group by 3
)
select case kind when 'article' then coalesce((select a.sku from erp.articles a where a.article_id = article), 'article ' || article) else code end,
    coalesce(s.quantity, 0)::bigint, coalesce(s.gross, 0)::bigint, coalesce(e.quantity, 0)::bigint, coalesce(e.gross, 0)::bigint
from shop s
full join erp e using (kind, article, code)
where exists (select from parked) and (s.quantity, s.gross) is distinct from (e.quantity, e.gross)
order by kind, 1
