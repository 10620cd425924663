-- The catalogues of a database, read before anything is written.

-- name: fitness
-- Version, WAL level, encoding and rights: they decide whether this database can be the source.
SELECT current_setting('server_version_num')::integer AS version,
       current_setting('server_version') AS version_text,
       current_setting('wal_level') AS wal_level,
       current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS in_recovery,
       current_setting('transaction_read_only')::boolean AS read_only,
       current_database()::text AS database,
       current_user::text AS role,
       to_regnamespace('public') IS NOT NULL AS has_public,
       coalesce(has_schema_privilege(to_regnamespace('public')::oid, 'CREATE'), false)
           AS creates_in_public,
       has_database_privilege(current_database(), 'CREATE') AS creates_in_database

-- name: relations
-- All tables, views and sequences, without those of extensions and temporary ones.
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  )
ORDER BY c.relkind = 'S', 1

-- name: columns
-- The columns of tables in public that have the names of the playground's tables.
SELECT c.relname::text AS table_name, array_agg(a.attname::text) AS columns
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace('public') AND c.relname = ANY (%(tables)s)
GROUP BY c.relname

-- name: published
-- Tables that publication `loadgen` already carries, and whether it is for all tables; one row without
-- a name if it carries none.
SELECT p.puballtables AS all_tables, t.schemaname::text AS schema, t.tablename::text AS relation
FROM pg_catalog.pg_publication p
LEFT JOIN pg_catalog.pg_publication_tables t ON t.pubname = p.pubname
WHERE p.pubname = %(publication)s
