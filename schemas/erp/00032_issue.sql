-- How documents are issued: with the goods, in the transaction of erp.ship_order and erp.take_back, and by a clerk.
--
-- Locks, in this order: the orders' rows, stock, then the numbers' rows in erp.counter (DDT or S, then F; NC, then R).
-- A number is given out by an update that its transaction alone holds until it ends: a rollback leaves no hole, nobody
-- gets a number twice, and dates rise with numbers.

-- +goose Up

-- A part of something that has a price: what is documented of it, and what is to be documented now.
create type erp.part as (
    source      text,
    kind        text,        -- goods, charge, discount
    quantity    bigint,      -- of the whole
    gross       bigint,
    vat_rate    numeric,
    vat_country text,
    vat_nature  text,
    done        bigint,      -- pieces documented before
    done_gross  bigint,
    now         bigint       -- pieces to be documented
);

-- price_parts says what each part costs: what all pieces so far come to, less what was documented. Goods and charges
-- count by their pieces, discounts by what the goods and charges of their rate come to. So the parts of the whole add
-- up to it, rate by rate, and where the whole was changed meanwhile the next part makes up for it.
-- +goose StatementBegin
create function erp.price_parts(parts erp.part[]) returns table (source text, pieces bigint, gross bigint)
language plpgsql immutable
as $$
#variable_conflict use_column
begin
    return query
    with part as (
        select p.*, case when p.kind <> 'discount' then erp.share(p.gross, least(p.done + p.now, p.quantity), p.quantity) end as target
        from unnest(parts) with ordinality as p(source, kind, quantity, gross, vat_rate, vat_country, vat_nature, done, done_gross, now, n)
    ), rated as (
        select p.*, sum(p.target) over rate as reached, sum(p.gross) filter (where p.kind <> 'discount') over rate as whole,
            (sum(p.gross) filter (where p.kind = 'discount') over (partition by p.vat_rate, p.vat_country, p.vat_nature order by p.n))::bigint as upto
        from part p
        window rate as (partition by p.vat_rate, p.vat_country, p.vat_nature)
    ), priced as (
        select r.*, coalesce(r.target, erp.share(r.upto, coalesce(r.reached, 0)::bigint, coalesce(r.whole, 0)::bigint)
            - erp.share(r.upto - r.gross, coalesce(r.reached, 0)::bigint, coalesce(r.whole, 0)::bigint)) - r.done_gross as amount
        from rated r
    )
    select p.source, case when p.kind = 'goods' then p.now when p.amount <> 0 then 1 else 0 end, p.amount from priced p order by p.n;
end $$;
-- +goose StatementEnd

-- next_number gives out the next number of a series, and the date that goes with it, in Italian time.
-- +goose StatementBegin
create function erp.next_number(of_series text, out doc_year smallint, out doc_number bigint, out doc_date date)
language plpgsql
as $$
declare
    held text := (select h.why from erp.numbers_held h where h.only_one);
begin
    if held is not null then
        raise exception 'no document is issued now: %', held
            using errcode = 'object_not_in_prerequisite_state', hint = 'run "applier recover erp", which goes on behind the numbers that were given out';
    end if;
    doc_year := extract(year from clock_timestamp() at time zone 'Europe/Rome');
    insert into erp.counter as k (series, year, last) values (of_series, doc_year, 1)
    on conflict (series, year) do update set last = k.last + 1
    returning last into doc_number;
    -- The clock is looked at behind the lock; who waited for it over New Year's Eve has a number of the old year.
    doc_date := least((clock_timestamp() at time zone 'Europe/Rome')::date, make_date(doc_year, 12, 31));
end $$;
-- +goose StatementEnd

-- write_document issues a document: numbers it, writes it, adds up its rates. Lines come without its id, numbered.
-- +goose StatementBegin
create function erp.write_document(d erp.document, lines erp.document_line[], payments erp.document_payment[]) returns bigint
language plpgsql
as $$
declare
    seller jsonb := (select to_jsonb(s) - '{only_one,logo,invoice_at_shipment,cash_on_delivery,since}'::text[] from erp.seller s where s.only_one);
    next   record;
