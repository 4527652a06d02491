-- What an OpenCart 4 shop means: its orders, lines, money and consumption, read from the mirror.
--
-- A template: {{.Shop}} is the shop's name, {{.Schema}} the schema that this file fills, and
-- {{table "order"}} a table of the mirror with the shop's prefix. Intake installs it again whenever it
-- has changed, then adds its own functions, which are the same for all platforms.
--
-- Every function takes the ids of the orders that changed and is one set-based statement over the
-- primary key and the order_id indexes of the mirror; intake plans them once per connection, without
-- statistics. The shop's settings come from the copies in schema spola, never from the mirror.

-- The orders as intake must know them to decide what to do.
--   revision     the last row of the history: the shop writes it last of all
--   stated       the history's last row names the state that the order is in: nothing is half-written
--   begun        when the order was complete for the first time
--   fingerprint  what never changes of an order
--   account      of the customer, if he has one
create function {{.Schema}}.heads(ids bigint[])
returns table (order_id bigint, state text, method text, revision bigint, stated boolean, begun timestamptz, fingerprint text, account bigint)
language sql stable as $$
    select o.order_id,
        coalesce(o.order_status_id, 0)::text,
        spola.json_text(o.payment_method, 'code'),
        coalesce(h.last_id, 0),
        coalesce((select x.order_status_id = o.order_status_id from {{table "order_history"}} x where x.order_history_id = h.last_id), false),
        coalesce(h.begun, o.date_added) at time zone s.timezone,
        concat_ws('|', o.date_added, lower(o.email), o.invoice_prefix),
        nullif(o.customer_id, 0)::bigint
    from unnest(ids) as i(id)
    cross join lateral (select * from {{table "order"}} o where o.order_id = i.id offset 0) o
    cross join (select * from spola.shop_settings s where s.shop = '{{.Shop}}' offset 0) s
    left join lateral (
        select max(x.order_history_id) as last_id, min(x.date_added) as begun
        from {{table "order_history"}} x
        where x.order_id = i.id
    ) h on true
$$;

-- The orders that were complete once. Until then an order is a cart, or half-written.
create view {{.Schema}}.completed as select x.order_id from {{table "order_history"}} x;

-- Those option values of a variant that keep stock, as a variant. One that is missing may: a shop saves the page
-- of a product by deleting its values and inserting them again.
create function {{.Schema}}.stocked(variant text) returns text language sql stable
return (
    select spola.variant(array_agg(i.id))
    from (select v::bigint as id from unnest(string_to_array(variant, ',')) as v) i
    -- Looked up, also where whole sets are joined: it is asked of each mapping.
    where coalesce((select z.subtract from {{table "product_option_value"}} z where z.product_option_value_id = i.id), 1) = 1);

-- The merchant's own fields: those of the account and those of an address, by what the shop file says they mean. A
-- function of its own, because most orders have none.
create type {{.Schema}}.own_fields as (tax_code text, vat_number text, pec text, sdi text, invoice_wanted boolean);
create function {{.Schema}}.own_fields(texts text[]) returns {{.Schema}}.own_fields
language plpgsql stable as $$
begin
    return (
        select row(spola.code(max(x.value) filter (where d.meaning = 'tax_code')),
            spola.vat_number(max(x.value) filter (where d.meaning = 'vat_number')),
            spola.email(max(x.value) filter (where d.meaning = 'pec')),
            spola.code(max(x.value) filter (where d.meaning = 'sdi')),
            bool_or(lower(x.value) not in ('', '0', '[]', '{}', 'null', 'false', 'no')) filter (where d.meaning = 'invoice_wanted'))::{{.Schema}}.own_fields
        from (select j.field, spola.html(trim(j.value)) as value
            from unnest(texts) as t(t)
            cross join lateral jsonb_each_text(case when t.t like '{%' then spola.json_object(t.t) end) as j(field, value)) x
        join spola.custom_field d on d.shop = '{{.Shop}}' and d.field = x.field
        where x.value <> '');
end $$;

