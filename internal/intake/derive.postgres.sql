-- Deriving: from orders whose rows changed in the mirror to orders in the ERP. The same for all platforms;
-- installed into the canonical schema of a shop behind the platform's own file, so that each statement
-- names its tables and is planned once per connection.
--
--   tasks    what is to be done with each order: by its state, its link and whether it has settled
--   drafts   the order as the contract of the ERP takes it, or the problem that parks it
--   derive   all of a batch, in order: due, tasks, drafts, the ERP's functions, links, consumption, parked
--
-- Two kinds of statement, and no third, because a table that grows from nothing has no statistics:
-- those that read tables go by index from the ids (hash and merge joins off, nested loops on again: what all
-- ways have forbidden costs the planner nothing to choose between), those that put arrays
-- together hash (nested loops off). Both cost the same per order whatever the planner believes, and whoever calls: what a
-- caller has set holds inside a function that does not say otherwise, so each says all three.

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
    keeping     boolean,  -- what it has from the shop's stock is counted now
    problem     spola.problem
);

-- What was derived of an order: its content, and what is wrong with it.
create type {{.Schema}}.draft as (order_id bigint, content text, problem spola.problem, payload jsonb);

create type {{.Schema}}.use as (order_id bigint, incarnation bigint, line text, stock_row text, article bigint, pieces bigint, quantity bigint);

-- Those of the changed orders that can mean anything: linked ones, and those that were complete once. Most
-- transactions of a checkout only prepare an order; they cost these two look-ups and nothing more.
create function {{.Schema}}.pick(changed bigint[]) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    -- offset 0: each is looked up, whatever the planner thinks of reading them all.
    return array(
        select i.id from unnest(changed) as i(id)
        where exists (select from {{.Schema}}.completed c where c.order_id = i.id offset 0)
            or exists (select from spola.link l where l.shop = '{{.Shop}}' and l.order_id = i.id offset 0));
end $$;

-- What is to be done with the orders that are in the mirror.
--   skip     a cart, or cancelled before it was anything to us
--   wait     half-written, or a cancellation, or rows changed behind the last history row: settles first
--   half     half-written for good: its state has no row of the history, so it is nobody's order
--   reused   another order under a known id
--   placed   counts in consumption only: not to be taken over yet, or the shop is only observed (then what would
--            be taken, class taken, is parked like one that is)
--   take     import   · edit  bring changes · revive  take up again what the shop had cancelled
--   cancel   · close  done before the cut of going live · late  complete before it, and nobody has decided then what becomes of it
--   unknown  no class for its state · untaken  final without ever having been taken
--   note     nothing but its state
--   forget   the shop has made its person unknown: the ERP keeps what it took
create function {{.Schema}}.tasks(ids bigint[], settled bigint[]) returns {{.Schema}}.task[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off as $$
begin
    return array(
        select row(h.order_id, a.action, h.state, h.method, k.class, h.revision, h.fingerprint, h.state = any (s.consuming),
            coalesce(l.incarnation, sh.incarnation),
            coalesce(l.reference, '{{.Shop}}:' || case when sh.incarnation > 1 then sh.incarnation || ':' else '' end || h.order_id),
            l.status, l.erp_order, coalesce(l.content, ''), coalesce(l.consuming, false),
            h.state = any (s.consuming) and a.action not in ('wait', 'half', 'skip', 'reused')
                and (l.status is null or not l.consuming or a.action in ('edit', 'revive', 'take', 'unknown', 'untaken', 'late', 'placed')),
            case a.action
                when 'reused' then row('id_used_again', format('It was %s, it is %s.', l.fingerprint, h.fingerprint), null, null)::spola.problem
                when 'unknown' then row('unknown_state', format('State %s%s, payment method "%s".', h.state,
                    (select ' (' || t.name || ')' from spola.shop_state t where t.shop = '{{.Shop}}' and t.state = h.state), h.method), 'state', h.state || '|' || h.method)::spola.problem
                when 'untaken' then row('never_taken', format('State %s.', h.state), null, null)::spola.problem
                when 'late' then row('before_cut', format('It is of %s, the cut of %s.', to_char(h.begun at time zone s.timezone, 'YYYY-MM-DD HH24:MI:SS'),
                    to_char(sh.cut at time zone s.timezone, 'YYYY-MM-DD HH24:MI:SS')), null, null)::spola.problem
            end)::{{.Schema}}.task
        -- offset 0: what heads works out is not worked out again wherever it is named.
        from (select * from {{.Schema}}.heads(ids) offset 0) h
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
                end as class
            offset 0
        ) y
        cross join lateral (select y.class, cardinality(settled) > 0 and h.order_id = any (settled) as settled offset 0) k
        cross join lateral (
            select case
                -- In the middle of an edit an order may look like another one: only a finished one is judged.
                when l.fingerprint <> h.fingerprint and not {{.Schema}}.same_but_email(l.fingerprint, h.fingerprint) then
                    case when not k.settled and (not h.stated or k.class = 'cancelled') then 'wait' else 'reused' end
                when k.class = 'ignored' then case when l.status is null then 'skip' else 'note' end
                when not h.stated then case when k.settled then 'half' else 'wait' end
                when k.class is null then 'unknown'
                when l.status = 'closed' then 'note'
                -- Not of one whose parked edit has this e-mail: that edit is to be tried again.
                when l.fingerprint <> h.fingerprint and l.erp_order is not null and h.revision <= l.revision
                    and not exists (select from spola.parked p where p.shop = '{{.Shop}}' and p.order_id = h.order_id and p.reason <> 'edited'
                        and position('|' || lower(p.payload -> 'order' ->> 'email') || '|' in h.fingerprint) > 0 offset 0)
                    then case when k.settled then 'forget' else 'wait' end
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
                    when h.begun < sh.cut then case when k.class = 'final' and coalesce(l.class, '') <> 'taken' then 'close' else 'late' end
                    when k.class = 'final' and coalesce(l.class, '') <> 'taken' then 'untaken'
                    else 'take' end
                when l.status = 'cancelled' then 'revive'
                when h.revision > l.revision or k.settled then 'edit'
                else 'wait'
            end as action
            offset 0
        ) a);
