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
