-- What verification asks of the source beside its rows.

-- name: published
-- Tables of the publication: what a tool is to carry.
SELECT tablename::text FROM pg_catalog.pg_publication_tables
WHERE pubname = 'loadgen' AND schemaname = 'public' ORDER BY 1

-- name: last_key
-- The highest key that a table's sequence has given out; null where it has none.
SELECT last_value FROM pg_catalog.pg_sequences
WHERE format('%I.%I', schemaname, sequencename)
      = pg_catalog.pg_get_serial_sequence({table}, 'id')

-- name: load_runs
-- Whether a load holds its lock on this database.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks l
    JOIN pg_catalog.pg_database d ON d.oid = l.database
    WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.granted
      AND l.objid::bigint = (hashtext('loadgen load')::bigint & 4294967295)
)

-- name: has_rows
-- Whether a table holds anything.
SELECT EXISTS (SELECT FROM {table})

-- name: cases
-- How many rows there are of each hard case, and of how many the case has happened: others are yet
-- to be changed, or deleted. Rows that were written last before {since} are an earlier run's.
SELECT case_name, count(*),
       count(*) FILTER (WHERE CASE case_name
           WHEN 'hard_deletes' THEN FALSE
           WHEN 'key_changes' THEN version > 0
           WHEN 'wide_updates' THEN version > 0
           WHEN 'key_reuses' THEN word LIKE 'again%'
           ELSE TRUE END)
FROM public.hard_cases
WHERE case_name IS NOT NULL AND updated_at >= {since}::timestamptz
GROUP BY 1
