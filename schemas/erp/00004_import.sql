-- Customers and orders come in, a call for a batch.

-- +goose Up

-- What is known of a customer from the shop once a change has come: a field that it leaves out (null) stays.
-- +goose StatementBegin
create function erp.customer_after(old erp.customer_in, n erp.customer_in) returns erp.customer_in
language sql immutable
as $$
    select row(n.reference, coalesce(n.kind, old.kind), coalesce(n.first_name, old.first_name), coalesce(n.last_name, old.last_name),
        coalesce(n.company, old.company), coalesce(n.email, old.email), coalesce(n.phone, old.phone), coalesce(n.language, old.language),
        coalesce(n.tax_code, old.tax_code), coalesce(n.vat_number, old.vat_number), coalesce(n.pec, old.pec), coalesce(n.sdi, old.sdi),
        coalesce(n.address, old.address))::erp.customer_in
$$;
-- +goose StatementEnd

-- import_customers makes customers, and brings later changes of the shop's account to them: a field that
-- somebody changed in the ERP since keeps its value, and so does one that is left out (null).
-- +goose StatementBegin
create function erp.import_customers(customers erp.customer_in[]) returns setof erp.result
language plpgsql security definer
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    refs      text[] := array(select n.reference from unnest(customers) n
        where n.reference <> '' and (n.kind is null or n.kind in ('private', 'company', 'public'))
        group by n.reference having count(*) = 1);
    known     text[];
    known_ids bigint[];
begin
    select coalesce(array_agg(k.reference), '{}'), array_agg(k.id) into known, known_ids
    from (select c.id, c.reference from erp.customer c where c.reference = any(refs) order by c.id + 0 for update) k;
    if cardinality(known) > 0 then
        update erp.customer c set
            kind       = case when c.kind = (c.imported).kind then coalesce(n.kind, c.kind) else c.kind end,
            first_name = case when c.first_name = coalesce((c.imported).first_name, '') then coalesce(n.first_name, c.first_name) else c.first_name end,
            last_name  = case when c.last_name = coalesce((c.imported).last_name, '') then coalesce(n.last_name, c.last_name) else c.last_name end,
            company    = case when c.company = coalesce((c.imported).company, '') then coalesce(n.company, c.company) else c.company end,
            email      = case when c.email = coalesce((c.imported).email, '') then coalesce(n.email, c.email) else c.email end,
            phone      = case when c.phone = coalesce((c.imported).phone, '') then coalesce(n.phone, c.phone) else c.phone end,
            language   = case when c.language = coalesce((c.imported).language, '') then coalesce(n.language, c.language) else c.language end,
            tax_code   = case when c.tax_code = coalesce((c.imported).tax_code, '') then coalesce(n.tax_code, c.tax_code) else c.tax_code end,
            vat_number = case when c.vat_number = coalesce((c.imported).vat_number, '') then coalesce(n.vat_number, c.vat_number) else c.vat_number end,
            pec        = case when c.pec = coalesce((c.imported).pec, '') then coalesce(n.pec, c.pec) else c.pec end,
            sdi        = case when c.sdi = coalesce((c.imported).sdi, '') then coalesce(n.sdi, c.sdi) else c.sdi end,
            address    = case when c.address is not distinct from (c.imported).address then coalesce(n.address, c.address) else c.address end,
            imported   = erp.customer_after(c.imported, n)
        from unnest(customers) n
        where c.reference = any(known) and c.reference || '' = n.reference and c.imported is distinct from erp.customer_after(c.imported, n);
    end if;

    return query
    with made as (
        insert into erp.customer as c (reference, kind, first_name, last_name, company, email, phone, language,
            tax_code, vat_number, pec, sdi, address, imported)
        select n.reference, n.kind, coalesce(n.first_name, ''), coalesce(n.last_name, ''), coalesce(n.company, ''),
            coalesce(n.email, ''), coalesce(n.phone, ''), coalesce(n.language, ''), coalesce(n.tax_code, ''),
            coalesce(n.vat_number, ''), coalesce(n.pec, ''), coalesce(n.sdi, ''), n.address, n
        from unnest(customers) n
        join unnest(refs) r on r = n.reference
        left join unnest(known) k on k = n.reference
        where k is null and n.kind is not null
        returning c.id, c.reference
    )
    select n.reference, coalesce(k.id, m.id), coalesce(k.id, m.id) is not null, k.id is not null,
        case when k.id is not null or m.id is not null then null
            when coalesce(n.reference, '') = '' then 'reference'
            when n.kind is null or n.kind not in ('private', 'company', 'public') then 'kind'
            else 'repeated' end,
        case when k.id is not null or m.id is not null then null
            when coalesce(n.reference, '') = '' then 'a customer without a reference'
            when n.kind is null or n.kind not in ('private', 'company', 'public')
                then format('kind is %L: private, company or public is expected', n.kind)
            else 'the same reference stands twice in one call' end
    from unnest(customers) n
    left join unnest(known, known_ids) as k(reference, id) on k.reference = n.reference
    left join made m on m.reference = n.reference;
