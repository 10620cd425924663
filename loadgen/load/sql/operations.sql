-- The four writes, prepared once a connection; each is one transaction of its own.

-- name: insert_order
-- A new order of a live user: order_number, user_id, quantity, amount, currency.
INSERT INTO public.orders (order_number, user_id, status, quantity, amount, currency)
VALUES ($1, $2, 'pending', $3, $4, $5);

-- name: insert_event
-- Something a live user did: event_id, user_id, event_type, properties.
INSERT INTO public.events (event_id, user_id, event_type, properties)
VALUES ($1, $2, $3, $4);

-- name: update_order_status
-- One step of an order's life: order_number, the next status, the version it is known to have.
UPDATE public.orders SET status = $2 WHERE order_number = $1 AND version = $3;

-- name: soft_delete_user
-- A live user leaves: id.
UPDATE public.users SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL;