begin
    if seller is null then
        raise exception 'who sells is not known yet: insert the row of erp.seller' using errcode = 'object_not_in_prerequisite_state';
    end if;
    select * into next from erp.next_number(d.series);
    d.total := (select coalesce(sum(l.gross), 0) from unnest(lines) l);
    insert into erp.document (kind, series, year, number, date, channel, order_id, shipment_id, customer_id, corrects, reason, why, to_invoice,
        language, currency, seller, buyer, ship_to, note, phone, order_number, shop, shop_number, placed_at, warehouse, carrier, tracking, packages,
        weight_kg, total, cash_on_delivery)
    values (d.kind, d.series, next.doc_year, next.doc_number, next.doc_date, d.channel, d.order_id, d.shipment_id, d.customer_id, d.corrects, d.reason,
        coalesce(d.why, ''), coalesce(d.to_invoice, false), d.language, d.currency, seller, d.buyer, d.ship_to, coalesce(d.note, ''), coalesce(d.phone, ''),
        coalesce(d.order_number, ''), coalesce(d.shop, ''), coalesce(d.shop_number, ''), d.placed_at, coalesce(d.warehouse, ''), coalesce(d.carrier, ''),
        coalesce(d.tracking, ''), d.packages, d.weight_kg, d.total, coalesce(d.cash_on_delivery, 0))
    returning id into d.id;
    insert into erp.document_line (document_id, line, kind, source, base_id, base_line, code, name, options, quantity, gross, vat_rate, vat_country, vat_nature)
    select d.id, l.line, l.kind, l.source, l.base_id, l.base_line, l.code, l.name, l.options, l.quantity, l.gross, l.vat_rate, l.vat_country, l.vat_nature
    from unnest(lines) l;
    insert into erp.document_vat (document_id, vat_rate, vat_country, vat_nature, gross, net, vat)
    select d.id, v.vat_rate, v.vat_country, v.vat_nature, v.gross, erp.net(v.gross, v.vat_rate), v.gross - erp.net(v.gross, v.vat_rate)
    from (select l.vat_rate, l.vat_country, l.vat_nature, sum(l.gross)::bigint as gross from unnest(lines) l group by 1, 2, 3) v;
    insert into erp.document_payment (document_id, line, kind, code, title, amount, transaction)
    select d.id, row_number() over (order by p.line), p.kind, p.code, p.title, p.amount, p.transaction
    from unnest(payments) p where p.amount <> 0;
    return d.id;
end $$;
-- +goose StatementEnd

-- head is what the documents of an order have in common.
-- +goose StatementBegin
create function erp.head(o erp.sales_order) returns erp.document
language plpgsql stable
as $$
declare
    d erp.document;
begin
    d.channel := o.channel;
    d.order_id := o.id;
    d.customer_id := o.customer_id;
    d.reason := 'sale';
    d.language := case when o.language ilike 'it%' or o.language = '' and (o.billing).country = 'IT' then 'it' else 'en' end;
    d.currency := o.currency;
    d.buyer := erp.buyer(o);
    d.ship_to := o.shipping;
    d.order_number := o.series || o.year || '/' || o.number;
    d.shop := o.shop;
    d.shop_number := o.shop_number;
    d.placed_at := o.placed_at;
    return d;
end $$;
-- +goose StatementEnd

-- payments_of is what of payments falls to the stretch from one amount to another of a whole.
-- +goose StatementBegin
create function erp.payments_of(payments erp.document_payment[], low bigint, high bigint, whole bigint) returns erp.document_payment[]
language plpgsql immutable
as $$
begin
    return (
    select coalesce(array_agg(row(null, p.line, p.kind, p.code, p.title,
        erp.share(p.upto, high, whole) - erp.share(p.upto - p.amount, high, whole)
            - case when low = 0 then 0 else erp.share(p.upto, low, whole) - erp.share(p.upto - p.amount, low, whole) end, p.transaction)::erp.document_payment
        order by p.line), '{}')
    from (select x.*, (sum(x.amount) over (order by x.line))::bigint as upto from unnest(payments) x) p);
end $$;
-- +goose StatementEnd

-- issue_delivery issues the delivery note of a shipment, or without one the sale of what needs none: it has the
-- order's services, and all of its charges, the first time, and its part of the discounts.
-- +goose StatementBegin
create function erp.issue_delivery(o erp.sales_order, shipped bigint) returns bigint
language plpgsql
as $$
declare
    d        erp.document := erp.head(o);
    bases    bigint[] := array(select x.id from erp.document x where x.order_id = o.id and x.kind in ('ddt', 'sale'));
    articles bigint[] := array(select distinct l.article_id from erp.order_line l where l.order_id = o.id);
    parts    erp.part[];
    lines    erp.document_line[];
    before   bigint := (select coalesce(sum(x.total), 0) from erp.document x where x.id = any(bases));
    codes    text[] := (select s.cash_on_delivery from erp.seller s where s.only_one);
    payments erp.document_payment[];