-- What an order's taxes that are a fixed amount a piece cost without the VAT in them; taxed: the order bears VAT. A
-- function of its own, because most orders have none.
create function {{.Schema}}.fixed_taxes(id bigint, country_id bigint, taxed boolean)
returns table (seq bigint, code text, title text, net numeric, rate numeric, country text)
language plpgsql stable as $$
begin
    return query
    select t.order_total_id::bigint, t.code, t.title, spola.without_vat(t.value, y.rate), y.rate, case when y.rate > 0 then n.country end
    from (select * from {{table "order_total"}} t where t.order_id = id and t.code = 'tax' offset 0) t
    join spola.tax_title n on n.shop = '{{.Shop}}' and n.title = t.title and n.country_id = fixed_taxes.country_id and n.amount is not null
    join spola.fixed_tax f on f.shop = '{{.Shop}}' and f.title = t.title
    cross join lateral (select case when taxed then f.rate else 0 end as rate offset 0) y;
end $$;

-- The orders as the ERP takes them: the order's own words, and parts, of which intake makes cents and lines.
-- The customer's id and cents are added by intake. They come back in the order of ids.
--   content  a checksum of what the shop may edit, but for the parts
--
-- A line's VAT is stated per piece and cut to four decimals, and no row says its rate: it is that rate
-- among the order's own VAT rows which gives this amount. A charge's VAT is stated nowhere: its rate is
-- guessed, by its tax class at the order's address.
--
-- A tax that is a fixed amount a piece stands among the VAT, in the totals and in the tax of each line, but is none:
-- it is a charge with VAT in it, at the rate that the shop file gives it, or at 0 where the order bears no VAT.
--
-- A line's article is the one with which the ERP took it; else that of the table of articles, by
-- all its option values, then by those that keep stock; else, if none keeps stock, that of equal SKU.
create function {{.Schema}}.orders(ids bigint[])
returns table (order_id bigint, account text, customer_group text, customer erp.customer_in, "order" erp.order_in, method text, method_title text,
    transaction text, content text, problem spola.problem, total numeric, parts spola.part[])
