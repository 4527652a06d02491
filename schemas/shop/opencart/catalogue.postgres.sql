-- What an OpenCart 4 shop sells, as its merchant knows it: for mapping it to articles, never in the way of orders.
--
-- One row for each product; of a product with options that keep stock, one for each combination of their
-- values, since each is an article. A product with more than 1,000 of these has one row that says how many.
--   model     the shop's own code          skus, eans  its other codes, in lower case
--   options   of the combination, as the shop's first language calls them
--   named     the same in each language: {"size": "l"}, in lower case
create function {{.Schema}}.catalogue()
returns table (product text, variant text, model text, skus text[], eans text[], name text, options text, named jsonb[], active boolean, combinations bigint)
language sql stable as $$
    with recursive option_values as (
        select v.product_id, v.product_option_id, v.product_option_value_id::bigint as id, v.subtract = 1 as stocked,
            bool_or(v.subtract = 1) over (partition by v.product_id, v.product_option_id) as counts
        from {{table "product_option_value"}} v
    ),
    choices as materialized (
        -- An option of which some value keeps no stock may be left out of the combination.
        select product_id, dense_rank() over (partition by product_id order by product_option_id) as n, id
        from (
            select distinct product_id, product_option_id, case when stocked then id end as id from option_values where counts
        ) c
    ),
    sizes as materialized (
        select product_id, max(n) as options, round(exp(sum(ln(values))))::bigint as combinations
        from (select product_id, n, count(*) as values from choices group by product_id, n) c
        group by product_id
    ),
    combos as (
        select p.product_id, 0::bigint as n, '{}'::bigint[] as ids
        from {{table "product"}} p
        where not exists (select from sizes z where z.product_id = p.product_id and z.combinations > 1000)
        union all
        select c.product_id, c.n + 1, c.ids || array_remove(array[h.id], null)
        from combos c
        join choices h on h.product_id = c.product_id and h.n = c.n + 1
    ),
    items as (
        select c.product_id, c.ids, null::bigint as combinations
        from combos c
        left join sizes z on z.product_id = c.product_id
        where c.n = coalesce(z.options, 0)
        union all
        select z.product_id, '{}', z.combinations from sizes z where z.combinations > 1000
    ),
    codes as (
        select c.product_id, array_agg(lower(trim(c.value))) filter (where lower(c.code) = 'sku') as skus,
            array_agg(lower(trim(c.value))) filter (where lower(c.code) in ('ean', 'upc', 'jan', 'isbn')) as eans
        from {{table "product_code"}} c
        where trim(c.value) <> ''
        group by c.product_id
    ),
    words as (
        select l.product_id, l.ids, array_agg(l.options order by l.language_id) as options, array_agg(l.named order by l.language_id) as named
        from (
            select i.product_id, i.ids, d.language_id, string_agg(spola.html(o.name) || ': ' || spola.html(d.name), ', ' order by v.product_option_id) as options,
                jsonb_object_agg(lower(trim(spola.html(o.name))), lower(trim(spola.html(d.name)))) as named
            from items i
            cross join unnest(i.ids) as x(id)
            join {{table "product_option_value"}} v on v.product_option_value_id = x.id
            join {{table "option_value_description"}} d on d.option_value_id = v.option_value_id
            join {{table "option_description"}} o on o.option_id = v.option_id and o.language_id = d.language_id
            where o.name is not null and d.name is not null
            group by i.product_id, i.ids, d.language_id
        ) l
        group by l.product_id, l.ids
    ),
    names as (
        select distinct on (d.product_id) d.product_id, spola.html(d.name) as name
        from {{table "product_description"}} d
        order by d.product_id, d.language_id
    )
    select p.product_id::text, coalesce(spola.variant(i.ids), ''), coalesce(spola.html(p.model), ''), coalesce(k.skus, '{}'), coalesce(k.eans, '{}'),
        coalesce(n.name, ''), coalesce(w.options[1], ''), coalesce(w.named, '{}'), coalesce(p.status, 0) = 1, i.combinations
    from items i
    join {{table "product"}} p on p.product_id = i.product_id
    left join codes k on k.product_id = p.product_id
    left join names n on n.product_id = p.product_id
    left join words w on w.product_id = i.product_id and w.ids = i.ids
$$;

-- What a combination of option values is called in the shop's first language, in the catalogue or not.
create function {{.Schema}}.called(variant text)
returns text language sql stable as $$
    select string_agg(n.name, ', ' order by v.product_option_id, i.n)
    from unnest(string_to_array(nullif(variant, ''), ',')) with ordinality as i(id, n)
    join {{table "product_option_value"}} v on v.product_option_value_id = i.id::bigint
    cross join lateral (
        select spola.html(o.name) || ': ' || spola.html(d.name) as name
        from {{table "option_value_description"}} d
        join {{table "option_description"}} o on o.option_id = v.option_id and o.language_id = d.language_id
        where d.option_value_id = v.option_value_id
        order by d.language_id
        limit 1
    ) n
$$;

-- How an order calls a product that is not in the catalogue any more.
create function {{.Schema}}.ordered_as(id bigint, product text)
returns table (model text, name text) language sql stable as $$
    select spola.html(l.model), spola.html(l.name) from {{table "order_product"}} l where l.order_id = id and l.product_id::text = product limit 1
$$;

-- Those of the named products and variants that the shop does not have, for a person; null if it has one. What an
-- order still names counts as there, though it is no longer in the catalogue. offset 0: each is looked up, whatever is joined beside it.
create function {{.Schema}}.not_sold(products text[], variants text[])
returns table (n bigint, what text) language sql stable as $$
    select i.n, case
        when i.product !~ '^\d{1,9}$' then format('product %s is no number of a product', i.product)
        when p.product_id is null and not exists (select from {{table "order_product"}} l where l.product_id::text = i.product) then
            format('the shop has no product %s', i.product)
        else (
            select format('product %s has no option value %s', i.product, v)
            from unnest(string_to_array(nullif(i.variant, ''), ',')) as v
            where not exists (select from {{table "product_option_value"}} x where x.product_option_value_id = v::bigint and x.product_id::text = i.product offset 0)
                and not exists (select from {{table "order_option"}} x join {{table "order_product"}} l on l.order_product_id = x.order_product_id
                    where x.product_option_value_id = v::bigint and l.product_id::text = i.product offset 0)
            limit 1)
        end
    from unnest(products, variants) with ordinality as i(product, variant, n)
    left join {{table "product"}} p on p.product_id::text = i.product
$$;
