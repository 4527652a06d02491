-- What a clerk does, and what tests and the demo begin with. Unlike the contract these functions do one
-- thing at a time and raise an error when they can't.

-- +goose Up
create type erp.article_in as (
    product_code text,
    product_name text,
    sku          text,
    ean          text,
    name         text,
    vat_rate     numeric,
    gross        bigint,     -- cents, VAT included
    special      bigint,     -- null: none
    weight_kg    numeric,
    width_cm     numeric,
    height_cm    numeric,
    depth_cm     numeric,
    options      jsonb,      -- {"Size": "L", "Colour": "red"}; null: no variant
    stocked      boolean     -- null: yes
);

create type erp.goods_in as (
    article  bigint,
    quantity bigint
);

-- put_articles makes or changes articles by their SKU, and the products that they belong to by their code.
-- +goose StatementBegin
create function erp.put_articles(articles erp.article_in[]) returns table (sku text, id bigint)
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
    insert into erp.product (code, name)
    select distinct on (i.product_code) i.product_code, i.product_name from unnest(articles) i order by i.product_code
    on conflict (code) do update set name = excluded.name;

    insert into erp.article as a (product_id, sku, ean, name, vat_rate, gross, special, weight_kg, width_cm, height_cm, depth_cm, stocked)
    select p.id, i.sku, coalesce(i.ean, ''), i.name, i.vat_rate, coalesce(i.gross, 0), i.special, coalesce(i.weight_kg, 0),
        coalesce(i.width_cm, 0), coalesce(i.height_cm, 0), coalesce(i.depth_cm, 0), coalesce(i.stocked, true)
    from unnest(articles) i join erp.product p on p.code = i.product_code
    order by i.sku
    on conflict (sku) do update set product_id = excluded.product_id, ean = excluded.ean, name = excluded.name,
        vat_rate = excluded.vat_rate, gross = excluded.gross, special = excluded.special, weight_kg = excluded.weight_kg,
        width_cm = excluded.width_cm, height_cm = excluded.height_cm, depth_cm = excluded.depth_cm;

    delete from erp.article_option o
    using unnest(articles) i join erp.article a on a.sku = i.sku
    where o.article_id = a.id;
    insert into erp.article_option (article_id, name, value)
    select a.id, o.key, o.value
    from unnest(articles) i join erp.article a on a.sku = i.sku, jsonb_each_text(i.options) o;

    return query select a.sku, a.id from unnest(articles) i join erp.article a on a.sku = i.sku;
end $$;
-- +goose StatementEnd

-- move_goods changes what is on hand in a warehouse and writes the journal; more than is free can't leave.
-- +goose StatementBegin
create function erp.move_goods(into_warehouse smallint, goods erp.goods_in[], why text, remark text) returns void
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    articles bigint[] := array(select distinct g.article from unnest(goods) g);
    short    text;
begin
    perform erp.lock_stock(articles, into_warehouse);
    with stock as materialized (
        select s.article_id, s.on_hand - s.committed as free
        from erp.stock s
        where s.article_id = any(articles) and s.warehouse_id = into_warehouse
    )
    select format('article %s: %s asked, %s free in warehouse %s', s.article_id, -g.quantity, s.free, into_warehouse)
    into short
    from stock s
    join (select i.article, sum(i.quantity) as quantity from unnest(goods) i group by i.article) g on g.article = s.article_id
    where g.quantity < 0 and s.free + g.quantity < 0
    limit 1;
    if found then
        raise exception 'not enough: %', short using errcode = 'check_violation';
    end if;
    update erp.stock s
    set on_hand = s.on_hand + g.quantity
    from (select i.article, sum(i.quantity)::bigint as quantity from unnest(goods) i group by i.article) g
    where s.article_id = any(articles) and s.article_id + 0 = g.article and s.warehouse_id = into_warehouse;
    insert into erp.stock_movement (article_id, warehouse_id, quantity, cause, note)
    select g.article, into_warehouse, g.quantity, why, coalesce(remark, '') from unnest(goods) g;
    perform erp.settle_backorder(articles);
