-- Queries of a copy in Postgres. The reader fills in {names}.

-- name: schemas
-- Schemas that are not the server's own.
SELECT nspname::text FROM pg_catalog.pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1

-- name: tables
-- Columns of a schema's tables in their order, full types, and whether a column may be NULL.
-- Foreign tables, tables with children and unvalidated constraints do not rule NULL out.
SELECT c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
       NOT a.attnotnull OR c.relkind NOT IN ('r', 'p')
       OR c.relkind = 'r' AND c.relhassubclass OR EXISTS (
           SELECT FROM pg_catalog.pg_constraint k
           WHERE k.conrelid = c.oid AND k.contype = 'n' AND NOT k.convalidated
             AND a.attnum = ANY (k.conkey))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = {schema} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY c.relname, a.attnum

-- name: newest_marker
-- The highest sequence of a run's markers.
SELECT max({sequence}) FROM {table} WHERE {run_id} = {run}

-- name: session
-- Read-only; sorts by key fit in memory; plans are for all rows of a cursor; no JIT compilation for
-- queries of a second.
SELECT set_config('default_transaction_read_only', 'on', false),
       set_config('work_mem', '64MB', false), set_config('cursor_tuple_fraction', '1', false),
       set_config('jit', 'off', false)
