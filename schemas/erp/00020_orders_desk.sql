-- What a clerk does with orders: ship, cancel, close short, take back. Each function is one transaction by itself; it
-- locks the order's row, then the articles' stock, as everybody does; what can't be is an error in a sentence.

-- +goose Up

-- Pieces that leave a warehouse for a line.
create type erp.parcel_line as (
    line         integer,
    warehouse_id smallint,
    article_id   bigint,
    quantity     bigint
);

-- order_id is the order with this number: W2026/17.
-- +goose StatementBegin
create function erp.order_id(order_number text) returns bigint
language plpgsql stable
set search_path = ''
as $$
declare
    parts text[] := regexp_match(order_number, '^([A-Z]+)([0-9]{4})/([0-9]{1,18})$');
    made  bigint;
begin
    select o.id into made from erp.sales_order o
    where o.series = parts[1] and o.year = parts[2]::smallint and o.number = parts[3]::bigint;
    if made is null then
        raise exception 'no order has the number "%"', coalesce(order_number, 'null') using errcode = 'check_violation';
    end if;
    return made;
end $$;
-- +goose StatementEnd

-- order_to_change locks an order and raises an error unless its state is one of those given; otherwise says what a
-- person can do instead. It returns the order.
-- +goose StatementBegin
create function erp.order_to_change(changed_order bigint, states text[], otherwise text) returns erp.sales_order
language plpgsql
as $$
declare
    o erp.sales_order;
begin
    select * into o from erp.sales_order x where x.id = changed_order for update;
    if o.id is null then
        raise exception 'no order has the id %', coalesce(changed_order::text, 'null') using errcode = 'check_violation';
    end if;
    if o.state <> all(states) then
        raise exception 'order %/% is %: %', o.series || o.year, o.number, replace(o.state, '_', ' '), otherwise using errcode = 'check_violation';
    end if;
    return o;
end $$;
-- +goose StatementEnd

-- check_pieces raises an error for pieces by line that make no sense: {"1": 2} are 2 pieces of line 1.
-- +goose StatementBegin
create function erp.check_pieces(checked_order bigint, pieces_by_line jsonb) returns void
language plpgsql
as $$
declare
    lines text[] := array(select l.line::text from erp.order_line l where l.order_id = checked_order);
    wrong text;
begin
    if jsonb_typeof(pieces_by_line) <> 'object' or pieces_by_line = '{}' then
        wrong := 'pieces by line are written as {"1": 2}: 2 pieces of line 1';
    else
        select case when p.key <> all(lines) then format('the order has no line %s', p.key)
            else format('line %s: %s pieces: not a whole number from 1', p.key, coalesce(p.value, 'null')) end
        into wrong
        from jsonb_each_text(pieces_by_line) p
        where p.key <> all(lines) or p.value is null or p.value !~ '^[1-9][0-9]{0,9}$'
        order by p.key limit 1;
    end if;
    if wrong is not null then
        raise exception '%', wrong using errcode = 'check_violation';
    end if;
end $$;
-- +goose StatementEnd

-- check_parcel raises an error for a warehouse or carrier that is not there, or figures that can't be.
-- +goose StatementBegin
create function erp.check_parcel(from_warehouse smallint, carrier_code text, tracking text, packages integer, weight_kg numeric) returns void
language plpgsql
as $$
declare
    wrong text;
begin
    if from_warehouse is not null and not exists (select from erp.warehouse w where w.id = from_warehouse) then
        wrong := format('no warehouse has the id %s', from_warehouse);
    elsif carrier_code is not null and not exists (select from erp.carrier c where c.code = carrier_code) then
        wrong := format('no carrier has the code "%s"; there are %s', carrier_code,
            coalesce((select string_agg(c.code, ', ' order by c.code) from erp.carrier c), 'none'));
    elsif carrier_code is null and tracking <> '' then
        wrong := format('tracking number %s: of which carrier?', tracking);
    elsif coalesce(packages, 0) not between 1 and 10000 then
        wrong := format('%s packages: from 1 to 10000', coalesce(packages::text, 'null'));
    elsif weight_kg <= 0 or weight_kg > 1000000 then
        wrong := format('weight of %s kg: above 0, to 1000000', weight_kg);
    end if;
    if wrong is not null then
        raise exception '%', wrong using errcode = 'check_violation';
    end if;
    -- A number that can't be the carrier's is kept, and said: the goods are on the truck already.
    wrong := (select erp.tracking_flaw(c, tracking) from erp.carrier c where c.code = carrier_code);
    if wrong is not null then
        raise warning '%', wrong using hint = 'the customer gets the number without a link; erp.shipments names such numbers in tracking_flaw';
    end if;