language sql stable as $$
    select o.order_id,
        nullif(o.customer_id, 0)::text,
        o.customer_group_id::text,
        row(null, k.kind, w.first_name, w.last_name, w.company, w.email, o.telephone, o.language_code,
            f.tax_code, f.vat_number, f.pec, f.sdi, coalesce(bill.address, ship.address))::erp.customer_in,
        row(null, '{{.Shop}}', o.order_id::text, o.date_added at time zone s.timezone, null, k.kind, w.email, o.telephone, o.language_code,
            spola.html(o.comment), f.tax_code, f.vat_number, f.pec, f.sdi, coalesce(f.invoice_wanted, false) or k.kind <> 'private',
            case when bill.address is distinct from coalesce(ship.address, bill.address) then bill.address end,
            coalesce(ship.address, bill.address),
            w.shipping_code, spola.html(w.shipping_name),
            s.currency, null, o.currency_code, o.currency_value, round(o.total * o.currency_value, 2))::erp.order_in,
        w.method,
        spola.html(w.method_title),
        coalesce(o.transaction_id, ''),
        md5(concat_ws('|', o.customer_id, o.customer_group_id, o.firstname, o.lastname, o.email, o.telephone, o.custom_field, o.comment,
            o.payment_firstname, o.payment_lastname, o.payment_company, o.payment_address_1, o.payment_address_2, o.payment_postcode, o.payment_city,
            o.payment_country_id, o.payment_zone_id, o.payment_custom_field, o.payment_method,
            o.shipping_firstname, o.shipping_lastname, o.shipping_company, o.shipping_address_1, o.shipping_address_2, o.shipping_postcode, o.shipping_city,
            o.shipping_country_id, o.shipping_zone_id, o.shipping_custom_field, o.shipping_method, o.total, o.currency_code, o.currency_value)),
        case
            when o.spola_flaw is not null then row(case when o.spola_flaw like 'stub%' then 'too_big' else 'invalid_text' end,
                format('The order itself: %s', o.spola_flaw), null, null)::spola.problem
            when a.country is null then row('unknown_country', format('Country %s is not in the shop''s list.', a.ship_country), 'setting', null)::spola.problem
            when o.customer_id > 0 then (select row('invalid_text', format('Account %s: %s', o.customer_id, c.spola_flaw), 'customer', o.customer_id::text)::spola.problem
                from {{table "customer"}} c where c.customer_id = o.customer_id and c.spola_flaw is not null)
        end,
        o.total,
        array(
            select row(p.kind, p.code, p.title, p.net, p.rate, p.guessed, coalesce(p.country, case when p.rate is not null then a.country end),
                p.quantity, p.product, p.variant, p.options, p.article, p.by_sku, p.rows,
                case when p.flaw is not null then row(case when p.flaw like 'stub%' then 'too_big' else 'invalid_text' end,
                    format('Row "%s": %s', p.title, p.flaw), null, null)::spola.problem else p.problem end)::spola.part
            from (
                select l.order_product_id as seq, 'line' as kind, l.model as code, l.name as title, l.total as net, r.rate, false as guessed, v.countries[r.at] as country,
                    l.quantity::bigint, l.product_id::text as product, x.variant, x.options, m.article, m.by_sku,
                    case when p.subtract = 1 then array['product:' || l.product_id] else '{}' end
                        || case when l.master_id > 0 and (select y.subtract from {{table "product"}} y where y.product_id = l.master_id) = 1
                                then array['product:' || l.master_id] else '{}' end
                        || x.rows as rows,
                    coalesce(l.spola_flaw, x.flaw) as flaw,
                    case
                        when a.country is null then null  -- the order's own problem
                        when l.quantity between 1 and 1000000 and m.article is not null and abs(l.price * r.rate / 100 + r.fixed - l.tax) <= 0.0002 and r.clear then null
                        when l.quantity is null or l.quantity not between 1 and 1000000 then
                            row('overflow', format('"%s" has quantity %s.', spola.html(l.name), l.quantity), null, null)::spola.problem
                        when m.article is null and x.stocked > 1 then
                            row('multi_stock_options', format('"%s" (product %s) with %s.', spola.html(l.name), l.product_id, x.options), 'article', l.product_id || ':' || x.variant)::spola.problem
                        when m.article is null then
                            row('unknown_article', format('"%s" (product %s, model %s%s).', spola.html(l.name), l.product_id, l.model,
                                    case when x.variant <> '' then ', option values ' || x.variant || ': ' || x.options else '' end),
                                'article', l.product_id || ':' || x.variant || ':' || l.model)::spola.problem
                        else row('tax_unclear', format('"%s" costs %s with VAT of %s, which is %s %%; the order has VAT at %s.', spola.html(l.name), l.price, l.tax,
                                round(100 * l.tax / nullif(l.price, 0), 2), coalesce(nullif(array_to_string(v.rates, ' %, '), '') || ' %', 'no rate')), null, null)::spola.problem
                    end as problem
                from {{table "order_product"}} l
                left join {{table "product"}} p on p.product_id = l.product_id
                cross join lateral (
                    -- The first of the order's rates that gives the stated VAT; none: 0, or the one that comes nearest.
                    select q.at, coalesce(v.rates[q.at], 0) as rate, coalesce((q.fit).fixed, 0) as fixed, coalesce((q.fit).clear, true) as clear
                    from (select y.fit, coalesce((y.fit).at,
                        case
                            when abs(l.price * v.rates[1] / 100 - l.tax) <= 0.0002 then 1
                            when abs(l.price * v.rates[2] / 100 - l.tax) <= 0.0002 then 2
                            when abs(l.tax) <= 0.0002 then 0
                            else (select n.at from unnest(v.rates) with ordinality as n(rate, at) order by abs(l.price * n.rate / 100 - l.tax), n.at limit 1)
                        end) as at from (select case when v.amounts is not null then spola.fit_tax(l.price, l.tax, v.rates, v.amounts) end as fit offset 0) y offset 0) q
                ) r
                cross join lateral (
                    select spola.variant(w.ids) as variant, spola.variant(w.stock_ids) as stock_variant, coalesce(cardinality(w.stock_ids), 0) as stocked,
                        coalesce(w.rows, '{}') as rows, coalesce(w.options, '') as options, w.flaw
                    from (
                        select array_agg(w.product_option_value_id::bigint) filter (where w.product_option_value_id > 0) as ids,
                            array_agg(w.product_option_value_id::bigint) filter (where w.product_option_value_id > 0 and coalesce(z.subtract, 1) = 1) as stock_ids,
                            array_agg('option:' || w.product_option_value_id) filter (where w.product_option_value_id > 0 and coalesce(z.subtract, 1) = 1) as rows,
                            string_agg(spola.html(w.name) || ': ' || spola.html(w.value), ', ') as options,
                            max(w.spola_flaw) as flaw
                        from (select * from {{table "order_option"}} w
                            where w.order_id = i.id and w.order_product_id = l.order_product_id order by w.order_option_id) w
                        left join {{table "product_option_value"}} z on z.product_option_value_id = w.product_option_value_id
                    ) w
                    offset 0
                ) x
                cross join lateral (
                    select coalesce(y.article, y.by_sku) as article, y.by_sku is not null as by_sku
                    from (select y.article, case when y.article is null and x.stocked = 0 then (select e.article_id from erp.articles e where e.sku = l.model) end as by_sku
                    from (select coalesce(
                        (select c.article from spola.consumption c
                         where had.incarnations is not null and c.shop = '{{.Shop}}' and c.order_id = i.id and c.incarnation = any (had.incarnations)
                            and c.line = l.product_id || ':' || x.variant and c.article is not null
                         limit 1),
                        (select b.article from spola.article b where b.shop = '{{.Shop}}' and b.product = l.product_id::text and b.variant = x.variant),
                        case when x.stock_variant <> x.variant then
                            (select b.article from spola.article b where b.shop = '{{.Shop}}' and b.product = l.product_id::text and b.variant = x.stock_variant) end
                        ) as article offset 0) y offset 0) y
                    offset 0
                ) m
                where l.order_id = i.id

                union all

                select t.order_total_id, k.kind, t.code, t.title,
                    case when n.amount is not null and k.rate is not null then t.value - spola.without_vat(t.value, k.rate) else t.value end,
                    k.rate, k.kind = 'charge' and d.rate is null,
                    case k.kind when 'tax' then case when k.rate > 0 or n.amount is null then n.country end when 'charge' then v.countries[array_position(v.rates, k.rate)] end,
                    null, null, null, null, null, null, null, t.spola_flaw,
                    case
                        when k.kind is null then row('unknown_total', format('"%s" (code %s) of %s.', t.title, t.code, t.value), 'total', t.code)::spola.problem
                        when k.kind = 'tax' and n.amount is not null and k.rate is null then row('fixed_tax', format('"%s" of %s.', t.title, t.value), 'fixed_tax', t.title)::spola.problem
                        when k.kind = 'tax' and n.rate is null and n.amount is null and t.value <> 0 and a.country is not null then row('unknown_tax', format('"%s" of %s.', t.title, t.value), 'setting', null)::spola.problem
                    end
                from {{table "order_total"}} t
                left join spola.total_code d on d.shop = '{{.Shop}}' and d.code = t.code
                left join spola.tax_title n on n.shop = '{{.Shop}}' and t.code = 'tax' and n.title = t.title and n.country_id = a.ship_country
                cross join lateral (
                    select j.kind, case
                        when j.kind = 'tax' and n.amount is not null then
                            (select case when cardinality(v.rates) > 0 then f.rate else 0 end from spola.fixed_tax f where f.shop = '{{.Shop}}' and f.title = t.title)
                        when j.kind = 'tax' then n.rate
                        when j.kind = 'charge' then coalesce(d.rate, (
                            select q.rate from spola.tax_class_rate q
                            where q.shop = '{{.Shop}}'
                                and q.tax_class = coalesce(d.tax_class, case when t.code = 'shipping' then substring(split_part(o.shipping_method, '"tax_class_id":', 2) from '^"?(\d{1,9})')::bigint end)
                                and q.customer_group = o.customer_group_id
                                and q.country_id = any (array[a.ship_country, a.pay_country, s.country_id])
                                and q.country_id = any (case q.based when 'shipping' then array[a.ship_country, a.own_country]
                                    when 'payment' then array[a.pay_country, a.own_country] else array[s.country_id] end)
                                and (q.zone_id = 0 or q.zone_id = case q.based when 'shipping' then a.ship_zone when 'payment' then a.pay_zone end)
                                -- A coupon that takes a whole charge off leaves no VAT row of its rate.
                                and (q.rate = any (v.rates) or t.value > 0 and cardinality(v.rates) > 0 and exists (
                                    select from {{table "order_total"}} c
                                    join spola.total_code e on e.shop = '{{.Shop}}' and e.code = c.code and e.kind = 'discount'
                                    where c.order_id = i.id and c.value <= -t.value))
                            order by q.rate = any (v.rates) desc, q.rate desc
                            limit 1
                        ), 0) end as rate
                    from (select case when d.kind in ('charge', 'discount') then case when t.value < 0 then 'discount' else 'charge' end else d.kind end as kind) j
                    offset 0
                ) k
                where t.order_id = i.id and t.code <> 'total' and d.kind is distinct from 'ignored'

                union all

                select t.seq, 'charge', t.code, t.title, t.net, t.rate, false, t.country,
                    null, null, null, null, null, null, null, null, null
                from {{.Schema}}.fixed_taxes(i.id, a.ship_country, cardinality(v.rates) > 0) t
                where v.amounts is not null
            ) p
            order by p.kind = 'line' desc, p.seq)
    from unnest(ids) as i(id)
    cross join lateral (select * from {{table "order"}} o where o.order_id = i.id offset 0) o
    cross join (select * from spola.shop_settings s where s.shop = '{{.Shop}}' offset 0) s
    cross join lateral (
        -- An order without an address of one kind has the other. offset 0: worked out once.
        -- The shop taxes by its own country what it ships nowhere.
        select g.*, (select c.code from spola.country c where c.shop = '{{.Shop}}' and c.id = g.ship_country) as country,
            case when coalesce(o.shipping_country_id, 0) = 0 then s.country_id end as own_country
        from (select
            case when o.shipping_country_id <> 0 then o.shipping_country_id else coalesce(o.payment_country_id, 0) end as ship_country,
            case when o.shipping_country_id <> 0 then o.shipping_zone_id else o.payment_zone_id end as ship_zone,
            case when o.payment_country_id <> 0 then o.payment_country_id else coalesce(o.shipping_country_id, 0) end as pay_country,
            case when o.payment_country_id <> 0 then o.payment_zone_id else o.shipping_zone_id end as pay_zone
            offset 0) g
        offset 0
    ) a
    cross join lateral (
        -- The lives of the shop in which the ERP took this very order: its lines keep their articles.
        select array_agg(k.incarnation) filter (where k.erp_order is not null and starts_with(k.fingerprint, coalesce(o.date_added || '|', ''))) as incarnations
        from spola.link k
        where k.shop = '{{.Shop}}' and k.order_id = i.id
        offset 0
    ) had
    cross join lateral (
        -- The rates of the order's VAT rows, each with its country; and taxes among them that are fixed amounts.
        select coalesce(array_agg(x.rate) filter (where x.rate is not null), '{}') as rates, array_agg(x.country) filter (where x.rate is not null) as countries,
            array_agg(x.amount) filter (where x.amount is not null) as amounts
        from (select * from {{table "order_total"}} t where t.order_id = i.id and t.code = 'tax' offset 0) t
        join spola.tax_title x on x.shop = '{{.Shop}}' and x.title = t.title and x.country_id = a.ship_country
        offset 0
    ) v
    cross join lateral (
        select spola.html(o.firstname) as first_name, spola.html(o.lastname) as last_name, spola.email(o.email) as email,
            spola.html(coalesce(nullif(o.payment_company, ''), o.shipping_company, '')) as company,
            spola.json_text(o.payment_method, 'code') as method, spola.json_text(o.payment_method, 'name') as method_title,
            spola.json_text(o.shipping_method, 'code') as shipping_code, spola.json_text(o.shipping_method, 'name') as shipping_name
        offset 0
    ) w
    cross join lateral (
        select (x.fields).* from (
            -- A form with such fields stores them for everybody, most of them empty: then nothing but "1":"" is left.
            select case when strpos(replace(concat(o.custom_field, o.payment_custom_field, o.shipping_custom_field), ':""', ''), ':') > 0 then
                {{.Schema}}.own_fields(array[o.custom_field, o.payment_custom_field, o.shipping_custom_field]) end as fields offset 0) x
        offset 0
    ) f
    cross join lateral (
        select coalesce(
            (select q.kind from spola.customer_kind q where q.shop = '{{.Shop}}' and q.customer_group = o.customer_group_id::text),
            case when length(f.sdi) = 6 then 'public' when f.vat_number is not null or w.company <> '' then 'company' else 'private' end) as kind
        offset 0
    ) k
    cross join lateral (
        select case when coalesce(o.shipping_country_id, 0) <> 0 then
            row(spola.html(o.shipping_firstname), spola.html(o.shipping_lastname), spola.html(o.shipping_company),
                spola.html(o.shipping_address_1), spola.html(o.shipping_address_2), o.shipping_postcode, spola.html(o.shipping_city),
                coalesce((select z.code from spola.province z where z.shop = '{{.Shop}}' and z.id = o.shipping_zone_id), spola.html(o.shipping_zone)),
                a.country)::erp.address end as address
        offset 0
    ) ship
    cross join lateral (
        select case when coalesce(o.payment_country_id, 0) <> 0 then
            row(spola.html(o.payment_firstname), spola.html(o.payment_lastname), spola.html(o.payment_company),
                spola.html(o.payment_address_1), spola.html(o.payment_address_2), o.payment_postcode, spola.html(o.payment_city),
                coalesce((select z.code from spola.province z where z.shop = '{{.Shop}}' and z.id = o.payment_zone_id), spola.html(o.payment_zone)),
                case when o.payment_country_id = a.ship_country then a.country
                    else (select z.code from spola.country z where z.shop = '{{.Shop}}' and z.id = o.payment_country_id) end)::erp.address end as address
        offset 0
    ) bill
