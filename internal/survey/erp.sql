-- What `spola init` and `spola doctor` look at in the ERP's database. Catalogue reads, which need no right;
-- a line "-- name:" begins a statement.

-- name: server
select current_setting('server_version'), current_setting('server_version_num')::int, pg_encoding_to_char(encoding), datname::text, current_user::text,
    has_database_privilege(oid, 'CREATE')
from pg_database where datname = current_database()

-- Fields of the types and columns of the views of a schema, in their order.
-- name: columns
select c.relname::text, array_agg(a.attname || ' ' || a.atttypid::regtype::text order by a.attnum)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = $1 and c.relkind in ('r', 'v', 'm', 'c', 'f', 'p')
group by c.relname

-- name: functions
select p.proname::text, coalesce((select string_agg(t::regtype::text, ', ' order by k) from unnest(p.proargtypes) with ordinality as a(t, k)), '')
    || ' -> ' || case when p.proretset then 'setof ' else '' end || p.prorettype::regtype::text,
    p.oid::regprocedure::text, has_function_privilege(p.oid, 'execute')
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = $1

-- The rights that an applier needs and this role has not, each as what it may not do and the statement that grants it.
-- $1 is the schema of the ERP, $2 the shop's schemas.
-- name: rights
with role as (select quote_ident(current_user) as name),
schemas as (
    select n.oid, n.nspname::text as name from pg_namespace n where n.nspname = any (array['spola', $1::text])
)
select * from (
    select format('make temporary tables in database %s', current_database()) as what,
        format('GRANT TEMPORARY ON DATABASE %I TO %s', current_database(), role.name) as mend
    from role where not has_database_privilege(current_database(), 'TEMPORARY')
    union all
    select format('use schema %s', s.name), format('GRANT USAGE ON SCHEMA %I TO %s', s.name, role.name)
    from schemas s, role where not has_schema_privilege(s.oid, 'USAGE')
    union all
    select format('write table spola.%s', c.relname),
        format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA spola TO %s', role.name)
    from schemas s join pg_class c on c.relnamespace = s.oid and c.relkind = 'r' and c.relname not like 'migrations\_%', role
    where s.name = 'spola' and has_schema_privilege(s.oid, 'USAGE')
        and not (has_table_privilege(c.oid, 'SELECT') and has_table_privilege(c.oid, 'INSERT') and has_table_privilege(c.oid, 'UPDATE') and has_table_privilege(c.oid, 'DELETE'))
    union all
    select format('read %s.%s', s.name, c.relname), format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %s', s.name, role.name)
    from schemas s join pg_class c on c.relnamespace = s.oid and c.relkind in ('v', 'm'), role
    where s.name = $1 and has_schema_privilege(s.oid, 'USAGE') and not has_table_privilege(c.oid, 'SELECT')
    union all
    select format('call %s.%s', s.name, p.proname), format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA %I TO %s', s.name, role.name)
    from schemas s join pg_proc p on p.pronamespace = s.oid, role
    where s.name = $1 and has_schema_privilege(s.oid, 'USAGE') and not has_function_privilege(p.oid, 'EXECUTE')
    union all
    select format('make schema %s', w.name), format('CREATE SCHEMA %I AUTHORIZATION %s', w.name, role.name)
    from unnest($2::text[]) as w(name), role
    where not exists (select from pg_namespace n where n.nspname = w.name) and not has_database_privilege(current_database(), 'CREATE')
    union all
    select format('make tables in schema %s', n.nspname), format('ALTER SCHEMA %I OWNER TO %s', n.nspname, role.name)
    from pg_namespace n, role
    where n.nspname = any ($2::text[]) and not has_schema_privilege(n.oid, 'CREATE')
) as lacking

-- name: articles
select sku from erp.articles

-- Products and option values of a shop that have an article for good, and whether by hand or for their SKU.
-- name: mapped
select product, variant, by <> 'sku' from spola.article where shop = $1
