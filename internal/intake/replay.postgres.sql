-- What a replay finds: orders are derived again from the mirror as it stands and held against what the ERP has. Nothing here
-- writes but the last function. Installed behind derive.postgres.sql, whose functions it uses; its kinds of statement are the same.
--
-- An order is compared by one number of all its words on either side; word by word only where these differ. What an edit
-- can't bring (shop, number, date) is not compared.

-- What is found of an order. Orders of which nothing is to be said (the ERP has what is derived, or is to have nothing) are left out.
--   import    the ERP lacks it and is to have it · link  the ERP has it, its link is lost
--   edit      the shop has changed it since the ERP took it, and the ERP has not followed
--   revive    the shop has taken it up again · cancel  and cancelled it
--   differs   the shop has not changed it, and the ERP has something else: it was edited there, or orders mean something else
--             since (shop file, platform, version) · asked  likewise, and it is parked for a person already
--   park      the ERP can't have it: reason and what say why · parked  likewise, and it is known
--   decided   a person has said that the ERP's version stays, or has entered it there
--   unclear   the shop has not changed it, and what it means can't be said any more: it stays as it is
--   changing  it is being changed in the shop right now: intake's
--   deleted   it is gone from the shop: intake notes it, the ERP keeps it
--   recount   the ERP has what is derived, and what it took from the shop's stock is to be counted otherwise
create type {{.Schema}}.found as (order_id bigint, outcome text, reason text, what text, erp_order bigint, differences jsonb, reference text);

-- A number of all that the ERP has of each of these orders; null: it has no such order.
create function {{.Schema}}.erp_digests(orders bigint[]) returns numeric[]
language plpgsql stable set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off as $$
begin
    return array(
        select (select hash_record_extended(row(o.total, o.currency, o.kind, o.email, o.phone, o.language, o.note, o.tax_code, o.vat_number, o.pec, o.sdi,
                    o.invoice_wanted, o.billing, o.shipping, o.shipping_code, o.shipping_method, o.customer_currency, o.customer_factor, o.customer_total), 0)::numeric
                from erp.orders o where o.order_id = i.id)
            + coalesce((select sum(hash_record_extended(row(1, l.position, l.article_id, l.name, l.options, l.quantity, l.unit_gross, l.gross,
                    l.vat_rate, l.vat_country, l.vat_nature), 0)) from erp.order_lines l where l.order_id = i.id), 0)
            + coalesce((select sum(hash_record_extended(row(2, c.line, c.kind, c.code, c.title, c.gross, c.vat_rate, c.vat_country, c.vat_nature), 0))
                from erp.order_charges c where c.order_id = i.id), 0)
            + coalesce((select sum(hash_record_extended(row(3, v.vat_rate, v.vat_country, v.vat_nature, v.gross, v.net, v.vat), 0))
                from erp.order_vat_rates v where v.order_id = i.id), 0)
            + coalesce((select sum(hash_record_extended(row(4, p.line, p.kind, p.code, p.title, p.amount, p.transaction), 0))
                from erp.order_payments p where p.order_id = i.id), 0)
        from unnest(orders) with ordinality as i(id, n) order by i.n);
end $$;