$$;

-- What an order has sold beside its lines, of one whose sums do not add up; null: nothing. The subtotal counts it, and no line
-- does: so stood the gift vouchers of OpenCart 4.0 and before, and so stands what some plug-ins sell.
create function {{.Schema}}.sold_beside(id bigint) returns spola.problem language sql stable as $$
    select row('gift_card', format('Gift card, or what else stands in no line: the subtotal is %s, its lines are %s.', s.value, coalesce(l.total, 0)), null, null)::spola.problem
    from (select sum(t.value) as value from {{table "order_total"}} t where t.order_id = id and t.code = 'sub_total') s
    cross join (select sum(l.total) as total from {{table "order_product"}} l where l.order_id = id) l
    where s.value - coalesce(l.total, 0) >= 0.01
$$;

-- What of the settings and look-ups is not in the mirror, for a person; null if they are complete. A
-- shop saves its settings by DELETE and single INSERTs: for a moment they are missing, never empty.
create function {{.Schema}}.lookups_missing() returns text language sql stable as $$
    select string_agg(what, ', ') from (
        select 'setting ' || k as what
        from unnest(array['config_timezone', 'config_currency', 'config_country_id', 'config_processing_status', 'config_complete_status']) as k
        where not exists (select from {{table "setting"}} x where x.store_id = 0 and x.key = k and coalesce(x.value, '') <> '')
        union all
        select 'setting ' || k || ' is no list'
        from unnest(array['config_processing_status', 'config_complete_status']) as k
        join {{table "setting"}} x on x.store_id = 0 and x.key = k
        where coalesce(x.value, '') !~ '^\[("?\d+"?(,"?\d+"?)*)?\]$'
        union all
        select 'time zone ' || x.value || ' is unknown'
        from {{table "setting"}} x
        where x.store_id = 0 and x.key = 'config_timezone' and not exists (select from pg_timezone_names z where z.name = x.value)
        union all
        select 'the shop''s own country'
        from {{table "setting"}} x
        where x.store_id = 0 and x.key = 'config_country_id' and not exists (select from {{table "country"}} c where c.country_id::text = x.value)
        union all
        select 'all order states' where not exists (select from {{table "order_status"}})
        union all
        select 'geo zone ' || r.geo_zone_id || ' of tax rate ' || r.name
        from {{table "tax_rate"}} r
        where not exists (select from {{table "zone_to_geo_zone"}} z where z.geo_zone_id = r.geo_zone_id)
        union all
        select 'tax rate ' || u.tax_rate_id || ' of tax class ' || u.tax_class_id
        from {{table "tax_rule"}} u
        where not exists (select from {{table "tax_rate"}} r where r.tax_rate_id = u.tax_rate_id)
        union all
        select 'all rules of a tax class that the copy has'
        where exists (select from spola.tax_class_rate where shop = '{{.Shop}}') and not exists (select from {{table "tax_rule"}})
    ) as m