end $$;
-- +goose StatementEnd

-- What check_orders found about one order.
create type erp.order_check as (
    rank      bigint,        -- place in the call, from 1
    reference text,
    id        bigint,        -- of the order that has this reference
    year      smallint,      -- of its number, in Italian time
    reason    text,          -- null: nothing wrong
    detail    text,
    number    bigint         -- given to it in this call
);

-- check_orders looks at every order of a call for all that a table or an accountant would refuse.
-- Rows without their order are a mistake of the caller and end the call.
-- +goose StatementBegin
create function erp.check_orders(orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[],
    vat erp.order_vat_in[], payments erp.order_payment_in[]) returns erp.order_check[]
language plpgsql
as $$
declare
    most    constant bigint := 1000000000000;  -- cents; keeps every sum far from overflow
    result  erp.order_check[];
    parts   bigint;
    strays  text;
begin
    with o as materialized (
        select o.rank, o.reference, o.placed_at, o.customer, o.kind, o.shipping is null as no_address, o.currency, o.total,
            o.customer_currency, o.customer_factor, o.customer_total
        from unnest(orders) with ordinality o(reference, shop, shop_number, placed_at, customer, kind, email, phone, language,
            note, tax_code, vat_number, pec, sdi, invoice_wanted, billing, shipping, shipping_code, shipping_method,
            currency, total, customer_currency, customer_factor, customer_total, rank)
    ), repeated as (
        select o.reference from o group by o.reference having count(*) > 1
    ), misnumbered as (
        select distinct n.reference
        from (
            select n.reference
            from (
                select 1 as part, l.reference, l.line from unnest(lines) l
                union all select 2, c.reference, c.line from unnest(charges) c
                union all select 3, p.reference, p.line from unnest(payments) p
            ) n
            group by n.part, n.reference, n.line having count(*) > 1 or n.line is null or n.line < 1
        ) n
    ), known as materialized (
        select s.reference, s.id from erp.sales_order s where s.reference = any(array(select o.reference from o))
    ), customer as materialized (
        select c.id from erp.customer c where c.id = any(array(select o.customer from o))
    ), article as materialized (
        select a.id from erp.article a where a.id = any(array(select l.article from unnest(lines) l))
    ), line as (
        select l.reference, count(*) as n, sum(l.gross) as gross,
            min(l.line) filter (where a.id is null) as bad_article,
            min(l.article) filter (where a.id is null) as the_article,
            bool_or(a.id is null) as no_article,
            min(l.line) filter (where l.quantity is null or l.quantity not between 1 and 1000000) as bad_quantity,
            min(l.quantity) filter (where l.quantity not between 1 and 1000000) as the_quantity,
            bool_or(l.quantity is null) as no_quantity,
            coalesce(bool_or(l.gross is null or l.gross not between 0 and most
                or l.unit_gross is null or not l.unit_gross between 0 and most), false) as bad_amount
        from unnest(lines) l
        left join article a on a.id = l.article
        group by l.reference
    ), charge as (
        select c.reference, count(*) as n, sum(c.gross) as gross,
            bool_or(case c.kind when 'charge' then c.gross between 0 and most when 'discount' then c.gross between -most and 0
                else false end is not true) as bad_amount
        from unnest(charges) c group by c.reference
    ), rate as (
        select r.reference, r.vat_rate, r.vat_country, r.nature, sum(r.goods) as goods, sum(r.gross) as gross,
            count(*) filter (where r.stated) as n,
            count(r.gross) > 1 or coalesce(sum(r.goods), 0) <> coalesce(sum(r.gross), 0) or bool_or(r.bad) as bad,
            not coalesce(r.vat_rate between 0 and 100 and r.vat_rate = round(r.vat_rate, 3)
                and length(r.vat_country) = 2 and (r.vat_rate = 0) = (r.nature <> ''), false) as bad_rate
        from (
            select l.reference, l.vat_rate, l.vat_country, coalesce(l.vat_nature, '') as nature, l.gross as goods,
                null::bigint as gross, false as stated, false as bad
            from unnest(lines) l
            union all
            select c.reference, c.vat_rate, c.vat_country, coalesce(c.vat_nature, ''), c.gross, null, false, false from unnest(charges) c
            union all
            select v.reference, v.vat_rate, v.vat_country, coalesce(v.vat_nature, ''), null, v.gross, true,
                not coalesce(v.gross between -most and most and v.net between -most and most and v.vat = v.gross - v.net
                    and v.vat_rate between 0 and 100 and v.net = round(v.gross * 100 / (100 + v.vat_rate)), false)
            from unnest(vat) v
        ) r
        group by r.reference, r.vat_rate, r.vat_country, r.nature
    ), tax as (
        select r.reference, sum(r.n) as n, bool_or(r.bad) as bad, bool_or(r.bad_rate) as bad_rate,
            string_agg(format('%s %% %s %s: %s in lines and charges, %s in VAT', r.vat_rate, r.vat_country, r.nature,
                coalesce(r.goods, 0), coalesce(r.gross, 0)), '; ') filter (where r.bad or r.bad_rate) as detail
        from rate r group by r.reference
    ), payment as (
        select p.reference, count(*) as n, sum(p.amount) as amount,
            bool_or((p.amount between -most and most and p.kind in ('paid', 'to_collect', 'credit')) is not true) as bad
        from unnest(payments) p group by p.reference
    ), verdict as (
        select o.rank, o.reference, k.id,
            case when o.placed_at between '1990-01-01' and '2199-12-30'
                then extract(year from o.placed_at at time zone 'Europe/Rome')::smallint end as year,
            case
                when coalesce(o.reference, '') = '' then 'reference'
                when d.reference is not null then 'repeated'
                when not coalesce(o.placed_at between '1990-01-01' and '2199-12-30', false) then 'placed_at'
                when o.kind is null or o.kind not in ('private', 'company', 'public') then 'kind'
                when u.id is null then 'customer'
                when o.no_address then 'address'
                when length(o.currency) is distinct from 3 or length(o.customer_currency) is distinct from 3
                    or not coalesce(o.customer_factor > 0 and o.customer_factor < 1e9, false)
                    or not coalesce(o.customer_total between 0 and 1e15, false) then 'currency'
                when l.reference is null then 'no_lines'
                when m.reference is not null then 'line_number'
                when l.no_article then 'article'
                when l.bad_quantity is not null or l.no_quantity then 'quantity'
                when l.bad_amount or coalesce(c.bad_amount, false)
                    or not coalesce(o.total between 0 and most, false) then 'amount'
                when t.bad_rate then 'rate'
                when l.gross + coalesce(c.gross, 0) <> o.total then 'total'
                when t.bad then 'vat'
                when coalesce(p.bad, false) or coalesce(p.amount, 0) <> o.total then 'payments'
            end as reason,
            case when l.no_article then format('line %s: no article %s', l.bad_article, l.the_article) end as article_detail,
            case when l.bad_quantity is not null or l.no_quantity
                then format('line %s: quantity is %s, 1 to 1000000 is expected', l.bad_quantity, coalesce(l.the_quantity::text, 'missing')) end as quantity_detail,
            l.gross as lines, coalesce(c.gross, 0) as charges, coalesce(p.amount, 0) as paid, o.total, t.detail as tax_detail,
            o.customer, o.kind, o.placed_at, o.currency, o.customer_currency, o.customer_factor, o.customer_total,
            coalesce(l.n, 0) + coalesce(c.n, 0) + coalesce(t.n, 0) + coalesce(p.n, 0) as parts
        from o
        left join known k on k.reference = o.reference
        left join customer u on u.id = o.customer
        left join repeated d on d.reference = o.reference
        left join misnumbered m on m.reference = o.reference
        left join line l on l.reference = o.reference
        left join charge c on c.reference = o.reference
        left join tax t on t.reference = o.reference
        left join payment p on p.reference = o.reference
    )
    select array_agg(row(v.rank, v.reference, v.id, v.year, v.reason,
        case v.reason
            when 'reference' then 'an order without a reference'
            when 'repeated' then 'the same reference stands twice in one call'
            when 'placed_at' then format('placed at %s', coalesce(v.placed_at::text, 'no known time'))
            when 'kind' then format('kind is %L: private, company or public is expected', v.kind)
            when 'customer' then format('no customer %s', v.customer)
            when 'address' then 'no shipping address'
            when 'currency' then format('%L at %s per %L, total %s', v.customer_currency, v.customer_factor, v.currency, v.customer_total)
            when 'no_lines' then 'an order without lines'
            when 'line_number' then 'numbers of lines, charges or payments are missing, below 1 or repeated'
            when 'article' then v.article_detail
            when 'quantity' then v.quantity_detail
            when 'amount' then 'an amount is missing, beyond 10 thousand million, or has the wrong sign'
            when 'rate' then v.tax_detail
            when 'total' then format('lines %s + charges %s are %s, the total is %s', v.lines, v.charges, v.lines + v.charges, v.total)
            when 'vat' then v.tax_detail
            when 'payments' then format('payments are %s, the total is %s', v.paid, v.total)
        end, null)::erp.order_check order by v.rank), coalesce(sum(v.parts), 0)
    into result, parts from verdict v;
    if parts >= cardinality(lines) + cardinality(charges) + cardinality(vat) + cardinality(payments) then
        return result;
    end if;

    select r.reference into strays
    from (
        select l.reference from unnest(lines) l union all select c.reference from unnest(charges) c
        union all select v.reference from unnest(vat) v union all select p.reference from unnest(payments) p
    ) r
    left join unnest(orders) o on o.reference = r.reference
    where o.reference is null limit 1;
    if found then
        raise exception 'rows without their order: %', coalesce(strays, 'no reference') using errcode = 'invalid_parameter_value';
    end if;
    return result;
