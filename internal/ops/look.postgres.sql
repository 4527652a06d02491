-- What an operator's tools are told of a shop. $1 is the shop; a line "-- name:" begins a statement.

-- name: places
-- Appliers whose place stands here: the next record that each reads, when it last moved.
select applier, kafka_offset + 1, moved_at, paused_at is not null from spola.place where source = $1 order by applier

-- name: mails
-- Mails by state; one that a person has given up is none.
select state, count(*) from spola.mail where shop = $1 and not settled group by state

-- name: reader
-- Whether somebody reads the ERP's log, by the slot of its reader.
select coalesce((select s.active from pg_replication_slots s where s.slot_name = $1 and s.database = current_database()), false)

-- name: parked
-- Parked orders by reason, with the five that came last.
select p.reason, coalesce(r.why, 'The ERP refused it.'), coalesce(r.mend, 'Correct the order in the shop or what the ERP says is wrong, then "applier parked retry".'),
    count(*), min(p.first_at), max(p.first_at), (array_agg(p.order_id order by p.first_at desc, p.order_id desc))[1:5],
    (array_agg(p.what order by p.first_at desc, p.order_id desc))[1:5]
from spola.parked p left join spola.reason r on r.code = p.reason
where p.shop = $1
group by p.reason, r.why, r.mend order by count(*) desc, p.reason

-- name: reconciled
-- The last runs of reconciliation, newest first, with the first five rows that each names.
select r.id, r.ended, r.why, r.rows, r.drifting, r.repaired, r.waiting, r.held,
    array(select format('%s (%s): %s %s, %s', d ->> 'sku', d ->> 'stock_row', d ->> 'what', d ->> 'pieces', d ->> 'why') from jsonb_array_elements(r.detail) with ordinality as x(d, n) order by n limit 5)
from spola.reconciliation r where r.shop = $1 order by r.id desc limit 10

-- name: stuck
-- Mails to customers that can't be sent, or of which nobody knows, newest first, by state.
select m.state, count(*), max(m.id), min(m.queued_at), (array_agg(m.id order by m.id desc))[1:5],
    (array_agg(format('%s of order %s%s: %s', m.kind, coalesce(nullif(m.shop_number, ''), m.number), nullif(' (' || m.number || ')', ' ()'), m.reason) order by m.id desc))[1:5]
from spola.mail m where m.shop = $1 and m.state in ('unknown', 'failed') and not m.settled
group by m.state order by m.state
