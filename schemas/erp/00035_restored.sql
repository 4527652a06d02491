-- Numbers of documents behind a restore of this database: those that were given out after the backup stand on paper
-- somewhere, and are not given out again. That leaves a hole; erp.skipped_number says why it is there.

-- +goose Up

-- Holes in the numbering, and their reason: for who is asked for the missing documents.
create table erp.skipped_number (
    series text   not null,
    year   smallint not null,
    first  bigint not null,
    last   bigint not null check (last >= first),
    why    text   not null check (why <> ''),
    at     timestamptz not null default clock_timestamp(),
    primary key (series, year, first)
);

-- hold_numbers lets no document be issued until lift_numbers is called: nobody knows which numbers were given out.
-- +goose StatementBegin
create function erp.hold_numbers(why text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    insert into erp.numbers_held (why) values (hold_numbers.why) on conflict do nothing;
end $$;
-- +goose StatementEnd

-- lift_numbers goes on behind these numbers, the last that are known to have been given out in a series and year, and lets documents be
-- issued again. Web orders (W) come again from the shop, in their order, and keep their numbers.
-- +goose StatementBegin
create function erp.lift_numbers(series text[], years smallint[], numbers bigint[], why text) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    lifted bigint;
begin
    perform from erp.counter k order by k.series, k.year for update;
    insert into erp.counter (series, year, last)
    select distinct g.series, g.year, 0 from unnest(lift_numbers.series, years) as g(series, year) where g.series <> 'W' on conflict do nothing;
    with given as (
        select g.series, g.year, max(g.number) as last from unnest(lift_numbers.series, years, numbers) as g(series, year, number) where g.series <> 'W' group by 1, 2
    ), skipped as (
        insert into erp.skipped_number (series, year, first, last, why)
        select g.series, g.year, k.last + 1, g.last, lift_numbers.why from given g join erp.counter k using (series, year) where g.last > k.last
        returning *
    ), moved as (
        update erp.counter k set last = s.last from skipped s where k.series = s.series and k.year = s.year
    )
    select coalesce(sum(s.last - s.first + 1), 0) into lifted from skipped s;
    delete from erp.numbers_held;
    return lifted;
end $$;
-- +goose StatementEnd

-- As all that runs with its owner's rights.
revoke execute on function erp.hold_numbers(text), erp.lift_numbers(text[], smallint[], bigint[], text) from public;

-- +goose Down
drop function erp.lift_numbers, erp.hold_numbers;
drop table erp.skipped_number;
