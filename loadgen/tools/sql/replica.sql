-- What a replica needs before a subscription: queries of the source's catalogue. Types are as DDL
-- writes them with `public` as the search path.

-- name: columns
-- Each column of the published tables: its type, whether it may be null, its place in the key by which
-- the replica finds rows (the index of the replica identity, else the primary key), and whether it is
-- published. A generated column has its expression, if that needs nothing but published columns.
WITH published AS (
    SELECT c.oid, c.relreplident, p.schemaname, p.tablename, a.attnum, a.attname, a.atttypid,
           a.atttypmod, a.attnotnull, a.attgenerated,
           coalesce(to_jsonb(p) -> 'attnames' ? a.attname::text, true)
           -- Before 18, attnames may hold generated columns, which are never published.
           AND (a.attgenerated = '' OR current_setting('server_version_num')::int >= 180000)
               AS is_published
    FROM pg_catalog.pg_publication_tables p
    JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE p.pubname = 'loadgen'
)
SELECT p.schemaname::text AS schema, p.tablename::text AS table, p.attname::text AS column,
       pg_catalog.format_type(p.atttypid, p.atttypmod) AS type, p.attnotnull AS not_null,
       p.is_published,
       (SELECT k.place FROM pg_catalog.pg_index i,
               unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
        WHERE i.indrelid = p.oid AND i.indisvalid AND k.place <= i.indnkeyatts
          AND CASE p.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
          AND k.attnum = p.attnum) AS key_position,
       (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d
        WHERE d.adrelid = p.oid AND d.adnum = p.attnum AND p.attgenerated <> ''
          AND NOT p.is_published AND NOT EXISTS (
              SELECT FROM pg_catalog.pg_depend o
              LEFT JOIN published other ON o.refclassid = 'pg_catalog.pg_class'::regclass
                   AND other.oid = o.refobjid AND other.attnum = o.refobjsubid
              WHERE o.classid = 'pg_catalog.pg_attrdef'::regclass AND o.objid = d.oid
                AND other.is_published IS NOT TRUE
                AND (other.attnum = p.attnum) IS NOT TRUE)) AS expression
FROM published p
ORDER BY 1, 2, p.attnum

-- name: types
-- Types of the published columns that Postgres does not ship, those that others consist of first: a
-- statement that makes each, an enum's labels, and the extension that a type is part of. Constraints
-- of domains are left out: the source has checked them.
WITH RECURSIVE used AS (
    SELECT DISTINCT a.atttypid AS type, 0 AS depth
    FROM pg_catalog.pg_publication_tables p
    JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE p.pubname = 'loadgen'
    UNION ALL
    SELECT part.type, used.depth + 1
    FROM used CROSS JOIN LATERAL (
        SELECT t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid = used.type AND t.typtype = 'd'
        UNION ALL
        SELECT t.typelem FROM pg_catalog.pg_type t WHERE t.oid = used.type AND t.typcategory = 'A'
        UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_type t
        JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0
        WHERE t.oid = used.type AND t.typtype = 'c' AND NOT a.attisdropped
        UNION ALL
        SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = used.type
        UNION ALL
        SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = used.type
    ) AS part (type)
)
SELECT n.nspname::text AS schema, pg_catalog.format_type(t.oid, NULL) AS type,
       e.extname::text AS extension, t.typtype = 'e' AS is_enum,
       CASE t.typtype
           WHEN 'd' THEN format('CREATE DOMAIN %I.%I AS %s', n.nspname, t.typname,
                                pg_catalog.format_type(t.typbasetype, t.typtypmod))
           WHEN 'e' THEN format('CREATE TYPE %I.%I AS ENUM ()', n.nspname, t.typname)
           WHEN 'c' THEN format('CREATE TYPE %I.%I AS (%s)', n.nspname, t.typname, (
               SELECT string_agg(format('%I %s', a.attname,
                                        pg_catalog.format_type(a.atttypid, a.atttypmod)),
                                 ', ' ORDER BY a.attnum)
               FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
           WHEN 'r' THEN (
               SELECT format('CREATE TYPE %I.%I AS RANGE (subtype = %s, '
                             'multirange_type_name = %I.%I)', n.nspname, t.typname,
                             pg_catalog.format_type(r.rngsubtype, NULL), mn.nspname, m.typname)
               FROM pg_catalog.pg_range r
               JOIN pg_catalog.pg_type m ON m.oid = r.rngmultitypid
               JOIN pg_catalog.pg_namespace mn ON mn.oid = m.typnamespace
               WHERE r.rngtypid = t.oid)
       END AS ddl,
       ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l
             WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder) AS labels
FROM (SELECT type, max(depth) AS depth FROM used GROUP BY type) AS u
JOIN pg_catalog.pg_type t ON t.oid = u.type
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid
     AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
WHERE n.nspname <> 'pg_catalog' AND t.typtype <> 'm' AND NOT (t.typtype = 'b' AND t.typcategory = 'A')
ORDER BY u.depth DESC, 1, 2

-- name: lacks_type
-- Whether the replica lacks a type.
SELECT to_regtype(%(type)s) IS NULL

-- name: has_extension
-- Whether the replica's server can make an extension.
SELECT EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = %(extension)s)
