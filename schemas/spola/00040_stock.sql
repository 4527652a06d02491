-- Stock: what each row of a shop's stock ought to show, as an account that is kept by differences. DESIGN.md of
-- internal/stock tells the algebra; canonical_<shop>.law shows it, row by row.

-- +goose Up

-- From the shop file: pieces held back of each article (or of one), and articles whose stock is left alone.
alter table spola.shop add stock_buffer bigint not null default 0;
create table spola.stock_setting (
    shop     text    not null,
    sku      text    not null,
    buffer   bigint,                          -- null: the shop's
    left_out boolean not null default false,  -- its rows in the shop are never written
    primary key (shop, sku)
);

-- Warehouses of the ERP whose pieces the shop shows; none: those of all web shops.
create table spola.stock_warehouse (
    shop      text not null,
    warehouse text not null,
    primary key (shop, warehouse)
);

-- How many of this order's cancellations by Spola are in the ledger: the marker in the shop counts them.
alter table spola.link add restocks bigint not null default 0;

-- The ledger of a shop. Its row is locked for each new entry, so entries are numbered in the order of their commits.
create table spola.stock_head (
    shop          text   primary key,
    no            bigint not null default 0,  -- of the last entry
    allowed_until timestamptz,                -- until then a person lets changes through that the guard would hold
    recounted_at  timestamptz,                -- when sums were last counted anew; null: never
    restored      text                        -- what has shown that this database is older than the shop and the logs know it; null: nothing
) with (fillfactor = 50);

-- The account of a row of a shop's stock. Locked by whoever counts anew what its order or its article has become, for
-- then in the next statement nobody else's count is under way.
create table spola.stock_account (
    shop       text   not null,
    stock_row  text   not null,            -- product:31, option:17
    article_id bigint,                     -- null: closed
    buffer     bigint not null default 0,
    published  bigint,                     -- supply as last put into the account; null: being opened, it has no start entry yet
    target     bigint not null default 0,  -- sum of the row's entries, over its whole life: what is to have been applied in the shop
    opened_at  timestamptz not null default now(),
    primary key (shop, stock_row)
) with (fillfactor = 50);
create unique index stock_account_article on spola.stock_account (article_id, shop) where article_id is not null;

-- The entries. Rows are only added; target is the account's sum behind the entry, so that of many entries of a row the
-- last one says all.
create table spola.ledger (
    shop       text   not null,
    no         bigint not null,
    stock_row  text   not null,
    article_id bigint not null,
    cause      text   not null check (cause in ('start', 'delta', 'closed_short', 'restock', 'repair')),
    pieces     bigint not null,
    target     bigint not null,
    at         timestamptz not null default now(),
    detail     text   not null default '',
    primary key (shop, no)
);
create index ledger_row on spola.ledger (shop, stock_row, no);

-- Pieces that the shop has subtracted for an order and the ERP does not count (yet). Only of rows with an account; an
-- order in the normal course has no row here.
create table spola.in_flight (
    shop        text   not null,
    stock_row   text   not null,
    order_id    bigint not null,
    incarnation bigint not null,
    pieces      bigint not null check (pieces > 0),
    primary key (shop, stock_row, order_id, incarnation)
);
create index in_flight_order on spola.in_flight (shop, order_id);

-- Pieces of consumption that were put on sale again because the ERP closed the order short.
create table spola.closed_short (
    shop        text   not null,
    stock_row   text   not null,
    order_id    bigint not null,
    incarnation bigint not null,
    pieces      bigint not null check (pieces > 0),
    primary key (shop, stock_row, order_id, incarnation)
);
create index closed_short_order on spola.closed_short (shop, order_id);

-- Pieces of orders that Spola has cancelled in the shop, where nobody has put them on sale again: entered by the next
-- settle of the transaction that saw it.
create table spola.restock (
    shop        text    not null,
    order_id    bigint  not null,
    incarnation bigint  not null,
    number      bigint  not null,  -- of the order's cancellations by Spola
    stock_row   text    not null,
    pieces      bigint  not null,
    entered     boolean not null default false,
    primary key (shop, order_id, incarnation, number, stock_row)
);
create index restock_open on spola.restock (shop) where not entered;

-- What reconciliation has done, run by run.
create table spola.reconciliation (
    id       bigint generated always as identity primary key,
    shop     text   not null,
    why      text   not null,                -- schedule, command
    began    timestamptz not null default clock_timestamp(),
    ended    timestamptz not null default clock_timestamp(),
    ticks    bigint not null,                -- of the source's clock, that the run has watched
    rows     bigint not null,                -- with an account
    opened   bigint not null,
    closed   bigint not null,
    drifting bigint not null,                -- that differed at first sight
    explained bigint not null default 0,     -- of these, whose cause is known
    repaired bigint not null,
    compared boolean not null,               -- the shop's rows with the mirror
    unequal  bigint not null,                -- ranges whose rows in the shop were not what the mirror has, and were read again
    orders   jsonb  not null default '{}',   -- of the shop, held against the ERP's, day by day
    waiting  bigint not null,                -- left: unsettled, not the same all the time, or held by the guard
    held     text   not null default '',     -- what the guard says
    detail   jsonb  not null default '[]'    -- the first of them, by name
);
create index on spola.reconciliation (shop, id);

