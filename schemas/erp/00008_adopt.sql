-- Orders that were entered by hand before the bridge took its first one.

-- +goose Up
create type erp.order_adopt_in as (
    reference   text,
    id          bigint,      -- of an order that has no reference yet
    shop        text,
    shop_number text
);

-- adopt_orders gives orders of the ERP the reference of the shop's order that they are. Nothing else of
-- them changes; from then on edits and cancellations reach them like any other.
-- +goose StatementBegin
create function erp.adopt_orders(orders erp.order_adopt_in[]) returns setof erp.result
language plpgsql security definer
set search_path = '' set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set work_mem = '64MB'
as $$
declare
    wanted bigint[] := array(select distinct o.id from unnest(orders) o where o.id is not null);
    refs   text[] := array(select distinct o.reference from unnest(orders) o);
    result erp.result[];
    good   bigint[];
begin
    perform from erp.sales_order s where s.id = any(wanted) order by s.id + 0 for update;
    with known as materialized (
        select s.id, s.reference from erp.sales_order s where s.id = any(wanted)
    ), taken as materialized (
        select s.id, s.reference from erp.sales_order s where s.reference = any(refs)
    ), asked as (
        select o.reference, o.id, o.rank, count(*) over (partition by o.reference) as times, count(*) over (partition by o.id) as orders
        from unnest(orders) with ordinality o(reference, id, shop, shop_number, rank)
    ), verdict as (
        select a.*, k.id is not null as is_known, k.reference as has, t.id as taken_by,
            case
                when coalesce(a.reference, '') = '' then 'reference'
                when a.times > 1 or a.orders > 1 then 'repeated'
                when k.id is null then 'unknown'
                when k.reference is distinct from a.reference and (k.reference is not null or t.id is not null) then 'linked'
            end as reason
        from asked a
        left join known k on k.id = a.id
        left join taken t on t.reference = a.reference
    )
    select array_agg(row(v.reference, case when v.is_known then v.id end, v.reason is null, coalesce(v.has = v.reference, false), v.reason,
        case v.reason
            when 'reference' then 'an order without a reference'
            when 'repeated' then format('reference %s or order %s stands twice in one call', v.reference, v.id)
            when 'unknown' then format('no order %s', v.id)
            when 'linked' then case when v.has is not null then format('order %s is %s already', v.id, v.has)
                else format('%s is order %s already', v.reference, v.taken_by) end
        end)::erp.result order by v.rank)
    into result
    from verdict v;
    good := array(select r.id from unnest(result) r where r.ok and not r.existing);

    update erp.sales_order s
    set reference = o.reference, shop = coalesce(o.shop, ''), shop_number = coalesce(o.shop_number, '')
    from unnest(orders) o
    where s.id = any(good) and s.id + 0 = o.id;
    if cardinality(good) > 0 then
        -- Until now few orders had a reference: who looks for one of these would go through all that have.
        analyze erp.sales_order;
    end if;
    return query select r.* from unnest(result) r;
end $$;
-- +goose StatementEnd

revoke execute on function erp.adopt_orders(erp.order_adopt_in[]) from public;

-- +goose Down
drop function erp.adopt_orders(erp.order_adopt_in[]);
drop type erp.order_adopt_in;
