-- Logical replication by Postgres itself: queries of the source and of the copy.

-- name: columns
-- Each column of the published tables: its type as DDL writes it, whether it may be null, and its
-- place in the primary key.
SELECT c.relname::text AS table_name, a.attname::text AS column_name,
       format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       array_position(i.indkey::int2[], a.attnum) AS key_position
FROM pg_catalog.pg_publication_tables p
JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE p.pubname = 'loadgen' AND p.schemaname = 'public'
ORDER BY c.relname, a.attnum

-- name: slot
-- Whether a slot of this name exists, is active, and still has the WAL that its reader needs.
SELECT active, wal_status FROM pg_catalog.pg_replication_slots WHERE slot_name = %(slot)s

-- name: create_slot
-- Creates the slot at the present position.
SELECT pg_create_logical_replication_slot(%(slot)s, 'pgoutput')

-- name: end_reader
-- Ends the session that reads a slot, so that it can be dropped.
SELECT pg_terminate_backend(active_pid) FROM pg_catalog.pg_replication_slots
WHERE slot_name = %(slot)s AND active

-- name: drop_slots
-- Drops a slot, and those of its tables' initial copies.
SELECT pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots
WHERE NOT active AND (slot_name = %(slot)s
    OR slot_name LIKE 'pg\_' || %(oid)s || '\_sync\_%%' AND database = current_database())

-- name: subscription
-- The subscription, and the time of its worker's last message.
SELECT s.subenabled AS enabled, s.oid::bigint AS oid, t.pid IS NOT NULL AS connected,
       t.last_msg_receipt_time AS last_received,
       (SELECT count(*) > 0 AND bool_and(r.srsubstate = 'r')
        FROM pg_catalog.pg_subscription_rel r WHERE r.srsubid = s.oid) AS copied
FROM pg_catalog.pg_subscription s
LEFT JOIN pg_catalog.pg_stat_subscription t ON t.subid = s.oid AND t.relid IS NULL
WHERE s.subname = 'loadgen' AND s.subdbid =
    (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
LIMIT 1

-- name: rows
-- Rows of the copy, by its server's statistics.
SELECT relname::text AS name, n_live_tup::bigint AS rows FROM pg_catalog.pg_stat_user_tables
WHERE schemaname = 'public' ORDER BY relname