begin
    with whole as (
        select 'line ' || l.line as source, 'goods' as kind, 0 as part, l.position as place, a.sku as code, l.name, l.options, l.quantity, l.gross,
            l.vat_rate, l.vat_country, l.vat_nature, case when a.stocked then coalesce(s.quantity, 0) end as now
        from (select * from erp.order_line x where x.order_id = o.id) l
        join (select x.id, x.sku, x.stocked from erp.article x where x.id = any(articles)) a on a.id = l.article_id
        left join (select x.line, x.quantity from erp.shipment_line x where x.shipment_id = shipped) s on s.line = l.line
        union all
        select format('%s %s %s %s%s %s', c.kind, c.code, c.vat_rate, c.vat_country, c.vat_nature,
                row_number() over (partition by c.kind, c.code, c.vat_rate, c.vat_country, c.vat_nature order by c.line)),
            c.kind, case c.kind when 'charge' then 1 else 2 end, c.line, c.code, c.title, '', 1, c.gross, c.vat_rate, c.vat_country, c.vat_nature, null
        from erp.order_charge c where c.order_id = o.id
    ), done as (
        select l.source, l.kind, max(l.code) as code, max(l.name) as name, max(l.options) as options, max(l.vat_rate) as vat_rate, max(l.vat_country) as vat_country,
            max(l.vat_nature) as vat_nature, sum(l.quantity)::bigint as quantity, sum(l.gross)::bigint as gross
        from erp.document_line l where l.document_id = any(bases)
        group by l.source, l.kind
    ), part as materialized (
        select coalesce(w.source, was.source) as source, coalesce(w.kind, was.kind) as kind, coalesce(w.part, 3) as part, coalesce(w.place, 0) as place,
            coalesce(w.code, was.code) as code, coalesce(w.name, was.name) as name, coalesce(w.options, was.options) as options, coalesce(w.quantity, 1) as quantity,
            coalesce(w.gross, 0) as gross, coalesce(w.vat_rate, was.vat_rate) as vat_rate, coalesce(w.vat_country, was.vat_country) as vat_country,
            coalesce(w.vat_nature, was.vat_nature) as vat_nature, coalesce(was.quantity, 0) as done, coalesce(was.gross, 0) as done_gross,
            coalesce(w.now, greatest(coalesce(w.quantity, 0) - coalesce(was.quantity, 0), 0)) as now
        from whole w full join done was on was.source = w.source
    ), priced as (
        select * from erp.price_parts(array(select row(p.source, p.kind, p.quantity, p.gross, p.vat_rate, p.vat_country, p.vat_nature,
            p.done, p.done_gross, p.now)::erp.part from part p order by p.part, p.place, p.source))
    )
    select array_agg(row(null, x.line, x.kind, x.source, null, null, x.code, x.name, x.options, x.pieces, x.gross, x.vat_rate, x.vat_country, x.vat_nature)::erp.document_line
        order by x.line)
    into lines
    from (
        select row_number() over (order by p.part, p.place, p.source) as line, p.kind, p.source, p.code, p.name, p.options, c.pieces, c.gross,
            p.vat_rate, p.vat_country, p.vat_nature
        from priced c join part p on p.source = c.source
        where c.pieces > 0 or c.gross <> 0
    ) x;
    payments := array(select row(null, p.line, p.kind, p.code, p.title, p.amount, p.transaction)::erp.document_payment
        from erp.order_payment p where p.order_id = o.id order by p.line);
    payments := erp.payments_of(payments, before, before + (select coalesce(sum(l.gross), 0) from unnest(lines) l)::bigint, o.total);

    d.kind := case when shipped is null then 'sale' else 'ddt' end;
    d.series := case when shipped is null then 'S' else 'DDT' end;
    d.to_invoice := o.kind <> 'private' or o.invoice_wanted;
    d.note := o.note;
    d.phone := o.phone;
    d.cash_on_delivery := (select coalesce(sum(p.amount), 0) from unnest(payments) p where p.kind = 'to_collect' and lower(split_part(p.code, '.', 1)) = any(codes));
    if shipped is not null then
        select coalesce((select w.name from erp.warehouse w where w.id = s.warehouse_id), ''),
            coalesce((select c.name from erp.carrier c where c.code = s.carrier), ''), s.tracking, s.packages, s.weight_kg, s.id
        into strict d.warehouse, d.carrier, d.tracking, d.packages, d.weight_kg, d.shipment_id
        from erp.shipment s where s.id = shipped;
    end if;
    return erp.write_document(d, lines, payments);
end $$;
-- +goose StatementEnd

