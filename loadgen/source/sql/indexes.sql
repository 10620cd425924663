-- Unique keys and indexes: dropped while a large baseline is copied in and rebuilt after it. Each
-- statement has the name of the index that it makes, and runs only if the catalogue lacks that name.

-- name: orders_order_number_key
-- The client-made key of an order.
CREATE UNIQUE INDEX IF NOT EXISTS orders_order_number_key ON public.orders (order_number);

-- name: events_event_id_key
-- The client-made key of an event.
CREATE UNIQUE INDEX IF NOT EXISTS events_event_id_key ON public.events (event_id);

-- name: users_updated_at_idx
-- Cursor-based tools read by it.
CREATE INDEX IF NOT EXISTS users_updated_at_idx ON public.users (updated_at);

-- name: orders_updated_at_idx
-- Cursor-based tools read by it.
CREATE INDEX IF NOT EXISTS orders_updated_at_idx ON public.orders (updated_at);

-- name: events_updated_at_idx
-- Cursor-based tools read by it.
CREATE INDEX IF NOT EXISTS events_updated_at_idx ON public.events (updated_at);
