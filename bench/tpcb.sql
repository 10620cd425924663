-- The built-in workload tpcb as a pgbench script: its statements, in one pipeline and so in one
-- implicit transaction, as our load sends them. :scale is that of the tables.
\set aid random(1, 100000 * :scale)
\set tid random(1, 10 * :scale)
\set bid random(1, :scale)
\set delta random(-5000, 5000)
\startpipeline
UPDATE public.pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
UPDATE public.pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE public.pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO public.pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
\endpipeline
