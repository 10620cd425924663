-- Logical replication by Postgres itself: queries of the source and of the copy.

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
-- The subscription, the time of its worker's last message, and the source's LSN up to which the copy
-- has every commit: that of the last one applied, or that at which the last table had caught up.
SELECT s.subenabled AS enabled, s.oid::bigint AS oid, t.pid IS NOT NULL AS connected,
       t.last_msg_receipt_time AS last_received, tables.copied,
       CASE WHEN tables.copied THEN
           greatest(tables.caught_up_at, pg_replication_origin_progress('pg_' || s.oid, false))::text
       END AS position
FROM pg_catalog.pg_subscription s
CROSS JOIN LATERAL (
    SELECT count(*) > 0 AND bool_and(r.srsubstate = 'r') AS copied, max(r.srsublsn) AS caught_up_at
    FROM pg_catalog.pg_subscription_rel r WHERE r.srsubid = s.oid
) AS tables
LEFT JOIN pg_catalog.pg_stat_subscription t ON t.subid = s.oid AND t.relid IS NULL
WHERE s.subname = 'loadgen' AND s.subdbid =
    (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
LIMIT 1

-- name: rows
-- Schema, name and label of the subscribed tables, and their rows by the copy's statistics.
SELECT t.schemaname::text, t.relname::text,
       CASE t.schemaname WHEN 'public' THEN '' ELSE t.schemaname || '.' END || t.relname AS label,
       t.n_live_tup::bigint
FROM pg_catalog.pg_subscription_rel r
JOIN pg_catalog.pg_stat_user_tables t ON t.relid = r.srrelid
ORDER BY 1, 2