-- left_of_deliveries is what of deliveries can be invoiced: their lines less what came back before.
-- +goose StatementBegin
create function erp.left_of_deliveries(deliveries bigint[]) returns setof erp.document_line
language plpgsql stable
as $$
#variable_conflict use_column
begin
    return query
    with line as materialized (
        select l.* from erp.document_line l where l.document_id = any(deliveries)
    ), reversal as materialized (
        select x.document_id, x.base_id, x.base_line, x.quantity, x.gross from erp.document_line x where x.base_id = any(deliveries)
    ), back as materialized (
        select d.id from erp.document d where d.id = any(array(select r.document_id from reversal r)) and d.reason = 'return'
    ), gone as (
        select r.base_id, r.base_line, sum(r.quantity)::bigint as quantity, sum(r.gross)::bigint as gross
        from reversal r join back b on b.id = r.document_id group by 1, 2
    )
    select null::bigint, (row_number() over (order by l.document_id, l.line))::integer, l.kind, l.document_id || '/' || l.line, l.document_id, l.line, l.code, l.name,
        l.options, case when l.kind = 'goods' then l.quantity - coalesce(g.quantity, 0) else 1 end, l.gross - coalesce(g.gross, 0), l.vat_rate, l.vat_country, l.vat_nature
    from line l left join gone g on g.base_id = l.document_id and g.base_line = l.line
    where l.gross <> coalesce(g.gross, 0) or l.kind = 'goods' and l.quantity <> coalesce(g.quantity, 0);
end $$;
-- +goose StatementEnd

-- invoice_flaw says why an order's deliveries can't be invoiced: a sentence, or null.
-- +goose StatementBegin
create function erp.invoice_flaw(o erp.sales_order, deliveries bigint[]) returns text
language plpgsql stable
as $$
begin
    return (
    select coalesce(erp.buyer_flaw(erp.buyer(o)), case
        when o.currency <> 'EUR' then format('the order is in %s: an e-invoice is in EUR', o.currency)
        when count(v.vat_rate) = 0 then 'all of it came back'
        when bool_or(v.vat_rate > 0 and v.vat_country <> 'IT') then format('VAT of %s is declared there: it can''t stand on an Italian invoice',
            min(v.vat_country) filter (where v.vat_rate > 0 and v.vat_country <> 'IT'))
        when bool_or(v.vat_rate = 0 and v.vat_nature !~ '^(N1|N2\.[12]|N3\.[1-6]|N4|N5|N6\.[1-9]|N7)$') then format('nature %L of a rate of 0 is none of the exchange system''s',
            min(v.vat_nature) filter (where v.vat_rate = 0 and v.vat_nature !~ '^(N1|N2\.[12]|N3\.[1-6]|N4|N5|N6\.[1-9]|N7)$'))
        when bool_or(v.gross < 0) then 'the order was made cheaper behind a delivery than what had been documented: credit that by hand' end)
    from (select l.vat_rate, l.vat_country, l.vat_nature, sum(l.gross) as gross from erp.left_of_deliveries(deliveries) l group by 1, 2, 3) v);
end $$;
-- +goose StatementEnd

-- issue_invoice invoices deliveries that have none, all of one buyer. The caller has locked their orders and looked for flaws.
-- +goose StatementBegin
create function erp.issue_invoice(deliveries bigint[], of_kind text) returns bigint
language plpgsql
as $$
declare
    orders   bigint[] := array(select distinct x.order_id from erp.document x where x.id = any(deliveries));
    o        erp.sales_order;
    d        erp.document;
    lines    erp.document_line[] := array(select l from erp.left_of_deliveries(deliveries) l);
    payments erp.document_payment[];
    whole    bigint := (select sum(x.total) from erp.document x where x.id = any(deliveries));
    made     bigint;
begin
    select * into strict o from erp.sales_order x where x.id = (select max(i) from unnest(orders) i);
    d := erp.head(o);
    d.kind := of_kind;
    d.series := 'F';
    if cardinality(orders) > 1 then
        d.order_id := null; d.order_number := ''; d.shop_number := ''; d.placed_at := null;
    end if;
    if cardinality(deliveries) = 1 then
        select x.note, x.phone, x.warehouse, x.carrier, x.tracking, x.packages, x.weight_kg, x.ship_to, x.cash_on_delivery
        into strict d.note, d.phone, d.warehouse, d.carrier, d.tracking, d.packages, d.weight_kg, d.ship_to, d.cash_on_delivery
        from erp.document x where x.id = deliveries[1];
    end if;
    payments := array(select row(null, row_number() over (order by min(p.document_id), min(p.line)), p.kind, p.code, p.title, sum(p.amount), p.transaction)::erp.document_payment
        from erp.document_payment p where p.document_id = any(deliveries) group by p.kind, p.code, p.title, p.transaction);
    payments := erp.payments_of(payments, 0, (select sum(l.gross) from unnest(lines) l)::bigint, whole);
    made := erp.write_document(d, lines, payments);
    insert into erp.invoiced (base_id, invoice_id) select i, made from unnest(deliveries) i;
    return made;
