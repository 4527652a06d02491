-- What has become of a shop's orders ($1), and in observe what would: counts with the newest three of each.

-- name: shop
select s.mode, s.cut, s.derived, coalesce(m.snapshot_done, false), coalesce(p.generation, 0), coalesce(p.seq, 0),
    coalesce(p.kafka_offset, -1), coalesce(p.record_time, 0), coalesce(p.moved_at, now()), p.paused_at, coalesce(p.paused_by, ''),
    (select count(*) from spola.due d where d.shop = s.shop),
    (select max(a.at) from spola.audit a where a.shop = s.shop and a.verb in ('articles', 'retry', 'resolve', 'golive') and a.at > p.moved_at)
from spola.shop s
left join spola.mirror m on m.source = s.shop
left join spola.place p on p.source = s.shop and p.applier = 'intake'
where s.shop = $1

-- name: orders
select k.kind, count(*), (array_agg(l.order_id order by l.order_id desc))[1:3]
from (select distinct on (l.order_id) l.* from spola.link l where l.shop = $1 order by l.order_id, l.incarnation desc) l
left join spola.parked p on p.shop = l.shop and p.order_id = l.order_id
cross join lateral (
    select case
        when l.adopted then 'adopted'
        when l.status in ('imported', 'cancelled', 'closed') then l.status
        when p.order_id is not null then 'parked'
        when l.deleted then 'deleted'
        when l.class = 'taken' then 'takeable'
        when l.class = 'placed' then 'placed'
        when l.class = 'final' then 'final'
        else 'nothing'
    end as kind
) k
group by k.kind

-- name: parked
select p.reason, coalesce(r.why, 'The ERP refused it.'), coalesce(r.mend, ''), count(*), (array_agg(p.order_id order by p.order_id desc))[1:3],
    (array_agg(p.what order by p.order_id desc))[1:3]
from spola.parked p
left join spola.reason r on r.code = p.reason
where p.shop = $1
group by p.reason, r.why, r.mend
order by count(*) desc, p.reason

-- name: flagged
-- What can't be right of what customers typed, by field.
select f.field, count(*), (array_agg(f.subject order by f.at desc, f.subject))[1:3]
from spola.flag f
where f.shop = $1
group by f.field
order by count(*) desc, f.field
