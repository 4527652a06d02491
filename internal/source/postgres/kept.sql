-- How many bytes of write-ahead log may come until slot $1 is given up (-1: any number), and how many a second came on average
-- since the server's statistics begin. A slot that is not there yet would have all that max_slot_wal_keep_size allows.
SELECT coalesce((SELECT coalesce(safe_wal_size, CASE WHEN wal_status = 'lost' THEN 0 END) FROM pg_replication_slots WHERE slot_name = $1),
                (SELECT CASE WHEN setting::bigint < 0 THEN -1 ELSE setting::bigint * 1024 * 1024 END FROM pg_settings WHERE name = 'max_slot_wal_keep_size')),
       (SELECT (wal_bytes / greatest(extract(epoch FROM now() - stats_reset), 1))::float8 FROM pg_stat_wal);
