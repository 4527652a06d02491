-- Whether any of these transactions ($1, by the 32 bits that the write-ahead log gives them) is not to be read yet by who asks now: it has
-- not ended, or is newer than all that have, and still holds its own lock. Numbers that nobody holds are of another life of
-- the database.
with now as materialized (select pg_current_snapshot() as snapshot)
select exists (select from now, pg_snapshot_xip(now.snapshot) as x where x::xid::text::bigint = any ($1::bigint[]))
    or exists (
        select from now, unnest($1::bigint[]) as t(id)
        where (t.id - pg_snapshot_xmax(now.snapshot)::xid::text::bigint) & 4294967295 < 2147483648
            and exists (select from pg_locks l where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted and l.transactionid::text::bigint = t.id))
