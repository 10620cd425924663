-- Indexes, constraints and triggers that a large COPY goes without. Postgres 14 to 18.

-- name: present
-- Those that are there, each with the statement that makes it. Primary keys and replica identities
-- stay, and so does what the definition does not tell completely (a tablespace, storage parameters).
-- Partitions follow their root; what a partition has by itself is listed.
WITH tables AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p')
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      AND NOT (n.nspname = 'public' AND c.relname = ANY (%(ours)s))
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
            AND d.deptype = 'e'
      )
), objects AS (
    -- A partitioned index is defined ON ONLY its table, which would leave its partitions without.
    SELECT 'index' AS kind, t.nspname, t.relname, c.relname AS name,
           CASE c.relkind
               WHEN 'I' THEN replace(pg_get_indexdef(c.oid),
                                     format(' ON ONLY %%I.%%I', t.nspname, t.relname),
                                     format(' ON %%I.%%I', t.nspname, t.relname))
               ELSE pg_get_indexdef(c.oid)
           END AS definition
    FROM tables t
    JOIN pg_catalog.pg_index i ON i.indrelid = t.oid
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    WHERE NOT i.indisprimary AND NOT i.indisreplident AND i.indisvalid
      AND NOT c.relispartition AND c.reltablespace = 0
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                      WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
    UNION ALL
    SELECT CASE k.contype WHEN 'f' THEN 'foreign key' ELSE 'unique' END,
           t.nspname, t.relname, k.conname,
           format('ALTER TABLE %%I.%%I ADD CONSTRAINT %%I %%s',
                  t.nspname, t.relname, k.conname, pg_get_constraintdef(k.oid))
    FROM tables t
    JOIN pg_catalog.pg_constraint k ON k.conrelid = t.oid
    LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = k.conindid
    LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conindid
    WHERE k.conparentid = 0
      AND (k.contype = 'f'
           OR k.contype IN ('u', 'x') AND NOT i.indisreplident AND c.reltablespace = 0
              AND c.reloptions IS NULL)
    UNION ALL
    SELECT 'trigger', t.nspname, t.relname, g.tgname,
           format('ALTER TABLE ONLY %%I.%%I ENABLE %%sTRIGGER %%I', t.nspname, t.relname,
                  CASE g.tgenabled WHEN 'A' THEN 'ALWAYS ' ELSE '' END, g.tgname)
    FROM tables t
    JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid
    WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
      AND g.tgtype & 1 = 1 AND g.tgtype & 4 = 4  -- for each row, on INSERT
)
SELECT kind, nspname::text AS schema, relname::text AS relation, name::text, definition
FROM objects
ORDER BY array_position(ARRAY['index', 'unique', 'foreign key', 'trigger'], kind), 2, 3, 4

-- name: recorded
-- Those that the model's schema made.
SELECT indexes FROM public.loadgen_playground

-- name: record
-- Stores them.
UPDATE public.loadgen_playground SET indexes = %(indexes)s
