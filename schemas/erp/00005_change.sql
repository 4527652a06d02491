-- Orders change in the shop after they were taken over: edits and cancellations, before shipment.

-- +goose Up

-- A line of an edited order beside the line that it was: the same article, the first with the first.
create type erp.line_edit as (
    order_id   bigint,
    rank       bigint,       -- of the order in the call
    line       integer,      -- in the ERP; a new line gets the next number
    input      integer,      -- in the call; null: the line is gone
    is_new     boolean,
    article_id bigint,
    wanted     bigint,       -- pieces to be committed after the edit
    committed  bigint,       -- pieces committed before it
    shipped    bigint,       -- pieces that have left
    quantity   bigint        -- pieces after the edit; 0: the line is gone
);

-- changeable locks the orders of a call and says of each why it can't be changed: reason and detail of
-- what comes in are kept, and those of unknown, shipped and cancelled orders added. An order that the
-- shop cancelled may be edited: that takes it up again. what is edit, cancel, or force: an edit that a
-- person has decided on.
-- +goose StatementBegin
create function erp.changeable(checked erp.order_check[], what text) returns erp.order_check[]
language plpgsql
as $$
declare
    refs   text[] := array(select c.reference from unnest(checked) c);
    result erp.order_check[];
begin
    perform from erp.sales_order o where o.reference = any(refs) order by o.id + 0 for update;
    with known as materialized (
        select o.id, o.reference, o.state, o.cancelled_by, o.cancel_reason, o.series || o.year || '/' || o.number as number, o.year
        from erp.sales_order o where o.reference = any(refs)
    )
    select array_agg(row(c.rank, c.reference, o.id, c.year,
        case
            when c.reason in ('reference', 'repeated') then c.reason
            when o.id is null then 'unknown'
            when o.state in ('shipped', 'part_shipped', 'closed_short') and what <> 'force' then 'shipped'
            when o.state = 'cancelled' and o.cancelled_by = 'clerk' and what = 'edit' then 'cancelled'
            else c.reason
        end,
        case
            when c.reason in ('reference', 'repeated') then c.detail
            when o.id is null then 'no order has this reference'
            when o.state in ('shipped', 'part_shipped', 'closed_short') and what <> 'force' then format('order %s has shipped, at least in part', o.number)
            when o.state = 'cancelled' and o.cancelled_by = 'clerk' and what = 'edit'
                then format('order %s was cancelled in the ERP: %s', o.number, o.cancel_reason)
            else c.detail
        end, null)::erp.order_check order by c.rank)
    into result
    from unnest(checked) c
    left join known o on o.reference = c.reference;
    return result;
end $$;
-- +goose StatementEnd

-- edit_orders makes orders what the shop has now. Lines that stay keep their number and their pieces; only
-- the difference is released or committed. What has left stays in the order: forced, an order that would
-- have less of an article than that is refused. Its callers set how it is planned.
-- +goose StatementBegin
create function erp.edit_orders(orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[],
    vat erp.order_vat_in[], payments erp.order_payment_in[], forced boolean) returns erp.order_check[]
language plpgsql
as $$
declare
    web     smallint[] := array(select w.id from erp.warehouse w where w.web_rank is not null order by w.web_rank);
    checked erp.order_check[] := erp.changeable(erp.check_orders(orders, lines, charges, vat, payments), case when forced then 'force' else 'edit' end);
    good    erp.order_check[] := array(select c from unnest(checked) c where c.reason is null order by c.id);
    ids     bigint[] := array(select c.id from unnest(good) c);
    edits   erp.line_edit[];
    more    erp.demand[];
    less    erp.demand[];