-- The same number of drafts, as the ERP would have them.
create function {{.Schema}}.draft_digests(orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[], vat erp.order_vat_in[], payments erp.order_payment_in[])
returns numeric[]
language plpgsql stable set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return array(
        select hash_record_extended(row(o.total, o.currency, o.kind, coalesce(o.email, ''), coalesce(o.phone, ''), coalesce(o.language, ''), coalesce(o.note, ''),
                coalesce(o.tax_code, ''), coalesce(o.vat_number, ''), coalesce(o.pec, ''), coalesce(o.sdi, ''), coalesce(o.invoice_wanted, false),
                coalesce(o.billing, o.shipping), o.shipping, coalesce(o.shipping_code, ''), coalesce(o.shipping_method, ''),
                o.customer_currency, o.customer_factor, o.customer_total), 0)::numeric
            + coalesce(p.digest, 0)
        from unnest(orders) with ordinality as o(reference, shop, shop_number, placed_at, customer, kind, email, phone, language, note, tax_code, vat_number,
            pec, sdi, invoice_wanted, billing, shipping, shipping_code, shipping_method, currency, total, customer_currency, customer_factor, customer_total, n)
        left join (
            select x.reference, sum(x.digest) as digest
            from (
                select l.reference, hash_record_extended(row(1, l.line, l.article, coalesce(l.name, ''), coalesce(l.options, ''), l.quantity, l.unit_gross, l.gross,
                    l.vat_rate, l.vat_country, coalesce(l.vat_nature, '')), 0) as digest
                from unnest(lines) as l
                union all
                select c.reference, hash_record_extended(row(2, c.line, c.kind, coalesce(c.code, ''), coalesce(c.title, ''), c.gross, c.vat_rate, c.vat_country, coalesce(c.vat_nature, '')), 0)
                from unnest(charges) as c
                union all
                select v.reference, hash_record_extended(row(3, v.vat_rate, v.vat_country, coalesce(v.vat_nature, ''), v.gross, v.net, v.vat), 0) from unnest(vat) as v
                union all
                select p.reference, hash_record_extended(row(4, p.line, p.kind, coalesce(p.code, ''), coalesce(p.title, ''), p.amount, coalesce(p.transaction, '')), 0) from unnest(payments) as p
            ) x
            group by x.reference
        ) p on p.reference = o.reference
        order by o.n);
end $$;

-- Cents as people write them.
create function {{.Schema}}.money(cents numeric) returns text language sql immutable return round(cents / 100, 2)::text;

-- All words that the ERP has of these orders, which have these references.
create function {{.Schema}}.erp_words(orders bigint[], refs text[]) returns table (reference text, field text, word text)
language plpgsql stable set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return query
    select i.reference, w.key, w.value
    from unnest(orders, refs) as i(id, reference)
    cross join lateral (select * from erp.orders o where o.order_id = i.id offset 0) o
    cross join lateral jsonb_each_text(jsonb_build_object('total', {{.Schema}}.money(o.total), 'currency', o.currency, 'kind', o.kind, 'email', o.email, 'phone', o.phone,
        'language', o.language, 'note', o.note, 'tax_code', o.tax_code, 'vat_number', o.vat_number, 'pec', o.pec, 'sdi', o.sdi, 'invoice_wanted', o.invoice_wanted,
        'shipping_code', o.shipping_code, 'shipping_method', o.shipping_method, 'customer_currency', o.customer_currency,
        'customer_factor', trim_scale(o.customer_factor), 'customer_total', trim_scale(o.customer_total))) as w
    union all
    select i.reference, a.which || ' ' || w.key, w.value
    from unnest(orders, refs) as i(id, reference)
    cross join lateral (select * from erp.orders o where o.order_id = i.id offset 0) o
    cross join lateral (values ('billing', o.billing), ('shipping', o.shipping)) as a(which, address)
    cross join lateral jsonb_each_text(to_jsonb(a.address)) as w
    union all
    select i.reference, format('line %s %s', l.position, w.key), w.value
    from unnest(orders, refs) as i(id, reference)
    cross join lateral (select * from erp.order_lines l where l.order_id = i.id offset 0) l
    cross join lateral jsonb_each_text(jsonb_build_object('article', coalesce((select a.sku from erp.articles a where a.article_id = l.article_id), l.article_id::text),
        'name', l.name, 'options', l.options, 'quantity', l.quantity, 'unit_gross', trim_scale(l.unit_gross / 100), 'gross', {{.Schema}}.money(l.gross),
        'vat_rate', trim_scale(l.vat_rate), 'vat_country', l.vat_country, 'vat_nature', l.vat_nature)) as w
    union all
    select i.reference, format('charge %s %s', c.line, w.key), w.value
    from unnest(orders, refs) as i(id, reference)
    cross join lateral (select * from erp.order_charges c where c.order_id = i.id offset 0) c
    cross join lateral jsonb_each_text(jsonb_build_object('kind', c.kind, 'code', c.code, 'title', c.title, 'gross', {{.Schema}}.money(c.gross),
        'vat_rate', trim_scale(c.vat_rate), 'vat_country', c.vat_country, 'vat_nature', c.vat_nature)) as w
    union all
    select i.reference, format('VAT %s %% %s %s', trim_scale(v.vat_rate), concat_ws(' ', v.vat_country, nullif(v.vat_nature, '')), w.key), w.value
    from unnest(orders, refs) as i(id, reference)
    cross join lateral (select * from erp.order_vat_rates v where v.order_id = i.id offset 0) v
    cross join lateral jsonb_each_text(jsonb_build_object('gross', {{.Schema}}.money(v.gross), 'net', {{.Schema}}.money(v.net), 'vat', {{.Schema}}.money(v.vat))) as w
    union all
    select i.reference, format('payment %s %s', p.line, w.key), w.value
    from unnest(orders, refs) as i(id, reference)
    cross join lateral (select * from erp.order_payments p where p.order_id = i.id offset 0) p
    cross join lateral jsonb_each_text(jsonb_build_object('kind', p.kind, 'code', p.code, 'title', p.title, 'amount', {{.Schema}}.money(p.amount), 'transaction', p.transaction)) as w;