end $$;

-- What can't be right of an order's tax data. A function of its own, because most orders have none.
create function {{.Schema}}.flaws(order_id bigint, o erp.order_in) returns spola.flag[]
language plpgsql stable as $$
begin
    return array(
        select row('{{.Shop}}', 'order ' || order_id, f.field, f.value, f.what, now())::spola.flag
        from spola.tax_flaws(o.kind, (coalesce(o.billing, o.shipping)).country, o.tax_code, o.vat_number, o.sdi, o.pec) f
        order by f.field);
end $$;

-- The orders as the contract of the ERP takes them: orders and the rows that belong to them, in the order of
-- tasks. An order with a problem is in none of these, but on its draft.
--   parks           what can't be right of what a customer typed for his invoice parks the order
--   refs            of each order its customer's reference
--   accounts        those of customers that have one
--   fresh, changed  which rows of the shop's stock the lines use, of orders that had no link yet and of others
--   products        articles that were found by SKU, to be kept for their products
--   flags           what can't be right of what customers typed
--   troubled        how many have a problem
--
-- One statement reads; the rest is arithmetic in variables, order by order.
create function {{.Schema}}.drafts(tasks {{.Schema}}.task[], parks boolean, out drafts {{.Schema}}.draft[], out refs text[], out customers erp.customer_in[], out accounts bigint[],
    out orders erp.order_in[], out lines erp.order_line_in[], out charges erp.order_charge_in[], out vat erp.order_vat_in[], out payments erp.order_payment_in[],
    out fresh {{.Schema}}.use[], out changed {{.Schema}}.use[], out products text[], out articles bigint[], out flags spola.flag[], out troubled int)
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    t       {{.Schema}}.task;
    o       record;
    parts   spola.part[];
    p       spola.part;
    m       spola.money;
    gross   bigint[];
    rates   numeric[];
    v       spola.vat;
    c       erp.customer_in;
    w       erp.order_in;
    problem spola.problem;
    payload jsonb;
    digest  bigint;
    content text;
    nature  text;
    country text;
    credit  bigint;
    wanted  boolean;
    line    int;
    charge  int;
    payment int;
    from_line int; from_charge int; from_vat int; from_payment int;
    stock   int;
    used    {{.Schema}}.use;
    i       int;
    at      int := 0;
    ids     bigint[] := array(select u.order_id from unnest(tasks) as u);