$$;

-- Copies the settings and look-ups from the mirror into schema spola, in place of those before.
create function {{.Schema}}.take_lookups() returns void language plpgsql as $$
begin
    delete from spola.shop_settings where shop = '{{.Shop}}';
    insert into spola.shop_settings (shop, timezone, currency, country, country_id, consuming)
    select '{{.Shop}}', v ->> 'config_timezone', v ->> 'config_currency',
        (select c.iso_code_2 from {{table "country"}} c where c.country_id::text = v ->> 'config_country_id'), (v ->> 'config_country_id')::bigint,
        array(select distinct n from jsonb_array_elements_text((v ->> 'config_processing_status')::jsonb || (v ->> 'config_complete_status')::jsonb) as n)
    from (select jsonb_object_agg(x.key, x.value) as v from {{table "setting"}} x where x.store_id = 0 and x.key like 'config\_%') as t;

    delete from spola.country where shop = '{{.Shop}}';
    insert into spola.country (shop, id, code) select '{{.Shop}}', country_id, iso_code_2 from {{table "country"}};

    delete from spola.province where shop = '{{.Shop}}';
    insert into spola.province (shop, id, code) select '{{.Shop}}', zone_id, code from {{table "zone"}} where code <> '';

    delete from spola.shop_state where shop = '{{.Shop}}';
    insert into spola.shop_state (shop, state, name)
    select '{{.Shop}}', order_status_id::text, min(name) from {{table "order_status"}} group by order_status_id;

    -- Whose VAT a rate is: of a zone with one country, that one's; of a zone that has the shop's own among others, the shop's;
    -- else the delivery's. Of two rates with one name that counts which applies at the delivery.
    delete from spola.tax_title where shop = '{{.Shop}}';
    insert into spola.tax_title (shop, title, country_id, rate, amount, country)
    select distinct on (r.name, c.country_id) '{{.Shop}}', r.name, c.country_id, case when r.type = 'P' then r.rate end, case when r.type <> 'P' then r.rate end,
        case when cardinality(z.codes) = 1 then z.codes[1] when s.country = any (z.codes) then s.country else c.iso_code_2 end
    from {{table "tax_rate"}} r
    join spola.shop_settings s on s.shop = '{{.Shop}}'
    cross join lateral (
        select coalesce(array_agg(distinct y.iso_code_2), '{}') as codes
        from {{table "zone_to_geo_zone"}} x
        join {{table "country"}} y on y.country_id = x.country_id
        where x.geo_zone_id = r.geo_zone_id
    ) z
    cross join {{table "country"}} c
    order by r.name, c.country_id, c.iso_code_2 = any (z.codes) desc, r.tax_rate_id;

    delete from spola.tax_class_rate where shop = '{{.Shop}}';
    insert into spola.tax_class_rate (shop, tax_class, customer_group, based, country_id, zone_id, rate)
    select distinct '{{.Shop}}', u.tax_class_id, g.customer_group_id, u.based, z.country_id, z.zone_id, r.rate
    from {{table "tax_rule"}} u
    join {{table "tax_rate"}} r on r.tax_rate_id = u.tax_rate_id and r.type = 'P'
    join {{table "tax_rate_to_customer_group"}} g on g.tax_rate_id = r.tax_rate_id
    join {{table "zone_to_geo_zone"}} z on z.geo_zone_id = r.geo_zone_id;
