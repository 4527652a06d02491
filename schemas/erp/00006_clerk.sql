-- What a clerk does with goods and articles. Unlike the contract's, a clerk's functions do one thing at a
-- time, each is one transaction by itself, and what can't be is an error in a sentence that names it.
--
-- They are made to be typed into psql: erp.at('MI') is a warehouse by its code, erp.goods('{"MUG-RED": 5}')
-- are pieces by SKU, erp.order_id('W2026/17') is an order by its number.

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
        width_cm = excluded.width_cm, height_cm = excluded.height_cm, depth_cm = excluded.depth_cm, changed_at = now(),
        special_from = case when excluded.special = a.special then a.special_from end,
        special_to = case when excluded.special = a.special then a.special_to end;

    delete from erp.article_option o
    using unnest(articles) i join erp.article a on a.sku = i.sku
    where o.article_id = a.id;
    insert into erp.article_option (article_id, name, value)
    select a.id, o.key, o.value
    from unnest(articles) i join erp.article a on a.sku = i.sku, jsonb_each_text(i.options) o;

    return query select a.sku, a.id from unnest(articles) i join erp.article a on a.sku = i.sku;
end $$;
-- +goose StatementEnd

-- at is the warehouse with this code.
-- +goose StatementBegin
create function erp.at(warehouse_code text) returns smallint
language plpgsql stable
set search_path = ''
as $$
declare
    found_id smallint;
begin
    select w.id into found_id from erp.warehouse w where w.code = warehouse_code;
    if found_id is null then
        raise exception 'no warehouse has the code "%"; there are %', warehouse_code,
            coalesce((select string_agg(w.code, ', ' order by w.id) from erp.warehouse w), 'none') using errcode = 'check_violation';
    end if;
    return found_id;
end $$;
-- +goose StatementEnd

-- goods are pieces by SKU: {"MUG-RED": 5, "MUG-BLUE": 3}.
-- +goose StatementBegin
create function erp.goods(pieces_by_sku jsonb) returns erp.goods_in[]
language plpgsql stable
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    skus  text[] := array(select jsonb_object_keys(pieces_by_sku));
    ids   jsonb;
    wrong text;
begin
    select coalesce(jsonb_object_agg(a.sku, a.id), '{}') into ids from erp.article a where a.sku = any(skus);
    select format('no article has the SKU "%s"', k.sku) into wrong from unnest(skus) k(sku) where not ids ? k.sku order by k.sku limit 1;
    if wrong is null then
        select format('%s pieces of %s: not a whole number', p.value, p.key) into wrong
        from jsonb_each_text(pieces_by_sku) p where p.value is null or p.value !~ '^-?[0-9]{1,15}$' order by p.key limit 1;
    end if;
    if wrong is not null then
        raise exception '%', wrong using errcode = 'check_violation';
    end if;
    return array(select row((ids ->> p.key)::bigint, p.value::bigint)::erp.goods_in
        from jsonb_each_text(pieces_by_sku) p order by p.key);
end $$;
-- +goose StatementEnd

-- check_goods raises an error for a list of goods that makes no sense: a warehouse or article that is not
-- there, fewer pieces than the least. what is 'stocked' where services have no place.
-- +goose StatementBegin
create function erp.check_goods(into_warehouse smallint, goods erp.goods_in[], least_pieces bigint, what text) returns void
language plpgsql
as $$
declare
    articles bigint[] := array(select distinct g.article from unnest(goods) g);
    wrong    text;
begin
    if not exists (select from erp.warehouse w where w.id = into_warehouse) then
        wrong := format('no warehouse has the id %s', coalesce(into_warehouse::text, 'null'));
    elsif coalesce(cardinality(goods), 0) = 0 then
        wrong := 'no goods are named';
    else
        with known as materialized (
            select a.id, a.sku, a.stocked from erp.article a where a.id = any(articles)
        )
        select case when k.id is null then format('no article has the id %s', coalesce(g.article::text, 'null'))
            when not k.stocked and what = 'stocked' then format('%s is a service or a download: it has no stock', k.sku)
            else format('%s pieces of %s: must be from %s to 1000000000', coalesce(g.quantity::text, 'null'), k.sku, least_pieces) end
        into wrong
        from unnest(goods) g left join known k on k.id = g.article
        where k.id is null or not k.stocked and what = 'stocked' or g.quantity is null or g.quantity not between least_pieces and 1000000000
        limit 1;
    end if;
    if wrong is not null then
        raise exception '%', wrong using errcode = 'check_violation';
    end if;
end $$;
-- +goose StatementEnd