end $$;
-- +goose StatementEnd

-- ship_order ships what of an order is on hand where it is committed: all of it, or the pieces given by line
-- ({"1": 2}); from one warehouse, or from each that has pieces, with one shipment a warehouse. It returns the ids of
-- the shipments: none when the order has only services, which count as shipped with anything that leaves.
-- +goose StatementBegin
create function erp.ship_order(shipped_order bigint, pieces_by_line jsonb default null, warehouse smallint default null,
    carrier text default null, tracking text default '', packages integer default 1, weight_kg numeric default null) returns bigint[]
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    o        erp.sales_order := erp.order_to_change(shipped_order, '{open,part_shipped}', 'nothing of it is to be shipped');
    articles bigint[] := array(select distinct l.article_id from erp.order_line l where l.order_id = shipped_order);
    leaving  erp.parcel_line[];
begin
    perform erp.check_parcel(warehouse, carrier, tracking, packages, weight_kg);
    if pieces_by_line is not null then
        perform erp.check_pieces(shipped_order, pieces_by_line);
    end if;
    perform erp.lock_stock(articles, null);
    leaving := erp.leaving(shipped_order, pieces_by_line, warehouse);
    perform erp.check_leaving(o, leaving, pieces_by_line, warehouse, tracking);

    with gone as (
        delete from erp.commitment c using unnest(leaving) l
        where c.order_id = shipped_order and c.line = l.line and c.warehouse_id = l.warehouse_id and c.quantity = l.quantity
    ), less as (
        update erp.commitment c set quantity = c.quantity - l.quantity from unnest(leaving) l
        where c.order_id = shipped_order and c.line = l.line and c.warehouse_id = l.warehouse_id and c.quantity > l.quantity
    ), stock as (
        update erp.stock s set on_hand = s.on_hand - l.quantity, committed = s.committed - l.quantity
        from (select x.article_id, x.warehouse_id, sum(x.quantity)::bigint as quantity from unnest(leaving) x group by 1, 2) l
        where s.article_id = any(articles) and s.article_id + 0 = l.article_id and s.warehouse_id = l.warehouse_id
    ), journal as (
        insert into erp.stock_movement (article_id, warehouse_id, quantity, cause, order_id, line)
        select l.article_id, l.warehouse_id, -l.quantity, 'shipment', shipped_order, l.line from unnest(leaving) l
    )
    update erp.order_line x set shipped = x.shipped + l.quantity
    from (select i.line, sum(i.quantity)::bigint as quantity from unnest(leaving) i group by i.line) l
    where x.order_id = shipped_order and x.line = l.line;
    update erp.order_line l set shipped = l.quantity
    from (select a.id from erp.article a where a.id = any(articles) and not a.stocked) a
    where l.order_id = shipped_order and a.id = l.article_id;

    o.state := case when exists (select from erp.order_line l where l.order_id = shipped_order and l.shipped < l.quantity)
        then 'part_shipped' else 'shipped' end;
    update erp.sales_order x set state = o.state where x.id = shipped_order and x.state <> o.state;
    return erp.write_shipments(o, leaving, carrier, tracking, packages, weight_kg);
end $$;
-- +goose StatementEnd

-- leaving is what of an order can leave: where a line's pieces wait in several warehouses, the first in rank first.
-- +goose StatementBegin
create function erp.leaving(shipped_order bigint, pieces_by_line jsonb, from_warehouse smallint) returns erp.parcel_line[]
language plpgsql stable
as $$
begin
    return array(
        with held as (
            select c.line, c.warehouse_id, c.article_id, c.quantity - c.backorder as pieces,
                (sum(c.quantity - c.backorder) over (partition by c.line order by w.web_rank, w.id rows unbounded preceding)
                    - (c.quantity - c.backorder))::bigint as low,
                case when pieces_by_line is null then 9223372036854775807 else coalesce((pieces_by_line ->> c.line::text)::bigint, 0) end as asked
            from erp.commitment c join erp.warehouse w on w.id = c.warehouse_id
            where c.order_id = shipped_order and c.warehouse_id = coalesce(from_warehouse, c.warehouse_id)
        )
        select row(h.line, h.warehouse_id, h.article_id, least(h.pieces, h.asked - h.low))::erp.parcel_line
        from held h
        where h.pieces > 0 and h.low < h.asked
        order by h.line, h.low);
