-- The session of an import.

-- name: limits
-- Sets the limits of the session.
SELECT count(set_config(name, value, false))
FROM unnest(%s::text[], %s::text[]) AS needed (name, value)
WHERE current_setting(name, true) IS NOT NULL

-- name: is_replica
-- Whether the server replays the WAL of another one.
SELECT pg_is_in_recovery()

-- name: system_identifier
-- The identifier that initdb gave the server; its copies have it too.
SELECT system_identifier::text FROM pg_control_system()

-- name: role
-- The session's role, quoted if it has to be.
SELECT quote_ident(current_user)

-- name: quoted
-- A name of several parts, quoted if they have to be.
SELECT string_agg(quote_ident(name), '.' ORDER BY place)
FROM unnest(%s::text[]) WITH ORDINALITY AS parts (name, place)

-- name: locked
-- What other sessions lock against reading.
SELECT string_agg(DISTINCT l.relation::regclass::text, ', ')
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.granted
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