-- move_goods changes what is on hand in a warehouse and writes the journal; more than is free can't leave.
-- +goose StatementBegin
create function erp.move_goods(into_warehouse smallint, goods erp.goods_in[], why text, remark text) returns void
language plpgsql
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
    ), article as materialized (
        select a.id, a.sku from erp.article a where a.id = any(articles)
    )
    select format('%s: %s asked, %s free in warehouse %s', a.sku, -g.quantity, greatest(s.free, 0),
        (select w.code from erp.warehouse w where w.id = into_warehouse))
    into short
    from stock s
    join (select i.article, sum(i.quantity) as quantity from unnest(goods) i group by i.article) g on g.article = s.article_id
    join article a on a.id = s.article_id
    where g.quantity < 0 and s.free + g.quantity < 0
    limit 1;
    if found then
        raise exception 'not enough of %', short using errcode = 'check_violation';
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
-- +goose StatementBegin
create function erp.receive_goods(warehouse smallint, goods erp.goods_in[], note text default '') returns void
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
begin
    perform erp.check_goods(warehouse, goods, 1, 'stocked');
    perform erp.move_goods(warehouse, goods, 'receipt', note);
end $$;
-- +goose StatementEnd

-- sell_at_counter takes goods out that nobody has ordered: what is committed is not for sale.
-- +goose StatementBegin
create function erp.sell_at_counter(warehouse smallint, goods erp.goods_in[], note text default '') returns void
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
begin
    perform erp.check_goods(warehouse, goods, 1, 'stocked');
    perform erp.move_goods(warehouse, array(select row(g.article, -g.quantity)::erp.goods_in from unnest(goods) g), 'sale', note);
end $$;
-- +goose StatementEnd

-- move_between brings goods from one warehouse to another: what is free in the one, and what is backorder
-- in the other is served by it.
-- +goose StatementBegin
create function erp.move_between(from_warehouse smallint, to_warehouse smallint, goods erp.goods_in[], note text default '') returns void
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
begin
    perform erp.check_goods(from_warehouse, goods, 1, 'stocked');
    perform erp.check_goods(to_warehouse, goods, 1, 'stocked');
    if from_warehouse = to_warehouse then
        raise exception 'from warehouse % into itself', (select w.code from erp.warehouse w where w.id = to_warehouse) using errcode = 'check_violation';
    end if;
    perform erp.make_stock(array(select g.article from unnest(goods) g), array[from_warehouse, to_warehouse]);
    perform erp.move_goods(from_warehouse, array(select row(g.article, -g.quantity)::erp.goods_in from unnest(goods) g), 'move', note);
    perform erp.move_goods(to_warehouse, goods, 'move', note);
end $$;
-- +goose StatementEnd

-- make_stock makes the rows that warehouses lack. One who needs rows in two warehouses makes them before the
-- first lock: made under locks, they could wait in a circle with another's.
create function erp.make_stock(articles bigint[], warehouses smallint[]) returns void
language sql
as $$
    insert into erp.stock (article_id, warehouse_id)
    select distinct a, unnest(warehouses) from unnest(articles) a order by 1, 2
    on conflict do nothing
$$;

-- count_stock sets what is on hand to what was counted, and writes the difference into the journal. Where
-- less was found than is committed, the youngest orders lose those pieces: a web order gets them from
-- the next warehouse that has them, else they are backorder.
-- +goose StatementBegin
create function erp.count_stock(warehouse smallint, counted erp.goods_in[], note text default '') returns void
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    web      smallint[] := array(select w.id from erp.warehouse w where w.web_rank is not null order by w.web_rank);
    articles bigint[] := array(select distinct g.article from unnest(counted) g);
begin
    perform erp.check_goods(warehouse, counted, 0, 'stocked');
    if cardinality(articles) < cardinality(counted) then
        raise exception 'an article stands twice in one count' using errcode = 'check_violation';
    end if;
    perform erp.make_stock(articles, array_remove(array[warehouse, web[1]], null));
    perform erp.lock_stock(articles, null);
    with stock as materialized (
        select s.article_id, s.on_hand from erp.stock s where s.article_id = any(articles) and s.warehouse_id = count_stock.warehouse
    )
    insert into erp.stock_movement (article_id, warehouse_id, quantity, cause, note)
    select s.article_id, count_stock.warehouse, g.quantity - s.on_hand, 'count', coalesce(count_stock.note, '')
    from stock s join unnest(counted) g on g.article = s.article_id
    where g.quantity <> s.on_hand;
    update erp.stock s
    set on_hand = g.quantity
    from unnest(counted) g
    where s.article_id = any(articles) and s.article_id + 0 = g.article and s.warehouse_id = count_stock.warehouse;
    if exists (select from unnest(counted) g where g.quantity < (
        select s.committed from erp.stock s where s.article_id = g.article and s.warehouse_id = count_stock.warehouse)) then
        perform erp.give_up_pieces(articles, warehouse, web);
    end if;
    perform erp.settle_backorder(articles);