begin
    drafts := '{}'; refs := '{}'; customers := '{}'; accounts := '{}'; orders := '{}'; lines := '{}'; charges := '{}'; vat := '{}'; payments := '{}';
    fresh := '{}'; changed := '{}'; products := '{}'; articles := '{}'; flags := '{}'; troubled := 0;
    for o in
        select d.*, coalesce(
                (select x.kind from spola.payment_method x where x.shop = '{{.Shop}}' and x.method = d.method),
                (select x.kind from spola.payment_method x where x.shop = '{{.Shop}}' and x.method = split_part(d.method, '.', 1)),
                (select x.kind from spola.payment_method x where x.shop = '{{.Shop}}' and x.method = '*'), 'paid') as payment_kind,
            case when (d."order").tax_code <> '' or (d."order").vat_number <> '' or (d."order").sdi <> '' or (d."order").pec <> '' then
                {{.Schema}}.flaws(d.order_id, d."order") end as flaws
        from {{.Schema}}.orders(ids) d
    loop
        at := at + 1;
        t := tasks[at];
        if t.order_id <> o.order_id then
            raise exception 'order % is read where order % was asked for', o.order_id, t.order_id;
        end if;
        parts := o.parts;
        m := spola.to_cents_plain(parts, o.total);
        if m.gross is null then
            m := spola.to_cents(parts, o.total);
        end if;
        gross := m.gross;
        c := o.customer;
        c.reference := '{{.Shop}}:' || coalesce('account:' || o.account, 'guest:' || coalesce(nullif(c.email, ''), 'order ' || o.order_id));

        i := 0; credit := 0; digest := 0;
        foreach p in array parts loop
            i := i + 1;
            if p.kind = 'payment' then
                credit := credit + gross[i];
            elsif p.kind in ('line', 'charge', 'discount') then
                -- The order of rows does not count: a shop that saves an order may write them anew.
                digest := (digest + (hashtextextended(concat_ws('|', p.kind, p.code, p.title, p.net, p.quantity, p.product, p.variant, p.options), 0) >> 2)) & 4611686018427387903;
            end if;
            continue when p.kind is distinct from 'line';
            if p.by_sku then
                products := array_append(products, p.product);
                articles := array_append(articles, p.article);
            end if;
            -- The article stands on the row of the option that keeps stock, else on the product's own; a row that only sums up has none.
            continue when not t.keeping or p.quantity <= 0;
            stock := case when p.rows[cardinality(p.rows)] like 'option:%' then cardinality(p.rows) else 1 end;
            for n in 1 .. greatest(cardinality(p.rows), 1) loop
                used := row(o.order_id, t.incarnation, p.product || ':' || p.variant, coalesce(p.rows[n], ''),
                    case when n = stock then p.article end, case when p.rows[n] is null then 0 else p.quantity end, p.quantity)::{{.Schema}}.use;
                if t.status is null then
                    fresh := array_append(fresh, used);
                else
                    changed := array_append(changed, used);
                end if;
            end loop;
        end loop;
        content := o.content || to_hex(digest);

        problem := case
            when (t.problem).reason is not null then t.problem
            when (o.problem).reason is not null then o.problem
            else m.problem end;
        if (problem).reason in ('sum_open', 'no_lines') then
            problem := coalesce({{.Schema}}.sold_beside(o.order_id), problem);
        end if;
        nature := null;
        if m.vat is not null then
            foreach v in array m.vat loop
                continue when v.rate <> 0;
                nature := spola.nature_of('{{.Shop}}', v.country, c.kind);
                if nature is null and (problem).reason is null then
                    problem := row('unknown_nature', format('0 %% to %s for a customer of kind %s.', v.country, c.kind), 'nature', v.country || '|' || c.kind)::spola.problem;
                end if;
            end loop;
        end if;
        if cardinality(o.flaws) > 0 then
            flags := flags || o.flaws;
            if parks and (problem).reason is null then
                problem := row('malformed_tax_data', (select string_agg(format('%s "%s": %s', f.field, f.value, f.what), '; ') || '.' from unnest(o.flaws) as f), 'customer', null)::spola.problem;
            end if;
        end if;
        payload := null;
        wanted := (problem).reason is null and (t.action in ('take', 'revive') or t.action = 'edit' and content <> t.content);

        if wanted or (problem).reason is not null then
            w := o."order";
            w.reference := t.reference;
            w.total := m.total;
            rates := m.rates;
            from_line := cardinality(lines); from_charge := cardinality(charges); from_vat := cardinality(vat); from_payment := cardinality(payments);
            line := 0; charge := 0; payment := 0; i := 0;
            if m.total <> credit then
                payment := 1;
                payments := array_append(payments, row(t.reference, 1, o.payment_kind, o.method, o.method_title, m.total - credit, o.transaction)::erp.order_payment_in);
            end if;
            foreach p in array parts loop
                i := i + 1;
                country := p.country;
                if rates[i] <> p.rate then  -- another one than was guessed
                    foreach v in array m.vat loop
                        if v.rate = rates[i] then
                            country := v.country;
                        end if;
                    end loop;
                end if;
                if p.kind = 'line' then
                    line := line + 1;
                    lines := array_append(lines, row(t.reference, line, p.article, spola.html(p.title), p.options, p.quantity,
                        round(p.net * (100 + rates[i]) / nullif(p.quantity, 0), 4), gross[i], round(rates[i], 3), country, case when rates[i] = 0 then nature end)::erp.order_line_in);
                elsif p.kind = 'charge' then
                    charge := charge + 1;
                    charges := array_append(charges, row(t.reference, charge, 'charge', p.code, spola.html(p.title), gross[i],
                        round(rates[i], 3), country, case when rates[i] = 0 then nature end)::erp.order_charge_in);
                elsif p.kind = 'payment' and gross[i] <> 0 then
                    payment := payment + 1;
                    payments := array_append(payments, row(t.reference, payment, 'credit', p.code, spola.html(p.title), gross[i], '')::erp.order_payment_in);
                end if;
            end loop;
            if m.vat is not null then
                foreach v in array m.vat loop
                    vat := array_append(vat, row(t.reference, round(v.rate, 3), v.country, case when v.rate = 0 then nature end, v.gross, v.net, v.vat)::erp.order_vat_in);
                    if v.discount is not null then
                        charge := charge + 1;
                        charges := array_append(charges, row(t.reference, charge, 'discount', m.code, spola.html(m.title), v.discount,
                            round(v.rate, 3), v.country, case when v.rate = 0 then nature end)::erp.order_charge_in);
                    end if;
                end loop;
            end if;
            if wanted then
                refs := array_append(refs, c.reference);
                customers := array_append(customers, c);
                if o.account is not null then
                    accounts := array_append(accounts, o.account::bigint);
                end if;
                orders := array_append(orders, w);
            else
                troubled := troubled + 1;
                payload := jsonb_build_object('action', t.action, 'state', t.state, 'order', w, 'customer', c,
                    'lines', lines[from_line + 1:], 'charges', charges[from_charge + 1:], 'vat', vat[from_vat + 1:]);
                lines := lines[:from_line];
                charges := charges[:from_charge];
                vat := vat[:from_vat];
                payments := payments[:from_payment];
            end if;
        end if;
        drafts := array_append(drafts, row(o.order_id, content, problem, payload)::{{.Schema}}.draft);
    end loop;
    if at < cardinality(tasks) then
        raise exception '% of % orders are gone from the mirror', cardinality(tasks) - at, cardinality(tasks);
    end if;
end $$;

-- Drafts, while the batch before is at work, those of a batch's orders that are new and to be taken, and leaves them in the
-- cursor spola_early of the transaction, with their tasks. accounts change meanwhile: their orders are left out. It tells
-- whether there are any. derive uses them if all of these orders still mean the same when the batch before is through.
--
-- The lock keeps off who changes the mapping of articles. It is shared: the batch before has its own.
create function {{.Schema}}.draft_early(changed bigint[], accounts bigint[]) returns boolean
language plpgsql set plan_cache_mode = force_generic_plan set jit = off set work_mem = '64MB'
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    early refcursor := 'spola_early';
    ids   bigint[];
    task  {{.Schema}}.task;
    mine  {{.Schema}}.task[] := '{}';
    parks boolean;
