-- How the accounts of a shop's stock stand. $1 is the shop, {canonical} the schema of its views. In a shop of a million rows it takes some seconds.
with article as materialized (
    select s.stock_row, s.sku, s.article, s.why_not from {canonical}.stock_article s
)
select a.*,
    (select coalesce(sum(r.repaired), 0)::bigint from spola.reconciliation r where r.shop = $1) as repairs,
    coalesce((select h.restored from spola.stock_head h where h.shop = $1), '') as restored,
    (select to_jsonb(r) from spola.reconciliation r where r.shop = $1 order by r.id desc limit 1) as last,
    (select coalesce(jsonb_agg(jsonb_build_object('why', x.why_not, 'rows', x.n, 'examples', x.examples) order by x.n desc, x.why_not), '[]')
     from (
        select s.why_not, count(*) as n, (array_agg(coalesce(s.sku, s.stock_row) order by length(s.stock_row), s.stock_row))[1:3] as examples
        from article s where s.why_not is not null group by s.why_not
     ) x) as without,
    -- A mapping may be of more than the first article of a row: of several combinations of options.
    (with known as (
        select x.article from article x
        union
        select m.article from spola.article m
        join {canonical}.stock s on s.product = m.product and s.variant = case when m.variant = '' then '' else {canonical}.stocked(m.variant) end
        where m.shop = $1
     )
     select jsonb_build_object('articles', count(*), 'examples', coalesce((array_agg(e.sku order by e.sku))[1:3], '{}'))
     from erp.articles e
     where e.stocked and not exists (select from known k where k.article = e.article_id)) as unsold
from (
    select count(*) as rows, count(*) filter (where l.drift <> 0) as drifting,
        coalesce(sum(abs(l.unpublished)), 0)::bigint as unpublished, count(*) filter (where l.unpublished <> 0) as unpublished_rows,
        coalesce(sum(abs(l.undelivered)), 0)::bigint as undelivered, count(*) filter (where l.undelivered <> 0) as undelivered_rows
    from {canonical}.law l
) a