end $$;
-- +goose StatementEnd

-- give_up_pieces takes from the youngest orders what a warehouse has committed but no longer has, and commits
-- it anew: web orders along the web's warehouses, others to the same one. It reads all that is open, for no
-- index finds the orders of an article: a count that finds too little is rare. The caller has locked the articles.
-- +goose StatementBegin
create function erp.give_up_pieces(articles bigint[], from_warehouse smallint, web smallint[]) returns void
language plpgsql
as $$
declare
    lost   erp.demand[];
    orders bigint[];
begin
    with stock as materialized (
        select s.article_id, s.on_hand from erp.stock s where s.article_id = any(articles) and s.warehouse_id = from_warehouse
    ), stretch as (
        select c.order_id, c.line, c.article_id, c.quantity - c.backorder as pieces, (sum(c.quantity - c.backorder) over w)::bigint as high
        from erp.commitment c
        where c.article_id = any(articles) and c.warehouse_id = from_warehouse and c.quantity > c.backorder
        window w as (partition by c.article_id order by c.order_id, c.line rows unbounded preceding)
    )
    select array_agg(row(x.order_id * 100000 + x.line, x.order_id, x.line, x.article_id, least(x.pieces, x.high - s.on_hand))::erp.demand)
    into lost
    from stretch x join stock s on s.article_id = x.article_id
    where x.high > s.on_hand;
    if lost is null then
        return;
    end if;
    orders := array(select distinct l.order_id from unnest(lost) l);

    with gone as (
        delete from erp.commitment c using unnest(lost) l
        where c.order_id = any(orders) and c.order_id + 0 = l.order_id and c.line = l.line and c.warehouse_id = from_warehouse
            and c.quantity = l.quantity
    ), less as (
        update erp.commitment c set quantity = c.quantity - l.quantity from unnest(lost) l
        where c.order_id = any(orders) and c.order_id + 0 = l.order_id and c.line = l.line and c.warehouse_id = from_warehouse
            and c.quantity > l.quantity
    )
    update erp.stock s
    set committed = s.committed - l.pieces
    from (select l.article_id, sum(l.quantity)::bigint as pieces from unnest(lost) l group by l.article_id) l
    where s.article_id = any(articles) and s.article_id + 0 = l.article_id and s.warehouse_id = from_warehouse;

    if from_warehouse = any(web) then
        orders := array(select o.id from erp.sales_order o where o.id = any(orders) and o.channel = 'web');
        perform erp.commit_lines(array(select l from unnest(lost) l where l.order_id = any(orders)), web);
        lost := array(select l from unnest(lost) l where l.order_id <> all(orders));
    end if;
    perform erp.commit_lines(lost, array[from_warehouse]);
end $$;
-- +goose StatementEnd

-- enter_order takes an order of the traditional trade at list prices, committed to one warehouse, and
-- returns its id. The customer's own data stand on it as they are now.
-- +goose StatementBegin
create function erp.enter_order(customer bigint, warehouse smallint, goods erp.goods_in[]) returns bigint
language plpgsql
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    this_day  date := now() at time zone 'Europe/Rome';
    this_year smallint := extract(year from this_day);
    articles  bigint[] := array(select distinct g.article from unnest(goods) g);
    next      bigint;
    made      bigint;
    cents     bigint;
    demands   erp.demand[];
begin
    perform erp.check_goods(warehouse, goods, 1, 'sold');
    if not exists (select from erp.customer c where c.id = customer) then
        raise exception 'no customer has the id %', coalesce(customer::text, 'null') using errcode = 'check_violation';
    end if;
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
    with article as materialized (
        select a.id, a.name, a.vat_rate, case when a.special is null or this_day not between coalesce(a.special_from, this_day)
            and coalesce(a.special_to, this_day) then a.gross else a.special end as price
        from erp.article a where a.id = any(articles)
    )
    insert into erp.order_line (order_id, line, position, article_id, name, quantity, unit_gross, gross, vat_rate, vat_country)
    select made, g.line, g.line, a.id, a.name, g.quantity, a.price, a.price * g.quantity, a.vat_rate, 'IT'
    from unnest(goods) with ordinality g(article, quantity, line)
    join article a on a.id = g.article;
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