end $$;
-- +goose StatementEnd

-- issue_with_goods issues what goes with shipments: a delivery note each, and the invoice that is due, unless the
-- seller wants to issue it himself or something about it can't be right: then erp.documents_due names it.
-- +goose StatementBegin
create function erp.issue_with_goods(o erp.sales_order, shipments bigint[]) returns void
language plpgsql
as $$
declare
    at_once  boolean := (select s.invoice_at_shipment from erp.seller s where s.only_one);
    shipped  bigint;
    delivery bigint;
begin
    if at_once is null then
        return;  -- documents are not made here
    end if;
    if cardinality(shipments) = 0 then
        shipments := array[null];
    end if;
    foreach shipped in array shipments loop
        delivery := erp.issue_delivery(o, shipped);
        if at_once and (o.kind <> 'private' or o.invoice_wanted) and erp.invoice_flaw(o, array[delivery]) is null then
            perform erp.issue_invoice(array[delivery], 'invoice');
        end if;
    end loop;
end $$;
-- +goose StatementEnd

-- reverse_document issues what takes back or corrects a part of an invoice (a credit note) or of a delivery (a return):
-- pieces by its line; null: all that is left of it. Charges go back only with all of it, or asked for.
-- +goose StatementBegin
create function erp.reverse_document(whole erp.document, pieces_by_line jsonb, charges boolean, for_reason text, for_why text) returns bigint
language plpgsql
as $$
declare
    d        erp.document := whole;
    earlier  bigint[] := array(select x.id from erp.document x where x.corrects = whole.id);
    lines    erp.document_line[];
begin
    with line as materialized (
        select l.* from erp.document_line l where l.document_id = whole.id
    ), done as (
        select l.source, sum(l.quantity)::bigint as quantity, sum(l.gross)::bigint as gross from erp.document_line l where l.document_id = any(earlier) group by l.source
    ), part as materialized (
        select l.*, coalesce(was.quantity, 0) as done, coalesce(was.gross, 0) as done_gross,
            case when pieces_by_line is null or l.kind = 'charge' and charges then greatest(l.quantity - coalesce(was.quantity, 0), 0)
                when l.kind = 'goods' then coalesce((pieces_by_line ->> l.line::text)::bigint, 0) else 0 end as now
        from line l left join done was on was.source = l.source
    ), priced as (
        select * from erp.price_parts(array(select row(p.source, p.kind, p.quantity, p.gross, p.vat_rate, p.vat_country, p.vat_nature,
            p.done, p.done_gross, p.now)::erp.part from part p order by p.line))
    )
    select array_agg(row(null, x.line, x.kind, x.source, x.base_id, x.base_line, x.code, x.name, x.options, x.pieces, x.gross, x.vat_rate, x.vat_country, x.vat_nature)::erp.document_line
        order by x.line)
    into lines
    from (
        select row_number() over (order by p.line) as line, p.kind, p.source, coalesce(p.base_id, p.document_id) as base_id, coalesce(p.base_line, p.line) as base_line,
            p.code, p.name, p.options, c.pieces, c.gross, p.vat_rate, p.vat_country, p.vat_nature
        from priced c join part p on p.source = c.source
        where c.pieces > 0 or c.gross <> 0
    ) x;
    if lines is null then
        raise exception '% has nothing left to be credited', erp.document_number(whole) using errcode = 'check_violation';
    end if;
    d.corrects := whole.id;
    d.shipment_id := null;
    d.kind := case when whole.kind in ('ddt', 'sale') then 'return' else 'credit_note' end;
    d.series := case when d.kind = 'return' then 'R' else 'NC' end;
    d.reason := for_reason;
    d.why := for_why;
    d.note := ''; d.carrier := ''; d.tracking := ''; d.packages := null; d.weight_kg := null; d.cash_on_delivery := 0; d.to_invoice := false;
    return erp.write_document(d, lines, '{}');
end $$;
-- +goose StatementEnd

-- document_number is a document's number for people: DDT2026/17.
create function erp.document_number(d erp.document) returns text
language sql immutable
return d.series || d.year || '/' || d.number;

-- document_id is the document with this number.
-- +goose StatementBegin
create function erp.document_id(document_number text) returns bigint
language plpgsql stable
set search_path = ''
as $$
declare
    parts text[] := regexp_match(document_number, '^([A-Z]+)([0-9]{4})/([0-9]{1,18})$');
    found_id bigint;
begin
    select d.id into found_id from erp.document d where d.series = parts[1] and d.year = parts[2]::smallint and d.number = parts[3]::bigint;
    if found_id is null then
        raise exception 'no document has the number "%"', coalesce(document_number, 'null') using errcode = 'check_violation';
    end if;
    return found_id;
