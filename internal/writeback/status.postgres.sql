-- What an applier of the way back has told of itself in the shop's marker, as the mirror has it. {mirror} is the mirror's schema.

-- name: places
select split_part(m.name, '.', 2), m.generation, m.number, coalesce((m.note::jsonb->>'offset')::bigint, -1), coalesce((m.note::jsonb->>'moved')::timestamptz, 'epoch'),
    (m.note::jsonb->>'paused')::timestamptz, coalesce(m.note::jsonb->>'paused_by', '')
from {mirror}.spola_marker m where m.name in ('place.stock.erp', 'place.orders.erp') order by m.name desc

-- name: waits
-- Stock rows that are owed pieces, and orders whose status waits, by reason, with three of each.
select w.stream, w.why, count(*), (array_agg(w.what order by w.what))[1:3]
from (
    select 'stock' as stream, m.note::jsonb->>'why' as why, m.name || ' (' || (m.note::jsonb->>'owed') || ' pieces)' as what
    from {mirror}.spola_marker m where m.note like '{"owed":%'
    union all
    select 'orders', m.note::jsonb->>'why', 'order ' || substr(m.name, 7) || coalesce(' (' || (m.note::jsonb->>'detail') || ')', '')
    from {mirror}.spola_marker m where m.name like 'order.%' and m.note like '%"why"%'
) w
group by w.stream, w.why order by w.stream desc, count(*) desc
