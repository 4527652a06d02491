-- What an operator's tools are told of a shop. $1 is the shop, {canonical} the schema of its views; a line "-- name:" begins a statement.

-- name: places
-- Appliers whose place stands here: the next record that each reads, when it last moved.
select applier, kafka_offset + 1, moved_at, paused_at is not null from spola.place where source = $1 order by applier

-- name: stock
-- Rows that drift, and pieces that are on their way, of the accounts; how the last run of reconciliation ended.
select count(*), count(*) filter (where l.drift <> 0), coalesce(sum(abs(l.unpublished)), 0)::bigint, coalesce(sum(abs(l.undelivered)), 0)::bigint,
    (select coalesce(sum(r.repaired), 0)::bigint from spola.reconciliation r where r.shop = $1),
    (select max(r.ended) from spola.reconciliation r where r.shop = $1),
    coalesce((select r.held <> '' from spola.reconciliation r where r.shop = $1 order by r.id desc limit 1), false)
from {canonical}.law l

-- name: mails
-- Mails that did not go, by state.
select state, count(*) from spola.mail where shop = $1 and state <> 'sent' group by state
