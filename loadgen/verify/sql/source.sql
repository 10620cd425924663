-- Queries of the source beside its rows.

-- name: last_key
-- The last value of a table's sequence; null if it has not been used.
SELECT last_value FROM pg_catalog.pg_sequences
WHERE format('%I.%I', schemaname, sequencename)
      = pg_catalog.pg_get_serial_sequence({table}, {key})

-- name: load_runs
-- Whether a load holds its lock on this database.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks l
    JOIN pg_catalog.pg_database d ON d.oid = l.database
    WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.granted
      AND l.objid::bigint = (hashtext('loadgen load')::bigint & 4294967295)
)

-- name: has_rows
-- Whether a table has rows.
SELECT EXISTS (SELECT FROM {table})

-- name: cases
-- The number of rows of each hard case, and of those to which it has happened: others are yet to be
-- changed or deleted. Rows last written before {since} belong to an earlier run.
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