end $$;

-- All words of drafts with these references.
create function {{.Schema}}.draft_words(refs text[], orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[], vat erp.order_vat_in[], payments erp.order_payment_in[])
returns table (reference text, field text, word text)
language plpgsql stable set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return query
    select o.reference, w.key, w.value
    from unnest(orders) as o
    cross join lateral jsonb_each_text(jsonb_build_object('total', {{.Schema}}.money(o.total), 'currency', o.currency, 'kind', o.kind, 'email', coalesce(o.email, ''), 'phone', coalesce(o.phone, ''),
        'language', coalesce(o.language, ''), 'note', coalesce(o.note, ''), 'tax_code', coalesce(o.tax_code, ''), 'vat_number', coalesce(o.vat_number, ''), 'pec', coalesce(o.pec, ''),
        'sdi', coalesce(o.sdi, ''), 'invoice_wanted', coalesce(o.invoice_wanted, false), 'shipping_code', coalesce(o.shipping_code, ''), 'shipping_method', coalesce(o.shipping_method, ''),
        'customer_currency', o.customer_currency, 'customer_factor', trim_scale(o.customer_factor), 'customer_total', trim_scale(o.customer_total))) as w
    where o.reference = any (refs)
    union all
    select o.reference, a.which || ' ' || w.key, w.value
    from unnest(orders) as o
    cross join lateral (values ('billing', coalesce(o.billing, o.shipping)), ('shipping', o.shipping)) as a(which, address)
    cross join lateral jsonb_each_text(to_jsonb(a.address)) as w
    where o.reference = any (refs)
    union all
    select l.reference, format('line %s %s', l.line, w.key), w.value
    from unnest(lines) as l
    cross join lateral jsonb_each_text(jsonb_build_object('article', coalesce((select a.sku from erp.articles a where a.article_id = l.article), l.article::text),
        'name', coalesce(l.name, ''), 'options', coalesce(l.options, ''), 'quantity', l.quantity, 'unit_gross', trim_scale(l.unit_gross / 100), 'gross', {{.Schema}}.money(l.gross),
        'vat_rate', trim_scale(l.vat_rate), 'vat_country', l.vat_country, 'vat_nature', coalesce(l.vat_nature, ''))) as w
    where l.reference = any (refs)
    union all
    select c.reference, format('charge %s %s', c.line, w.key), w.value
    from unnest(charges) as c
    cross join lateral jsonb_each_text(jsonb_build_object('kind', c.kind, 'code', coalesce(c.code, ''), 'title', coalesce(c.title, ''), 'gross', {{.Schema}}.money(c.gross),
        'vat_rate', trim_scale(c.vat_rate), 'vat_country', c.vat_country, 'vat_nature', coalesce(c.vat_nature, ''))) as w
    where c.reference = any (refs)
    union all
    select v.reference, format('VAT %s %% %s %s', trim_scale(v.vat_rate), concat_ws(' ', v.vat_country, nullif(v.vat_nature, '')), w.key), w.value
    from unnest(vat) as v
    cross join lateral jsonb_each_text(jsonb_build_object('gross', {{.Schema}}.money(v.gross), 'net', {{.Schema}}.money(v.net), 'vat', {{.Schema}}.money(v.vat))) as w
    where v.reference = any (refs)
    union all
    select p.reference, format('payment %s %s', p.line, w.key), w.value
    from unnest(payments) as p
    cross join lateral jsonb_each_text(jsonb_build_object('kind', p.kind, 'code', coalesce(p.code, ''), 'title', coalesce(p.title, ''), 'amount', {{.Schema}}.money(p.amount), 'transaction', coalesce(p.transaction, ''))) as w
    where p.reference = any (refs);
