-- Queries of a copy in Postgres. The reader fills in {names}.

-- name: schemas
-- Schemas that are not the server's own.
SELECT nspname::text FROM pg_catalog.pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1

-- name: tables
-- Columns of a schema's tables in their order, full types, and whether a column may be NULL. Of a
-- domain, also of an array's elements, the type is that below it; of an enum, a composite or a range
-- it is that word. Foreign tables, tables with children and unvalidated constraints do not rule NULL
-- out.
WITH RECURSIVE base AS (
    SELECT oid AS type, oid, typtype, typbasetype, typtypmod, -1 AS typmod
    FROM pg_catalog.pg_type
    UNION ALL
    SELECT base.type, t.oid, t.typtype, t.typbasetype, t.typtypmod, base.typtypmod
    FROM base JOIN pg_catalog.pg_type t ON t.oid = base.typbasetype
    WHERE base.typtype = 'd'
), named AS (
    SELECT type, oid, typmod,
           CASE typtype WHEN 'e' THEN 'enum' WHEN 'c' THEN 'composite' WHEN 'r' THEN 'range'
                        WHEN 'm' THEN 'multirange' END AS word
    FROM base WHERE typtype <> 'd'
)
SELECT c.relname::text, a.attname::text,
       CASE WHEN t.word IS NOT NULL THEN t.word
            WHEN e.word IS NOT NULL THEN e.word || '[]'
            WHEN e.oid <> e.type THEN pg_catalog.format_type(e.oid, e.typmod) || '[]'
            WHEN t.oid <> t.type THEN pg_catalog.format_type(t.oid, t.typmod)
            ELSE pg_catalog.format_type(a.atttypid, a.atttypmod) END,
       NOT a.attnotnull OR c.relkind NOT IN ('r', 'p')
       OR c.relkind = 'r' AND c.relhassubclass OR EXISTS (
           SELECT FROM pg_catalog.pg_constraint k
           WHERE k.conrelid = c.oid AND k.contype = 'n' AND NOT k.convalidated
             AND a.attnum = ANY (k.conkey))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN named t ON t.type = a.atttypid
LEFT JOIN pg_catalog.pg_type array_type ON array_type.oid = t.oid AND array_type.typcategory = 'A'
LEFT JOIN named e ON e.type = array_type.typelem
WHERE n.nspname = {schema} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY c.relname, a.attnum

-- name: published
-- The publication's tables: schema, name, columns of the key, columns that are not published, and
-- whether the table and its partitions have a replica identity. The key is the primary key, else the
-- index of the replica identity.
SELECT p.schemaname::text, p.tablename::text,
       ARRAY(SELECT a.attname::text
             FROM (SELECT indkey, indnkeyatts FROM pg_catalog.pg_index
                   WHERE indrelid = c.oid AND indisvalid AND (indisprimary OR indisreplident)
                   ORDER BY indisprimary DESC LIMIT 1) i,
                  unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place),
                  pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum = k.attnum AND k.place <= i.indnkeyatts
             ORDER BY k.place),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               -- Postgres 14 has no attnames: it publishes every column.
               AND (NOT coalesce(to_jsonb(p) -> 'attnames' ? a.attname::text, true)
                    -- Before 18, attnames may hold generated columns, which are never published.
                    OR a.attgenerated <> '' AND current_setting('server_version_num')::int < 180000)),
       (SELECT bool_and(CASE r.relreplident WHEN 'f' THEN true WHEN 'n' THEN false ELSE EXISTS (
            SELECT FROM pg_catalog.pg_index i
            WHERE i.indrelid = r.oid AND i.indisvalid AND i.indimmediate
              AND CASE r.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END) END)
        FROM pg_catalog.pg_class r
        WHERE r.oid = c.oid OR r.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(c.oid)
                                         WHERE isleaf))
FROM pg_catalog.pg_publication_tables p
JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
WHERE p.pubname = 'loadgen' ORDER BY 1, 2

-- name: newest_marker
-- The highest sequence of a run's markers.
SELECT max({sequence}) FROM {table} WHERE {run_id} = {run}

-- name: session
-- Read-only; sorts by key fit in memory; plans are for all rows of a cursor; no JIT compilation for
-- queries of a second.
SELECT set_config('default_transaction_read_only', 'on', false),
       set_config('work_mem', '64MB', false), set_config('cursor_tuple_fraction', '1', false),
       set_config('jit', 'off', false)
