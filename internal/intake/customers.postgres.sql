-- Customers of the orders of a batch, and changes of accounts without an order. The same for all platforms.
--
-- An account or a guest is known to the ERP by its reference. Where the shop file says so, one that is new is first
-- looked for among the ERP's customers; a match holds for good (spola.customer_match), and what is matched is the
-- ERP's: nothing of it changes from here.

-- What one source says of a customer, and for what it leaves out what another says. Nothing is emptied.
create function {{.Schema}}.customer_over(a erp.customer_in, b erp.customer_in) returns erp.customer_in language sql immutable as $$
    select row(b.reference, coalesce(a.kind, b.kind), coalesce(a.first_name, nullif(b.first_name, '')), coalesce(a.last_name, nullif(b.last_name, '')),
        coalesce(a.company, nullif(b.company, '')), coalesce(a.email, nullif(b.email, '')), coalesce(a.phone, nullif(b.phone, '')),
        coalesce(a.language, nullif(b.language, '')), coalesce(a.tax_code, nullif(b.tax_code, '')), coalesce(a.vat_number, nullif(b.vat_number, '')),
        coalesce(a.pec, nullif(b.pec, '')), coalesce(a.sdi, nullif(b.sdi, '')), coalesce(a.address, b.address))::erp.customer_in
$$;

-- Whether two fingerprints (date, e-mail, invoice prefix) differ in the e-mail alone: the same order of a person who has
-- another address, or is to be forgotten. Equal ones are the same, too.
create function {{.Schema}}.same_but_email(a text, b text) returns boolean language sql immutable
return a = b or a ~ '^\d' and regexp_replace(a, '\|.*\|', '|') = regexp_replace(b, '\|.*\|', '|');

create type {{.Schema}}.account as (reference text, customer erp.customer_in);