end $$;
-- +goose StatementEnd

-- issue_for_return issues what goes with pieces of an order that came back: of the oldest delivery first a credit note for
-- what was invoiced, a return for what was not. Pieces that left before there were documents have none.
-- +goose StatementBegin
create function erp.issue_for_return(returned_order bigint, pieces_by_line jsonb, why text) returns void
language plpgsql
as $$
declare
    bases bigint[] := array(select d.id from erp.document d where d.order_id = returned_order and d.kind in ('ddt', 'sale') order by d.id);
    part  record;
    whole erp.document;
begin
    for part in
        with line as materialized (
            select l.document_id, l.line, l.source, l.quantity from erp.document_line l where l.document_id = any(bases) and l.kind = 'goods'
        ), reversal as materialized (
            select x.document_id, x.base_id, x.base_line, x.quantity from erp.document_line x where x.base_id = any(bases)
        ), back as materialized (
            select d.id from erp.document d where d.id = any(array(select r.document_id from reversal r)) and d.reason = 'return'
        ), gone as (
            select r.base_id, r.base_line, sum(r.quantity)::bigint as quantity from reversal r join back b on b.id = r.document_id group by 1, 2
        ), rest as (
            select l.document_id, l.line, l.source, l.quantity - coalesce(g.quantity, 0) as pieces,
                (sum(l.quantity - coalesce(g.quantity, 0)) over (partition by l.source order by l.document_id) - (l.quantity - coalesce(g.quantity, 0)))::bigint as low
            from line l left join gone g on g.base_id = l.document_id and g.base_line = l.line
        ), asked as (
            select r.document_id, r.line, least(r.pieces, p.value::bigint - r.low) as pieces
            from rest r join jsonb_each_text(pieces_by_line) p on r.source = 'line ' || p.key
            where r.pieces > 0 and r.low < p.value::bigint
        ), standing as materialized (
            select i.base_id, i.invoice_id from erp.invoiced i where i.base_id = any(bases)
        ), invoice_line as materialized (
            select l.document_id, l.base_id, l.base_line, l.line from erp.document_line l where l.document_id = any(array(select s.invoice_id from standing s))
        )
        select coalesce(s.invoice_id, a.document_id) as id, jsonb_object_agg(coalesce(l.line, a.line), a.pieces) as pieces
        from asked a
        left join standing s on s.base_id = a.document_id
        left join invoice_line l on l.document_id = s.invoice_id and l.base_id = a.document_id and l.base_line = a.line
        group by 1, s.invoice_id is null
        order by s.invoice_id is null, 1  -- NC, then R
    loop
        select * into strict whole from erp.document d where d.id = part.id;
        perform erp.reverse_document(whole, part.pieces, false, 'return', coalesce(why, ''));
    end loop;
end $$;
-- +goose StatementEnd

-- ---- with the goods

alter function erp.ship_order(bigint, jsonb, smallint, text, text, integer, numeric) rename to ship_goods;

-- ship_order ships what of an order is on hand where it is committed: all of it, or the pieces given by line
-- ({"1": 2}); from one warehouse, or from each that has pieces, with one shipment a warehouse. It returns the ids of
-- the shipments: none when the order has only services. The documents are issued with them.
-- +goose StatementBegin
create function erp.ship_order(shipped_order bigint, pieces_by_line jsonb default null, warehouse smallint default null,
    carrier text default null, tracking text default '', packages integer default 1, weight_kg numeric default null) returns bigint[]
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    shipments bigint[] := erp.ship_goods(shipped_order, pieces_by_line, warehouse, carrier, tracking, packages, weight_kg);
begin
    perform erp.issue_with_goods(o, shipments) from erp.sales_order o where o.id = shipped_order;
    return shipments;
end $$;
-- +goose StatementEnd

-- put_back is what take_back was before there were documents. Its text is made over, for it names its parameters by its own name.
-- +goose StatementBegin
do $$
begin
    execute replace(pg_get_functiondef('erp.take_back(bigint, jsonb, smallint, text)'::regprocedure), 'take_back', 'put_back');
    drop function erp.take_back(bigint, jsonb, smallint, text);
end $$;
-- +goose StatementEnd

-- take_back puts pieces of an order that came back on hand in a warehouse, by line ({"1": 2}), and issues the credit note
-- or the return that goes with them.
-- +goose StatementBegin
create function erp.take_back(returned_order bigint, pieces_by_line jsonb, warehouse smallint, note text default '') returns void
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
begin
    perform erp.put_back(returned_order, pieces_by_line, warehouse, note);
    if exists (select from erp.seller s where s.only_one) then
        perform erp.issue_for_return(returned_order, pieces_by_line, note);
    end if;
