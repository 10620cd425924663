-- The first statements of every connection.

-- name: backend_pid
-- The process id of the backend, which a pooler hides at login.
SELECT pg_backend_pid()

-- name: session
-- Makes the settings of a session in one round trip, except those that this version does not have.
SELECT pg_backend_pid(), count(set_config(name, value, false))
FROM unnest(%s::text[], %s::text[]) AS needed (name, value)
WHERE current_setting(name, true) IS NOT NULL
