-- The playground's own row, and the lock of its migrations.

-- name: lock
-- One migration at a time in a database; released at the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('loadgen migrate'))

-- name: schema_version
-- The version of this database's schema.
SELECT schema_version FROM public.loadgen_playground

-- name: mark
-- Makes the one row once the model's tables are made.
INSERT INTO public.loadgen_playground (schema_version, workload, digest, tables, indexes)
VALUES (%(version)s, %(workload)s, %(digest)s, %(tables)s, '[]')

-- name: workload
-- The workload whose tables this database has.
SELECT workload, digest, tables FROM public.loadgen_playground

-- name: seed_state
-- Parameters and progress of the baseline.
SELECT seed, progress FROM public.loadgen_playground WHERE seed IS NOT NULL
