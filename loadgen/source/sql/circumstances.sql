-- What of the server's settings changes what is measured.

-- name: server_settings
-- Version and settings, as SHOW would print them.
SELECT name, current_setting(name) FROM pg_catalog.pg_settings
WHERE name IN (
    'server_version', 'wal_level', 'synchronous_commit', 'fsync', 'full_page_writes',
    'shared_buffers', 'max_connections', 'max_wal_senders', 'max_replication_slots',
    'max_wal_size', 'max_slot_wal_keep_size', 'checkpoint_timeout', 'autovacuum', 'TimeZone'
)
ORDER BY name;

-- name: spent
-- WAL from the server's first byte, when it was started, and who and where we are, for its /proc.
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, pg_postmaster_start_time(),
       pg_backend_pid(), host(inet_server_addr());