end $$;

-- What differs, word by word, between the ERP's orders and their drafts; field by field in alphabetical order.
create function {{.Schema}}.differences(erp_orders bigint[], refs text[], orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[], vat erp.order_vat_in[],
    payments erp.order_payment_in[]) returns table (reference text, words jsonb)
language plpgsql stable set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = off as $$
begin
    return query
    select x.reference, jsonb_agg(jsonb_build_object('field', x.field, 'erp', x.has, 'derived', x.is_to_have) order by x.field)
    from (
        select coalesce(e.reference, d.reference) as reference, coalesce(e.field, d.field) as field, e.word as has, d.word as is_to_have
        from {{.Schema}}.erp_words(erp_orders, refs) e
        full join {{.Schema}}.draft_words(refs, orders, lines, charges, vat, payments) d on d.reference = e.reference and d.field = e.field
        where e.word is distinct from d.word
    ) x
    group by x.reference;
end $$;

-- What of consumption is not as it would be counted for these orders, with their incarnations, as words of each: fresh and changed are their
-- lines' use of the shop's stock, of orders that had none yet and of others, as consume takes them.
create function {{.Schema}}.count_words(fresh {{.Schema}}.use[], changed {{.Schema}}.use[], changed_orders bigint[], incarnations bigint[]) returns table (order_id bigint, words jsonb)
language plpgsql stable set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    before {{.Schema}}.use[] := array(select row(c.order_id, c.incarnation, c.line, c.stock_row, c.article, c.pieces, null)::{{.Schema}}.use
        from unnest(changed_orders, incarnations) as i(id, incarnation)
        cross join lateral (select * from spola.consumption c where c.shop = '{{.Shop}}' and c.order_id = i.id and c.incarnation = i.incarnation offset 0) c);
    after  {{.Schema}}.use[] := fresh || {{.Schema}}.recount(before, changed);
begin
    return query
    select x.id, jsonb_agg(jsonb_build_object('field', 'taken from the shop''s stock, ' || x.stock_row, 'erp', nullif(x.has, 0)::text, 'derived', nullif(x.is_to_have, 0)::text) order by x.stock_row)
    from (
        select u.id, u.stock_row, sum(u.has) as has, sum(u.is_to_have) as is_to_have
        from (
            select b.order_id as id, b.stock_row, b.pieces as has, 0 as is_to_have from unnest(before) as b
            union all
            select a.order_id, a.stock_row, 0, a.pieces from unnest(after) as a
        ) u
        where u.stock_row <> ''
        group by u.id, u.stock_row
        having sum(u.has) <> sum(u.is_to_have)
    ) x
    group by x.id;
end $$;

