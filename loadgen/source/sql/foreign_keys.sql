-- Foreign keys: dropped and rebuilt with the indexes. Each statement has the name of its
-- constraint, and runs only if the catalogue lacks that name.

-- name: orders_user_id_fkey
-- An order has a user.
ALTER TABLE public.orders ADD CONSTRAINT orders_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES public.users (id);

-- name: events_user_id_fkey
-- An event's user, if it has one, exists.
ALTER TABLE public.events ADD CONSTRAINT events_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES public.users (id);