end $$;
-- +goose StatementEnd

-- beyond_doubt tells whether nothing at all is wrong with the orders of a call, and none is known, by one pass over its
-- rows. It knows no reasons: false, as for orders with more rows than it can count, means that check_orders must look.
-- +goose StatementBegin
create function erp.beyond_doubt(orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[],
    vat erp.order_vat_in[], payments erp.order_payment_in[]) returns boolean
language plpgsql
as $$
declare
    most      constant bigint := 1000000000000;  -- as in check_orders
    refs      text[]   := array(select o.reference from unnest(orders) o);
    customers bigint[] := array(select distinct o.customer from unnest(orders) o);
    articles  bigint[] := array(select distinct l.article from unnest(lines) l);
begin
    return (
        select coalesce(bool_and(o.good), false) and count(*) = cardinality(orders)
        from (
            -- Of each order: its own row once, lines, and all sums alike. numbers: 2 to the power of each row's number;
            -- only if none stands twice do they add up to their bits.
            select coalesce(sum(r.heads) = 1 and sum(r.lines) > 0 and sum(r.goods) = sum(r.total) and sum(r.paid) = sum(r.total)
                and sum(r.numbers) = bit_or(r.bits) and sum(r.other_numbers) = bit_or(r.other_bits)
                and bool_and(r.valid and (r.vat_rate is null or r.stated = r.goods and r.statements = 1
                    and r.vat_rate between 0 and 100 and r.vat_rate = round(r.vat_rate, 3)
                    and length(r.vat_country) = 2 and (r.vat_rate = 0) = (r.vat_nature <> ''))), false) as good
            from (
                -- Of each rate of an order: goods and the VAT row; of its head and its payments: no rate.
                select p.reference, p.vat_rate, p.vat_country, p.vat_nature, bool_and(p.valid) as valid, count(p.total) as heads, sum(p.total) as total,
                    sum(p.paid) as paid, count(*) filter (where p.is_line) as lines, coalesce(sum(p.goods), 0) as goods,
                    sum(p.stated) as stated, count(p.stated) as statements,
                    coalesce(sum(p.number), 0) as numbers, coalesce(bit_or(p.number), 0) as bits,
                    coalesce(sum(p.other), 0) as other_numbers, coalesce(bit_or(p.other), 0) as other_bits
                from (
                    select o.reference, null::numeric as vat_rate, null::text as vat_country, null::text as vat_nature, false as is_line, o.total,
                        null::bigint as paid, null::bigint as goods, null::bigint as stated, null::bigint as number, null::bigint as other,
                        coalesce(o.reference <> '' and o.placed_at between '1990-01-01' and '2199-12-30' and o.kind in ('private', 'company', 'public')
                            and not o.shipping is null and length(o.currency) = 3 and length(o.customer_currency) = 3
                            and o.customer_factor > 0 and o.customer_factor < 1e9 and o.customer_total between 0 and 1e15
                            and o.total between 0 and most, false) as valid
                    from unnest(orders) o
                    union all
                    select l.reference, l.vat_rate, l.vat_country, coalesce(l.vat_nature, ''), true, null, null, l.gross, null, 1::bigint << l.line, null,
                        coalesce(l.vat_rate is not null and l.line between 1 and 60 and l.quantity between 1 and 1000000
                            and l.gross between 0 and most and l.unit_gross between 0 and most, false)
                    from unnest(lines) l
                    union all
                    select c.reference, c.vat_rate, c.vat_country, coalesce(c.vat_nature, ''), false, null, null, c.gross, null, null, 1::bigint << c.line,
                        coalesce(c.vat_rate is not null and c.line between 1 and 30
                            and case c.kind when 'charge' then c.gross between 0 and most when 'discount' then c.gross between -most and 0 end, false)
                    from unnest(charges) c
                    union all
                    select v.reference, v.vat_rate, v.vat_country, coalesce(v.vat_nature, ''), false, null, null, null, v.gross, null, null,
                        coalesce(v.vat_rate is not null and v.gross between -most and most and v.net between -most and most and v.vat = v.gross - v.net
                            and v.net = round(v.gross * 100 / (100 + v.vat_rate)), false)
                    from unnest(vat) v
                    union all
                    select p.reference, null, null, null, false, null, p.amount, null, null, null, 1::bigint << 30 + p.line,
                        coalesce(p.line between 1 and 30 and p.amount between -most and most and p.kind in ('paid', 'to_collect', 'credit'), false)
                    from unnest(payments) p
                ) p
                group by p.reference, p.vat_rate, p.vat_country, p.vat_nature
            ) r
            group by r.reference
        ) o)
        and (select count(*) from erp.customer c where c.id = any(customers)) = cardinality(customers)
        and (select count(*) from erp.article a where a.id = any(articles)) = cardinality(articles)
        and not exists (select from erp.sales_order s where s.reference = any(refs));