-- What of these orders is not as it is derived: see the type found.
create function {{.Schema}}.replay(ids bigint[]) returns setof {{.Schema}}.found
language plpgsql stable set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    moving  bigint[] := array(select d.order_id from spola.due d where d.shop = '{{.Shop}}' and d.order_id = any (ids) and d.settling);
    decided bigint[] := array(select l.order_id from spola.link l where l.shop = '{{.Shop}}' and l.order_id = any (ids) and (l.decision = 'keep_erp' or l.adopted));
    known   jsonb    := (select jsonb_object_agg(p.order_id, p.reason) from spola.parked p where p.shop = '{{.Shop}}' and p.order_id = any (ids));
    parks   boolean  := (select s.malformed = 'park' from spola.shop s where s.shop = '{{.Shop}}');
    tasks   {{.Schema}}.task[] := {{.Schema}}.tasks(ids, array(select u from unnest(ids) as u except select m from unnest(moving) as m));
    task    {{.Schema}}.task;
    whole   {{.Schema}}.task[] := '{}';  -- drafted as if they were new
    meant   text[]   := '{}';            -- of each its action
    targets bigint[] := '{}';            -- and the ERP's order
    refs    text[]   := '{}';            -- of those that are compared word by word
    ours    bigint[] := '{}';            -- the ERP's orders of these
    others  {{.Schema}}.task[] := '{}';  -- nothing for the ERP, but their use of the shop's stock counts
    moved   bigint[] := '{}';            -- known ones whose use of it counts
    lives   bigint[] := '{}';            -- their incarnations
    given   record;
    beside  record;
    fresh   {{.Schema}}.use[];
    changed {{.Schema}}.use[];
    draft   {{.Schema}}.draft;
    has     numeric[];
    is_to   numeric[];
    one     {{.Schema}}.found;
    all_of  {{.Schema}}.found[] := '{}';
    at      int := 0;
    nth     int := 0;
begin
    foreach task in array tasks loop
        one := row(task.order_id, null, null, '', task.erp_order, null, task.reference);
        -- As derive chooses them.
        if task.action not in ('wait', 'skip', 'half', 'reused') and task.order_id <> all (moving) then
            if task.action in ('placed', 'unknown', 'untaken', 'forget') or task.action not in ('take', 'edit', 'revive') and task.consuming and not task.consumed then
                others := array_append(others, task);
            end if;
            if task.status is not null and task.keeping or not task.consuming and task.consumed then
                moved := array_append(moved, task.order_id);
                lives := array_append(lives, task.incarnation);
            end if;
        end if;
        case
            when task.action = 'wait' or task.order_id = any (moving) then
                one.outcome := 'changing';
                all_of := array_append(all_of, one);
            when (task.problem).reason is not null then
                one.outcome := 'park'; one.reason := (task.problem).reason; one.what := (task.problem).what;
                all_of := array_append(all_of, one);
            when task.action in ('take', 'edit', 'revive') then
                meant := array_append(meant, task.action);
                targets := array_append(targets, task.erp_order);
                if task.action = 'edit' then
                    task.action := 'revive';
                end if;
                whole := array_append(whole, task);
            when task.action = 'cancel' then
                one.outcome := 'cancel';
                all_of := array_append(all_of, one);
            else
        end case;
    end loop;
    -- An order that is to be taken may stand in the ERP already, its link lost.
    targets := array(
        select coalesce(w.erp_order, (select o.order_id from erp.orders o where o.reference = w.reference))
        from unnest(targets, array(select t.reference from unnest(whole) as t)) with ordinality as w(erp_order, reference, n) order by w.n);
    given := {{.Schema}}.drafts(whole, parks);
    fresh := given.fresh; changed := given.changed;
    if cardinality(others) > 0 then
        beside := {{.Schema}}.drafts(others, parks);
        fresh := fresh || beside.fresh; changed := changed || beside.changed;
    end if;
    has := {{.Schema}}.erp_digests(targets);
    is_to := {{.Schema}}.draft_digests(given.orders, given.lines, given.charges, given.vat, given.payments);
    foreach draft in array given.drafts loop
        at := at + 1;
        task := whole[at];
        one := row(task.order_id, null, null, '', targets[at], null, task.reference);
        if (draft.problem).reason is not null then
            one.outcome := case when meant[at] = 'edit' and draft.content = task.content then 'unclear' else 'park' end;
            one.reason := (draft.problem).reason; one.what := (draft.problem).what;
        else
            nth := nth + 1;
            continue when meant[at] = 'edit' and has[at] = is_to[nth];
            case
                when meant[at] = 'take' then
                    one.outcome := case when targets[at] is null then 'import' else 'link' end;
                when has[at] is null then
                    one.outcome := case when draft.content = task.content then 'differs' else 'park' end;
                    one.reason := 'unknown'; one.what := 'The ERP has no such order any more.';
                when meant[at] = 'revive' then
                    one.outcome := 'revive';
                when draft.content <> task.content then
                    one.outcome := 'edit';
                else
                    one.outcome := case when task.order_id = any (decided) then 'decided' else 'differs' end;
            end case;
            if has[at] <> is_to[nth] then
                refs := array_append(refs, task.reference);
                ours := array_append(ours, targets[at]);
            end if;
        end if;
        all_of := array_append(all_of, one);
    end loop;

    return query
    with counted as materialized (select * from {{.Schema}}.count_words(fresh, changed, moved, lives))
    select f.order_id,
        case
            when f.outcome = 'cancel' and s.refuses = 'cancelled' then 'recount'
            when f.outcome in ('edit', 'cancel', 'revive') and s.refuses is not null then case when k.reason = s.refuses then 'parked' else 'park' end
            when f.outcome = 'park' and k.reason = f.reason then 'parked'
            when f.outcome = 'differs' and k.reason in ('edited', 'shipped', 'cancelled', 'unknown') then 'asked'
            else f.outcome
        end,
        case
            when f.outcome in ('edit', 'cancel', 'revive') then s.refuses
            when f.outcome = 'differs' then coalesce(f.reason, s.refuses, 'edited')
            else f.reason
        end,
        case
            when f.what <> '' or f.outcome not in ('edit', 'cancel', 'revive', 'differs') then f.what
            when s.refuses = 'shipped' then 'Its goods have left the ERP, at least in part.'
            when s.refuses = 'cancelled' then 'It was cancelled in the ERP.'
            else ''
        end,
        f.erp_order, coalesce(w.words, '[]') || coalesce(n.words, '[]'), f.reference
    from unnest(all_of) as f
    left join lateral (
        select case when o.state in ('shipped', 'part_shipped', 'closed_short') then 'shipped'
                when o.state = 'cancelled' and (o.cancelled_by = 'clerk' or f.outcome = 'cancel') then 'cancelled' end as refuses
        from erp.orders o where o.order_id = f.erp_order
    ) s on true
    left join lateral (select known ->> f.order_id::text as reason) k on true
    left join {{.Schema}}.differences(ours, refs, given.orders, given.lines, given.charges, given.vat, given.payments) w on w.reference = f.reference
    left join counted n on n.order_id = f.order_id
    where not (f.outcome = 'cancel' and s.refuses is not distinct from 'cancelled' and n.words is null)
    union all
    select n.order_id, 'recount', null, '', null, n.words, null from counted n where n.order_id <> all (array(select f.order_id from unnest(all_of) as f))
    union all
    select g.u, 'deleted', null, '', null, '[]', null
    from (select u from unnest(ids) as u except select t.order_id from unnest(tasks) as t) g
    where exists (select from spola.link l where l.shop = '{{.Shop}}' and l.order_id = g.u and not l.deleted offset 0)
    order by 1;
