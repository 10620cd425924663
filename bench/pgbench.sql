-- The load's four statements as a pgbench script, drawn with the same weights and sent with the
-- same parameters, as far as a script can; see bench/pgbench.py.
\set draw random(1, 100)
\set user random(1, 800)
\set n random(1, 5000)
\if :draw <= 60
INSERT INTO public.events (event_id, user_id, event_type, properties) VALUES (gen_random_uuid(), :user, :kind, :properties);
\elif :draw <= 85
INSERT INTO public.orders (order_number, user_id, status, quantity, amount, currency) VALUES (gen_random_uuid(), :user, 'pending', :quantity, :amount, :currency);
\elif :draw <= 99
UPDATE public.orders SET status = :status WHERE order_number = md5(:n::text)::uuid AND version >= 0;
\else
UPDATE public.users SET deleted_at = now() WHERE id = :user AND deleted_at IS NULL;
\endif
