-- The DDL of tables and of what they need: its objects, and their definitions. Postgres 14 to 18.
-- Objects are pairs of a catalogue's oid and an oid in it, as in pg_depend.

-- name: own_objects
-- The tables, and what is made with them: indexes, sequences, defaults and constraints.
SELECT 'pg_catalog.pg_class'::regclass::oid, o.oid FROM unnest(%(oids)s::oid[]) AS o (oid)
UNION ALL
SELECT 'pg_catalog.pg_class'::regclass, i.indexrelid
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = ANY (%(oids)s) AND (i.indisvalid OR x.relkind = 'I')
UNION ALL
SELECT 'pg_catalog.pg_class'::regclass, c.oid
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
WHERE c.relkind = 'S' AND d.refclassid = 'pg_catalog.pg_class'::regclass
  AND d.deptype IN ('a', 'i') AND d.refobjid = ANY (%(oids)s)
UNION ALL
SELECT 'pg_catalog.pg_attrdef'::regclass, f.oid FROM pg_catalog.pg_attrdef f
WHERE f.adrelid = ANY (%(oids)s)
UNION ALL
SELECT 'pg_catalog.pg_constraint'::regclass, k.oid FROM pg_catalog.pg_constraint k
WHERE k.conrelid = ANY (%(oids)s) AND k.contype <> 't'
  AND (k.contype <> 'f' OR k.confrelid = ANY (%(oids)s))

-- name: needed_objects
-- All that the given objects need, with themselves; other tables and views are left out.
WITH RECURSIVE needed (class, oid) AS (
    SELECT * FROM unnest(%(classes)s::oid[], %(oids)s::oid[])
    UNION
    SELECT e.class, e.oid
    FROM needed n
    CROSS JOIN LATERAL (
        SELECT d.refclassid, d.refobjid
        FROM pg_catalog.pg_depend d
        WHERE d.classid = n.class AND d.objid = n.oid AND d.refobjid >= 16384
          AND NOT (
              d.refclassid = 'pg_catalog.pg_class'::regclass
              AND EXISTS (
                  SELECT FROM pg_catalog.pg_class c
                  WHERE c.oid = d.refobjid AND c.relkind NOT IN ('S', 'c')
              )
          )
        UNION ALL
        SELECT 'pg_catalog.pg_class'::regclass, c.oid
        FROM pg_catalog.pg_type t JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
        WHERE n.class = 'pg_catalog.pg_type'::regclass AND t.oid = n.oid AND c.relkind = 'c'
        UNION ALL
        SELECT 'pg_catalog.pg_constraint'::regclass, k.oid
        FROM pg_catalog.pg_constraint k
        WHERE n.class = 'pg_catalog.pg_type'::regclass AND k.contypid = n.oid
    ) AS e (class, oid)
)
SELECT class, oid FROM needed

-- name: members
-- The objects that extensions made; CREATE EXTENSION makes them again.
SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'

-- name: bodies
-- The names and texts of functions, whose needs Postgres does not know. A name that Postgres has too
-- (of a type or function) most likely means that one.
SELECT 'pg_catalog.pg_proc'::regclass::oid AS class, p.oid, p.proname::text AS name, p.prosrc AS body
FROM pg_catalog.pg_proc p
WHERE p.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc b
                  WHERE b.proname = p.proname AND b.pronamespace = 'pg_catalog'::regnamespace)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_type b
                  WHERE b.typname = p.proname AND b.typnamespace = 'pg_catalog'::regnamespace)

-- name: named_objects
-- The names of sequences and types, which a function's text may use.
SELECT 'pg_catalog.pg_class'::regclass::oid AS class, c.oid, c.relname::text AS name
FROM pg_catalog.pg_class c WHERE c.oid >= 16384 AND c.relkind = 'S'
UNION ALL
SELECT 'pg_catalog.pg_type'::regclass, t.oid, t.typname::text
FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE t.oid >= 16384 AND t.typelem = 0 AND t.typtype IN ('e', 'd', 'r', 'c')
  AND coalesce(c.relkind, 'c') = 'c'

