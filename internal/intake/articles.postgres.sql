-- Which article of the ERP each thing is that the shop sells: lists for people, the same for all platforms. Nothing
-- here is in the way of orders. Sets that are put together have no statistics: they are joined by hashing.

-- Everything that is sold, with its article. by: import, sku (taken from an equal one for good), equal (its model is an
-- SKU of the ERP: so it is taken when an order comes), lost (its article is no longer in the ERP); null: it has none.
create function {{.Schema}}.assortment()
returns table (product text, variant text, model text, skus text[], eans text[], name text, options text, named jsonb[], active boolean, combinations bigint,
    article bigint, sku text, by text)
language sql stable as $$
    select c.product, c.variant, c.model, c.skus, c.eans, c.name, c.options, c.named, c.active, c.combinations,
        coalesce(m.article_id, e.article_id), coalesce(m.sku, e.sku),
        case when m.article_id is not null then a.by when a.article is not null then 'lost' when e.article_id is not null then 'equal' end
    from {{.Schema}}.catalogue() c
    left join spola.article a on a.shop = '{{.Shop}}' and a.product = c.product and a.variant = c.variant
    left join erp.articles m on m.article_id = a.article
    left join erp.articles e on a.article is null and c.variant = '' and c.combinations is null and e.sku = c.model
$$;

-- Orders that wait for an article, by what they wait for: those that are parked for it, and those that are to be taken later.
create function {{.Schema}}.waiting()
returns table (product text, variant text, orders bigint, first_order bigint)
language sql stable as $$
    with lines as (
        select c.order_id, c.line
        from spola.consumption c
        join spola.link l on l.shop = c.shop and l.order_id = c.order_id and l.incarnation = c.incarnation
        where c.shop = '{{.Shop}}' and l.erp_order is null and l.status in ('seen', 'parked') and not l.deleted
            and coalesce(l.class, 'taken') in ('placed', 'taken')
        group by c.order_id, c.line
        having bool_and(c.article is null)
        union
        select p.order_id, split_part(p.waits_key, ':', 1) || ':' || split_part(p.waits_key, ':', 2)
        from spola.parked p
        where p.shop = '{{.Shop}}' and p.waits_for = 'article'
    ), things as (
        select line, split_part(line, ':', 1) as product, coalesce({{.Schema}}.stocked(split_part(line, ':', 2)), '') as variant
        from (select distinct line from lines) as d
    )
    select t.product, t.variant, count(distinct l.order_id), min(l.order_id)
    from lines l
    join things t on t.line = l.line
    group by t.product, t.variant
$$;

create function {{.Schema}}.articles_missing()
returns table (product text, variant text, sku text, by text, model text, name text, options text, orders bigint, first_order bigint, note text)
language sql stable set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = on as $$
    with sold as materialized (
        select * from {{.Schema}}.assortment()
    ), products as (
        select distinct on (product) product, model, name, active from sold order by product, variant
    ), doubles as (
        select lower(s.model) as model, string_agg(s.product, ', ' order by length(s.product), s.product) as products
        from products s
        where s.active and s.model <> ''
        group by lower(s.model)
        having count(*) > 1
    )
    select coalesce(s.product, w.product), coalesce(s.variant, w.variant), '', '', coalesce(p.model, o.model, ''), coalesce(p.name, o.name, ''),
        coalesce(s.options, {{.Schema}}.called(w.variant), ''), coalesce(w.orders, 0), coalesce(w.first_order, 0),
        concat_ws('; ',
            case when s.by = 'lost' then 'the article that it was mapped to is no longer in the ERP' end,
            case when p.product is null then 'no longer in the shop''s catalogue' when not p.active then 'not on sale' end,
            case when s.combinations is not null then
                format('%s combinations of options that keep stock: listed are those that orders wait for', s.combinations) end,
            case when d.model is not null then format('products %s share this model', d.products) end)
    from sold s
    full join {{.Schema}}.waiting() w on w.product = s.product and w.variant = s.variant
    left join products p on p.product = coalesce(s.product, w.product)
    left join doubles d on d.model = lower(p.model)
    left join lateral {{.Schema}}.ordered_as(w.first_order, w.product) o on p.product is null
    where s.article is null and (s.active or w.orders > 0)
        and not (s.product is null and exists (select from spola.article a join erp.articles e on e.article_id = a.article
            where a.shop = '{{.Shop}}' and a.product = w.product and a.variant = w.variant))
    order by coalesce(w.orders, 0) desc, length(coalesce(s.product, w.product)), coalesce(s.product, w.product), coalesce(s.variant, w.variant)
$$;