end $$;
-- +goose StatementEnd

-- write_parts writes charges, VAT and payments of the orders that ids names; edits delete them first.
-- +goose StatementBegin
create function erp.write_parts(ids erp.order_check[], charges erp.order_charge_in[],
    vat erp.order_vat_in[], payments erp.order_payment_in[]) returns void
language plpgsql
as $$
begin
    with charge as (
        insert into erp.order_charge (order_id, line, kind, code, title, gross, vat_rate, vat_country, vat_nature)
        select i.id, c.line, c.kind, coalesce(c.code, ''), coalesce(c.title, ''), c.gross, c.vat_rate, c.vat_country,
            coalesce(c.vat_nature, '')
        from unnest(charges) c join unnest(ids) i on i.reference = c.reference
    ), rate as (
        insert into erp.order_vat (order_id, vat_rate, vat_country, vat_nature, gross, net, vat)
        select i.id, v.vat_rate, v.vat_country, coalesce(v.vat_nature, ''), v.gross, v.net, v.vat
        from unnest(vat) v join unnest(ids) i on i.reference = v.reference
    )
    insert into erp.order_payment (order_id, line, kind, code, title, amount, transaction)
    select i.id, p.line, p.kind, coalesce(p.code, ''), coalesce(p.title, ''), p.amount, coalesce(p.transaction, '')
    from unnest(payments) p join unnest(ids) i on i.reference = p.reference;