end $$;
-- +goose StatementEnd

-- receive_goods puts goods on hand; what orders waited for loses its backorder mark, oldest order first.
create function erp.receive_goods(warehouse smallint, goods erp.goods_in[], note text default '') returns void
language sql
as $$ select erp.move_goods(warehouse, goods, 'receipt', note) $$;

-- sell_at_counter takes goods out that nobody has ordered: what is committed is not for sale.
create function erp.sell_at_counter(warehouse smallint, goods erp.goods_in[], note text default '') returns void
language sql
as $$ select erp.move_goods(warehouse, array(select row(g.article, -g.quantity)::erp.goods_in from unnest(goods) g), 'sale', note) $$;

-- enter_order takes an order of the traditional trade at list prices, committed to one warehouse, and
-- returns its id. The customer's own data stand on it as they are now.
-- +goose StatementBegin
create function erp.enter_order(customer bigint, warehouse smallint, goods erp.goods_in[]) returns bigint
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    this_year smallint := extract(year from now() at time zone 'Europe/Rome');
    articles  bigint[] := array(select distinct g.article from unnest(goods) g);
    next      bigint;
    made      bigint;
    cents     bigint;
    demands   erp.demand[];
begin
    insert into erp.counter as k (series, year, last) values ('T', this_year, 1)
    on conflict (series, year) do update set last = k.last + 1
    returning last into next;
    insert into erp.sales_order (series, year, number, channel, placed_at, customer_id, kind, email, phone, language,
        tax_code, vat_number, pec, sdi, billing, shipping, currency, total, customer_currency, customer_factor, customer_total)
    select 'T', this_year, next, 'traditional', now(), c.id, c.kind, c.email, c.phone, c.language, c.tax_code, c.vat_number,
        c.pec, c.sdi, coalesce(c.address, row('', '', '', '', '', '', '', '', '')::erp.address),
        coalesce(c.address, row('', '', '', '', '', '', '', '', '')::erp.address), 'EUR', 0, 'EUR', 1, 0
    from erp.customer c where c.id = customer
    returning id into strict made;
    insert into erp.order_line (order_id, line, position, article_id, name, quantity, unit_gross, gross, vat_rate, vat_country)
    select made, g.line, g.line, a.id, a.name, g.quantity, coalesce(a.special, a.gross), coalesce(a.special, a.gross) * g.quantity,
        a.vat_rate, 'IT'
    from unnest(goods) with ordinality g(article, quantity, line)
    join (select a.* from erp.article a where a.id = any(articles)) a on a.id = g.article;
    insert into erp.order_vat (order_id, vat_rate, vat_country, gross, net, vat)
    select made, v.vat_rate, 'IT', v.gross, v.net, v.gross - v.net
    from (select l.vat_rate, sum(l.gross) as gross, round(sum(l.gross) * 100 / (100 + l.vat_rate)) as net
        from erp.order_line l where l.order_id = made group by l.vat_rate) v;
    select sum(v.gross) into strict cents from erp.order_vat v where v.order_id = made;
    update erp.sales_order o set total = cents, customer_total = cents / 100.0 where o.id = made;

    demands := array(select row(g.line, made, g.line, a.id, g.quantity)::erp.demand
        from unnest(goods) with ordinality g(article, quantity, line)
        join (select a.id from erp.article a where a.id = any(articles) and a.stocked) a on a.id = g.article);
    perform erp.lock_stock(articles, warehouse);
    perform erp.commit_lines(demands, array[warehouse]);
    return made;
end $$;
-- +goose StatementEnd

-- ship_order ships what of an order is on hand where it is committed: all of it, or at most the pieces
-- given by line. It returns the pieces shipped. Shipping documents are written elsewhere.
-- +goose StatementBegin
create function erp.ship_order(shipped_order bigint, pieces_by_line jsonb default null) returns bigint
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    articles bigint[];
    before   text;
    total    bigint;
