-- Read by `loadgen doctor` and `loadgen expose`. Postgres 14 to 18.

-- name: server
-- Limits and settings that decide whether tools can replicate for days.
SELECT (SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'max_replication_slots')
           AS most_slots,
       (SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'max_wal_senders')
           AS most_senders,
       (SELECT count(*) FROM pg_catalog.pg_stat_replication) AS senders,
       (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size')
           AS keep_megabytes,
       (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'output_plugin_libraries')
           AS plugins,
       current_setting('server_encoding') AS encoding,
       current_database()::text AS database

-- name: slots
-- Every slot of the server that is not temporary: its owner, the WAL it retains, its state.
SELECT s.slot_name::text AS name, s.plugin::text, s.database::text, s.active,
       coalesce(s.wal_status, 'unknown') AS wal_status,
       coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)::bigint AS retained_bytes
FROM pg_catalog.pg_replication_slots s
WHERE NOT s.temporary
ORDER BY s.slot_name

-- name: publications
-- Publications of this database: which changes and tables they carry, which tables only in part (a
-- row filter or a column list, from version 15 on), and which as partitions.
WITH published AS (
    SELECT t.pubname, c.oid, c.relispartition,
           CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || r.relname AS name,
           to_jsonb(t) ->> 'rowfilter' IS NOT NULL
           OR jsonb_array_length(nullif(to_jsonb(t) -> 'attnames', 'null')) < (
               SELECT count(*) FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                 AND a.attgenerated = '') AS in_part
    FROM pg_catalog.pg_publication_tables t
    JOIN pg_catalog.pg_class c ON c.oid = to_regclass(format('%I.%I', t.schemaname, t.tablename))
    JOIN pg_catalog.pg_class r
        ON r.oid = CASE WHEN c.relispartition THEN pg_partition_root(c.oid) ELSE c.oid END
    JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
)
SELECT p.pubname::text AS name,
       p.pubinsert AND p.pubupdate AND p.pubdelete AS every_change,
       coalesce(array_agg(DISTINCT t.name) FILTER (WHERE t.oid IS NOT NULL), '{}') AS tables,
       coalesce(array_agg(DISTINCT t.name) FILTER (WHERE t.in_part), '{}') AS partial,
       coalesce(array_agg(DISTINCT t.name) FILTER (WHERE t.relispartition), '{}') AS split
FROM pg_catalog.pg_publication p
LEFT JOIN published t ON t.pubname = p.pubname
GROUP BY p.pubname, p.pubinsert, p.pubupdate, p.pubdelete
ORDER BY p.pubname

-- name: clock
-- The server's time.
SELECT clock_timestamp()

-- name: hba_rules
-- The rules of pg_hba.conf for TCP connections; only superusers may read them.
SELECT line_number AS line, type, auth_method AS method
FROM pg_catalog.pg_hba_file_rules
WHERE starts_with(type, 'host') AND error IS NULL
ORDER BY line_number

-- name: tls
-- Whether the server accepts TLS.
SELECT current_setting('ssl')::boolean