end $$;
-- +goose StatementEnd

-- import_orders takes orders over: each once by its reference, numbered, committed to the web warehouses.
-- One import runs at a time, until its transaction ends: numbers have no holes.
-- +goose StatementBegin
create function erp.import_orders(orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[],
    vat erp.order_vat_in[], payments erp.order_payment_in[]) returns setof erp.result
language plpgsql security definer
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    web      smallint[] := array(select w.id from erp.warehouse w where w.web_rank is not null order by w.web_rank);
    checked  erp.order_check[];
    numbered erp.order_check[];
    made     erp.order_check[];
    demands  erp.demand[];
    right_all boolean;            -- nothing is wrong and no order is known
    size     record;
    before   bigint;
    years    smallint[] := '{}';  -- in which orders were placed
    starts   bigint[] := '{}';    -- of each: its last number before this call
begin
    if cardinality(web) = 0 then
        raise exception 'no warehouse is linked to the web shops' using errcode = 'object_not_in_prerequisite_state',
            hint = coalesce((select format('UPDATE erp.warehouse SET web_rank = 1 WHERE code = %L', w.code) from erp.warehouse w order by w.id limit 1),
                'INSERT INTO erp.warehouse (id, code, name, web_rank) VALUES (1, ''MAIN'', ''Main warehouse'', 1)');
    end if;
    perform pg_advisory_xact_lock(hashtext('erp.import_orders'));
    right_all := erp.beyond_doubt(orders, lines, charges, vat, payments);
    if right_all then
        checked := array(select row(o.rank, o.reference, null, extract(year from o.placed_at at time zone 'Europe/Rome'), null, null, null)::erp.order_check
            from unnest(orders) with ordinality as o(reference, shop, shop_number, placed_at, customer, kind, email, phone, language,
                note, tax_code, vat_number, pec, sdi, invoice_wanted, billing, shipping, shipping_code, shipping_method,
                currency, total, customer_currency, customer_factor, customer_total, rank));
    else
        checked := erp.check_orders(orders, lines, charges, vat, payments);
    end if;

    for size in select c.year, count(*) as n from unnest(checked) c where c.id is null and c.reason is null group by c.year order by c.year loop
        insert into erp.counter as k (series, year, last) values ('W', size.year, size.n)
        on conflict (series, year) do update set last = k.last + excluded.last
        returning k.last - size.n into before;
        years := array_append(years, size.year);
        starts := array_append(starts, before);
    end loop;
    numbered := array(
        select row(c.rank, c.reference, case when c.new then nextval('erp.sales_order_id_seq') else c.id end, c.year, c.reason, c.detail,
            case when c.new then starts[array_position(years, c.year)] + c.place end)::erp.order_check
        from (select c.*, c.id is null and c.reason is null as new, row_number() over (partition by c.year, c.id is null and c.reason is null order by c.rank) as place
            from unnest(checked) c) c
        order by c.rank);
    if right_all then
        made := numbered;
    else
        made := array(select n from unnest(numbered) n where n.number is not null);
    end if;

    if cardinality(made) > 0 then
        -- numbered has one element for each of orders, in the same order.
        insert into erp.sales_order (id, reference, series, year, number, channel, shop, shop_number, placed_at, customer_id, kind,
            email, phone, language, note, tax_code, vat_number, pec, sdi, invoice_wanted, billing, shipping, shipping_code,
            shipping_method, currency, total, customer_currency, customer_factor, customer_total)
        overriding system value
        select o.id, o.reference, 'W', o.year, o.number, 'web', coalesce(o.shop, ''), coalesce(o.shop_number, ''),
            o.placed_at, o.customer, o.kind, coalesce(o.email, ''), coalesce(o.phone, ''), coalesce(o.language, ''),
            coalesce(o.note, ''), coalesce(o.tax_code, ''), coalesce(o.vat_number, ''), coalesce(o.pec, ''), coalesce(o.sdi, ''),
            coalesce(o.invoice_wanted, false), coalesce(o.billing, o.shipping), o.shipping, coalesce(o.shipping_code, ''),
            coalesce(o.shipping_method, ''), o.currency, o.total, o.customer_currency, o.customer_factor, o.customer_total
        from rows from (unnest(orders), unnest(numbered)) as o(reference, shop, shop_number, placed_at, customer, kind, email,
            phone, language, note, tax_code, vat_number, pec, sdi, invoice_wanted, billing, shipping, shipping_code,
            shipping_method, currency, total, customer_currency, customer_factor, customer_total,
            rank, same_reference, id, year, reason, detail, number)
        where o.number is not null;
        insert into erp.order_line (order_id, line, position, article_id, name, options, quantity, unit_gross, gross,
            vat_rate, vat_country, vat_nature)
        select m.id, l.line, l.line, l.article, coalesce(l.name, ''), coalesce(l.options, ''), l.quantity, l.unit_gross, l.gross,
            l.vat_rate, l.vat_country, coalesce(l.vat_nature, '')
        from unnest(lines) l join unnest(made) m on m.reference = l.reference;
        perform erp.write_parts(made, charges, vat, payments);
        demands := array(
            with article as materialized (
                select a.id, a.stocked from erp.article a where a.id = any(array(select l.article from unnest(lines) l))
            )
            select row(m.rank << 32 | l.line, m.id, l.line, l.article, l.quantity)::erp.demand
            from unnest(lines) l
            join unnest(made) m on m.reference = l.reference
            join article a on a.id = l.article
            where a.stocked);
        if cardinality(demands) > 0 then
            perform erp.lock_stock(array(select distinct d.article_id from unnest(demands) d), web[1]);
            perform erp.commit_lines(demands, web, true);
        end if;
    end if;

    return query
    select n.reference, n.id, n.id is not null, n.id is not null and n.number is null,
        case when n.id is null then n.reason end, case when n.id is null then n.detail end
    from unnest(numbered) n;
end $$;
-- +goose StatementEnd

-- +goose Down
drop function erp.import_orders(erp.order_in[], erp.order_line_in[], erp.order_charge_in[], erp.order_vat_in[], erp.order_payment_in[]),
    erp.write_parts(erp.order_check[], erp.order_charge_in[], erp.order_vat_in[], erp.order_payment_in[]),
    erp.beyond_doubt(erp.order_in[], erp.order_line_in[], erp.order_charge_in[], erp.order_vat_in[], erp.order_payment_in[]),
    erp.check_orders(erp.order_in[], erp.order_line_in[], erp.order_charge_in[], erp.order_vat_in[], erp.order_payment_in[]),
    erp.import_customers(erp.customer_in[]), erp.customer_after(erp.customer_in, erp.customer_in);
drop type erp.order_check;