-- What the shop says of these accounts, of each once.
create function {{.Schema}}.all_accounts(ids bigint[]) returns {{.Schema}}.account[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
    return array(select distinct on (a.account) row('{{.Shop}}:account:' || a.account, a.customer)::{{.Schema}}.account from {{.Schema}}.accounts(ids) a order by a.account);
end $$;

-- The customers of these orders in the ERP, by their references, in the order of orders: made, brought up to date
-- or matched. A result for each reference.
create function {{.Schema}}.bring_customers(refs text[], customers erp.customer_in[], ids bigint[], matching boolean) returns erp.result[]
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = off set enable_hashjoin = on set enable_mergejoin = off set enable_seqscan = off as $$
declare
    accounts {{.Schema}}.account[];
    wanted   erp.customer_in[];
begin
    if cardinality(ids) > 0 then
        accounts := {{.Schema}}.all_accounts(ids);
    end if;
    if cardinality(refs) = 1 then
        wanted := array[{{.Schema}}.customer_over((accounts[1]).customer, customers[1])];
    else
        -- Of several orders of one customer the latest speaks, in the order in which they first came.
        wanted := array(
            select {{.Schema}}.customer_over(a.customer, customers[w.latest])
            from (select u.reference, min(u.n) as first, max(u.n) as latest from unnest(refs) with ordinality as u(reference, n) group by u.reference) w
            left join unnest(accounts) as a on a.reference = w.reference
            order by w.first);
    end if;
    if matching then
        return {{.Schema}}.match_customers(wanted);
    end if;
    return array(select r from erp.import_customers(wanted) r);
end $$;

-- Which customers of the ERP fit: by the first of a customer's keys that anybody has; of several those that fit its
-- further keys too. A key that is malformed finds nobody.
--   n       place in the array     ids   null: nobody fits     rule  of the first key that somebody has
--   sure    it is the customer's very first key: no customer who is made meanwhile can fit better
--   shares  an earlier one of the array has a key of this one
create function {{.Schema}}.fitting(customers erp.customer_in[], rules text[])
returns table (n bigint, ids bigint[], rule text, sure boolean, shares boolean)
language plpgsql stable set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
return query
with keyed as materialized (
    select c.n, row_number() over (partition by c.n order by r.n) as rank, r.rule, k.key,
        row_number() over (partition by r.rule, k.key order by c.n) > 1 as shares
    from unnest(customers) with ordinality as c(reference, kind, first_name, last_name, company, email, phone, language, tax_code, vat_number, pec, sdi, address, n)
    cross join unnest(rules) with ordinality as r(rule, n)
    cross join lateral (select case r.rule
        when 'email' then c.email
        when 'vat_number' then case when spola.vat_number_flaw(c.vat_number) is null then c.vat_number end
        when 'tax_code' then case when spola.tax_code_flaw(c.tax_code) is null then c.tax_code end end as key) k
    where k.key <> ''
), found as (
    select k.n, k.rank, k.rule, e.customer_id from keyed k
    join erp.customers e on lower(e.email) = k.key and e.email <> '' where k.rule = 'email'
    union all
    select k.n, k.rank, k.rule, e.customer_id from keyed k
    join erp.customers e on upper(replace(e.vat_number, ' ', '')) in (k.key, 'IT' || k.key) and e.vat_number <> '' where k.rule = 'vat_number'
    union all
    select k.n, k.rank, k.rule, e.customer_id from keyed k
    join erp.customers e on upper(replace(e.tax_code, ' ', '')) = k.key and e.tax_code <> '' where k.rule = 'tax_code'
), scored as (
    -- A surer key outweighs all that follow.
    select f.n, f.customer_id, sum(power(2, -f.rank)) as score, min(f.rank) as rank, (array_agg(f.rule order by f.rank))[1] as rule from found f group by f.n, f.customer_id
), best as (
    select x.n, array_agg(x.customer_id order by x.customer_id) as ids, min(x.rule) as rule, min(x.rank) = 1 as sure
    from (select s.*, max(s.score) over (partition by s.n) as most from scored s) x
    where x.score = x.most
    group by x.n
)
select g.n, b.ids, b.rule, coalesce(b.sure, false), exists (select from keyed k where k.n = g.n and k.shares)
from generate_series(1::bigint, cardinality(customers)) as g(n)
left join best b on b.n = g.n;
end $$;

-- Finds or makes customers as if they came one after the other, in rounds: one that shares a key with an
-- earlier one that is not settled yet waits, since that one may become the customer whom it fits. Most
-- batches take one round.
create function {{.Schema}}.match_customers(wanted erp.customer_in[]) returns erp.result[]
language plpgsql as $$
declare
    rules   text[] := (select s.matching from spola.shop s where s.shop = '{{.Shop}}');
    refs    text[] := array(select w.reference from unnest(wanted) as w);
    known   text[];
    results erp.result[];
    rest    erp.customer_in[];
    fresh   erp.customer_in[];
    round   erp.result[];
begin
    results := array(select row(m.reference, e.customer_id, true, true, null, null)::erp.result
        from spola.customer_match m join erp.customers e on e.customer_id = m.erp_customer
        where m.shop = '{{.Shop}}' and m.reference = any (refs));
    known := array(select e.reference from erp.customers e where e.reference = any (refs));
    results := results || array(select r from erp.import_customers(array(select w from unnest(wanted) as w where w.reference = any (known))) r);
    rest := array(select w from unnest(wanted) as w where not exists (select from unnest(results) as r where r.reference = w.reference));
    while cardinality(rest) > 0 loop
        with judged as materialized (
            select f.* from {{.Schema}}.fitting(rest, rules) f where f.sure or not f.shares
        ), kept as (
            insert into spola.customer_match (shop, reference, erp_customer, by)
            select '{{.Shop}}', (rest[j.n]).reference, j.ids[1], j.rule from judged j where cardinality(j.ids) = 1
            on conflict (shop, reference) do update set erp_customer = excluded.erp_customer, by = excluded.by, at = now()
        )
        select array_agg(case when cardinality(j.ids) = 1 then row((rest[j.n]).reference, j.ids[1], true, true, null, null)::erp.result
                when j.ids is not null then row((rest[j.n]).reference, null, false, false, 'ambiguous',
                    format('%s fits the ERP''s customers %s by %s.', coalesce((rest[j.n]).email, (rest[j.n]).reference), array_to_string(j.ids, ', '), j.rule))::erp.result
                else row((rest[j.n]).reference, null, null, false, null, null)::erp.result end)
        into round
        from judged j;
        fresh := array(select w from unnest(rest) as w join unnest(round) as r on r.reference = w.reference where r.ok is null);
        results := results || array(select r from unnest(round) as r where r.ok is not null) || array(select r from erp.import_customers(fresh) r);
        rest := array(select w from unnest(rest) as w where not exists (select from unnest(round) as r where r.reference = w.reference));
    end loop;
    return results;
end $$;

-- Brings what changed in accounts to those customers that were made for them. What was taken is not touched: an
-- order has its own copy. What the ERP refuses is flagged.
create function {{.Schema}}.bring_accounts(ids bigint[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set jit = off
set enable_nestloop = on set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    known    text[] := array(select e.reference from erp.customers e where e.reference = any (array(select '{{.Shop}}:account:' || i from unnest(ids) as i)));
    accounts {{.Schema}}.account[];
begin
    if cardinality(known) = 0 then
        return;
    end if;
    accounts := {{.Schema}}.all_accounts(array(select split_part(k, ':', 3)::bigint from unnest(known) as k));
    delete from spola.flag f using unnest(accounts) as a where f.shop = '{{.Shop}}' and f.subject = 'account ' || split_part(a.reference, ':', 3);
    insert into spola.flag (shop, subject, field, value, what)
    select '{{.Shop}}', 'account ' || split_part(r.reference, ':', 3), 'account', '', coalesce(r.reason || ': ', '') || coalesce(r.detail, 'refused by the ERP')
    from erp.import_customers(array(
        select {{.Schema}}.customer_over(a.customer, row(a.reference, null, null, null, null, null, null, null, null, null, null, null, null)::erp.customer_in) from unnest(accounts) as a)) r
    where not r.ok
    union all
    select '{{.Shop}}', 'account ' || split_part(a.reference, ':', 3), t.field, t.value, t.what
    from unnest(accounts) as a
    cross join lateral spola.tax_flaws((a.customer).kind, ((a.customer).address).country, (a.customer).tax_code, (a.customer).vat_number, (a.customer).sdi, (a.customer).pec) t;
end $$;

-- Asks for parked orders again whose customer is one only by now, or whose shop file takes them now. They are few.
create function {{.Schema}}.awake_customers(clock bigint) returns void language sql as $$
    insert into spola.due (shop, order_id, tick, settling)
    select p.shop, p.order_id, clock, false
    from spola.parked p
    join spola.shop s on s.shop = p.shop
    where p.shop = '{{.Shop}}' and (p.reason = 'malformed_tax_data' and s.malformed = 'take'
        or p.reason = 'customer_ambiguous' and (
            select coalesce(cardinality(f.ids), 0) < 2
            from jsonb_populate_record(null::erp.customer_in, p.payload -> 'customer') as c
            cross join lateral {{.Schema}}.fitting(array[{{.Schema}}.customer_over((
                select a.customer from {{.Schema}}.accounts(array[substring(c.reference from '^{{.Shop}}:account:(\d+)$')::bigint]) a), c::erp.customer_in)], s.matching) f))
    on conflict do nothing
$$;