-- name: candidates
-- What a schema may hold beside tables, and is left out unless they need it.
SELECT o.class, o.oid, pg_describe_object(o.class, o.oid, 0) AS description
FROM (
    SELECT 'pg_catalog.pg_class'::regclass::oid AS class, c.oid, c.relnamespace AS schema
    FROM pg_catalog.pg_class c
    WHERE c.relkind IN ('v', 'm', 'f', 'S') AND c.relpersistence <> 't'
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, p.oid, p.pronamespace FROM pg_catalog.pg_proc p
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, t.oid, t.typnamespace
    FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
    WHERE t.typtype IN ('e', 'd', 'r', 'c') AND coalesce(c.relkind, 'c') = 'c'
    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::regclass, s.oid, s.stxnamespace
    FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = ANY (%(oids)s)
) o
JOIN pg_catalog.pg_namespace n ON n.oid = o.schema
WHERE n.nspname = ANY (%(schemas)s) AND o.oid >= 16384
  AND NOT EXISTS (  -- the functions of a range
      SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'i')

-- name: attached
-- Triggers, rules and policies of tables, and foreign keys to tables that are not selected.
SELECT pg_describe_object('pg_catalog.pg_trigger'::regclass, t.oid, 0) AS description
FROM pg_catalog.pg_trigger t
WHERE t.tgrelid = ANY (%(oids)s) AND NOT t.tgisinternal AND t.tgparentid = 0
UNION ALL
SELECT pg_describe_object('pg_catalog.pg_rewrite'::regclass, r.oid, 0)
FROM pg_catalog.pg_rewrite r WHERE r.ev_class = ANY (%(oids)s)
UNION ALL
SELECT pg_describe_object('pg_catalog.pg_policy'::regclass, p.oid, 0)
FROM pg_catalog.pg_policy p WHERE p.polrelid = ANY (%(oids)s)
UNION ALL
SELECT 'row-level security of ' || pg_describe_object('pg_catalog.pg_class'::regclass, c.oid, 0)
FROM pg_catalog.pg_class c WHERE c.oid = ANY (%(oids)s) AND c.relrowsecurity
UNION ALL
SELECT pg_describe_object('pg_catalog.pg_constraint'::regclass, k.oid, 0)
       || ', which refers to ' || k.confrelid::regclass
FROM pg_catalog.pg_constraint k
WHERE k.conrelid = ANY (%(oids)s) AND k.contype = 'f' AND k.conparentid = 0
  AND k.confrelid <> ALL (%(oids)s)
UNION ALL
SELECT pg_describe_object('pg_catalog.pg_class'::regclass, i.indexrelid, 0) || ', which is not valid'
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = ANY (%(oids)s) AND NOT i.indisvalid AND x.relkind <> 'I'

-- name: other_kinds
-- Objects of the whole database that are left out.
SELECT pg_describe_object('pg_catalog.pg_publication'::regclass, p.oid, 0)
FROM pg_catalog.pg_publication p
UNION ALL
SELECT pg_describe_object('pg_catalog.pg_event_trigger'::regclass, e.oid, 0)
FROM pg_catalog.pg_event_trigger e

-- name: described
-- Names objects as Postgres does in messages.
SELECT pg_describe_object(o.class, o.oid, 0)
FROM unnest(%(classes)s::oid[], %(oids)s::oid[]) AS o (class, oid)

-- name: aggregates
-- Those functions that are aggregates.
SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.oid = ANY (%(oids)s) AND p.prokind = 'a'

-- name: base_types
-- Those types that a library in C defines.
SELECT t.oid FROM pg_catalog.pg_type t
WHERE t.oid = ANY (%(oids)s) AND t.typtype = 'b' AND t.typelem = 0

-- name: qualify_names
-- Makes Postgres write every name with its schema, until the transaction ends.
SELECT set_config('search_path', '', true)

-- name: schemas
-- Schemas of objects.
SELECT format('CREATE SCHEMA IF NOT EXISTS %%I', n.nspname)
FROM pg_catalog.pg_namespace n
WHERE n.oid = ANY (%(oids)s)
ORDER BY n.nspname

-- name: extensions
-- Extensions, in the order in which they were made.
SELECT format('CREATE EXTENSION IF NOT EXISTS %%I WITH SCHEMA %%I', e.extname, n.nspname)
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE e.oid = ANY (%(oids)s)
ORDER BY e.oid

