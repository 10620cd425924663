-- A model's tables: made from its schema.sql, and read from the catalogues. Postgres 14 to 18.
-- Tables of ours, of extensions and partitions (their root stands for them) are left out.

-- name: set_ddl
-- The text that `run_ddl` runs.
SELECT set_config('loadgen.ddl', %(ddl)s, true)

-- name: run_ddl
-- Runs all statements of a text. Inside a block no COMMIT, COPY FROM STDIN or CREATE DATABASE works,
-- so that the transaction around it decides whether anything is made.
DO $$ BEGIN EXECUTE current_setting('loadgen.ddl'); END $$

-- name: tables
-- Every table, and whether its updated and deleted rows can be identified, in all its partitions.
SELECT n.nspname::text AS schema, c.relname::text AS relation, c.relkind = 'p' AS partitioned,
       (SELECT coalesce(bool_and(
            r.relreplident = 'f'
            OR r.relreplident = 'd' AND EXISTS (
                SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = r.oid AND i.indisprimary)
            OR r.relreplident = 'i' AND EXISTS (
                SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = r.oid AND i.indisreplident)
        ), true)
        FROM pg_catalog.pg_class r
        WHERE r.relkind = 'r'
          AND (r.oid = c.oid OR c.relkind = 'p'
               AND r.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf))
       ) AS identified
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT (n.nspname = 'public' AND c.relname = ANY (%(ours)s))
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  )
ORDER BY 1, 2

-- name: columns
-- The columns of a table in their order. One is filled by Postgres if it has a default, an identity
-- or a generation expression.
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull OR t.typnotnull AS required,
       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS filled,
       a.attidentity <> '' AS identity, a.attgenerated <> '' AS generated
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = format('%%I.%%I', %(schema)s::text, %(relation)s::text)::regclass
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- name: keys
-- Unique keys of a table over columns alone, the primary key first.
SELECT i.indisprimary AS is_primary,
       array_agg(a.attname::text ORDER BY k.place) AS columns
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = format('%%I.%%I', %(schema)s::text, %(relation)s::text)::regclass
  AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary
ORDER BY i.indisprimary DESC, 2

-- name: foreign_keys
-- The foreign keys of a table, with the table and columns that they refer to.
SELECT f.conname::text AS name,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum
       ) AS columns,
       n.nspname::text AS schema, r.relname::text AS relation,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(f.confkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum
       ) AS referenced,
       NOT (f.confdeltype IN ('a', 'r') AND f.confupdtype IN ('a', 'r')) AS acts
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class r ON r.oid = f.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0
  AND f.conrelid = format('%%I.%%I', %(schema)s::text, %(relation)s::text)::regclass
ORDER BY 1

-- name: type_names
-- The names of types, to name the nearest of a wrong one.
SELECT DISTINCT format_type(oid, NULL) FROM pg_catalog.pg_type WHERE typtype IN ('b', 'e', 'd', 'r')

-- name: checked_columns
-- The columns of a check constraint.
SELECT a.attname::text
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
WHERE c.conname = %(check)s
  AND c.conrelid = format('%%I.%%I', %(schema)s::text, %(table)s::text)::regclass
ORDER BY a.attnum
