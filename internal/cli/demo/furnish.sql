-- An ERP that knows the whole catalogue: two warehouses that serve the web shop in ranked order,
-- one for the traditional trade, and goods in each. $1 sku, $2 product, $3 name, $4 size ('' for
-- none), $5 VAT rate, $6 gross cents, $7 stocked: arrays of the same length. $8 pieces of each, by warehouse.
with put as (
    select * from erp.put_articles(array(
        select row(a.product, a.name, a.sku, null, a.name, a.rate, a.gross, null, 0.5, 20, 10, 5,
            case when a.size <> '' then jsonb_build_object('Taglia', a.size) end, a.stocked)::erp.article_in
        from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::bigint[], $7::boolean[])
            as a (sku, product, name, size, rate, gross, stocked)))
)
select erp.receive_goods(w.id, array(select row(p.id, w.pieces)::erp.goods_in
    from put p join unnest($1::text[], $7::boolean[]) as a (sku, stocked) on a.sku = p.sku where a.stocked), 'opening stock')
from unnest(array[1, 2, 3]::smallint[], $8::bigint[]) as w (id, pieces);
