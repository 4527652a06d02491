-- The stock account of one shop: the law, and what opens, repairs and closes accounts. Installed into the canonical schema
-- behind the platform's own file; the same for all platforms. DESIGN.md tells the algebra.

-- Each row of the shop's stock with the article that it is. why_not: it has no account, for
--   unmapped     it is no article            several   it is several: combinations of options are mapped differently
--   shared       other rows are this article too: their stock can't be told apart
--   untracked    the shop keeps no stock of it
--   not_stocked  the ERP keeps none           left_out  the shop file leaves it alone
create view {{.Schema}}.stock_article as
with mapped as (
    select a.product, case when a.variant = '' then '' else {{.Schema}}.stocked(a.variant) end as variant, min(a.article) as article, count(distinct a.article) as n
    from spola.article a
    where a.shop = '{{.Shop}}'
    group by 1, 2
), named as (
    select s.stock_row, s.quantity, s.tracked, coalesce(m.article, e.article_id) as article, coalesce(m.n, 1) as n
    from {{.Schema}}.stock s
    left join mapped m on m.product = s.product and m.variant = s.variant
    left join erp.articles e on m.article is null and s.variant = '' and not s.sums and e.sku = s.sku
), counted as (
    select n.*, count(*) over (partition by n.article) as rows from named n
)
select c.stock_row, c.quantity, c.article, e.sku, coalesce(t.buffer, s.stock_buffer) as buffer,
    case
        when c.article is null or e.article_id is null then 'unmapped'
        when c.n > 1 then 'several'
        when c.rows > 1 then 'shared'
        when c.tracked is not true then 'untracked'
        when not e.stocked then 'not_stocked'
        when t.left_out then 'left_out'
    end as why_not
from counted c
join spola.shop s on s.shop = '{{.Shop}}'
left join erp.articles e on e.article_id = c.article
left join spola.stock_setting t on t.shop = '{{.Shop}}' and t.sku = e.sku;

-- The law: shown + consumed - released = published - undelivered, at every position of the log, for every row without a
-- half-written order. What is missing to that is drift.
--   shown        what the shop's row says (Q); null: the shop has no such row
--   consumed     what the shop's own code has subtracted for its orders (K)
--   released     of these, on sale again for orders that the ERP closed short (R)
--   in_flight    of these, not counted by the ERP: orders not yet taken, parked, or cancelled there (I)
--   available    what the ERP can promise: on hand less committed, less the buffer (A)
--   supply       what the ERP alone did: available + consumed - released - in_flight (E)
--   published    supply as last put into the account; unpublished: what has come since
--   target       sum of the account's entries; applied: what the shop's row has taken of them; undelivered: the rest
create view {{.Schema}}.law as
select l.stock_row, l.article_id, l.shown, l.tracked, l.consumed, l.released, l.in_flight, l.available,
    l.available + l.consumed - l.released - l.in_flight as supply, l.published,
    l.available + l.consumed - l.released - l.in_flight - l.published as unpublished,
    l.target, l.applied, l.target - l.applied as undelivered,
    l.shown + l.consumed - l.released - l.published + l.target - l.applied as drift
from (
    select a.stock_row, a.article_id, s.quantity as shown, s.tracked, coalesce(t.k, 0) as consumed, coalesce(r.pieces, 0) as released, coalesce(i.pieces, 0) as in_flight,
        (select case when not exists (select from spola.stock_warehouse o where o.shop = '{{.Shop}}') then v.available else coalesce((
                select sum(w.available) from erp.availability_by_warehouse w
                where w.article_id = a.article_id and w.warehouse in (select o.warehouse from spola.stock_warehouse o where o.shop = '{{.Shop}}')), 0)::bigint end
            from erp.availability v where v.article_id = a.article_id) - a.buffer as available,
        a.published, a.target, coalesce(m.applied, 0) as applied
    from spola.stock_account a
    left join {{.Schema}}.stock s on s.stock_row = a.stock_row
    left join spola.stock_total t on t.shop = a.shop and t.stock_row = a.stock_row
    left join (select x.stock_row, sum(x.pieces)::bigint as pieces from spola.closed_short x where x.shop = '{{.Shop}}' group by x.stock_row) r on r.stock_row = a.stock_row
    left join (select x.stock_row, sum(x.pieces)::bigint as pieces from spola.in_flight x where x.shop = '{{.Shop}}' group by x.stock_row) i on i.stock_row = a.stock_row
    left join {{marker}} m on m.name = a.stock_row
    where a.shop = '{{.Shop}}' and a.article_id is not null
) l;