begin
    select state into strict before from erp.sales_order where id = shipped_order for update;
    if before not in ('open', 'part_shipped') then
        raise exception 'order % is %', shipped_order, before using errcode = 'check_violation';
    end if;
    articles := array(select l.article_id from erp.order_line l where l.order_id = shipped_order);
    perform erp.lock_stock(articles, null);

    with held as (
        select c.*, c.quantity - c.backorder as pieces,
            (sum(c.quantity - c.backorder) over (partition by c.line order by w.web_rank, w.id rows unbounded preceding)
                - (c.quantity - c.backorder))::bigint as low,
            coalesce((pieces_by_line ->> c.line::text)::bigint, case when pieces_by_line is null then c.quantity end, 0) as asked,
            pieces_by_line is null as everything
        from erp.commitment c join erp.warehouse w on w.id = c.warehouse_id
        where c.order_id = shipped_order
    ), leaving as materialized (
        select h.line, h.warehouse_id, h.article_id, h.quantity,
            case when h.everything then h.pieces else least(h.pieces, h.asked - h.low) end as pieces
        from held h
        where h.pieces > 0 and (h.everything or h.low < h.asked)
    ), gone as (
        delete from erp.commitment c using leaving l
        where c.order_id = shipped_order and c.line = l.line and c.warehouse_id = l.warehouse_id and c.quantity = l.pieces
    ), less as (
        update erp.commitment c set quantity = c.quantity - l.pieces from leaving l
        where c.order_id = shipped_order and c.line = l.line and c.warehouse_id = l.warehouse_id and c.quantity > l.pieces
    ), stock as (
        update erp.stock s set on_hand = s.on_hand - l.pieces, committed = s.committed - l.pieces
        from (select article_id, warehouse_id, sum(pieces)::bigint as pieces from leaving group by 1, 2) l
        where s.article_id = any(articles) and s.article_id + 0 = l.article_id and s.warehouse_id = l.warehouse_id
    ), journal as (
        insert into erp.stock_movement (article_id, warehouse_id, quantity, cause, order_id)
        select l.article_id, l.warehouse_id, -l.pieces, 'shipment', shipped_order from leaving l
    ), lines as (
        update erp.order_line o set shipped = o.shipped + l.pieces
        from (select line, sum(pieces)::bigint as pieces from leaving group by line) l
        where o.order_id = shipped_order and o.line = l.line
    )
    select coalesce(sum(pieces), 0) into total from leaving;
    if total = 0 and exists (select from erp.commitment where order_id = shipped_order) then
        raise exception 'nothing of order % is on hand', shipped_order using errcode = 'check_violation';
    end if;

    update erp.order_line l set shipped = l.quantity
    from (select a.id from erp.article a where a.id = any(articles) and not a.stocked) a
    where l.order_id = shipped_order and a.id = l.article_id;
    update erp.sales_order o
    set state = case when exists (select from erp.order_line l where l.order_id = o.id and l.shipped < l.quantity)
        then 'part_shipped' else 'shipped' end
    where o.id = shipped_order;
    return total;
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
    perform from erp.sales_order where id = cancelled_order and state = 'open' for update;
    if not found then
        raise exception 'order % is not open', cancelled_order using errcode = 'check_violation';
    end if;
    perform erp.release_orders(array[cancelled_order]);
    update erp.sales_order set state = 'cancelled', cancelled_by = 'clerk', cancel_reason = why where id = cancelled_order;
end $$;
-- +goose StatementEnd

-- +goose Down
drop function erp.cancel_order(bigint, text), erp.ship_order(bigint, jsonb), erp.enter_order(bigint, smallint, erp.goods_in[]),
    erp.sell_at_counter(smallint, erp.goods_in[], text), erp.receive_goods(smallint, erp.goods_in[], text),
    erp.move_goods(smallint, erp.goods_in[], text, text), erp.put_articles(erp.article_in[]);
drop type erp.goods_in, erp.article_in;
