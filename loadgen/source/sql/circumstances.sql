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
