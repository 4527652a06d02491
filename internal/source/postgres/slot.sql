-- The replication slot $1: none or one row.
SELECT coalesce(s.database, ''), coalesce(s.plugin, ''), s.active, coalesce(s.active_pid, 0),
       coalesce(s.confirmed_flush_lsn::text, '0/0'), coalesce(s.wal_status, ''), coalesce(s.safe_wal_size, -1),
       coalesce(a.application_name, ''), coalesce(a.usename, ''), coalesce(host(a.client_addr), '')
FROM pg_replication_slots s
LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid
WHERE s.slot_name = $1;
