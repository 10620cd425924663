-- The runner simplyload at the source: its slot, and the published tables.

-- name: relations
-- The published tables as pgoutput describes them: oid, schema, name, replica identity, and of each
-- column the name, type, modifier, and whether it is of the identity.
SELECT c.oid::bigint AS oid, p.schemaname::text AS schema, p.tablename::text AS name,
       c.relreplident::text AS identity,
       array_agg(a.attname::text ORDER BY a.attnum) AS columns,
       array_agg(a.atttypid::bigint ORDER BY a.attnum) AS types,
       array_agg(a.atttypmod ORDER BY a.attnum) AS modifiers,
       array_agg(coalesce(a.attnum = ANY (i.indkey::int2[]), false) ORDER BY a.attnum)
           AS in_identity
FROM pg_catalog.pg_publication_tables p
JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisvalid
    AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END
WHERE p.pubname = %(publication)s
GROUP BY 1, 2, 3, 4 ORDER BY 2, 3

-- name: slot
-- Whether a slot exists, and the position up to which its changes are confirmed.
SELECT wal_status AS wal_status,
       (confirmed_flush_lsn - '0/0')::bigint AS confirmed
FROM pg_catalog.pg_replication_slots WHERE slot_name = %(slot)s

-- name: flushed
-- The end of the WAL on disk.
SELECT (pg_catalog.pg_current_wal_flush_lsn() - '0/0')::bigint AS lsn

-- name: advance
-- Confirms the changes before a position: the source may remove their WAL.
SELECT pg_catalog.pg_replication_slot_advance(%(slot)s, '0/0'::pg_lsn + %(lsn)s)

-- name: has_default
-- Whether an added column may have values in rows that were there before it.
SELECT a.atthasdef OR a.atthasmissing AS has_default FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND a.attname = %(column)s
