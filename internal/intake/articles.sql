-- The statements of articles.go. {canonical} is the shop's canonical schema; $1 is the shop.

-- name: lock
-- First of all nobody may have drafted orders by the mapping as it is (draft_early).
select s.derived
from (select pg_advisory_xact_lock(hashtext('spola.article'), hashtext($1)) offset 0) l
cross join spola.shop s
where s.shop = $1
for update of s

-- name: unknown
-- SKUs ($1) that the ERP does not have, with the one that may be meant.
select m.n, m.sku, coalesce((select min(e.sku) from erp.articles e where lower(trim(e.sku)) = lower(m.sku)), '')
from unnest($1::text[]) with ordinality as m(sku, n)
where m.sku <> '' and not exists (select from erp.articles e where e.sku = m.sku)
order by m.n

-- name: not sold
select n, what from {canonical}.not_sold($1, $2) where what is not null order by n

-- name: store
-- Returns how many are new or other than they were, and which, with the article that counted before.
with before as (
    select a.product, a.variant, a.article from spola.article a where a.shop = $1
), told as (
    insert into spola.article as a (shop, product, variant, article, by)
    select $1, m.product, m.variant, e.article_id, 'import'
    from unnest($2::text[], $3::text[], $4::text[]) as m(product, variant, sku)
    join erp.articles e on e.sku = m.sku
    on conflict (shop, product, variant) do update set article = excluded.article, by = 'import', at = now()
    where a.article <> excluded.article or a.by <> 'import'
    returning a.product, a.variant, a.article
)
select count(*), coalesce(jsonb_agg(jsonb_build_object('product', t.product, 'variant', t.variant, 'article', t.article, 'before', b.article)
    order by length(t.product), t.product, t.variant), '[]')
from told t
left join before b on b.product = t.product and b.variant = t.variant

-- name: remove
with gone as (
    delete from spola.article a
    using unnest($2::text[], $3::text[]) as m(product, variant)
    where a.shop = $1 and a.product = m.product and a.variant = m.variant
    returning a.product, a.variant, a.article
)
select count(*), coalesce(jsonb_agg(jsonb_build_object('product', g.product, 'variant', g.variant, 'article', null, 'before', g.article)
    order by length(g.product), g.product, g.variant), '[]')
from gone g

-- name: release
-- Orders that wait for one of these products are derived again: with what they mean now.
with again as (
    insert into spola.due (shop, order_id, tick, settling)
    select p.shop, p.order_id, 0, false
    from spola.parked p
    where p.shop = $1 and p.waits_for = 'article' and split_part(p.waits_key, ':', 1) = any ($2::text[])
    on conflict do nothing
    returning 1
)
select count(*) from again

-- name: count
select count(*) filter (where s.by = 'import'), count(*) filter (where s.by in ('sku', 'equal')), count(*) filter (where s.article is null and s.active),
    (select coalesce(sum(m.orders), 0)::bigint from {canonical}.articles_missing() m)
from {canonical}.assortment() s
where s.active or s.article is not null
