-- The playground's own row, and what its migrations hold on to.

-- name: lock
-- One migration at a time in a database; let go at the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('loadgen migrate'))

-- name: schema_version
-- Which shape of the schema this database has.
SELECT schema_version FROM public.loadgen_playground

-- name: seed_state
-- What the baseline was asked to be, and how far it has come.
SELECT seed, progress FROM public.loadgen_playground WHERE seed IS NOT NULL
