-- How orders get hold of pieces: commitments over ranked warehouses, for a whole call at once.
--
-- Held at the end of every function, for every article:
--   a warehouse other than the first of its order's list never has more committed than on hand;
--   the pieces marked backorder are exactly those committed beyond what is on hand.
--
-- All functions of the contract have one plan, whatever the statistics say, also on a table that grew from
-- nothing or that nobody analyzed: a table is reached by `key = any(array)` on an index, and sets are joined
-- by hashing. Three things see to it, and a test looks at the plans:
--   sequential scans, nested loops and merge joins are off, set by the functions that others call (and by
--   those alone: a setting costs some microseconds, and holds for all that is called inside);
--   a table is read in a materialized CTE that has no other condition, grouping or order, and joined in an
--   UPDATE or DELETE by `key + 0`: else the planner walks a whole index for the sake of its order;
--   plans are generic, so that a call with one order does not plan anew.

-- +goose Up

-- Pieces that a line asks for (commit_lines) or gives back (release_lines). Earlier rank is served first.
create type erp.demand as (
    rank       bigint,
    order_id   bigint,
    line       integer,
    article_id bigint,
    quantity   bigint
);

-- lock_stock locks all rows of the articles in one order for everybody, so that two calls never wait for
-- each other in a circle, and makes the rows that the warehouse, if one is given, still lacks. What is read after it, in the
-- next statement, stays true until commit. Whoever needs an order's row locks it before: nobody who holds
-- stock writes an order that is not his own, so the mark of an order's backorder is not stored but read.
-- +goose StatementBegin
create function erp.lock_stock(articles bigint[], warehouse smallint) returns void
language plpgsql
as $$
declare
    there bigint;
begin
    select count(*) filter (where l.warehouse_id = warehouse) into there
    from (select s.warehouse_id from erp.stock s where s.article_id = any(articles) order by s.article_id + 0, s.warehouse_id for update) l;
    if there < cardinality(articles) and warehouse is not null then
        insert into erp.stock (article_id, warehouse_id)
        select distinct a, warehouse from unnest(articles) a order by a
        on conflict do nothing;
        perform from erp.stock s where s.article_id = any(articles) order by s.article_id + 0, s.warehouse_id for update;
    end if;
end $$;
-- +goose StatementEnd

-- commit_whole commits the pieces of new orders article by article, as long as all that is asked of an article comes
-- from one place: the first warehouse that has any of it, or none has and all is backorder. Returns the articles that
-- it has served; the others need rulers. The caller has locked the articles.
-- +goose StatementBegin
create function erp.commit_whole(demands erp.demand[], warehouses smallint[], articles bigint[]) returns bigint[]
language plpgsql
as $$
declare
    served bigint[];
begin
    with wanted as (
        select d.article_id, sum(d.quantity)::bigint as pieces from unnest(demands) d group by d.article_id
    ), free as materialized (
        select s.article_id, s.warehouse_id, s.on_hand - s.committed as pieces
        from erp.stock s
        where s.article_id = any(articles) and s.warehouse_id = any(warehouses)
    ), first as (
        select distinct on (f.article_id) f.article_id, f.warehouse_id, f.pieces
        from free f
        where f.pieces > 0
        order by f.article_id, array_position(warehouses, f.warehouse_id)
    ), source as materialized (
        select w.article_id, coalesce(f.warehouse_id, warehouses[1]) as warehouse_id, w.pieces, f.article_id is null as backorder
        from wanted w
        left join first f on f.article_id = w.article_id
        where f.article_id is null or f.pieces >= w.pieces
    ), new as (
        insert into erp.commitment (order_id, line, warehouse_id, article_id, quantity, backorder)
        select d.order_id, d.line, s.warehouse_id, d.article_id, d.quantity, case when s.backorder then d.quantity else 0 end
        from unnest(demands) d
        join source s on s.article_id = d.article_id
    ), moved as (
        update erp.stock s
        set committed = s.committed + t.pieces
        from source t
        where s.article_id = any(articles) and s.article_id + 0 = t.article_id and s.warehouse_id = t.warehouse_id
    )
    select coalesce(array_agg(s.article_id), '{}') into served from source s;
    return served;
end $$;
-- +goose StatementEnd