end $$;
-- +goose StatementEnd

-- check_leaving raises an error when less can leave than was asked for, or one tracking number would stand for two
-- warehouses' parcels.
-- +goose StatementBegin
create function erp.check_leaving(o erp.sales_order, leaving erp.parcel_line[], pieces_by_line jsonb, from_warehouse smallint, tracking text) returns void
language plpgsql
as $$
declare
    called text := format('order %s%s/%s', o.series, o.year, o.number);
    place  text := coalesce(' in warehouse ' || (select w.code from erp.warehouse w where w.id = from_warehouse), '');
    lines  jsonb := (select jsonb_object_agg(x.line, a.stocked) from erp.order_line x
        join (select a.id, a.stocked from erp.article a where a.id = any(array(select i.article_id from erp.order_line i where i.order_id = o.id))) a
            on a.id = x.article_id
        where x.order_id = o.id);
    wrong  text;
begin
    select format('line %s of %s: %s pieces asked, %s on hand%s', p.key, called, p.value, coalesce(l.quantity, 0), place)
    into wrong
    from jsonb_each_text(pieces_by_line) p
    left join (select x.line::text as line, sum(x.quantity)::bigint as quantity from unnest(leaving) x group by x.line) l on l.line = p.key
    where (lines -> p.key)::boolean and p.value::bigint > coalesce(l.quantity, 0)
    order by p.key limit 1;
    if wrong is null and cardinality(leaving) = 0 and exists (select from erp.commitment c where c.order_id = o.id) then
        wrong := format('nothing of %s is on hand%s', called, place);
    end if;
    if wrong is null and tracking <> '' and (select count(distinct l.warehouse_id) from unnest(leaving) l) > 1 then
        wrong := format('pieces of %s leave from %s: name one warehouse, for a tracking number belongs to one shipment', called,
            (select string_agg(distinct w.code, ' and ') from unnest(leaving) l join erp.warehouse w on w.id = l.warehouse_id));
    end if;
    if wrong is not null then
        raise exception '%', wrong using errcode = 'check_violation';
    end if;
end $$;
-- +goose StatementEnd

-- write_shipments makes a shipment for each warehouse that goods leave; the last of them completes an order that is
-- shipped. It returns their ids.
-- +goose StatementBegin
create function erp.write_shipments(o erp.sales_order, leaving erp.parcel_line[], carrier_code text, tracking text, packages integer, weight_kg numeric)
returns bigint[]
language plpgsql
as $$
declare
    ids bigint[];
begin
    with new as (
        insert into erp.shipment (order_id, warehouse_id, carrier, tracking, packages, weight_kg, complete)
        select o.id, l.warehouse_id, carrier_code, coalesce(write_shipments.tracking, ''), write_shipments.packages, write_shipments.weight_kg,
            o.state = 'shipped' and row_number() over (order by l.warehouse_id desc) = 1
        from (select distinct x.warehouse_id from unnest(leaving) x) l
        order by l.warehouse_id
        returning id, warehouse_id
    ), lines as (
        insert into erp.shipment_line (shipment_id, order_id, line, article_id, quantity)
        select n.id, o.id, l.line, l.article_id, l.quantity
        from unnest(leaving) l join new n on n.warehouse_id = l.warehouse_id
    )
    select array_agg(n.id order by n.id) into ids from new n;
    return coalesce(ids, '{}');
end $$;
-- +goose StatementEnd

