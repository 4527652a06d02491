-- What the benchmark of the way back has the ERP do, and the data over which the law is checked.

-- name: articles
-- $1 how many. Articles that the shop keeps on its shelves, with 20 pieces each.
select erp.receive_goods(1::smallint, array_agg(row(p.id, 20)::erp.goods_in), 'opening stock')
from erp.put_articles(array(select row('BACK-' || n, 'Article ' || n, 'BACK-' || n, null, 'Article ' || n, 22, 1220, null, 0.5, 20, 10, 5, null, true)::erp.article_in
    from generate_series(1, $1::int) n)) p

-- name: ids
select array_agg(a.id order by substr(a.sku, 6)::int) from erp.article a where a.sku like 'BACK-%'

-- name: receive
-- One movement: a piece of an article comes in.
select erp.receive_goods(1::smallint, array[row($1, 1)::erp.goods_in], 'bench')

-- name: hour
-- A clerk's share of an hour: {movements}, one transaction each, over the articles of which {parts} leaves the rest {part}. It is written without
-- waiting for the disk at each commit: what is measured begins behind it.
set synchronous_commit = off;
do $$
declare
    ids bigint[] := array(select a.id from erp.article a where a.sku like 'BACK-%' and a.id % {parts} = {part} order by a.id);
begin
    for i in 0 .. {movements} - 1 loop
        perform erp.receive_goods(1::smallint, array[row(ids[1 + i % cardinality(ids)], 1)::erp.goods_in], 'bench');
        commit;
    end loop;
end $$;

-- name: free
select sum(s.on_hand - s.committed)::bigint from erp.stock s join erp.article a on a.id = s.article_id where a.sku like 'BACK-%' and s.warehouse_id = 1

-- name: opened
select count(*) from spola.stock_account s join erp.article a on a.id = s.article_id where a.sku like 'BACK-%' and s.published is not null

-- name: goods
-- $1 from, $2 to: articles of the ERP.
with p as (
    insert into erp.product (code, name) select 'LAW-' || n, 'Article ' || n from generate_series($1::int, $2::int) n returning id, code
), a as (
    insert into erp.article (product_id, sku, name, vat_rate) select p.id, p.code, p.code, 22 from p returning id
)
insert into erp.stock (article_id, warehouse_id, on_hand) select a.id, 1, 17 from a

-- name: rows
-- $1 from, $2 to: the same in the shop's mirror, each sold three times, with its account and its mark. {others}: columns of a product besides these.
with rows as (
    insert into mirror_shop.oc_product (product_id, model, quantity, subtract, {others})
    select 1000000 + n, 'LAW-' || n, 17, 1, {others}
    from generate_series($1::int, $2::int) n, (select * from mirror_shop.oc_product where product_id = 1) p
), marks as (
    insert into mirror_shop.spola_marker (name, generation, number, applied, note, spola_at)
    select 'product:' || 1000000 + n, 1, n, 20, null, 0 from generate_series($1::int, $2::int) n
), totals as (
    insert into spola.stock_total (shop, stock_row, k) select 'shop', 'product:' || 1000000 + n, 3 from generate_series($1::int, $2::int) n
)
insert into spola.stock_account (shop, stock_row, article_id, published, target)
select 'shop', 'product:' || 1000000 + n, a.id, 20, 20
from generate_series($1::int, $2::int) n
join erp.article a on a.sku = 'LAW-' || n

-- name: old
-- $1 from, $2 to: orders that were shipped long ago, of one line each.
with links as (
    insert into spola.link (shop, order_id, incarnation, reference, fingerprint, status, erp_order, state, method, class, revision, content, consuming)
    select 'shop', 10000000 + n, 1, 'shop:' || n, n, 'imported', 10000000 + n, '5', 'cod.cod', 'final', n, '', true from generate_series($1::int, $2::int) n
)
insert into spola.consumption (shop, order_id, incarnation, line, stock_row, article, pieces)
select 'shop', 10000000 + n, 1, '1', 'product:' || 1000001 + n % $3::int, n, 1 from generate_series($1::int, $2::int) n

-- name: fewer products
-- $1: rows that were made up beyond so many go again, from the mirror and from all that is kept of them.
delete from mirror_shop.oc_product where product_id > 1000000 + $1::int

-- name: fewer marks
delete from mirror_shop.spola_marker where name ~ '^product:[0-9]+$' and substr(name, 9)::bigint > 1000000 + $1::int

-- name: fewer totals
delete from spola.stock_total where stock_row ~ '^product:[0-9]+$' and substr(stock_row, 9)::bigint > 1000000 + $1::int

-- name: fewer accounts
delete from spola.stock_account where stock_row ~ '^product:[0-9]+$' and substr(stock_row, 9)::bigint > 1000000 + $1::int

-- name: vacuum
vacuum mirror_shop.oc_product, mirror_shop.spola_marker, spola.stock_total, spola.stock_account

-- name: analyze
analyze erp.product, erp.article, erp.stock, mirror_shop.oc_product, mirror_shop.spola_marker, spola.stock_total, spola.stock_account, spola.link, spola.consumption

-- name: law
select count(*), count(*) filter (where drift <> 0) from canonical_shop.law

-- name: lag
-- The same with what stands beside the law: what is unpublished, for which the ERP's stock is counted, and undelivered.
select count(*) filter (where unpublished <> 0), count(*) filter (where undelivered <> 0) from canonical_shop.law

-- name: todo
select count(*) from canonical_shop.todo()