-- Rows of orders that are half-written, edited or cancelled right now: what they show says nothing.
create view {{.Schema}}.unsettled as
select x.stock_row
from spola.due d
cross join lateral (
    select c.stock_row from spola.consumption c where c.shop = d.shop and c.order_id = d.order_id and c.stock_row <> ''
    union
    select {{.Schema}}.touched(d.order_id)
) x
where d.shop = '{{.Shop}}' and d.settling;

-- What is to be done with the shop's accounts, as it looks now. value is what must stay the same while the shop's orders
-- settle: the drift, or what the row shows with what it has subtracted.
--   open    a row that is an article and has no account     remap   it is another article than it was
--   close   it is none any more                             repair  it drifts
-- What is unsettled is not listed.
create function {{.Schema}}.todo() returns table (stock_row text, what text, value bigint, article bigint, sku text, why text)
language sql stable set jit = off set work_mem = '64MB' as $$
    with shown as materialized (select x.stock_row, x.quantity, x.article, x.sku, x.why_not from {{.Schema}}.stock_article x)
    select t.* from (
    select x.stock_row,
        case when a.article_id is null then 'open' when a.article_id <> x.article then 'remap' end,
        x.quantity + coalesce(t.k, 0), x.article, x.sku, ''
    from shown x
    left join spola.stock_account a on a.shop = '{{.Shop}}' and a.stock_row = x.stock_row
    left join spola.stock_total t on t.shop = '{{.Shop}}' and t.stock_row = x.stock_row
    where x.why_not is null and a.article_id is distinct from x.article
    union all
    select a.stock_row, 'close', 0, a.article_id, x.sku, coalesce(x.why_not, 'gone')
    from spola.stock_account a
    left join shown x on x.stock_row = a.stock_row
    where a.shop = '{{.Shop}}' and a.article_id is not null and (x.stock_row is null or x.why_not is not null)
    union all
    select l.stock_row, 'repair', l.drift, l.article_id, (select e.sku from erp.articles e where e.article_id = l.article_id), ''
    from {{.Schema}}.law l
    where l.drift <> 0 and l.tracked
    ) t
    where not exists (select from {{.Schema}}.unsettled u where u.stock_row = t.stock_row)
$$;

-- Articles of whose accounts the ERP knows more than is published. An error if so many of them would go to zero that a person has to look first.
create function {{.Schema}}.unpublished() returns bigint[]
language plpgsql stable set jit = off set work_mem = '64MB' as $$
declare
    articles bigint[];
    emptied  bigint;
begin
    select coalesce(array_agg(l.article_id order by l.article_id), '{}'), count(*) filter (where l.published > 0 and l.supply <= 0)
    into articles, emptied
    from {{.Schema}}.law l
    where l.unpublished <> 0;
    perform spola.hold('{{.Shop}}', emptied, 5, 'go to zero');
    return articles;
end $$;

-- recount_totals counts anew what the shop has subtracted from each row for its orders. Returns how many sums were wrong.
create function {{.Schema}}.recount_totals() returns bigint
language plpgsql set jit = off set work_mem = '64MB' as $$
declare
    wrong text[];
begin
    select array_agg(coalesce(c.stock_row, t.stock_row)) into wrong
    from (select x.stock_row, sum(x.pieces) as k from spola.consumption x where x.shop = '{{.Shop}}' and x.stock_row <> '' group by x.stock_row) c
    full join (select y.stock_row, y.k from spola.stock_total y where y.shop = '{{.Shop}}' and y.stock_row <> '') t on t.stock_row = c.stock_row
    where coalesce(c.k, 0) <> coalesce(t.k, 0);
    if wrong is null then
        return 0;
    end if;
    perform from spola.shop s where s.shop = '{{.Shop}}' for update;  -- no batch of orders is halfway
    insert into spola.stock_total as t (shop, stock_row, k)
    select '{{.Shop}}', w.stock_row, coalesce(sum(x.pieces), 0)
    from unnest(wrong) as w(stock_row)
    left join spola.consumption x on x.shop = '{{.Shop}}' and x.stock_row = w.stock_row
    group by w.stock_row
    on conflict (shop, stock_row) do update set k = excluded.k;
    return cardinality(wrong);
end $$;