-- Where the comparison of a table goes on in the next run, for one was not long enough for all of its rows.
create table spola.comparison (
    shop  text   not null,
    tbl   text   not null,  -- without the shop's prefix
    above bigint not null,  -- its key
    primary key (shop, tbl)
);

create type spola.entry as (shop text, stock_row text, cause text, pieces bigint, detail text);

-- refuse_restored raises an error if a shop's accounts were restored with the database and nobody has looked yet.
-- +goose StatementBegin
create function spola.refuse_restored(shops text[]) returns void
language plpgsql as $$
declare
    old record;
begin
    select h.shop, h.restored as why into old from unnest(shops) as s(shop) cross join lateral (select * from spola.stock_head h where h.shop = s.shop offset 0) h
    where h.restored is not null limit 1;
    if found then
        raise exception 'the ERP''s database was restored: %', old.why
            using errcode = 'SPH02', hint = format('run "applier recover erp" with the configuration of shop %s', old.shop);
    end if;
end $$;
-- +goose StatementEnd

-- append puts entries into the ledgers, in their order, and moves the accounts. The caller has locked the accounts.
-- +goose StatementBegin
create function spola.append(entries spola.entry[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    shops text[] := array(select distinct e.shop from unnest(entries) as e order by e.shop);
begin
    perform from unnest(shops) as s(shop) cross join lateral (select from spola.stock_head h where h.shop = s.shop for update) h;
    perform spola.refuse_restored(shops);
    with numbered as materialized (
        select e.shop, h.no + row_number() over (partition by e.shop order by e.n) as no, e.stock_row, a.article_id, e.cause, e.pieces,
            a.target + sum(e.pieces) over (partition by e.shop, e.stock_row order by e.n rows unbounded preceding) as target, e.detail
        from unnest(entries) with ordinality as e(shop, stock_row, cause, pieces, detail, n)
        join spola.stock_head h on h.shop = e.shop
        join spola.stock_account a on a.shop = e.shop and a.stock_row = e.stock_row
    ), kept as (
        insert into spola.ledger (shop, no, stock_row, article_id, cause, pieces, target, detail)
        select n.shop, n.no, n.stock_row, n.article_id, n.cause, n.pieces, n.target, coalesce(n.detail, '') from numbered n
    ), moved as (
        update spola.stock_account a set target = m.target
        from (select distinct on (n.shop, n.stock_row) n.shop, n.stock_row, n.target from numbered n order by n.shop, n.stock_row, n.no desc) m
        where a.shop = m.shop and a.stock_row = m.stock_row
    )
    update spola.stock_head h set no = m.no
    from (select n.shop, max(n.no) as no from numbered n group by n.shop) m
    where h.shop = m.shop;
end $$;
-- +goose StatementEnd

-- recount counts anew what of these orders' consumption is in flight and what was closed short, of one shop. The caller has
-- locked the accounts. Returns the entries for what is closed short now and was not, or the other way round.
--
-- Of an order and a row: own pieces are those of the account's article; pending, of lines that have no article yet. The
-- rest (a row that sums up variants, an article that the row was before) is nothing that the ERP will count here, so it
-- counts as if it had; so do orders that are gone from the shop, or that the ERP is never to have: nobody there will give
-- their pieces back. The ERP counts the lesser of the own pieces and what it has committed or shipped.
-- +goose StatementBegin
create function spola.recount(of_shop text, orders bigint[]) returns spola.entry[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    short spola.entry[];
begin
    with used as (
        select of_shop as shop, o.order_id, u.incarnation, u.stock_row, u.article, u.pieces, a.article_id,
            u.article is null and not bool_or(u.article is not null) over (partition by o.order_id, u.incarnation, u.line) as pending, a.started
        from unnest(orders) as o(order_id)
        cross join lateral (select * from spola.consumption c where c.shop = of_shop and c.order_id = o.order_id and c.stock_row <> '' offset 0) u
        left join lateral (select x.article_id, x.published is not null as started from spola.stock_account x where x.shop = of_shop and x.stock_row = u.stock_row offset 0) a on true
    ), held as (
        select u.shop, u.order_id, u.incarnation, u.stock_row, u.article_id, u.started,
            coalesce(sum(u.pieces) filter (where u.article = u.article_id), 0) as own, coalesce(sum(u.pieces) filter (where u.pending), 0) as pending
        from used u
        where u.article_id is not null
        group by u.shop, u.order_id, u.incarnation, u.stock_row, u.article_id, u.started
    ), counted as materialized (
        select h.shop, h.order_id, h.incarnation, h.stock_row, h.started,
            (case
                when l.status = 'closed' or l.deleted then 0
                when l.erp_order is null then h.own + h.pending
                when e.closed then h.pending
                else h.pending + h.own - least(h.own, coalesce(e.counted, 0))
            end)::bigint as in_flight,
            (case when e.closed and l.status <> 'closed' and not l.deleted then greatest(h.own - e.shipped, 0) else 0 end)::bigint as short
        from held h
        cross join lateral (
            select l.status, l.erp_order, l.deleted from spola.link l where l.shop = h.shop and l.order_id = h.order_id and l.incarnation = h.incarnation offset 0
        ) l
        left join lateral (
            select (select x.state from erp.orders x where x.order_id = l.erp_order) = 'closed_short' as closed, y.counted, y.shipped
            from (
                select coalesce(sum(z.committed + z.shipped), 0) as counted, coalesce(sum(z.shipped), 0) as shipped
                from erp.order_lines z
                where z.order_id = l.erp_order and z.article_id = h.article_id
            ) y
            offset 0
        ) e on l.erp_order is not null
    ), flying as (
        insert into spola.in_flight as f (shop, stock_row, order_id, incarnation, pieces)
        select c.shop, c.stock_row, c.order_id, c.incarnation, c.in_flight from counted c where c.in_flight > 0
        on conflict (shop, stock_row, order_id, incarnation) do update set pieces = excluded.pieces where f.pieces <> excluded.pieces
    ), landed as (
        delete from spola.in_flight f using counted c
        where c.in_flight = 0 and f.shop = c.shop and f.stock_row = c.stock_row and f.order_id = c.order_id and f.incarnation = c.incarnation
    ), before as materialized (
        select c.*, coalesce(s.pieces, 0) as was
        from counted c
        left join spola.closed_short s on s.shop = c.shop and s.stock_row = c.stock_row and s.order_id = c.order_id and s.incarnation = c.incarnation
    ), closed as (
        insert into spola.closed_short as s (shop, stock_row, order_id, incarnation, pieces)
        select b.shop, b.stock_row, b.order_id, b.incarnation, b.short from before b where b.short > 0 and b.short <> b.was
        on conflict (shop, stock_row, order_id, incarnation) do update set pieces = excluded.pieces
    ), reopened as (
        delete from spola.closed_short s using before b
        where b.short = 0 and b.was > 0 and s.shop = b.shop and s.stock_row = b.stock_row and s.order_id = b.order_id and s.incarnation = b.incarnation
    )
    select array_agg(row(b.shop, b.stock_row, 'closed_short', b.short - b.was, 'order ' || b.order_id)::spola.entry order by b.shop, b.stock_row, b.order_id)
    into short
    from before b
    where b.started and b.short <> b.was;
    return coalesce(short, '{}');
end $$;
-- +goose StatementEnd

-- hold raises an error if so many rows of a shop would change that a person should look first: more than 20, and more
-- than so many in 100 of those with an account, or which are to be given one (opening). what: "go to zero".
-- +goose StatementBegin
create function spola.hold(of_shop text, many bigint, percent int, what text, opening text[] default '{}') returns void
language plpgsql as $$
declare
    accounts bigint;
begin
    if many <= 20 then
        return;
    end if;
    select count(*) + cardinality(opening) into accounts
    from spola.stock_account a where a.shop = of_shop and a.article_id is not null and a.stock_row <> all (opening);
    if many * 100 > accounts * percent and exists (
        select from spola.stock_head h where h.shop = of_shop and coalesce(h.allowed_until < clock_timestamp(), true)) then
        raise exception 'shop %: % of % rows of stock would % at once', of_shop, many, accounts, what using errcode = 'SPH01';
    end if;
end $$;
-- +goose StatementEnd

-- settle brings the accounts of one shop up to date of these articles, and of all rows from which these orders of the shop have
-- pieces: what the ERP did alone since the last time goes into the ledger. Called by the shop's intake in the transaction that
-- changes something, as its last deed, and by the shop's reader of the ERP's log. guarded: rows that go to zero are looked at by hold.
-- Returns how many entries it made.
--
-- Other shops hear of it by the ERP's log, as of all that the ERP does: so none waits for another's locks, pause or guard.
--
-- Locks and figures are two statements: one alone would read the figures from before its wait for the lock.
-- +goose StatementBegin
create function spola.settle(of_shop text, articles bigint[], orders bigint[], guarded boolean) returns bigint
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    accounts text[];  -- rows of the shop's stock
    entries  spola.entry[];
    emptied  bigint;
    made     bigint := 0;
    own      text[] := array(select w.warehouse from spola.stock_warehouse w where w.shop = of_shop);
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'stock is settled in transactions that read what is committed, this one is %', current_setting('transaction_isolation');
    end if;
    accounts := array(
        select distinct k.stock_row
        from (
            select a.stock_row
            from unnest(articles) as i(id)
            cross join lateral (select x.stock_row from spola.stock_account x where x.article_id = i.id and x.shop = of_shop offset 0) a
            union all
            select a.stock_row
            from unnest(orders) as o(order_id)
            cross join lateral (select c.stock_row from spola.consumption c where c.shop = of_shop and c.order_id = o.order_id and c.stock_row <> '' offset 0) c
            cross join lateral (select x.stock_row from spola.stock_account x where x.shop = of_shop and x.stock_row = c.stock_row and x.article_id is not null offset 0) a
            union all
            select a.stock_row
            from (select r.stock_row from spola.restock r where r.shop = of_shop and not r.entered and cardinality(orders) > 0 offset 0) r
            cross join lateral (select x.stock_row from spola.stock_account x where x.shop = of_shop and x.stock_row = r.stock_row and x.article_id is not null offset 0) a
        ) k
        order by k.stock_row);
    if cardinality(accounts) > 0 then
        perform from unnest(accounts) as k(stock_row)
        cross join lateral (select from spola.stock_account a where a.shop = of_shop and a.stock_row = k.stock_row for update) a;
        entries := spola.recount(of_shop, orders);
    end if;
    if cardinality(orders) > 0 and exists (select from spola.restock r where r.shop = of_shop and not r.entered) then
        with due as (
            update spola.restock r set entered = true
            where not r.entered and r.shop = of_shop
            returning r.stock_row, r.order_id, r.pieces
        )
        select entries || array_agg(row(of_shop, d.stock_row, 'restock', d.pieces, 'order ' || d.order_id)::spola.entry order by d.stock_row, d.order_id)
        into entries
        from due d
        join unnest(accounts) as k(stock_row) on k.stock_row = d.stock_row;
    end if;
    if cardinality(accounts) = 0 then
        return 0;
    end if;

    -- What the ERP alone did: what it can promise, and what it counts of what the shop has subtracted.
    with now as materialized (
        select a.shop, a.stock_row, a.published, v.available - a.buffer + k.consumed - r.released - i.in_flight as supply
        from unnest(accounts) as n(stock_row)
        cross join lateral (select * from spola.stock_account a where a.shop = of_shop and a.stock_row = n.stock_row offset 0) a
        cross join lateral (
            select case when cardinality(own) = 0 then v.available else coalesce((
                select sum(w.available) from erp.availability_by_warehouse w where w.article_id = a.article_id and w.warehouse = any (own)), 0)::bigint end as available
            from erp.availability v
            where v.article_id = a.article_id
            offset 0
        ) v
        cross join lateral (select coalesce((select t.k from spola.stock_total t where t.shop = of_shop and t.stock_row = n.stock_row), 0) as consumed) k
        cross join lateral (select coalesce(sum(x.pieces), 0)::bigint as released from spola.closed_short x where x.shop = of_shop and x.stock_row = n.stock_row) r
        cross join lateral (select coalesce(sum(x.pieces), 0)::bigint as in_flight from spola.in_flight x where x.shop = of_shop and x.stock_row = n.stock_row) i
        where v.available - a.buffer + k.consumed - r.released - i.in_flight <> a.published
    ), moved as (
        update spola.stock_account a set published = n.supply from now n where a.shop = of_shop and a.stock_row = n.stock_row
    )
    select entries || array_agg(row(n.shop, n.stock_row, 'delta', n.supply - n.published, '')::spola.entry order by n.stock_row),
        count(*) filter (where n.published > 0 and n.supply <= 0)
    into entries, emptied
    from now n;
    if guarded then
        perform spola.hold(of_shop, emptied, 5, 'go to zero');
    end if;
    made := coalesce(cardinality(entries), 0);
    if made > 0 then
        perform spola.append(entries);
    end if;
    return made;
end $$;
-- +goose StatementEnd

-- +goose Down
drop function spola.settle, spola.hold, spola.recount, spola.append, spola.refuse_restored;
drop type spola.entry;
drop table spola.stock_warehouse, spola.comparison, spola.reconciliation, spola.restock, spola.closed_short, spola.in_flight, spola.ledger, spola.stock_account, spola.stock_head, spola.stock_setting;
alter table spola.link drop restocks;
alter table spola.shop drop stock_buffer;