-- What is likely to be what: by the shop's SKU, its EAN, its model, and variants by the names of their options. A line is
-- without an SKU where several fit; the note says which.
create function {{.Schema}}.articles_suggested()
returns table (product text, variant text, sku text, by text, model text, name text, options text, orders bigint, first_order bigint, note text)
language sql stable set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = on as $$
    with sold as materialized (
        select s.*, s.product || case when s.variant <> '' then ' (' || replace(s.variant, ',', '+') || ')' else '' end as label
        from {{.Schema}}.assortment() s
        where s.combinations is null
    ), open as (
        select * from sold s where s.active and coalesce(s.by, 'equal') in ('equal', 'lost')
    ), held as materialized (
        select e.article_id, e.sku, lower(trim(e.ean)) as ean, lower(e.product_code) as code, lower(e.options::text)::jsonb as options
        from erp.articles e
    ), found as (
        select o.product, o.variant, e.article_id, e.sku, 1 as rank, 'sku' as by
        from open o cross join unnest(o.skus) as k join held e on lower(e.sku) = k where o.variant = ''
        union
        select o.product, o.variant, e.article_id, e.sku, 2, 'ean'
        from open o cross join unnest(o.eans) as k join held e on e.ean = k where o.variant = ''
        union
        select o.product, o.variant, e.article_id, e.sku, 3, 'model'
        from open o join held e on lower(trim(e.sku)) = lower(trim(o.model)) where o.variant = ''
        union
        select o.product, o.variant, e.article_id, e.sku, 4, 'options'
        from (
            select o.product, o.variant, n as options, k as code
            from open o
            cross join unnest(o.named) as n
            cross join unnest(o.skus || lower(trim(o.model))) as k
            where o.variant <> ''
            offset 0
        ) o
        join held e on e.code = o.code and e.options = o.options
        where e.options <> '{}'
    ), judged as (
        select f.product, f.variant, count(distinct f.article_id) as n, min(f.article_id) as article, min(f.sku) as sku,
            (array_agg(f.by order by f.rank))[1] as by,
            string_agg(f.sku || ' by its ' || f.by, ', ' order by f.rank, f.sku) as fits
        from found f
        group by f.product, f.variant
    ), claims as (
        select c.article, string_agg(c.label, ', ' order by length(c.label), c.label) as labels, count(*) as n
        from (
            select j.article, o.label from judged j join open o on o.product = j.product and o.variant = j.variant where j.n = 1
            union
            select s.article, s.label from sold s where s.by in ('sku', 'import')
        ) c
        group by c.article
    )
    select o.product, o.variant, case when j.n = 1 and c.n = 1 then j.sku else '' end, j.by, o.model, o.name, o.options, 0, 0,
        case
            when j.n > 1 then format('fits several articles: %s', j.fits)
            when c.n > 1 then format('%s fits products %s: write it where it belongs', j.sku, c.labels)
            else ''
        end
    from judged j
    join open o on o.product = j.product and o.variant = j.variant
    left join claims c on c.article = j.article and j.n = 1
    order by length(o.product), o.product, o.variant
$$;

create function {{.Schema}}.articles_mapped()
returns table (product text, variant text, sku text, by text, model text, name text, options text, orders bigint, first_order bigint, note text)
language sql stable set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = on as $$
    select a.product, a.variant, coalesce(e.sku, ''), a.by, coalesce(c.model, ''), coalesce(c.name, ''), coalesce(c.options, ''), 0, 0,
        concat_ws('; ',
            case when e.article_id is null then format('article %s is no longer in the ERP', a.article) end,
            case when c.product is null then 'no longer in the shop''s catalogue' end,
            case when count(*) over (partition by a.article) > 1 then 'other lines have the same SKU' end)
    from spola.article a
    left join erp.articles e on e.article_id = a.article
    left join {{.Schema}}.catalogue() c on c.product = a.product and c.variant = a.variant
    where a.shop = '{{.Shop}}'
    order by length(a.product), a.product, a.variant
$$;

-- Articles that several things in the shop are: their stock can't be told apart.
create function {{.Schema}}.articles_shared()
returns table (sku text, products text[])
language sql stable as $$
    select min(s.sku), array_agg(s.product || case when s.variant <> '' then ' (' || replace(s.variant, ',', '+') || ')' else '' end
        order by length(s.product), s.product, s.variant)
    from {{.Schema}}.assortment() s
    where s.article is not null and s.active
    group by s.article
    having count(*) > 1
    order by 1
$$;

create type {{.Schema}}.lost as (order_id bigint, problem spola.problem);

-- Orders that the ERP refused because an article of theirs is gone: parked by the name of what was ordered, until it is
-- mapped again. An article that was found by its SKU is forgotten: another one with this SKU will do.
create function {{.Schema}}.name_lost_articles(tasks {{.Schema}}.task[], drafts {{.Schema}}.draft[], answers erp.result[]) returns {{.Schema}}.draft[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    refused  bigint[] := array(select t.order_id from unnest(tasks) as t join unnest(answers) as a on a.reference = t.reference where not a.ok and a.reason = 'article');
    problems {{.Schema}}.lost[];
begin
    if cardinality(refused) = 0 then
        return drafts;
    end if;
    problems := array(
        select distinct on (o.order_id) row(o.order_id, row('unknown_article',
                format('"%s" (product %s%s) is article %s, which is no longer in the ERP.', spola.html(p.title), p.product,
                    case when p.options <> '' then ', ' || p.options else '' end, p.article),
                'article', p.product || ':' || p.variant || ':'
                    || case when exists (select from spola.article a where a.shop = '{{.Shop}}' and a.product = p.product
                        and (a.by <> 'sku' or exists (select from erp.articles e where e.article_id = a.article))) then '' else p.code end)::spola.problem)::{{.Schema}}.lost
        from {{.Schema}}.orders(refused) o
        cross join lateral unnest(o.parts) with ordinality as p
        where p.kind = 'line' and not exists (select from erp.articles e where e.article_id = p.article)
        order by o.order_id, p.ordinality);
    delete from spola.article a
    using {{.Schema}}.orders(refused) o, unnest(o.parts) as p
    where a.shop = '{{.Shop}}' and a.product = p.product and a.by = 'sku' and a.article = p.article
        and not exists (select from erp.articles e where e.article_id = a.article);
    return array(
        select row(d.order_id, d.content,
            -- An order that the ERP has keeps its articles: another mapping is no way out.
            case when l.order_id is null or (d.problem).reason is not null then d.problem
                when t.erp_order is not null then row((l.problem).reason, (l.problem).what, null, null)::spola.problem
                else l.problem end, d.payload)::{{.Schema}}.draft
        from unnest(drafts) with ordinality as d(order_id, content, problem, payload, n)
        join unnest(tasks) as t on t.order_id = d.order_id
        left join unnest(problems) as l on l.order_id = d.order_id
        order by d.n);
end $$;