-- name: types
-- Enums, domains, composite types and ranges.
SELECT t.oid, format('CREATE TYPE %%I.%%I AS ENUM (%%s)', n.nspname, t.typname,
    (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
     FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)) AS ddl
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid = ANY (%(oids)s) AND t.typtype = 'e'
UNION ALL
SELECT t.oid, concat_ws(' ',
    format('CREATE DOMAIN %%I.%%I AS %%s', n.nspname, t.typname, format_type(t.typbasetype, t.typtypmod)),
    (SELECT format('COLLATE %%s', o.oid::regcollation)
     FROM pg_catalog.pg_collation o, pg_catalog.pg_type b
     WHERE o.oid = t.typcollation AND b.oid = t.typbasetype AND o.oid <> b.typcollation),
    'DEFAULT ' || pg_get_expr(t.typdefaultbin, 'pg_catalog.pg_type'::regclass),
    CASE WHEN t.typnotnull THEN 'NOT NULL' END,
    (SELECT string_agg(format('CONSTRAINT %%I %%s', k.conname, pg_get_constraintdef(k.oid)), ' '
                       ORDER BY k.conname)
     FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid = ANY (%(oids)s) AND t.typtype = 'd'
UNION ALL
SELECT t.oid, format('CREATE TYPE %%I.%%I AS (%%s)', n.nspname, t.typname,
    (SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attcollation <> b.typcollation
             THEN format('COLLATE %%s', a.attcollation::regcollation) END), ', ' ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type b ON b.oid = a.atttypid
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
WHERE t.oid = ANY (%(oids)s) AND t.typtype = 'c'
UNION ALL
SELECT t.oid, format('CREATE TYPE %%I.%%I AS RANGE (%%s)', n.nspname, t.typname,
    concat_ws(', ',
        'SUBTYPE = ' || format_type(r.rngsubtype, NULL),
        (SELECT format('SUBTYPE_OPCLASS = %%I.%%I', m.nspname, o.opcname)
         FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_namespace m ON m.oid = o.opcnamespace
         WHERE o.oid = r.rngsubopc AND NOT o.opcdefault),
        (SELECT format('COLLATION = %%s', r.rngcollation::regcollation)
         FROM pg_catalog.pg_type b WHERE b.oid = r.rngsubtype AND b.typcollation <> r.rngcollation),
        CASE WHEN r.rngsubdiff <> 0 THEN format('SUBTYPE_DIFF = %%s', r.rngsubdiff::regproc) END,
        'MULTIRANGE_TYPE_NAME = ' || format_type(r.rngmultitypid, NULL)))
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
WHERE t.oid = ANY (%(oids)s)

-- name: functions
-- Functions and procedures; aggregates have no such definition.
SELECT p.oid, rtrim(pg_get_functiondef(p.oid), E'\n') AS ddl
FROM pg_catalog.pg_proc p
WHERE p.oid = ANY (%(oids)s) AND p.prokind <> 'a'

-- name: sequences
-- Sequences that are not an identity column's, with the column that owns one.
SELECT format('CREATE %%sSEQUENCE %%I.%%I AS %%s START WITH %%s INCREMENT BY %%s MINVALUE %%s MAXVALUE %%s CACHE %%s%%s',
        CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END,
        n.nspname, c.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin,
        s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END) AS ddl,
    (SELECT format('ALTER SEQUENCE %%I.%%I OWNED BY %%s.%%I', n.nspname, c.relname,
                   d.refobjid::regclass, a.attname)
     FROM pg_catalog.pg_depend d
     JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'a'
       AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = ANY (%(tables)s)) AS owned
FROM pg_catalog.pg_sequence s
JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s)
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')
ORDER BY n.nspname, c.relname

-- name: tables
-- The beginning and end of CREATE TABLE, and how a table is attached to its partitioned table or
-- to those that it inherits from.
SELECT c.oid, c.oid::regclass::text AS name,
    CASE WHEN c.relkind = 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(c.oid) ELSE '' END
    || coalesce((
        SELECT ' WITH (' || string_agg(format('%%I=%%L', split_part(o, '=', 1),
                                              substr(o, strpos(o, '=') + 1)), ', ') || ')'
        FROM unnest(c.reloptions) AS o), '') AS options,
    (SELECT string_agg(
        CASE WHEN c.relispartition
             THEN format('ALTER TABLE ONLY %%s ATTACH PARTITION %%s %%s', h.inhparent::regclass,
                         c.oid::regclass, pg_get_expr(c.relpartbound, c.oid))
             ELSE format('ALTER TABLE ONLY %%s INHERIT %%s', c.oid::regclass, h.inhparent::regclass)
        END, E';\n' ORDER BY h.inhseqno)
     FROM pg_catalog.pg_inherits h
     WHERE h.inhrelid = c.oid
       AND h.inhparent::int8 = ANY (%(tables)s::int8[])  -- not by its index, for each table anew
    ) AS attachment,
    CASE c.relreplident
        WHEN 'f' THEN format('ALTER TABLE ONLY %%s REPLICA IDENTITY FULL', c.oid::regclass)
        WHEN 'n' THEN format('ALTER TABLE ONLY %%s REPLICA IDENTITY NOTHING', c.oid::regclass)
        WHEN 'i' THEN (
            SELECT format('ALTER TABLE ONLY %%s REPLICA IDENTITY USING INDEX %%I', c.oid::regclass,
                          x.relname)
            FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
            WHERE i.indrelid = c.oid AND i.indisreplident)
    END AS identity
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s)
ORDER BY n.nspname, c.relname

-- name: table_columns
-- The lines of columns in CREATE TABLE. A partition's identity is that of its table.
SELECT a.attrelid AS oid, concat_ws(' ',
    quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attcollation <> t.typcollation
         THEN format('COLLATE %%s', a.attcollation::regcollation) END,
    CASE a.attgenerated
        WHEN '' THEN 'DEFAULT ' || pg_get_expr(f.adbin, f.adrelid)
        WHEN 's' THEN format('GENERATED ALWAYS AS (%%s) STORED', pg_get_expr(f.adbin, f.adrelid))
        ELSE format('GENERATED ALWAYS AS (%%s)', pg_get_expr(f.adbin, f.adrelid))
    END,
    CASE WHEN a.attnotnull THEN 'NOT NULL' END,
    CASE WHEN a.attidentity <> '' AND NOT c.relispartition THEN
        (SELECT format('GENERATED %%s AS IDENTITY (SEQUENCE NAME %%s START WITH %%s INCREMENT BY %%s MINVALUE %%s MAXVALUE %%s CACHE %%s%%s)',
            CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
            s.seqrelid::regclass, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
            CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END)
         FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_sequence s ON s.seqrelid = d.objid
         WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'i'
           AND d.refclassid = 'pg_catalog.pg_class'::regclass
           AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum)
    END) AS ddl,
    CASE WHEN a.attstorage <> t.typstorage THEN
        format('ALTER TABLE ONLY %%s ALTER COLUMN %%I SET STORAGE %%s', c.oid::regclass, a.attname,
            CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN'
                 ELSE 'EXTENDED' END)
    END AS storage
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
WHERE a.attrelid = ANY (%(oids)s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum

-- name: table_checks
-- The lines of checks in CREATE TABLE, with those that a table inherits.
SELECT k.conrelid AS oid, format('CONSTRAINT %%I %%s', k.conname, pg_get_constraintdef(k.oid)) AS ddl
FROM pg_catalog.pg_constraint k
WHERE k.conrelid = ANY (%(oids)s) AND k.contype = 'c'
ORDER BY k.conrelid, k.conname

-- name: constraints
-- Keys and exclusions before foreign keys, which partitions get from their table.
SELECT format('ALTER TABLE %%s%%s ADD CONSTRAINT %%I %%s',
        CASE WHEN c.relkind = 'p' AND k.contype = 'f' THEN '' ELSE 'ONLY ' END, c.oid::regclass,
        k.conname, pg_get_constraintdef(k.oid)) AS ddl,
    k.contype = 'f' AS is_foreign
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.oid = ANY (%(oids)s)
  AND (k.contype IN ('p', 'u', 'x') OR k.contype = 'f' AND k.conparentid = 0)
ORDER BY k.contype = 'f', n.nspname, c.relname, k.conname

-- name: indexes
-- Indexes without those of constraints.
SELECT pg_get_indexdef(i.indexrelid)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE x.oid = ANY (%(oids)s)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                  WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY n.nspname, c.relname, x.relname

-- name: index_attachments
-- The indexes of partitions that belong to an index of their table.
SELECT format('ALTER INDEX %%s ATTACH PARTITION %%s', h.inhparent::regclass, h.inhrelid::regclass)
FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class x ON x.oid = h.inhrelid
WHERE h.inhrelid = ANY (%(oids)s) AND x.relkind IN ('i', 'I')
ORDER BY h.inhrelid
