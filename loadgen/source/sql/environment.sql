-- The environment of a run: the server's settings and the resources it has used.

-- name: server_settings
-- Version and settings, as SHOW would print them.
SELECT name, current_setting(name) FROM pg_catalog.pg_settings
WHERE name IN (
    'server_version', 'wal_level', 'synchronous_commit', 'fsync', 'full_page_writes',
    'shared_buffers', 'max_connections', 'max_wal_senders', 'max_replication_slots',
    'max_wal_size', 'max_slot_wal_keep_size', 'checkpoint_timeout', 'autovacuum', 'TimeZone'
)
ORDER BY name;

-- name: resources_used
-- WAL since the first byte, the start time, and this backend's pid and address (to find it in /proc).
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, pg_postmaster_start_time(),
       pg_backend_pid(), host(inet_server_addr());
