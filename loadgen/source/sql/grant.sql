-- Read by `loadgen db grant` and `db revoke` before they change anything.

-- name: role
-- A tool's user, with the comment that says what it was made for.
SELECT shobj_description(oid, 'pg_authid') AS comment, rolcanlogin, rolreplication
FROM pg_catalog.pg_roles WHERE rolname = %(user)s

-- name: granted
-- The comments of all users that `db grant` made on this server.
SELECT shobj_description(oid, 'pg_authid')
FROM pg_catalog.pg_roles
WHERE starts_with(shobj_description(oid, 'pg_authid'), 'loadgen db grant: ')
ORDER BY rolname

-- name: rights
-- Which rights the user has, or lacks: CONNECT to this database, USAGE of schemas, SELECT on tables,
-- whose quoted names stand beside those in the model.
SELECT has_database_privilege(%(user)s, current_database(), 'CONNECT') AS connects,
       (SELECT array_agg(s) FROM unnest(%(schemas)s::text[]) AS s
        WHERE NOT has_schema_privilege(%(user)s, s, 'USAGE')) AS unused,
       (SELECT array_agg(t) FROM unnest(%(tables)s::text[], %(names)s::text[]) AS u (t, name)
        WHERE NOT has_table_privilege(%(user)s, name, 'SELECT')) AS unread

-- name: rds
-- Whether this is Amazon RDS, where the role rds_replication gives the right to replicate.
SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rds_replication')

-- name: publication
-- Whether a publication exists.
SELECT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = %(publication)s)

-- name: slot
-- A slot and its reader.
SELECT s.plugin::text, s.database::text, s.active_pid, a.usename::text AS reader,
       a.application_name AS application, coalesce(host(a.client_addr), 'a local socket') AS address
FROM pg_catalog.pg_replication_slots s
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
WHERE s.slot_name = %(slot)s

-- name: end_sessions
-- Ends the user's sessions, and waits up to five seconds for each.
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_catalog.pg_stat_activity
WHERE usename = %(user)s
