-- What every connection begins with.

-- name: backend_pid
-- The process that answers, which a pooler does not tell at login.
SELECT pg_backend_pid()

-- name: session
-- Sets what a session needs in one round trip, but for settings that this version does not have.
SELECT pg_backend_pid(), count(set_config(name, value, false))
FROM unnest(%s::text[], %s::text[]) AS needed (name, value)
WHERE current_setting(name, true) IS NOT NULL