-- Orders whose pieces the ERP may not have counted whole: those that are noted, and those that it has not, or has and has not shipped.
create function {{.Schema}}.uncounted_orders() returns bigint[]
language sql stable set jit = off set work_mem = '64MB' as $$
    select coalesce(array_agg(u.order_id order by u.order_id), '{}')
    from (
        select f.order_id from spola.in_flight f where f.shop = '{{.Shop}}'
        union
        select s.order_id from spola.closed_short s where s.shop = '{{.Shop}}'
        union
        select l.order_id
        from spola.link l
        left join erp.orders o on o.order_id = l.erp_order
        where l.shop = '{{.Shop}}' and l.status <> 'closed' and not l.deleted and l.consuming and o.state is distinct from 'shipped'
    ) u
$$;

-- What is known to have happened since the shop's last reconciliation that makes these rows drift: to their orders, which may have left too few
-- pieces, or to their products, saved as a whole with quantities read before. Of anything else nothing is known.
create function {{.Schema}}.causes(rows text[], drifts bigint[]) returns table (stock_row text, cause text)
language sql stable set jit = off as $$
    with since as (
        select coalesce(max(r.began), '-infinity') as began from spola.reconciliation r where r.shop = '{{.Shop}}' and r.held = ''
    )
    select k.stock_row, string_agg(distinct k.cause, '; ' order by k.cause)
    from (
        select c.stock_row, format(case when l.deleted then 'order %s was deleted in the shop and kept its pieces'
            else 'order %s was cancelled in the shop and may have kept its pieces' end, l.order_id) as cause
        from spola.link l
        join since on l.derived_at > since.began
        join spola.consumption c on c.shop = l.shop and c.order_id = l.order_id and c.incarnation = l.incarnation and c.pieces = 0
        join unnest(rows, drifts) as d(stock_row, drift) on d.stock_row = c.stock_row and d.drift < 0
        where l.shop = '{{.Shop}}' and (l.deleted or l.class = 'cancelled')
        union all
        select v.stock_row, format('product %s was saved in the shop''s administration at %s, with the pieces that its page showed or somebody typed', v.product,
            to_char(v.saved_at at time zone s.timezone, 'YYYY-MM-DD HH24:MI'))
        from {{.Schema}}.saved(rows) v
        join since on v.saved_at > since.began - interval '1 minute'  -- the clocks of two servers
        join spola.shop_settings s on s.shop = '{{.Shop}}'
    ) k
    group by k.stock_row
$$;

-- What the ERP has of these orders of the shop. why: empty when both have the same cents; untaken, when the order is in no state in which the
-- ERP takes it, nor past it, or is half-written: its state has no row of the history (yet); else what explains the difference, or
--   missing   the ERP lacks it, and nothing says why          cents   it has another total, and nothing says why
create function {{.Schema}}.reconciled_orders(ids bigint[]) returns table (order_id bigint, day date, total bigint, erp_total bigint, why text)
language sql stable set jit = off set enable_seqscan = off as $$
    select h.order_id, (g.placed_at at time zone s.timezone)::date, g.total, e.total,
        case
            when k.class is null or k.class not in ('taken', 'final') or l.status is null and not h.stated then 'untaken'
            when e.total = g.total then ''
            when exists (select from spola.due d where d.shop = '{{.Shop}}' and d.order_id = h.order_id) then 'settling'
            when exists (select from spola.parked p where p.shop = '{{.Shop}}' and p.order_id = h.order_id) then 'parked'
            when l.status = 'closed' then 'closed'
            when l.adopted or l.decision <> 'import' then 'decided'
            when e.order_id is null then 'missing'
            else 'cents'
        end
    from {{.Schema}}.heads(ids) h
    join {{.Schema}}.glance(ids) g on g.order_id = h.order_id
    join spola.shop_settings s on s.shop = '{{.Shop}}'
    cross join lateral (
        select coalesce(
            (select x.class from spola.state_class x where x.shop = '{{.Shop}}' and x.state = h.state and x.method = h.method),
            (select x.class from spola.state_class x where x.shop = '{{.Shop}}' and x.state = h.state and x.method = split_part(h.method, '.', 1)),
            (select x.class from spola.state_class x where x.shop = '{{.Shop}}' and x.state = h.state and x.method = '*')) as class
    ) k
    left join lateral (
        select x.* from spola.link x where x.shop = '{{.Shop}}' and x.order_id = h.order_id and x.incarnation > 0 order by x.incarnation desc limit 1
    ) l on true
    left join lateral (select o.order_id, o.total from erp.orders o where o.order_id = l.erp_order offset 0) e on true
$$;

-- open_accounts opens accounts, or opens them anew for another article, for rows of which shown and consumed still add up to
-- what was seen. The start entry sets the row to what the ERP can promise less what is in flight. Returns how many.
create function {{.Schema}}.open_accounts(rows text[], seen bigint[]) returns bigint
language plpgsql set jit = off set work_mem = '64MB' as $$
declare
    orders  bigint[];
    opened  text[];
    entries spola.entry[];
    emptied bigint;
