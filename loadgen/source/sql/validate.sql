-- What `loadgen validate` asks; all of it is asked of one snapshot.

-- name: snapshot
-- Every statement after this one sees the same rows, and none of them writes.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: tables
-- Rows a table, and how many users are soft deleted.
SELECT (SELECT count(*) FROM public.users) AS users,
       (SELECT count(*) FROM public.orders) AS orders,
       (SELECT count(*) FROM public.events) AS events,
       (SELECT count(*) FROM public.users WHERE deleted_at IS NOT NULL) AS soft_deleted

-- name: run_id
-- Which run wrote here last.
SELECT split_part(run_id, '/', 1) FROM public.loadgen_playground

-- name: rows
-- Rows and versions of the three tables, markers left out: the counters of a run must agree with
-- them.
SELECT
    (SELECT count(*) FROM public.users) AS users,
    (SELECT coalesce(sum(version), 0)::bigint FROM public.users) AS user_versions,
    (SELECT count(*) FROM public.orders) AS orders,
    (SELECT coalesce(sum(version), 0)::bigint FROM public.orders) AS order_versions,
    (SELECT count(*) FROM public.events WHERE event_type <> 'loadgen_marker') AS events

-- name: baseline_rows
-- How many rows of the baseline are there: their ids are 1 to the number asked for.
SELECT (SELECT count(*) FROM public.users WHERE id <= %(users)s) AS users,
       (SELECT count(*) FROM public.orders WHERE id <= %(orders)s) AS orders,
       (SELECT count(*) FROM public.events WHERE id <= %(events)s) AS events

-- name: orders_without_user
-- Orders whose user does not exist.
SELECT count(*) FROM public.orders o
WHERE NOT EXISTS (SELECT FROM public.users u WHERE u.id = o.user_id)

-- name: events_with_unknown_user
-- Events whose user does not exist; an event without a user is no fault.
SELECT count(*) FROM public.events e
WHERE e.user_id IS NOT NULL AND NOT EXISTS (SELECT FROM public.users u WHERE u.id = e.user_id)

-- name: updated_before_created
-- Rows whose last change, or deletion, is older than they are.
SELECT (SELECT count(*) FROM public.users WHERE least(updated_at, deleted_at) < created_at)
     + (SELECT count(*) FROM public.orders WHERE least(updated_at, deleted_at) < created_at)
     + (SELECT count(*) FROM public.events WHERE updated_at < created_at)

-- name: unknown_status
-- Orders in a state that the life cycle does not have.
SELECT count(*) FROM public.orders
WHERE status NOT IN ('pending', 'paid', 'shipped', 'delivered', 'cancelled', 'refunded')

-- name: too_many_soft_deleted
-- Soft-deleted users beyond a fifth of all users.
SELECT greatest(0, count(*) FILTER (WHERE deleted_at IS NOT NULL) - floor(count(*) * 0.2))::bigint
FROM public.users

-- name: repeated_order_numbers
-- Orders whose client-made key another order has too.
SELECT count(*) - count(DISTINCT order_number) FROM public.orders

-- name: repeated_event_ids
-- Events whose client-made key another event has too.
SELECT count(*) - count(DISTINCT event_id) FROM public.events