begin
    with written as materialized (
        select l.order_id, l.line, l.position, l.article_id, l.shipped from erp.order_line l where l.order_id = any(ids)
    ), commitment as materialized (
        select c.order_id, c.line, c.quantity from erp.commitment c where c.order_id = any(ids)
    ), old as (
        select w.order_id, w.line, w.article_id, w.shipped, row_number() over (partition by w.order_id, w.article_id order by w.position, w.line) as nth
        from written w
    ), new as (
        select g.id as order_id, g.rank, l.line, l.article, l.quantity,
            row_number() over (partition by g.id, l.article order by l.line) as nth
        from unnest(lines) l join unnest(good) g on g.reference = l.reference
    ), held as (
        select c.order_id, c.line, sum(c.quantity)::bigint as pieces
        from commitment c group by c.order_id, c.line
    ), highest as (
        select o.order_id, max(o.line) as line from old o group by o.order_id
    ), pair as (
        select coalesce(o.order_id, n.order_id) as order_id, n.rank, o.line as old_line, n.line as new_line,
            coalesce(o.article_id, n.article) as article_id, coalesce(n.quantity, 0) as quantity, coalesce(o.shipped, 0) as shipped
        from old o full join new n on n.order_id = o.order_id and n.article = o.article_id and n.nth = o.nth
    ), article as materialized (
        select a.id, a.stocked from erp.article a where a.id = any(array(select p.article_id from pair p))
    )
    select array_agg(e) into edits from (select row(b.order_id, b.rank,
        coalesce(b.old_line, coalesce(x.line, 0) + (row_number() over (partition by b.order_id, b.old_line is null order by b.new_line))::integer),
        b.new_line, b.old_line is null, b.article_id, case when a.stocked then greatest(b.quantity - b.shipped, 0) else 0 end,
        coalesce(h.pieces, 0), b.shipped, b.quantity)::erp.line_edit as e
    from pair b
    join article a on a.id = b.article_id
    left join highest x on x.order_id = b.order_id
    left join held h on h.order_id = b.order_id and h.line = b.old_line) e;

    if forced and exists (select from unnest(edits) e where e.shipped > e.quantity) then
        checked := array(
            select row(c.rank, c.reference, c.id, c.year, coalesce(c.reason, b.reason), coalesce(c.detail, b.detail), c.number)::erp.order_check
            from unnest(checked) c
            left join (
                select e.order_id, 'shipped' as reason,
                    string_agg(format('line %s: %s pieces have left, the shop has %s', e.line, e.shipped, e.quantity), '; ' order by e.line) as detail
                from unnest(edits) e where e.shipped > e.quantity group by e.order_id
            ) b on b.order_id = c.id);
        good := array(select c from unnest(checked) c where c.reason is null order by c.id);
        ids := array(select c.id from unnest(good) c);
        edits := array(select e from unnest(edits) e where e.order_id = any(ids));
    end if;

    if cardinality(edits) > 0 then
        perform erp.lock_stock(array(select distinct e.article_id from unnest(edits) e where e.wanted > 0 or e.committed > 0), web[1]);
        less := array(select row(e.rank, e.order_id, e.line, e.article_id, e.committed - e.wanted)::erp.demand
            from unnest(edits) e where e.committed > e.wanted);
        more := array(select row(row_number() over (order by e.rank, e.input), e.order_id, e.line, e.article_id, e.wanted - e.committed)::erp.demand
            from unnest(edits) e where e.wanted > e.committed);
        perform erp.write_edit(edits, good, orders, lines);
        delete from erp.order_charge where order_id = any(ids);
        delete from erp.order_vat where order_id = any(ids);
        delete from erp.order_payment where order_id = any(ids);
        perform erp.write_parts(good, charges, vat, payments);
        if cardinality(less) > 0 then
            perform erp.release_lines(less);
        end if;
        if cardinality(more) > 0 then
            perform erp.commit_lines(more, web);
        end if;
        if forced then
            with line as materialized (
                select l.order_id, l.quantity, l.shipped from erp.order_line l where l.order_id = any(ids)
            )
            update erp.sales_order o
            set state = case when l.shipped = 0 then 'open' when l.shipped < l.quantity then 'part_shipped' else 'shipped' end
            from (select order_id, sum(quantity) as quantity, sum(shipped) as shipped from line group by order_id) l
            where o.id = any(ids) and o.id + 0 = l.order_id;
        end if;
    end if;
    return checked;
end $$;
-- +goose StatementEnd

-- apply_edits brings what the shop has changed: the same arguments as import_orders, whole orders.
-- +goose StatementBegin
create function erp.apply_edits(orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[],
    vat erp.order_vat_in[], payments erp.order_payment_in[]) returns setof erp.result
language plpgsql security definer
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
begin
    return query
    select c.reference, c.id, c.reason is null, c.id is not null, c.reason, c.detail
    from unnest(erp.edit_orders(orders, lines, charges, vat, payments, false)) c order by c.rank;
