-- The operations of the shop: each write, prepared once a connection and a transaction by itself;
-- how to look it up if its answer was lost; and what the tables show of it for the last hour.

-- name: insert_order
-- A new order of a live user: order_number, user_id, quantity, amount, currency.
INSERT INTO public.orders (order_number, user_id, status, quantity, amount, currency)
VALUES ($1, $2, 'pending', $3, $4, $5);

-- name: is_committed_insert_order
-- Whether the order with this key is there.
SELECT EXISTS (SELECT FROM public.orders WHERE order_number = %(key)s);

-- name: count_committed_insert_order
-- How many orders with these keys are there.
SELECT count(*) FROM public.orders WHERE order_number = ANY (%s::uuid[]);

-- name: last_hour_insert_order
-- Orders of the last hour. A row's updated_at is never before its created_at, so that the index on
-- it serves here too.
SELECT count(*) FROM public.orders
WHERE updated_at > now() - interval '1 hour' AND created_at > now() - interval '1 hour';

-- name: insert_event
-- Something a live user did: event_id, user_id, event_type, properties.
INSERT INTO public.events (event_id, user_id, event_type, properties)
VALUES ($1, $2, $3, $4);

-- name: is_committed_insert_event
-- Whether the event with this key is there.
SELECT EXISTS (SELECT FROM public.events WHERE event_id = %(key)s);

-- name: count_committed_insert_event
-- How many events with these keys are there.
SELECT count(*) FROM public.events WHERE event_id = ANY (%s::uuid[]);

-- name: last_hour_insert_event
-- Events of the last hour.
SELECT count(*) FROM public.events
WHERE updated_at > now() - interval '1 hour' AND created_at > now() - interval '1 hour';

-- name: update_order_status
-- One step of an order's life: order_number, the next status, the version it is known to have.
UPDATE public.orders SET status = $2 WHERE order_number = $1 AND version = $3;

-- name: is_committed_update_order_status
-- Whether the order went past the version that the write expected.
SELECT EXISTS (SELECT FROM public.orders WHERE order_number = %(key)s AND version > %(version)s);

-- name: last_hour_update_order_status
-- Orders updated in the last hour; one that was updated twice counts once.
SELECT count(*) FROM public.orders
WHERE updated_at > now() - interval '1 hour' AND version > 0;

-- name: soft_delete_user
-- A live user leaves: id.
UPDATE public.users SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL;

-- name: is_committed_soft_delete_user
-- Whether the user is gone; no other arrival of a run aims at the same user.
SELECT EXISTS (SELECT FROM public.users WHERE id = %(key)s AND deleted_at IS NOT NULL);

-- name: count_committed_soft_delete_user
-- How many of these users are gone.
SELECT count(*) FROM public.users WHERE id = ANY (%s::bigint[]) AND deleted_at IS NOT NULL;

-- name: last_hour_soft_delete_user
-- Users soft deleted in the last hour.
SELECT count(*) FROM public.users
WHERE updated_at > now() - interval '1 hour' AND deleted_at > now() - interval '1 hour';
