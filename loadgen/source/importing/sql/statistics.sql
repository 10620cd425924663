-- Sizes, shapes and counters of tables, as Postgres keeps them. Postgres 14 to 18.

-- name: estimates
-- Rows and sizes as the last VACUUM or ANALYZE left them; sizes in bytes.
SELECT c.oid, c.reltuples::float8 AS rows, c.relpages::int8 * s.block AS heap,
       coalesce(t.relpages::int8, 0) * s.block
           + coalesce((SELECT sum(x.relpages::int8) FROM pg_catalog.pg_index i
                       JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
                       WHERE i.indrelid = t.oid), 0)::int8 * s.block AS toast,
       coalesce((SELECT sum(x.relpages::int8) FROM pg_catalog.pg_index i
                 JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
                 WHERE i.indrelid = c.oid), 0)::int8 * s.block AS indexes
FROM (SELECT current_setting('block_size')::int8 AS block) s, pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
WHERE c.oid = ANY (%(oids)s)

-- name: exact_sizes
-- Sizes of files in bytes, with the maps of free space and visibility.
SELECT c.oid, pg_relation_size(c.oid) AS main, pg_table_size(c.oid) AS heap_and_toast,
       CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_total_relation_size(c.reltoastrelid) END
           AS toast,
       pg_indexes_size(c.oid) AS indexes
FROM pg_catalog.pg_class c
WHERE c.oid = ANY (%(oids)s)

-- name: column_statistics
-- Shapes of columns, without any value; `inherited` counts the rows of partitions too.
SELECT schemaname::text AS schema, tablename::text AS relation, attname::text AS column,
       inherited, null_frac::float8 AS null_share, n_distinct::float8 AS distinct,
       avg_width::float8 AS width, correlation::float8 AS correlation
FROM pg_catalog.pg_stats
WHERE schemaname = ANY (%(schemas)s)

-- name: column_values
-- Values of rows: the most common ones with their shares, and the bounds of histograms.
SELECT schemaname::text AS schema, tablename::text AS relation, attname::text AS column,
       inherited, most_common_vals::text::text[] AS common, most_common_freqs::float8[] AS shares,
       histogram_bounds::text::text[] AS bounds
FROM pg_catalog.pg_stats
WHERE schemaname = ANY (%(schemas)s)

-- name: counters
-- Rows written to each table since its counters were reset, and its rows by the same counters.
SELECT relid AS oid, n_tup_ins AS inserts, n_tup_upd AS updates, n_tup_del AS deletes,
       n_tup_hot_upd AS hot_updates, n_live_tup AS rows,
       greatest(last_vacuum, last_autovacuum, last_analyze, last_autoanalyze) IS NOT NULL
           AS is_verified
FROM pg_catalog.pg_stat_user_tables

-- name: now
-- The server's time, and whether it counts rows.
SELECT clock_timestamp() AS now, current_setting('track_counts')::bool AS counts

-- name: reset_at
-- When the database's counters were reset; NULL if that never happened by command.
SELECT pg_stat_get_db_stat_reset_time(d.oid)
FROM pg_catalog.pg_database d WHERE d.datname = current_database()

-- name: counting_since
-- When the server began to count: after its initdb, a crash or a promotion.
SELECT stats_reset FROM pg_catalog.pg_stat_bgwriter

-- name: created_at
-- When the database was made; only a superuser may look.
SELECT (pg_stat_file('base/' || d.oid || '/PG_VERSION')).modification
FROM pg_catalog.pg_database d WHERE d.datname = current_database()

-- name: statements_schema
-- The schema of pg_stat_statements, in which its view is.
SELECT n.nspname::text
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'

-- name: statements
-- Statements of this database that may write, of all users; NULL for texts that are hidden.
SELECT CASE WHEN s.queryid IS NULL THEN NULL ELSE s.query END AS sql,
       sum(s.calls)::int8 AS calls, sum(s.rows)::int8 AS rows
FROM {}.pg_stat_statements s
WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
  AND s.toplevel
  AND (s.queryid IS NULL OR length(s.query) <= 100000
       AND s.query ~* '\m(insert|update|delete|merge)\M')
GROUP BY 1
ORDER BY 2 DESC
LIMIT 5000