end $$;
-- +goose StatementEnd

-- ---- what a clerk does with documents

-- deliveries_to_invoice are deliveries of these orders that have no invoice; wanted: only those that are to have one.
-- +goose StatementBegin
create function erp.deliveries_to_invoice(orders bigint[], wanted boolean) returns bigint[]
language plpgsql stable
as $$
begin
    return (
    with delivery as materialized (
        select d.id, d.order_id, d.to_invoice, d.kind from erp.document d where d.order_id = any(orders)
    ), standing as materialized (
        select i.base_id from erp.invoiced i where i.base_id = any(array(select d.id from delivery d))
    ), ordered as materialized (
        select o.id, o.invoice_wanted or o.kind <> 'private' as wanted from erp.sales_order o where o.id = any(orders)
    ), listed as materialized (
        select l.base_id, l.document_id from erp.document_line l where l.base_id = any(array(select d.id from delivery d))
    ), invoice as materialized (
        select i.id, i.series from erp.document i where i.id = any(array(select l.document_id from listed l))
    )
    select coalesce(array_agg(d.id order by d.id), '{}')
    from delivery d
    left join standing s on s.base_id = d.id
    left join ordered o on o.id = d.order_id
    where d.kind in ('ddt', 'sale') and s.base_id is null
        and d.id in (select l.base_id from erp.left_of_deliveries(array(select x.id from delivery x where x.kind in ('ddt', 'sale'))) l)
        and (not deliveries_to_invoice.wanted or d.to_invoice or o.wanted or d.id in (select l.base_id from listed l join invoice i on i.id = l.document_id where i.series = 'F')));
end $$;
-- +goose StatementEnd

-- invoice_order invoices what of an order has left and has no invoice yet, whether or not one was wanted: one invoice,
-- deferred where it lists delivery notes. It returns its id.
-- +goose StatementBegin
create function erp.invoice_order(invoiced_order bigint) returns bigint
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    o          erp.sales_order := erp.order_to_change(invoiced_order, '{part_shipped,shipped,closed_short}', 'nothing of it has left');
    deliveries bigint[] := erp.deliveries_to_invoice(array[invoiced_order], false);
    wrong      text;
begin
    if cardinality(deliveries) = 0 then
        raise exception 'order %/%: nothing of it is without an invoice', o.series || o.year, o.number using errcode = 'check_violation';
    end if;
    wrong := erp.invoice_flaw(o, deliveries);
    if wrong is not null then
        raise exception 'order %/%: %', o.series || o.year, o.number, wrong using errcode = 'check_violation';
    end if;
    return erp.issue_invoice(deliveries, case when (select bool_or(d.kind = 'ddt') from erp.document d where d.id = any(deliveries)) then 'deferred_invoice' else 'invoice' end);
end $$;
-- +goose StatementEnd

-- invoice_due issues the invoices that are due for what left up to a day: one for all deliveries of a buyer in a month. What
-- has a flaw is left out, and stays in erp.documents_due. It returns the invoices' ids.
-- +goose StatementBegin
create function erp.invoice_due(up_to date default null) returns bigint[]
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    last_day   date := coalesce(up_to, (now() at time zone 'Europe/Rome')::date);
    orders     bigint[];
    bill       record;
    made       bigint[] := '{}';
begin
    orders := array(select distinct d.order_id from erp.documents_due d where d.date <= last_day);
    perform from erp.sales_order o where o.id = any(orders) order by o.id for update;
    for bill in
        select array_agg(d.id order by d.id) as deliveries, bool_or(d.kind = 'ddt') as listed
        from erp.document d join erp.sales_order o on o.id = d.order_id
        where d.id = any(erp.deliveries_to_invoice(orders, true)) and d.date <= last_day and erp.invoice_flaw(o, array[d.id]) is null
        group by o.customer_id, erp.buyer(o), o.currency, o.language, o.channel, date_trunc('month', d.date)
        order by min(d.id)
    loop
        made := made || erp.issue_invoice(bill.deliveries, case when bill.listed then 'deferred_invoice' else 'invoice' end);
    end loop;
    return made;
end $$;
-- +goose StatementEnd

-- credit_invoice corrects an invoice by a credit note: pieces by its line ({"1": 2}), or all that is left of it. What was
-- credited as a whole may be invoiced anew (invoice_order). Goods that come back are credited by take_back. It returns the
-- credit note's id.
-- +goose StatementBegin
create function erp.credit_invoice(invoice_number text, why text, pieces_by_line jsonb default null, charges boolean default false) returns bigint
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    whole  erp.document;
    orders bigint[];
    lines  text[];
    wrong  text;
    made   bigint;
