-- Empties schema {{.Schema}}, and makes it if it is missing. It is not dropped and made anew: the
-- applier may own it and yet have no right to make schemas (deploy/grants), and with it would go the
-- default privileges of those who read it.
do $$
declare drops text;
begin
    if to_regnamespace('{{.Schema}}') is null then
        create schema {{.Schema}};
    end if;
    -- Each may have gone with another, so all are named first.
    select string_agg(o.drop, '; ') into drops
    from (
        select format('drop routine if exists %s cascade', p.oid::regprocedure)
        from pg_proc p
        where p.pronamespace = '{{.Schema}}'::regnamespace
        union all
        select format('drop view if exists %s cascade', c.oid::regclass)
        from pg_class c
        where c.relnamespace = '{{.Schema}}'::regnamespace and c.relkind = 'v'
        union all
        select format('drop type if exists %s cascade', c.reltype::regtype)
        from pg_class c
        where c.relnamespace = '{{.Schema}}'::regnamespace and c.relkind = 'c'
    ) o(drop);
    if drops is not null then
        execute drops;
    end if;
end
$$;
