-- What Spola has in the ERP's database, for taking it away. $1 is the shop.

-- name: running
-- Appliers of the shop that are connected.
select count(*) from pg_stat_activity where datname = current_database() and application_name ~ ('^spola [a-z]+ ' || $1 || '$')

-- name: others
select count(*) from spola.shop where shop <> $1

-- name: slots
select slot_name::text from pg_replication_slots where database = current_database() and (slot_name ~ '^spola' or slot_name = any($1)) order by 1

-- name: reading
-- Readers of the ERP's log: their slots can't be dropped.
select count(*) from pg_replication_slots where database = current_database() and (slot_name ~ '^spola' or slot_name = any($1)) and active

-- name: whole
-- Tables whose old rows are logged whole, for the log's sake.
select distinct format('alter table %s replica identity default', c.oid::regclass) from pg_publication_rel r
join pg_publication p on p.oid = r.prpubid and (p.pubname ~ '^spola' or p.pubname = any($1))
join pg_class c on c.oid = r.prrelid and c.relreplident = 'f' and c.relnamespace::regnamespace::text <> 'spola' order by 1

-- name: publications
select pubname::text from pg_publication where pubname ~ '^spola' or pubname = any($1) order by 1

-- name: schemas
select nspname::text from pg_namespace where nspname in ('canonical_' || $1, 'mirror_' || $1) order by 1

-- name: rows
-- Tables of schema spola with rows of one shop. Who decided what about it is nobody's to take away.
select format('delete from spola.%I where %I = %L', c.relname, a.attname, $1::text)
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attname in ('shop', 'source') and not a.attisdropped
where c.relnamespace = 'spola'::regnamespace and c.relkind = 'r' and c.relname <> 'audit'
order by c.relname

-- name: roles
select rolname::text from pg_roles where rolname in ('spola_applier', 'spola_cdc', 'spola_migrator', 'spola_reader') order by 1

-- name: kept
-- What stays: orders and customers that came from the shop, and whether there is a reference ERP to be remembered.
select (select count(*) from erp.orders o where o.shop = $1), (select count(*) from erp.customers c where c.reference like $1 || ':%'),
    to_regclass('spola.migrations_erp') is not null

-- name: everything
-- All of schema spola but who decided what, which is the merchant's, and the version of the reference ERP: without it a
-- later return could not tell what is there.
do $$
declare drops text;
begin
    select string_agg(o.drop, '; ' order by o.n, o.drop) into drops
    from (
        select 1 as n, format('drop table if exists %s cascade', c.oid::regclass) as drop
        from pg_class c where c.relnamespace = 'spola'::regnamespace and c.relkind = 'r' and c.relname not in ('audit', 'migrations_erp')
        union all
        select 2, format('drop routine if exists %s cascade', p.oid::regprocedure) from pg_proc p where p.pronamespace = 'spola'::regnamespace
        union all
        select 3, format('drop type if exists %s cascade', c.reltype::regtype)
        from pg_class c where c.relnamespace = 'spola'::regnamespace and c.relkind = 'c'
    ) o;
    if drops is not null then
        execute drops;
    end if;
    if to_regclass('spola.migrations_erp') is null and to_regclass('spola.audit') is null then
        drop schema spola;
    end if;
end $$
