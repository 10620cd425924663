-- The baseline: rows by binary COPY, and its progress in the playground's own row.

-- name: lock
-- One seeding at a time in a database; held by the session.
SELECT pg_advisory_lock(hashtext('loadgen seed'))

-- name: unlock
-- Releases that lock.
SELECT pg_advisory_unlock(hashtext('loadgen seed'))

-- name: wait_briefly
-- The session of a killed client takes a moment to end, so wait for its lock, though not long.
SET lock_timeout = '5s'

-- name: notice_death
-- The server cancels a long index build if its client is gone; not on every system.
SET client_connection_check_interval = '1s'

-- name: hurry
-- Commits do not wait for the disk, which saves a third of the time: after a crash, lost rows are
-- copied again. Sorting gets memory.
SELECT set_config('lock_timeout', '0', false),
       set_config('statement_timeout', '0', false),
       set_config('synchronous_commit', 'off', false),
       set_config('maintenance_work_mem', '256MB', false)

-- name: settle
-- From here on a commit waits for the disk, and with it for all earlier commits.
SET synchronous_commit = on

-- name: calm
-- The session as it was before `hurry`, still without time limits.
RESET synchronous_commit;
RESET maintenance_work_mem;
RESET client_connection_check_interval

-- name: clock
-- The server's time, and the start of its day in UTC, which is the default end of the history.
SELECT date_trunc('day', now(), 'UTC') AS today, now() AS now

-- name: filled
-- A table that has rows already, if any.
SELECT CASE WHEN EXISTS (SELECT FROM public.users) THEN 'users'
            WHEN EXISTS (SELECT FROM public.orders) THEN 'orders'
            WHEN EXISTS (SELECT FROM public.events) THEN 'events' END AS filled

-- name: begin
-- Stores the parameters of the baseline.
UPDATE public.loadgen_playground SET seed = %(parameters)s, progress = '{"complete": false}'

-- name: advance
-- Stores how many rows of a table are copied, in the transaction that copied them.
UPDATE public.loadgen_playground
SET progress = jsonb_set(progress, ARRAY[%(table)s::text], to_jsonb(%(rows)s::bigint))

-- name: complete
-- Stores that rows, indexes and statistics are complete.
UPDATE public.loadgen_playground SET progress = jsonb_set(progress, '{complete}', 'true')

-- name: copy_users
-- Columns in the order of `rows`.
COPY public.users (id, email, name, plan, country, created_at, updated_at, deleted_at, version)
FROM STDIN (FORMAT binary)

-- name: copy_orders
-- Columns in the order of `rows`; none is soft deleted.
COPY public.orders (id, order_number, user_id, status, quantity, amount, currency, created_at,
                    updated_at, version)
FROM STDIN (FORMAT binary)

-- name: copy_events
-- Columns in the order of `rows`.
COPY public.events (id, event_id, user_id, event_type, properties, created_at, updated_at)
FROM STDIN (FORMAT binary)

-- name: set_users_identity
-- The next user's id follows the baseline's.
SELECT setval(pg_get_serial_sequence('public.users', 'id'), %(rows)s + 1, false)

-- name: set_orders_identity
-- The next order's id follows the baseline's.
SELECT setval(pg_get_serial_sequence('public.orders', 'id'), %(rows)s + 1, false)

-- name: set_events_identity
-- The next event's id follows the baseline's.
SELECT setval(pg_get_serial_sequence('public.events', 'id'), %(rows)s + 1, false)

-- name: analyze
-- Statistics for the planner.
ANALYZE public.users, public.orders, public.events
