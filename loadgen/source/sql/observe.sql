-- Read by the watch; Postgres 14 to 18. Columns that only newer versions have are
-- read through to_jsonb, which has no value where there is none.

-- name: lock
-- One watch a database; held by the session.
SELECT pg_try_advisory_lock(hashtext('loadgen watch'))

-- name: run
-- The run that writes to this database, or the last one.
SELECT run_id FROM public.loadgen_playground

-- name: slots
-- Every replication slot of the server: each keeps WAL, whatever database it is for.
SELECT s.slot_name::text AS slot,
       s.active,
       coalesce(s.wal_status, 'unknown') AS wal_status,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint AS retained_bytes,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn)::bigint AS confirmed_lag_bytes,
       s.safe_wal_size AS safe_wal_bytes,
       extract(epoch FROM now() - (to_jsonb(s) ->> 'inactive_since')::timestamptz)::float8
           AS inactive_seconds,
       to_jsonb(s) ->> 'invalidation_reason' AS invalidation_reason
FROM pg_catalog.pg_replication_slots s
ORDER BY s.slot_name

-- name: source
-- The server and this database as a whole. WAL is counted from its first byte, so that the figure
-- goes on over restarts.
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal_bytes,
       (SELECT count(*) FROM pg_catalog.pg_stat_replication) AS walsenders,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity
        WHERE datname = current_database()) AS connections,
       coalesce((SELECT extract(epoch FROM now() - min(xact_start)) FROM pg_catalog.pg_stat_activity
                 WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid()), 0)::float8
           AS oldest_transaction_seconds,
       (SELECT coalesce(max(age(x)), 0) FROM (
            SELECT backend_xmin AS x FROM pg_catalog.pg_stat_activity
            WHERE pid <> pg_backend_pid()
            UNION ALL SELECT xmin FROM pg_catalog.pg_replication_slots
            UNION ALL SELECT catalog_xmin FROM pg_catalog.pg_replication_slots
        ) AS held) AS xmin_age,
       pg_database_size(current_database()) AS database_bytes

-- name: checkpoints_17
-- Checkpoints since the statistics were reset, from version 17 on.
SELECT num_timed + num_requested FROM pg_catalog.pg_stat_checkpointer

-- name: checkpoints
-- The same before version 17.
SELECT checkpoints_timed + checkpoints_req FROM pg_catalog.pg_stat_bgwriter

-- name: tables
-- Rows of the workload's tables by the server's own statistics: an estimate that costs nothing. A
-- partitioned table is the sum of its partitions.
SELECT t.name, coalesce(sum(s.n_live_tup), 0)::bigint AS rows,
       coalesce(sum(s.n_dead_tup), 0)::bigint AS dead_rows,
       coalesce(sum(pg_total_relation_size(s.relid)), 0)::bigint AS bytes
FROM public.loadgen_playground p
CROSS JOIN jsonb_array_elements_text(p.tables) AS t (name)
JOIN pg_catalog.pg_class c ON NOT c.relispartition AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    AND t.name = CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname
LEFT JOIN pg_catalog.pg_stat_user_tables s
    ON s.relid = c.oid AND c.relkind = 'r'
    OR c.relkind = 'p' AND s.relid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)
GROUP BY t.name
ORDER BY t.name
