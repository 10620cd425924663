-- Read by `loadgen validate`, all from one snapshot.

-- name: snapshot
-- All following statements see the same rows, and none may write.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: tables
-- Rows of each table, and the number of soft-deleted users.
SELECT (SELECT count(*) FROM public.users) AS users,
       (SELECT count(*) FROM public.orders) AS orders,
       (SELECT count(*) FROM public.events) AS events,
       (SELECT count(*) FROM public.users WHERE deleted_at IS NOT NULL) AS soft_deleted

-- name: run_id
-- The run that wrote last.
SELECT split_part(run_id, '/', 1) FROM public.loadgen_playground

-- name: rows
-- Rows and versions of the three tables: a run's counters must agree with these.
SELECT
    (SELECT count(*) FROM public.users) AS users,
    (SELECT coalesce(sum(version), 0)::bigint FROM public.users) AS user_versions,
    (SELECT count(*) FROM public.orders) AS orders,
    (SELECT coalesce(sum(version), 0)::bigint FROM public.orders) AS order_versions,
    (SELECT count(*) FROM public.events) AS events

-- name: baseline_rows
-- How many rows of the baseline exist: their ids are 1 to the seeded number.
SELECT (SELECT count(*) FROM public.users WHERE id <= %(users)s) AS users,
       (SELECT count(*) FROM public.orders WHERE id <= %(orders)s) AS orders,
       (SELECT count(*) FROM public.events WHERE id <= %(events)s) AS events

-- name: orders_without_user
-- Orders whose user does not exist.
SELECT count(*) FROM public.orders o
WHERE NOT EXISTS (SELECT FROM public.users u WHERE u.id = o.user_id)

-- name: events_with_unknown_user
-- Events whose user does not exist; an event may have no user.
SELECT count(*) FROM public.events e
WHERE e.user_id IS NOT NULL AND NOT EXISTS (SELECT FROM public.users u WHERE u.id = e.user_id)

-- name: updated_before_created
-- Rows whose last change or deletion is older than their creation.
SELECT (SELECT count(*) FROM public.users WHERE least(updated_at, deleted_at) < created_at)
     + (SELECT count(*) FROM public.orders WHERE least(updated_at, deleted_at) < created_at)
     + (SELECT count(*) FROM public.events WHERE updated_at < created_at)

-- name: unknown_status
-- Orders with a status outside the life cycle.
SELECT count(*) FROM public.orders
WHERE status NOT IN ('pending', 'paid', 'shipped', 'delivered', 'cancelled', 'refunded')

-- name: too_many_soft_deleted
-- Soft-deleted users beyond a fifth of all users.
SELECT greatest(0, count(*) FILTER (WHERE deleted_at IS NOT NULL) - floor(count(*) * 0.2))::bigint
FROM public.users

-- name: repeated_order_numbers
-- Orders that share their client-made key with another order.
SELECT count(*) - count(DISTINCT order_number) FROM public.orders

-- name: repeated_event_ids
-- Events that share their client-made key with another event.
SELECT count(*) - count(DISTINCT event_id) FROM public.events
