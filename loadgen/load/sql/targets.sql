-- What the load reads from the source before it starts, and how it looks up lost writes.

-- name: user_count
-- How many users the baseline has; the load adds none.
SELECT coalesce(max(id), 0) FROM public.users;

-- name: deleted_users
-- Ids of the users that are soft deleted already: at most a fifth of all.
SELECT id FROM public.users WHERE deleted_at IS NOT NULL;

-- name: open_orders
-- The most recent orders that may still change, newest last, of one share of the ids.
SELECT order_number::text, status, version FROM (
    SELECT id, order_number, status, version FROM public.orders
    WHERE id > (SELECT coalesce(max(id), 0) FROM public.orders) - 200000
      AND status = ANY (%(open)s) AND deleted_at IS NULL AND id %% %(of)s = %(index)s
    ORDER BY id DESC LIMIT %(limit)s
) AS recent ORDER BY id;

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
