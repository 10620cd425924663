-- The baseline: rows by binary COPY, and how far it has come in the playground's own row.

-- name: lock
-- One seeding at a time in a database; held by the session.
SELECT pg_advisory_lock(hashtext('loadgen seed'))

-- name: unlock
-- Lets the next one in.
SELECT pg_advisory_unlock(hashtext('loadgen seed'))

-- name: wait_briefly
-- A killed client's session takes a moment to notice, so its lock is waited for, though not long.
SET lock_timeout = '5s'

-- name: notice_death
-- The server gives up a long index build whose client is gone; not on every system.
SET client_connection_check_interval = '1s'

-- name: hurry
-- A commit that a crash loses is copied again, so none waits for the disk, which saves a third of
-- the time; sorting gets memory.
SELECT set_config('lock_timeout', '0', false),
       set_config('statement_timeout', '0', false),
       set_config('synchronous_commit', 'off', false),
       set_config('maintenance_work_mem', '256MB', false)

-- name: settle
-- From here on a commit waits for the disk, and so for all that was committed before it.
SET synchronous_commit = on

-- name: calm
-- The session as it was before `hurry`: its time limits are none, and so they stay.
RESET synchronous_commit;
RESET maintenance_work_mem;
RESET client_connection_check_interval

-- name: clock
-- The default end of the history: the start of today, UTC, by the server's clock; and its now.
SELECT date_trunc('day', now(), 'UTC') AS today, now() AS now

-- name: filled
-- A table that has rows already, if there is one.
SELECT CASE WHEN EXISTS (SELECT FROM public.users) THEN 'users'
            WHEN EXISTS (SELECT FROM public.orders) THEN 'orders'
            WHEN EXISTS (SELECT FROM public.events) THEN 'events' END AS filled

-- name: begin
-- Notes what the baseline shall be.
UPDATE public.loadgen_playground SET seed = %(parameters)s, progress = '{"complete": false}'

-- name: advance
-- Notes how many rows of a table are in, in the transaction that copied them.
UPDATE public.loadgen_playground
SET progress = jsonb_set(progress, ARRAY[%(table)s::text], to_jsonb(%(rows)s::bigint))

-- name: complete
-- Notes that rows, indexes and statistics are all there.
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