-- cancel_order cancels an order from the ERP's side: the shop does not bring it back by an edit.
-- +goose StatementBegin
create function erp.cancel_order(cancelled_order bigint, why text) returns void
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
begin
    perform erp.order_to_change(cancelled_order, '{open}', 'only an open order can be cancelled, and one that left in part closed short');
    perform erp.release_orders(array[cancelled_order]);
    update erp.sales_order set state = 'cancelled', cancelled_by = 'clerk', cancel_reason = coalesce(why, '') where id = cancelled_order;
end $$;
-- +goose StatementEnd

-- close_short gives up what of an order has not left: its pieces are free for others.
-- +goose StatementBegin
create function erp.close_short(closed_order bigint, why text) returns void
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
begin
    perform erp.order_to_change(closed_order, '{part_shipped}', 'only an order that left in part can be closed short');
    perform erp.release_orders(array[closed_order]);
    update erp.sales_order set state = 'closed_short', cancel_reason = coalesce(why, '') where id = closed_order;
end $$;
-- +goose StatementEnd

-- take_back puts pieces of an order that came back on hand in a warehouse, by line: {"1": 2}.
-- +goose StatementBegin
create function erp.take_back(returned_order bigint, pieces_by_line jsonb, warehouse smallint, note text default '') returns void
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    o        erp.sales_order := erp.order_to_change(returned_order, '{part_shipped,shipped,closed_short}', 'nothing of it has left');
    articles bigint[];
    wrong    text;
begin
    perform erp.check_parcel(coalesce(warehouse, 0::smallint), null, '', 1, null);
    perform erp.check_pieces(returned_order, coalesce(pieces_by_line, '[]'));
    with line as materialized (
        select l.line, l.article_id, l.shipped - l.returned as away from erp.order_line l where l.order_id = returned_order
    ), article as materialized (
        select a.id, a.sku, a.stocked from erp.article a where a.id = any(array(select l.article_id from line l))
    )
    select case when not a.stocked then format('line %s: %s is a service or a download: it can''t come back', l.line, a.sku)
        else format('line %s of order %s%s/%s: %s pieces come back, %s are with the customer', l.line, o.series, o.year, o.number, p.value, l.away) end
    into wrong
    from jsonb_each_text(pieces_by_line) p join line l on l.line::text = p.key join article a on a.id = l.article_id
    where not a.stocked or p.value::bigint > l.away
    order by l.line limit 1;
    if wrong is not null then
        raise exception '%', wrong using errcode = 'check_violation';
    end if;

    articles := array(select distinct l.article_id from erp.order_line l where l.order_id = returned_order and pieces_by_line ? l.line::text);
    perform erp.lock_stock(articles, warehouse);
    update erp.order_line l set returned = l.returned + (pieces_by_line ->> l.line::text)::bigint
    where l.order_id = returned_order and pieces_by_line ? l.line::text;
    insert into erp.stock_movement (article_id, warehouse_id, quantity, cause, order_id, line, note)
    select l.article_id, warehouse, (pieces_by_line ->> l.line::text)::bigint, 'return', returned_order, l.line, coalesce(take_back.note, '')
    from erp.order_line l where l.order_id = returned_order and pieces_by_line ? l.line::text;
    with back as materialized (
        select l.article_id, sum((pieces_by_line ->> l.line::text)::bigint)::bigint as quantity
        from erp.order_line l where l.order_id = returned_order and pieces_by_line ? l.line::text group by l.article_id
    )
    update erp.stock s set on_hand = s.on_hand + b.quantity
    from back b
    where s.article_id = any(articles) and s.article_id + 0 = b.article_id and s.warehouse_id = take_back.warehouse;
    perform erp.settle_backorder(articles);
end $$;
-- +goose StatementEnd

-- +goose Down
drop function erp.take_back(bigint, jsonb, smallint, text), erp.close_short(bigint, text), erp.cancel_order(bigint, text),
    erp.write_shipments(erp.sales_order, erp.parcel_line[], text, text, integer, numeric),
    erp.check_leaving(erp.sales_order, erp.parcel_line[], jsonb, smallint, text), erp.leaving(bigint, jsonb, smallint),
    erp.ship_order(bigint, jsonb, smallint, text, text, integer, numeric),
    erp.check_parcel(smallint, text, text, integer, numeric), erp.check_pieces(bigint, jsonb), erp.order_to_change(bigint, text[], text),
    erp.order_id(text);
drop type erp.parcel_line;
