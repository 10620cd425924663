-- What the load reads from the source before it starts, and how it looks up lost writes.

-- name: column_type
-- The type of a column; of a domain, the type it is made of.
WITH RECURSIVE of_column AS (
    SELECT type.oid, typtype, typbasetype FROM pg_catalog.pg_attribute
    JOIN pg_catalog.pg_class AS relation ON relation.oid = attrelid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relnamespace
    JOIN pg_catalog.pg_type AS type ON type.oid = atttypid
    WHERE nspname = %(schema)s AND relname = %(table)s AND attname = %(column)s
    UNION ALL
    SELECT type.oid, type.typtype, type.typbasetype FROM of_column
    JOIN pg_catalog.pg_type AS type ON type.oid = of_column.typbasetype
)
SELECT format_type(oid, -1) FROM of_column WHERE typtype <> 'd';

-- name: set_sequence
-- Let the sequence of a column, if it has one, continue behind the largest key.
SELECT setval(sequence, greatest(largest::bigint, pg_sequence_last_value(sequence)))
FROM CAST(pg_get_serial_sequence(%(table)s, %(column)s) AS regclass) AS sequence,
     (SELECT max({column}) FROM {table}) AS keys (largest)
WHERE sequence IS NOT NULL AND largest IS NOT NULL;

-- name: is_of_run
-- Whether this is the database that a run began on, and no other load has begun since.
SELECT FROM public.loadgen_playground WHERE run_id = $1;

-- name: backend_alive
-- Whether the backend of a write still runs.
SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = %s);

-- name: terminate_backends
-- End a lost worker's sessions, so that its writes can be looked up for good: sessions of the
-- load's role and name in this database that began with the run, but not the load's lock.
SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity AS session
WHERE pid = ANY (%(pids)s) AND pid <> pg_backend_pid()
  AND application_name = current_setting('application_name')
  AND datname = current_database() AND usename = current_user AND backend_start >= %(since)s
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_locks WHERE pg_locks.pid = session.pid AND locktype = 'advisory'
  );

-- name: backends_left
-- Whether one of a lost worker's backends may still run: a process in this database of any role.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity WHERE pid = ANY (%s) AND datname = current_database()
);

-- name: lock
-- One load a database; held by the session.
SELECT pg_try_advisory_lock(hashtext('loadgen load'));

-- name: current_run_token
-- Which run's processes may write.
SELECT run_id FROM public.loadgen_playground;

-- name: set_run_token
-- Let the processes of one plan write; a process that connects for another may not.
UPDATE public.loadgen_playground SET run_id = %s;

-- name: server_time
-- The time by the server's clock, by which older sessions are recognised.
SELECT clock_timestamp();

-- name: terminate_older
-- End the load's sessions from before a new run token, except ours. Later ones check the token themselves.
SELECT pid, pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE application_name = current_setting('application_name')
  AND datname = current_database() AND usename = current_user
  AND pid <> pg_backend_pid() AND backend_start <= %s;