end $$;

-- The shop's stock, a row for each of its own: what the stock account is kept by. sums: it sums up its variants, for the shop
-- subtracts these from it too; it is an article only where somebody says so.
create view {{.Schema}}.stock as
select 'product:' || p.product_id as stock_row, p.product_id::text as product, '' as variant, p.model as sku, p.quantity::bigint, p.subtract = 1 as tracked,
    exists (select from {{table "product_option_value"}} v where v.product_id = p.product_id and v.subtract = 1) as sums
from {{table "product"}} p
union all
select 'option:' || v.product_option_value_id, v.product_id::text, v.product_option_value_id::text, '', v.quantity::bigint, v.subtract = 1, false
from {{table "product_option_value"}} v;

-- The rows of the shop's stock that an order's lines stand for, whatever has been counted of them.
create function {{.Schema}}.touched(id bigint) returns setof text language sql stable as $$
    select 'product:' || p.product_id
    from {{table "order_product"}} l
    cross join lateral (values (l.product_id), (l.master_id)) as p(product_id)
    where l.order_id = id and p.product_id > 0
    union
    select 'option:' || w.product_option_value_id from {{table "order_option"}} w where w.order_id = id and w.product_option_value_id > 0
$$;

-- When the products of these rows were last saved on their page of the administration: it writes all quantities of the product as numbers, as the
-- page showed them when it was opened or as somebody typed them. A checkout leaves that time as it is.
create function {{.Schema}}.saved(rows text[]) returns table (stock_row text, product text, saved_at timestamptz) language sql stable as $$
    select r.stock_row, p.product_id::text, p.date_modified at time zone s.timezone
    from unnest(rows) as r(stock_row)
    left join {{table "product_option_value"}} v on v.product_option_value_id = substring(r.stock_row from '^option:(\d+)$')::bigint
    join {{table "product"}} p on p.product_id = coalesce(v.product_id, substring(r.stock_row from '^product:(\d+)$')::bigint)
    join spola.shop_settings s on s.shop = '{{.Shop}}'
    where p.date_modified is not null
