-- When the ERP's database was restored from a backup, or has failed over to a standby that lacks the last commits: what was
-- found, and what is known to be lost since. internal/stock/DESIGN.md tells why.

-- +goose Up

-- Each `applier recover erp`. What it names as lost is looked for no more.
create table spola.recovery (
    id          bigint generated always as identity primary key,
    shop        text   not null,
    at          timestamptz not null default clock_timestamp(),
    who         text   not null,
    generation  bigint not null,  -- of the ERP's log: records up to here may name what this database has lost
    seq         bigint not null,
    lost_above  bigint not null,  -- entries of the shop's ledger with numbers above this, and up to the next, may be lost: they are not looked for, and not given out again
    lost_to     bigint not null,
    tick        bigint not null,  -- of the shop's marker: accounts and shop are compared again once the mirror has a later one
    found       jsonb  not null   -- as it was told
);
create index on spola.recovery (shop, id);

-- unknown_marks are those of marks of the shop's stock rows, each with the number of the entry that it was delivered by, whose entry
-- this database does not have and is not known to have lost.
create function spola.unknown_marks(of_shop text, stock_rows text[], numbers bigint[]) returns table (stock_row text, number bigint)
language sql stable as $$
    select m.stock_row, m.number
    from unnest(stock_rows, numbers) as m(stock_row, number)
    where m.number > 0
        and not exists (select from spola.ledger l where l.shop = of_shop and l.no = m.number and l.stock_row = m.stock_row)
        and not exists (select from spola.recovery r where r.shop = of_shop and m.number > r.lost_above and m.number <= r.lost_to)
$$;

-- read_again tells whether the mirror has all that the shop had taken when the ERP was recovered last. Until then it shows the
-- shop of the backup, and what the accounts say of it is no drift.
-- +goose StatementBegin
create function spola.read_again(of_shop text) returns boolean
language plpgsql stable as $$
declare
    due  bigint := (select r.tick from spola.recovery r where r.shop = of_shop order by r.id desc limit 1);
    seen bigint;
begin
    if coalesce(due, 0) = 0 then
        return true;
    elsif to_regclass(format('%I.spola_marker', 'mirror_' || of_shop)) is null then
        return false;
    end if;
    execute format('select m.number from %I.spola_marker m where m.name = ''tick''', 'mirror_' || of_shop) into seen;
    return coalesce(seen, 0) > due;
end $$;
-- +goose StatementEnd

-- unlike are the open accounts of a shop that are not what their rows there have really taken (taken; no row: nothing).
create function spola.unlike(of_shop text, stock_rows text[], taken bigint[]) returns table (stock_row text, target bigint, applied bigint)
language sql stable as $$
    select a.stock_row, a.target, coalesce(m.applied, 0)
    from spola.stock_account a
    left join unnest(stock_rows, taken) as m(stock_row, applied) on m.stock_row = a.stock_row
    where a.shop = of_shop and a.article_id is not null and a.target <> coalesce(m.applied, 0)
$$;

-- recover_accounts lets the accounts of a shop go on behind a restore. applied is what each row of the shop has really taken.
-- An account that wants more is brought down to that, so that nothing goes on sale by a figure that is out of date; one that wants less stays, and the shop
-- gives the difference back first of all. What either is in truth, reconciliation finds once the shop's log was read again.
-- Rows that this database knows nothing of get a closed account: whoever opens it goes on from what was applied.
-- Entries are numbered from above on. Returns how many rows the shop gives pieces back of.
-- +goose StatementBegin
create function spola.recover_accounts(of_shop text, stock_rows text[], applied bigint[], above bigint) returns bigint
language plpgsql as $$
declare
    entries spola.entry[];
begin
    insert into spola.stock_head (shop) values (of_shop) on conflict do nothing;
    perform from spola.stock_account a where a.shop = of_shop order by a.stock_row for update;
    update spola.stock_head h set no = greatest(h.no, above), restored = null where h.shop = of_shop;
    insert into spola.stock_account (shop, stock_row) select of_shop, m.stock_row from unnest(stock_rows) as m(stock_row) on conflict do nothing;
    update spola.stock_account a set target = m.applied
    from unnest(stock_rows, applied) as m(stock_row, applied)
    where a.shop = of_shop and a.stock_row = m.stock_row and a.article_id is null;
    select array_agg(row(of_shop, u.stock_row, 'repair', least(u.applied - u.target, 0), 'the ERP''s database was restored')::spola.entry order by u.stock_row)
    into entries
    from spola.unlike(of_shop, stock_rows, applied) u;
    if entries is null then
        return 0;
    end if;
    perform spola.append(entries);
    return (select count(*) from unnest(entries) as e where e.pieces = 0);
end $$;
-- +goose StatementEnd

-- announce_accounts says once more what is owed to each row of a shop that has taken something else: to a shop that was restored and passes over
-- the entries between. Returns how many rows.
-- +goose StatementBegin
create function spola.announce_accounts(of_shop text, stock_rows text[], applied bigint[]) returns bigint
language plpgsql as $$
declare
    entries spola.entry[];
begin
    perform from spola.stock_account a where a.shop = of_shop order by a.stock_row for update;
    select array_agg(row(of_shop, u.stock_row, 'repair', 0, 'the shop''s database was restored')::spola.entry order by u.stock_row)
    into entries
    from spola.unlike(of_shop, stock_rows, applied) u;
    if entries is null then
        return 0;
    end if;
    perform spola.append(entries);
    return cardinality(entries);
end $$;
-- +goose StatementEnd

-- +goose Down
drop function spola.announce_accounts, spola.recover_accounts, spola.unlike, spola.read_again, spola.unknown_marks;
drop table spola.recovery;