begin
    perform from spola.shop s where s.shop = '{{.Shop}}' for update;  -- no batch of orders is halfway
    insert into spola.stock_head (shop) values ('{{.Shop}}') on conflict do nothing;
    opened := array(
        select x.stock_row
        from unnest(rows, seen) as i(stock_row, held)
        join {{.Schema}}.stock_article x on x.stock_row = i.stock_row
        left join spola.stock_total t on t.shop = '{{.Shop}}' and t.stock_row = x.stock_row
        left join spola.stock_account o on o.shop = '{{.Shop}}' and o.stock_row = x.stock_row
        left join {{marker}} m on m.name = x.stock_row
        where x.why_not is null and o.article_id is distinct from x.article and x.quantity + coalesce(t.k, 0) = i.held
            and (o.article_id is null or o.target = coalesce(m.applied, 0) or m.note like '{"owed":%')  -- what is under way arrives first
            and not exists (select from spola.stock_account y where y.shop = '{{.Shop}}' and y.article_id = x.article and not y.stock_row = any (rows))
            and not exists (select from {{.Schema}}.unsettled u where u.stock_row = x.stock_row)
        order by x.stock_row);
    -- Two rows may change places: each gives up its article before one is given another.
    update spola.stock_account a set article_id = null, published = null where a.shop = '{{.Shop}}' and a.stock_row = any (opened);
    with fit as (
        insert into spola.stock_account as a (shop, stock_row, article_id, buffer)
        select '{{.Shop}}', x.stock_row, x.article, x.buffer
        from {{.Schema}}.stock_article x
        where x.stock_row = any (opened)
            and not exists (select from spola.stock_account y where y.shop = '{{.Shop}}' and y.article_id = x.article)
        on conflict (shop, stock_row) do update set article_id = excluded.article_id, buffer = excluded.buffer, opened_at = now()
        returning a.stock_row
    )
    select array_agg(f.stock_row) into opened from fit f;
    if opened is null then
        return 0;
    end if;

    -- What the orders of these rows have become is counted from their beginning; those that were closed, and of which nothing was
    -- counted before, hold nothing.
    for orders in
        select array_agg(o.order_id)
        from (
            select u.order_id, (row_number() over (order by u.order_id) - 1) / 20000 as chunk
            from (
                select distinct c.order_id
                from spola.consumption c
                left join spola.link l on l.shop = c.shop and l.order_id = c.order_id and l.incarnation = c.incarnation
                where c.shop = '{{.Shop}}' and c.stock_row = any (opened) and (l.status is distinct from 'closed'
                    or exists (select from spola.in_flight f where f.shop = c.shop and f.order_id = c.order_id and f.incarnation = c.incarnation)
                    or exists (select from spola.closed_short s where s.shop = c.shop and s.order_id = c.order_id and s.incarnation = c.incarnation))
            ) u
        ) o
        group by o.chunk
        order by o.chunk
    loop
        perform spola.settle('{{.Shop}}', '{}', orders, false);
    end loop;

    with now as materialized (
        select l.*, l.shown + l.consumed - l.released as held
        from unnest(rows, seen) as x(stock_row, held)
        join {{.Schema}}.law l on l.stock_row = x.stock_row and l.shown + l.consumed = x.held
        where l.stock_row = any (opened) and l.published is null and l.supply is not null
            and not exists (select from {{.Schema}}.unsettled u where u.stock_row = l.stock_row)
    ), started as (
        update spola.stock_account a set published = n.supply from now n where a.shop = '{{.Shop}}' and a.stock_row = n.stock_row
    )
    select array_agg(row('{{.Shop}}', n.stock_row, 'start', n.applied + n.supply - n.held - n.target, '')::spola.entry order by n.stock_row),
        count(*) filter (where n.shown > 0 and n.available - n.in_flight <= 0)
    into entries, emptied
    from now n;
    -- What has moved meanwhile has no account yet: the next run looks again.
    update spola.stock_account a set article_id = null
    where a.shop = '{{.Shop}}' and a.stock_row = any (opened) and a.published is null;
    perform spola.hold('{{.Shop}}', emptied, 5, 'go to zero');
    if entries is not null then
        perform spola.append(entries);
    end if;
    return coalesce(cardinality(entries), 0);
end $$;

