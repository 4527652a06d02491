-- Deriving: from orders whose rows changed in the mirror to orders in the ERP. The same for all platforms;
-- installed into the canonical schema of a shop behind the platform's own file, so that each statement
-- names its tables and is planned once per connection.
--
--   tasks    what is to be done with each order: by its state, its link and whether it has settled
--   drafts   the order as the contract of the ERP takes it, or the problem that parks it
--   derive   all of a batch, in order: due, tasks, drafts, the ERP's functions, links, consumption, parked
--
-- Two kinds of statement, and no third, because a table that grows from nothing has no statistics:
-- those that read tables go by index from the ids (hash and merge joins off), those that put arrays
-- together hash (nested loops off). Both cost the same per order whatever the planner believes.

create type {{.Schema}}.task as (
    order_id    bigint,
    action      text,
    state       text,
    method      text,
    class       text,
    revision    bigint,
    fingerprint text,
    consuming   boolean,  -- in this state the shop has its pieces
    incarnation bigint,   -- of the link
    reference   text,
    status      text,     -- of the link; null: none yet
    erp_order   bigint,
    content     text,     -- of the link
    consumed    boolean,  -- of the link
    problem     spola.problem
);

create type {{.Schema}}.own as (
    order_id bigint, account text, customer_group text, customer erp.customer_in, "order" erp.order_in,
    method text, method_title text, transaction text, content text, problem spola.problem
);

create type {{.Schema}}.draft as (
    task     {{.Schema}}.task,
    customer erp.customer_in,
    "order"  erp.order_in,
    lines    erp.order_line_in[],
    charges  erp.order_charge_in[],
    vat      erp.order_vat_in[],
    payments erp.order_payment_in[],
    content  text,
    problem  spola.problem
);

create type {{.Schema}}.use as (order_id bigint, incarnation bigint, line text, stock_row text, article bigint, pieces bigint, quantity bigint);

-- Those of the changed orders that can mean anything: linked ones, and those that were complete once. Most
-- transactions of a checkout only prepare an order; they cost these two look-ups and nothing more.
create function {{.Schema}}.pick(changed bigint[]) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return array(
        select i.id from unnest(changed) as i(id)
        where {{.Schema}}.complete(i.id) or exists (select from spola.link l where l.shop = '{{.Shop}}' and l.order_id = i.id));
end $$;