end $$;
-- +goose StatementEnd

-- force_edits does it because a person has decided so: to orders too that have shipped or that the ERP
-- has cancelled.
-- +goose StatementBegin
create function erp.force_edits(orders erp.order_in[], lines erp.order_line_in[], charges erp.order_charge_in[],
    vat erp.order_vat_in[], payments erp.order_payment_in[]) returns setof erp.result
language plpgsql security definer
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
begin
    return query
    select c.reference, c.id, c.reason is null, c.id is not null, c.reason, c.detail
    from unnest(erp.edit_orders(orders, lines, charges, vat, payments, true)) c order by c.rank;
end $$;
-- +goose StatementEnd

-- write_edit writes lines and heads of edited orders.
-- +goose StatementBegin
create function erp.write_edit(edits erp.line_edit[], good erp.order_check[], orders erp.order_in[], lines erp.order_line_in[])
returns void
language plpgsql
as $$
declare
    ids bigint[] := array(select g.id from unnest(good) g);
begin
    delete from erp.order_line l
    using unnest(edits) e
    where l.order_id = any(ids) and l.order_id + 0 = e.order_id and l.line = e.line and e.input is null;

    update erp.order_line l
    set position = n.line, name = coalesce(n.name, ''), options = coalesce(n.options, ''), quantity = n.quantity,
        unit_gross = n.unit_gross, gross = n.gross, vat_rate = n.vat_rate, vat_country = n.vat_country,
        vat_nature = coalesce(n.vat_nature, '')
    from unnest(edits) e
    join unnest(good) g on g.id = e.order_id
    join unnest(lines) n on n.reference = g.reference and n.line = e.input
    where l.order_id = any(ids) and l.order_id + 0 = e.order_id and l.line = e.line and not e.is_new;

    insert into erp.order_line (order_id, line, position, article_id, name, options, quantity, unit_gross, gross,
        vat_rate, vat_country, vat_nature)
    select e.order_id, e.line, n.line, n.article, coalesce(n.name, ''), coalesce(n.options, ''), n.quantity, n.unit_gross, n.gross,
        n.vat_rate, n.vat_country, coalesce(n.vat_nature, '')
    from unnest(edits) e
    join unnest(good) g on g.id = e.order_id
    join unnest(lines) n on n.reference = g.reference and n.line = e.input
    where e.is_new;

    update erp.sales_order s
    set state = 'open', cancelled_by = null, cancel_reason = '', customer_id = o.customer, kind = o.kind,
        email = coalesce(o.email, ''), phone = coalesce(o.phone, ''), language = coalesce(o.language, ''),
        note = coalesce(o.note, ''), tax_code = coalesce(o.tax_code, ''), vat_number = coalesce(o.vat_number, ''),
        pec = coalesce(o.pec, ''), sdi = coalesce(o.sdi, ''), invoice_wanted = coalesce(o.invoice_wanted, false),
        billing = coalesce(o.billing, o.shipping), shipping = o.shipping, shipping_code = coalesce(o.shipping_code, ''),
        shipping_method = coalesce(o.shipping_method, ''), currency = o.currency, total = o.total,
        customer_currency = o.customer_currency, customer_factor = o.customer_factor, customer_total = o.customer_total
    from unnest(good) g
    join unnest(orders) o on o.reference = g.reference
    where s.id = any(ids) and s.id + 0 = g.id;
end $$;
-- +goose StatementEnd

-- release_orders gives back all pieces of orders, whose rows the caller has locked.
-- +goose StatementBegin
create function erp.release_orders(orders bigint[]) returns void
language plpgsql
as $$
declare
    held erp.demand[] := array(
        with commitment as materialized (
            select c.order_id, c.line, c.article_id, c.quantity from erp.commitment c where c.order_id = any(orders)
        )
        select row(0, c.order_id, c.line, c.article_id, sum(c.quantity))::erp.demand
        from commitment c group by c.order_id, c.line, c.article_id);
begin
    if cardinality(held) > 0 then
        perform erp.lock_stock(array(select distinct h.article_id from unnest(held) h), null);
        perform erp.release_lines(held);
    end if;