begin
    perform pg_advisory_xact_lock_shared(hashtext('spola.article'), hashtext('{{.Shop}}'));
    ids := {{.Schema}}.pick(changed);
    if cardinality(accounts) > 0 then
        ids := array(select h.order_id from {{.Schema}}.heads(ids) h where h.account is null or h.account <> all (accounts));
    end if;
    foreach task in array {{.Schema}}.tasks(ids, '{}') loop
        if task.action = 'take' then
            mine := array_append(mine, task);
        end if;
    end loop;
    if cardinality(mine) = 0 then
        return false;
    end if;
    select s.malformed = 'park' into parks from spola.shop s where s.shop = '{{.Shop}}';
    open early scroll for select mine as tasks, parks as parks, d.* from {{.Schema}}.drafts(mine, parks) d;
    move next from early;  -- now, not when derive asks
    return true;
end $$;

-- Gives drafts to the ERP: customers, then their orders, new or edited. matching: customers may be the ERP's own.
create function {{.Schema}}.hand_over(new boolean, matching boolean, refs text[], customers erp.customer_in[], accounts bigint[], orders erp.order_in[], lines erp.order_line_in[],
    charges erp.order_charge_in[], vat erp.order_vat_in[], payments erp.order_payment_in[]) returns erp.result[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = off set enable_seqscan = off as $$
declare
    known   erp.result[];
    refused erp.result[];
    ids     bigint[];
    results erp.result[];
begin
    known := {{.Schema}}.bring_customers(refs, customers, accounts, matching);
    ids := array(select c.id from unnest(refs) with ordinality as u(reference, n) left join unnest(known) as c on c.reference = u.reference and c.ok order by u.n);
    orders := array(
        select row(o.reference, o.shop, o.shop_number, o.placed_at, ids[o.n], o.kind, o.email, o.phone, o.language, o.note, o.tax_code, o.vat_number,
            o.pec, o.sdi, o.invoice_wanted, o.billing, o.shipping, o.shipping_code, o.shipping_method, o.currency, o.total,
            o.customer_currency, o.customer_factor, o.customer_total)::erp.order_in
        from unnest(orders) with ordinality as o(reference, shop, shop_number, placed_at, customer, kind, email, phone, language, note, tax_code, vat_number,
            pec, sdi, invoice_wanted, billing, shipping, shipping_code, shipping_method, currency, total,
            customer_currency, customer_factor, customer_total, n)
        order by o.n);
    if array_position(ids, null) is not null then
        refused := array(
            select row((orders[n]).reference, null, false, false, 'customer_' || c.reason, c.detail)::erp.result
            from generate_subscripts(orders, 1) as n
            join unnest(known) as c on c.reference = refs[n] and not c.ok);
        orders := array(select o from unnest(orders) as o where o.customer is not null);
        lines := array(select l from unnest(lines) as l left join unnest(refused) as f on f.reference = l.reference where f.reference is null);
        charges := array(select l from unnest(charges) as l left join unnest(refused) as f on f.reference = l.reference where f.reference is null);
        vat := array(select l from unnest(vat) as l left join unnest(refused) as f on f.reference = l.reference where f.reference is null);
        payments := array(select l from unnest(payments) as l left join unnest(refused) as f on f.reference = l.reference where f.reference is null);
    end if;
    if new then
        results := array(select r from erp.import_orders(orders, lines, charges, vat, payments) r);
    else
        results := array(select r from erp.apply_edits(orders, lines, charges, vat, payments) r);
    end if;
    return results || refused;
end $$;

-- What of consumption becomes of orders that had some (before) when their lines or state changed: lines that are there no more,
-- and all lines of orders that gave their pieces back, keep their rows with no pieces. A line that was known keeps its rows.
create function {{.Schema}}.recount(before {{.Schema}}.use[], changed {{.Schema}}.use[]) returns {{.Schema}}.use[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return array(
        select row(b.order_id, b.incarnation, b.line, b.stock_row, coalesce(a.article, b.article),
            case when b.stock_row <> '' then coalesce(q.quantity, 0) else 0 end, null)::{{.Schema}}.use
        from unnest(before) as b
        left join (
            select order_id, incarnation, line, max(quantity) as quantity
            from (select order_id, incarnation, line, stock_row, sum(quantity) as quantity from unnest(changed) group by order_id, incarnation, line, stock_row) r
            group by order_id, incarnation, line
        ) q on q.order_id = b.order_id and q.incarnation = b.incarnation and q.line = b.line
        left join (
            select order_id, incarnation, line, stock_row, max(article) as article from unnest(changed) group by order_id, incarnation, line, stock_row
        ) a on a.order_id = b.order_id and a.incarnation = b.incarnation and a.line = b.line and a.stock_row = b.stock_row
        union all
        select row(u.order_id, u.incarnation, u.line, u.stock_row, max(u.article), sum(u.pieces), null)::{{.Schema}}.use
        from unnest(changed) as u
        where not exists (select from unnest(before) as b where b.order_id = u.order_id and b.incarnation = u.incarnation and b.line = u.line)
        group by u.order_id, u.incarnation, u.line, u.stock_row);
end $$;

-- Keeps consumption: of orders that had none yet (fresh), and of those whose lines or state changed. A
-- line that was known keeps its rows, and once the ERP has it its article. The changed orders go with their
-- incarnations: a number may be a lost order's as well. Returns the articles concerned.
create function {{.Schema}}.consume(fresh {{.Schema}}.use[], changed {{.Schema}}.use[], changed_orders bigint[], incarnations bigint[]) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    articles bigint[];
    before   {{.Schema}}.use[] := '{}';
    after    {{.Schema}}.use[] := fresh;
    moved    {{.Schema}}.use[];
begin
    insert into spola.consumption (shop, order_id, incarnation, line, stock_row, article, pieces)
    select '{{.Shop}}', u.order_id, u.incarnation, u.line, u.stock_row, max(u.article), sum(u.pieces) from unnest(fresh) as u
    group by u.order_id, u.incarnation, u.line, u.stock_row;

    if cardinality(changed_orders) > 0 then
        before := array(select row(c.order_id, c.incarnation, c.line, c.stock_row, c.article, c.pieces, null)::{{.Schema}}.use
            from unnest(changed_orders, incarnations) as i(id, incarnation)
            cross join lateral (select * from spola.consumption c where c.shop = '{{.Shop}}' and c.order_id = i.id and c.incarnation = i.incarnation offset 0) c);
        moved := {{.Schema}}.recount(before, changed);
        insert into spola.consumption as c (shop, order_id, incarnation, line, stock_row, article, pieces)
        select '{{.Shop}}', m.order_id, m.incarnation, m.line, m.stock_row, m.article, m.pieces from unnest(moved) as m
        on conflict (shop, order_id, incarnation, line, stock_row) do update set article = excluded.article, pieces = excluded.pieces
        where (c.article, c.pieces) is distinct from (excluded.article, excluded.pieces);
        after := after || moved;
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

-- Notes what is to be put on sale again of known orders: Spola has cancelled them in the shop (its marker counts how often),
-- and gave no pieces back there, so that nobody gives them back twice. To be called before their consumption changes.
create function {{.Schema}}.restock(known bigint[], incarnations bigint[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    with ours as materialized (
        select i.id, i.incarnation, m.number, m.number - k.restocks as times, k.row
        from unnest(known, incarnations) as i(id, incarnation)
        cross join lateral (select x.number from {{marker}} x where x.name = 'order.' || i.id offset 0) m
        cross join lateral (select l.restocks, l.ctid as row from spola.link l where l.shop = '{{.Shop}}' and l.order_id = i.id and l.incarnation = i.incarnation offset 0) k
        where m.number > k.restocks
    ), noted as (
        update spola.link l set restocks = o.number from ours o where l.ctid = o.row  -- each looked up, as in forget
    )
    insert into spola.restock (shop, order_id, incarnation, number, stock_row, pieces)
    select '{{.Shop}}', o.id, o.incarnation, o.number, c.stock_row, sum(c.pieces) * o.times
    from ours o
    cross join lateral (select * from spola.consumption c where c.shop = '{{.Shop}}' and c.order_id = o.id and c.incarnation = o.incarnation offset 0) c
    where c.stock_row <> '' and c.pieces > 0
    group by o.id, o.incarnation, o.number, o.times, c.stock_row;
end $$;

-- What becomes of orders that are gone from the shop. One that the ERP has stays there with its
-- consumption: the shop did not give its pieces back. One that it has not is forgotten; what the shop
-- leaked with it is drift.
create function {{.Schema}}.forget(gone bigint[]) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    lost         bigint[];
    incarnations bigint[];
begin
    -- By ctid, each looked up: the planner would read all links of a shop that had few when this was planned.
    with mine as materialized (
        select k.row, k.free
        from unnest(gone) as i(id)
        cross join lateral (select k.ctid as row, k.erp_order is null and k.status <> 'closed' as free
            from spola.link k where k.shop = '{{.Shop}}' and k.order_id = i.id offset 0) k
    ), free as (
        update spola.link l
        set deleted = true, derived_at = now(),
            consuming = l.consuming and not m.free, status = case when m.free then 'seen' else l.status end,
            state = case when m.free then '' else l.state end, class = case when m.free then 'ignored' else l.class end
        from mine m
        where l.ctid = m.row
        returning l.order_id, l.incarnation, m.free
    )
    select array_agg(f.order_id order by f.order_id, f.incarnation), array_agg(f.incarnation order by f.order_id, f.incarnation)
    into lost, incarnations from free f where f.free;
    delete from spola.parked p where p.shop = '{{.Shop}}' and p.order_id = any (gone);
    return case when lost is null then '{}' else {{.Schema}}.consume('{}', '{}', lost, incarnations) end;
end $$;

-- What the ERP refused is shown as it was given to it.
create function {{.Schema}}.show_refused(tasks {{.Schema}}.task[], drafts {{.Schema}}.draft[], answers erp.result[], customers erp.customer_in[],
    orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[], vat erp.order_vat_in[]) returns {{.Schema}}.draft[]
language sql stable as $$
    select array(
        select row(d.order_id, d.content, d.problem, case when not a.ok then
            jsonb_build_object('action', t.action, 'state', t.state,
                'order', (select to_jsonb(o) from unnest(orders) as o where o.reference = t.reference),
                'customer', (select to_jsonb(customers[n]) from generate_subscripts(orders, 1) as n where (orders[n]).reference = t.reference),
                'lines', (select jsonb_agg(l) from unnest(lines) as l where l.reference = t.reference),
                'charges', (select jsonb_agg(l) from unnest(charges) as l where l.reference = t.reference),
                'vat', (select jsonb_agg(l) from unnest(vat) as l where l.reference = t.reference))
            else d.payload end)::{{.Schema}}.draft
        from unnest(drafts) with ordinality as d(order_id, content, problem, payload, n)
        join unnest(tasks) as t on t.order_id = d.order_id
        left join unnest(answers) as a on a.reference = t.reference
        order by d.n)
$$;

-- Parks what has a problem, and what the ERP refused with what it was given. An edit that changes nothing of
-- what the ERP took is no problem, whatever is wrong with the order. span: ticks of the source's clock in which they came; they are noted as
-- spread over it, so that how many came in a minute does not depend on how much a batch holds. Returns their orders.
create function {{.Schema}}.park(tasks {{.Schema}}.task[], drafts {{.Schema}}.draft[], results erp.result[], clock bigint, span bigint) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = off set enable_seqscan = off as $$
declare
    bad bigint[];
begin
    with trouble as (
        select t.order_id, coalesce((d.problem).reason, (t.problem).reason, r.reason) as reason,
            coalesce((d.problem).what, (t.problem).what, r.detail, '') as what,
            coalesce((d.problem).waits_for, (t.problem).waits_for) as waits_for,
            coalesce((d.problem).waits_key, (t.problem).waits_key) as waits_key,
            coalesce(d.payload, jsonb_build_object('action', t.action, 'state', t.state)) as payload
        from unnest(tasks) as t
        left join unnest(drafts) as d on d.order_id = t.order_id
        left join unnest(results) as r on r.reference = t.reference and not r.ok
        where (t.action in ('take', 'edit', 'revive', 'cancel', 'unknown', 'untaken', 'late', 'reused') or t.action = 'placed' and t.class = 'taken')
            and ((d.problem).reason is not null and t.action <> 'cancel' and not (t.action = 'edit' and d.content is not distinct from t.content) or (t.problem).reason is not null or r.reference is not null)
    ), kept as (
        insert into spola.parked as p (shop, order_id, reason, what, waits_for, waits_key, payload, tick)
        select '{{.Shop}}', x.order_id, x.reason, x.what, x.waits_for, x.waits_key, x.payload,
            clock - span + span * row_number() over (order by x.order_id) / count(*) over ()
        from trouble x
        on conflict (shop, order_id) do update
        set reason = excluded.reason, what = excluded.what, waits_for = excluded.waits_for, waits_key = excluded.waits_key,
            payload = excluded.payload, attempts = p.attempts + 1, last_at = clock_timestamp(),
            tick = case when p.reason = excluded.reason then p.tick else excluded.tick end
        returning p.order_id
    )
    select array_agg(k.order_id) into bad from kept k;
    return coalesce(bad, '{}');
end $$;

-- Asks for parked orders again whose article or class appeared since.
create function {{.Schema}}.awake(clock bigint) returns int
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
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
        or p.waits_for = 'fixed_tax' and exists (select from spola.fixed_tax f where f.shop = p.shop and f.title = p.waits_key)
        or p.waits_for = 'total' and exists (select from spola.total_code c where c.shop = p.shop and c.code = p.waits_key)
        or p.waits_for = 'nature' and spola.nature_of(p.shop, split_part(p.waits_key, '|', 1), split_part(p.waits_key, '|', 2)) is not null)
    on conflict do nothing;
    get diagnostics n = row_count;
    return n;
end $$;

-- Takes the ERP's locks for what one call of derive does with several of its functions: on the orders that it edits and cancels, and on the
-- stock of these and of all lines that it hands over. Taken one after the other, they would close a circle with a clerk's.
create function {{.Schema}}.hold(tasks {{.Schema}}.task[], edits erp.order_in[], lines erp.order_line_in[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = off set enable_seqscan = off as $$
begin
    perform erp.lock_orders(
        array(select t.erp_order from unnest(tasks) as t left join unnest(edits) as e on e.reference = t.reference
            where t.erp_order is not null and (t.action = 'cancel' or e.reference is not null)),
        array(select distinct l.article from unnest(lines) as l));
end $$;

-- The same for a transaction that needs several calls of derive: before the first of them, on the orders that all of them change, and on all stock. That
-- is after an outage or a change of very many orders at once. Where nothing of them reaches the ERP, nothing is locked.
create function {{.Schema}}.hold_all(changed bigint[], clock bigint) returns void
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    due    bigint[] := array(select d.order_id from spola.due d where d.shop = '{{.Shop}}' and d.tick <= clock);
    ids    bigint[] := array(select c from unnest(changed) as c union select d from unnest(due) as d);
    chunk  bigint[];
    t      {{.Schema}}.task;
    orders bigint[] := '{}';
    stocks boolean := false;  -- some of it may move stock
begin
    for n in 0 .. cardinality(ids) / 5000 loop
        chunk := ids[n * 5000 + 1 : n * 5000 + 5000];
        foreach t in array {{.Schema}}.tasks(chunk, array(select u from unnest(chunk) as u intersect select d from unnest(due) as d)) loop
            stocks := stocks or t.action in ('take', 'edit', 'revive', 'cancel');
            if t.erp_order is not null and t.action in ('edit', 'revive', 'cancel') then
                orders := array_append(orders, t.erp_order);
            end if;
        end loop;
    end loop;
    if stocks then
        perform erp.lock_orders(orders, array(select e.article_id from erp.articles e where e.stocked));
    end if;
end $$;

-- Makes the next of the orders due that are spread over later ticks and wait for no settling, at most so many. Returns how many.
create function {{.Schema}}.forward(clock bigint, most int) returns int
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    n int;
begin
    with first as materialized (
        select d.ctid as row from spola.due d where d.shop = '{{.Shop}}' and d.tick > clock and not d.settling order by d.tick, d.order_id limit most
    )
    update spola.due d set tick = clock from first f where d.ctid = f.row;
    get diagnostics n = row_count;
    return n;
end $$;

-- Derives the orders that changed and those that are due, at most `most` of these. drafted: draft_early has drafted some. held: another call of this
-- transaction has held all that it needs. span: ticks since orders were derived last.
--   more      orders are still due: call again
--   articles  whose stock or commitments this changed, in order
--   touched   orders of which something may have changed for the stock account; null: no shop has one
--   early     orders that were taken as draft_early had drafted them
--   overrun   a reason for which too many orders were parked within a minute of the source's clock, and the last three of them
create function {{.Schema}}.derive(changed bigint[], clock bigint, span bigint, most int, drafted boolean, held boolean,
    out more boolean, out articles bigint[], out touched bigint[], out taken int, out parked int, out early int, out overrun text, out overrun_by text)
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = off set enable_seqscan = off as $$
declare
    ids     bigint[];
    ready   bigint[];
    gone    bigint[];
    tasks   {{.Schema}}.task[];
    task    {{.Schema}}.task;
    waiting bigint[] := '{}';
    drafts_early refcursor := 'spola_early';
    ahead   record;                      -- what draft_early left
    firsts  {{.Schema}}.task[] := '{}';  -- to be taken, drafted early
    first   int := 1;
    news    {{.Schema}}.task[] := '{}';  -- to be taken
    others  {{.Schema}}.task[] := '{}';  -- whose content counts as well
    work    {{.Schema}}.task[];          -- those in hand
    cancels erp.order_cancel_in[] := '{}';
    moved   bigint[] := '{}';            -- known ones whose consumption changes
    lives   bigint[] := '{}';            -- their incarnations
    newly   record;                      -- drafts of the news, where they are needed before their turn
    later   record;                      -- and of the others
    edits   erp.order_in[] := '{}';      -- of the others, to be handed over
    lines   erp.order_line_in[] := '{}'; -- of all that is to be handed over
    several boolean := false;            -- calls of the ERP's functions that lock
    given   record;
    answers erp.result[];
    answer  erp.result;
    drafts  {{.Schema}}.draft[] := '{}';
    results erp.result[] := '{}';
    fresh   {{.Schema}}.use[] := '{}';
    again   {{.Schema}}.use[] := '{}';
    waited     boolean; -- orders are due, now or later
    had_parked boolean;
    parks    boolean; -- what is malformed parks its order
    flagged  boolean; -- something is, of some order or account
    matching boolean; -- customers may be the ERP's own
    restored boolean; -- the shop has another life behind it
    trouble boolean := false;
    bad     bigint[] := '{}';
begin
    more := false; taken := 0; parked := 0; early := 0; articles := '{}';
    ids := case when cardinality(changed) > 0 then {{.Schema}}.pick(changed) else changed end;
    if cardinality(ids) = 0 then
        if not exists (select from spola.due u where u.shop = '{{.Shop}}' and u.tick <= clock) then
            return;
        end if;
    end if;
    perform from spola.shop s where s.shop = '{{.Shop}}' for update;
    select array(select u.order_id from spola.due u where u.shop = '{{.Shop}}' and u.tick <= clock order by u.tick, u.order_id limit most),
        exists (select from spola.due u where u.shop = '{{.Shop}}'), exists (select from spola.parked p where p.shop = '{{.Shop}}'),
        s.malformed = 'park', s.incarnation > 1, exists (select from spola.flag f where f.shop = '{{.Shop}}'),
        s.matching <> '{}' or exists (select from spola.customer_match m where m.shop = '{{.Shop}}')
    into ready, waited, had_parked, parks, restored, flagged, matching
    from spola.shop s where s.shop = '{{.Shop}}';
    more := cardinality(ready) = most;
    if more and not held then
        perform {{.Schema}}.hold_all(ids, clock);
    end if;
    if waited then
        -- Each looked up: behind going live thousands are due.
        delete from spola.due u where u.ctid = any (array(
            select d.row from unnest(ids || ready) as i(id)
            cross join lateral (select x.ctid as row from spola.due x where x.shop = '{{.Shop}}' and x.order_id = i.id offset 0) d));
    end if;
    if cardinality(ready) > 0 then
        ready := array(select u from unnest(ready) as u except select c from unnest(ids) as c);
    end if;

    ids := case when cardinality(ready) = 0 then ids else array(select u from unnest(ids || ready) as u order by u) end;
    if exists (select from spola.stock_account) then
        touched := ids;
    end if;
    tasks := {{.Schema}}.tasks(ids, ready);
    if drafted then
        fetch relative 0 from drafts_early into ahead;
        if ahead.parks = parks and not exists (
            select from unnest(ahead.products, ahead.articles) as u(product, article)
            where u.article <> (select a.article from spola.article a where a.shop = '{{.Shop}}' and a.product = u.product and a.variant = '')) then
            firsts := ahead.tasks;
        end if;
    end if;
    if cardinality(tasks) < cardinality(ids) then
        gone := array(select i from unnest(ids) as i except select u.order_id from unnest(tasks) as u);
        articles := {{.Schema}}.forget(gone);
    end if;
    foreach task in array tasks loop
        trouble := trouble or (task.problem).reason is not null;
        case
            when task.action in ('skip', 'half', 'reused') then
                continue;
            when task.action = 'wait' then
                waiting := array_append(waiting, task.order_id);
                continue;
            when task.action = 'take' then
                if firsts[first] = task then
                    first := first + 1;
                else
                    news := array_append(news, task);
                end if;
            -- Contents are read for what can come into the ERP or into consumption.
            when task.action in ('placed', 'edit', 'revive', 'unknown', 'untaken', 'late', 'forget') or task.consuming and not task.consumed then
                others := array_append(others, task);
            else
        end case;
        if task.action = 'cancel' then
            cancels := array_append(cancels, row(task.reference, 'cancelled in the shop, state ' || task.state)::erp.order_cancel_in);
        end if;
        if task.status is not null and task.keeping or not task.consuming and task.consumed then
            moved := array_append(moved, task.order_id);
            lives := array_append(lives, task.incarnation);
        end if;
    end loop;
    if cardinality(waiting) > 0 then
        insert into spola.due (shop, order_id, tick, settling) select '{{.Shop}}', u, clock + {{.Settle}}, true from unnest(waiting) as u;
    end if;

    if first <= cardinality(firsts) then  -- one of them means something else by now
        firsts := '{}';
        news := array(select u from unnest(tasks) as u where u.action = 'take');
    end if;

    -- Where several of the ERP's functions are called, all that they lock is locked first; one alone locks by itself.
    if cardinality(others) > 0 then
        later := {{.Schema}}.drafts(others, parks);
        edits := later.orders;
    end if;
    several := (cardinality(firsts) > 0)::int + (cardinality(news) > 0)::int + (cardinality(edits) > 0)::int + (cardinality(cancels) > 0)::int > 1;
    if several then
        if cardinality(firsts) > 0 then
            lines := ahead.lines;
        end if;
        if cardinality(news) > 0 then
            newly := {{.Schema}}.drafts(news, parks);
            lines := lines || newly.lines;
        end if;
        if cardinality(edits) > 0 then
            lines := lines || later.lines;
        end if;
        perform {{.Schema}}.hold(tasks, edits, lines);
    end if;

    for pass in 1 .. 3 loop
        work := case pass when 1 then firsts when 2 then news else others end;
        continue when cardinality(work) = 0;
        if pass = 1 then
            given := ahead;
            early := cardinality(firsts);
        elsif pass = 3 then
            given := later;
        elsif several then
            given := newly;
        else
            given := {{.Schema}}.drafts(work, parks);
        end if;
        if flagged then
            delete from spola.flag f where f.shop = '{{.Shop}}' and f.subject = any (array(select 'order ' || u.order_id from unnest(given.drafts) as u));
        end if;
        if cardinality(given.flags) > 0 then
            insert into spola.flag select f.* from unnest(given.flags) as f;
        end if;
        if cardinality(given.products) > 0 then
            insert into spola.article (shop, product, variant, article, by)
            select distinct '{{.Shop}}', u.product, '', u.article, 'sku' from unnest(given.products, given.articles) as u(product, article)
            where not exists (select from spola.article a where a.shop = '{{.Shop}}' and a.product = u.product)
            on conflict do nothing;
        end if;
        if cardinality(given.orders) > 0 then
            answers := {{.Schema}}.hand_over(pass < 3, matching, given.refs, given.customers, given.accounts, given.orders, given.lines, given.charges, given.vat, given.payments);
            foreach answer in array answers loop
                if not answer.ok then
                    given.drafts := {{.Schema}}.show_refused(work, given.drafts, answers, given.customers, given.orders, given.lines, given.charges, given.vat);
                    given.drafts := {{.Schema}}.name_lost_articles(work, given.drafts, answers);
                    exit;
                end if;
            end loop;
            results := results || answers;
        end if;
        drafts := drafts || given.drafts;
        trouble := trouble or given.troubled > 0;
        fresh := fresh || given.fresh;
        again := again || given.changed;
    end loop;
    if cardinality(cancels) > 0 then
        results := results || array(select c from erp.cancel_orders(cancels) c);
    end if;

    -- K: of orders that have their pieces from the shop now, and of those that gave them back.
    if cardinality(moved) > 0 then
        perform {{.Schema}}.restock(moved, lives);
    end if;
    if cardinality(fresh) > 0 or cardinality(moved) > 0 then
        articles := articles || {{.Schema}}.consume(fresh, again, moved, lives);
    end if;

    -- Links. A change that was refused leaves revision and content, so that it is tried again.
    insert into spola.link as l (shop, order_id, incarnation, reference, fingerprint, status, erp_order, state, method, class, revision, content, consuming, adopted)
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
        t.state, t.method,
        -- One that was to be taken stays so while it is parked, though it is done in the shop meanwhile.
        case when t.class = 'final' and t.action in ('take', 'late') and r.ok is not true then 'taken' else t.class end,
        t.revision, case when r.ok or t.erp_order is null or t.action = 'forget' then coalesce(d.content, t.content) else t.content end, t.consuming,
        t.action = 'forget'  -- stays adopted, if it is: the ERP's order is what it was
    from unnest(tasks) as t
    left join unnest(drafts) as d on d.order_id = t.order_id
    left join unnest(results) as r on r.reference = t.reference
    where t.action not in ('wait', 'half', 'skip', 'reused')
    on conflict (shop, order_id, incarnation) do update
    set status = excluded.status, erp_order = excluded.erp_order, state = excluded.state, method = excluded.method, class = excluded.class,
        revision = excluded.revision, fingerprint = case when excluded.content <> l.content then excluded.fingerprint else l.fingerprint end,
        content = excluded.content, consuming = excluded.consuming, deleted = false, derived_at = now(),
        decision = case when l.decision = 'keep_erp' and excluded.content <> l.content then null else l.decision end,
        adopted = l.adopted and (excluded.adopted or excluded.content = l.content);

    -- In a restored shop a number that is used again is another order's: the one before is gone.
    if restored then
        update spola.link l set deleted = true
        from unnest(tasks) as t
        where l.shop = '{{.Shop}}' and l.order_id = t.order_id and l.incarnation < t.incarnation and not l.deleted;
    end if;

    foreach answer in array results loop
        if not answer.ok then
            trouble := true;
        elsif not answer.existing then
            taken := taken + 1;
        end if;
    end loop;
    if trouble then
        bad := {{.Schema}}.park(tasks, drafts, results, clock, span);
        parked := cardinality(bad);
    end if;
    if had_parked then
        delete from spola.parked p
        where p.shop = '{{.Shop}}'
            and p.order_id = any (array(select u.order_id from unnest(tasks) as u where u.action not in ('wait', 'half') except select b from unnest(bad) as b));
    end if;
    if parked > 0 then
        select p.reason, array_to_string((array_agg(p.order_id order by p.tick desc, p.order_id desc))[1:3], ', ') into overrun, overrun_by
        from spola.parked p join spola.shop s on s.shop = p.shop
        where p.shop = '{{.Shop}}' and p.tick > clock - 60 and s.mode = 'live'
        group by p.reason, s.systemic having count(*) > s.systemic
        limit 1;
    end if;
end $$;
