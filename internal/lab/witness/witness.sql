-- The ERP's own witness: what its triggers see of each change of a table, in the transaction of the change, so that it
-- stands here if and only if the change was committed. Rows as PostgreSQL shows them, times in UTC.
create schema if not exists lab;

create table if not exists lab.witness (
    n       bigint generated always as identity primary key,
    tx      bigint not null, -- as its number of 32 bits
    relation text not null,
    op      text not null,
    before  text,
    after   text
);

create or replace function lab.witness() returns trigger
    language plpgsql set timezone = 'UTC' set datestyle = 'ISO'
as $$
begin
    insert into lab.witness (tx, relation, op, before, after)
    values ((pg_current_xact_id()::text::numeric % 4294967296)::bigint, tg_table_schema || '.' || tg_table_name, tg_op,
        case when tg_op <> 'INSERT' then old::text end, case when tg_op <> 'DELETE' then new::text end);
    return null;
end $$;
