-- How far the intake of a shop ($1) is, and what it has taken over.
select s.mode, coalesce(m.snapshot_done, false), coalesce(p.generation, 0), coalesce(p.seq, 0),
    coalesce(p.kafka_offset, -1), coalesce(p.record_time, 0), coalesce(p.moved_at, now()),
    (select count(*) from spola.link l where l.shop = s.shop and l.status = 'imported'),
    (select count(*) from spola.link l where l.shop = s.shop and l.status = 'cancelled'),
    (select count(*) from spola.link l where l.shop = s.shop and l.status = 'closed'),
    (select count(*) from spola.parked k where k.shop = s.shop)
from spola.shop s
left join spola.mirror m on m.source = s.shop
left join spola.place p on p.source = s.shop and p.applier = 'intake'
where s.shop = $1