-- commit_lines commits pieces to warehouses in the order of the list; what is not on hand anywhere is
-- backorder of the first. Demand and supply of an article are two rulers laid side by side, each line and
-- each warehouse a stretch of its ruler: where two stretches overlap, that warehouse serves that line.
-- The caller has locked the articles. fresh: no line of these orders has pieces yet.
-- +goose StatementBegin
create function erp.commit_lines(demands erp.demand[], warehouses smallint[], fresh boolean default false) returns void
language plpgsql
as $$
declare
    articles bigint[] := array(select distinct d.article_id from unnest(demands) d);
    served   bigint[];
    holding  bigint[] := '{}';  -- those of the orders that have pieces already
begin
    if fresh then
        served := erp.commit_whole(demands, warehouses, articles);
        if cardinality(served) = cardinality(articles) then
            return;
        end if;
        demands := array(select d from unnest(demands) d left join unnest(served) a on a = d.article_id where a is null);
        articles := array(select distinct d.article_id from unnest(demands) d);
    else
        holding := array(select c.order_id from erp.commitment c where c.order_id = any(array(select d.order_id from unnest(demands) d)));
    end if;
    with demand as (
        select d.order_id, d.line, d.article_id,
            (sum(d.quantity) over w - d.quantity)::bigint as low, (sum(d.quantity) over w)::bigint as high
        from unnest(demands) d
        window w as (partition by d.article_id order by d.rank rows unbounded preceding)
    ), free as materialized (
        select s.article_id, s.warehouse_id, greatest(s.on_hand - s.committed, 0) as pieces,
            array_position(warehouses, s.warehouse_id) as rank
        from erp.stock s
        where s.article_id = any(articles) and s.warehouse_id = any(warehouses)
    ), supply as (
        select f.article_id, f.warehouse_id, false as backorder,
            (sum(f.pieces) over w - f.pieces)::bigint as low, (sum(f.pieces) over w)::bigint as high
        from free f
        window w as (partition by f.article_id order by f.rank rows unbounded preceding)
        union all
        select f.article_id, warehouses[1], true, sum(f.pieces)::bigint, 9223372036854775807
        from free f group by f.article_id
    ), taken as materialized (
        select d.order_id, d.line, s.warehouse_id, d.article_id,
            sum(least(d.high, s.high) - greatest(d.low, s.low))::bigint as pieces,
            coalesce(sum(least(d.high, s.high) - greatest(d.low, s.low)) filter (where s.backorder), 0)::bigint as backorder
        from demand d
        join supply s on s.article_id = d.article_id
        where least(d.high, s.high) > greatest(d.low, s.low)
        group by d.order_id, d.line, s.warehouse_id, d.article_id
    ), held as materialized (
        select c.order_id, c.line, c.warehouse_id
        from erp.commitment c
        where c.order_id = any(holding)
    ), more as (
        update erp.commitment c
        set quantity = c.quantity + t.pieces, backorder = c.backorder + t.backorder
        from taken t
        where c.order_id = any(holding) and c.order_id + 0 = t.order_id and c.line = t.line and c.warehouse_id = t.warehouse_id
    ), new as (
        insert into erp.commitment (order_id, line, warehouse_id, article_id, quantity, backorder)
        select t.order_id, t.line, t.warehouse_id, t.article_id, t.pieces, t.backorder
        from taken t
        left join held h on h.order_id = t.order_id and h.line = t.line and h.warehouse_id = t.warehouse_id
        where h.order_id is null
    )
    update erp.stock s
    set committed = s.committed + t.pieces
    from (select t.article_id, t.warehouse_id, sum(t.pieces)::bigint as pieces from taken t group by 1, 2) t
    where s.article_id = any(articles) and s.article_id + 0 = t.article_id and s.warehouse_id = t.warehouse_id;
end $$;
-- +goose StatementEnd

