-- The load's four statements as a pgbench script, drawn with the same weights; see bench/load.py.
\set draw random(1, 100)
\set user random(1, 800)
\set n random(1, 5000)
\if :draw <= 60
INSERT INTO public.events (event_id, user_id, event_type, properties) VALUES (gen_random_uuid(), :user, 'page_view', '{"session":"9f1b2c3d4e5f6071","path":"/pricing","referrer":"search","device":"desktop","browser":"Firefox","duration_ms":1532,"scroll_percent":64,"note":"the quick team ships a small change and watches the numbers for a while before it goes on to the next one, and so on and on"}');
\elif :draw <= 85
INSERT INTO public.orders (order_number, user_id, status, quantity, amount, currency) VALUES (gen_random_uuid(), :user, 'pending', 2, 59.80, 'EUR');
\elif :draw <= 99
UPDATE public.orders SET status = 'paid' WHERE order_number = md5(:n::text)::uuid AND version >= 0;
\else
UPDATE public.users SET deleted_at = now() WHERE id = :user AND deleted_at IS NULL;
\endif