$$;

-- Numbers of the shop's orders below one, the newest first.
create function {{.Schema}}.order_numbers(below bigint, most int) returns table (order_id bigint) language sql stable as $$
    select o.order_id::bigint from {{table "order"}} o where o.order_id < below order by o.order_id desc limit most
$$;

-- What a person knows an order by, for the day of going live and for reconciliation: cheap for all orders of a shop at once. total is
-- what the order costs, as in the ERP: store credit and gift cards are payments, and the shop's own total is what is left to pay.
create function {{.Schema}}.glance(ids bigint[]) returns table (order_id bigint, placed_at timestamptz, total bigint, customer text)
language sql stable as $$
    select o.order_id, o.date_added at time zone s.timezone,
        case when abs(o.total) < 1e12 then spola.cents(o.total) + coalesce((
            select sum(spola.cents(-t.value)) from {{table "order_total"}} t
            join spola.total_code d on d.shop = '{{.Shop}}' and d.code = t.code and d.kind = 'payment'
            where t.order_id = o.order_id and abs(t.value) < 1e12), 0)::bigint end,
        concat_ws(', ', nullif(concat_ws(' ', nullif(spola.html(o.firstname), ''), nullif(spola.html(o.lastname), '')), ''), nullif(lower(trim(o.email)), ''))
    from unnest(ids) as i(id)
    join {{table "order"}} o on o.order_id = i.id
    join spola.shop_settings s on s.shop = '{{.Shop}}'
$$;
