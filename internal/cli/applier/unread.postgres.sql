-- How many bytes of the ERP's write-ahead log the reader by slot $1 has not confirmed, and whether somebody reads it now.
-- It confirms what is of tables that nobody reads with up to 16 MiB of delay.
select coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn), 0)::bigint, s.active
from pg_replication_slots s
where s.slot_name = $1 and s.database = current_database()
