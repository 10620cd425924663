-- What a database holds, by one query per kind of fact for all tables. Postgres 14 to 18.
-- Only catalogues are read: no table of a user, and no lock but that of a catalogue.

-- name: relations
-- Every table and partition, but those of extensions. Ours, foreign ones, unlogged ones, which have
-- no changes to copy, and those with a dot in their name can't be imported.
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS relation,
       c.relkind::text AS kind,
       CASE WHEN c.relkind = 'f' THEN 'foreign'
            WHEN c.relpersistence = 'u' AND c.relkind = 'r' THEN 'unlogged'
            WHEN n.nspname = 'public' AND c.relname = ANY (%(ours)s) THEN 'ours'
            WHEN strpos(n.nspname || c.relname, '.') > 0 AND NOT c.relispartition THEN 'dotted'
            ELSE '' END AS obstacle,
       c.relispartition AS is_partition,
       CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid ELSE c.oid END AS root,
       has_table_privilege(c.oid, 'SELECT') AS is_readable,
       row_security_active(c.oid) AS hides_rows,
       CASE c.relreplident
           WHEN 'f' THEN true
           WHEN 'd' THEN EXISTS (
               SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
           WHEN 'i' THEN EXISTS (
               SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident)
           ELSE false
       END AS has_replica_identity,
       EXISTS (
           SELECT FROM pg_catalog.pg_trigger t
           WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
       ) AS has_triggers,
       EXISTS (
           SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisexclusion
       ) AS has_exclusion
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind IN ('r', 'p') OR c.relkind = 'f' AND c.relispartition)
  AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  )
ORDER BY 2, 3

-- name: parents
-- The tables that others inherit from, but not the roots of partitions.
SELECT i.inhrelid AS child, i.inhparent AS parent
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
WHERE c.relkind = 'r' AND NOT c.relispartition

-- name: columns
-- The columns of tables in their order; the base type is that below all domains, and `labelled` the
-- enum whose labels a column or its elements may have.
WITH RECURSIVE base (oid, type, modifier, is_required) AS (
    SELECT t.oid, t.oid, -1, false FROM pg_catalog.pg_type t WHERE t.typtype = 'd'
    UNION ALL
    SELECT b.oid, t.typbasetype, t.typtypmod, b.is_required OR t.typnotnull
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
),
base_types AS (
    SELECT b.oid, b.type, b.modifier, b.is_required
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype <> 'd'
)
SELECT a.attrelid AS oid, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       format_type(coalesce(b.type, a.atttypid), coalesce(b.modifier, a.atttypmod)) AS base_type,
       a.attnotnull OR coalesce(b.is_required, false) AS is_required,
       CASE WHEN a.attgenerated = '' THEN
           coalesce(pg_get_expr(f.adbin, f.adrelid),
                    pg_get_expr(t.typdefaultbin, 'pg_catalog.pg_type'::regclass), '')
       ELSE '' END AS default,
       CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' ELSE '' END AS identity,
       a.attgenerated <> '' AS is_generated,
       coalesce(nullif(e.typelem, 0), e.oid) AS labelled
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN base_types b ON b.oid = a.atttypid
JOIN pg_catalog.pg_type e ON e.oid = coalesce(b.type, a.atttypid)
LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
WHERE a.attrelid = ANY (%(oids)s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum

-- name: labels
-- The labels of enums in their order.
SELECT e.enumtypid AS type, array_agg(e.enumlabel::text ORDER BY e.enumsortorder) AS labels
FROM pg_catalog.pg_enum e
GROUP BY e.enumtypid

-- name: keys
-- Unique keys over columns alone, that of a primary key first.
SELECT i.indrelid AS oid, i.indisprimary AS is_primary,
       array_agg(a.attname::text ORDER BY k.place) AS columns
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = ANY (%(oids)s)
  AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid, i.indrelid, i.indisprimary
ORDER BY i.indrelid, i.indisprimary DESC, 3

-- name: foreign_keys
-- Foreign keys, with the table and columns that they refer to.
SELECT f.conrelid AS oid, f.confrelid AS referenced_oid,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum
       ) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(f.confkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum
       ) AS referenced
FROM pg_catalog.pg_constraint f
WHERE f.contype = 'f' AND f.conparentid = 0 AND f.conrelid = ANY (%(oids)s)
ORDER BY f.conrelid, f.conname

-- name: checks
-- Check constraints of tables, without those of domains.
SELECT k.conrelid AS oid, pg_get_constraintdef(k.oid) AS definition
FROM pg_catalog.pg_constraint k
WHERE k.contype = 'c' AND k.conrelid = ANY (%(oids)s)
ORDER BY k.conrelid, k.conname
