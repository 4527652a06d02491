-- What preflight must know of the server and of this user.
SELECT current_setting('server_version_num')::int,
       current_setting('server_version'),
       current_setting('server_encoding'),
       pg_is_in_recovery(),
       current_setting('wal_level'),
       current_setting('max_replication_slots')::int,
       (SELECT count(*) FROM pg_replication_slots),
       current_setting('max_wal_senders')::int,
       (SELECT count(*) FROM pg_stat_replication),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'), -- MB; -1: without bound
       current_setting('fsync')::bool,
       current_setting('synchronous_commit'),
       current_setting('wal_sender_timeout'),
       r.rolname,
       r.rolreplication OR r.rolsuper,
       has_database_privilege(current_database(), 'CREATE')
FROM pg_roles r
WHERE r.rolname = current_user;