-- What is to be done with the orders that are in the mirror.
--   skip     a cart, or cancelled before it was anything to us
--   wait     half-written, or a cancellation, or rows changed behind the last history row: settles first
--   half     half-written for good: its state has no row of the history, so it is nobody's order
--   reused   another order under a known id
--   placed   counts in consumption only: not to be taken over yet, or the shop is only observed (then what would
--            be taken, class taken, is parked like one that is)
--   take     import   · edit  bring changes · revive  take up again what the shop had cancelled
--   cancel   · close  complete before the cut of going live
--   unknown  no class for its state · untaken  final without ever having been taken
--   note     nothing but its state
--   forget   the shop has made its person unknown: the ERP keeps what it took
create function {{.Schema}}.tasks(ids bigint[], settled bigint[]) returns {{.Schema}}.task[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return array(
        select row(h.order_id, a.action, h.state, h.method, k.class, h.revision, h.fingerprint, h.state = any (s.consuming),
            coalesce(l.incarnation, sh.incarnation),
            coalesce(l.reference, '{{.Shop}}:' || case when sh.incarnation > 1 then sh.incarnation || ':' else '' end || h.order_id),
            l.status, l.erp_order, coalesce(l.content, ''), coalesce(l.consuming, false),
            case a.action
                when 'reused' then row('id_used_again', format('It was %s, it is %s.', l.fingerprint, h.fingerprint), null, null)::spola.problem
                when 'unknown' then row('unknown_state', format('State %s (%s), payment method "%s".', h.state,
                    (select t.name from spola.shop_state t where t.shop = '{{.Shop}}' and t.state = h.state), h.method), 'state', h.state || '|' || h.method)::spola.problem
                when 'untaken' then row('never_taken', format('State %s.', h.state), null, null)::spola.problem
            end)::{{.Schema}}.task
        from {{.Schema}}.heads(ids) h
        join spola.shop sh on sh.shop = '{{.Shop}}'
        join spola.shop_settings s on s.shop = '{{.Shop}}'
        left join lateral (
            select * from spola.link x
            where x.shop = '{{.Shop}}' and x.order_id = h.order_id and (x.incarnation = sh.incarnation or {{.Schema}}.same_but_email(x.fingerprint, h.fingerprint))
            order by x.fingerprint = h.fingerprint desc, x.incarnation desc
            limit 1
        ) l on true
        -- A class that was decided holds as long as the order's state does.
        cross join lateral (
            select case when l.class is not null and l.state = h.state and l.method = h.method then l.class
                else coalesce(
                    (select x.class from spola.state_class x where x.shop = '{{.Shop}}' and x.state = h.state and x.method = h.method),
                    (select x.class from spola.state_class x where x.shop = '{{.Shop}}' and x.state = h.state and x.method = split_part(h.method, '.', 1)),
                    (select x.class from spola.state_class x where x.shop = '{{.Shop}}' and x.state = h.state and x.method = '*'))
                end as class,
                h.order_id = any (settled) as settled
            offset 0
        ) k
        cross join lateral (
            select case
                -- In the middle of an edit an order may look like another one: only a finished one is judged.
                when l.fingerprint <> h.fingerprint and not {{.Schema}}.same_but_email(l.fingerprint, h.fingerprint) then
                    case when not k.settled and (not h.stated or k.class = 'cancelled') then 'wait' else 'reused' end
                when k.class = 'ignored' then case when l.status is null then 'skip' else 'note' end
                when not h.stated then case when k.settled then 'half' else 'wait' end
                when k.class is null then 'unknown'
                when l.status = 'closed' then 'note'
                when l.fingerprint <> h.fingerprint and l.erp_order is not null and h.revision <= l.revision then case when k.settled then 'forget' else 'wait' end
                when k.class = 'cancelled' then case
                    when l.status is null then 'skip'
                    when not k.settled and not (l.class = 'cancelled' and l.state = h.state and l.status in ('seen', 'cancelled')) then 'wait'
                    when l.decision = 'keep_erp' and l.class = 'cancelled' and l.state = h.state then 'note'
                    when l.erp_order is not null and l.status <> 'cancelled' then 'cancel'
                    else 'note' end
                -- Rows that change behind the last history row are an edit or a deletion on its way.
                when k.class = 'placed' or sh.mode = 'observe' then
                    case when l.status is not null and h.revision <= l.revision and not k.settled then 'wait' else 'placed' end
                when l.erp_order is null then case
                    when l.decision = 'import' then 'take'
                    when h.begun < sh.cut then 'close'
                    when k.class = 'final' and coalesce(l.class, '') <> 'taken' then 'untaken'
                    else 'take' end
                when l.status = 'cancelled' then 'revive'
                when h.revision > l.revision or k.settled then 'edit'
                else 'wait'
            end as action
            offset 0
        ) a);
end $$;

-- Everything of these orders that their money is made of.
create function {{.Schema}}.all_parts(ids bigint[], joint numeric) returns spola.part[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return array(select p from {{.Schema}}.parts(ids, joint) p);
end $$;

create function {{.Schema}}.all_own(ids bigint[]) returns {{.Schema}}.own[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return array(select row(o.*)::{{.Schema}}.own from {{.Schema}}.orders(ids) o);
end $$;

-- The orders as the ERP takes them. What is wrong with one stands on its draft.
create function {{.Schema}}.drafts(tasks {{.Schema}}.task[], own {{.Schema}}.own[], money spola.money[]) returns {{.Schema}}.draft[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return array(
        select row(t,
            row(c.reference, (o.customer).kind, (o.customer).first_name, (o.customer).last_name, (o.customer).company, (o.customer).email,
                (o.customer).phone, (o.customer).language, (o.customer).tax_code, (o.customer).vat_number, (o.customer).pec, (o.customer).sdi,
                (o.customer).address)::erp.customer_in,
            o."order",
            array(select row(t.reference, row_number() over (order by (p.part).seq), (p.part).article, spola.html((p.part).title), (p.part).options, (p.part).quantity,
                    round((p.part).net * (100 + (p.part).rate) / (p.part).quantity, 4), p.gross, round((p.part).rate, 3), (p.part).country,
                    case when (p.part).rate = 0 then z.nature end)::erp.order_line_in
                from unnest(m.parts) as p where (p.part).kind = 'line'),
            array(select row(t.reference, row_number() over (order by (p.part).seq, (p.part).rate), (p.part).kind, (p.part).code, spola.html((p.part).title), p.gross,
                    round((p.part).rate, 3), (p.part).country, case when (p.part).rate = 0 then z.nature end)::erp.order_charge_in
                from unnest(m.parts) as p where (p.part).kind <> 'line'),
            array(select row(t.reference, round(v.rate, 3), v.country, case when v.rate = 0 then z.nature end, v.gross, v.net, v.vat)::erp.order_vat_in
                from unnest(m.vat) as v),
            array(select row(t.reference, row_number() over (order by p.n), p.kind, p.code, p.title, p.amount, p.transaction)::erp.order_payment_in
                from (
                    select 0 as n, b.kind, o.method as code, o.method_title as title, m.total - b.credit as amount, o.transaction
                    union all
                    select x.n, 'credit', (x.part).code, spola.html((x.part).title), x.gross, '' from unnest(m.credits) with ordinality as x(part, gross, n)
                ) p where p.amount <> 0),
            md5(o.content || (
                select string_agg(concat_ws('|', (p.part).kind, (p.part).code, (p.part).title, (p.part).net, (p.part).quantity, (p.part).product, (p.part).variant, (p.part).options), e'\n'
                    order by (p.part).kind, (p.part).product, (p.part).variant, (p.part).options, (p.part).code, (p.part).net)
                from unnest(m.parts) as p where (p.part).kind in ('line', 'charge'))),
            case
                when (t.problem).reason is not null then t.problem
                when (m.problem).reason is not null then m.problem
                when (o.problem).reason is not null then o.problem
                when z.wanted is not null and z.nature is null then row('unknown_nature',
                    format('0 %% to %s for a customer of kind %s.', z.wanted, (o.customer).kind), 'nature', z.wanted || '|' || (o.customer).kind)::spola.problem
            end)::{{.Schema}}.draft
        from unnest(tasks) as t
        join unnest(own) as o on o.order_id = t.order_id
        join unnest(money) as m on m.order_id = t.order_id
        cross join lateral (
            select '{{.Shop}}:' || coalesce('account:' || o.account, 'guest:' || coalesce(nullif((o.customer).email, ''), 'order ' || t.order_id)) as reference
        ) c
        cross join lateral (
            select coalesce((
                    select x.kind from spola.payment_method x
                    where x.shop = '{{.Shop}}' and x.method in (o.method, split_part(o.method, '.', 1), '*')
                    order by x.method = o.method desc, x.method = '*' limit 1), 'paid') as kind,
                coalesce((select sum(x.gross) from unnest(m.credits) as x), 0)::bigint as credit
        ) b
        cross join lateral (
            select w.country as wanted, case when w.country is not null then spola.nature_of('{{.Shop}}', w.country, (o.customer).kind) end as nature
            from (select (select v.country from unnest(m.vat) as v where v.rate = 0) as country) w
        ) z);
end $$;

-- Gives drafts to the ERP: customers, then new orders and edits.
create function {{.Schema}}.hand_over(drafts {{.Schema}}.draft[]) returns erp.result[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    customers erp.result[];
    refused   erp.result[];
    results   erp.result[] := '{}';
    chosen    {{.Schema}}.draft[];
    orders    erp.order_in[];
    fresh     boolean;
begin
    if coalesce(cardinality(drafts), 0) = 0 then
        return results;
    end if;
    customers := {{.Schema}}.bring_customers(drafts);
    refused := array(select row((d.task).reference, null, false, false, 'customer_' || c.reason, c.detail)::erp.result
        from unnest(drafts) as d join unnest(customers) as c on c.reference = (d.customer).reference where not c.ok);

    foreach fresh in array array[true, false] loop
        chosen := array(select d from unnest(drafts) as d where ((d.task).action = 'take') = fresh);
        continue when cardinality(chosen) = 0;
        orders := array(
            select row((d.task).reference, o.shop, o.shop_number, o.placed_at, c.id, o.kind, o.email, o.phone, o.language, o.note, o.tax_code, o.vat_number,
                o.pec, o.sdi, o.invoice_wanted, o.billing, o.shipping, o.shipping_code, o.shipping_method, o.currency,
                (select sum(l.gross) from unnest(d.lines) as l) + coalesce((select sum(x.gross) from unnest(d.charges) as x), 0),
                o.customer_currency, o.customer_factor, o.customer_total)::erp.order_in
            from unnest(chosen) as d
            join unnest(customers) as c on c.reference = (d.customer).reference and c.ok
            cross join lateral (select (d."order").*) o
            order by (d.task).order_id);
        if cardinality(refused) > 0 then
            chosen := array(select d from unnest(chosen) as d left join unnest(refused) as f on f.reference = (d.task).reference where f.reference is null);
        end if;
        if fresh then
            results := results || array(select r from erp.import_orders(orders,
                array(select l from unnest(chosen) as d, unnest(d.lines) as l), array(select l from unnest(chosen) as d, unnest(d.charges) as l),
                array(select l from unnest(chosen) as d, unnest(d.vat) as l), array(select l from unnest(chosen) as d, unnest(d.payments) as l)) r);
        else
            results := results || array(select r from erp.apply_edits(orders,
                array(select l from unnest(chosen) as d, unnest(d.lines) as l), array(select l from unnest(chosen) as d, unnest(d.charges) as l),
                array(select l from unnest(chosen) as d, unnest(d.vat) as l), array(select l from unnest(chosen) as d, unnest(d.payments) as l)) r);
        end if;
    end loop;
    return results || refused;
end $$;

-- Which rows of the shop's stock the lines of these orders use. The article stands on the row of the
-- option that keeps stock, else on the product's own; a row that only sums up has none.
create function {{.Schema}}.uses(tasks {{.Schema}}.task[], parts spola.part[]) returns {{.Schema}}.use[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return array(
        select row(t.order_id, t.incarnation, p.product || ':' || p.variant, r.stock_row,
            max(case when r.n = case when p.rows[cardinality(p.rows)] like 'option:%' then cardinality(p.rows) else 1 end then p.article end),
            sum(case when r.stock_row = '' then 0 else p.quantity end), sum(p.quantity))::{{.Schema}}.use
        from unnest(tasks) as t
        join unnest(parts) as p on p.order_id = t.order_id
        cross join lateral unnest(case when cardinality(p.rows) = 0 then array[''] else p.rows end) with ordinality as r(stock_row, n)
        where p.kind = 'line' and p.quantity > 0
        group by t.order_id, t.incarnation, p.product || ':' || p.variant, r.stock_row);
end $$;

-- Keeps consumption: of orders that had none yet (fresh), and of those whose lines or state changed. A
-- line that was known keeps its rows, and once the ERP has it its article. Returns the articles concerned.
create function {{.Schema}}.consume(fresh {{.Schema}}.use[], changed {{.Schema}}.use[], changed_orders bigint[]) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    articles bigint[];
    before   {{.Schema}}.use[] := '{}';
    after    {{.Schema}}.use[];
begin
    insert into spola.consumption (shop, order_id, incarnation, line, stock_row, article, pieces)
    select '{{.Shop}}', u.order_id, u.incarnation, u.line, u.stock_row, u.article, u.pieces from unnest(fresh) as u;
    after := fresh;

    if cardinality(changed_orders) > 0 then
        before := array(select row(c.order_id, c.incarnation, c.line, c.stock_row, c.article, c.pieces, null)::{{.Schema}}.use
            from unnest(changed_orders) as i(id) join spola.consumption c on c.shop = '{{.Shop}}' and c.order_id = i.id);

        -- Lines that are there no more, and all lines of orders that gave their pieces back, keep their rows with no pieces.
        update spola.consumption c set pieces = 0
        from unnest(changed_orders) as i(id)
        where c.shop = '{{.Shop}}' and c.order_id = i.id and c.pieces <> 0;

        update spola.consumption c
        set pieces = u.quantity
        from (select order_id, incarnation, line, max(quantity) as quantity from unnest(changed) group by order_id, incarnation, line) u
        where c.shop = '{{.Shop}}' and c.order_id = u.order_id and c.incarnation = u.incarnation and c.line = u.line and c.stock_row <> '';

        update spola.consumption c set article = u.article
        from unnest(changed) as u
        where c.shop = '{{.Shop}}' and c.order_id = u.order_id and c.incarnation = u.incarnation and c.line = u.line and c.stock_row = u.stock_row
            and c.article is distinct from u.article and u.article is not null;

        insert into spola.consumption (shop, order_id, incarnation, line, stock_row, article, pieces)
        select '{{.Shop}}', u.order_id, u.incarnation, u.line, u.stock_row, u.article, u.pieces
        from unnest(changed) as u
        where not exists (select from spola.consumption c
            where c.shop = '{{.Shop}}' and c.order_id = u.order_id and c.incarnation = u.incarnation and c.line = u.line);

        after := after || array(select row(c.order_id, c.incarnation, c.line, c.stock_row, c.article, c.pieces, null)::{{.Schema}}.use
            from unnest(changed_orders) as i(id) join spola.consumption c on c.shop = '{{.Shop}}' and c.order_id = i.id);
    end if;

    insert into spola.stock_total as t (shop, stock_row, k)
    select '{{.Shop}}', d.stock_row, sum(d.pieces)
    from (select stock_row, pieces from unnest(after) union all select stock_row, -pieces from unnest(before)) d
    where d.stock_row <> ''
    group by d.stock_row
    having sum(d.pieces) <> 0
    order by d.stock_row
    on conflict (shop, stock_row) do update set k = t.k + excluded.k;

    select array_agg(distinct article) into articles
    from (select article from unnest(after) union all select article from unnest(before)) x where article is not null;
    return coalesce(articles, '{}');
end $$;

-- What becomes of orders that are gone from the shop. One that the ERP has stays there with its
-- consumption: the shop did not give its pieces back. One that it has not is forgotten; what the shop
-- leaked with it is drift.
create function {{.Schema}}.forget(gone bigint[]) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    lost bigint[];
begin
    update spola.link l set deleted = true from unnest(gone) as i(id) where l.shop = '{{.Shop}}' and l.order_id = i.id;
    delete from spola.parked p using unnest(gone) as i(id) where p.shop = '{{.Shop}}' and p.order_id = i.id;
    with free as (
        update spola.link l set consuming = false, status = 'seen', state = '', class = 'ignored'
        from unnest(gone) as i(id)
        where l.shop = '{{.Shop}}' and l.order_id = i.id and l.erp_order is null and l.status <> 'closed'
        returning l.order_id
    )
    select array_agg(f.order_id) into lost from free f;
    return case when lost is null then '{}' else {{.Schema}}.consume('{}', '{}', lost) end;
end $$;

-- Parks what has a problem or was refused by the ERP, and lets go what has none any more. An edit that changes
-- nothing of what the ERP took is no problem, whatever is wrong with the order. Returns how many.
create function {{.Schema}}.park(tasks {{.Schema}}.task[], drafts {{.Schema}}.draft[], results erp.result[], clock bigint) returns int
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    bad   bigint[];
begin
    with trouble as (
        select t.order_id, coalesce((d.problem).reason, (t.problem).reason, r.reason) as reason,
            coalesce((d.problem).what, (t.problem).what, r.detail, '') as what,
            coalesce((d.problem).waits_for, (t.problem).waits_for) as waits_for,
            coalesce((d.problem).waits_key, (t.problem).waits_key) as waits_key,
            jsonb_build_object('action', t.action, 'state', t.state, 'order', d."order", 'customer', d.customer, 'lines', d.lines, 'charges', d.charges, 'vat', d.vat) as payload
        from unnest(tasks) as t
        left join unnest(drafts) as d on (d.task).order_id = t.order_id
        left join unnest(results) as r on r.reference = t.reference and not r.ok
        where (t.action in ('take', 'edit', 'revive', 'cancel', 'unknown', 'untaken', 'reused') or t.action = 'placed' and t.class = 'taken')
            and ((d.problem).reason is not null and t.action <> 'cancel' and not (t.action = 'edit' and d.content is not distinct from t.content) or (t.problem).reason is not null or r.reference is not null)
    ), kept as (
        insert into spola.parked as p (shop, order_id, reason, what, waits_for, waits_key, payload, tick)
        select '{{.Shop}}', x.order_id, x.reason, x.what, x.waits_for, x.waits_key, x.payload, clock from trouble x
        on conflict (shop, order_id) do update
        set reason = excluded.reason, what = excluded.what, waits_for = excluded.waits_for, waits_key = excluded.waits_key,
            payload = excluded.payload, attempts = p.attempts + 1, last_at = clock_timestamp(),
            tick = case when p.reason = excluded.reason then p.tick else excluded.tick end
        returning p.order_id
    )
    select array_agg(k.order_id) into bad from kept k;
    if exists (select from spola.parked p where p.shop = '{{.Shop}}') then
        delete from spola.parked p
        where p.shop = '{{.Shop}}'
            and p.order_id = any (array(select t.order_id from unnest(tasks) as t where t.action not in ('wait', 'half') except select b from unnest(bad) as b));
    end if;
    return coalesce(cardinality(bad), 0);
end $$;

-- Asks for parked orders again whose article or class appeared since.
create function {{.Schema}}.awake(clock bigint) returns int
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    n int;
begin
    insert into spola.due (shop, order_id, tick, settling)
    select p.shop, p.order_id, clock, false
    from spola.parked p
    where p.shop = '{{.Shop}}' and (
        p.waits_for = 'article' and (
            exists (select from spola.article a join erp.articles e on e.article_id = a.article
                where a.shop = p.shop and a.product = split_part(p.waits_key, ':', 1)
                    and a.variant in (split_part(p.waits_key, ':', 2), {{.Schema}}.stocked(split_part(p.waits_key, ':', 2))))
            or {{.Schema}}.stocked(split_part(p.waits_key, ':', 2)) = ''
                and exists (select from erp.articles e where e.sku = nullif(substring(p.waits_key from '^[^:]*:[^:]*:(.*)$'), '')))
        or p.waits_for = 'state' and exists (select from spola.state_class c
            where c.shop = p.shop and c.state = split_part(p.waits_key, '|', 1)
                and c.method in (split_part(p.waits_key, '|', 2), split_part(split_part(p.waits_key, '|', 2), '.', 1), '*'))
        or p.waits_for = 'total' and exists (select from spola.total_code c where c.shop = p.shop and c.code = p.waits_key)
        or p.waits_for = 'nature' and spola.nature_of(p.shop, split_part(p.waits_key, '|', 1), split_part(p.waits_key, '|', 2)) is not null)
    on conflict do nothing;
    get diagnostics n = row_count;
    return n;
end $$;

-- Derives the orders that changed and those that are due, at most `most` of these.
--   more      orders are still due: call again
--   articles  whose stock or commitments this changed, in order
--   overrun   a reason for which too many orders were parked within a minute of the source's clock
create function {{.Schema}}.derive(changed bigint[], clock bigint, most int,
    out more boolean, out articles bigint[], out taken int, out parked int, out overrun text)
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    ids     bigint[];
    ready   bigint[];
    gone    bigint[];
    work    bigint[];
    undecided bigint[];
    tasks   {{.Schema}}.task[];
    parts   spola.part[];
    money   spola.money[];
    again   spola.money[];
    drafts  {{.Schema}}.draft[] := '{}';
    results erp.result[];
    uses    {{.Schema}}.use[];
    kept    bigint[];
    back    bigint[];
    try     numeric;
begin
    more := false; taken := 0; parked := 0; articles := '{}';
    ids := case when cardinality(changed) > 0 then {{.Schema}}.pick(changed) else changed end;
    if cardinality(ids) = 0 and not exists (select from spola.due d where d.shop = '{{.Shop}}' and d.tick <= clock) then
        return;
    end if;
    perform from spola.shop s where s.shop = '{{.Shop}}' for update;
    ready := array(select d.order_id from spola.due d where d.shop = '{{.Shop}}' and d.tick <= clock order by d.tick, d.order_id limit most);
    more := cardinality(ready) = most;
    if exists (select from spola.due d where d.shop = '{{.Shop}}') then
        delete from spola.due d where d.shop = '{{.Shop}}' and d.order_id = any (ids || ready);
    end if;
    if cardinality(ready) > 0 then
        ready := array(select r from unnest(ready) as r except select c from unnest(ids) as c);
    end if;

    tasks := {{.Schema}}.tasks(ids || ready, ready);
    if cardinality(tasks) < cardinality(ids || ready) then
        gone := array(select i from unnest(ids || ready) as i except select t.order_id from unnest(tasks) as t);
        articles := {{.Schema}}.forget(gone);
    end if;

    insert into spola.due (shop, order_id, tick, settling)
    select '{{.Shop}}', t.order_id, clock + {{.Settle}}, true from unnest(tasks) as t where t.action = 'wait';

    -- Contents are read for what can come into the ERP or into consumption.
    work := array(select t.order_id from unnest(tasks) as t
        where t.action in ('placed', 'take', 'edit', 'revive', 'unknown', 'untaken', 'forget')
            or t.action in ('close', 'note', 'cancel') and t.consuming and not t.consumed);
    if cardinality(work) > 0 then
        parts := {{.Schema}}.all_parts(work, null);
        money := array(select m from spola.to_cents(parts) m);
        undecided := array(select m.order_id from unnest(money) as m where m.vat_open);
        if cardinality(undecided) > 0 then
            -- A charge whose tax class does not fit: the rate that leaves nothing of the VAT rows over.
            for try in select distinct p.rate from unnest(parts) as p join unnest(undecided) as u on u = p.order_id where p.rate is not null order by p.rate desc loop
                again := array(select m from spola.to_cents({{.Schema}}.all_parts(undecided, try)) m where (m.problem).reason is null);
                continue when cardinality(again) = 0;
                money := array(select m from unnest(money) as m left join unnest(again) as a on a.order_id = m.order_id where a.order_id is null) || again;
                undecided := array(select u from unnest(undecided) as u except select a.order_id from unnest(again) as a);
                exit when cardinality(undecided) = 0;
            end loop;
        end if;
        drafts := {{.Schema}}.check_customers({{.Schema}}.drafts(tasks, {{.Schema}}.all_own(work), money));
        results := {{.Schema}}.hand_over(array(select d from unnest(drafts) as d
            where (d.problem).reason is null and ((d.task).action in ('take', 'revive') or (d.task).action = 'edit' and d.content <> (d.task).content)));
        insert into spola.article (shop, product, variant, article, by)
        select distinct '{{.Shop}}', p.product, '', p.article, 'sku' from unnest(parts) as p where p.by_sku and p.article is not null
            and not exists (select from spola.article a where a.shop = '{{.Shop}}' and a.product = p.product)
        on conflict do nothing;
        if exists (select from unnest(results) as r where r.reason = 'article') then
            drafts := {{.Schema}}.name_lost_articles(drafts, results, parts);
        end if;
    end if;
    if exists (select from unnest(tasks) as t where t.action = 'cancel') then
        results := results || array(select r from erp.cancel_orders(array(
            select row(t.reference, 'cancelled in the shop, state ' || t.state)::erp.order_cancel_in from unnest(tasks) as t where t.action = 'cancel')) r);
    end if;

    -- K: of orders that have their pieces from the shop now, and of those that gave them back.
    kept := array(select t.order_id from unnest(tasks) as t where t.action not in ('wait', 'half', 'skip', 'reused') and t.consuming
        and (t.status is null or not t.consumed or t.action in ('edit', 'revive', 'take', 'unknown', 'untaken', 'placed')));
    back := array(select t.order_id from unnest(tasks) as t where t.action not in ('wait', 'half', 'skip', 'reused') and not t.consuming and t.consumed);
    if cardinality(kept) > 0 or cardinality(back) > 0 then
        uses := {{.Schema}}.uses(array(select t from unnest(tasks) as t join unnest(kept) as k on k = t.order_id), parts);
        articles := articles || {{.Schema}}.consume(
            array(select u from unnest(uses) as u join unnest(tasks) as t on t.order_id = u.order_id where t.status is null),
            array(select u from unnest(uses) as u join unnest(tasks) as t on t.order_id = u.order_id where t.status is not null),
            array(select t.order_id from unnest(tasks) as t join unnest(kept) as k on k = t.order_id where t.status is not null) || back);
    end if;

    -- Links. A change that was refused leaves revision and content, so that it is tried again.
    insert into spola.link as l (shop, order_id, incarnation, reference, fingerprint, status, erp_order, state, method, class, revision, content, consuming)
    select '{{.Shop}}', t.order_id, t.incarnation, t.reference, t.fingerprint,
        case
            when t.action = 'close' then 'closed'
            when t.action = 'cancel' and r.ok then 'cancelled'
            when t.action in ('take', 'edit', 'revive') and r.ok then 'imported'
            when t.action in ('placed', 'note') then coalesce(nullif(t.status, 'parked'), 'seen')
            when t.erp_order is not null then t.status
            else 'parked'
        end,
        case when r.ok then r.id else t.erp_order end,
        t.state, t.method, t.class, t.revision, case when r.ok or t.erp_order is null or t.action = 'forget' then coalesce(d.content, t.content) else t.content end, t.consuming
    from unnest(tasks) as t
    left join unnest(drafts) as d on (d.task).order_id = t.order_id
    left join unnest(results) as r on r.reference = t.reference
    where t.action not in ('wait', 'half', 'skip', 'reused')
    on conflict (shop, order_id, incarnation) do update
    set status = excluded.status, erp_order = excluded.erp_order, state = excluded.state, method = excluded.method, class = excluded.class,
        revision = excluded.revision, fingerprint = case when excluded.content <> l.content then excluded.fingerprint else l.fingerprint end, content = excluded.content, consuming = excluded.consuming, deleted = false, derived_at = now(),
        decision = case when l.decision = 'keep_erp' and excluded.content <> l.content then null else l.decision end,
        adopted = l.adopted and excluded.content = l.content;

    -- In a restored shop a number that is used again is another order's: the one before is gone.
    if exists (select from spola.shop s where s.shop = '{{.Shop}}' and s.incarnation > 1) then
        update spola.link l set deleted = true
        from unnest(tasks) as t
        where l.shop = '{{.Shop}}' and l.order_id = t.order_id and l.incarnation < t.incarnation and not l.deleted;
    end if;

    parked := {{.Schema}}.park(tasks, drafts, results, clock);
    select count(*) into taken from unnest(results) as r where r.ok and not r.existing;
    if parked > 0 then
        select p.reason into overrun
        from spola.parked p join spola.shop s on s.shop = p.shop
        where p.shop = '{{.Shop}}' and p.tick > clock - 60 and s.mode = 'live'
        group by p.reason, s.systemic having count(*) > s.systemic
        limit 1;
    end if;
end $$;
