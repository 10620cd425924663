-- Read by `loadgen validate`, all from one snapshot.

-- name: snapshot
-- All following statements see the same rows, and none may write.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: run_id
-- The run that wrote last.
SELECT split_part(run_id, '/', 1) FROM public.loadgen_playground