-- settle_backorder takes the mark off pieces that are on hand by now, oldest order first.
-- The caller has locked the articles.
-- +goose StatementBegin
create function erp.settle_backorder(articles bigint[]) returns void
language plpgsql
as $$
begin
    with short as materialized (
        select c.order_id, c.line, c.warehouse_id, c.article_id, c.backorder
        from erp.commitment c
        where c.article_id = any(articles) and c.backorder > 0
    ), stock as materialized (
        select s.article_id, s.warehouse_id, greatest(s.committed - s.on_hand, 0) as pieces
        from erp.stock s
        where s.article_id = any(articles)
    ), marked as (
        select c.*, (sum(c.backorder) over w - c.backorder)::bigint as younger
        from short c
        window w as (partition by c.article_id, c.warehouse_id order by c.order_id desc, c.line desc rows unbounded preceding)
    ), left_over as (
        select m.order_id, m.line, m.warehouse_id, m.backorder as was,
            greatest(0, least(m.backorder, s.pieces - m.younger)) as backorder
        from marked m
        join stock s on s.article_id = m.article_id and s.warehouse_id = m.warehouse_id
    )
    update erp.commitment c
    set backorder = l.backorder
    from left_over l
    where c.order_id = any(array(select order_id from left_over where was <> backorder))
        and c.order_id + 0 = l.order_id and c.line = l.line and c.warehouse_id = l.warehouse_id
        and l.was <> l.backorder;
end $$;
-- +goose StatementEnd

-- release_lines gives pieces back: a line's backorder first, then from its last warehouse to its first, so
-- that what stays is served best. More than a line has releases all of it. Pieces given back take the
-- backorder mark off other orders. The caller has locked the articles.
-- +goose StatementBegin
create function erp.release_lines(demands erp.demand[]) returns void
language plpgsql
as $$
declare
    articles bigint[] := array(select distinct d.article_id from unnest(demands) d);
    orders   bigint[] := array(select distinct d.order_id from unnest(demands) d);
begin
    with held as materialized (
        select c.order_id, c.line, c.warehouse_id, c.article_id, c.quantity, c.backorder
        from erp.commitment c
        where c.order_id = any(orders)
    ), part as (
        select c.order_id, c.line, c.warehouse_id, c.article_id, c.quantity - c.backorder as pieces, false as backorder,
            coalesce(w.web_rank, 0) as rank
        from held c
        join erp.warehouse w on w.id = c.warehouse_id
        where c.quantity > c.backorder
        union all
        select c.order_id, c.line, c.warehouse_id, c.article_id, c.backorder, true, 32767
        from held c
        where c.backorder > 0
    ), stretch as (
        select h.*, (sum(h.pieces) over w - h.pieces)::bigint as low
        from part h
        window w as (partition by h.order_id, h.line order by h.rank desc, h.warehouse_id desc rows unbounded preceding)
    ), given as materialized (
        select s.order_id, s.line, s.warehouse_id, s.article_id,
            sum(least(s.pieces, d.quantity - s.low))::bigint as pieces,
            coalesce(sum(least(s.pieces, d.quantity - s.low)) filter (where s.backorder), 0)::bigint as backorder
        from stretch s
        join unnest(demands) d on d.order_id = s.order_id and d.line = s.line
        where s.low < d.quantity
        group by s.order_id, s.line, s.warehouse_id, s.article_id
    ), gone as (
        delete from erp.commitment c
        using given g
        where c.order_id = any(orders) and c.order_id + 0 = g.order_id and c.line = g.line
            and c.warehouse_id = g.warehouse_id and c.quantity = g.pieces
    ), less as (
        update erp.commitment c
        set quantity = c.quantity - g.pieces, backorder = c.backorder - g.backorder
        from given g
        where c.order_id = any(orders) and c.order_id + 0 = g.order_id and c.line = g.line
            and c.warehouse_id = g.warehouse_id and c.quantity > g.pieces
    )
    update erp.stock s
    set committed = s.committed - g.pieces
    from (select g.article_id, g.warehouse_id, sum(g.pieces)::bigint as pieces from given g group by 1, 2) g
    where s.article_id = any(articles) and s.article_id + 0 = g.article_id and s.warehouse_id = g.warehouse_id;
    perform erp.settle_backorder(articles);
end $$;
-- +goose StatementEnd

-- +goose Down
drop function erp.release_lines(erp.demand[]), erp.settle_backorder(bigint[]), erp.commit_lines(erp.demand[], smallint[], boolean),
    erp.commit_whole(erp.demand[], smallint[], bigint[]), erp.lock_stock(bigint[], smallint);
drop type erp.demand;