-- hold_openings and hold_repairs look at all that a run is going to open or repair, before it is done some at a time: an error if so many rows
-- would go to zero, or be changed, that a person has to look first.
create function {{.Schema}}.hold_openings(rows text[]) returns void
language plpgsql stable set jit = off set work_mem = '64MB' as $$
begin
    perform spola.hold('{{.Shop}}', (
        select count(*) from {{.Schema}}.stock_article x
        join erp.availability v on v.article_id = x.article
        where x.stock_row = any (rows) and x.quantity > 0 and v.available - x.buffer <= 0), 5, 'go to zero', rows);
end $$;

create function {{.Schema}}.hold_repairs(rows text[], drifts bigint[]) returns void
language plpgsql stable set jit = off set work_mem = '64MB' as $$
begin
    perform spola.hold('{{.Shop}}', (select count(*) from unnest(rows, drifts) as x(stock_row, drift)
        join {{.Schema}}.stock s on s.stock_row = x.stock_row where s.quantity > 0 and s.quantity - x.drift <= 0), 5, 'go to zero');
    perform spola.hold('{{.Shop}}', cardinality(rows), 30, 'be repaired');
end $$;

-- close_accounts closes accounts of rows that are no article any more. What a row is owed that can still be delivered is waited for.
create function {{.Schema}}.close_accounts(rows text[]) returns bigint
language plpgsql set jit = off as $$
declare
    closed bigint;
begin
    perform from spola.shop s where s.shop = '{{.Shop}}' for update;
    update spola.stock_account a set article_id = null, published = null
    from {{.Schema}}.law l
    left join {{.Schema}}.stock_article x on x.stock_row = l.stock_row
    where a.shop = '{{.Shop}}' and a.stock_row = l.stock_row and l.stock_row = any (rows) and (x.stock_row is null or x.why_not is not null)
        and (l.undelivered = 0 or l.tracked is not true or exists (select from {{marker}} m where m.name = l.stock_row and m.note like '{"owed":%'));
    get diagnostics closed = row_count;
    delete from spola.in_flight f
    where f.shop = '{{.Shop}}' and f.stock_row = any (rows) and not exists (
        select from spola.stock_account a where a.shop = f.shop and a.stock_row = f.stock_row and a.article_id is not null);
    delete from spola.closed_short f
    where f.shop = '{{.Shop}}' and f.stock_row = any (rows) and not exists (
        select from spola.stock_account a where a.shop = f.shop and a.stock_row = f.stock_row and a.article_id is not null);
    return closed;
end $$;

-- follow_buffers takes buffers from the settings into the accounts, and settles these.
create function {{.Schema}}.follow_buffers() returns bigint
language plpgsql set jit = off set work_mem = '64MB' as $$
declare
    articles bigint[];
begin
    perform from spola.shop s where s.shop = '{{.Shop}}' for update;
    with changed as (
        update spola.stock_account a set buffer = x.buffer
        from {{.Schema}}.stock_article x
        where a.shop = '{{.Shop}}' and a.stock_row = x.stock_row and a.article_id = x.article and a.buffer <> x.buffer
        returning a.article_id
    )
    select array_agg(c.article_id) into articles from changed c;
    return case when articles is null then 0 else spola.settle('{{.Shop}}', articles, '{}', true) end;
end $$;

-- repair undoes drift that is still what was seen: lock, then look again in the next statement, so that a second one finds
-- nothing left to do. causes are for people. Returns how many rows.
create function {{.Schema}}.repair(rows text[], drifts bigint[], causes text[]) returns bigint
language plpgsql set jit = off set work_mem = '64MB' as $$
declare
    entries spola.entry[];
    emptied bigint;
begin
    perform from spola.stock_account a where a.shop = '{{.Shop}}' and a.stock_row = any (rows) order by a.stock_row for update;
    select array_agg(row('{{.Shop}}', l.stock_row, 'repair', -l.drift, x.cause)::spola.entry order by l.drift desc, l.stock_row),
        count(*) filter (where l.shown > 0 and l.shown - l.drift <= 0)
    into entries, emptied
    from unnest(rows, drifts, causes) as x(stock_row, drift, cause)
    join {{.Schema}}.law l on l.stock_row = x.stock_row and l.drift = x.drift
    where l.tracked and not exists (select from {{.Schema}}.unsettled u where u.stock_row = l.stock_row);
    if entries is null then
        return 0;
    end if;
    perform spola.hold('{{.Shop}}', emptied, 5, 'go to zero');
    perform spola.hold('{{.Shop}}', cardinality(entries), 30, 'be repaired');
    perform spola.append(entries);
    return cardinality(entries);
end $$;
