-- The baseline: rows by binary COPY, and its progress in the playground's own row.

-- name: lock
-- One seeding at a time in a database; held by the session.
SELECT pg_advisory_lock(hashtext('loadgen seed'))

-- name: unlock
-- Releases that lock.
SELECT pg_advisory_unlock(hashtext('loadgen seed'))

-- name: wait_briefly
-- The session of a killed client takes a moment to end, so wait for its lock, though not long.
SET lock_timeout = '5s'

-- name: notice_death
-- The server cancels a long index build if its client is gone; not on every system.
SET client_connection_check_interval = '1s'

-- name: hurry
-- Commits do not wait for the disk, which saves a third of the time: after a crash, lost rows are
-- copied again. Sorting gets memory.
SELECT set_config('lock_timeout', '0', false),
       set_config('statement_timeout', '0', false),
       set_config('synchronous_commit', 'off', false),
       set_config('maintenance_work_mem', '256MB', false)

-- name: settle
-- From here on a commit waits for the disk, and with it for all earlier commits.
SET synchronous_commit = on

-- name: calm
-- The session as it was before `hurry`, still without time limits.
RESET synchronous_commit;
RESET maintenance_work_mem;
RESET client_connection_check_interval

-- name: clock
-- The server's time, and the start of its day in UTC, which is the default end of the history.
SELECT date_trunc('day', now(), 'UTC') AS today, now() AS now

-- name: begin
-- Stores the parameters of the baseline.
UPDATE public.loadgen_playground
SET seed = %(parameters)s, progress = '{"complete": false, "rows": {}}'

-- name: advance
-- Stores how many rows of a table are copied, in the transaction that copied them.
UPDATE public.loadgen_playground
SET progress = jsonb_set(progress, ARRAY['rows', %(table)s::text], to_jsonb(%(rows)s::bigint))

-- name: complete
-- Stores that rows, indexes and statistics are complete.
UPDATE public.loadgen_playground SET progress = jsonb_set(progress, '{complete}', 'true')

-- name: sequences
-- The sequences that fill whole-number columns of the workload's tables, by identity or default.
SELECT s.oid::regclass::text AS sequence, n.nspname::text AS schema, t.relname::text AS relation,
       a.attname::text AS column
FROM (
    SELECT objid AS sequence, refobjid AS relation, refobjsubid AS attnum
    FROM pg_catalog.pg_depend
    WHERE classid = 'pg_catalog.pg_class'::regclass AND refclassid = 'pg_catalog.pg_class'::regclass
      AND deptype IN ('a', 'i') AND refobjsubid > 0
    UNION
    SELECT d.refobjid, f.adrelid, f.adnum
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
    WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass
      AND d.refclassid = 'pg_catalog.pg_class'::regclass
) AS used
JOIN pg_catalog.pg_class s ON s.oid = used.sequence AND s.relkind = 'S'
JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0
JOIN pg_catalog.pg_class t ON t.oid = used.relation AND NOT t.relispartition
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = used.attnum
WHERE a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
  AND format('%%s', t.oid::regclass) <> ALL (%(ours)s)

-- name: set_sequence
-- The next value of a sequence follows the largest one of its column, and is never lowered.
SELECT setval(%(sequence)s::regclass, %(largest)s)
WHERE %(largest)s > coalesce(pg_sequence_last_value(%(sequence)s::regclass), 0)