begin
    select * into strict whole from erp.document d where d.id = erp.document_id(invoice_number);
    if whole.kind not in ('invoice', 'deferred_invoice') then
        raise exception '% is no invoice', invoice_number using errcode = 'check_violation';
    end if;
    orders := array(select distinct d.order_id from erp.document d join erp.document_line l on l.base_id = d.id where l.document_id = whole.id);
    perform from erp.sales_order o where o.id = any(orders) order by o.id for update;
    if pieces_by_line is not null then
        lines := array(select l.line::text from erp.document_line l where l.document_id = whole.id and l.kind = 'goods');
        if jsonb_typeof(pieces_by_line) <> 'object' or pieces_by_line = '{}' and not charges then
            wrong := 'pieces by line are written as {"1": 2}: 2 pieces of line 1';
        else
            select format('line %s of %s: %s pieces asked, %s are left', p.key, invoice_number, p.value, coalesce(l.pieces, 0)) into wrong
            from jsonb_each_text(pieces_by_line) p
            left join (
                select x.line::text as line, x.quantity - coalesce((select sum(y.quantity) from erp.document_line y join erp.document d on d.id = y.document_id
                    where d.corrects = whole.id and y.source = x.source), 0) as pieces
                from erp.document_line x where x.document_id = whole.id and x.kind = 'goods'
            ) l on l.line = p.key
            where p.value is null or p.value !~ '^[1-9][0-9]{0,8}$' or coalesce(l.pieces, 0) < p.value::bigint
            order by p.key limit 1;
        end if;
        if wrong is not null then
            raise exception '%', wrong using errcode = 'check_violation';
        end if;
    end if;
    made := erp.reverse_document(whole, pieces_by_line, charges, 'correction', coalesce(why, ''));
    if whole.total = (select sum(d.total) from erp.document d where d.corrects = whole.id) then
        delete from erp.invoiced i where i.invoice_id = whole.id;
    end if;
    return made;
end $$;
-- +goose StatementEnd

-- correct_buyer corrects what an order's buyer typed, for documents that are still to be issued; what is null stays.
-- +goose StatementBegin
create function erp.correct_buyer(corrected_order bigint, tax_code text default null, vat_number text default null, pec text default null,
    sdi text default null, invoice_wanted boolean default null, billing erp.address default null) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform erp.order_to_change(corrected_order, '{open,part_shipped,shipped,closed_short}', 'nothing is invoiced of it');
    update erp.sales_order o set tax_code = coalesce(correct_buyer.tax_code, o.tax_code), vat_number = coalesce(correct_buyer.vat_number, o.vat_number),
        pec = coalesce(correct_buyer.pec, o.pec), sdi = coalesce(correct_buyer.sdi, o.sdi), billing = coalesce(correct_buyer.billing, o.billing),
        invoice_wanted = coalesce(correct_buyer.invoice_wanted, o.invoice_wanted)
    where o.id = corrected_order;
end $$;
-- +goose StatementEnd

-- +goose Down
drop function erp.correct_buyer(bigint, text, text, text, text, boolean, erp.address), erp.credit_invoice(text, text, jsonb, boolean), erp.invoice_due(date),
    erp.invoice_order(bigint), erp.deliveries_to_invoice(bigint[], boolean), erp.take_back(bigint, jsonb, smallint, text);
-- +goose StatementBegin
do $$
begin
    execute replace(pg_get_functiondef('erp.put_back(bigint, jsonb, smallint, text)'::regprocedure), 'put_back', 'take_back');
    drop function erp.put_back(bigint, jsonb, smallint, text), erp.ship_order(bigint, jsonb, smallint, text, text, integer, numeric);
    alter function erp.ship_goods(bigint, jsonb, smallint, text, text, integer, numeric) rename to ship_order;
end $$;
-- +goose StatementEnd
drop function erp.issue_for_return(bigint, jsonb, text), erp.reverse_document(erp.document, jsonb, boolean, text, text), erp.document_id(text),
    erp.document_number(erp.document), erp.issue_with_goods(erp.sales_order, bigint[]), erp.issue_invoice(bigint[], text),
    erp.invoice_flaw(erp.sales_order, bigint[]), erp.left_of_deliveries(bigint[]), erp.issue_delivery(erp.sales_order, bigint),
    erp.payments_of(erp.document_payment[], bigint, bigint, bigint), erp.head(erp.sales_order),
    erp.write_document(erp.document, erp.document_line[], erp.document_payment[]), erp.next_number(text), erp.price_parts(erp.part[]);
drop type erp.part;