-- set_price changes the price of an article: cents, VAT included.
-- +goose StatementBegin
create function erp.set_price(article_sku text, gross_cents bigint) returns void
language plpgsql
set search_path = ''
as $$
declare
    a erp.article;
begin
    a := erp.article_to_change(article_sku);
    if gross_cents is null or gross_cents not between 0 and 1000000000000 then
        raise exception 'price of %: % cents', article_sku, coalesce(gross_cents::text, 'null') using errcode = 'check_violation';
    end if;
    if gross_cents <= a.special then
        raise exception 'price of %: % cents are not above its special price of %; end that first', article_sku, gross_cents, a.special
            using errcode = 'check_violation';
    end if;
    update erp.article set gross = gross_cents, changed_at = now() where id = a.id and gross <> gross_cents;
end $$;
-- +goose StatementEnd

-- set_special gives an article a special price (cents, VAT included) from its first to its last day; a day that is
-- null is no bound. A special price of null ends it.
-- +goose StatementBegin
create function erp.set_special(article_sku text, special_cents bigint, first_day date default null, last_day date default null) returns void
language plpgsql
set search_path = ''
as $$
declare
    a erp.article;
begin
    a := erp.article_to_change(article_sku);
    if special_cents is null and (first_day is not null or last_day is not null) then
        raise exception 'special price of %: days without a price', article_sku using errcode = 'check_violation';
    end if;
    if special_cents < 0 or special_cents >= a.gross then
        raise exception 'special price of %: % cents are not below its price of %', article_sku, special_cents, a.gross using errcode = 'check_violation';
    end if;
    if last_day < first_day then
        raise exception 'special price of %: it would end on %, before it begins on %', article_sku, last_day, first_day using errcode = 'check_violation';
    end if;
    update erp.article set special = special_cents, special_from = first_day, special_to = last_day, changed_at = now()
    where id = a.id and (special, special_from, special_to) is distinct from (special_cents, first_day, last_day);
end $$;
-- +goose StatementEnd

-- set_measures changes weight and dimensions of an article; what is null stays.
-- +goose StatementBegin
create function erp.set_measures(article_sku text, weight_kg numeric default null, width_cm numeric default null,
    height_cm numeric default null, depth_cm numeric default null) returns void
language plpgsql
set search_path = ''
as $$
declare
    a erp.article;
begin
    a := erp.article_to_change(article_sku);
    if least(weight_kg, width_cm, height_cm, depth_cm) < 0 or greatest(weight_kg, width_cm, height_cm, depth_cm) > 1000000 then
        raise exception 'measures of %: not between 0 and 1000000', article_sku using errcode = 'check_violation';
    end if;
    update erp.article x set weight_kg = coalesce(set_measures.weight_kg, x.weight_kg), width_cm = coalesce(set_measures.width_cm, x.width_cm),
        height_cm = coalesce(set_measures.height_cm, x.height_cm), depth_cm = coalesce(set_measures.depth_cm, x.depth_cm), changed_at = now()
    where x.id = a.id;
end $$;
-- +goose StatementEnd

-- article_to_change locks the article with this SKU.
-- +goose StatementBegin
create function erp.article_to_change(article_sku text) returns erp.article
language plpgsql
as $$
declare
    a erp.article;
begin
    select * into a from erp.article x where x.sku = article_sku for update;
    if a.id is null then
        raise exception 'no article has the SKU "%"', coalesce(article_sku, 'null') using errcode = 'check_violation';
    end if;
    return a;
end $$;
-- +goose StatementEnd

-- +goose Down
drop function erp.article_to_change(text), erp.set_measures(text, numeric, numeric, numeric, numeric), erp.set_special(text, bigint, date, date),
    erp.set_price(text, bigint), erp.enter_order(bigint, smallint, erp.goods_in[]), erp.give_up_pieces(bigint[], smallint, smallint[]),
    erp.count_stock(smallint, erp.goods_in[], text), erp.make_stock(bigint[], smallint[]),
    erp.move_between(smallint, smallint, erp.goods_in[], text), erp.sell_at_counter(smallint, erp.goods_in[], text),
    erp.receive_goods(smallint, erp.goods_in[], text), erp.move_goods(smallint, erp.goods_in[], text, text),
    erp.check_goods(smallint, erp.goods_in[], bigint, text), erp.goods(jsonb), erp.at(text), erp.put_articles(erp.article_in[]);
drop type erp.goods_in, erp.article_in;
