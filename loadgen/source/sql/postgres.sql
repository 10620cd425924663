-- The first statements of every connection.

-- name: backend_pid
-- The process id of the backend, which a pooler hides at login.
SELECT pg_backend_pid()

-- name: session
-- Makes the settings of a session in one round trip, except those that this version does not have.
SELECT pg_backend_pid(), count(set_config(name, value, false))
FROM unnest(%s::text[], %s::text[]) AS needed (name, value)
WHERE current_setting(name, true) IS NOT NULL

-- name: no_timeouts
-- Lifts the limits on a session that waits on purpose, in a replication connection.
SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
               'idle_session_timeout', 'transaction_timeout')
