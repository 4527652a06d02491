-- How many bytes of write-ahead log the server has written that the reader by slot $1 has not confirmed (-1: there is no slot, or nobody has read
-- by it), and whether somebody reads now. What is of tables that nobody reads is confirmed with up to 16 MiB of delay.
select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn)), -1)::bigint, coalesce(bool_or(s.active), false)
from pg_replication_slots s
where s.slot_name = $1 and s.database = current_database()
