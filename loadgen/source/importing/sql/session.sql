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