end $$;
-- +goose StatementEnd

-- cancel_orders cancels orders that the shop cancelled. One that is cancelled already stays as it is.
-- +goose StatementBegin
create function erp.cancel_orders(orders erp.order_cancel_in[]) returns setof erp.result
language plpgsql security definer
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    asked   erp.order_check[];
    checked erp.order_check[];
    ids     bigint[];
begin
    select array_agg(row(o.rank, o.reference, null, null,
        case when coalesce(o.reference, '') = '' then 'reference' when o.times > 1 then 'repeated' end,
        case when coalesce(o.reference, '') = '' then 'an order without a reference'
            when o.times > 1 then 'the same reference stands twice in one call' end, null)::erp.order_check order by o.rank)
    into asked
    from (select c.*, count(*) over (partition by c.reference) as times
        from unnest(orders) with ordinality c(reference, why, rank)) o;
    checked := erp.changeable(asked, 'cancel');
    ids := array(select c.id from unnest(checked) c where c.reason is null);

    perform erp.release_orders(ids);
    update erp.sales_order s
    set state = 'cancelled', cancelled_by = 'shop', cancel_reason = coalesce(o.why, '')
    from unnest(orders) o
    where s.id = any(ids) and s.reference || '' = o.reference and s.state = 'open';

    return query
    select c.reference, c.id, c.reason is null, c.id is not null, c.reason, c.detail from unnest(checked) c order by c.rank;
end $$;
-- +goose StatementEnd

-- lock_orders takes, in the one order in which everybody does, the locks of a transaction that will call several of the contract's functions:
-- orders that are to be edited or cancelled, by id, then the stock of all their articles and of those named, which are to be ordered. Calling one
-- function after the other would take orders behind stock, and stock behind other stock: in a circle with a clerk who ships one of these orders, or
-- sells two of these articles. Before all of them the lock of imports, under which these wait for stock.
-- +goose StatementBegin
create function erp.lock_orders(orders bigint[], articles bigint[]) returns void
language plpgsql security definer
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    wanted bigint[];
begin
    perform pg_advisory_xact_lock(hashtext('erp.import_orders'));
    perform from erp.sales_order o where o.id = any(orders) order by o.id + 0 for update;
    wanted := array(select c.article_id from erp.commitment c where c.order_id = any(orders)) || articles;
    wanted := array(select a.id from erp.article a where a.id = any(wanted) and a.stocked);
    perform erp.lock_stock(wanted, (select w.id from erp.warehouse w where w.web_rank is not null order by w.web_rank limit 1));
end $$;
-- +goose StatementEnd

-- The contract's functions run with their owner's rights: a role that may execute them, and read, takes
-- orders over without any right to write the ERP's tables. So they are not for everybody.
revoke execute on function erp.import_customers(erp.customer_in[]), erp.cancel_orders(erp.order_cancel_in[]),
    erp.import_orders(erp.order_in[], erp.order_line_in[], erp.order_charge_in[], erp.order_vat_in[], erp.order_payment_in[]),
    erp.apply_edits(erp.order_in[], erp.order_line_in[], erp.order_charge_in[], erp.order_vat_in[], erp.order_payment_in[]),
    erp.force_edits(erp.order_in[], erp.order_line_in[], erp.order_charge_in[], erp.order_vat_in[], erp.order_payment_in[]),
    erp.lock_orders(bigint[], bigint[])
    from public;

-- +goose Down
drop function erp.lock_orders(bigint[], bigint[]), erp.cancel_orders(erp.order_cancel_in[]), erp.release_orders(bigint[]),
    erp.write_edit(erp.line_edit[], erp.order_check[], erp.order_in[], erp.order_line_in[]),
    erp.apply_edits(erp.order_in[], erp.order_line_in[], erp.order_charge_in[], erp.order_vat_in[], erp.order_payment_in[]),
    erp.force_edits(erp.order_in[], erp.order_line_in[], erp.order_charge_in[], erp.order_vat_in[], erp.order_payment_in[]),
    erp.edit_orders(erp.order_in[], erp.order_line_in[], erp.order_charge_in[], erp.order_vat_in[], erp.order_payment_in[], boolean),
    erp.changeable(erp.order_check[], text);
drop type erp.line_edit;