end $$;

-- Parks orders of which the ERP has something else than is derived, though the shop has not changed them: a person
-- says what counts. Their tick is one of long ago, so that they never count among those for which a stream stops.
create function {{.Schema}}.park_differing(ids bigint[], reasons text[], whats text[]) returns void
language plpgsql as $$
declare
    tasks {{.Schema}}.task[] := {{.Schema}}.tasks(ids, ids);
    given record;
begin
    tasks := array(
        select row(t.order_id, t.action, t.state, t.method, t.class, t.revision, t.fingerprint, t.consuming, t.incarnation, t.reference, t.status, t.erp_order,
            t.content, t.consumed, t.keeping, row(d.reason, d.what, null, null)::spola.problem)::{{.Schema}}.task
        from unnest(tasks) with ordinality as t(order_id, action, state, method, class, revision, fingerprint, consuming, incarnation, reference, status, erp_order,
            content, consumed, keeping, problem, n)
        join unnest(ids, reasons, whats) as d(order_id, reason, what) on d.order_id = t.order_id
        where t.action = 'edit'
        order by t.n);
    if cardinality(tasks) > 0 then
        given := {{.Schema}}.drafts(tasks, false);
        perform {{.Schema}}.park(tasks, given.drafts, '{}', -60, 0);
    end if;
end $$;
