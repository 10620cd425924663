-- What the load needs to know of the source before it starts, and to settle a lost answer.

-- name: user_count
-- How many users the baseline made; the load makes none.
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
-- Whether this is the database that a run began on, and nobody else has claimed it since.
SELECT FROM public.loadgen_playground WHERE run_id = $1;

-- name: backend_alive
-- Whether the backend that was sent a write still runs.
SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE pid = %s);

-- name: terminate_backends
-- End what a lost worker left running, so that what it did can be looked up for good: sessions of
-- the load's role and name in this database that began with the run, and not the load's lock.
SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity AS session
WHERE pid = ANY (%(pids)s) AND pid <> pg_backend_pid()
  AND application_name = current_setting('application_name')
  AND datname = current_database() AND usename = current_user AND backend_start >= %(since)s
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_locks WHERE pg_locks.pid = session.pid AND locktype = 'advisory'
  );

-- name: backends_left
-- Whether one of a lost worker's backends may still run: a process in this database, whoever's.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity WHERE pid = ANY (%s) AND datname = current_database()
);

-- name: lock
-- One load a database; held by the session.
SELECT pg_try_advisory_lock(hashtext('loadgen load'));

-- name: claimed_by
-- Which run's processes may write.
SELECT run_id FROM public.loadgen_playground;

-- name: claim
-- Let the processes of one plan write, and nobody who connects for another from now on.
UPDATE public.loadgen_playground SET run_id = %s;

-- name: server_time
-- The time by the server's clock: sessions from before a moment are told by it.
SELECT clock_timestamp();

-- name: terminate_older
-- End the load's sessions from before a claim; ours stays. Later ones find out by themselves.
SELECT pid, pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE application_name = current_setting('application_name')
  AND datname = current_database() AND usename = current_user
  AND pid <> pg_backend_pid() AND backend_start <= %s;
